//! Simplex in the simulator: what it costs, and what it survives.

use std::collections::BTreeSet;

use crate::common::{Event, Setup, Sim, check, group, height, lowest, scenarios, simulate_by};
use pocket_consensus::replica::config::Config;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{Record, Simplex};
use pocket_sim::{Fate, Fault, Plan, Window};
use pocket_types::number::{Duration, Ppm, Timestamp};
use pocket_types::vote::Phase;

/// One network delay.
const DELTA: u64 = 10;

/// The timeout from entering a view.
const TIMEOUT: u64 = 1_000;

type Sims = Sim<Simplex>;

fn calm(setup: Setup, nodes: usize) -> Sims {
    simulate_by::<Simplex>(setup, nodes, Plan::calm(1))
}

/// Every message takes [`DELTA`]; building, executing and storing take no time.
fn exact(n: usize) -> Sims {
    let mut setup = Setup::cheap(&vec![10; n]);
    setup.execution = Duration(0);
    setup.gossip = false;
    setup.config = Config {
        schedule: LeaderSchedule::RoundRobin,
        block_time: Duration(0),
        timeout: Duration(TIMEOUT),
        timeout_growth: 100,
        timeout_cap: Duration(TIMEOUT),
        resend: Duration(400),
        ..setup.config
    };
    let delay = Fault::Delay { min: Duration(DELTA), max: Duration(DELTA), window: Window::ALWAYS };
    simulate_by::<Simplex>(setup, n, Plan::calm(1).with(delay))
}

/// When a block of a height was first proposed, by whom, and when each node decided it.
fn story(sim: &Sims, n: usize, at: u64) -> (u64, usize, Vec<u64>) {
    let seen = sim.observations();
    let proposed = seen
        .iter()
        .find(|seen| {
            matches!(&seen.event, Event::Signed(vote)
                if vote.data.phase == Phase::Propose && vote.data.height.0 == at)
        })
        .unwrap();
    let decided = |node| {
        let mut own = seen.iter().filter(|seen| seen.node == node);
        own.find(|seen| matches!(&seen.event, Event::Decided(height, _) if height.0 == at))
            .map_or(u64::MAX, |seen| seen.at.0)
    };
    (proposed.at.0, proposed.node, (0..n).map(decided).collect())
}

#[test]
fn everybody_decides_three_delays_after_the_proposal_and_a_block_comes_every_two() {
    for n in [4, 7] {
        let mut sim = exact(n);
        sim.run_until(Timestamp(1_000)).unwrap();
        check(&sim, n).unwrap();
        let mut before = None;
        for at in 1..40 {
            let (proposed, _, decided) = story(&sim, n, at);
            assert_eq!(decided, vec![proposed + 3 * DELTA; n], "height {at} of {n}");
            if let Some(before) = before.replace(proposed) {
                assert_eq!(proposed, before + 2 * DELTA, "height {at} of {n}");
            }
        }
    }
}

#[test]
fn a_block_takes_a_proposal_and_two_votes_of_everybody_to_everybody() {
    for n in [4, 7, 10] {
        let mut sim = exact(n);
        sim.run_until(Timestamp(405)).unwrap();
        let before = (sim.counters().kinds.clone(), height(&sim, 0));
        sim.run_until(Timestamp(1_205)).unwrap();
        let blocks = (height(&sim, 0) - before.1) as usize;
        assert_eq!(blocks, 40);
        let count = |kinds: &std::collections::BTreeMap<&str, u64>, kind| {
            kinds.get(kind).copied().unwrap_or_default() as usize
        };
        let sent = |kind| count(&sim.counters().kinds, kind) - count(&before.0, kind);
        assert_eq!(sent("proposal"), blocks * (n - 1));
        assert_eq!(sent("vote"), blocks * 2 * n * (n - 1));
        for kind in ["certificate", "new round", "body", "sync"] {
            assert_eq!(sent(kind), 0, "{kind}");
        }
    }
}

#[test]
fn after_a_dead_leader_the_next_commits_four_delays_after_the_timeout() {
    for n in [4, 7] {
        let mut sim = exact(n);
        sim.run_until(Timestamp(2 * DELTA - 5)).unwrap();
        let first = story(&sim, n, 1);
        // Whoever leads view 1 dies before it begins.
        let dead = (0..n).find(|&node| {
            let replica = sim.process(node).unwrap().replica();
            replica.leader(pocket_types::number::Round(1)) == sim.setup().public(node)
        });
        let dead = dead.unwrap();
        sim.crash(dead, None);
        sim.run_until(Timestamp(3_000)).unwrap();
        check(&sim, n).unwrap();
        let entered = first.0 + 2 * DELTA;
        let (proposed, leader, decided) = story(&sim, n, 2);
        assert_ne!(leader, dead);
        assert_eq!(proposed, entered + TIMEOUT + DELTA);
        for node in (0..n).filter(|&node| node != dead) {
            assert_eq!(decided[node], entered + TIMEOUT + 4 * DELTA);
        }
    }
}

