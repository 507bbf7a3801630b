//! Where a network begins.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use pocket_types::codec::{self, Text};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Duration, Height, Timestamp};
use pocket_types::scheme::Scheme;
use pocket_types::session::{CLOCK_KEY, SESSIONS, SessionClock};
use pocket_types::state::{MemoryState, StateChanges};
use pocket_types::transaction::{ActorKind, Role};
use pocket_types::validator::{Electorate, ValidatorSet, ValidatorSetError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::ledger::{DeliverError, Ledger, LedgerError, Refusal};
use crate::params::{ParamError, Params, Preset, TARGET_BLOCK_TIME};
use crate::state::actor::{Actor, Status};
use crate::state::treasury::{ConservationError, MAX_SUPPLY, Pool, Supply};
use crate::state::{CHAIN, FISHERMAN_ACL, ONLY, PARAMS, TREASURY, is_pool};

/// What a network starts with. Read it from JSON with any serde format; unknown fields are errors.
///
/// Amounts are decimal strings of uPOKT, keys and addresses lower-case hex.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The network's name; two networks with different names never share a signature.
    pub name: Text<64>,
    /// Time of the genesis state; the first block is later.
    pub time: Timestamp,
    /// Where the parameters come from.
    pub preset: Preset,
    /// Milliseconds from which the mainnet preset's durations are converted to blocks.
    #[serde(default = "target_block_time")]
    pub block_time: Duration,
    /// Parameters that differ from the preset, by name: numbers, decimal strings or booleans.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Balances.
    #[serde(default)]
    pub accounts: BTreeMap<Address, Amount>,
    /// What the DAO holds.
    #[serde(default)]
    pub dao: Amount,
    /// Who is staked; stakes come on top of the balances.
    pub actors: Vec<GenesisActor>,
    /// Which applications delegate to which gateways.
    #[serde(default)]
    pub delegations: Vec<GenesisDelegation>,
    /// Who may stake as a fisherman, beside the fishermen staked here.
    #[serde(default)]
    pub fishermen: Vec<Address>,
    /// How validators sign their votes, for good: `"Ed25519List"`, which is the default, or
    /// `"BlsAggregate"`, which asks every validator for a `bls_key` with its proof of possession, and
    /// all who execute blocks for a build with the feature `bls`.
    #[serde(default)]
    pub scheme: Scheme,
}

/// An actor that is staked from the beginning, and drawn from the first session on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisActor {
    /// Identity and signing key.
    pub public_key: PublicKey,
    /// Where rewards and the returned stake go.
    pub output: Address,
    /// The stake.
    pub stake: Amount,
    /// What it does.
    pub role: Role,
}

/// A delegation that stands from the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisDelegation {
    /// The application.
    pub application: Address,
    /// The gateway.
    pub gateway: PublicKey,
}

/// The value of a parameter in a genesis file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParameterValue(pub u128);

/// The state after genesis and what a node needs to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisState {
    /// The network.
    pub chain: ChainId,
    /// The state, as changes to an empty one.
    pub changes: StateChanges,
    /// The set that decides the first two blocks, and later ones until it changes.
    pub validators: ValidatorSet,
    /// The beacon's value before the first block.
    pub randomness: Hash,
    /// How much exists.
    pub supply: Supply,
}

