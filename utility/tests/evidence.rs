//! Evidence: each offence is punished once, and only if it is one.

mod common;

use common::*;
use pocket_types::evidence::{Evidence, EvidenceError};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::number::{Amount, Epoch, Height, Round};
use pocket_types::transaction::{ActorKind, Message};
use pocket_types::vote::{Phase, Protocol, Vote, VoteData};
use pocket_utility::ledger::{
    BlockError, BlockLimits, Event, EvidenceRefusal, build_block, execute_block,
};
use pocket_utility::query;

fn double_sign(net: &Network, name: &str, height: u64, phase: Phase) -> Evidence {
    let vote = |block: u8| {
        let data = VoteData {
            protocol: Protocol::HotPokt,
            chain: net.chain,
            epoch: Epoch(0),
            validators: Hash::ZERO,
            height: Height(height),
            round: Round(0),
            phase,
            block: BlockId(Hash([block; 32])),
            high: None,
        };
        Vote::sign(data, &key(name))
    };
    Evidence::equivocation(vote(1), vote(2))
}

fn punish(net: &mut Network, evidence: Evidence) -> Result<(), EvidenceRefusal> {
    let mut context = net.context();
    context.evidence.push(evidence);
    match execute_block(&net.state, &context, &[]) {
        Ok(outcome) => {
            net.commit(&outcome);
            Ok(())
        }
        Err(BlockError::Evidence { index: 0, refusal }) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_double_sign_burns_a_share_once() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let evidence = double_sign(&net, "val4", 2, Phase::Prepare);
    assert_eq!(punish(&mut net, evidence), Ok(()));
    let burned = Amount(STAKE.0 / 20);
    assert_eq!(net.stake_of(ActorKind::Validator, "val4").0, STAKE.0 - burned.0);
    assert_eq!(query::supply(&net.state).unwrap().burned, burned);
    assert_eq!(punish(&mut net, evidence), Err(EvidenceRefusal::Punished));
    // It fell below the least stake, so it leaves; another offence of it is punished still.
    assert!(net.events.iter().any(|e| matches!(e, Event::UnstakingBegan { forced: true, .. })));
    let evidence = double_sign(&net, "val4", 2, Phase::Commit);
    assert_eq!(punish(&mut net, evidence), Ok(()));
    assert!(net.stake_of(ActorKind::Validator, "val4").0 < STAKE.0 - burned.0);
    net.advance_to(9);
    assert_eq!(query::actor_count(&net.state, ActorKind::Validator).unwrap(), 3);
    let rows = net.state.iter().filter(|(c, ..)| c.as_str() == "offences");
    assert_eq!(rows.count(), 0, "too old to be reported again, so forgotten");
}

#[test]
fn evidence_is_neither_too_old_nor_from_the_future() {
    // At height 7, heights 3 to 7 are taken.
    for (height, taken) in [(2, false), (3, true), (7, true), (8, false)] {
        let mut net = Network::devnet();
        net.advance_to(6);
        let evidence = double_sign(&net, "val4", height, Phase::Prepare);
        let age =
            EvidenceRefusal::Age { offence: Height(height), oldest: Height(3), newest: Height(7) };
        let expected = if taken { Ok(()) } else { Err(age) };
        assert_eq!(punish(&mut net, evidence), expected, "height {height}");
    }
}

#[test]
fn only_those_who_voted_then_can_offend() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let refused = |net: &mut Network, name: &str, height: u64| {
        let evidence = double_sign(net, name, height, Phase::Prepare);
        matches!(punish(net, evidence), Err(EvidenceRefusal::NotValidator { .. }))
    };
    assert!(refused(&mut net, "alice", 2));
    let message = Message::Stake {
        operator: public("alice"),
        output: address("alice"),
        amount: STAKE,
        role: validator("alice"),
    };
    // Staked at 3, votes from 5 on.
    net.run("alice", message);
    net.advance_to(5);
    assert!(refused(&mut net, "alice", 4));
    assert!(!refused(&mut net, "alice", 5));
    // That made it leave, at 6: it votes on until 7.
    net.advance_to(8);
    assert!(refused(&mut net, "alice", 8));
    assert!(!refused(&mut net, "alice", 7));
}

#[test]
fn a_leaving_validator_stays_punishable_until_its_last_vote_is_too_old() {
    // Unstaking takes 5 blocks, but evidence is taken for 10.
    let mut net = Network::new(&genesis_with(&[("validator_max_evidence_age_in_blocks", 10)]));
    net.advance_to(2);
    // Leaves at 3, votes until 4; evidence of that is taken until 14, when the stake is paid.
    net.run("val4", Message::Unstake { kind: ActorKind::Validator, actor: address("val4") });
    net.advance_to(13);
    let evidence = double_sign(&net, "val4", 4, Phase::Prepare);
    let before = net.balance("val4").0;
    assert_eq!(punish(&mut net, evidence), Ok(()));
    assert_eq!(net.balance("val4").0 - before, STAKE.0 - STAKE.0 / 20);
}

#[test]
fn the_last_validator_is_burnt_but_stays() {
    let mut net = Network::devnet();
    net.advance_to(2);
    for (name, height) in [("val1", 2), ("val2", 2), ("val3", 2), ("val4", 2)] {
        let evidence = double_sign(&net, name, height, Phase::Prepare);
        assert_eq!(punish(&mut net, evidence), Ok(()));
    }
    assert_eq!(query::treasury(&net.state).unwrap().active(ActorKind::Validator), 1);
    assert_eq!(query::validators(&net.state).unwrap().members.len(), 1);
    assert!(net.stake_of(ActorKind::Validator, "val4").0 < STAKE.0);
}

#[test]
fn false_evidence_makes_a_block_invalid_and_a_proposer_leaves_it_out() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let good = double_sign(&net, "val4", 2, Phase::Prepare);
    let Evidence::Equivocation { first, second } = good else { unreachable!() };
    let forged =
        Evidence::Equivocation { first, second: Vote { signature: first.signature, ..second } };
    let refusal = EvidenceRefusal::Invalid(EvidenceError::Signature);
    assert_eq!(punish(&mut net, forged), Err(refusal));
    assert_eq!(refusal.code(), 10);
    let swapped = Evidence::Equivocation { first: second, second: first };
    let refused = punish(&mut net, swapped);
    assert_eq!(refused, Err(EvidenceRefusal::Invalid(EvidenceError::NoConflict)));
    let mut other = net.clone();
    other.chain = ChainId::default();
    let foreign = double_sign(&other, "val4", 2, Phase::Prepare);
    assert!(matches!(punish(&mut net, foreign), Err(EvidenceRefusal::Invalid(_))));

    let mut context = net.context();
    context.evidence = vec![forged, good, good];
    let built = build_block(&net.state, &context, [], &BlockLimits::default()).unwrap();
    assert_eq!(built.evidence, [good]);
    let dropped: Vec<_> = built.dropped_evidence.iter().map(|(place, _)| *place).collect();
    assert_eq!(dropped, [0, 2]);
    context.evidence = built.evidence;
    assert_eq!(execute_block(&net.state, &context, &[]).unwrap(), built.outcome);
}
