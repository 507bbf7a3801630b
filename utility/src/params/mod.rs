//! Every parameter of the ledger: one table, typed, range-checked, with a value in every preset.
//!
//! The table is [`Params::TABLE`]; `PARAMETERS.md` is written from it and a test compares the two.
//! Mainnet's times are durations, converted with the network's target block time.

mod table;

use alloc::string::{String, ToString};

use pocket_types::number::{Amount, Duration, Ppm};
use pocket_types::transaction::{ActorKind, MAX_TRANSACTION_BYTES, Message};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use table::Params;

/// A family of defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Times as durations, for a network that means it.
    Mainnet,
    /// The block counts and amounts of Pocket's Go implementation of v1.
    GoV1,
    /// A network that shows everything within twenty blocks.
    Devnet,
}

/// When a change of a parameter takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A: at the next session's start; a running session keeps the values that it started with.
    Session,
    /// B: at the next block.
    Block,
}

/// What a parameter counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Unit {
    /// Blocks.
    Blocks,
    /// Millionths of a POKT.
    Upokt,
    /// Millionths of a POKT for one relay.
    UpoktPerRelay,
    /// Relays for each uPOKT of stake.
    RelaysPerUpokt,
    /// Hundredths.
    Percent,
    /// Millionths.
    Ppm,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Yes (1) or no (0).
    Flag,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in genesis files, queries and transactions.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Smallest legal value.
    pub min: u128,
    /// Largest legal value.
    pub max: u128,
    /// When a change takes effect.
    pub class: Class,
    /// Name of the access-control entry that may change it.
    pub owner: &'static str,
}

/// Why parameters are refused. Whoever proposed them is at fault; nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ParamError {
    /// No parameter has this name.
    #[error("no parameter is called {0:?}")]
    Unknown(String),
    /// The value is outside the parameter's range.
    #[error("{name} = {got} is outside {min} to {max}")]
    Range {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: u128,
        /// Smallest legal value.
        min: u128,
        /// Largest legal value.
        max: u128,
    },
    /// Claims must not open before the last relay of the session can be served.
    #[error(
        "claim_window_open_offset_blocks = {open} lets claims in before session_grace_blocks = {grace} is over"
    )]
    ClaimsBeforeGrace {
        /// The claim window's offset.
        open: u64,
        /// The grace period.
        grace: u64,
    },
    /// Too many sessions would be unsettled at the same time.
    #[error(
        "claims and proofs take {span} blocks after a session of {session}: more than {max} sessions would be open at once"
    )]
    TooManyOpenSessions {
        /// Blocks from a session's end to its settlement.
        span: u64,
        /// Blocks of a session.
        session: u64,
        /// The most sessions that may be open.
        max: u64,
    },
    /// An actor could not stay paused as long as it must.
    #[error("{kind:?} must stay paused for {minimum} blocks but at most {maximum}")]
    PauseRange {
        /// The kind of actor.
        kind: ActorKind,
        /// The minimum.
        minimum: u64,
        /// The maximum.
        maximum: u64,
    },
    /// Serving oneself would be pure profit.
    #[error(
        "a relay burns {burned} uPOKT and mints {numerator}/{denominator}: say inflationary = true if that is wanted"
    )]
    MintExceedsBurn {
        /// Burnt of the application's stake for each relay.
        burned: Amount,
        /// Minted for a relay: numerator.
        numerator: u64,
        /// Minted for a relay: denominator.
        denominator: u64,
    },
}

/// The most sessions that may wait for their settlement at once; it bounds what each value keeps of
/// its past.
pub const MAX_OPEN_SESSIONS: u64 = 64;

/// The block time from which mainnet's durations are converted unless genesis names another.
pub const TARGET_BLOCK_TIME: Duration = Duration::seconds(60);

