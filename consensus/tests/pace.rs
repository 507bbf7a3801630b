//! Block intervals under jitter: with a target they keep it, without one every delay adds up.

use std::collections::BTreeMap;

use crate::common::oracle::setup;
use crate::common::{Event, check, simulate_by};
use pocket_consensus::replica::config::Pace;
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, Simplex, Tendermint,
};
use pocket_sim::{Fault, Plan, Window};
use pocket_types::number::{Duration, Timestamp};

const BLOCK_TIME: u64 = 1_000;
const BLOCKS: u64 = 300;

/// Of the times between the first decisions of heights, in milliseconds.
#[derive(Debug)]
struct Intervals {
    mean: f64,
    deviation: f64,
    /// How far the last decision is from where the target would have it.
    drift: f64,
}

/// Messages take from a tenth to the whole of `jitter`.
fn intervals<P: Protocol>(pace: Pace, jitter: u64) -> Intervals {
    let mut setup = setup(4);
    setup.config.block_time = Duration(BLOCK_TIME);
    setup.config.pace = pace;
    setup.config.timeout = Duration(4 * BLOCK_TIME);
    setup.config.timeout_cap = Duration(4 * BLOCK_TIME);
    let (min, max) = (Duration(jitter / 10), Duration(jitter));
    let plan = Plan::calm(7).with(Fault::Delay { min, max, window: Window::ALWAYS });
    let mut sim = simulate_by::<P>(setup, 4, plan);
    let end = Timestamp(4 * BLOCKS * BLOCK_TIME);
    sim.run_while(end, |sim| crate::common::height(sim, 0) < BLOCKS).unwrap();
    check(&sim, 4).unwrap();
    // Where votes go to the next leader alone, it decides a block time before the others.
    let mut first = BTreeMap::new();
    for seen in sim.observations() {
        if let Event::Decided(height, ..) = seen.event {
            first.entry(height).or_insert(seen.at.0 as f64);
        }
    }
    let times: Vec<f64> = first.into_values().collect();
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    let drift = times[times.len() - 1] - times[0] - (gaps.len() as u64 * BLOCK_TIME) as f64;
    Intervals { mean, deviation: variance.sqrt(), drift }
}

/// Steady and loose intervals at some jitter, as two rows of a table. `delays` are those from a block to
/// the next.
fn compare<P: Protocol>(jitter: u64, delays: u64) {
    let protocol = format!("{:?}", P::ID);
    let steady = intervals::<P>(Pace::Steady, jitter);
    let loose = intervals::<P>(Pace::AfterDecision, jitter);
    for (name, of) in [("steady", &steady), ("after decision", &loose)] {
        let Intervals { mean, deviation, drift } = of;
        println!(
            "{protocol:<16} {jitter:>6}  {name:<14} {mean:>6.0} {deviation:>11.1} {drift:>12.0}"
        );
    }
    assert!((steady.mean - BLOCK_TIME as f64).abs() <= 5.0, "{protocol} {steady:?}");
    assert!(steady.drift.abs() <= 8.0 * jitter as f64 + 1.0, "{protocol} {steady:?}");
    assert!(steady.deviation <= 2.0 * jitter as f64, "{protocol} {steady:?}");
    // A quorum's delays: a little less than the mean of all.
    let behind = 0.45 * (BLOCKS * delays * jitter) as f64;
    assert!(loose.drift >= behind, "{protocol} {loose:?}");
}

#[test]
fn a_target_keeps_the_intervals_however_long_deciding_takes() {
    println!(
        "protocol         jitter  pace            mean   deviation   drift after {BLOCKS} blocks (ms)"
    );
    for jitter in [0, 10, 50, 100] {
        compare::<HotPokt>(jitter, 8);
    }
    compare::<ChainedHotStuff>(50, 2);
    compare::<HotStuff2>(50, 2);
    compare::<Jolteon>(50, 2);
    compare::<FastHotStuff>(50, 2);
    compare::<Tendermint>(50, 3);
    compare::<Simplex>(50, 2);
}