#[test]
fn four_validators_decide_a_block_every_block_time() {
    let mut sim = calm(Setup::new(&[10; 4]), 4);
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    assert!((0..4).all(|node| height(&sim, node) == 20), "{}", height(&sim, 0));
    let times: Vec<u64> = sim.disk(0).chain.iter().map(|entry| entry.block.header.time.0).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
}

#[test]
fn one_validator_alone_decides() {
    let mut sim = calm(Setup::cheap(&[1]), 1);
    sim.run_until(Timestamp(1_050)).unwrap();
    check(&sim, 1).unwrap();
    assert_eq!(height(&sim, 0), 10);
}

#[test]
fn the_next_header_names_everybody_who_was_there() {
    let mut sim = calm(Setup::cheap(&[10; 7]), 7);
    sim.run_until(Timestamp(1_050)).unwrap();
    for entry in &sim.disk(0).chain[1..] {
        let certificate = entry.block.header.parent_certificate.as_ref().unwrap();
        assert_eq!(certificate.positions().count(), 7);
    }
}

#[test]
fn a_dead_validator_costs_a_timeout_for_each_of_its_turns() {
    for (n, dead) in [(4, vec![2]), (7, vec![3, 6]), (7, vec![5, 6])] {
        let mut sim = exact(n);
        dead.iter().for_each(|&node| sim.crash(node, None));
        sim.run_until(Timestamp(60_000)).unwrap();
        check(&sim, n).unwrap();
        // A cycle of n views is a timeout and a delay for each dead leader, two delays for each other.
        let (dead, alive) = (dead.len() as u64, (n - dead.len()) as u64);
        let cycle = dead * (TIMEOUT + DELTA) + alive * 2 * DELTA;
        let expected = 60_000 / cycle * alive;
        let lowest = (0..n).map(|node| height(&sim, node)).max().unwrap();
        assert!(lowest.abs_diff(expected) <= alive, "{lowest} blocks, {expected} expected");
    }
}

#[test]
fn validator_sets_change_two_heights_after_the_block_that_changes_them() {
    for block_time in [0, 100] {
        let mut setup = Setup::cheap(&[10, 10, 10, 10]);
        setup.config.block_time = Duration(block_time);
        setup.changes.insert(3, vec![10, 10, 10, 0, 10]);
        setup.changes.insert(6, vec![0, 10, 25, 0, 10, 10]);
        setup.changes.insert(7, vec![10, 10, 10, 10, 10, 10]);
        let mut sim = calm(setup, 6);
        sim.run_until(Timestamp(2_050)).unwrap();
        check(&sim, 6).unwrap();
        for node in 0..6 {
            assert!(height(&sim, node) >= 18, "node {node} at {}", height(&sim, node));
        }
        let epochs: Vec<u64> = sim.disk(1).chain.iter().map(|e| e.block.header.epoch.0).collect();
        assert_eq!(epochs[..10], [0, 0, 0, 0, 1, 1, 1, 2, 3, 3]);
    }
}

