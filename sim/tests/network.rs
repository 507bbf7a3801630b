//! Messages are delayed, lost, duplicated, parted and filtered as the plan says, and not otherwise.

mod common;

use std::collections::BTreeSet;

use common::{Event, Input, announced, heard, simulation};
use pocket_sim::{Fate, Fault, Link, Observation, Plan, Stage, Window};
use pocket_types::number::{Duration, Ppm, Timestamp};

const END: Timestamp = Timestamp(10_050);

fn window(from: u64, to: u64) -> Window {
    Window { from: Timestamp(from), to: Timestamp(to) }
}

fn group(nodes: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    nodes.into_iter().collect()
}

#[test]
fn on_a_calm_network_everything_arrives_once_a_millisecond_later() {
    let mut run = simulation(3, Plan::calm(1));
    run.run_until(END).unwrap();
    let expected: Vec<_> = (1..=100).map(|n| (n * 100, n)).collect();
    assert_eq!(announced(&run, 0), expected);
    let later: Vec<_> = (1..=100).map(|n| (n * 100 + 1, n)).collect();
    assert_eq!((heard(&run, 1, 0), heard(&run, 2, 0)), (later.clone(), later));
    let counters = run.counters();
    assert_eq!(counters.sent, [200; 3]);
    assert_eq!(counters.bytes, [1600; 3]);
    assert_eq!(counters.kinds["announcement"], 600);
    assert_eq!(counters.delivered, 600);
    // Each number is stored and announced, and each that is heard is told.
    assert_eq!(counters.effects, [400; 3]);
    assert_eq!(counters.ticks, 300);
    assert!(counters.faults().iter().all(|(_, count)| *count == 0));
}

#[test]
fn delays_keep_to_their_range_and_messages_overtake_each_other() {
    let plan = Plan::calm(5).with(Fault::Delay {
        min: Duration(20),
        max: Duration(400),
        window: Window::ALWAYS,
    });
    let mut run = simulation(2, plan);
    run.run_until(END).unwrap();
    let heard = heard(&run, 1, 0);
    let delays: Vec<_> = heard.iter().map(|(at, number)| at - number * 100).collect();
    assert!(delays.iter().all(|delay| (20..=400).contains(delay)), "{delays:?}");
    assert!(delays.iter().any(|&delay| delay < 60) && delays.iter().any(|&delay| delay > 360));
    assert!(heard.windows(2).any(|pair| pair[0].1 > pair[1].1), "none overtook");
}

#[test]
fn a_link_loses_as_often_as_it_should() {
    let loss = |rate| Fault::Loss { rate: Ppm(rate), window: Window::ALWAYS };
    let mut run = simulation(3, Plan::calm(5).with(loss(250_000)));
    run.run_until(END).unwrap();
    let counters = run.counters();
    assert!((100..200).contains(&counters.lost), "{} of 600 lost", counters.lost);
    assert_eq!(counters.lost + counters.delivered, 600);

    let mut run = simulation(3, Plan::calm(5).with(loss(1_000_000)));
    run.run_until(END).unwrap();
    assert_eq!((run.counters().lost, run.counters().delivered), (600, 0));
}

#[test]
fn a_duplicated_message_arrives_twice() {
    let plan = Plan::calm(5)
        .with(Fault::Duplication { rate: Ppm::ONE, window: Window::until(Timestamp(1_050)) });
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(2_050)).unwrap();
    let numbers: Vec<_> = heard(&run, 1, 0).into_iter().map(|(_, n)| n).collect();
    let expected: Vec<_> = (1..=10).flat_map(|n| [n, n]).chain(11..=20).collect();
    assert_eq!(numbers, expected);
    assert_eq!(run.counters().duplicated, 20);
}

#[test]
fn a_link_of_its_own_differs_in_one_direction_for_its_time() {
    let link = Link { min: Duration(30), max: Duration(30), ..Link::PERFECT };
    let plan = Plan::calm(5).with(Fault::Link { from: 0, to: 1, link, window: window(200, 400) });
    let mut run = simulation(3, plan);
    run.run_until(Timestamp(450)).unwrap();
    assert_eq!(heard(&run, 1, 0), [(101, 1), (230, 2), (330, 3), (401, 4)]);
    assert_eq!(heard(&run, 0, 1), [(101, 1), (201, 2), (301, 3), (401, 4)]);
    assert_eq!(heard(&run, 2, 0), [(101, 1), (201, 2), (301, 3), (401, 4)]);
}

#[test]
fn parted_nodes_hear_their_own_group_only_until_it_heals() {
    let plan = Plan::calm(5).with(Fault::Partition {
        groups: vec![group([0, 1]), group([2, 3])],
        window: window(150, 350),
    });
    let mut run = simulation(5, plan);
    run.run_until(Timestamp(450)).unwrap();
    let numbers =
        |node, from| heard(&run, node, from).into_iter().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(numbers(0, 1), [1, 2, 3, 4]);
    assert_eq!(numbers(3, 2), [1, 2, 3, 4]);
    assert_eq!(numbers(0, 2), [1, 4]);
    assert_eq!(numbers(2, 1), [1, 4]);
    assert_eq!(numbers(4, 0), [1, 4], "a node in no group hears nobody");
    assert_eq!(numbers(1, 4), [1, 4]);
    assert_eq!(run.counters().partitioned, 2 * 16);
}

