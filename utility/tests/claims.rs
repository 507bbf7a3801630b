//! Claims on chain: who may claim what and when, and what a missing or false proof costs.

mod common;

use common::*;
use pocket_types::id::RelayDigest;
use pocket_types::number::{Amount, Height};
use pocket_types::relay::RelayProof;
use pocket_types::session::SessionHeader;
use pocket_types::sum::{SumError, SumRoot};
use pocket_types::transaction::{ActorKind, Message};
use pocket_utility::ledger::{Event, Refusal, SlashReason, challenge_point};
use pocket_utility::query;
use pocket_utility::relay::ClaimTree;
use pocket_utility::session::Session;

/// Relays of session 1 that the gateway signed for a servicer.
fn relays(net: &Network, servicer: &str, count: u64) -> Vec<RelayProof> {
    let mut relays: Vec<_> =
        (0..count).map(|nonce| net.request("gate", servicer, nonce).proof).collect();
    relays.sort_by_key(|relay| relay.head.digest());
    relays
}

fn tree(relays: &[RelayProof]) -> ClaimTree {
    ClaimTree::new(relays.iter().map(|relay| relay.head.digest())).unwrap()
}

fn claim(session: SessionHeader, root: SumRoot) -> Message {
    Message::Claim { session, root }
}

/// The right answer to a claim's challenge.
fn proof(net: &Network, servicer: &str, session: SessionHeader, relays: &[RelayProof]) -> Message {
    let record = query::session_record(&net.state, session.start).unwrap().unwrap();
    let tree = tree(relays);
    let id = session.id(record.randomness);
    let point = challenge_point(id, &address(servicer), &tree.root(), record.challenge.unwrap());
    let (digest, path) = tree.prove(point).unwrap();
    let relay = relays.iter().find(|relay| relay.head.digest() == digest).unwrap();
    Message::ProveClaim { relay: Box::new(relay.clone()), path }
}

/// Session 1 at its second block, and thirty relays of the first servicer.
fn session_one() -> (Network, SessionHeader, Vec<RelayProof>) {
    let mut net = Network::devnet();
    net.advance_to(2);
    let relays = relays(&net, "serv1", 30);
    (net.clone(), net.header(), relays)
}

#[test]
fn windows_are_inclusive_on_both_sides() {
    // The session ends at 5: claims at 7 and 8, the challenge at 9, proofs at 10 and 11.
    for (claim_at, proof_at) in [(7, 10), (8, 11)] {
        let (mut net, header, relays) = session_one();
        net.advance_to(5);
        let message = claim(header, tree(&relays).root());
        assert!(matches!(net.refusal("serv1", message.clone()), Refusal::ClaimWindow { .. }));
        net.advance_to(claim_at - 1);
        net.run("serv1", message.clone());
        assert_eq!(net.refusal("serv1", message).code(), if claim_at == 7 { 1015 } else { 1013 });
        net.advance_to(9);
        let message = proof(&net, "serv1", header, &relays);
        net.advance_to(proof_at - 1);
        net.run("serv1", message.clone());
        let refusal = net.refusal("serv1", message);
        let settled = Refusal::NoSession(Height(1));
        assert_eq!(refusal, if proof_at == 10 { Refusal::AlreadyProven } else { settled });
    }
    let (mut net, header, relays) = session_one();
    net.advance_to(8);
    let refusal = net.refusal("serv1", claim(header, tree(&relays).root()));
    let (open, close, height) = (Height(7), Height(8), Height(9));
    assert_eq!(refusal, Refusal::ClaimWindow { open, close, height });
    assert_eq!(refusal.not_before(), None);
}

