//! Somebody who trusts one header learns a session's actors from proofs, and can't be told others.

mod common;

use std::collections::BTreeSet;

use common::tree::Tree;
use common::*;
use pocket_types::block::Header;
use pocket_types::codec::{self, Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::id::{Address, ChainId};
use pocket_types::merkle::{ProofError, ProvenValue};
use pocket_types::number::Height;
use pocket_types::session::{
    CLOCK_KEY, Index, IndexHead, SESSIONS, Seat, SessionClock, SessionError, SessionHeader,
    SessionProof, actors, draw,
};
use pocket_types::state::{Collection, MemoryState, StateRead, StateWrite};

/// A ledger's sessions: 30 servicers of which 5 are drawn, 3 fishermen of which 1 is.
struct Ledger {
    state: MemoryState,
    header: Header,
}

impl Ledger {
    fn new() -> Self {
        let mut state = MemoryState::default();
        put(
            &mut state,
            CLOCK_KEY.to_vec(),
            &SessionClock { number: 4, start: Height(7), blocks: 5 },
        );
        fill(&mut state, Seat::Servicer, 30, 5);
        fill(&mut state, Seat::Fisherman, 3, 1);
        Self::of(state)
    }

    fn of(state: MemoryState) -> Self {
        let header = Header { state_root: names(&state).root(), ..header(&electorate(&[1]).0) };
        Self { state, header }
    }

    /// What a full node answers.
    fn prove(&self, session: SessionHeader, seat: Seat) -> SessionProof {
        let keys = SessionProof::keys(&session, seat, self.header.randomness, &self.state).unwrap();
        let values = keys.iter().map(|key| self.value(key)).collect();
        SessionProof { session, seat, values: List::new(values).unwrap() }
    }

    fn value(&self, key: &[u8]) -> ProvenValue {
        let collection = collection(&self.state);
        let value = self.state.get(SESSIONS, key).unwrap();
        ProvenValue {
            collection: SESSIONS,
            key: Bytes::new(key).unwrap(),
            value: value.map(|value| Bytes::new(value).unwrap()),
            collection_root: collection.root(),
            in_collection: Some(collection.prove(key)),
            in_state: names(&self.state).prove(b"sessions"),
        }
    }
}

fn put(state: &mut MemoryState, key: Vec<u8>, value: &impl serde::Serialize) {
    state.put(SESSIONS, key, codec::encode(value));
}

fn fill(state: &mut MemoryState, seat: Seat, length: u8, draw: u64) {
    let index = Index::of(&session(), seat);
    put(state, index.head_key(), &IndexHead { length: length.into(), draw });
    for place in 0..length {
        put(state, index.entry_key(place.into()), &actor(seat, place));
    }
}

fn actor(seat: Seat, place: u8) -> Address {
    Address([place + if seat == Seat::Servicer { 1 } else { 101 }; 20])
}

fn collection(state: &MemoryState) -> Tree {
    Tree::of(state.iter().map(|(_, key, value)| (key, value)))
}

fn names(state: &MemoryState) -> Tree {
    let root = collection(state).root();
    Tree::of([(&b"sessions"[..], &root.0[..]), (b"accounts", &[1; 32])])
}

#[test]
fn a_proof_gives_the_actors_that_the_ledger_draws() {
    let ledger = Ledger::new();
    for (seat, count) in [(Seat::Servicer, 5), (Seat::Fisherman, 1)] {
        let proof = ledger.prove(session(), seat);
        let proved = proof.verify(&ledger.header).unwrap();
        let drawn = actors(&session(), seat, ledger.header.randomness, &ledger.state).unwrap();
        assert_eq!(proved, drawn);
        assert_eq!(drawn.len(), count);
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), count);
        let places = draw(
            session().id(ledger.header.randomness),
            seat,
            if count == 5 { 30 } else { 3 },
            count as u64,
        );
        let expected: Vec<_> = places.iter().map(|&place| actor(seat, place as u8)).collect();
        assert_eq!(drawn, expected);
        assert!(codec::decode::<SessionProof>(&codec::encode(&proof)).is_ok());
    }
}

#[test]
fn another_beacon_value_draws_others() {
    let ledger = Ledger::new();
    let drawn = |randomness| actors(&session(), Seat::Servicer, randomness, &ledger.state).unwrap();
    let different: BTreeSet<_> = (0..20).map(|n| drawn(Hash([n; 32]))).collect();
    assert_eq!(different.len(), 20);
    // A header with another beacon value asks for other places, which were not proved.
    let proof = ledger.prove(session(), Seat::Servicer);
    let header = Header { randomness: Hash([1; 32]), ..ledger.header };
    assert!(matches!(proof.verify(&header), Err(SessionError::State(_))));
}

#[test]
fn every_part_of_a_session_changes_its_id() {
    let base = session();
    let other = [
        SessionHeader { network: ChainId(Hash([1; 32])), ..base },
        SessionHeader { start: Height(12), ..base },
        SessionHeader { chain: "0002".parse().unwrap(), ..base },
        SessionHeader { zone: "US01".parse().unwrap(), ..base },
        SessionHeader { application: address(9), ..base },
    ];
    let beacon = Hash([5; 32]);
    let ids: BTreeSet<_> = other.iter().chain([&base]).map(|session| session.id(beacon)).collect();
    assert_eq!(ids.len(), 6);
    assert_ne!(base.id(beacon), base.id(Hash([6; 32])));
}

