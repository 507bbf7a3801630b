//! Plans print, stay within their bounds, and shrink to what matters.

mod common;

use std::collections::BTreeSet;

use common::{Flaw, check_promise, flawed};
use pocket_sim::{
    Campaign, Counters, Fault, Link, Plan, PlanConfig, Stage, Window, explore, shrink,
};
use pocket_types::number::{Duration, Ppm, Timestamp};
use proptest::prelude::*;

const NODES: usize = 4;
const HEAL: Timestamp = Timestamp(3_000);

fn config() -> PlanConfig {
    PlanConfig {
        max_effect: 60,
        max_skew: Duration(50),
        max_stages: 3,
        last_stage: Stage { round: 2, phase: 9 },
        ..PlanConfig::new(NODES, HEAL)
    }
}

fn keeps_promise(plan: &Plan, flaw: Flaw) -> Result<Counters, String> {
    let mut run = flawed(NODES, plan.clone(), flaw);
    run.run_until(Timestamp(5_000)).map_err(|error| error.to_string())?;
    check_promise(&run, NODES)?;
    Ok(run.counters().clone())
}

#[test]
fn a_plan_prints_one_line_per_fault() {
    let window = Window { from: Timestamp(5), to: Timestamp(70) };
    let stage = Stage { round: 6, phase: 2 };
    let plan = Plan::calm(42)
        .with(Fault::Delay {
            min: Duration(1),
            max: Duration(9),
            window: Window::until(Timestamp(70)),
        })
        .with(Fault::Loss { rate: Ppm(2_500), window: Window::ALWAYS })
        .with(Fault::Duplication { rate: Ppm(10), window })
        .with(Fault::Link {
            from: 0,
            to: 3,
            link: Link::PERFECT,
            window: Window { to: Timestamp(u64::MAX), ..window },
        })
        .with(Fault::Partition { groups: vec![[0, 2].into(), [1].into()], window })
        .with(Fault::PartitionAt { stage, groups: vec![[0, 1].into()], window: Window::ALWAYS })
        .with(Fault::LossAt { stage, rate: Ppm(30), window })
        .with(Fault::DelayAt { stage, more: Duration(40), window })
        .with(Fault::Crash { nodes: [1, 2].into(), at: Timestamp(8), down: Some(Duration(3)) })
        .with(Fault::CrashAtEffect { node: 3, effect: 17, down: None })
        .with(Fault::FailedStore { node: 0, store: 4, until_crash: Duration(6) })
        .with(Fault::SlowStore { min: Duration(0), max: Duration(2) })
        .with(Fault::Skew { node: 1, millis: -5 });
    assert_eq!(
        plan.to_string(),
        "\
seed 42
  delay 1 to 9 ms, from 0 ms until 70 ms
  loss 2500 ppm, always
  duplication 10 ppm, from 5 ms until 70 ms
  link 0 to 3: 1 to 1 ms, loss 0 ppm, duplication 0 ppm, from 5 ms
  partition {0, 2} {1}, from 5 ms until 70 ms
  partition at round 6 phase 2 {0, 1}, always
  loss 30 ppm at round 6 phase 2, from 5 ms until 70 ms
  delay 40 ms more at round 6 phase 2, from 5 ms until 70 ms
  crash of {1, 2} at 8 ms, down for 3 ms
  crash of 3 after its effect 17, down for ever
  disk of 0 fails from store 4, crash 6 ms later
  storing takes 0 to 2 ms
  clock of 1 off by -5 ms
"
    );
}

#[test]
fn an_honest_protocol_keeps_its_promise_and_every_fault_takes_effect() {
    let mut total = Counters::default();
    explore(0..400, &config(), |plan| {
        keeps_promise(plan, Flaw::None).map(|counters| total.add(&counters))
    });
    assert!(total.faults().iter().all(|(_, count)| *count > 0), "{total}");
    let drawn: BTreeSet<&str> = (0..400)
        .flat_map(|seed| Plan::random(seed, &config()).faults)
        .map(|fault| fault.kind())
        .collect();
    assert_eq!(drawn.len(), 12, "all but links, which no seed draws: {drawn:?}");
    let counted: BTreeSet<&str> = total.faults().iter().map(|(kind, _)| *kind).collect();
    assert!(drawn.is_subset(&counted), "{drawn:?} {counted:?}");
}

