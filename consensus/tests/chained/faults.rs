//! What every chained protocol promises when nodes crash, messages are lost, leaders lie and epochs end.

use pocket_consensus::replica::message::Message;
use pocket_consensus::{Protocol, Record};
use pocket_sim::{Fate, Fault, Plan, Window};
use pocket_types::evidence::OffenceKind;
use pocket_types::number::{Duration, Ppm, Round, Timestamp};
use pocket_types::vote::Phase;

use crate::common::{
    Event, Net, Setup, Sim, check, group, height, lowest, node_of, scenarios, simulate_by,
};

fn setup(weights: &[u64]) -> Setup {
    let mut setup = Setup::cheap(weights);
    // Three rounds in a row are to be had whoever is missing.
    setup.config.leader_rounds = 4;
    setup
}

#[test]
fn a_dead_validator_stops_nothing() {
    fn dead<P: Protocol>() {
        for (weights, dead) in [(vec![10; 4], 2), (vec![10, 10, 15, 8, 12], 3)] {
            let nodes = weights.len();
            let mut sim = simulate_by::<P>(setup(&weights), nodes, Plan::calm(1));
            sim.crash(dead, None);
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, nodes).unwrap();
            let lowest = lowest(&sim, (0..nodes).filter(|&node| node != dead));
            assert!(lowest >= 25, "{:?}: {lowest} blocks", P::ID);
        }
    }
    crate::chained::each!(dead());
}

#[test]
fn without_a_quorum_on_one_side_nothing_is_decided_and_healing_goes_on() {
    fn parted<P: Protocol>() {
        let groups = vec![group(&[0, 1]), group(&[2, 3])];
        let window = Window { from: Timestamp(520), to: Timestamp(3_000) };
        let plan = Plan::calm(1).with(Fault::Partition { groups, window });
        let mut sim = simulate_by::<P>(setup(&[10; 4]), 4, plan);
        sim.run_until(Timestamp(2_990)).unwrap();
        assert!((0..4).all(|node| height(&sim, node) <= 6));
        sim.run_until(Timestamp(8_000)).unwrap();
        check(&sim, 4).unwrap();
        assert!(lowest(&sim, 0..4) >= 15, "{:?}: {}", P::ID, lowest(&sim, 0..4));
    }
    crate::chained::each!(parted());
}

#[test]
fn the_minority_catches_up_by_ranges_when_a_partition_heals() {
    fn minority<P: Protocol>() {
        let groups = vec![group(&[0, 1, 2, 3, 4]), group(&[5, 6])];
        let window = Window { from: Timestamp(520), to: Timestamp(8_000) };
        let plan = Plan::calm(1).with(Fault::Partition { groups, window });
        let mut sim = simulate_by::<P>(setup(&[10; 7]), 7, plan);
        sim.run_until(Timestamp(7_990)).unwrap();
        let before = (lowest(&sim, 0..5), height(&sim, 6));
        assert!(before.0 >= 10 && before.1 <= 6, "{:?}: {before:?}", P::ID);
        sim.run_until(Timestamp(11_000)).unwrap();
        check(&sim, 7).unwrap();
        let tops: Vec<u64> = (0..7).map(|node| height(&sim, node)).collect();
        assert!(tops.iter().max().unwrap() - tops.iter().min().unwrap() <= 2, "{tops:?}");
        let applied = |seen: &pocket_sim::Observation<Event>| {
            seen.node >= 5 && matches!(seen.event, Event::Applied(..))
        };
        assert!(sim.observations().iter().filter(|seen| applied(seen)).count() >= 6);
    }
    crate::chained::each!(minority());
}

#[test]
fn a_tenth_of_all_messages_may_be_lost() {
    fn lossy<P: Protocol>() {
        for seed in 0..3 {
            let loss = Fault::Loss { rate: Ppm(100_000), window: Window::ALWAYS };
            let mut sim = simulate_by::<P>(setup(&[10; 4]), 4, Plan::calm(seed).with(loss));
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, 4).unwrap();
            let lowest = lowest(&sim, 0..4);
            assert!(lowest >= 25, "{:?} seed {seed}: {lowest}", P::ID);
        }
    }
    crate::chained::each!(lossy());
}

#[test]
fn a_restart_after_any_effect_signs_nothing_twice_and_stops_nothing() {
    fn restarts<P: Protocol>() {
        scenarios::restarts_after_any_effect::<P>(&setup(&[10; 4]), 1..40, Timestamp(2_000), 4);
    }
    crate::chained::each!(restarts());
}

/// Blocks are certified, nothing but timeouts gets through any more, so that the highest certificate is
/// in every log; then all crash. If the block itself were lost, nobody could ever propose again.
#[test]
fn when_all_crash_nothing_certified_is_lost() {
    fn all<P: Protocol>() {
        for n in [4, 7] {
            let mut sim = simulate_by::<P>(setup(&vec![10; n]), n, Plan::calm(1));
            sim.filter(|envelope| {
                let mute = (700..1_000).contains(&envelope.sent.0);
                match &envelope.message {
                    Net::Consensus(Message::NewRound(_)) => Fate::Deliver,
                    Net::Consensus(_) if mute => Fate::Drop,
                    _ => Fate::Deliver,
                }
            });
            sim.run_until(Timestamp(1_000)).unwrap();
            let decided = lowest(&sim, 0..n);
            let highest = |sim: &Sim<P>| {
                let logs = (0..n).flat_map(|node| sim.disk(node).log.clone());
                let certificates = logs.filter_map(|record| match record {
                    Record::HighQc(certificate) => Some(certificate.data),
                    Record::Body(block) => Some(block.header.parent_certificate.unwrap().data),
                    _ => None,
                });
                certificates.max_by_key(|data| data.round).unwrap()
            };
            let high = highest(&sim);
            assert!(high.height.0 > decided, "{:?}: {high:?} above {decided}", P::ID);
            (0..n).for_each(|node| sim.crash(node, Some(Duration(300))));
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, n).unwrap();
            assert!(lowest(&sim, 0..n) > decided + 10, "{:?}: {}", P::ID, lowest(&sim, 0..n));
            let entry = &sim.disk(0).chain[high.height.0 as usize - 1];
            assert_eq!(entry.block.id(), high.block, "{:?}", P::ID);
        }
    }
    crate::chained::each!(all());
}

