//! The rows.

use pocket_types::number::{Amount, Duration, Ppm};
use pocket_types::session;
use pocket_types::transaction;
use pocket_types::validator;
use serde::{Deserialize, Serialize};

use super::{BlockTime, Class, ParamError, Parameter, Preset, Unit, Value};
use crate::state::delegation;
use crate::state::treasury::MAX_SUPPLY;

const MAX_AMOUNT: u128 = MAX_SUPPLY.0;
const MAX_DRAW: u128 = session::MAX_DRAW as u128;
const MAX_CHAINS: u128 = transaction::MAX_CHAINS as u128;
const MAX_VALIDATORS: u128 = validator::MAX_VALIDATORS as u128;
const MAX_TRANSACTION_BYTES: u128 = transaction::MAX_TRANSACTION_BYTES as u128;
const MAX_DELEGATIONS: u128 = delegation::MAX_DELEGATIONS as u128;

macro_rules! parameters {
    ($(
        #[doc = $doc:literal]
        $name:ident: $type:ty, $unit:ident, $class:ident, $owner:literal, $min:tt..=$max:tt,
        $mainnet:expr, $go_v1:expr, $devnet:expr;
    )*) => {
        /// The value of every parameter; the fields are the rows of [`Params::TABLE`].
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        pub struct Params {
            $(#[doc = $doc] pub $name: $type,)*
        }

        impl Params {
            /// All parameters, in the order of their encoding.
            pub const TABLE: &'static [Parameter] = &[$(Parameter {
                name: stringify!($name),
                doc: $doc.trim_ascii_start(),
                unit: Unit::$unit,
                min: $min,
                max: $max,
                class: Class::$class,
                owner: $owner,
            },)*];

            /// A preset's values; `block_time` converts mainnet's durations.
            pub fn preset(preset: Preset, block_time: Duration) -> Self {
                let time = BlockTime(block_time);
                match preset {
                    Preset::Mainnet => Self { $($name: value($mainnet, time),)* },
                    Preset::GoV1 => Self { $($name: value($go_v1, time),)* },
                    Preset::Devnet => Self { $($name: value($devnet, time),)* },
                }
            }

            /// A parameter's value as a number, by name.
            pub fn value(&self, name: &str) -> Option<u128> {
                match name {
                    $(stringify!($name) => Some(self.$name.number()),)*
                    _ => None,
                }
            }

            /// Sets a parameter by name; [`Params::validate`] checks the rules between parameters.
            ///
            /// # Errors
            ///
            /// [`ParamError::Unknown`] or [`ParamError::Range`]; nothing changed.
            pub fn set(&mut self, name: &str, number: u128) -> Result<(), ParamError> {
                let row = Self::parameter(name).ok_or_else(|| ParamError::Unknown(name.into()))?;
                let (min, max) = (row.min, row.max);
                let range = ParamError::Range { name: row.name, got: number, min, max };
                if !(min..=max).contains(&number) {
                    return Err(range);
                }
                match name {
                    $(stringify!($name) => self.$name = Value::of(number).ok_or(range)?,)*
                    _ => return Err(ParamError::Unknown(name.into())),
                }
                Ok(())
            }
        }
    };
}

fn value<T>(of: fn(BlockTime) -> T, time: BlockTime) -> T {
    of(time)
}

