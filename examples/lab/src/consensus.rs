//! The experiments: each protocol in the same network, in virtual time.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use pocket_consensus::replica::config::Pace;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{
    ChainedHotStuff, Config, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, Simplex,
    Tendermint,
};
use pocket_sim::{Fault, Limits, Plan, Simulation, Window};
use pocket_types::number::{Duration, Ppm, Timestamp};

use crate::network::{Event, Node, Setup};

/// One network delay, in milliseconds.
const DELTA: u64 = 10;
/// From entering a round to giving it up, in milliseconds.
const TIMEOUT: u64 = 500;

/// A protocol that can be put into the network.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    costs: fn(usize) -> Result<Costs>,
    recovery: fn(usize) -> Result<u64>,
    rate: fn(&Conditions) -> Result<f64>,
    intervals: fn(Pace, u64) -> Result<Intervals>,
}

/// All of them. A new one is a line here.
pub(crate) const CONTENDERS: &[Contender] = &[
    contender::<HotPokt>("HotPOKT"),
    contender::<ChainedHotStuff>("chained HotStuff"),
    contender::<HotStuff2>("HotStuff-2"),
    contender::<Jolteon>("Jolteon"),
    contender::<FastHotStuff>("Fast-HotStuff"),
    contender::<Tendermint>("Tendermint"),
    contender::<Simplex>("Simplex"),
];

const fn contender<P: Protocol>(name: &'static str) -> Contender {
    Contender {
        name,
        costs: costs::<P>,
        recovery: recovery::<P>,
        rate: rate::<P>,
        intervals: intervals::<P>,
    }
}

impl Contender {
    pub(crate) fn costs(&self, nodes: usize) -> Result<Costs> {
        (self.costs)(nodes).with_context(|| self.name)
    }

    /// Milliseconds from the start to everybody's first decision when the first leader is dead, beyond
    /// the timeout, in delays.
    pub(crate) fn recovery(&self, nodes: usize) -> Result<u64> {
        (self.recovery)(nodes).with_context(|| self.name)
    }

    /// Blocks decided in a minute.
    pub(crate) fn rate(&self, conditions: &Conditions) -> Result<f64> {
        (self.rate)(conditions).with_context(|| self.name)
    }

    pub(crate) fn intervals(&self, pace: Pace, jitter: u64) -> Result<Intervals> {
        (self.intervals)(pace, jitter).with_context(|| self.name)
    }
}

/// What a block costs when nothing goes wrong; times in network delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Costs {
    pub(crate) leader: u64,
    pub(crate) all: u64,
    pub(crate) period: u64,
    pub(crate) messages: u64,
}

/// Of the times between decisions, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) longest: f64,
}

/// A network that isn't well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) nodes: usize,
    pub(crate) dead: Vec<usize>,
    pub(crate) loss: Ppm,
}

fn config() -> Config {
    Config {
        schedule: LeaderSchedule::RoundRobin,
        block_time: Duration(0),
        timeout: Duration(TIMEOUT),
        timeout_growth: 100,
        timeout_cap: Duration(TIMEOUT),
        resend: Duration(5 * DELTA),
        delta: Duration(DELTA),
        max_drift: Duration(60_000),
        ..Config::default()
    }
}

fn simulation<P: Protocol>(config: Config, nodes: usize, plan: Plan) -> Simulation<Node<P>> {
    let limits = Limits { events: u64::MAX, ..Limits::default() };
    Simulation::new(Setup::new(nodes, config), nodes, plan).with_limits(limits)
}

fn delays(min: u64, max: u64) -> Fault {
    Fault::Delay { min: Duration(min), max: Duration(max), window: Window::ALWAYS }
}

fn height<P: Protocol>(sim: &Simulation<Node<P>>, node: usize) -> u64 {
    sim.disk(node).chain.len() as u64
}

/// When each block was proposed last, by whom, and when each node had it.
#[derive(Default)]
struct Life {
    leader: usize,
    proposed: u64,
    decided: BTreeMap<usize, u64>,
}

fn lives<P: Protocol>(sim: &Simulation<Node<P>>) -> BTreeMap<u64, Life> {
    let mut lives: BTreeMap<u64, Life> = BTreeMap::new();
    for seen in sim.observations() {
        match seen.event {
            Event::Proposed(height) => {
                let life = lives.entry(height.0).or_default();
                (life.leader, life.proposed) = (seen.node, seen.at.0);
            }
            Event::Decided(height) => {
                let life = lives.entry(height.0).or_default();
                life.decided.entry(seen.node).or_insert(seen.at.0);
            }
        }
    }
    lives
}

