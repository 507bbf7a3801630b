//! What the protocol promises when nodes crash, messages are lost and leaders lie.

use std::collections::BTreeSet;

use crate::common::adversary::Mischief;
use crate::common::{Event, Net, Setup, check, group, height, lowest, public, scenarios, simulate};
use pocket_consensus::{HotPokt, Message};
use pocket_sim::{Fault, Link, Plan, Window};
use pocket_types::evidence::OffenceKind;
use pocket_types::number::{Duration, Height, Ppm, Round, Timestamp};
use pocket_types::vote::Phase;

#[test]
fn a_dead_leader_costs_one_timeout_for_each_of_its_turns() {
    for (weights, dead) in [(vec![10; 4], 2), (vec![10; 7], 5), (vec![10, 10, 15, 8, 12], 3)] {
        let nodes = weights.len();
        let mut sim = simulate(Setup::new(&weights), nodes, Plan::calm(1));
        sim.crash(dead, None);
        sim.run_until(Timestamp(5_000)).unwrap();
        check(&sim, nodes).unwrap();
        let lowest = lowest(&sim, (0..nodes).filter(|&node| node != dead));
        assert!(lowest >= 30, "{lowest} blocks");
        let by_dead = |entry: &pocket_consensus::sync::DecidedBlock| {
            entry.block.header.proposer == public(dead)
        };
        assert!(!sim.disk((dead + 1) % nodes).chain.iter().any(by_dead));
    }
}

#[test]
fn two_dead_of_seven_don_t_stop_the_chain_and_three_do() {
    let mut sim = simulate(Setup::new(&[10; 7]), 7, Plan::calm(1));
    sim.crash(5, None);
    sim.crash(6, None);
    sim.run_until(Timestamp(5_000)).unwrap();
    let before = lowest(&sim, 0..5);
    assert!(before >= 20, "{before} blocks");
    sim.crash(4, Some(Duration(3_000)));
    sim.run_until(Timestamp(7_900)).unwrap();
    assert!(lowest(&sim, 0..4) <= before + 1);
    sim.run_until(Timestamp(15_000)).unwrap();
    check(&sim, 7).unwrap();
    assert!(lowest(&sim, 0..5) > before + 10);
}

/// "Otherwise all who locked B restart, the QC survives, nobody has B, and the chain halts for ever."
#[test]
fn when_all_crash_after_the_lock_the_same_block_is_decided() {
    for n in [4, 7] {
        let mut sim = simulate(Setup::new(&vec![10; n]), n, Plan::calm(1));
        // The first Commit vote of height 5 leaves a replica that is locked.
        sim.crash_when(
            0..n,
            Some(Duration(500)),
            |seen| matches!(seen.event, Event::Locked(height) if height.0 == 5),
        );
        let ended = sim.run_while(Timestamp(10_000), |sim| sim.counters().crashes < n as u64);
        assert!(ended.unwrap());
        assert!((0..n).all(|node| height(&sim, node) == 4));
        let locked: Vec<_> = (0..n)
            .flat_map(|node| sim.disk(node).log.clone())
            .filter_map(|record| match record {
                pocket_consensus::Record::Lock(lock) => Some(lock.data.block),
                _ => None,
            })
            .collect();
        assert!(!locked.is_empty());
        sim.run_until(Timestamp(10_000)).unwrap();
        check(&sim, n).unwrap();
        for node in 0..n {
            assert!(height(&sim, node) > 20);
            assert_eq!(sim.disk(node).chain[4].block.id(), locked[0]);
        }
    }
}

#[test]
fn a_restart_after_any_effect_signs_nothing_twice_and_stops_nothing() {
    scenarios::restarts_after_any_effect::<HotPokt>(
        &Setup::new(&[10; 4]),
        1..50,
        Timestamp(1_000),
        4,
    );
}

#[test]
fn a_replica_that_crashes_again_and_again_never_contradicts_itself() {
    scenarios::crashes_again_and_again::<HotPokt>(Setup::new(&[10; 4]), 1..40, 4);
}

