//! Tendermint: what it costs, what it survives, and each of its rules on one real replica.

mod rules;

use std::collections::BTreeSet;

use crate::common::oracle::{self, Costs, DELTA, TIMEOUT, happy, lives, network};
use crate::common::{Event, Setup, check, group, height, lowest, scenarios, simulate_by};
use pocket_consensus::{Record, Tendermint};
use pocket_sim::{Fate, Fault, Plan, Window};
use pocket_types::number::{Duration, Height, Ppm, Round, Timestamp};
use pocket_types::vote::Phase;

type Sim = crate::common::Sim<Tendermint>;

fn simulate(setup: Setup, nodes: usize, plan: Plan) -> Sim {
    simulate_by(setup, nodes, plan)
}

#[test]
fn a_block_is_decided_by_all_in_three_delays_and_the_next_follows_at_once() {
    for n in [4, 7, 10] {
        let n = n as u64;
        let messages = (n - 1) + 2 * n * (n - 1);
        let costs = happy::<Tendermint>(n as usize);
        assert_eq!(costs, Costs { leader: 3, all: 3, period: 3, messages });
    }
}

/// The proposal is missed after the timeout, two delays make a quorum of nil precommits, and half a
/// timeout later the next round decides in three delays.
#[test]
fn a_crashed_proposer_costs_its_two_timeouts_and_two_delays() {
    let mut sim = network::<Tendermint>(oracle::setup(4), []);
    let dead = crate::common::node_of(&sim.process(0).unwrap().replica().leader(Round(0)));
    sim.crash(dead, None);
    sim.run_until(Timestamp(3 * TIMEOUT)).unwrap();
    let last = *lives(&sim)[&1].decided.values().max().unwrap();
    assert_eq!(last, TIMEOUT + 2 * DELTA + TIMEOUT / 2 + 3 * DELTA);
}

#[test]
fn blocks_are_a_block_time_apart_and_name_everybody_who_was_there() {
    let mut sim = simulate(Setup::new(&[10; 7]), 7, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 7).unwrap();
    assert!((0..7).all(|node| height(&sim, node) == 20), "{}", height(&sim, 0));
    let chain = &sim.disk(0).chain;
    let times: Vec<u64> = chain.iter().map(|entry| entry.block.header.time.0).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
    for entry in &chain[1..] {
        let certificate = entry.block.header.parent_certificate.as_ref().unwrap();
        assert_eq!(certificate.positions().count(), 7);
    }
}

/// Who decides before it has precommitted tells the next proposer that it was there.
#[test]
fn who_is_late_with_its_precommit_is_named_all_the_same() {
    let mut sim = simulate(Setup::cheap(&[10; 4]), 4, Plan::calm(1));
    // Node 3 hears no prevotes.
    sim.filter(|envelope| {
        let prevote = matches!(&envelope.message, crate::common::Net::Consensus(
            pocket_consensus::Message::Vote(vote)) if vote.data.phase == Phase::Prepare);
        if envelope.to == 3 && prevote { Fate::Drop } else { Fate::Deliver }
    });
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    assert_eq!(lowest(&sim, 0..4), 20);
    for entry in &sim.disk(0).chain[1..] {
        let certificate = entry.block.header.parent_certificate.as_ref().unwrap();
        assert_eq!(certificate.positions().count(), 4);
    }
}

#[test]
fn a_replica_stores_three_or_four_steps_a_height() {
    let mut sim = simulate(Setup::cheap(&[10; 4]), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    for node in 0..4 {
        let steps = &sim.disk(node).steps;
        assert!((2..20).all(|height| (2..=4).contains(&steps[&height])), "{steps:?}");
        assert!(sim.disk(node).most_records <= 3);
    }
}

#[test]
fn one_validator_alone_decides() {
    let mut sim = simulate(Setup::cheap(&[1]), 1, Plan::calm(1));
    sim.run_until(Timestamp(1_050)).unwrap();
    check(&sim, 1).unwrap();
    assert_eq!(height(&sim, 0), 10);
}

#[test]
fn validator_sets_change_two_heights_after_the_block_that_changes_them() {
    let mut setup = Setup::cheap(&[10, 10, 10, 10]);
    setup.changes.insert(3, vec![10, 10, 10, 0, 10]);
    setup.changes.insert(6, vec![0, 10, 25, 0, 10, 10]);
    let mut sim = simulate(setup, 6, Plan::calm(1));
    sim.run_until(Timestamp(1_550)).unwrap();
    check(&sim, 6).unwrap();
    assert!(lowest(&sim, 0..6) >= 14, "{}", lowest(&sim, 0..6));
    let epochs: Vec<u64> = sim.disk(1).chain.iter().map(|e| e.block.header.epoch.0).collect();
    assert_eq!(epochs[..9], [0, 0, 0, 0, 1, 1, 1, 2, 2]);
}

#[test]
fn a_dead_proposer_costs_a_round_for_each_of_its_turns() {
    for (weights, dead) in [(vec![10; 4], 2), (vec![10; 7], 5), (vec![10, 10, 15, 8, 12], 3)] {
        let nodes = weights.len();
        let mut sim = simulate(Setup::cheap(&weights), nodes, Plan::calm(1));
        sim.crash(dead, None);
        sim.run_until(Timestamp(5_000)).unwrap();
        check(&sim, nodes).unwrap();
        let lowest = lowest(&sim, (0..nodes).filter(|&node| node != dead));
        assert!(lowest >= 30, "{lowest} blocks");
    }
}

#[test]
fn a_fifth_of_all_messages_may_be_lost() {
    for seed in 0..20 {
        for n in [4, 7] {
            let loss = Fault::Loss { rate: Ppm(200_000), window: Window::ALWAYS };
            let mut sim = simulate(Setup::cheap(&vec![10; n]), n, Plan::calm(seed).with(loss));
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, n).unwrap();
            assert!(lowest(&sim, 0..n) >= 25, "seed {seed}, n {n}: {}", lowest(&sim, 0..n));
        }
    }
}

