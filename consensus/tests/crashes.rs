//! Crashes at every effect, and logs torn at every record: the replica that comes back never
//! contradicts what it had sent, and the network goes on.
//!
//! `POCKET_SEEDS=1000000 POCKET_THREADS=2 cargo test --release -p pocket-consensus crashes::`
//! runs that many for each protocol.

use crate::common::{Setup, Sim, check, height, simulate_by};
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, Simplex, Tendermint,
};
use pocket_sim::{Campaign, Counters, Fault, Plan, Random, Window};
use pocket_types::number::{Duration, Timestamp};

const NODES: usize = 4;
const HEIGHTS: u64 = 4;
const END: Timestamp = Timestamp(20_000);

/// Seeds in an ordinary run.
const FEW: u64 = if cfg!(debug_assertions) { 600 } else { 4_000 };

fn lags<P: Protocol>(sim: &Sim<P>) -> bool {
    (0..NODES).any(|node| height(sim, node) < HEIGHTS)
}

fn setup() -> Setup {
    let mut setup = Setup::cheap(&[10; NODES]);
    setup.config.block_time = Duration(10);
    setup.execution = Duration(0);
    setup
}

fn run<P: Protocol>(plan: &Plan) -> Result<Sim<P>, String> {
    let mut sim = simulate_by::<P>(setup(), NODES, plan.clone());
    let reached = sim.run_while(END, lags).map_err(|error| error.to_string())?;
    check(&sim, NODES)?;
    if reached {
        return Ok(sim);
    }
    let heights: Vec<u64> = (0..NODES).map(|node| height(&sim, node)).collect();
    Err(format!("heights {heights:?} at the end, goal {HEIGHTS}"))
}

/// Seeds count through every effect of every node, and every record of every store; most plans crash
/// again afterwards, the same node, another one, or all together.
fn plan(seed: u64, effects: u64, stores: u64) -> Plan {
    let mut random = Random::new(!seed);
    let mut plan = Plan::calm(seed);
    let max = Duration(random.below(30));
    if max.0 > 0 {
        plan = plan.with(Fault::Delay { min: Duration(0), max, window: Window::ALWAYS });
    }
    let down = |random: &mut Random| Some(Duration([0, 0, 5, 150][random.below(4) as usize]));
    let node = (seed % NODES as u64) as usize;
    let place = seed / NODES as u64 % (effects + 4 * stores);
    let first = match place.checked_sub(effects) {
        None => Fault::CrashAtEffect { node, effect: 1 + place, down: down(&mut random) },
        Some(torn) => Fault::TornStore {
            node,
            store: 1 + torn / 4,
            records: (torn % 4) as usize,
            down: down(&mut random),
        },
    };
    plan = plan.with(first);
    for _ in 0..random.below(4) {
        let node = if random.below(2) == 0 { node } else { random.below(4) as usize };
        let near = if place < effects { place } else { random.below(effects) };
        let again = match random.below(8) {
            0 => Fault::Crash {
                nodes: (0..NODES).collect(),
                at: Timestamp(random.below(400)),
                down: down(&mut random),
            },
            1 => Fault::TornStore {
                node,
                store: 1 + random.below(stores),
                records: random.below(4) as usize,
                down: down(&mut random),
            },
            _ => Fault::CrashAtEffect {
                node,
                effect: 1 + near + random.below(12),
                down: down(&mut random),
            },
        };
        plan = plan.with(again);
    }
    plan
}

fn crashes<P: Protocol>(name: &'static str) {
    let calm = run::<P>(&Plan::calm(0)).unwrap();
    let effects = calm.counters().effects.iter().max().copied().unwrap();
    let stores = (0..NODES).map(|node| calm.disk(node).steps.values().sum::<usize>()).max();
    let stores = stores.unwrap() as u64;
    println!("{name}: {effects} effects and {stores} stores of a node in {HEIGHTS} heights");
    let total: Crashes = Campaign::new(name, 0..FEW).run(|seed| {
        let plan = plan(seed, effects, stores);
        match run::<P>(&plan) {
            Ok(sim) => Ok(Crashes(sim.counters().clone())),
            Err(reason) => {
                let least = pocket_sim::shrink(plan, |plan| run::<P>(plan).is_err());
                Err(format!("{reason}\n{least}"))
            }
        }
    });
    assert!(total.0.crashes >= FEW.min(Campaign::new(name, 0..FEW).seeds().count() as u64));
}

/// What crash runs add up to.
#[derive(Default)]
struct Crashes(Counters);

impl pocket_sim::Total for Crashes {
    fn add(&mut self, other: &Self) {
        self.0.add(&other.0);
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        let of = &self.0;
        vec![
            ("crash", of.crashes),
            ("crash at an effect", of.effect_crashes),
            ("torn store", of.torn_stores),
            ("restart", of.restarts),
        ]
    }
}

macro_rules! crash_campaigns {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            crashes::<$protocol>(concat!(stringify!($name), " crashes"));
        }
    )*};
}

crash_campaigns! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}
