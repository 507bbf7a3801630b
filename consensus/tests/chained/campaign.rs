//! Random lives of each variant: plans of crashes, partitions, loss, slow and failing stores and clocks
//! that are off, with and without a Byzantine validator. A failure prints a plan that replays it.

use std::collections::BTreeSet;

use pocket_consensus::{ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon, Protocol};
use pocket_sim::{Counters, Plan, PlanConfig, explore};
use pocket_types::number::{Duration, Timestamp};

use crate::common::{Setup, Sim, check, height, simulate_by};

const HEAL: Timestamp = Timestamp(1_500);
const END: Timestamp = Timestamp(30_000);

/// Agreement all the time, and five more blocks everywhere once the network has healed.
fn run<P: Protocol>(setup: &Setup, nodes: usize, plan: &Plan) -> Result<Counters, String> {
    let mut sim = simulate_by::<P>(setup.clone(), nodes, plan.clone());
    sim.run_until(HEAL).map_err(|error| error.to_string())?;
    let goal = (0..nodes).map(|node| height(&sim, node)).max().unwrap_or(0) + 5;
    let lags = |sim: &Sim<P>| {
        (0..nodes).any(|node| !setup.byzantine.contains(&node) && height(sim, node) < goal)
    };
    let reached = sim.run_while(END, lags).map_err(|error| error.to_string())?;
    check(&sim, nodes)?;
    if !reached {
        let heights: Vec<u64> = (0..nodes).map(|node| height(&sim, node)).collect();
        return Err(format!("{:?}: heights {heights:?} at the end, goal {goal}", P::ID));
    }
    Ok(sim.counters().clone())
}

fn campaign<P: Protocol>(setup: &Setup, nodes: usize, seeds: std::ops::Range<u64>) {
    let config = PlanConfig {
        max_delay: Duration(40),
        max_skew: Duration(50),
        max_effect: 120,
        ..PlanConfig::new(nodes, HEAL)
    };
    let mut totals: Option<Counters> = None;
    let many = seeds.end - seeds.start >= 60;
    explore(seeds, &config, |plan| {
        let counters = run::<P>(setup, nodes, plan)?;
        match &mut totals {
            Some(totals) => totals.add(&counters),
            None => totals = Some(counters),
        }
        Ok::<(), String>(())
    });
    for (fault, count) in totals.expect("plans ran").faults() {
        assert!(count > 0 || !many, "no {fault} took effect: the campaign has not tested it");
    }
}

/// How many seeds each of the campaigns below runs; `CHAINED_SEEDS=1000` for a longer one.
fn seeds(from: u64, usual: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("CHAINED_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    from..from + asked.unwrap_or(usual)
}

fn variants(setup: &Setup, nodes: usize, seeds: std::ops::Range<u64>) {
    campaign::<ChainedHotStuff>(setup, nodes, seeds.clone());
    campaign::<HotStuff2>(setup, nodes, seeds.clone());
    campaign::<Jolteon>(setup, nodes, seeds.clone());
    campaign::<FastHotStuff>(setup, nodes, seeds);
}

fn cheap(weights: &[u64], byzantine: &[usize]) -> Setup {
    let mut setup = Setup::cheap(weights);
    // Three rounds in a row, though a leader may be Byzantine.
    setup.config.leader_rounds = 4;
    setup.byzantine = byzantine.iter().copied().collect::<BTreeSet<_>>();
    setup
}

#[test]
fn four_validators_and_a_follower_survive() {
    variants(&cheap(&[10; 4], &[]), 5, seeds(0, 60));
}

#[test]
fn seven_validators_of_uneven_weight_survive() {
    variants(&cheap(&[30, 25, 20, 15, 10, 10, 5], &[]), 7, seeds(1_000, 30));
}

#[test]
fn four_validators_survive_a_byzantine_one() {
    variants(&cheap(&[10; 4], &[2]), 4, seeds(2_000, 60));
}

#[test]
fn seven_validators_survive_two_byzantine_ones() {
    variants(&cheap(&[10; 7], &[0, 3]), 7, seeds(3_000, 20));
}

#[test]
fn epochs_end_and_begin_whatever_happens() {
    let mut setup = cheap(&[10; 4], &[]);
    setup.changes.insert(2, vec![10, 10, 10, 0, 10]);
    setup.changes.insert(5, vec![10, 20, 10, 10, 10]);
    setup.changes.insert(6, vec![10, 20, 10, 10]);
    setup.changes.insert(11, vec![10, 10, 10, 10, 10]);
    variants(&setup, 5, seeds(4_000, 60));
}

#[test]
fn real_keys_survive_as_well() {
    variants(&Setup { cheap: false, ..cheap(&[10; 4], &[]) }, 4, seeds(5_000, 3));
}
