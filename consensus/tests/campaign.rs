//! Random lives: plans of crashes, partitions, loss, slow and failing stores and clocks that are off,
//! with and without Byzantine validators. A failure prints a plan that replays it.
//!
//! `POCKET_SEEDS=20000 POCKET_THREADS=2 cargo test --release -p pocket-consensus campaign::` runs
//! that many of each network instead of the few of an ordinary test run, and says how many a second.

use crate::common::adversary::Mischief;
use crate::common::{Setup, check, height, simulate_by};
use pocket_consensus::{
    ChainedHotStuff, ElectionConfig, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, SeedRule,
    Simplex, Tendermint,
};
use pocket_sim::{Campaign, Counters, Plan, PlanConfig, Stage};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::sortition::CommitteeSize;
use pocket_types::vote;

const HEAL: Timestamp = Timestamp(1_500);
const END: Timestamp = Timestamp(20_000);

/// Agreement all the time, and five more blocks everywhere once the network has healed.
fn run<P: Protocol>(setup: &Setup, nodes: usize, plan: &Plan) -> Result<Counters, String> {
    let mut sim = simulate_by::<P>(setup.clone(), nodes, plan.clone());
    sim.run_until(HEAL).map_err(|error| error.to_string())?;
    let goal = (0..nodes).map(|node| height(&sim, node)).max().unwrap_or(0) + 5;
    let lags = |sim: &crate::common::Sim<P>| {
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

fn plans(nodes: usize) -> PlanConfig {
    PlanConfig {
        max_delay: Duration(40),
        max_skew: Duration(50),
        max_effect: 120,
        max_stages: 2,
        last_stage: Stage { round: 2, phase: 4 },
        max_stage_delay: Duration(150),
        ..PlanConfig::new(nodes, HEAL)
    }
}

fn campaign<P: Protocol>(
    name: &'static str,
    setup: &Setup,
    observers: usize,
    seeds: std::ops::Range<u64>,
) {
    let nodes = setup.weights.len() + observers;
    let campaign = Campaign::new(name, seeds.clone());
    let counters = campaign.plans(&plans(nodes), |plan| run::<P>(setup, nodes, plan));
    // Few lives are long enough for somebody to sync from a liar, and not every protocol's round
    // changes carry certificates.
    let carried = !matches!(P::ID, vote::Protocol::Tendermint | vote::Protocol::Simplex);
    let often = |kind: &&Mischief| match kind {
        Mischief::LieToSync => nodes == 5,
        Mischief::StaleQc => carried,
        _ => true,
    };
    let complete = campaign.seeds().end - campaign.seeds().start >= seeds.end - seeds.start;
    for kind in setup.mischief.iter().filter(often) {
        let count = counters.adversaries.get(kind.name()).copied().unwrap_or_default();
        assert!(
            count > 0 || !complete || setup.byzantine.is_empty(),
            "{name}: no {} took effect",
            kind.name()
        );
    }
}

fn honest(weights: &[u64]) -> Setup {
    Setup::cheap(weights)
}

fn byzantine(weights: &[u64], who: &[usize]) -> Setup {
    let byzantine = who.iter().copied().collect();
    Setup { byzantine, mischief: Mischief::ALL.to_vec(), ..Setup::cheap(weights) }
}

/// Validators come, go, and change weight.
fn changing() -> Setup {
    let mut setup = honest(&[10; 4]);
    setup.changes.insert(2, vec![10, 10, 10, 0, 10]);
    setup.changes.insert(5, vec![10, 20, 10, 10, 10]);
    setup.changes.insert(6, vec![10, 20, 10, 10]);
    setup.changes.insert(11, vec![10, 10, 10, 10, 10]);
    setup
}

/// The same campaigns for each protocol.
macro_rules! campaigns {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        mod $name {
            use super::*;

            fn campaign(
                network: &'static str,
                setup: &Setup,
                observers: usize,
                seeds: std::ops::Range<u64>,
            ) {
                super::campaign::<$protocol>(network, setup, observers, seeds);
            }

            #[test]
            fn four_validators_survive() {
                let name = concat!(stringify!($name), " lives of 4");
                campaign(name, &honest(&[10; 4]), 1, 0..150);
            }

            #[test]
            fn seven_validators_survive() {
                let name = concat!(stringify!($name), " lives of 7");
                campaign(name, &honest(&[10; 7]), 0, 0..60);
            }

            #[test]
            fn uneven_weights_survive() {
                let name = concat!(stringify!($name), " lives of 5, weighted");
                campaign(name, &honest(&[30, 25, 20, 15, 10]), 0, 1_000..1_080);
            }

            #[test]
            fn four_validators_survive_a_byzantine_one() {
                let name = concat!(stringify!($name), " lives of 4, 1 Byzantine");
                campaign(name, &byzantine(&[10; 4], &[2]), 1, 2_000..2_150);
            }

            #[test]
            fn seven_validators_survive_two_byzantine_ones() {
                let name = concat!(stringify!($name), " lives of 7, 2 Byzantine");
                campaign(name, &byzantine(&[10; 7], &[0, 3]), 1, 3_000..3_060);
            }

            #[test]
            fn changes_of_the_validators_survive() {
                let name = concat!(stringify!($name), " lives of 4 to 5, changing");
                campaign(name, &changing(), 1, 5_000..5_060);
            }

            /// In 5,200 a node that syncs was told of the next height only, whose proof is by a later
            /// one; in 5,253 a restart lost the certificate that had ended an epoch.
            #[test]
            fn lives_that_failed_once_go_well() {
                for seed in [5_200, 5_253] {
                    let plan = Plan::random(seed, &plans(5));
                    run::<$protocol>(&changing(), 5, &plan).unwrap_or_else(|e| panic!("{seed}: {e}"));
                }
            }

            #[test]
            fn real_signatures_change_nothing() {
                let name = concat!(stringify!($name), " lives of 4, 1 Byzantine, real keys");
                let real = Setup { cheap: false, ..byzantine(&[10; 4], &[1]) };
                campaign(name, &real, 0, 4_000..4_060);
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
        campaign::<HotPokt>(
            "hotpokt by election, lives of 4",
            &elected(honest(&[10; 4]), 26),
            1,
            0..150,
        );
    }

    #[test]
    fn seven_validators_survive() {
        campaign::<HotPokt>(
            "hotpokt by election, lives of 7",
            &elected(honest(&[10; 7]), 26),
            0,
            0..60,
        );
    }

    #[test]
    fn uneven_weights_and_rounds_without_candidates_survive() {
        campaign::<HotPokt>(
            "hotpokt by election, lives of 5, weighted",
            &elected(honest(&[30, 25, 20, 15, 10]), 1),
            0,
            1_000..1080,
        );
    }

    #[test]
    fn four_validators_survive_a_byzantine_one() {
        campaign::<HotPokt>(
            "hotpokt by election, lives of 4, 1 Byzantine",
            &elected(byzantine(&[10; 4], &[2]), 26),
            1,
            2_000..2150,
        );
    }

    #[test]
    fn seven_validators_survive_two_byzantine_ones() {
        campaign::<HotPokt>(
            "hotpokt by election, lives of 7, 2 Byzantine",
            &elected(byzantine(&[10; 7], &[0, 3]), 26),
            1,
            3_000..3060,
        );
    }

    #[test]
    fn real_signatures_and_proofs_change_nothing() {
        let real = Setup { cheap: false, ..elected(byzantine(&[10; 4], &[1]), 26) };
        campaign::<HotPokt>("hotpokt by election, real keys", &real, 0, 4_000..4_080);
    }
}
