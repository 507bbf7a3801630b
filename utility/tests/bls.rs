//! A network whose validators sign by BLS: keys are proven, nobody's twice, and evidence is judged by
//! them.

mod common;

use common::*;
use pocket_types::bls::{BlsKeyError, BlsSecretKey, ProofOfPossession, ProvenKey};
use pocket_types::evidence::{Evidence, EvidenceError};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::scheme::Scheme;
use pocket_types::transaction::{ActorKind, Message, Role};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Phase, Protocol, Vote, VoteData};
use pocket_utility::genesis::{Genesis, GenesisError};
use pocket_utility::ledger::{BlockError, EvidenceRefusal, Refusal, execute_block};
use pocket_utility::query;

fn bls(name: &str) -> BlsSecretKey {
    let seed = Domain::custom("pocket-utility tests: bls").hash(name.as_bytes()).0;
    BlsSecretKey::from_seed(seed).unwrap()
}

fn with_key(name: &str, key: Option<ProvenKey>) -> Role {
    let Role::Validator { vrf_key, service_url, .. } = validator(name) else { unreachable!() };
    Role::Validator { vrf_key, bls_key: key, service_url }
}

fn signing_by_bls() -> Genesis {
    let mut genesis = Genesis { scheme: Scheme::BlsAggregate, ..genesis() };
    for (actor, name) in genesis.actors.iter_mut().zip(["val1", "val2", "val3", "val4"]) {
        actor.role = with_key(name, Some(bls(name).proven_key()));
    }
    genesis
}

fn stake(name: &str, key: Option<ProvenKey>) -> Message {
    Message::Stake {
        operator: public(name),
        output: address(name),
        amount: STAKE,
        role: with_key(name, key),
    }
}

#[test]
fn sets_carry_the_scheme_and_the_keys() {
    let genesis = signing_by_bls();
    let built = genesis.build().unwrap();
    assert_eq!(built.validators.scheme, Scheme::BlsAggregate);
    assert!(Electorate::new(built.validators.clone()).is_ok());
    let json = serde_json::to_string(&genesis).unwrap();
    assert_eq!(serde_json::from_str::<Genesis>(&json).unwrap(), genesis);

    let mut net = Network::new(&genesis);
    net.advance_to(2);
    net.run("alice", stake("alice", Some(bls("alice").proven_key())));
    let set = query::validators(&net.state).unwrap();
    assert_eq!((set.scheme, set.members.len()), (Scheme::BlsAggregate, 5));
    let electorate = Electorate::new(set).unwrap();
    let seat = electorate.position(&public("alice")).unwrap();
    assert_eq!(electorate.member(seat).unwrap().bls_key, Some(bls("alice").public_key()));
}

#[test]
fn a_key_enters_with_its_proof_and_only_once() {
    let mut net = Network::new(&signing_by_bls());
    net.advance_to(2);
    assert_eq!(net.refusal("alice", stake("alice", None)), Refusal::NoBlsKey);
    let honest = bls("alice").proven_key();
    let (key, other) = (honest.key, bls("bob").prove_possession());
    for proof in [other, ProofOfPossession([0; 96])] {
        let refused = net.refusal("alice", stake("alice", Some(ProvenKey { key, proof })));
        assert_eq!(refused, Refusal::BlsKey(BlsKeyError::Possession(key)));
        assert_eq!(refused.code(), 8);
    }
    // A copy of somebody's key comes with a proof that holds.
    let copied = bls("val1").proven_key();
    let taken = Refusal::BlsKeyTaken(copied.key);
    assert_eq!(net.refusal("alice", stake("alice", Some(copied))), taken);
    // One block, two validators, one key: the second is refused.
    let first = net.sign("alice", stake("alice", Some(honest)));
    let second = net.sign("bob", stake("bob", Some(honest)));
    let refused = execute_block(&net.state, &net.context(), &[first.clone(), second]);
    let Err(BlockError::Transaction { index: 1, refusal, .. }) = refused else { panic!() };
    assert_eq!(refusal, Refusal::BlsKeyTaken(key));
    net.block(&[first]);
}

