//! Machines are ticked at their deadline, by their own clock.

mod common;

use common::{Flaw, Node, PERIOD, Setup, announced, flawed, simulation};
use pocket_sim::{Fault, Plan, Simulation, SimulationError};
use pocket_types::number::{Duration, Timestamp};

#[test]
fn a_deadline_in_the_past_is_due_at_once() {
    let setup = Setup { flaw: Flaw::None, first: -500 };
    let mut run = Simulation::<Node>::new(setup, 1, Plan::calm(1));
    run.run_until(Timestamp(250)).unwrap();
    assert_eq!(announced(&run, 0), [(0, 1), (100, 2), (200, 3)]);
    // When it comes back its deadline lies in the past, but time does not go back.
    run.crash(0, Some(Duration(1_000)));
    run.run_until(Timestamp(1_400)).unwrap();
    assert_eq!(announced(&run, 0)[3..], [(1_250, 4), (1_350, 5)]);
    assert!(run.observations().is_sorted_by_key(|seen| seen.at));
}

#[test]
fn a_clock_that_is_off_shifts_what_its_node_sees_and_nothing_else() {
    let skew = |node, millis| Fault::Skew { node, millis };
    let mut run = simulation(3, Plan::calm(1).with(skew(0, 700)).with(skew(1, -40)));
    run.run_until(Timestamp(250)).unwrap();
    // Node 1's clock stays at 0 for 40 ms: no clock shows a time before the beginning.
    assert_eq!(announced(&run, 0), [(100, 1), (200, 2)]);
    assert_eq!(announced(&run, 1), [(140, 1), (240, 2)]);
    assert_eq!(announced(&run, 2), [(100, 1), (200, 2)]);
    assert!(run.counters().skewed > 0);
}

#[test]
fn a_deadline_that_never_moves_is_caught() {
    let mut run = flawed(1, Plan::calm(1), Flaw::StuckDeadline);
    let Err(SimulationError::DeadlineStuck { node, deadline, at, .. }) =
        run.run_until(Timestamp(5_000))
    else {
        panic!("not caught");
    };
    assert_eq!((node, deadline.0, at.0), (0, PERIOD.0, PERIOD.0));
}

#[test]
fn time_stands_where_a_run_was_told_to_stop() {
    let mut run = simulation(1, Plan::calm(1));
    run.run_until(Timestamp(42)).unwrap();
    assert_eq!(run.now(), Timestamp(42));
    let ended = run.run_while(Timestamp(900), |run| announced(run, 0).len() < 2).unwrap();
    assert_eq!((ended, run.now()), (true, Timestamp(200)));
}
