//! What a block costs, in network delays and messages, measured in a network where nobody waits for
//! anything but messages.

use std::collections::BTreeMap;

use pocket_consensus::Protocol;
use pocket_consensus::replica::config::Config;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_sim::{Fault, Plan, Window};
use pocket_types::number::{Duration, Height, Timestamp};
use pocket_types::vote::Phase;

use super::{Event, Setup, Sim, check, node_of, simulate_by};

/// One network delay, in milliseconds.
pub const DELTA: u64 = 10;
/// From entering a round to giving it up, in milliseconds.
pub const TIMEOUT: u64 = 1_000;

pub fn setup(n: usize) -> Setup {
    let mut setup = Setup::cheap(&vec![10; n]);
    setup.execution = Duration(0);
    setup.config = Config {
        schedule: LeaderSchedule::RoundRobin,
        block_time: Duration(0),
        timeout: Duration(TIMEOUT),
        timeout_growth: 100,
        timeout_cap: Duration(TIMEOUT),
        resend: Duration(100 * TIMEOUT),
        max_drift: Duration(100 * TIMEOUT),
        ..setup.config
    };
    setup
}

pub fn network<P: Protocol>(setup: Setup, faults: impl IntoIterator<Item = Fault>) -> Sim<P> {
    let delta = Duration(DELTA);
    let delay = Fault::Delay { min: delta, max: delta, window: Window::ALWAYS };
    let plan = faults.into_iter().fold(Plan::calm(1).with(delay), Plan::with);
    let nodes = setup.weights.len();
    simulate_by(setup, nodes, plan)
}

/// When things happened to the blocks that were decided.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Life {
    pub leader: usize,
    pub proposed: u64,
    /// By node.
    pub decided: BTreeMap<usize, u64>,
}

impl Life {
    pub fn leader_decides(&self) -> u64 {
        self.decided[&self.leader] - self.proposed
    }

    pub fn all_decide(&self) -> u64 {
        self.decided.values().max().unwrap() - self.proposed
    }
}

/// The lives of decided blocks, by height; counted from the last proposal of each.
pub fn lives<P: Protocol>(sim: &Sim<P>) -> BTreeMap<u64, Life> {
    let mut lives: BTreeMap<u64, Life> = BTreeMap::new();
    for seen in sim.observations() {
        match &seen.event {
            Event::Signed(vote) if vote.data.phase == Phase::Propose => {
                let life = lives.entry(vote.data.height.0).or_default();
                (life.leader, life.proposed) = (node_of(&vote.signer), seen.at.0);
            }
            Event::Decided(Height(height), _) => {
                let life = lives.entry(*height).or_default();
                life.decided.entry(seen.node).or_insert(seen.at.0);
            }
            _ => {}
        }
    }
    lives.retain(|_, life| !life.decided.is_empty());
    lives
}

/// What a block costs when nothing goes wrong, in delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Costs {
    pub leader: u64,
    pub all: u64,
    pub period: u64,
    /// By all nodes together.
    pub messages: u64,
}

/// Measures the steady state; panics where blocks differ.
pub fn happy<P: Protocol>(n: usize) -> Costs {
    happy_in::<P>(setup(n))
}

/// As [`happy`], in another network than that of [`setup`].
pub fn happy_in<P: Protocol>(setup: Setup) -> Costs {
    let n = setup.weights.len();
    let mut sim = network::<P>(setup, []);
    let sent = |sim: &Sim<P>| sim.counters().kinds.values().sum::<u64>();
    let starts =
        |sim: &Sim<P>, from| lives(sim).range(from..).next().map(|(_, life)| life.proposed);
    // When the last has decided, all have said the same, whoever leads.
    let lowest = |sim: &Sim<P>| (0..n).map(|node| super::height(sim, node)).min().unwrap();
    sim.run_while(Timestamp(60_000), |sim| lowest(sim) < 20).unwrap();
    let (before, height) = (sent(&sim), lowest(&sim));
    sim.run_while(Timestamp(60_000), |sim| lowest(sim) < height + 2 * n as u64).unwrap();
    let messages = (sent(&sim) - before) / (2 * n as u64);
    check(&sim, n).unwrap();
    assert!(starts(&sim, 5).is_some());
    let lives: Vec<Life> = lives(&sim)
        .into_iter()
        .filter(|(height, life)| *height > 5 && life.decided.len() == n)
        .map(|(_, life)| life)
        .collect();
    let of = |what: fn(&Life) -> u64| {
        let values: Vec<u64> = lives.iter().map(what).collect();
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        assert_eq!(values[0] % DELTA, 0, "{values:?}");
        values[0] / DELTA
    };
    let proposed: Vec<u64> = lives.iter().map(|life| life.proposed).collect();
    let period = (proposed[1] - proposed[0]) / DELTA;
    assert!(proposed.windows(2).all(|p| p[1] - p[0] == period * DELTA), "{proposed:?}");
    Costs { leader: of(Life::leader_decides), all: of(Life::all_decide), period, messages }
}
