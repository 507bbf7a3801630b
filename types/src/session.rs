//! Sessions: which servicers answer an application on a chain, for a span of blocks.
//!
//! Utility specification, 3.1. A session starts at a block and its actors are drawn from the dense
//! index of its chain and zone, with the beacon's value *at that block* as the seed: the index was
//! frozen when the block began, before anybody could know that value, so nobody can place himself.
//! One certified header then proves everything: it holds the seed, and the state root against which
//! the index is proved.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::block::Header;
use crate::codec::{self, List, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{Address, ChainId, GeoZone, RelayChain, SessionId};
use crate::merkle::{ProofError, ProvenState, ProvenValue};
use crate::number::Height;
use crate::state::{Collection, StateError, StateRead};

/// The most actors of a kind that a session may draw.
pub const MAX_DRAW: usize = 256;

/// Collection that holds the session clock and the dense indexes.
pub const SESSIONS: Collection = Collection::new("sessions");

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SessionHeader {
    /// The network.
    pub network: ChainId,
    /// The session's first block.
    pub start: Height,
    /// The chain whose data is asked for.
    pub chain: RelayChain,
    /// Where it is asked from.
    pub zone: GeoZone,
    /// Who asks.
    pub application: Address,
}

impl SessionHeader {
    /// The session's id, from the beacon's value at its first block.
    pub fn id(&self, randomness: Hash) -> SessionId {
        let hasher = Domain::SESSION_ID
            .hasher()
            .fixed(&self.network.0.0)
            .number(self.start.0)
            .fixed(&randomness.0)
            .fixed(self.chain.as_bytes())
            .fixed(self.zone.as_bytes())
            .fixed(&self.application.0);
        SessionId(hasher.finish())
    }
}

/// For what a session draws an actor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Seat {
    /// Drawn from the servicers of the chain and zone.
    Servicer,
    /// Drawn from the fishermen of the zone.
    Fisherman,
}

/// When the running session started; stored in [`SESSIONS`] at [`CLOCK_KEY`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionClock {
    /// Counts sessions; never repeats, whatever happens to their length.
    pub number: u64,
    /// First block of the running session.
    pub start: Height,
    /// Its length in blocks.
    pub blocks: u64,
}

impl Wire for SessionClock {
    const MAX_BYTES: usize = 24;
}

/// Key of the session clock.
pub const CLOCK_KEY: &[u8] = b"clock";

/// Length of a dense index and how many of it a session draws; stored at [`Index::head_key`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IndexHead {
    /// Actors in the index.
    pub length: u64,
    /// Actors that a session draws, at most [`MAX_DRAW`].
    pub draw: u64,
}

impl Wire for IndexHead {
    const MAX_BYTES: usize = 16;
}

/// One dense index: the actors that can be drawn for a seat, in an order that is part of the state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Index {
    /// The servicers of a chain and zone.
    Servicers {
        /// The chain.
        chain: RelayChain,
        /// The zone.
        zone: GeoZone,
    },
    /// The fishermen of a zone.
    Fishermen {
        /// The zone.
        zone: GeoZone,
    },
}

impl Index {
    /// The index from which a session's seat is drawn.
    pub const fn of(session: &SessionHeader, seat: Seat) -> Self {
        match seat {
            Seat::Servicer => Self::Servicers { chain: session.chain, zone: session.zone },
            Seat::Fisherman => Self::Fishermen { zone: session.zone },
        }
    }