#[test]
fn the_shrinker_leaves_what_the_failure_needs() {
    let fails = |plan: &Plan| keeps_promise(plan, Flaw::SpeaksEarly).is_err();
    let failing = (0..).map(|seed| Plan::random(seed, &config()));
    let failing = failing.filter(|plan| plan.faults.len() > 5 && fails(plan));
    for plan in failing.take(5) {
        let least = shrink(plan, fails);
        assert!(fails(&least), "{least}");
        for index in 0..least.faults.len() {
            let mut smaller = least.clone();
            smaller.faults.remove(index);
            assert!(!fails(&smaller), "fault {index} is not needed:\n{least}");
        }
        let of_the_disk = |fault: &Fault| {
            matches!(
                fault,
                Fault::Crash { .. }
                    | Fault::CrashAtEffect { .. }
                    | Fault::FailedStore { .. }
                    | Fault::SlowStore { .. }
            )
        };
        assert!(least.faults.iter().all(of_the_disk), "{least}");
        assert!(least.faults.len() <= 2, "{least}");
    }
}

#[test]
#[should_panic(expected = "crash of")]
fn what_explore_finds_it_prints() {
    explore(0..1_000, &config(), |plan| keeps_promise(plan, Flaw::SpeaksEarly).map(drop));
}

/// What can't go at first may go later: the shrinker tries again until nothing can.
#[test]
fn the_shrinker_comes_back_to_what_it_had_to_keep() {
    let [first, second] = [1, 2].map(|millis| Fault::Skew { node: 0, millis });
    let plan = Plan::calm(1).with(first.clone()).with(second);
    assert_eq!(shrink(plan, |plan| plan.faults != [first.clone()]), Plan::calm(1));
}

#[test]
fn a_plan_that_needs_nothing_shrinks_to_nothing() {
    let plan = Plan::random(9, &config());
    assert!(!plan.faults.is_empty());
    assert_eq!(shrink(plan, |_| true), Plan::calm(9));
}

proptest! {
    #[test]
    fn random_plans_heal_in_time(seed: u64, nodes in 1usize..9, heal in 10u64..100_000) {
        let config = PlanConfig {
            max_skew: Duration(30),
            max_stages: 3,
            last_stage: Stage { round: 5, phase: 3 },
            ..PlanConfig::new(nodes, Timestamp(heal))
        };
        let plan = Plan::random(seed, &config);
        prop_assert_eq!(&plan, &Plan::random(seed, &config));
        for fault in &plan.faults {
            let within = match fault {
                Fault::Delay { min, max, window } => {
                    min <= max && *max <= config.max_delay && window.to.0 <= heal
                }
                Fault::Loss { rate, window } => *rate <= config.max_loss && window.to.0 <= heal,
                Fault::Duplication { rate, window } => {
                    *rate <= config.max_duplication && window.to.0 <= heal
                }
                Fault::Partition { groups, window } => {
                    let members: Vec<_> = groups.iter().flatten().collect();
                    let once: BTreeSet<_> = members.iter().collect();
                    once.len() == members.len() && once.len() == nodes && window.to.0 <= heal
                }
                Fault::Crash { nodes: who, at, down } => {
                    who.iter().all(|&node| node < nodes)
                        && down.is_some_and(|down| at.0 + down.0 <= heal)
                }
                Fault::CrashAtEffect { node, effect, down } => {
                    *node < nodes
                        && (1..=config.max_effect).contains(effect)
                        && down.is_some_and(|down| down.0 <= heal / 10)
                }
                Fault::FailedStore { node, until_crash, .. } => {
                    *node < nodes && until_crash.0 <= heal / 10
                }
                Fault::SlowStore { min, max } => min <= max && *max <= config.max_store,
                Fault::Skew { node, millis } => *node < nodes && millis.unsigned_abs() <= 30,
                Fault::PartitionAt { stage, groups, window } => {
                    let members: BTreeSet<_> = groups.iter().flatten().collect();
                    *stage <= config.last_stage && stage.phase <= 3
                        && members.len() == nodes && window.to.0 <= heal
                }
                Fault::LossAt { stage, rate, window } => {
                    *stage <= config.last_stage && stage.phase <= 3
                        && *rate <= Ppm::ONE && window.to.0 <= heal
                }
                Fault::DelayAt { stage, more, window } => {
                    *stage <= config.last_stage && stage.phase <= 3
                        && *more <= config.max_stage_delay && window.to.0 <= heal
                }
                other => panic!("{other} has no bound yet"),
            };
            prop_assert!(within, "{}", fault);
        }
    }
}

#[test]
fn a_campaign_adds_up_what_took_effect() {
    let campaign = Campaign::new("promise", 0..100);
    let total = campaign.plans(&config(), |plan| keeps_promise(plan, Flaw::None));
    assert!(total.crashes > 0 && total.stage_lost > 0, "{total}");
}

#[test]
#[should_panic(expected = "shrunk, it fails: node")]
fn a_campaign_shrinks_its_first_failure() {
    Campaign::new("promise", 0..1_000)
        .plans(&config(), |plan| keeps_promise(plan, Flaw::SpeaksEarly));
}
