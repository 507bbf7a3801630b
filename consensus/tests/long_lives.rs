//! Long lives: a thousand heights under delays, partitions, loss, crashes and slow stores that never
//! stop, so that what only time brings (logs, tallies, late votes, epochs) is seen too.
//!
//! `POCKET_SEEDS=1000 POCKET_THREADS=2 cargo test --release -p pocket-consensus long_lives::` runs
//! 1,000,000 heights of each protocol; the steps that it counts are heights.

use crate::common::{Setup, Sim, check, height, simulate_by};
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, Simplex, Tendermint,
};
use pocket_sim::{Campaign, Counters, Limits, Plan, PlanConfig, Total};
use pocket_types::number::{Duration, Timestamp};

const NODES: usize = 4;

/// Heights of a life, and how many lives an ordinary run has.
const HEIGHTS: u64 = if cfg!(debug_assertions) { 100 } else { 1_000 };
const FEW: u64 = 4;

/// Faults begin and end all through a life.
const FAULTY: Timestamp = Timestamp(20 * HEIGHTS);
const END: Timestamp = Timestamp(1_000 * HEIGHTS);

fn setup() -> Setup {
    let mut setup = Setup::cheap(&[10; NODES]);
    setup.config.block_time = Duration(10);
    setup.execution = Duration(0);
    // A validator's weight comes and goes a few times in a life.
    for change in 1..5 {
        setup.changes.insert(change * HEIGHTS / 5, vec![10, 10, 10, 10 + change % 2]);
    }
    setup
}

fn live<P: Protocol>(seed: u64) -> Result<Life, String> {
    let config = PlanConfig {
        max_partitions: 8,
        max_crashes: 8,
        max_failed_stores: 4,
        max_delay: Duration(10),
        max_skew: Duration(50),
        max_effect: 20 * HEIGHTS,
        ..PlanConfig::new(NODES, FAULTY)
    };
    let plan = Plan::random(seed, &config);
    let limits = Limits { events: 10_000 * HEIGHTS, ..Limits::default() };
    let mut sim = simulate_by::<P>(setup(), NODES, plan.clone()).with_limits(limits);
    let lags = |sim: &Sim<P>| (0..NODES).any(|node| height(sim, node) < HEIGHTS);
    let reached = sim.run_while(END, lags).map_err(|error| format!("{error}\n{plan}"))?;
    check(&sim, NODES).map_err(|reason| format!("{reason}\n{plan}"))?;
    if !reached {
        let heights: Vec<u64> = (0..NODES).map(|node| height(&sim, node)).collect();
        return Err(format!("heights {heights:?} at the end, goal {HEIGHTS}\n{plan}"));
    }
    Ok(Life { heights: HEIGHTS, counters: sim.counters().clone() })
}

/// What lives add up to.
#[derive(Default)]
struct Life {
    heights: u64,
    counters: Counters,
}

impl Total for Life {
    fn add(&mut self, other: &Self) {
        self.heights += other.heights;
        self.counters.add(&other.counters);
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        let of = &self.counters;
        vec![("delivery", of.delivered), ("partition", of.partitioned), ("crash", of.crashes)]
    }

    fn steps(&self) -> u64 {
        self.heights
    }
}

macro_rules! long_lives {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            Campaign::new(concat!(stringify!($name), " long lives"), 0..FEW).run(live::<$protocol>);
        }
    )*};
}

long_lives! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}

/// Seeds of the million in which more steps waited for a store than a replica allows.
#[cfg(not(debug_assertions))]
#[test]
fn a_host_keeps_what_comes_while_its_store_lags() {
    for seed in [771, 923] {
        live::<HotPokt>(seed).unwrap_or_else(|reason| panic!("{reason}"));
    }
}
