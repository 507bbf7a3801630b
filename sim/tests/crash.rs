//! A crash takes away what was not stored, and nothing else; what was not stored never leaves.

mod common;

use common::{Event, Flaw, Input, announced, check_promise, flawed, heard, simulation};
use pocket_sim::{Fault, Plan, SimulationError};
use pocket_types::number::{Duration, Timestamp};

const SLOW: Fault = Fault::SlowStore { min: Duration(50), max: Duration(50) };

fn crash_at(node: usize, at: u64, down: u64) -> Fault {
    Fault::Crash { nodes: [node].into(), at: Timestamp(at), down: Some(Duration(down)) }
}

fn crash_after(node: usize, effect: u64, down: u64) -> Fault {
    Fault::CrashAtEffect { node, effect, down: Some(Duration(down)) }
}

#[test]
fn outputs_leave_when_their_records_are_stored() {
    let mut run = simulation(2, Plan::calm(1).with(SLOW));
    run.run_until(Timestamp(149)).unwrap();
    assert!(run.disk(0).is_empty() && announced(&run, 0).is_empty());
    run.run_until(Timestamp(150)).unwrap();
    assert_eq!((run.disk(0).clone(), announced(&run, 0)), (vec![1], vec![(150, 1)]));
}

#[test]
fn a_step_without_records_does_not_overtake_an_unstored_one() {
    let mut run = simulation(1, Plan::calm(1).with(SLOW));
    run.run_until(Timestamp(110)).unwrap();
    run.input(0, Input::Hear { from: 9, number: 9 });
    run.run_until(Timestamp(200)).unwrap();
    assert_eq!(heard(&run, 0, 9), [(150, 9)]);
}

#[test]
fn a_crash_before_the_store_completes_loses_records_and_outputs() {
    let plan = Plan::calm(1).with(SLOW).with(crash_at(0, 140, 200));
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(430)).unwrap();
    assert!(run.disk(0).is_empty() && announced(&run, 0).is_empty());
    assert_eq!(run.counters().unstored, 1);
    run.run_until(Timestamp(500)).unwrap();
    assert_eq!(announced(&run, 0), [(490, 1)], "the number was never announced, so it is free");
}

#[test]
fn a_crash_after_the_store_keeps_the_records_but_nothing_left() {
    let plan = Plan::calm(1).with(crash_after(0, 1, 250));
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(340)).unwrap();
    assert_eq!((run.disk(0).clone(), announced(&run, 0)), (vec![1], vec![]));
    assert!(run.process(0).is_none() && run.process(1).is_some());
    run.run_until(Timestamp(460)).unwrap();
    assert_eq!(announced(&run, 0), [(450, 2)], "the machine goes on from what was stored");
}

#[test]
fn a_crash_after_an_output_lets_that_output_leave_and_no_other() {
    // Node 0 stores and announces 1, hears 1 from nodes 1 and 2: effects 1 to 4.
    let mut run = simulation(3, Plan::calm(1).with(crash_after(0, 3, 10_000)));
    run.run_until(Timestamp(450)).unwrap();
    assert_eq!(announced(&run, 0), [(100, 1)]);
    assert_eq!((heard(&run, 0, 1), heard(&run, 0, 2)), (vec![(101, 1)], vec![]));
    assert_eq!(heard(&run, 1, 0), [(101, 1)]);
}

#[test]
fn effects_are_counted_over_all_lives() {
    let plan = Plan::calm(1).with(crash_after(0, 1, 0)).with(crash_after(0, 2, 0));
    let mut run = simulation(1, plan);
    run.run_until(Timestamp(1_000)).unwrap();
    assert_eq!(run.counters().crashes, 2);
    assert_eq!(announced(&run, 0)[0], (300, 3));
}

#[test]
fn messages_and_answers_for_a_node_that_is_down_are_lost() {
    let mut run = simulation(2, Plan::calm(1).with(crash_at(1, 320, 10)));
    run.input(1, Input::Ask);
    run.run_until(Timestamp(60)).unwrap();
    assert_eq!(heard(&run, 1, usize::MAX), [(50, 0)], "an answer comes back");
    run.run_until(Timestamp(300)).unwrap();
    run.input(1, Input::Ask);
    run.crash(1, None);
    run.run_until(Timestamp(310)).unwrap();
    run.restart(1);
    run.run_until(Timestamp(380)).unwrap();
    assert_eq!(heard(&run, 1, usize::MAX).len(), 1, "a crash loses it");
    assert_eq!(heard(&run, 1, 0).len(), 2);
    assert_eq!(run.counters().missed, 1);
    assert_eq!((run.counters().crashes, run.counters().restarts), (2, 2));
}