#[test]
fn an_equivocating_leader_divides_nobody_and_leaves_proof() {
    fn equivocates<P: Protocol>() {
        for n in [4, 7] {
            let mut setup = setup(&vec![10; n]);
            setup.byzantine = group(&[1]);
            let mut sim = simulate_by::<P>(setup, n, Plan::calm(1));
            sim.run_until(Timestamp(10_000)).unwrap();
            check(&sim, n).unwrap();
            let lowest = lowest(&sim, (0..n).filter(|&node| node != 1));
            assert!(lowest >= 20, "{:?}: {lowest}", P::ID);
            let proofs: Vec<_> = sim
                .observations()
                .iter()
                .filter_map(|seen| match &seen.event {
                    Event::Evidence(evidence) => Some(evidence.offence()),
                    _ => None,
                })
                .collect();
            assert!(proofs.iter().all(|offence| node_of(&offence.offender) == 1));
            assert!(
                proofs
                    .iter()
                    .any(|offence| offence.kind == OffenceKind::Equivocation(Phase::Prepare))
            );
            let in_blocks = sim.disk(0).chain.iter().flat_map(|entry| entry.block.evidence.iter());
            assert!(in_blocks.count() > 0, "{:?}: evidence goes into blocks", P::ID);
        }
    }
    crate::chained::each!(equivocates());
}

/// Sets change two heights after the block that changes them; the last block of an epoch is decided by
/// a proof of its own, and no filler is ever decided.
#[test]
fn epochs_follow_each_other() {
    fn epochs<P: Protocol>() {
        let mut setup = setup(&[10, 10, 10, 10]);
        setup.changes.insert(3, vec![10, 10, 10, 0, 10]);
        setup.changes.insert(6, vec![0, 10, 25, 0, 10, 10]);
        setup.changes.insert(7, vec![0, 10, 25, 0, 10, 11]);
        let mut sim = simulate_by::<P>(setup, 6, Plan::calm(1));
        sim.run_until(Timestamp(4_000)).unwrap();
        check(&sim, 6).unwrap();
        for node in 0..6 {
            assert!(height(&sim, node) >= 14, "{:?}: {node} at {}", P::ID, height(&sim, node));
        }
        let chain = &sim.disk(1).chain;
        let epochs: Vec<u64> = chain.iter().map(|e| e.block.header.epoch.0).collect();
        assert_eq!(epochs[..10], [0, 0, 0, 0, 1, 1, 1, 2, 3, 3]);
        for entry in chain {
            let header = &entry.block.header;
            let last = header.validators != header.next_validators;
            assert!(!last || entry.proof.header() == Some(header), "{:?}", P::ID);
        }
        let decided = |node| {
            let seen = sim.observations().iter().filter(move |seen| seen.node == node);
            seen.filter(|seen| matches!(seen.event, Event::Decided(..))).count()
        };
        assert!(decided(4) > 5 && decided(5) > 4, "newcomers decide for themselves");
        assert!(!sim.process(3).unwrap().replica().is_validator());
    }
    crate::chained::each!(epochs());
}

#[test]
fn one_proof_may_decide_several_blocks_and_sync_follows() {
    fn runs<P: Protocol>() {
        // In the turns of a leader of one round, next to a dead one, certificates come singly.
        let mut setup = Setup::cheap(&[10; 7]);
        setup.config.block_time = Duration(20);
        let mut sim = simulate_by::<P>(setup, 8, Plan::calm(1));
        let dead = node_of(&sim.process(0).unwrap().replica().leader(Round(3)));
        sim.crash(dead, None);
        sim.crash(7, Some(Duration(3_000)));
        sim.run_until(Timestamp(8_000)).unwrap();
        check(&sim, 8).unwrap();
        let live = (0..7).find(|&node| node != dead).unwrap();
        assert!(sim.disk(live).runs > 3, "{:?}: {}", P::ID, sim.disk(live).runs);
        assert!(height(&sim, 7) + 3 >= height(&sim, live), "{:?}: {}", P::ID, height(&sim, 7));
        assert!(sim.disk(7).runs > 3);
    }
    crate::chained::each!(runs());
}

#[test]
fn the_same_plan_gives_the_same_run() {
    fn same<P: Protocol>() {
        let run = |seed| {
            let loss = Fault::Loss { rate: Ppm(100_000), window: Window::ALWAYS };
            let mut sim = simulate_by::<P>(setup(&[10; 4]), 4, Plan::calm(seed).with(loss));
            sim.run_until(Timestamp(1_500)).unwrap();
            sim.trace()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
    crate::chained::each!(same());
}