/// The last block of an epoch is notarized, but its finalizations are lost: the next leaders propose
/// the same block, and nothing is built upon it.
#[test]
fn the_last_block_of_an_epoch_is_proposed_until_it_is_decided() {
    let mut setup = Setup::cheap(&[10; 4]);
    setup.changes.insert(3, vec![10, 10, 10, 20]);
    let mut sim = calm(setup, 4);
    sim.filter(|envelope| {
        let lost = match &envelope.message {
            crate::common::Net::Consensus(pocket_consensus::Message::Vote(vote)) => {
                vote.data.phase == Phase::Commit && vote.data.round.0 < 6
            }
            _ => false,
        };
        if lost { Fate::Drop } else { Fate::Deliver }
    });
    sim.run_until(Timestamp(3_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(lowest(&sim, 0..4) >= 20, "{}", lowest(&sim, 0..4));
    let proposed: Vec<(u64, u64)> = sim
        .observations()
        .iter()
        .filter_map(|seen| match &seen.event {
            Event::Signed(vote) if vote.data.phase == Phase::Propose => {
                (vote.data.epoch.0 == 0).then_some((vote.data.round.0, vote.data.height.0))
            }
            _ => None,
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(proposed[..7], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 4), (5, 4), (6, 4)]);
    let epochs: Vec<u64> = sim.disk(1).chain.iter().map(|e| e.block.header.epoch.0).collect();
    assert_eq!(epochs[..6], [0, 0, 0, 0, 1, 1]);
    // Blocks 1 to 4 are final by one proof.
    let proofs: BTreeSet<u64> =
        sim.disk(0).chain[..4].iter().map(|e| e.proof.header().unwrap().height.0).collect();
    assert_eq!(proofs, BTreeSet::from([4]));
}

#[test]
fn a_minority_catches_up_when_a_partition_heals() {
    let groups = vec![group(&[0, 1, 2, 3, 4]), group(&[5, 6])];
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    let plan = Plan::calm(1).with(Fault::Partition { groups, window });
    let mut sim = simulate_by::<Simplex>(Setup::cheap(&[10; 7]), 7, plan);
    sim.run_until(Timestamp(2_990)).unwrap();
    assert!(lowest(&sim, 0..5) >= 10 && height(&sim, 6) <= 6, "{}", lowest(&sim, 0..5));
    sim.run_until(Timestamp(4_000)).unwrap();
    check(&sim, 7).unwrap();
    let tops: Vec<u64> = (0..7).map(|node| height(&sim, node)).collect();
    assert!(tops.iter().max().unwrap() - tops.iter().min().unwrap() <= 1, "{tops:?}");
}

#[test]
fn without_a_quorum_on_one_side_nothing_is_decided_and_healing_goes_on() {
    let groups = vec![group(&[0, 1]), group(&[2, 3])];
    let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
    let plan = Plan::calm(1).with(Fault::Partition { groups, window });
    let mut sim = simulate_by::<Simplex>(Setup::cheap(&[10; 4]), 4, plan);
    sim.run_until(Timestamp(2_990)).unwrap();
    assert!((0..4).all(|node| height(&sim, node) <= 6));
    sim.run_until(Timestamp(6_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(lowest(&sim, 0..4) >= 15, "{}", lowest(&sim, 0..4));
}

#[test]
fn a_fifth_of_all_messages_may_be_lost() {
    for seed in 0..10 {
        for n in [4, 7] {
            let loss = Fault::Loss { rate: Ppm(200_000), window: Window::ALWAYS };
            let plan = Plan::calm(seed).with(loss);
            let mut sim = simulate_by::<Simplex>(Setup::cheap(&vec![10; n]), n, plan);
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, n).unwrap();
            assert!(lowest(&sim, 0..n) >= 40, "seed {seed}, n {n}: {}", lowest(&sim, 0..n));
        }
    }
}

#[test]
fn a_restart_after_any_effect_signs_nothing_twice_and_stops_nothing() {
    scenarios::restarts_after_any_effect::<Simplex>(
        &Setup::cheap(&[10; 4]),
        1..80,
        Timestamp(1_500),
        8,
    );
}

#[test]
fn a_replica_that_crashes_again_and_again_never_contradicts_itself() {
    scenarios::crashes_again_and_again::<Simplex>(Setup::cheap(&[10; 4]), 1..60, 4);
}

/// The block that some have finalized is not lost, though nobody has its body but from the log.
#[test]
fn when_all_crash_after_a_finalization_the_same_block_is_decided() {
    for n in [4, 7] {
        let mut sim = calm(Setup::cheap(&vec![10; n]), n);
        sim.crash_when(
            0..n,
            Some(Duration(500)),
            |seen| matches!(seen.event, Event::Locked(height) if height.0 == 5),
        );
        let ended = sim.run_while(Timestamp(10_000), |sim| sim.counters().crashes < n as u64);
        assert!(ended.unwrap());
        assert!((0..n).all(|node| height(&sim, node) == 4));
        let finalized: Vec<_> = (0..n)
            .flat_map(|node| sim.disk(node).log.clone())
            .filter_map(|record| match record {
                Record::Vote { vote, .. }
                    if vote.data.phase == Phase::Commit && vote.data.height.0 == 5 =>
                {
                    Some(vote.data.block)
                }
                _ => None,
            })
            .collect();
        assert!(!finalized.is_empty());
        sim.run_until(Timestamp(10_000)).unwrap();
        check(&sim, n).unwrap();
        for node in 0..n {
            assert!(height(&sim, node) > 20);
            assert_eq!(sim.disk(node).chain[4].block.id(), finalized[0]);
        }
    }
}

/// Nullifications are needed for as long as proposals skip the view: they survive in the log.
#[test]
fn when_all_crash_after_a_nullified_view_they_go_on() {
    let mut sim = calm(Setup::cheap(&[10; 4]), 4);
    // Nobody hears of the proposals of views 5 and 6.
    sim.filter(|envelope| match &envelope.message {
        crate::common::Net::Consensus(pocket_consensus::Message::Proposal(proposal))
            if [5, 6].contains(&proposal.vote.data.round.0) =>
        {
            Fate::Drop
        }
        _ => Fate::Deliver,
    });
    // All crash when the first has notarized a block that skips both.
    sim.crash_when(0..4, Some(Duration(500)), |seen| {
        matches!(&seen.event, Event::Signed(vote)
            if vote.data.phase == Phase::Propose && vote.data.round.0 == 7)
    });
    sim.run_until(Timestamp(10_000)).unwrap();
    check(&sim, 4).unwrap();
    assert_eq!(sim.counters().crashes, 4);
    assert!(lowest(&sim, 0..4) > 20, "{}", lowest(&sim, 0..4));
}

#[test]
fn an_equivocating_leader_divides_nobody_and_leaves_proof() {
    scenarios::an_equivocator_leaves_proof::<Simplex>();
}