#[test]
fn a_proof_answers_the_challenge_with_a_relay_of_the_session() {
    let (mut net, header, relays) = session_one();
    net.advance_to(6);
    net.run("serv1", claim(header, tree(&relays).root()));
    net.advance_to(8);
    // Before the challenge is known, nothing can be proven.
    let early = Message::ProveClaim {
        relay: Box::new(relays[0].clone()),
        path: tree(&relays).prove(0).unwrap().1,
    };
    assert!(matches!(net.refusal("serv1", early), Refusal::ProofWindow { .. }));
    net.advance_to(9);
    let good = proof(&net, "serv1", header, &relays);
    let Message::ProveClaim { relay: hit, path } = good.clone() else { unreachable!() };

    assert_eq!(net.refusal("serv2", good.clone()), Refusal::NoClaim);
    let other = relays.iter().find(|relay| **relay != *hit).unwrap();
    let swapped = Message::ProveClaim { relay: Box::new(other.clone()), path: path.clone() };
    assert!(matches!(net.refusal("serv1", swapped), Refusal::Sum(SumError::Root)));
    let place = (path.index + 1) % 30;
    let (digest, elsewhere) = tree(&relays).prove(place).unwrap();
    let relay = relays.iter().find(|relay| relay.head.digest() == digest).unwrap();
    let missed = Message::ProveClaim { relay: Box::new(relay.clone()), path: elsewhere };
    assert!(matches!(net.refusal("serv1", missed), Refusal::Sum(SumError::Missed { .. })));
    let mut forged = hit.clone();
    forged.signer = public("app");
    let forged = Message::ProveClaim { relay: forged, path: path.clone() };
    assert!(matches!(net.refusal("serv1", forged), Refusal::Relay(_)));
    let mut stranger = hit.clone();
    stranger.signer = public("alice");
    let stranger = Message::ProveClaim { relay: stranger, path: path.clone() };
    assert_eq!(net.refusal("serv1", stranger), Refusal::RelaySigner(public("alice")));
    let mut others = hit.clone();
    others.head.servicer = address("serv2");
    let others = Message::ProveClaim { relay: others, path };
    assert!(matches!(net.refusal("serv1", others), Refusal::RelayServicer { .. }));
    net.run("serv1", good);
}

#[test]
fn a_claim_that_is_not_proven_is_void_and_costs_the_penalty() {
    let (mut net, header, relays) = session_one();
    let before = query::supply(&net.state).unwrap();
    net.advance_to(6);
    net.run("serv1", claim(header, tree(&relays).root()));
    net.advance_to(11);
    let penalty = Amount(320_000_000);
    let slashed = Event::Slashed {
        kind: ActorKind::Servicer,
        actor: address("serv1"),
        amount: penalty,
        reason: SlashReason::MissingProof,
    };
    assert!(net.events.contains(&slashed));
    let after = query::supply(&net.state).unwrap();
    assert_eq!((after.minted, after.burned), (before.minted, penalty));
    // It had the least stake there may be, so it has to leave: once.
    assert_eq!(net.stake_of(ActorKind::Servicer, "serv1").0, STAKE.0 - penalty.0);
    let forced =
        net.events.iter().filter(|e| matches!(e, Event::UnstakingBegan { forced: true, .. }));
    assert_eq!(forced.count(), 1);
    // The second claimant's penalty would exceed what is left of a small stake: it is capped.
    let mut net = Network::new(&genesis_with(&[("claim_missing_proof_penalty", STAKE.0 * 9)]));
    net.advance_to(6);
    let header = SessionHeader { start: Height(1), ..net.header() };
    net.run("serv1", claim(header, tree(&relays_of(&net, header)).root()));
    net.advance_to(11);
    assert_eq!(net.stake_of(ActorKind::Servicer, "serv1"), Amount::ZERO);
    let before = net.balance("serv1");
    net.advance_to(25);
    assert_eq!(query::actor_count(&net.state, ActorKind::Servicer).unwrap(), 1);
    assert_eq!(net.balance("serv1"), before, "nothing is left to pay out");
}

fn relays_of(net: &Network, session: SessionHeader) -> Vec<RelayProof> {
    let mut relay = net.request("gate", "serv1", 0).proof;
    relay.head.session = session;
    vec![relay]
}