#[test]
fn a_key_is_free_again_when_the_stake_is_paid_out() {
    let mut net = Network::new(&signing_by_bls());
    net.advance_to(2);
    net.run("val4", Message::Unstake { kind: ActorKind::Validator, actor: address("val4") });
    let key = bls("val4").proven_key();
    assert_eq!(net.refusal("alice", stake("alice", Some(key))), Refusal::BlsKeyTaken(key.key));
    net.advance_to(12);
    assert_eq!(query::actor_count(&net.state, ActorKind::Validator).unwrap(), 3);
    net.run("alice", stake("alice", Some(key)));
}

#[test]
fn networks_that_sign_otherwise_take_no_bls_key() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let message = stake("alice", Some(bls("alice").proven_key()));
    assert_eq!(net.refusal("alice", message), Refusal::UnusedBlsKey);
}

#[test]
fn genesis_names_the_actor_whose_key_is_refused() {
    type Change<'c> = &'c dyn Fn(&mut Genesis);
    let stranger = bls("alice").prove_possession();
    let key = bls("val2").public_key();
    let cases: [(Change<'_>, Refusal); 4] = [
        (&|g| g.actors[1].role = with_key("val2", None), Refusal::NoBlsKey),
        (
            &|g| g.actors[1].role = with_key("val2", Some(bls("val1").proven_key())),
            Refusal::BlsKeyTaken(bls("val1").public_key()),
        ),
        (
            &|g| {
                let proven = ProvenKey { key, proof: stranger };
                g.actors[1].role = with_key("val2", Some(proven));
            },
            Refusal::BlsKey(BlsKeyError::Possession(key)),
        ),
        (
            &|g| {
                g.scheme = Scheme::Ed25519List;
                g.actors[0].role = validator("val1");
            },
            Refusal::UnusedBlsKey,
        ),
    ];
    for (change, refusal) in cases {
        let mut wrong = signing_by_bls();
        change(&mut wrong);
        let expected = GenesisError::Refused { field: "actors[1]".into(), refusal };
        assert_eq!(wrong.build(), Err(expected));
    }
}

#[test]
fn double_signing_is_judged_by_the_registered_key() {
    let mut net = Network::new(&signing_by_bls());
    net.advance_to(2);
    let set = query::validators(&net.state).unwrap();
    let evidence = |signer: &str, by: &str| {
        let vote = |block: u8| {
            let data = VoteData {
                protocol: Protocol::HotPokt,
                chain: net.chain,
                epoch: set.epoch,
                validators: set.hash(),
                height: Height(2),
                round: Round(0),
                phase: Phase::Prepare,
                block: BlockId(Hash([block; 32])),
                high: None,
            };
            let signature = bls(by).sign(&data.digest()).into();
            Vote { data, signer: public(signer), signature }
        };
        Evidence::equivocation(vote(1), vote(2))
    };
    let (forged, honest) = (evidence("val4", "val3"), evidence("val4", "val4"));
    let punish = |net: &mut Network, evidence: Evidence| {
        let mut context = net.context();
        context.evidence.push(evidence);
        match execute_block(&net.state, &context, &[]) {
            Ok(outcome) => {
                net.commit(&outcome);
                Ok(())
            }
            Err(BlockError::Evidence { refusal, .. }) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    };
    let refused = EvidenceRefusal::Invalid(EvidenceError::Signature);
    assert_eq!(punish(&mut net, forged), Err(refused));
    assert_eq!(punish(&mut net, honest), Ok(()));
    assert_eq!(net.stake_of(ActorKind::Validator, "val4").0, STAKE.0 - STAKE.0 / 20);
    assert_eq!(punish(&mut net, honest), Err(EvidenceRefusal::Punished));
}