fn costs<P: Protocol>(nodes: usize) -> Result<Costs> {
    let config = Config { resend: Duration(3_600_000), ..config() };
    let mut sim = simulation::<P>(config, nodes, Plan::calm(1).with(delays(DELTA, DELTA)));
    let end = Timestamp(600_000);
    sim.run_while(end, |sim| height(sim, 0) < 10)?;
    let sent = |sim: &Simulation<Node<P>>| sim.counters().kinds.values().sum::<u64>();
    let (first, before) = (height(&sim, 0), sent(&sim));
    sim.run_while(end, |sim| height(sim, 0) < first + 2 * nodes as u64)?;
    let blocks = height(&sim, 0) - first;
    ensure!(blocks > 0, "nothing was decided");
    let messages = (sent(&sim) - before) / blocks;
    let lives = lives(&sim);
    let (here, next) = (&lives[&first], &lives[&(first + 1)]);
    let leader = here.decided.get(&here.leader).context("the leader did not decide")?;
    let all = here.decided.values().max().context("nobody decided")?;
    Ok(Costs {
        leader: (leader - here.proposed) / DELTA,
        all: (all - here.proposed) / DELTA,
        period: (next.proposed - here.proposed) / DELTA,
        messages,
    })
}

fn recovery<P: Protocol>(nodes: usize) -> Result<u64> {
    let config = Config { resend: Duration(3_600_000), ..config() };
    let mut sim = simulation::<P>(config, nodes, Plan::calm(1).with(delays(DELTA, DELTA)));
    let replica = &sim.process(0).context("it has just started")?.0.replica;
    let first = replica.leader(replica.round());
    let electorate = replica.tip().validators();
    let dead = (0..nodes).find(|&node| {
        let key = sim.setup().member(node);
        key == first && electorate.position(&key).is_some()
    });
    let dead = dead.context("the first leader is a node")?;
    sim.crash(dead, None);
    let alive = |node: &usize| *node != dead;
    sim.run_while(Timestamp(60_000), |sim| {
        (0..nodes).filter(alive).any(|node| height(sim, node) == 0)
    })?;
    Ok((sim.now().0.saturating_sub(TIMEOUT)) / DELTA)
}

fn rate<P: Protocol>(conditions: &Conditions) -> Result<f64> {
    let Conditions { nodes, dead, loss } = conditions;
    let plan = Plan::calm(1)
        .with(delays(DELTA / 2, DELTA))
        .with(Fault::Loss { rate: *loss, window: Window::ALWAYS });
    let mut sim = simulation::<P>(config(), *nodes, plan);
    dead.iter().for_each(|&node| sim.crash(node, None));
    const MINUTES: u64 = 2;
    sim.run_until(Timestamp(MINUTES * 60_000))?;
    let alive = (0..*nodes).filter(|node| !dead.contains(node));
    let decided = alive.map(|node| height(&sim, node)).max().unwrap_or_default();
    Ok(decided as f64 / MINUTES as f64)
}

fn intervals<P: Protocol>(pace: Pace, jitter: u64) -> Result<Intervals> {
    const BLOCKS: u64 = 200;
    let block_time = Duration(1_000);
    let timeout = Duration(4_000);
    let config = Config { pace, block_time, timeout, timeout_cap: timeout, ..config() };
    let plan = Plan::calm(1).with(delays(jitter / 10, jitter));
    let mut sim = simulation::<P>(config, 4, plan);
    sim.run_while(Timestamp(8 * BLOCKS * 1_000), |sim| height(sim, 0) < BLOCKS)?;
    let decided = sim.observations().iter().filter(|seen| seen.node == 0);
    let decided = decided.filter(|seen| matches!(seen.event, Event::Decided(_)));
    let times: Vec<f64> = decided.map(|seen| seen.at.0 as f64).collect();
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    ensure!(!gaps.is_empty(), "nothing was decided");
    let count = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / count;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
    Ok(Intervals { mean, deviation, longest: gaps.iter().copied().fold(0.0, f64::max) })
}