#[test]
fn membership_is_that_of_the_sessions_start() {
    // The draw is of one out of two; both the index and the application change afterwards.
    let mut net = Network::new(&genesis_with(&[("servicers_per_session", 1)]));
    net.advance_to(2);
    let header = net.header();
    let session = Session::load(&net.state, &header).unwrap();
    let names = ["serv1", "serv2"];
    let (inside, outside) = if session.has_servicer(&address("serv1")) {
        (names[0], names[1])
    } else {
        (names[1], names[0])
    };
    let stake = |net: &mut Network, name: &str| {
        let message = Message::Stake {
            operator: public(name),
            output: address("alice"),
            amount: STAKE,
            role: servicer(&["0001"]),
        };
        net.run("alice", message);
    };
    stake(&mut net, "new1");
    stake(&mut net, "new2");
    net.run("app", Message::Undelegate { gateway: public("gate") });
    let relays = relays(&net, inside, 8);
    assert_eq!(net.height, 5);
    net.run(outside, Message::Unstake { kind: ActorKind::Servicer, actor: address(outside) });
    assert_eq!(Session::load(&net.state, &header).unwrap(), session);
    let root = tree(&relays).root();
    assert_eq!(net.refusal(outside, claim(header, root)), Refusal::NotInSession(address(outside)));
    net.run(inside, claim(header, root));
    net.advance_to(9);
    let message = proof(&net, inside, header, &relays);
    net.run(inside, message);
    net.advance_to(11);
    assert!(net.events.iter().any(|e| matches!(e, Event::ClaimSettled { settled: 8, .. })));
    // Everything that the session needed is forgotten.
    assert_eq!(query::session_record(&net.state, Height(1)).unwrap(), None);
    for collection in ["claims", "claimants"] {
        assert!(net.state.iter().all(|(c, ..)| c.as_str() != collection));
    }
    net.advance_to(40);
    assert!(net.state.iter().all(|(c, ..)| c.as_str() != "history"), "nothing changed since");
}

#[test]
fn one_that_leaves_during_the_session_loses_its_reward_and_later_keeps_it() {
    let leave = Message::Unstake { kind: ActorKind::Servicer, actor: address("serv1") };
    for (height, claimed) in [(5, false), (6, true)] {
        let (mut net, header, relays) = session_one();
        net.advance_to(height - 1);
        net.run("serv1", leave.clone());
        net.advance_to(6);
        let message = claim(header, tree(&relays).root());
        if claimed {
            net.run("serv1", message);
            net.advance_to(9);
            let message = proof(&net, "serv1", header, &relays);
            net.run("serv1", message);
            net.advance_to(11);
            assert!(net.events.iter().any(|e| matches!(e, Event::ClaimSettled { .. })));
        } else {
            assert_eq!(net.refusal("serv1", message), Refusal::LeftSession(address("serv1")));
        }
    }
}

#[test]
fn a_session_settles_no_more_than_the_applications_stake_can_be_burnt_for() {
    // A relay burns 10 POKT: the application's 30,000 POKT pay for 3,000 of 8,000 relays.
    let burn = Amount::pokt(10).0;
    let parameters = [("app_burn_per_relay", burn), ("usage_to_reward_numerator", 9_000_000)];
    let mut net = Network::new(&genesis_with(&parameters));
    net.advance_to(2);
    let header = net.header();
    let digests = |name: &str, count: u64| -> Vec<RelayProof> { relays(&net, name, count) };
    let claims = [("serv1", digests("serv1", 6_000)), ("serv2", digests("serv2", 2_000))];
    net.advance_to(6);
    for (name, relays) in &claims {
        net.run(name, claim(header, tree(relays).root()));
    }
    net.advance_to(9);
    for (name, relays) in &claims {
        let message = proof(&net, name, header, relays);
        net.run(name, message);
    }
    let settled = |name: &str| {
        net.events.iter().find_map(|event| match event {
            Event::ClaimSettled { servicer, settled, salary, .. } if *servicer == address(name) => {
                Some((*settled, salary.0))
            }
            _ => None,
        })
    };
    assert_eq!(settled("serv1"), Some((2_250, 2_250 * 9_000_000)));
    assert_eq!(settled("serv2"), Some((750, 750 * 9_000_000)));
    let supply = query::supply(&net.state).unwrap();
    assert_eq!(supply.burned, Amount::pokt(30_000));
    assert!(supply.minted < supply.burned);
    assert_eq!(net.stake_of(ActorKind::Application, "app"), Amount::ZERO);
}