impl Params {
    /// The row of a parameter.
    pub fn parameter(name: &str) -> Option<&'static Parameter> {
        Self::TABLE.iter().find(|row| row.name == name)
    }

    /// Checks every range and every rule between parameters.
    ///
    /// # Errors
    ///
    /// [`ParamError`] naming the first violation.
    pub fn validate(&self) -> Result<(), ParamError> {
        for row in Self::TABLE {
            let got = self.value(row.name).unwrap_or_default();
            if !(row.min..=row.max).contains(&got) {
                let (name, min, max) = (row.name, row.min, row.max);
                return Err(ParamError::Range { name, got, min, max });
            }
        }
        self.validate_sessions()?;
        self.validate_economy()
    }

    fn validate_sessions(&self) -> Result<(), ParamError> {
        let (open, grace) = (self.claim_window_open_offset_blocks, self.session_grace_blocks);
        if open < grace {
            return Err(ParamError::ClaimsBeforeGrace { open, grace });
        }
        let (span, session) = (self.settlement_span(), self.blocks_per_session);
        if span.div_ceil(session) >= MAX_OPEN_SESSIONS {
            return Err(ParamError::TooManyOpenSessions { span, session, max: MAX_OPEN_SESSIONS });
        }
        Ok(())
    }

    fn validate_economy(&self) -> Result<(), ParamError> {
        let pauses = [
            (ActorKind::Application, self.app_minimum_pause_blocks, self.app_max_pause_blocks),
            (
                ActorKind::Servicer,
                self.servicer_minimum_pause_blocks,
                self.servicer_max_pause_blocks,
            ),
            (
                ActorKind::Fisherman,
                self.fisherman_minimum_pause_blocks,
                self.fisherman_max_pause_blocks,
            ),
            (
                ActorKind::Validator,
                self.validator_minimum_pause_blocks,
                self.validator_max_pause_blocks,
            ),
        ];
        for (kind, minimum, maximum) in pauses {
            if minimum > maximum {
                return Err(ParamError::PauseRange { kind, minimum, maximum });
            }
        }
        let (numerator, denominator) =
            (self.usage_to_reward_numerator, self.usage_to_reward_denominator);
        let burned = self.app_burn_per_relay;
        let covered = burned
            .0
            .checked_mul(u128::from(denominator))
            .is_none_or(|burned| burned >= u128::from(numerator));
        if !covered && !self.inflationary {
            return Err(ParamError::MintExceedsBurn { burned, numerator, denominator });
        }
        Ok(())
    }

    /// Blocks from a session's last block to the block that settles it.
    pub const fn settlement_span(&self) -> u64 {
        // One block for the first of the claim window, one for the challenge.
        self.claim_window_open_offset_blocks
            .saturating_add(1)
            .saturating_add(self.claim_window_blocks)
            .saturating_add(1)
            .saturating_add(self.proof_window_open_offset_blocks)
            .saturating_add(self.proof_window_blocks)
    }

    /// The least stake of a kind.
    pub const fn minimum_stake(&self, kind: ActorKind) -> Amount {
        match kind {
            ActorKind::Application => self.app_minimum_stake,
            ActorKind::Servicer => self.servicer_minimum_stake,
            ActorKind::Fisherman => self.fisherman_minimum_stake,
            ActorKind::Validator => self.validator_minimum_stake,
            ActorKind::Gateway => self.gateway_minimum_stake,
        }
    }

    /// Blocks between an actor's request to leave and the return of its stake.
    pub const fn unstaking_blocks(&self, kind: ActorKind) -> u64 {
        match kind {
            ActorKind::Application => self.app_unstaking_blocks,
            ActorKind::Servicer => self.servicer_unstaking_blocks,
            ActorKind::Fisherman => self.fisherman_unstaking_blocks,
            ActorKind::Validator => self.validator_unstaking_blocks,
            ActorKind::Gateway => self.gateway_unstaking_blocks,
        }
    }

    /// The least fee of a message.
    pub const fn fee(&self, message: &Message) -> Amount {
        match message {
            Message::Send { .. } => self.message_send_fee,
            Message::Stake { role, .. } => self.stake_fee(role.kind()),
            Message::Unstake { kind, .. } => self.unstake_fee(*kind),
            Message::Delegate { .. } => self.message_delegate_fee,
            Message::Undelegate { .. } => self.message_undelegate_fee,
            Message::Claim { .. } => self.message_claim_fee,
            Message::ProveClaim { .. } => self.message_prove_claim_fee,
            // A message that this version does not know is refused by its handler.
            _ => Amount::ZERO,
        }
    }

    const fn stake_fee(&self, kind: ActorKind) -> Amount {
        match kind {
            ActorKind::Application => self.message_stake_app_fee,
            ActorKind::Servicer => self.message_stake_servicer_fee,
            ActorKind::Fisherman => self.message_stake_fisherman_fee,
            ActorKind::Validator => self.message_stake_validator_fee,
            ActorKind::Gateway => self.message_stake_gateway_fee,
        }
    }

    const fn unstake_fee(&self, kind: ActorKind) -> Amount {
        match kind {
            ActorKind::Application => self.message_unstake_app_fee,
            ActorKind::Servicer => self.message_unstake_servicer_fee,
            ActorKind::Fisherman => self.message_unstake_fisherman_fee,
            ActorKind::Validator => self.message_unstake_validator_fee,
            ActorKind::Gateway => self.message_unstake_gateway_fee,
        }
    }
}

