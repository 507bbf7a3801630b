//! A signature in one place of the protocol says nothing in any other.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::VerifyingKey;
use pocket_types::number::{Epoch, Height, Round};
use pocket_types::scheme::VoteSignature;
use pocket_types::signature;
use pocket_types::vote::{Phase, Protocol, Vote, VoteData};

const PHASES: [Phase; 5] =
    [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit, Phase::Commit];

/// Every combination of several values in every field; values repeat across fields on purpose.
fn all_places() -> Vec<VoteData> {
    let hashes = [Hash([0; 32]), Hash([1; 32])];
    let mut one = [0; 32];
    one[0] = 1;
    let hashes = [hashes[0], hashes[1], Hash(one)];
    let numbers = [0, 1, 1 << 32];
    let mut places = Vec::new();
    for chain in hashes {
        for epoch in numbers {
            for validators in hashes {
                for height in numbers {
                    for round in numbers {
                        for phase in PHASES {
                            places.extend(hashes.map(|block| VoteData {
                                protocol: Protocol::HotPokt,
                                chain: ChainId(chain),
                                epoch: Epoch(epoch),
                                validators,
                                height: Height(height),
                                round: Round(round),
                                phase,
                                block: BlockId(block),
                                high: None,
                            }));
                        }
                    }
                }
            }
        }
    }
    places
}

#[test]
fn any_two_places_have_different_digests() {
    let places = all_places();
    assert_eq!(places.len(), 5 * 3usize.pow(6));
    let mut digests = BTreeMap::new();
    for place in places {
        if let Some(same) = digests.insert(place.digest(), place) {
            panic!("{place:?} and {same:?} have the same digest");
        }
    }
}

#[test]
fn a_slot_is_a_place_whatever_the_block() {
    let mut slots = BTreeMap::<VoteData, u32>::new();
    for place in all_places() {
        *slots.entry(place.slot()).or_default() += 1;
    }
    assert_eq!(slots.len(), 5 * 3usize.pow(5));
    assert!(slots.values().all(|&blocks| blocks == 3));
}

#[test]
fn protocols_and_signed_rounds_are_told_apart() {
    let place = |protocol, high| VoteData { protocol, high, ..all_places()[0] };
    let protocols = [
        Protocol::HotPokt,
        Protocol::ChainedHotStuff,
        Protocol::HotStuff2,
        Protocol::Jolteon,
        Protocol::FastHotStuff,
        Protocol::Tendermint,
        Protocol::Simplex,
    ];
    let highs = [None, Some(Round(0)), Some(Round(1))];
    let places = protocols.map(|protocol| highs.map(|high| place(protocol, high)));
    let digests: BTreeSet<_> = places.as_flattened().iter().map(VoteData::digest).collect();
    assert_eq!(digests.len(), protocols.len() * highs.len());
}

#[test]
fn blocks_of_different_heights_compete_for_a_round_that_all_heights_share() {
    let place = |protocol, height| VoteData { protocol, height, ..all_places()[0] };
    let same = |protocol| place(protocol, Height(1)).slot() == place(protocol, Height(2)).slot();
    assert!(same(Protocol::Jolteon) && same(Protocol::Simplex));
    assert!(!same(Protocol::HotPokt) && !same(Protocol::Tendermint));
}

#[test]
fn a_vote_signs_its_digest_in_the_domain_of_votes() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BlockId(Hash([1; 32])));
    let vote = Vote::sign(data, &secrets[0]);
    let VoteSignature::Ed25519(signature) = vote.signature else { panic!("another scheme") };
    let key = VerifyingKey::new(vote.signer).unwrap();
    assert_eq!(signature::verify(&key, &data.digest(), &signature), Ok(()));
    let encoded = pocket_types::codec::encode(&data);
    assert_eq!(data.digest(), Domain::VOTE_SIGNATURE.hash(&encoded));
    assert!(signature::verify(&key, &Domain::BLOCK_ID.hash(&encoded), &signature).is_err());
}

/// One list of all domains, so that a new one that repeats an old one is noticed.
#[test]
fn no_two_domains_share_a_context() {
    let source = include_str!("../src/hash.rs");
    let contexts: Vec<_> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once("Self = Self(\""))
        .filter_map(|(_, rest)| rest.strip_suffix("\");"))
        .collect();
    assert!(contexts.len() > 25, "{contexts:?}");
    for (index, context) in contexts.iter().enumerate() {
        assert!(context.starts_with("pocket v1 "), "{context}");
        assert!(!contexts[..index].contains(context), "{context} twice");
    }
}