#[test]
fn nodes_crash_together_when_an_observation_holds() {
    let mut run = simulation(4, Plan::calm(1));
    run.crash_when([0, 1, 2], Some(Duration(50)), |seen| {
        matches!((seen.node, seen.event), (3, Event::Heard { from: 1, number: 3.. }))
    });
    let held = run.run_while(Timestamp(9_999), |run| run.counters().crashes == 0).unwrap();
    assert!(held);
    assert_eq!(run.now(), Timestamp(301));
    assert!((0..3).all(|node| run.process(node).is_none()) && run.process(3).is_some());
    run.run_until(Timestamp(9_999)).unwrap();
    assert_eq!((run.counters().crashes, run.counters().restarts), (3, 3), "it happens once");
}

#[test]
fn an_observation_in_the_middle_of_a_step_crashes_the_observer_there() {
    let mut run = simulation(2, Plan::calm(1));
    run.crash_when([0], None, |seen| seen.event == Event::Announced(2));
    run.run_until(Timestamp(1_000)).unwrap();
    // The host observes before it broadcasts, and what it was doing is no effect then.
    assert_eq!(run.counters().effects[0], 4);
    assert_eq!(heard(&run, 1, 0), [(101, 1)]);
    assert_eq!(*run.disk(0), [1, 2]);
}

#[test]
fn a_node_without_return_stays_down() {
    let plan =
        Plan::calm(1).with(Fault::Crash { nodes: [0, 1].into(), at: Timestamp(500), down: None });
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(100_000)).unwrap();
    assert_eq!(run.counters().restarts, 0);
    assert_eq!(announced(&run, 0).len(), 5 - 1, "the crash comes before what else is due then");
}

#[test]
fn stores_complete_in_order_whatever_each_takes() {
    let plan = Plan::calm(3).with(Fault::SlowStore { min: Duration(0), max: Duration(1_000) });
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(20_000)).unwrap();
    assert!(run.disk(0).len() > 100);
    assert!(run.disk(0).is_sorted());
    assert!(announced(&run, 0).iter().map(|said| said.1).is_sorted());
}

#[test]
fn nothing_leaves_after_a_failed_store_until_the_node_is_back() {
    let plan =
        Plan::calm(1).with(Fault::FailedStore { node: 0, store: 3, until_crash: Duration(500) });
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(799)).unwrap();
    assert_eq!(*run.disk(0), [1, 2]);
    assert_eq!(announced(&run, 0), [(100, 1), (200, 2)]);
    assert!(run.observations().iter().any(|seen| seen.event == Event::Refused));
    assert_eq!(run.counters().failed_stores, 1);
    run.run_until(Timestamp(1_000)).unwrap();
    assert_eq!(announced(&run, 0)[2..], [(900, 3), (1_000, 4)]);
    check_promise(&run, 2).unwrap();
}

#[test]
fn a_machine_that_goes_on_after_a_failed_store_is_caught() {
    let plan =
        Plan::calm(1).with(Fault::FailedStore { node: 1, store: 2, until_crash: Duration(500) });
    let mut run = flawed(2, plan, Flaw::SpeaksAfterFailure);
    let caught = SimulationError::OutputAfterFailedStore { node: 1, at: Timestamp(200) };
    assert_eq!(run.run_until(Timestamp(1_000)), Err(caught));
}

#[test]
fn what_was_being_stored_when_the_disk_failed_is_lost_too() {
    let plan = Plan::calm(1)
        .with(Fault::SlowStore { min: Duration(250), max: Duration(250) })
        .with(Fault::FailedStore { node: 0, store: 2, until_crash: Duration(1_000) });
    let mut run = simulation(1, plan);
    run.run_until(Timestamp(1_400)).unwrap();
    assert_eq!((run.disk(0).clone(), run.counters().failed_stores), (vec![1], 3));
}

#[test]
fn a_node_restarted_by_hand_does_not_come_back_twice() {
    let mut run = simulation(1, Plan::calm(1).with(crash_at(0, 150, 100)));
    run.run_until(Timestamp(160)).unwrap();
    run.restart(0);
    run.crash(0, None);
    run.run_until(Timestamp(1_000)).unwrap();
    assert!(run.process(0).is_none(), "the restart belonged to the first crash");
    run.restart(0);
    run.restart(0);
    assert_eq!(run.counters().restarts, 2);
}