parameters! {
    /// Length of a session.
    blocks_per_session: u64, Blocks, Session, "blocks_per_session_owner", 1..=1_000_000,
        |t| t.minutes(15), |_| 1, |_| 5;
    /// Servicers that a session draws.
    servicers_per_session: u64, Count, Session, "servicers_per_session_owner", 1..=MAX_DRAW,
        |_| 24, |_| 24, |_| 24;
    /// Fishermen that a session draws.
    fisherman_per_session: u64, Count, Session, "fisherman_per_session_owner", 0..=MAX_DRAW,
        |_| 1, |_| 1, |_| 1;
    /// Blocks after a session's end in which its relays are still served.
    session_grace_blocks: u64, Blocks, Session, "session_grace_blocks_owner", 0..=1_000_000,
        |t| t.minutes(1), |_| 1, |_| 1;
    /// Whole blocks between a session's end and the first block that takes its claims.
    claim_window_open_offset_blocks: u64, Blocks, Session, "claim_window_open_offset_blocks_owner", 0..=1_000_000,
        |t| t.minutes(1), |_| 1, |_| 1;
    /// Blocks after the first one in which claims are still taken.
    claim_window_blocks: u64, Blocks, Session, "claim_window_blocks_owner", 0..=1_000_000,
        |t| t.minutes(15), |_| 4, |_| 1;
    /// Blocks from the challenge, the block after the claim window, to the first block that takes proofs.
    proof_window_open_offset_blocks: u64, Blocks, Session, "proof_window_open_offset_blocks_owner", 1..=1_000_000,
        |_| 1, |_| 1, |_| 1;
    /// Blocks after the first one in which proofs are still taken; the session is settled at the last.
    proof_window_blocks: u64, Blocks, Session, "proof_window_blocks_owner", 0..=1_000_000,
        |t| t.minutes(15), |_| 4, |_| 1;
    /// Relays that a session grants for each uPOKT of the application's stake.
    app_session_tokens_multiplier: u64, RelaysPerUpokt, Session, "app_session_tokens_multiplier_owner", 1..=1_000_000_000,
        |_| 100, |_| 100, |_| 100;
    /// How far a servicer's own token bucket may exceed its equal share.
    relay_accuracy: Ppm, Ppm, Session, "relay_accuracy_owner", 0..=1_000_000,
        |_| Ppm(200_000), |_| Ppm(200_000), |_| Ppm(200_000);
    /// The most that a claim may settle, in equal shares of the application's budget.
    settlement_redistribution_multiplier: u64, Count, Session, "settlement_redistribution_multiplier_owner", 1..=1_000,
        |_| 2, |_| 2, |_| 2;
    /// Minted for settled relays: numerator.
    usage_to_reward_numerator: u64, UpoktPerRelay, Block, "usage_to_reward_numerator_owner", 0..=1_000_000_000_000,
        |_| 90, |_| 0, |_| 9_000;
    /// Minted for settled relays: denominator.
    usage_to_reward_denominator: u64, Count, Block, "usage_to_reward_denominator_owner", 1..=1_000_000_000_000,
        |_| 1, |_| 1, |_| 1;
    /// Burnt of the application's stake for each settled relay.
    app_burn_per_relay: Amount, UpoktPerRelay, Block, "app_burn_per_relay_owner", 0..=MAX_AMOUNT,
        |_| Amount(100), |_| Amount(0), |_| Amount(10_000);
    /// Allows that a relay mints more than it burns.
    inflationary: bool, Flag, Block, "inflationary_owner", 0..=1,
        |_| false, |_| false, |_| false;
    /// Stake from which on a servicer earns the full salary.
    servicer_stake_cap: Amount, Upokt, Block, "servicer_stake_cap_owner", 1..=MAX_AMOUNT,
        |_| Amount(60_000_000_000), |_| Amount(60_000_000_000), |_| Amount(15_000_000_000);
    /// Burnt of a servicer's stake for a claim that it does not prove.
    claim_missing_proof_penalty: Amount, Upokt, Session, "claim_missing_proof_penalty_owner", 0..=MAX_AMOUNT,
        |_| Amount(320_000_000), |_| Amount(320_000_000), |_| Amount(320_000_000);
    /// The least stake of an application.
    app_minimum_stake: Amount, Upokt, Block, "app_minimum_stake_owner", 1..=MAX_AMOUNT,
        |_| Amount(15_000_000_000), |_| Amount(15_000_000_000), |_| Amount(15_000_000_000);
    /// Chains that an application may stake for.
    app_max_chains: u64, Count, Block, "app_max_chains_owner", 1..=MAX_CHAINS,
        |_| 15, |_| 15, |_| 15;
    /// Blocks between an application's unstaking and the return of its stake.
    app_unstaking_blocks: u64, Blocks, Block, "app_unstaking_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 2_016, |_| 5;
    /// Blocks that a paused application has to wait.
    app_minimum_pause_blocks: u64, Blocks, Block, "app_minimum_pause_blocks_owner", 0..=100_000_000,
        |t| t.minutes(60), |_| 4, |_| 1;
    /// Blocks after which a paused application is unstaked.
    app_max_pause_blocks: u64, Blocks, Block, "app_max_paused_blocks_owner", 0..=100_000_000,
        |t| t.days(7), |_| 672, |_| 100;
    /// The least stake of a servicer.
    servicer_minimum_stake: Amount, Upokt, Block, "servicer_minimum_stake_owner", 1..=MAX_AMOUNT,
        |_| Amount(15_000_000_000), |_| Amount(15_000_000_000), |_| Amount(15_000_000_000);
    /// Chains that a servicer may stake for.
    servicer_max_chains: u64, Count, Block, "servicer_max_chains_owner", 1..=MAX_CHAINS,
        |_| 15, |_| 15, |_| 15;
    /// Blocks between a servicer's unstaking and the return of its stake.
    servicer_unstaking_blocks: u64, Blocks, Block, "servicer_unstaking_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 2_016, |_| 5;
    /// Blocks that a paused servicer has to wait.
    servicer_minimum_pause_blocks: u64, Blocks, Block, "servicer_minimum_pause_blocks_owner", 0..=100_000_000,
        |t| t.minutes(60), |_| 4, |_| 1;
    /// Blocks after which a paused servicer is unstaked.
    servicer_max_pause_blocks: u64, Blocks, Block, "servicer_max_paused_blocks_owner", 0..=100_000_000,
        |t| t.days(7), |_| 672, |_| 100;
    /// The least stake of a fisherman.
    fisherman_minimum_stake: Amount, Upokt, Block, "fisherman_minimum_stake_owner", 1..=MAX_AMOUNT,
        |_| Amount(15_000_000_000), |_| Amount(15_000_000_000), |_| Amount(15_000_000_000);
    /// Kept for go-v1: fishermen are drawn by zone and stake for no chains.
    fisherman_max_chains: u64, Count, Block, "fisherman_max_chains_owner", 1..=MAX_CHAINS,
        |_| 15, |_| 15, |_| 15;
    /// Blocks between a fisherman's unstaking and the return of its stake.
    fisherman_unstaking_blocks: u64, Blocks, Block, "fisherman_unstaking_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 2_016, |_| 5;
    /// Blocks that a paused fisherman has to wait.
    fisherman_minimum_pause_blocks: u64, Blocks, Block, "fisherman_minimum_pause_blocks_owner", 0..=100_000_000,
        |t| t.minutes(60), |_| 4, |_| 1;
    /// Blocks after which a paused fisherman is unstaked.
    fisherman_max_pause_blocks: u64, Blocks, Block, "fisherman_max_paused_blocks_owner", 0..=100_000_000,
        |t| t.days(7), |_| 672, |_| 100;
    /// The least stake of a validator.
    validator_minimum_stake: Amount, Upokt, Block, "validator_minimum_stake_owner", 1..=MAX_AMOUNT,
        |_| Amount(15_000_000_000), |_| Amount(15_000_000_000), |_| Amount(15_000_000_000);
    /// Blocks between a validator's unstaking and the return of its stake.
    validator_unstaking_blocks: u64, Blocks, Block, "validator_unstaking_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 2_016, |_| 5;
    /// Blocks that a paused validator has to wait.
    validator_minimum_pause_blocks: u64, Blocks, Block, "validator_minimum_pause_blocks_owner", 0..=100_000_000,
        |t| t.minutes(60), |_| 4, |_| 1;
    /// Blocks after which a paused validator is unstaked.
    validator_max_pause_blocks: u64, Blocks, Block, "validator_max_paused_blocks_owner", 0..=100_000_000,
        |t| t.days(7), |_| 672, |_| 100;
    /// The least stake of a gateway.
    gateway_minimum_stake: Amount, Upokt, Block, "gateway_minimum_stake_owner", 1..=MAX_AMOUNT,
        |_| Amount(15_000_000_000), |_| Amount(15_000_000_000), |_| Amount(15_000_000_000);
    /// Blocks between a gateway's unstaking and the return of its stake.
    gateway_unstaking_blocks: u64, Blocks, Block, "gateway_unstaking_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 2_016, |_| 5;
    /// Gateways that an application may delegate to.
    app_max_delegations: u64, Count, Session, "app_max_delegations_owner", 1..=MAX_DELEGATIONS,
        |_| 7, |_| 7, |_| 7;
    /// Stake that a gateway needs for each application that delegates to it; 0 asks for none.
    stake_per_app_delegation: Amount, Upokt, Session, "stake_per_app_delegation_owner", 0..=MAX_AMOUNT,
        |_| Amount(0), |_| Amount(0), |_| Amount(0);
    /// Fishermen that must remain when one unstakes.
    min_active_fisherman: u64, Count, Block, "min_active_fisherman_owner", 0..=1_000_000,
        |_| 1, |_| 1, |_| 1;
    /// Validators that vote: the ones with the most stake.
    max_validators: u64, Count, Session, "max_validators_owner", 1..=MAX_VALIDATORS,
        |_| 1_000, |_| 1_000, |_| 100;
    /// Blocks that a validator may miss.
    validator_maximum_missed_blocks: u64, Count, Block, "validator_maximum_missed_blocks_owner", 1..=1_000_000,
        |_| 5, |_| 5, |_| 5;
    /// Age at which evidence is no longer taken.
    validator_max_evidence_age_in_blocks: u64, Blocks, Block, "validator_max_evidence_age_in_blocks_owner", 1..=100_000_000,
        |t| t.days(21), |_| 8, |_| 4;
    /// Burnt of a validator's stake for missing too many blocks.
    missed_blocks_burn_percentage: u64, Percent, Block, "missed_blocks_burn_percentage_owner", 0..=100,
        |_| 1, |_| 1, |_| 1;
    /// Burnt of a validator's stake for signing twice.
    double_sign_burn_percentage: u64, Percent, Block, "double_sign_burn_percentage_owner", 0..=100,
        |_| 5, |_| 5, |_| 5;
    /// Share of a block's fees that goes to its proposer; the DAO gets the rest.
    proposer_percentage_of_fees: u64, Percent, Block, "proposer_percentage_of_fees_owner", 0..=100,
        |_| 10, |_| 10, |_| 10;
    /// How far ahead a transaction may expire.
    transaction_max_lifetime_blocks: u64, Blocks, Block, "transaction_max_lifetime_blocks_owner", 1..=1_000_000,
        |t| t.days(1), |_| 96, |_| 100;
    /// The largest transaction.
    transaction_max_bytes: u64, Bytes, Block, "transaction_max_bytes_owner", 1_024..=MAX_TRANSACTION_BYTES,
        |_| 65_536, |_| 65_536, |_| 65_536;
    /// The least fee of this message.
    message_double_sign_fee: Amount, Upokt, Block, "message_double_sign_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_send_fee: Amount, Upokt, Block, "message_send_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_stake_fisherman_fee: Amount, Upokt, Block, "message_stake_fisherman_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_edit_stake_fisherman_fee: Amount, Upokt, Block, "message_edit_stake_fisherman_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unstake_fisherman_fee: Amount, Upokt, Block, "message_unstake_fisherman_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_pause_fisherman_fee: Amount, Upokt, Block, "message_pause_fisherman_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unpause_fisherman_fee: Amount, Upokt, Block, "message_unpause_fisherman_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_stake_app_fee: Amount, Upokt, Block, "message_stake_app_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_edit_stake_app_fee: Amount, Upokt, Block, "message_edit_stake_app_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unstake_app_fee: Amount, Upokt, Block, "message_unstake_app_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_pause_app_fee: Amount, Upokt, Block, "message_pause_app_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unpause_app_fee: Amount, Upokt, Block, "message_unpause_app_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_stake_validator_fee: Amount, Upokt, Block, "message_stake_validator_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_edit_stake_validator_fee: Amount, Upokt, Block, "message_edit_stake_validator_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unstake_validator_fee: Amount, Upokt, Block, "message_unstake_validator_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_pause_validator_fee: Amount, Upokt, Block, "message_pause_validator_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unpause_validator_fee: Amount, Upokt, Block, "message_unpause_validator_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_stake_servicer_fee: Amount, Upokt, Block, "message_stake_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_edit_stake_servicer_fee: Amount, Upokt, Block, "message_edit_stake_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unstake_servicer_fee: Amount, Upokt, Block, "message_unstake_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_pause_servicer_fee: Amount, Upokt, Block, "message_pause_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unpause_servicer_fee: Amount, Upokt, Block, "message_unpause_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_fisherman_pause_servicer_fee: Amount, Upokt, Block, "message_fisherman_pause_servicer_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_test_score_fee: Amount, Upokt, Block, "message_test_score_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_prove_test_score_fee: Amount, Upokt, Block, "message_prove_test_score_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_change_parameter_fee: Amount, Upokt, Block, "message_change_parameter_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_stake_gateway_fee: Amount, Upokt, Block, "message_stake_gateway_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_unstake_gateway_fee: Amount, Upokt, Block, "message_unstake_gateway_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_delegate_fee: Amount, Upokt, Block, "message_delegate_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_undelegate_fee: Amount, Upokt, Block, "message_undelegate_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_claim_fee: Amount, Upokt, Block, "message_claim_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
    /// The least fee of this message.
    message_prove_claim_fee: Amount, Upokt, Block, "message_prove_claim_fee_owner", 0..=MAX_AMOUNT,
        |_| Amount(10_000), |_| Amount(10_000), |_| Amount(10_000);
}