#[test]
fn a_salary_is_rounded_down() {
    // 8 relays at 10/3 uPOKT each earn 26, not 26 and two thirds.
    let parameters = [("usage_to_reward_numerator", 10), ("usage_to_reward_denominator", 3)];
    let mut net = Network::new(&genesis_with(&parameters));
    net.advance_to(2);
    let header = net.header();
    let relays = relays(&net, "serv1", 8);
    net.advance_to(6);
    net.run("serv1", claim(header, tree(&relays).root()));
    net.advance_to(9);
    let message = proof(&net, "serv1", header, &relays);
    net.run("serv1", message);
    net.advance_to(11);
    let salary = net.events.iter().find_map(|event| match event {
        Event::ClaimSettled { settled: 8, salary, .. } => Some(*salary),
        _ => None,
    });
    assert_eq!(salary, Some(Amount(26)));
}

#[test]
fn an_invented_relay_is_hit_as_often_as_its_share() {
    // Half of the claim is invented: the challenge finds that out about half of the time.
    let (net, header, relays) = session_one();
    let record = query::session_record(&net.state, header.start).unwrap().unwrap();
    let honest: Vec<_> = relays.iter().map(|relay| relay.head.digest()).collect();
    let invented = (0..30u8).map(|i| RelayDigest(pocket_types::hash::Hash([i * 8 + 1; 32])));
    let tree = ClaimTree::new(honest.iter().copied().chain(invented)).unwrap();
    let id = header.id(record.randomness);
    let caught = (0..1_000).filter(|&height| {
        let point = challenge_point(id, &address("serv1"), &tree.root(), beacon(height));
        !honest.contains(&tree.prove(point).unwrap().0)
    });
    let caught = caught.count();
    assert!((430..570).contains(&caught), "{caught}");
}

#[test]
fn settlements_that_find_no_room_in_a_block_come_first_in_the_next_and_payouts_wait_for_them() {
    // One block settles a thousand sessions of applications; here are 1,001.
    let mut genesis = genesis();
    let names: Vec<_> = (0..1_001).map(|i| format!("app{i}")).collect();
    genesis.actors.extend(names.iter().map(|name| actor(name, application(&["0001"]))));
    let mut net = Network::new(&genesis);
    net.advance_to(2);
    let header = net.header();
    net.run("serv2", Message::Unstake { kind: ActorKind::Servicer, actor: address("serv2") });
    net.advance_to(6);
    let root = tree(&relays_of(&net, header)).root();
    let claims: Vec<_> = names
        .iter()
        .map(|name| SessionHeader { application: address(name), ..header })
        .map(|session| net.sign("serv1", claim(session, root)))
        .collect();
    net.block(&claims);
    let void = |net: &Network| {
        net.events.iter().filter(|event| matches!(event, Event::ClaimVoid { .. })).count()
    };
    net.advance_to(11);
    assert_eq!(void(&net), 1_000);
    assert!(query::session_record(&net.state, Height(1)).unwrap().is_some());
    assert_eq!(net.stake_of(ActorKind::Servicer, "serv2"), STAKE, "due, but it waits");
    net.advance_to(12);
    assert_eq!(void(&net), 1_001);
    assert!(query::session_record(&net.state, Height(1)).unwrap().is_none());
    assert_eq!(net.stake_of(ActorKind::Servicer, "serv2"), Amount::ZERO);
    net.advance_to(13);
    assert!(net.state.iter().all(|(collection, ..)| collection.as_str() != "claims"));
}