#[test]
fn a_session_is_proved_by_the_header_of_its_first_block_only() {
    let ledger = Ledger::new();
    let proof = ledger.prove(session(), Seat::Servicer);
    let later = Header { height: Height(8), ..ledger.header.clone() };
    let refused = SessionError::WrongHeader { got: Height(8), expected: Height(7) };
    assert_eq!(proof.verify(&later), Err(refused));
    let foreign = Header { chain: ChainId(Hash([1; 32])), ..ledger.header.clone() };
    let refused = SessionError::WrongNetwork { got: foreign.chain, expected: CHAIN };
    assert_eq!(proof.verify(&foreign), Err(refused));
    let other_state = Header { state_root: Hash([1; 32]), ..ledger.header };
    assert!(matches!(
        proof.verify(&other_state),
        Err(SessionError::Proof(ProofError::Root { .. }))
    ));
}

#[test]
fn no_session_starts_between_two_starts() {
    let ledger = Ledger::new();
    let between = SessionHeader { start: Height(9), ..session() };
    let refused = SessionError::NotAStart { got: Height(9), running: Height(7) };
    let drawn = actors(&between, Seat::Servicer, Hash::ZERO, &ledger.state);
    assert_eq!(drawn, Err(refused.clone()));
    let header = Header { height: Height(9), ..ledger.header.clone() };
    assert_eq!(ledger.prove(between, Seat::Servicer).verify(&header), Err(refused));
}

#[test]
fn a_chain_without_servicers_draws_nobody_and_proves_it() {
    let ledger = Ledger::new();
    let nobody = SessionHeader { chain: "0002".parse().unwrap(), ..session() };
    let proof = ledger.prove(nobody, Seat::Servicer);
    assert_eq!(proof.values.len(), 2, "the clock, and the absence of the index");
    assert_eq!(proof.verify(&ledger.header), Ok(vec![]));
}

#[test]
fn a_proof_that_withholds_or_changes_a_value_is_refused() {
    let ledger = Ledger::new();
    let proof = ledger.prove(session(), Seat::Servicer);
    for missing in 0..proof.values.len() {
        let mut values = proof.values.to_vec();
        values.remove(missing);
        let withheld = SessionProof { values: List::new(values).unwrap(), ..proof.clone() };
        assert!(
            matches!(withheld.verify(&ledger.header), Err(SessionError::State(_))),
            "without value {missing}"
        );
        let mut values = proof.values.to_vec();
        values[missing].value = None;
        let denied = SessionProof { values: List::new(values).unwrap(), ..proof.clone() };
        assert_eq!(
            denied.verify(&ledger.header),
            Err(SessionError::Proof(ProofError::Present)),
            "denying value {missing}"
        );
        let mut values = proof.values.to_vec();
        values[missing].value =
            Some(Bytes::new(codec::encode(&actor(Seat::Servicer, 29))).unwrap());
        let replaced = SessionProof { values: List::new(values).unwrap(), ..proof.clone() };
        let verdict = replaced.verify(&ledger.header);
        let same = proof.values[missing] == replaced.values[missing];
        assert_eq!(verdict.is_ok(), same, "replacing value {missing}");
    }
}

#[test]
fn values_of_another_collection_are_not_taken_for_the_index() {
    let ledger = Ledger::new();
    let mut proof = ledger.prove(session(), Seat::Servicer);
    let mut values = proof.values.to_vec();
    values[0].collection = Collection::new("accounts");
    proof.values = List::new(values).unwrap();
    assert!(matches!(proof.verify(&ledger.header), Err(SessionError::Proof(_))));
}

#[test]
fn a_damaged_index_is_named() {
    let drawn = |damage: &dyn Fn(&mut MemoryState)| {
        let mut state = Ledger::new().state;
        damage(&mut state);
        actors(&session(), Seat::Servicer, Hash::ZERO, &state)
    };
    let index = Index::of(&session(), Seat::Servicer);
    let damaged = |what| Err(SessionError::Damaged(what));
    assert_eq!(drawn(&|state| state.delete(SESSIONS, CLOCK_KEY.to_vec())), damaged("no clock"));
    let short = |state: &mut MemoryState| state.put(SESSIONS, CLOCK_KEY.to_vec(), vec![1]);
    assert_eq!(drawn(&short), damaged("a value is malformed"));
    let greedy = |state: &mut MemoryState| {
        put(state, index.head_key(), &IndexHead { length: 1_000, draw: 257 });
    };
    assert_eq!(drawn(&greedy), damaged("draws more than allowed"));
    let hollow = |state: &mut MemoryState| {
        (0..30).for_each(|place| state.delete(SESSIONS, index.entry_key(place)));
    };
    assert_eq!(drawn(&hollow), damaged("an entry is missing"));
}