/// Converts durations to blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockTime(pub(crate) Duration);

impl BlockTime {
    pub(crate) const fn minutes(self, minutes: u64) -> u64 {
        let milliseconds = if self.0.0 == 0 { 1 } else { self.0.0 };
        (minutes * 60_000).div_ceil(milliseconds)
    }

    pub(crate) const fn days(self, days: u64) -> u64 {
        self.minutes(days * 24 * 60)
    }
}

/// How a field of [`Params`] becomes a number and back.
pub(crate) trait Value: Copy {
    fn number(self) -> u128;
    fn of(number: u128) -> Option<Self>;
}

impl Value for u64 {
    fn number(self) -> u128 {
        u128::from(self)
    }
    fn of(number: u128) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Value for Amount {
    fn number(self) -> u128 {
        self.0
    }
    fn of(number: u128) -> Option<Self> {
        Some(Self(number))
    }
}

impl Value for Ppm {
    fn number(self) -> u128 {
        u128::from(self.0)
    }
    fn of(number: u128) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

impl Value for bool {
    fn number(self) -> u128 {
        u128::from(self)
    }
    fn of(number: u128) -> Option<Self> {
        match number {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Unit {
    /// The unit in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Upokt => "uPOKT",
            Self::UpoktPerRelay => "uPOKT per relay",
            Self::RelaysPerUpokt => "relays per uPOKT",
            Self::Percent => "%",
            Self::Ppm => "ppm",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Flag => "0 or 1",
        }
    }
}

const _: () = assert!(MAX_TRANSACTION_BYTES <= u32::MAX as usize);

/// The table as a page: what `PARAMETERS.md` holds.
pub fn markdown() -> String {
    let presets = [Preset::Mainnet, Preset::GoV1, Preset::Devnet]
        .map(|p| Params::preset(p, TARGET_BLOCK_TIME));
    let mut page = String::from(
        "# Parameters\n\n\
         Written from `Params::TABLE`; the test `parameters_page` says how to write it again.\n\
         Mainnet's times are durations; the blocks below are for a block time of one minute.\n\
         Class A takes effect at the next session's start, class B at the next block.\n\n\
         | name | unit | mainnet | go-v1 | devnet | range | class | owner | meaning |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in Params::TABLE {
        let class = match row.class {
            Class::Session => "A",
            Class::Block => "B",
        };
        let mut cells = [const { String::new() }; 3];
        for (cell, preset) in cells.iter_mut().zip(&presets) {
            *cell = preset.value(row.name).unwrap_or_default().to_string();
        }
        let [mainnet, go, devnet] = cells;
        page += &alloc::format!(
            "| `{}` | {} | {mainnet} | {go} | {devnet} | {} to {} | {class} | `{}` | {} |\n",
            row.name,
            row.unit.as_str(),
            row.min,
            row.max,
            row.owner,
            row.doc,
        );
    }
    page
}