#[test]
fn what_is_under_way_when_a_partition_begins_is_lost() {
    let slow = Fault::Delay { min: Duration(40), max: Duration(40), window: Window::ALWAYS };
    let partition =
        Fault::Partition { groups: vec![group([0]), group([1])], window: window(120, 190) };
    let mut run = simulation(2, Plan::calm(5).with(slow).with(partition));
    run.run_until(Timestamp(250)).unwrap();
    assert_eq!(heard(&run, 1, 0), [(240, 2)]);
}

#[test]
fn a_filter_decides_about_every_message_and_its_delay_beats_the_plan() {
    let everything_fails = Fault::Loss { rate: Ppm::ONE, window: Window::ALWAYS };
    let alone = Fault::Partition { groups: vec![], window: Window::ALWAYS };
    let mut run = simulation(2, Plan::calm(5).with(everything_fails).with(alone));
    run.filter(|envelope| match (envelope.from, envelope.message) {
        (0, 2) => Fate::Delay(Duration(500)),
        (0, 3) => Fate::Drop,
        _ => Fate::Deliver,
    });
    run.run_until(Timestamp(1_050)).unwrap();
    assert_eq!(heard(&run, 1, 0), [(700, 2)]);
    assert_eq!(heard(&run, 0, 1), []);
    let counters = run.counters();
    assert_eq!((counters.filtered, counters.delayed), (1, 1));
    assert_eq!(counters.partitioned, 18);
}

#[test]
fn a_node_hears_itself_whoever_else_it_does_not() {
    let alone = Fault::Partition { groups: vec![], window: Window::ALWAYS };
    let mut run = simulation(2, Plan::calm(5).with(alone));
    run.input(0, Input::Remind);
    run.run_until(Timestamp(50)).unwrap();
    assert_eq!((heard(&run, 0, 0), heard(&run, 1, 0)), (vec![(1, 77)], vec![]));
}

#[test]
fn where_several_faults_speak_of_the_same_thing_the_last_one_holds() {
    let delay = |millis| {
        let (min, max) = (Duration(millis), Duration(millis));
        [Fault::SlowStore { min, max }, Fault::Delay { min, max, window: Window::ALWAYS }]
    };
    let mut plan = Plan::calm(5);
    plan.faults.extend([delay(20), delay(3)].concat());
    plan.faults.extend([40, 7].map(|millis| Fault::Skew { node: 0, millis }));
    let mut run = simulation(2, plan);
    run.run_until(Timestamp(150)).unwrap();
    // Its clock shows 7 ms more when it boots, so its deadline is 107 by that clock.
    assert_eq!((announced(&run, 0), heard(&run, 1, 0)), (vec![(103, 1)], vec![(106, 1)]));
    assert!(run.observations().contains(&Observation {
        at: Timestamp(0),
        node: 0,
        event: Event::Booted { at: Timestamp(7) }
    }));
}

type Counted = Vec<(&'static str, u64)>;

/// What node 1 hears from node 0 of its numbers up to 20, of which 13 is a stage of its own.
fn heard_at(fault: Fault) -> (Vec<(u64, u64)>, Counted) {
    let mut run = simulation(3, Plan::calm(5).with(fault));
    run.run_until(Timestamp(2_050)).unwrap();
    let counted = run.counters().faults().into_iter().filter(|(_, count)| *count > 0).collect();
    (heard(&run, 1, 0), counted)
}

const STAGE: Stage = Stage { round: 1, phase: 3 };

#[test]
fn faults_strike_at_a_stage_of_the_protocol_whenever_it_comes() {
    let all: Vec<_> = (1..=20).map(|n| (n * 100 + 1, n)).collect();
    let rest: Vec<_> = all.iter().copied().filter(|(_, n)| *n != 13).collect();

    let groups = vec![group([0, 2]), group([1])];
    let parted = Fault::PartitionAt { stage: STAGE, groups, window: Window::ALWAYS };
    assert_eq!(heard_at(parted), (rest.clone(), vec![("partition at a stage", 4)]));

    let lost = Fault::LossAt { stage: STAGE, rate: Ppm::ONE, window: Window::ALWAYS };
    assert_eq!(heard_at(lost), (rest.clone(), vec![("loss at a stage", 6)]));

    let more = Duration(250);
    let late = Fault::DelayAt { stage: STAGE, more, window: Window::ALWAYS };
    let mut delayed = rest;
    delayed.insert(14, (1_551, 13));
    assert_eq!(heard_at(late), (delayed, vec![("delay at a stage", 6)]));

    let over = Fault::LossAt { stage: STAGE, rate: Ppm::ONE, window: window(0, 1_300) };
    assert_eq!(heard_at(over), (all, vec![]));
}
