//! Everything works: one block a block time, eight messages per block and replica.

use crate::common::{Event, Setup, check, height, simulate};
use pocket_sim::Plan;
use pocket_types::number::{Duration, Timestamp};

#[test]
fn four_validators_decide_a_block_every_block_time() {
    let mut sim = simulate(Setup::new(&[10; 4]), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    assert!((0..4).all(|node| height(&sim, node) == 20), "{}", height(&sim, 0));
    let times: Vec<u64> = sim.disk(0).chain.iter().map(|entry| entry.block.header.time.0).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
}

#[test]
fn a_block_takes_eight_messages_for_each_other_replica() {
    for n in [4, 7] {
        let mut sim = simulate(Setup::new(&vec![10; n]), n, Plan::calm(1));
        sim.run_until(Timestamp(1_050)).unwrap();
        let before = sim.counters().kinds.clone();
        sim.run_until(Timestamp(2_050)).unwrap();
        assert_eq!(height(&sim, 0), 20);
        let kinds = &sim.counters().kinds;
        let sent = |kind| (kinds[kind] - before[kind]) as usize;
        assert_eq!(sent("new round"), 10 * (n - 1));
        assert_eq!(sent("proposal"), 10 * (n - 1));
        assert_eq!(sent("vote"), 10 * 3 * (n - 1));
        assert_eq!(sent("certificate"), 10 * 3 * (n - 1));
    }
}

#[test]
fn a_replica_stores_four_or_five_steps_a_height() {
    let mut sim = simulate(Setup::new(&[10; 4]), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    for node in 0..4 {
        let steps = &sim.disk(node).steps;
        assert!((2..20).all(|height| (3..=5).contains(&steps[&height])), "{steps:?}");
        assert!(sim.disk(node).most_records <= 4);
    }
}

#[test]
fn the_next_header_names_everybody_who_was_there() {
    let mut sim = simulate(Setup::new(&[10; 7]), 7, Plan::calm(1));
    sim.run_until(Timestamp(1_050)).unwrap();
    for entry in &sim.disk(0).chain[1..] {
        let certificate = entry.block.header.parent_certificate.as_ref().unwrap();
        assert_eq!(certificate.positions().count(), 7);
    }
}

#[test]
fn leaders_take_turns_by_weight() {
    let mut sim = simulate(Setup::new(&[30, 10, 10, 10]), 4, Plan::calm(1));
    sim.run_until(Timestamp(6_050)).unwrap();
    check(&sim, 4).unwrap();
    let chain = &sim.disk(0).chain;
    assert_eq!(chain.len(), 60);
    let by = |node| {
        chain.iter().filter(|e| e.block.header.proposer == crate::common::public(node)).count()
    };
    assert_eq!([0, 1, 2, 3].map(by), [30, 10, 10, 10]);
}

#[test]
fn one_validator_alone_decides() {
    let mut sim = simulate(Setup::new(&[1]), 1, Plan::calm(1));
    sim.run_until(Timestamp(1_050)).unwrap();
    check(&sim, 1).unwrap();
    assert_eq!(height(&sim, 0), 10);
}

#[test]
fn validator_sets_change_two_heights_after_the_block_that_changes_them() {
    let mut setup = Setup::new(&[10, 10, 10, 10]);
    setup.changes.insert(3, vec![10, 10, 10, 0, 10]);
    setup.changes.insert(6, vec![0, 10, 25, 0, 10, 10]);
    let mut sim = simulate(setup, 6, Plan::calm(1));
    sim.run_until(Timestamp(1_550)).unwrap();
    check(&sim, 6).unwrap();
    for node in 0..6 {
        assert!(height(&sim, node) >= 14, "node {node} at {}", height(&sim, node));
    }
    let epochs: Vec<u64> = sim.disk(1).chain.iter().map(|e| e.block.header.epoch.0).collect();
    assert_eq!(epochs[..9], [0, 0, 0, 0, 1, 1, 1, 2, 2]);
    let decided = |node| {
        let seen = sim.observations().iter().filter(move |seen| seen.node == node);
        seen.filter(|seen| matches!(seen.event, Event::Decided(..))).count()
    };
    assert!(decided(4) > 5 && decided(5) > 5, "newcomers decide for themselves");
    assert!(!sim.process(3).unwrap().replica().is_validator());
}

#[test]
fn an_observer_follows_by_announcements_and_ranges() {
    let mut sim = simulate(Setup::new(&[10; 4]), 6, Plan::calm(1));
    sim.crash(5, Some(Duration(1_000)));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 6).unwrap();
    assert_eq!(height(&sim, 4), 20);
    assert_eq!(height(&sim, 5), 20);
}
