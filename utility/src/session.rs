//! A session with everything that its relays and claims are checked against, as it stood when the
//! session started.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::hash::Hash;
use pocket_types::id::{Address, GeoZone, RelayChain, SessionId};
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Height, Ppm};
use pocket_types::relay;
use pocket_types::session::{CLOCK_KEY, SESSIONS, Seat, SessionClock, SessionHeader, actors};
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;
use thiserror::Error;

use crate::ledger::LedgerError;
use crate::params::Params;
use crate::state::actor::Actor;
use crate::state::delegation::Delegations;
use crate::state::history::AsOf;
use crate::state::session::{SessionRecord, Windows};
use crate::state::store::read;
use crate::state::tip::Tip;
use crate::state::{ACTORS, CHAIN, DELEGATIONS, ONLY, PARAMS, SESSION_RECORDS};

/// A session, hydrated. The same whenever it is asked for, until it is settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// What it is for.
    pub header: SessionHeader,
    /// Its id.
    pub id: SessionId,
    /// Its number.
    pub number: u64,
    /// The beacon's value at its first block.
    pub randomness: Hash,
    /// When what is due.
    pub windows: Windows,
    /// Who serves, in drawn order.
    pub servicers: Vec<Address>,
    /// Who measures, in drawn order.
    pub fishermen: Vec<Address>,
    /// Who may sign for the application: itself and its gateways, sorted.
    pub ring: Vec<PublicKey>,
    /// Relays that the application's stake allows.
    pub budget: Budget,
}

/// How many relays a session allows, from stake and parameters at its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// All servicers together: `B = stake * multiplier / chains`, rounded down.
    pub total: u128,
    /// One servicer's equal share: `f = B / servicers`, rounded down.
    pub share: u128,
    /// What one servicer lets through by its own count: the share and its tolerance,
    /// `b = B * (10^6 + accuracy) / (10^6 * servicers)`, rounded down. No claim settles more.
    pub bucket: u128,
}

/// Why there is no such session. Whoever named it is at fault, unless the ledger itself failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum NoSession {
    /// The header is of another network.
    #[error("the session is of another network")]
    WrongNetwork,
    /// No session started there, or it was settled and forgotten.
    #[error("no unsettled session started at height {0}")]
    UnknownStart(Height),
    /// No such application was staked for the chain and zone when the session started.
    #[error("{application} was not staked for {chain} in {zone} then")]
    NotStaked {
        /// The application.
        application: Address,
        /// The chain.
        chain: RelayChain,
        /// The zone.
        zone: GeoZone,
    },
    /// The state failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Budget {
    /// The budget of an application with this stake, for as many chains and servicers.
    pub fn new(stake: Amount, chains: usize, servicers: usize, params: &Params) -> Self {
        let (chains, servicers) = (chains.max(1) as u128, servicers.max(1) as u128);
        let multiplier = u128::from(params.app_session_tokens_multiplier);
        let total = stake.mul_div_down(multiplier, chains).map_or(u128::MAX, |tokens| tokens.0);
        let one = u128::from(Ppm::ONE.0);
        let tolerance = one + u128::from(params.relay_accuracy.0);
        let bucket = Amount(total).mul_div_down(tolerance, one * servicers);
        Self { total, share: total / servicers, bucket: bucket.map_or(u128::MAX, |b| b.0) }
    }
}

impl Session {
    /// Establishes a session from any state after its first block, until it is settled.
    ///
    /// # Errors
    ///
    /// [`NoSession`] naming why there is none.
    pub fn load(state: &impl StateRead, header: &SessionHeader) -> Result<Self, NoSession> {
        let tip: Tip = read(state, CHAIN, ONLY)?.ok_or(LedgerError::NoGenesis)?;
        if header.network != tip.chain {
            return Err(NoSession::WrongNetwork);
        }
        let record: SessionRecord = read(state, SESSION_RECORDS, &codec::encode(&header.start))?
            .ok_or(NoSession::UnknownStart(header.start))?;
        let params: Params = read(state, PARAMS, ONLY)?.ok_or(LedgerError::NoGenesis)?;
        let then = AsOf { state, start: header.start };
        let application = staked_application(&then, header)?;
        let draw =
            |seat| actors(header, seat, record.randomness, &then).map_err(LedgerError::Session);
        let (servicers, fishermen) = (draw(Seat::Servicer)?, draw(Seat::Fisherman)?);
        let (chains, seats) = (application.chains().len(), servicers.len());
        Ok(Self {
            header: *header,
            id: header.id(record.randomness),
            number: record.clock.number,
            randomness: record.randomness,
            windows: record.windows,
            budget: Budget::new(application.stake, chains, seats, &params),
            servicers,
            fishermen,
            ring: ring(&then, &application)?,
        })
    }

    /// The header of the session that runs at a state's height for an application.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read.
    pub fn current_header(
        state: &impl StateRead,
        application: Address,
        chain: RelayChain,
        zone: GeoZone,
    ) -> Result<SessionHeader, LedgerError> {
        let tip: Tip = read(state, CHAIN, ONLY)?.ok_or(LedgerError::NoGenesis)?;
        let clock = clock(state)?;
        Ok(SessionHeader { network: tip.chain, start: clock.start, chain, zone, application })
    }

    /// Whether a servicer was drawn.
    pub fn has_servicer(&self, servicer: &Address) -> bool {
        self.servicers.contains(servicer)
    }
}

/// The session that runs at a state's height.
///
/// # Errors
///
/// [`LedgerError`] when the state can't be read.
pub fn clock(state: &impl StateRead) -> Result<SessionClock, LedgerError> {
    read(state, SESSIONS, CLOCK_KEY)?.ok_or(LedgerError::NoGenesis)
}

fn staked_application(then: &impl StateRead, header: &SessionHeader) -> Result<Actor, NoSession> {
    let key = codec::encode(&(ActorKind::Application, header.application));
    let application: Option<Actor> = read(then, ACTORS, &key)?;
    application
        .filter(|actor| {
            actor.is_staked()
                && actor.chains().contains(&header.chain)
                && actor.zone() == Some(header.zone)
        })
        .ok_or(NoSession::NotStaked {
            application: header.application,
            chain: header.chain,
            zone: header.zone,
        })
}

/// The application and those of its gateways that were at work.
fn ring(then: &impl StateRead, application: &Actor) -> Result<Vec<PublicKey>, LedgerError> {
    let key = codec::encode(&application.address());
    let delegations: Delegations = read(then, DELEGATIONS, &key)?.unwrap_or_default();
    let mut gateways = Vec::new();
    for delegation in delegations.iter() {
        let key = codec::encode(&(ActorKind::Gateway, Address::of(&delegation.gateway)));
        let gateway: Option<Actor> = read(then, ACTORS, &key)?;
        if gateway.is_some_and(|gateway| gateway.is_staked() && gateway.since == delegation.since) {
            gateways.push(delegation.gateway);
        }
    }
    Ok(relay::ring(application.public_key, &gateways))
}