#[test]
fn without_a_quorum_on_one_side_nothing_is_decided_and_healing_goes_on() {
    let groups = vec![group(&[0, 1]), group(&[2, 3])];
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    let plan = Plan::calm(1).with(Fault::Partition { groups, window });
    let mut sim = simulate(Setup::new(&[10; 4]), 4, plan);
    sim.run_until(Timestamp(2_990)).unwrap();
    assert!((0..4).all(|node| height(&sim, node) <= 6));
    sim.run_until(Timestamp(6_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(lowest(&sim, 0..4) >= 15, "{}", lowest(&sim, 0..4));
}

#[test]
fn the_minority_catches_up_by_ranges_when_a_partition_heals() {
    let groups = vec![group(&[0, 1, 2, 3, 4]), group(&[5, 6])];
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    let plan = Plan::calm(1).with(Fault::Partition { groups, window });
    let mut sim = simulate(Setup::new(&[10; 7]), 7, plan);
    sim.run_until(Timestamp(2_990)).unwrap();
    assert!(lowest(&sim, 0..5) >= 12 && height(&sim, 6) <= 6);
    sim.run_until(Timestamp(4_000)).unwrap();
    check(&sim, 7).unwrap();
    let tops: Vec<u64> = (0..7).map(|node| height(&sim, node)).collect();
    assert!(tops.iter().max().unwrap() - tops.iter().min().unwrap() <= 1, "{tops:?}");
    let applied = |seen: &pocket_sim::Observation<Event>| {
        seen.node >= 5 && matches!(seen.event, Event::Applied(..))
    };
    assert!(sim.observations().iter().filter(|seen| applied(seen)).count() >= 10);
}

#[test]
fn a_replica_that_missed_one_decision_catches_up_by_certificate() {
    let mut sim = simulate(Setup::new(&[10; 4]), 4, Plan::calm(1));
    // Node 3 hears nothing between the proposal of height 5 and its decision.
    sim.filter(|envelope| {
        let deaf = (505..540).contains(&envelope.sent.0);
        if envelope.to == 3 && deaf { pocket_sim::Fate::Drop } else { pocket_sim::Fate::Deliver }
    });
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    assert!(lowest(&sim, 0..4) >= 19, "{}", lowest(&sim, 0..4));
    let applied = sim.observations().iter().filter(|s| matches!(s.event, Event::Applied(..)));
    assert_eq!(applied.count(), 0, "no ranges were needed");
}

/// NewRounds of round 0 don't carry the last decision at first: whoever needs it gets it when they are said
/// again, long before anybody gives a round up.
#[test]
fn a_leader_whose_predecessor_died_before_telling_it_still_leads_its_first_round() {
    let mut setup = Setup::new(&[10; 4]);
    setup.gossip = false;
    setup.config.timeout = Duration(500);
    let mut sim = simulate(setup, 4, Plan::calm(1));
    sim.run_while(Timestamp(10_000), |sim| lowest(sim, 0..4) < 4).unwrap();
    let replica = sim.process(0).unwrap().replica();
    let [last, next] = [0, 1].map(|round| crate::common::node_of(&replica.leader(Round(round))));
    sim.filter(move |envelope| match &envelope.message {
        Net::Consensus(Message::Certificate(certificate))
            if certificate.data.phase == Phase::Commit
                && (envelope.from, envelope.to) == (last, next) =>
        {
            pocket_sim::Fate::Drop
        }
        _ => pocket_sim::Fate::Deliver,
    });
    let told = move |seen: &pocket_sim::Observation<Event>| {
        seen.node != last && matches!(seen.event, Event::Decided(Height(5), _))
    };
    sim.crash_when([last], None, told);
    sim.run_until(Timestamp(1_000)).unwrap();
    check(&sim, 4).unwrap();
    let [fifth, sixth] = [4, 5].map(|index| &sim.disk(next).chain[index].block.header);
    assert_eq!((fifth.proposer, sixth.proposer), (public(last), public(next)));
    let late = sixth.time.0 - fifth.time.0 - 100;
    assert!((1..=50).contains(&late), "{late} ms after it was due, where resending takes 40");
}

#[test]
fn a_fifth_of_all_messages_may_be_lost() {
    for seed in 0..5 {
        for n in [4, 7] {
            let loss = Fault::Loss { rate: Ppm(200_000), window: Window::ALWAYS };
            let mut sim = simulate(Setup::new(&vec![10; n]), n, Plan::calm(seed).with(loss));
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, n).unwrap();
            assert!(lowest(&sim, 0..n) >= 25, "seed {seed}, n {n}: {}", lowest(&sim, 0..n));
        }
    }
}

#[test]
fn an_equivocating_leader_divides_nobody_and_leaves_proof() {
    for n in [4, 7] {
        let mut setup = Setup::new(&vec![10; n]);
        setup.byzantine = group(&[1]);
        let mut sim = simulate(setup, n, Plan::calm(1));
        sim.run_until(Timestamp(5_000)).unwrap();
        check(&sim, n).unwrap();
        assert!(lowest(&sim, (0..n).filter(|&node| node != 1)) >= 20);
        let offences: BTreeSet<_> = sim
            .observations()
            .iter()
            .filter_map(|seen| match &seen.event {
                Event::Evidence(evidence) => Some(evidence.verify(crate::common::chain()).unwrap()),
                _ => None,
            })
            .collect();
        assert!(offences.iter().all(|offence| offence.offender == public(1)));
        let kind = OffenceKind::Equivocation(Phase::Prepare);
        assert!(offences.iter().any(|offence| offence.kind == kind));
        let in_blocks = sim.disk(0).chain.iter().flat_map(|entry| entry.block.evidence.iter());
        assert!(in_blocks.count() > 0, "evidence goes into blocks");
    }
}

#[test]
fn a_lying_sync_peer_is_found_out_and_left() {
    let mut setup = Setup::new(&[10; 4]);
    setup.byzantine = group(&[0]);
    let mut sim = simulate(setup, 5, Plan::calm(1));
    sim.crash(4, Some(Duration(3_000)));
    sim.run_until(Timestamp(6_000)).unwrap();
    check(&sim, 5).unwrap();
    assert!(height(&sim, 4) + 1 >= lowest(&sim, 1..4), "{}", height(&sim, 4));
    let lies = sim
        .observations()
        .iter()
        .filter(|seen| seen.node == 4 && matches!(&seen.event, Event::Misbehaviour(0, _)));
    assert!(lies.count() >= 1);
}

#[test]
fn a_failed_store_silences_a_replica_until_it_restarts() {
    let fault = Fault::FailedStore { node: 2, store: 9, until_crash: Duration(300) };
    let mut sim = simulate(Setup::new(&[10; 4]), 4, Plan::calm(1).with(fault));
    sim.run_until(Timestamp(3_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(sim.counters().failed_stores > 0);
    assert!(lowest(&sim, 0..4) >= 15);
}

#[test]
fn the_same_plan_gives_the_same_run() {
    let run = |seed| {
        let loss = Fault::Loss { rate: Ppm(100_000), window: Window::ALWAYS };
        let mut sim = simulate(Setup::new(&[10; 4]), 4, Plan::calm(seed).with(loss));
        sim.run_until(Timestamp(1_500)).unwrap();
        sim.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// A certificate stops at two thirds, and a leader could leave rivals out of it; but the next header
/// carries every vote that came until then, and honest leaders hear the rival.
#[test]
fn a_leader_that_excludes_a_rival_makes_it_look_absent_in_its_own_headers_only() {
    let mut setup = Setup::cheap(&[10; 4]);
    setup.byzantine = [2].into();
    setup.mischief = vec![Mischief::Exclude];
    // The rival is a little slower than the others, so no quorum waits for it.
    let late = Link { min: Duration(3), max: Duration(3), ..Link::PERFECT };
    let slow = |to| Fault::Link { from: 3, to, link: late, window: Window::ALWAYS };
    let plan = [0, 1, 2].map(slow).into_iter().fold(Plan::calm(1), Plan::with);
    let mut sim = simulate(setup, 4, plan);
    sim.run_until(Timestamp(8_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(sim.counters().adversaries[Mischief::Exclude.name()] > 20);
    let rival = sim.setup().public(3);
    let seat = sim.setup().set_at(1).members.iter().position(|m| m.public_key == rival).unwrap();
    let chain = &sim.disk(1).chain[1..];
    assert!(chain.len() > 40, "{} blocks", chain.len());
    for entry in chain {
        let header = &entry.block.header;
        let certificate = header.parent_certificate.as_ref().unwrap();
        if !certificate.is_signer(seat) {
            assert_eq!(header.proposer, sim.setup().public(2), "absent at {}", header.height);
        }
    }
    let missing = chain
        .iter()
        .filter(|entry| !entry.block.header.parent_certificate.as_ref().unwrap().is_signer(seat));
    let missing = missing.count();
    assert!(missing > 0 && missing <= chain.len() / 4 + 1, "{missing} of {}", chain.len());
}
