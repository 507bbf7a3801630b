//! Random lives, with and without Byzantine validators. A failure prints a plan that replays it.

use pocket_consensus::Tendermint;
use pocket_sim::{Counters, Plan, PlanConfig, explore};
use pocket_types::number::{Duration, Timestamp};

use super::common::adversary::Mischief;
use super::common::{Setup, check, height, simulate_by};

const HEAL: Timestamp = Timestamp(1_500);
const END: Timestamp = Timestamp(20_000);

/// Agreement all the time, and five more blocks everywhere once the network has healed.
fn run(setup: &Setup, nodes: usize, plan: &Plan) -> Result<Counters, String> {
    let mut sim = simulate_by::<Tendermint>(setup.clone(), nodes, plan.clone());
    sim.run_until(HEAL).map_err(|error| error.to_string())?;
    let goal = (0..nodes).map(|node| height(&sim, node)).max().unwrap_or(0) + 5;
    let lags = |sim: &super::Sim| {
        (0..nodes).any(|node| !setup.byzantine.contains(&node) && height(sim, node) < goal)
    };
    let reached = sim.run_while(END, lags).map_err(|error| error.to_string())?;
    check(&sim, nodes)?;
    if !reached {
        let heights: Vec<u64> = (0..nodes).map(|node| height(&sim, node)).collect();
        return Err(format!("heights {heights:?} at the end, goal {goal}"));
    }
    Ok(sim.counters().clone())
}

/// How many times as many seeds as usual are run.
fn times() -> u64 {
    std::env::var("POCKET_SEEDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn campaign(weights: &[u64], byzantine: &[usize], observers: usize, first: u64, seeds: u64) {
    let nodes = weights.len() + observers;
    let mut setup = Setup::cheap(weights);
    setup.byzantine = byzantine.iter().copied().collect();
    setup.mischief = Mischief::ALL.to_vec();
    let config = PlanConfig {
        max_delay: Duration(40),
        max_skew: Duration(50),
        max_effect: 200,
        ..PlanConfig::new(nodes, HEAL)
    };
    let mut totals: Option<Counters> = None;
    explore(first..first + seeds * times(), &config, |plan| {
        let counters = run(&setup, nodes, plan)?;
        match &mut totals {
            Some(totals) => totals.add(&counters),
            None => totals = Some(counters),
        }
        Ok::<(), String>(())
    });
    for (fault, count) in totals.expect("plans ran").faults() {
        assert!(count > 0, "no {fault} took effect: the campaign has not tested it");
    }
}

#[test]
fn four_validators_survive() {
    campaign(&[10; 4], &[], 1, 100_000, 150);
}

#[test]
fn seven_validators_survive() {
    campaign(&[10; 7], &[], 0, 200_000, 60);
}

#[test]
fn uneven_weights_survive() {
    campaign(&[30, 25, 20, 15, 10], &[], 0, 300_000, 80);
}

#[test]
fn four_validators_survive_a_byzantine_one() {
    campaign(&[10; 4], &[2], 0, 400_000, 150);
}

#[test]
fn seven_validators_survive_two_byzantine_ones() {
    campaign(&[10; 7], &[0, 3], 0, 500_000, 60);
}
