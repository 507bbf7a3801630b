//! Validators that sign by BLS: the same protocol, certificates of one signature.

use std::collections::BTreeSet;

use crate::common::lab::{certificates, proposals, refusals};
use crate::common::{
    Event, Setup, Sim, bls, chain, check, finish, height, key, node_of, public, simulate,
};
use pocket_consensus::replica::message::NewRound;
use pocket_consensus::sync::DecidedBlock;
use pocket_consensus::tip::TipError;
use pocket_consensus::{
    HotPokt, Identity, Input, Message, Output, RecoverError, Refusal, Replica, Tip,
};
use pocket_sim::Plan;
use pocket_types::bls::BlsSignature;
use pocket_types::codec::{decode, encode};
use pocket_types::finality::TrustedTip;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp};
use pocket_types::scheme::{Scheme, VoteSignature};
use pocket_types::validator::ValidatorSetError;
use pocket_types::vote::{Certificate, Phase, Protocol, VoteData};

#[test]
fn four_validators_decide_by_aggregates_of_constant_size() {
    let mut sim = simulate(Setup::bls(&[10; 4], 0), 4, Plan::calm(1));
    sim.run_until(Timestamp(1_050)).unwrap();
    check(&sim, 4).unwrap();
    assert!((0..4).all(|node| height(&sim, node) == 10));
    for entry in &sim.disk(0).chain {
        let headers = entry.block.header.parent_certificate.iter();
        for certificate in headers.chain([&entry.proof.links[0].certificate]) {
            assert_eq!(certificate.scheme, Scheme::BlsAggregate);
            assert_eq!((certificate.signers.len(), certificate.signatures.len()), (1, 96));
            assert_eq!(decode::<Certificate>(&encode(certificate)).as_ref(), Ok(certificate));
        }
    }
    // Late votes are in the aggregate, too.
    let all = |certificate: &Certificate| certificate.positions().count() == 4;
    let parents = sim.disk(0).chain[1..].iter();
    assert!(parents.map(|entry| entry.block.header.parent_certificate.as_ref().unwrap()).all(all));
}

#[test]
fn a_crashed_leader_and_a_restarted_one_change_nothing() {
    let mut sim = simulate(Setup::bls(&[10; 4], 0), 4, Plan::calm(1));
    sim.run_until(Timestamp(250)).unwrap();
    sim.crash(1, Some(Duration(600)));
    sim.run_until(Timestamp(2_500)).unwrap();
    check(&sim, 4).unwrap();
    assert!((0..4).all(|node| height(&sim, node) >= 10), "{}", height(&sim, 1));
    let rounds: BTreeSet<_> = sim.disk(0).chain.iter().map(round).collect();
    assert!(rounds.len() > 1, "a timeout certificate is an aggregate, too");
}

fn round(entry: &DecidedBlock) -> Round {
    entry.proof.links[0].certificate.data.round
}

#[test]
fn equivocation_is_proven_under_the_offenders_bls_key() {
    let mut setup = Setup::bls(&[10; 4], 0);
    setup.byzantine.insert(1);
    let mut sim = simulate(setup, 4, Plan::calm(1));
    sim.run_until(Timestamp(5_000)).unwrap();
    // Checks every piece of evidence against the set, and that it names nobody honest.
    check(&sim, 4).unwrap();
    let evidence = sim.observations().iter().filter_map(|seen| match &seen.event {
        Event::Evidence(evidence) => Some(*evidence),
        _ => None,
    });
    let evidence: Vec<_> = evidence.collect();
    assert!(!evidence.is_empty());
    for proof in evidence {
        let expected = Ok(proof.offence());
        assert_eq!(proof.offence().offender, public(1));
        assert_eq!(proof.verify_with(chain(), Some(bls(1).public_key())), expected);
        assert!(proof.verify_with(chain(), Some(bls(2).public_key())).is_err());
        assert!(proof.verify(chain()).is_err(), "the identity's key signed nothing");
    }
}

#[test]
fn validators_go_from_ed25519_to_bls_with_an_epoch() {
    let mut setup = Setup::bls(&[10; 4], 1);
    setup.changes.insert(3, vec![10, 10, 25, 10]);
    let mut sim = simulate(setup.clone(), 5, Plan::calm(1));
    // A validator that slept through the change follows by ranges, an observer by announcements.
    sim.run_until(Timestamp(150)).unwrap();
    sim.crash(3, Some(Duration(900)));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 5).unwrap();
    assert!((0..5).all(|node| height(&sim, node) >= 10), "{}", height(&sim, 3));
    let scheme = |entry: &DecidedBlock| {
        let certificate = &entry.proof.links[0].certificate;
        (certificate.scheme, certificate.data.epoch.0)
    };
    let schemes: Vec<_> = sim.disk(0).chain.iter().map(scheme).collect();
    assert_eq!(schemes[3], (Scheme::Ed25519List, 0));
    assert_eq!(schemes[4], (Scheme::BlsAggregate, 1));
    let parent = &sim.disk(0).chain[4].block.header.parent_certificate;
    assert_eq!(parent.as_ref().unwrap().scheme, Scheme::Ed25519List, "it closes the old epoch");
    follow(&setup, &sim);
}

/// A light client goes along with nothing but headers, proofs and sets.
fn follow(setup: &Setup, sim: &Sim) {
    let mut tip = TrustedTip {
        chain: chain(),
        height: Height::GENESIS,
        block: BlockId::default(),
        time: Timestamp::ZERO,
        next_validators: setup.set_at(1).hash(),
    };
    for entry in &sim.disk(0).chain {
        let electorate = setup.electorate(setup.set_at(entry.block.header.height.0));
        let mut forged = entry.proof.clone().links.into_vec();
        let mut bytes = forged[0].certificate.signatures.to_vec();
        bytes[40] ^= 1;
        forged[0].certificate.signatures = pocket_types::codec::Bytes::new(bytes).unwrap();
        let links = pocket_types::codec::List::new(forged).unwrap();
        let forged = pocket_types::finality::FinalityProof { links };
        assert!(tip.advance(&forged, &electorate).is_err());
        assert_eq!(tip.advance(&entry.proof, &electorate).unwrap().id(), entry.block.id());
    }
}

