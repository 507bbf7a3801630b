//! Reads of the ledger's objects from any state: the latest one, a past one, or the proven view of a
//! light client.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::id::{Address, GeoZone, RelayChain};
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Height};
use pocket_types::session::SessionHeader;
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;
use pocket_types::validator::ValidatorSet;

use crate::ledger::LedgerError;
use crate::params::Params;
use crate::state::actor::Actor;
use crate::state::claim::{Claim, Volume};
use crate::state::delegation::Delegations;
use crate::state::session::SessionRecord;
use crate::state::store::read;
use crate::state::tip::Tip;
use crate::state::treasury::{Supply, Treasury};
use crate::state::{
    ACCOUNTS, ACTORS, CHAIN, CLAIMS, DELEGATIONS, ONLY, PARAMS, SESSION_RECORDS, TREASURY,
    VALIDATORS, VOLUME, registry,
};

/// The most actors that [`actors`] lists at once.
pub const MAX_PAGE: u64 = 1_000;

/// The block that the state is the result of.
///
/// # Errors
///
/// [`LedgerError`] when the state can't be read or holds no ledger; so for all of this module.
pub fn tip(state: &impl StateRead) -> Result<Tip, LedgerError> {
    read(state, CHAIN, ONLY)?.ok_or(LedgerError::NoGenesis)
}

/// An account's balance.
///
/// # Errors
///
/// As [`tip`].
pub fn balance(state: &impl StateRead, account: &Address) -> Result<Amount, LedgerError> {
    Ok(read(state, ACCOUNTS, &codec::encode(account))?.unwrap_or_default())
}

/// Pools and running totals.
///
/// # Errors
///
/// As [`tip`].
pub fn treasury(state: &impl StateRead) -> Result<Treasury, LedgerError> {
    read(state, TREASURY, ONLY)?.ok_or(LedgerError::NoGenesis)
}

/// How much exists.
///
/// # Errors
///
/// As [`tip`].
pub fn supply(state: &impl StateRead) -> Result<Supply, LedgerError> {
    Ok(treasury(state)?.supply)
}

/// The parameters in force.
///
/// # Errors
///
/// As [`tip`].
pub fn params(state: &impl StateRead) -> Result<Params, LedgerError> {
    read(state, PARAMS, ONLY)?.ok_or(LedgerError::NoGenesis)
}

/// An actor, until its stake is paid out.
///
/// # Errors
///
/// As [`tip`].
pub fn actor(
    state: &impl StateRead,
    kind: ActorKind,
    address: &Address,
) -> Result<Option<Actor>, LedgerError> {
    read(state, ACTORS, &codec::encode(&(kind, address)))
}

/// How many actors of a kind there are, leaving ones included.
///
/// # Errors
///
/// As [`tip`].
pub fn actor_count(state: &impl StateRead, kind: ActorKind) -> Result<u64, LedgerError> {
    registry::count(state, kind)
}

/// A page of the actors of a kind: at most `limit` and [`MAX_PAGE`], from a place on. The order is
/// the state's and changes when actors leave.
///
/// # Errors
///
/// As [`tip`].
pub fn actors(
    state: &impl StateRead,
    kind: ActorKind,
    from: u64,
    limit: u64,
) -> Result<Vec<Actor>, LedgerError> {
    let to = from.saturating_add(limit.min(MAX_PAGE)).min(registry::count(state, kind)?);
    let mut actors = Vec::new();
    for place in from..to {
        if let Some(address) = registry::entry(state, kind, place)? {
            actors.extend(actor(state, kind, &address)?);
        }
    }
    Ok(actors)
}

/// The gateways of an application, as they will stand in the next session.
///
/// # Errors
///
/// As [`tip`].
pub fn delegations(
    state: &impl StateRead,
    application: &Address,
) -> Result<Vec<PublicKey>, LedgerError> {
    let stored: Option<Delegations> = read(state, DELEGATIONS, &codec::encode(application))?;
    Ok(stored.unwrap_or_default().iter().map(|delegation| delegation.gateway).collect())
}

/// What the ledger remembers of an unsettled session.
///
/// # Errors
///
/// As [`tip`].
pub fn session_record(
    state: &impl StateRead,
    start: Height,
) -> Result<Option<SessionRecord>, LedgerError> {
    read(state, SESSION_RECORDS, &codec::encode(&start))
}

/// A claim, until its session is settled.
///
/// # Errors
///
/// As [`tip`].
pub fn claim(
    state: &impl StateRead,
    session: &SessionHeader,
    servicer: &Address,
) -> Result<Option<Claim>, LedgerError> {
    read(state, CLAIMS, &codec::encode(&(session, servicer)))
}

/// Relays settled on a chain in a zone since genesis.
///
/// # Errors
///
/// As [`tip`].
pub fn volume(
    state: &impl StateRead,
    chain: RelayChain,
    zone: GeoZone,
) -> Result<Volume, LedgerError> {
    Ok(read(state, VOLUME, &codec::encode(&(chain, zone)))?.unwrap_or_default())
}

/// The latest validator set; the one after a change decides from two blocks later on.
///
/// # Errors
///
/// As [`tip`].
pub fn validators(state: &impl StateRead) -> Result<ValidatorSet, LedgerError> {
    read(state, VALIDATORS, ONLY)?.ok_or(LedgerError::NoGenesis)
}
