//! Random lives: plans of crashes, partitions, loss, slow and failing stores and clocks that are off,
//! with and without Byzantine validators. A failure prints a plan that replays it.
//!
//! `POCKET_SEEDS=20000 cargo test --release -p pocket-consensus --test campaign` runs that many of each
//! network instead of the few of an ordinary test run.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::adversary::Mischief;
use common::{Event, Setup, check, height, simulate_by};
use pocket_consensus::{
    ChainedHotStuff, ElectionConfig, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, SeedRule,
    Simplex, Tendermint,
};
use pocket_sim::{Counters, Plan, PlanConfig, explore};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::sortition::CommitteeSize;
use pocket_types::vote;

const HEAL: Timestamp = Timestamp(1_500);
const END: Timestamp = Timestamp(20_000);

type Acts = BTreeMap<Mischief, u64>;

/// Agreement all the time, and five more blocks everywhere once the network has healed.
fn run<P: Protocol>(setup: &Setup, nodes: usize, plan: &Plan) -> Result<(Counters, Acts), String> {
    let mut sim = simulate_by::<P>(setup.clone(), nodes, plan.clone());
    sim.run_until(HEAL).map_err(|error| error.to_string())?;
    let goal = (0..nodes).map(|node| height(&sim, node)).max().unwrap_or(0) + 5;
    let lags = |sim: &common::Sim<P>| {
        (0..nodes).any(|node| !setup.byzantine.contains(&node) && height(sim, node) < goal)
    };
    let reached = sim.run_while(END, lags).map_err(|error| error.to_string())?;
    check(&sim, nodes)?;
    if !reached {
        let heights: Vec<u64> = (0..nodes).map(|node| height(&sim, node)).collect();
        return Err(format!("heights {heights:?} at the end, goal {goal}"));
    }
    let mut acts = Acts::new();
    for seen in sim.observations() {
        if let Event::Acted(kind) = seen.event {
            *acts.entry(kind).or_default() += 1;
        }
    }
    Ok((sim.counters().clone(), acts))
}

/// As many seeds as are asked for, or so many.
fn seeds(first: u64, few: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("POCKET_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    first..first + wanted.unwrap_or(few)
}

fn campaign<P: Protocol>(setup: Setup, observers: usize, seeds: std::ops::Range<u64>) {
    let nodes = setup.weights.len() + observers;
    let config = PlanConfig {
        max_delay: Duration(40),
        max_skew: Duration(50),
        max_effect: 120,
        ..PlanConfig::new(nodes, HEAL)
    };
    let mut totals: Option<Counters> = None;
    let mut acted = Acts::new();
    explore(seeds, &config, |plan| {
        let (counters, acts) = run::<P>(&setup, nodes, plan)?;
        match &mut totals {
            Some(totals) => totals.add(&counters),
            None => totals = Some(counters),
        }
        acts.into_iter().for_each(|(kind, count)| *acted.entry(kind).or_default() += count);
        Ok::<(), String>(())
    });
    for (fault, count) in totals.expect("plans ran").faults() {
        assert!(count > 0, "no {fault} took effect: the campaign has not tested it");
    }
    if !setup.byzantine.is_empty() {
        // Few lives are long enough for somebody to sync from a liar, and not every protocol's round
        // changes carry certificates.
        let carried = !matches!(P::ID, vote::Protocol::Tendermint | vote::Protocol::Simplex);
        let often = |kind: &&Mischief| match kind {
            Mischief::LieToSync => nodes == 5,
            Mischief::StaleQc => carried,
            _ => true,
        };
        for kind in setup.mischief.iter().filter(often) {
            assert!(acted.get(kind).is_some_and(|count| *count > 0), "nobody did {kind:?}");
        }
    }
}

fn honest(weights: &[u64]) -> Setup {
    Setup::cheap(weights)
}

fn byzantine(weights: &[u64], who: &[usize]) -> Setup {
    let byzantine: BTreeSet<usize> = who.iter().copied().collect();
    Setup { byzantine, mischief: Mischief::ALL.to_vec(), ..Setup::cheap(weights) }
}

/// The same campaigns for each protocol.
macro_rules! campaigns {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn four_validators_survive() {
                campaign::<$protocol>(honest(&[10; 4]), 1, seeds(0, 150));
            }

            #[test]
            fn seven_validators_survive() {
                campaign::<$protocol>(honest(&[10; 7]), 0, seeds(0, 60));
            }

            #[test]
            fn uneven_weights_survive() {
                campaign::<$protocol>(honest(&[30, 25, 20, 15, 10]), 0, seeds(1_000, 80));
            }

            #[test]
            fn four_validators_survive_a_byzantine_one() {
                campaign::<$protocol>(byzantine(&[10; 4], &[2]), 1, seeds(2_000, 150));
            }

            #[test]
            fn seven_validators_survive_two_byzantine_ones() {
                campaign::<$protocol>(byzantine(&[10; 7], &[0, 3]), 1, seeds(3_000, 60));
            }
        }
    )*};
}

campaigns! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}

/// HotPOKT with elected leaders: of so large a committee, on average.
fn elected(mut setup: Setup, committee: u16) -> Setup {
    setup.config.election = Some(ElectionConfig {
        committee: CommitteeSize::new(committee).unwrap(),
        wait: Duration(30),
        seed: SeedRule::Beacon { period: 3 },
    });
    if !setup.byzantine.is_empty() {
        setup.mischief.extend(Mischief::OF_CANDIDATES);
    }
    setup
}

mod elections {
    use super::*;

    #[test]
    fn four_validators_survive() {
        campaign::<HotPokt>(elected(honest(&[10; 4]), 26), 1, seeds(0, 150));
    }

    #[test]
    fn seven_validators_survive() {
        campaign::<HotPokt>(elected(honest(&[10; 7]), 26), 0, seeds(0, 60));
    }

    #[test]
    fn uneven_weights_and_rounds_without_candidates_survive() {
        campaign::<HotPokt>(elected(honest(&[30, 25, 20, 15, 10]), 1), 0, seeds(1_000, 80));
    }

    #[test]
    fn four_validators_survive_a_byzantine_one() {
        campaign::<HotPokt>(elected(byzantine(&[10; 4], &[2]), 26), 1, seeds(2_000, 150));
    }

    #[test]
    fn seven_validators_survive_two_byzantine_ones() {
        campaign::<HotPokt>(elected(byzantine(&[10; 7], &[0, 3]), 26), 1, seeds(3_000, 60));
    }

    #[test]
    fn real_signatures_and_proofs_change_nothing() {
        let real = Setup { cheap: false, ..elected(byzantine(&[10; 4], &[1]), 26) };
        campaign::<HotPokt>(real, 0, 4_000..4_080);
    }
}

/// A few lives with real keys.
#[test]
fn real_signatures_change_nothing() {
    campaign::<HotPokt>(Setup { cheap: false, ..honest(&[10; 4]) }, 1, 0..40);
    campaign::<HotPokt>(Setup { cheap: false, ..byzantine(&[10; 4], &[1]) }, 0, 4_000..4_040);
}