#[test]
fn without_a_quorum_on_one_side_nothing_is_decided_and_healing_goes_on() {
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    for groups in [vec![group(&[0, 1]), group(&[2, 3])], vec![group(&[0]), group(&[1, 2])]] {
        let plan = Plan::calm(1).with(Fault::Partition { groups, window });
        let mut sim = simulate(Setup::cheap(&[10; 4]), 4, plan);
        sim.run_until(Timestamp(2_990)).unwrap();
        assert!((0..4).all(|node| height(&sim, node) <= 6));
        sim.run_until(Timestamp(6_000)).unwrap();
        check(&sim, 4).unwrap();
        assert!(lowest(&sim, 0..4) >= 15, "{}", lowest(&sim, 0..4));
    }
}

#[test]
fn the_minority_catches_up_when_a_partition_heals() {
    let groups = vec![group(&[0, 1, 2, 3, 4]), group(&[5, 6])];
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    let plan = Plan::calm(1).with(Fault::Partition { groups, window });
    let mut sim = simulate(Setup::cheap(&[10; 7]), 7, plan);
    sim.run_until(Timestamp(6_000)).unwrap();
    check(&sim, 7).unwrap();
    assert!(lowest(&sim, 0..7) + 1 >= height(&sim, 0) && height(&sim, 0) >= 30);
}

#[test]
fn a_restart_after_any_effect_signs_nothing_twice_and_stops_nothing() {
    scenarios::restarts_after_any_effect::<Tendermint>(
        &Setup::cheap(&[10; 4]),
        1..100,
        Timestamp(1_500),
        8,
    );
}

/// With one of four down for good, every vote of the others is needed: nothing may be forgotten.
#[test]
fn a_restart_after_any_effect_stops_nothing_even_when_everybody_is_needed() {
    for effect in 1..120 {
        let fault = Fault::CrashAtEffect { node: 1, effect, down: Some(Duration(effect % 7 * 20)) };
        let mut sim = simulate(Setup::cheap(&[10; 4]), 4, Plan::calm(1).with(fault));
        sim.crash(3, None);
        sim.run_until(Timestamp(5_000)).unwrap();
        check(&sim, 4).unwrap_or_else(|reason| panic!("effect {effect}: {reason}"));
        assert!(lowest(&sim, 0..3) >= 10, "effect {effect}: {}", lowest(&sim, 0..3));
    }
}

#[test]
fn a_replica_that_crashes_again_and_again_never_contradicts_itself() {
    scenarios::crashes_again_and_again::<Tendermint>(Setup::cheap(&[10; 4]), 1..40, 6);
}

#[test]
fn when_all_crash_after_the_lock_the_same_block_is_decided() {
    for n in [4, 7] {
        let mut sim = simulate(Setup::cheap(&vec![10; n]), n, Plan::calm(1));
        sim.crash_when(
            0..n,
            Some(Duration(500)),
            |seen| matches!(seen.event, Event::Locked(height) if height == Height(5)),
        );
        let ended = sim.run_while(Timestamp(10_000), |sim| sim.counters().crashes < n as u64);
        assert!(ended.unwrap());
        assert!((0..n).all(|node| height(&sim, node) == 4));
        let locked: BTreeSet<_> = (0..n)
            .flat_map(|node| sim.disk(node).log.clone())
            .filter_map(|record| match record {
                Record::Lock(lock) => Some(lock.data.block),
                _ => None,
            })
            .collect();
        assert_eq!(locked.len(), 1);
        sim.run_until(Timestamp(10_000)).unwrap();
        check(&sim, n).unwrap();
        for node in 0..n {
            assert!(height(&sim, node) > 20);
            assert!(locked.contains(&sim.disk(node).chain[4].block.id()));
        }
    }
}

#[test]
fn an_equivocating_proposer_divides_nobody_and_leaves_proof() {
    scenarios::an_equivocator_leaves_proof::<Tendermint>();
}

/// Blocks so fast that a height is over before anything is said again.
#[test]
fn who_falls_behind_a_fast_chain_is_brought_back() {
    let mut setup = Setup::cheap(&[10; 4]);
    setup.config.block_time = Duration(0);
    let mut sim = simulate(setup, 4, Plan::calm(1));
    sim.filter(|envelope| {
        let deaf = envelope.to == 3 && (300..340).contains(&envelope.sent.0);
        if deaf { Fate::Drop } else { Fate::Deliver }
    });
    sim.run_until(Timestamp(2_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(height(&sim, 3) + 3 >= height(&sim, 0), "{} {}", height(&sim, 3), height(&sim, 0));
}