/// Why a genesis is refused. Whoever wrote it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// A parameter, or a rule between parameters.
    #[error("parameters: {0}")]
    Parameter(#[from] ParamError),
    /// A field breaks a rule of the ledger.
    #[error("{field}: {refusal}")]
    Refused {
        /// The field, such as `actors[3]`.
        field: String,
        /// The rule.
        refusal: Refusal,
    },
    /// An account that nobody can sign for.
    #[error("accounts.{0}: a pool is no account")]
    PoolAccount(Address),
    /// More money than can be counted.
    #[error("{field}: the supply exceeds {MAX_SUPPLY} uPOKT")]
    Supply {
        /// The field at which the sum becomes too large.
        field: String,
    },
    /// The validators make no set; one is needed at least.
    #[error("actors: {0}")]
    Validators(#[from] ValidatorSetError),
    /// The sums do not add up: a defect of the ledger.
    #[error(transparent)]
    NotConserved(#[from] ConservationError),
    /// The ledger failed: a defect, since it stands on an empty state in memory.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Genesis {
    /// The network's id: the hash of everything here.
    pub fn chain_id(&self) -> ChainId {
        ChainId(Domain::GENESIS.hash(&codec::encode(self)))
    }

    /// The parameters: the preset with what is overridden.
    ///
    /// # Errors
    ///
    /// [`ParamError`] naming the parameter.
    pub fn params(&self) -> Result<Params, ParamError> {
        let mut params = Params::preset(self.preset, self.block_time);
        for (name, value) in &self.parameters {
            params.set(name, value.0)?;
        }
        params.validate()?;
        Ok(params)
    }

    /// Makes the state that the first block builds on.
    ///
    /// # Errors
    ///
    /// [`GenesisError`] naming the field.
    pub fn build(&self) -> Result<GenesisState, GenesisError> {
        let chain = self.chain_id();
        let mut ledger =
            Ledger::empty(MemoryState::default(), chain, self.time, self.scheme, self.params()?);
        self.fill_accounts(&mut ledger)?;
        for (place, actor) in self.actors.iter().enumerate() {
            self.stake(&mut ledger, place, actor)?;
        }
        for address in &self.fishermen {
            ledger.store.put(FISHERMAN_ACL, codec::encode(address), &());
        }
        for (place, delegation) in self.delegations.iter().enumerate() {
            ledger
                .delegate(delegation.application, delegation.gateway)
                .map_err(|error| refused(format!("delegations[{place}]"), error))?;
        }
        let validators = ledger.update_validators()?.ok_or(ValidatorSetError::Empty)?;
        Electorate::new(validators.clone())?;
        ledger.treasury.check()?;
        let supply = ledger.treasury.supply;
        Ok(GenesisState {
            chain,
            changes: ledger.into_genesis(),
            validators,
            randomness: chain.0,
            supply,
        })
    }

    fn fill_accounts(&self, ledger: &mut Ledger<MemoryState>) -> Result<(), GenesisError> {
        for (address, amount) in &self.accounts {
            if is_pool(address) {
                return Err(GenesisError::PoolAccount(*address));
            }
            ledger
                .endow(*amount)
                .ok_or_else(|| GenesisError::Supply { field: format!("accounts.{address}") })?;
            ledger.credit(address, *amount)?;
        }
        let too_much = || GenesisError::Supply { field: "dao".into() };
        ledger.endow(self.dao).ok_or_else(too_much)?;
        *ledger.treasury.pool_mut(Pool::Dao) = self.dao;
        Ok(())
    }

    fn stake(
        &self,
        ledger: &mut Ledger<MemoryState>,
        place: usize,
        actor: &GenesisActor,
    ) -> Result<(), GenesisError> {
        let field = || format!("actors[{place}]");
        let GenesisActor { public_key, output, stake, role } = actor;
        ledger
            .check_stake(public_key, output, role)
            .map_err(|refusal| GenesisError::Refused { field: field(), refusal })?;
        ledger.endow(*stake).ok_or_else(|| GenesisError::Supply { field: field() })?;
        let kind = role.kind();
        ledger
            .check_minimum(kind, *stake)
            .map_err(|refusal| GenesisError::Refused { field: field(), refusal })?;
        let pool = ledger.treasury.pool_mut(Pool::of(kind));
        *pool = pool.checked_add(*stake).ok_or_else(|| GenesisError::Supply { field: field() })?;
        let actor = Actor {
            public_key: *public_key,
            output: *output,
            stake: *stake,
            role: role.clone(),
            since: Height::GENESIS,
            status: Status::Staked,
        };
        ledger.admit(&actor).map_err(|error| refused(field(), error))?;
        if kind == ActorKind::Fisherman {
            ledger.store.put(FISHERMAN_ACL, codec::encode(&actor.address()), &());
        }
        Ok(())
    }
}

impl Ledger<MemoryState> {
    fn endow(&mut self, amount: Amount) -> Option<()> {
        let total = self.treasury.supply.total.checked_add(amount)?;
        if total > MAX_SUPPLY {
            return None;
        }
        self.treasury.supply.total = total;
        Some(())
    }

    fn into_genesis(mut self) -> StateChanges {
        self.store.put(PARAMS, ONLY.to_vec(), &self.params);
        self.store.put(TREASURY, ONLY.to_vec(), &self.treasury);
        self.store.put(CHAIN, ONLY.to_vec(), &self.tip);
        // Session 0 is genesis itself: one block long, so that session 1 starts at height 1.
        let clock = SessionClock { number: 0, start: Height::GENESIS, blocks: 1 };
        self.store.put(SESSIONS, CLOCK_KEY.to_vec(), &clock);
        self.store.into_changes()
    }
}

fn refused(field: String, error: DeliverError) -> GenesisError {
    match error {
        DeliverError::Refused(refusal) => GenesisError::Refused { field, refusal },
        DeliverError::Failed(error) => error.into(),
    }
}

const fn target_block_time() -> Duration {
    TARGET_BLOCK_TIME
}

impl Serialize for ParameterValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.0.to_string())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ParameterValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = ParameterValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, a decimal string, true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<ParameterValue, E> {
                Ok(ParameterValue(u128::from(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ParameterValue, E> {
                Ok(ParameterValue(u128::from(value)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ParameterValue, E> {
                text.parse()
                    .map(ParameterValue)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Number)
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}