/// The leader of round 0 of height 1 among seven, at hand.
struct Leader {
    setup: Setup,
    replica: Replica,
    me: usize,
}

impl Leader {
    fn new() -> Self {
        let setup = Setup::bls(&[10; 7], 0);
        let recover = |node| {
            let identity = Some(setup.identity(node));
            Replica::<HotPokt>::recover(setup.config, identity, setup.genesis(), []).unwrap()
        };
        let me = node_of(&recover(0).leader(Round(0)));
        let mut leader = Self { replica: recover(me), setup, me };
        leader.feed(Input::Tick);
        leader
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut step = self.replica.handle(Timestamp(1_000), input).unwrap();
        let mut outputs = vec![];
        loop {
            outputs.extend(step.outputs);
            let Some(unstored) = step.records else { return outputs };
            step = self.replica.release(Timestamp(1_000), unstored.stored()).unwrap();
        }
    }

    fn hear(&mut self, node: usize, message: Message) -> Vec<Output> {
        self.feed(Input::Message { from: public(node), message })
    }

    fn data(&self, phase: Phase, block: BlockId) -> VoteData {
        VoteData {
            protocol: Protocol::HotPokt,
            chain: chain(),
            epoch: Epoch(0),
            validators: self.setup.set_at(1).hash(),
            height: Height(1),
            round: Round(0),
            phase,
            block,
            high: None,
        }
    }

    fn others(&self) -> Vec<usize> {
        (0..7).filter(|&node| node != self.me).collect()
    }
}

#[test]
fn bad_signatures_in_a_batch_are_charged_to_their_signers_and_the_rest_counts() {
    let mut leader = Leader::new();
    let others = leader.others();
    let mut request = None;
    for &node in &others {
        let vote = leader.setup.vote(node, leader.data(Phase::NewRound, BlockId::default()));
        let message = NewRound { vote, high_qc: None, entry: None, commit: None };
        for output in leader.hear(node, Message::NewRound(Box::new(message))) {
            if let Output::Build(build) = output {
                request = Some(build);
            }
        }
    }
    let block = Box::new(finish(&request.expect("a quorum entered")));
    let data = leader.data(Phase::Prepare, block.id());
    assert_eq!(proposals(&leader.feed(Input::Built { block, change: None })).len(), 1);
    for &node in &others[..2] {
        let vote = leader.setup.vote(node, data);
        assert!(refusals(&leader.hear(node, Message::Vote(vote))).is_empty());
    }
    // A point that is somebody else's signature, and an Ed25519 signature that is their own.
    let mut copied = leader.setup.vote(others[2], data);
    copied.signature = leader.setup.vote(others[0], data).signature;
    assert!(refusals(&leader.hear(others[2], Message::Vote(copied))).is_empty(), "no quorum yet");
    let mut other_scheme = leader.setup.vote(others[3], data);
    other_scheme.signature = key(others[3]).sign(&data.digest()).into();
    let outputs = leader.hear(others[3], Message::Vote(other_scheme));
    let charged = |node| (node, Refusal::Signature { signer: public(node), phase: Phase::Prepare });
    let bad: BTreeSet<_> = refusals(&outputs).into_iter().map(|(node, _)| node).collect();
    assert_eq!(bad, BTreeSet::from([others[2], others[3]]));
    assert!(refusals(&outputs).iter().all(|found| *found == charged(found.0)));
    assert!(certificates(&outputs).is_empty());
    let vote = leader.setup.vote(others[4], data);
    assert!(certificates(&leader.hear(others[4], Message::Vote(vote))).is_empty());
    let no_point = BlsSignature([0; 96]);
    let mut vote = leader.setup.vote(others[5], data);
    let honest = std::mem::replace(&mut vote.signature, VoteSignature::Bls(no_point));
    assert_eq!(refusals(&leader.hear(others[5], Message::Vote(vote))), [charged(others[5])]);
    vote.signature = honest;
    let made = certificates(&leader.hear(others[5], Message::Vote(vote)));
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].verify(&leader.setup.electorate(leader.setup.set_at(1))), Ok(()));
}

#[test]
fn a_validator_with_another_bls_key_than_its_registered_one_doesn_t_start() {
    let setup = Setup::bls(&[10; 4], 0);
    let start = |identity: Identity| {
        Replica::<HotPokt>::recover(setup.config, Some(identity), setup.genesis(), []).err()
    };
    let expected = bls(0).public_key();
    let with = |node| Identity::with_bls(key(0), crate::common::vrf(0), bls(node));
    assert_eq!(start(with(0)), None);
    let other = RecoverError::BlsKey { got: Some(bls(1).public_key()), expected };
    assert_eq!(start(with(1)), Some(other));
    assert_eq!(
        start(crate::common::identity(0)),
        Some(RecoverError::BlsKey { got: None, expected })
    );
    // An observer needs none.
    assert_eq!(start(crate::common::identity(9)), None);
}

#[test]
fn a_set_without_bls_keys_becomes_no_electorate() {
    let set = crate::common::set(0, &[10; 4]).signing_by(Scheme::BlsAggregate);
    let first = set.members[0].public_key;
    let refused = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set).unwrap_err();
    assert_eq!(refused, TipError::Set(ValidatorSetError::NoBlsKey(first)));
}