    /// Key of the index's head in [`SESSIONS`].
    pub fn head_key(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Key of the address at a place of the index in [`SESSIONS`].
    pub fn entry_key(&self, place: u64) -> Vec<u8> {
        codec::encode(&(self, place))
    }
}

/// `k` different places out of `n`, in drawn order: a sparse Fisher-Yates shuffle over an unbiased
/// stream keyed by session and seat. All places, still in drawn order, when `k >= n`. Costs O(k).
/// Taking a larger `k` continues the same draw.
pub fn draw(session: SessionId, seat: Seat, n: u64, k: u64) -> Vec<u64> {
    let hasher = Domain::SESSION_DRAW.hasher().fixed(&session.0.0).fixed(&codec::encode(&seat));
    let mut words = hasher.words();
    let mut moved = BTreeMap::new();
    let mut places = Vec::new();
    for i in 0..k.min(n) {
        let j = i + words.below(n - i);
        let here = moved.get(&i).copied().unwrap_or(i);
        places.push(moved.insert(j, here).unwrap_or(j));
    }
    places
}

/// Why a session can't be established.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The header is of another block than the session's first.
    #[error("header of height {got}, the session starts at {expected}")]
    WrongHeader {
        /// Height of the header.
        got: Height,
        /// Start of the session.
        expected: Height,
    },
    /// The header is of another network.
    #[error("header of network {got}, the session is of {expected}")]
    WrongNetwork {
        /// Network of the header.
        got: ChainId,
        /// Network of the session.
        expected: ChainId,
    },
    /// No session starts at this height.
    #[error("no session starts at height {got}: the one running there started at {running}")]
    NotAStart {
        /// Start that the session names.
        got: Height,
        /// Start of the session that runs there.
        running: Height,
    },
    /// A value of the index is missing or malformed: damage, or a state that isn't the ledger's.
    #[error("the session index is damaged: {0}")]
    Damaged(&'static str),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A proof does not hold. Whoever made it is at fault.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// The actors that a session drew for a seat, read from the state after the session's first block
/// (or any later block of the session: the index is frozen for its length).
///
/// # Errors
///
/// [`SessionError`] when no session starts there or the state can't be read.
pub fn actors(
    session: &SessionHeader,
    seat: Seat,
    randomness: Hash,
    state: &impl StateRead,
) -> Result<Vec<Address>, SessionError> {
    let clock: SessionClock = read(state, CLOCK_KEY)?.ok_or(SessionError::Damaged("no clock"))?;
    if clock.start != session.start {
        return Err(SessionError::NotAStart { got: session.start, running: clock.start });
    }
    let index = Index::of(session, seat);
    let head: IndexHead = read(state, &index.head_key())?.unwrap_or_default();
    if head.draw > MAX_DRAW as u64 {
        return Err(SessionError::Damaged("draws more than allowed"));
    }
    let places = draw(session.id(randomness), seat, head.length, head.draw);
    let address = |place| {
        let entry: Option<Address> = read(state, &index.entry_key(place))?;
        entry.ok_or(SessionError::Damaged("an entry is missing"))
    };
    places.into_iter().map(address).collect()
}

/// Everything that proves a session's actors to somebody who trusts only the header of the session's
/// first block: the clock, the index's head, and one entry for each actor drawn.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionProof {
    /// The session.
    pub session: SessionHeader,
    /// For what the actors were drawn.
    pub seat: Seat,
    /// The values, each with its proof against the header's state root.
    pub values: List<ProvenValue, { MAX_DRAW + 2 }>,
}

impl Wire for SessionProof {
    const MAX_BYTES: usize = 1 << 20;
}

impl SessionProof {
    /// Keys of [`SESSIONS`] that prove a session: what a full node looks up to make a proof.
    ///
    /// # Errors
    ///
    /// As [`actors`].
    pub fn keys(
        session: &SessionHeader,
        seat: Seat,
        randomness: Hash,
        state: &impl StateRead,
    ) -> Result<Vec<Vec<u8>>, SessionError> {
        let index = Index::of(session, seat);
        let head: IndexHead = read(state, &index.head_key())?.unwrap_or_default();
        let draw = draw(session.id(randomness), seat, head.length, head.draw.min(MAX_DRAW as u64));
        let entries = draw.into_iter().map(|place| index.entry_key(place));
        Ok([CLOCK_KEY.to_vec(), index.head_key()].into_iter().chain(entries).collect())
    }

    /// The session's actors, checked against the certified header of its first block.
    ///
    /// # Errors
    ///
    /// [`SessionError`] when the header is another one, a proof fails or a value is missing.
    pub fn verify(&self, header: &Header) -> Result<Vec<Address>, SessionError> {
        let session = &self.session;
        if header.chain != session.network {
            return Err(SessionError::WrongNetwork {
                got: header.chain,
                expected: session.network,
            });
        }
        if header.height != session.start {
            return Err(SessionError::WrongHeader { got: header.height, expected: session.start });
        }
        let state = ProvenState::new(&header.state_root, self.values.to_vec())?;
        actors(session, self.seat, header.randomness, &state)
    }
}

fn read<T: serde::de::DeserializeOwned>(
    state: &impl StateRead,
    key: &[u8],
) -> Result<Option<T>, SessionError> {
    let Some(bytes) = state.get(SESSIONS, key)? else {
        return Ok(None);
    };
    let value = codec::decode_within(&bytes, 64);
    value.map(Some).map_err(|_| SessionError::Damaged("a value is malformed"))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_draw_has_no_repeats_and_a_longer_one_continues_it(seed: [u8; 32], n in 0u64..200, k in 0u64..200) {
            let session = SessionId(Hash(seed));
            let places = draw(session, Seat::Servicer, n, k);
            prop_assert_eq!(places.len() as u64, k.min(n));
            prop_assert!(places.iter().all(|&place| place < n));
            prop_assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len());
            let longer = draw(session, Seat::Servicer, n, k + 5);
            prop_assert_eq!(&longer[..places.len()], &places[..]);
        }
    }

    #[test]
    fn a_draw_is_pinned() {
        let session = SessionId(Hash([7; 32]));
        let places = draw(session, Seat::Servicer, 1_000_000, 5);
        assert_eq!(places, [286_530, 276_567, 283_692, 557_393, 424_347]);
    }

    #[test]
    fn every_place_is_drawn_about_as_often() {
        let mut counts = [0u32; 10];
        for seed in 0..1000u64 {
            let session = SessionId(Domain::SESSION_ID.hasher().number(seed).finish());
            for place in draw(session, Seat::Fisherman, 10, 3) {
                counts[usize::try_from(place).unwrap()] += 1;
            }
        }
        assert!(counts.iter().all(|count| (240..360).contains(count)), "{counts:?}");
    }
}
