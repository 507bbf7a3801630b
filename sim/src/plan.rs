//! What goes wrong, and when: a seed expands into a plan that a person can read.

use std::collections::BTreeSet;
use std::fmt;

use pocket_types::number::{Duration, Ppm, Timestamp};

use crate::network::{Link, Window};
use crate::random::Random;

/// Everything that sets one run apart from another: the seed of its generator, and its faults.
///
/// The same plan over the same processes gives the same run. `Display` prints one line per fault.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Seed of the simulation's generator.
    pub seed: u64,
    /// What goes wrong. Where several say something about the same message, the last one holds.
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong. Nodes are given by index, times are virtual.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Messages take from `min` to `max`, and overtake each other.
    Delay {
        /// Shortest time under way.
        min: Duration,
        /// Longest time under way.
        max: Duration,
        /// When they are sent.
        window: Window,
    },
    /// Messages are lost.
    Loss {
        /// How often.
        rate: Ppm,
        /// When they are sent.
        window: Window,
    },
    /// Messages arrive twice.
    Duplication {
        /// How often.
        rate: Ppm,
        /// When they are sent.
        window: Window,
    },
    /// One direction between two nodes has laws of its own.
    Link {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// The laws.
        link: Link,
        /// When a message is sent.
        window: Window,
    },
    /// Nodes hear only their own group; a node in no group hears nobody. What is under way when the
    /// partition begins is lost too.
    Partition {
        /// Who hears whom.
        groups: Vec<BTreeSet<usize>>,
        /// For how long.
        window: Window,
    },
    /// Messages of a stage reach only the sender's own group; those of a node in no group reach
    /// nobody.
    PartitionAt {
        /// Where in the protocol.
        stage: Stage,
        /// Who hears whom.
        groups: Vec<BTreeSet<usize>>,
        /// When they are sent.
        window: Window,
    },
    /// Messages of a stage are lost.
    LossAt {
        /// Where in the protocol.
        stage: Stage,
        /// How often.
        rate: Ppm,
        /// When they are sent.
        window: Window,
    },
    /// Messages of a stage take so much longer: they come when the protocol has moved on.
    DelayAt {
        /// Where in the protocol.
        stage: Stage,
        /// How much longer.
        more: Duration,
        /// When they are sent.
        window: Window,
    },
    /// Nodes crash together.
    Crash {
        /// Who.
        nodes: BTreeSet<usize>,
        /// When.
        at: Timestamp,
        /// How long they stay down; none for ever.
        down: Option<Duration>,
    },
    /// A node crashes right after one of its effects: a store that completed, before anything is
    /// released by it, or an output that was performed.
    CrashAtEffect {
        /// Who.
        node: usize,
        /// Which, from 1, counted over all of the node's lives.
        effect: u64,
        /// How long it stays down; none for ever.
        down: Option<Duration>,
    },
    /// A node's disk fails: nothing is stored from here on, until the node crashes and comes back.
    FailedStore {
        /// Whose.
        node: usize,
        /// Which store is the first to fail, from 1, counted over all of the node's lives.
        store: u64,
        /// How long the node goes on before it crashes; it restarts at once.
        until_crash: Duration,
    },
    /// A node crashes in the middle of a store, and its disk has the first records of the step and not
    /// the others: the tail of a log is torn. The store counts as an effect only if all were written.
    TornStore {
        /// Whose.
        node: usize,
        /// Which store, from 1, counted over all of the node's lives.
        store: u64,
        /// How many records are written; a store of no more than these is not torn, but the node
        /// crashes all the same.
        records: usize,
        /// How long the node stays down; none for ever.
        down: Option<Duration>,
    },
    /// Storing takes from `min` to `max`.
    SlowStore {
        /// Shortest time.
        min: Duration,
        /// Longest time.
        max: Duration,
    },
    /// A node's clock is off.
    Skew {
        /// Whose.
        node: usize,
        /// How far it runs ahead, in milliseconds; negative if behind.
        millis: i64,
    },
}

/// A place in a protocol: a round, a view or a height of it, and a phase in that. What counts as
/// which is for [`Process::stage`](crate::Process::stage) to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stage {
    /// The round.
    pub round: u64,
    /// The phase, from 0.
    pub phase: u8,
}

/// Bounds of a random plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanConfig {
    /// How many nodes there are.
    pub nodes: usize,
    /// When every fault with an end is over and every crashed node is back.
    pub heal: Timestamp,
    /// Longest delay of a message.
    pub max_delay: Duration,
    /// Highest rate of loss.
    pub max_loss: Ppm,
    /// Highest rate of duplication.
    pub max_duplication: Ppm,
    /// Most partitions.
    pub max_partitions: u64,
    /// Most crashes, each of one node or several.
    pub max_crashes: u64,
    /// The last effect of a node at which it may crash.
    pub max_effect: u64,
    /// Most stores that fail.
    pub max_failed_stores: u64,
    /// Longest time that storing takes.
    pub max_store: Duration,
    /// The furthest that a clock is off, either way.
    pub max_skew: Duration,
    /// Most faults that strike at a stage.
    pub max_stages: u64,
    /// The last stage at which one strikes: rounds and phases up to these.
    pub last_stage: Stage,
    /// Longest additional delay of a stage's messages.
    pub max_stage_delay: Duration,
}

impl PlanConfig {
    /// A rough life that ends at `heal`, of a protocol without stages.
    pub const fn new(nodes: usize, heal: Timestamp) -> Self {
        Self {
            nodes,
            heal,
            max_delay: Duration(200),
            max_loss: Ppm(100_000),
            max_duplication: Ppm(100_000),
            max_partitions: 3,
            max_crashes: 4,
            max_effect: 200,
            max_failed_stores: 1,
            max_store: Duration(20),
            max_skew: Duration(0),
            max_stages: 0,
            last_stage: Stage { round: 0, phase: 0 },
            max_stage_delay: Duration(1_000),
        }
    }
}

impl Plan {
    /// A plan in which nothing goes wrong.
    pub const fn calm(seed: u64) -> Self {
        Self { seed, faults: Vec::new() }
    }

    /// This plan and one more fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The plan that a seed expands into, within bounds.
    ///
    /// All faults of the network end at [`PlanConfig::heal`]; crashes come before it, and nodes are
    /// back by then, save those at an effect, which may come later and last no longer than a tenth
    /// of that time.
    pub fn random(seed: u64, config: &PlanConfig) -> Self {
        // Another stream than the simulation's own, which starts from the same seed.
        let mut random = Random::new(!seed);
        let mut plan = Self::calm(seed);
        let heals = Window::until(config.heal);
        let max = Duration(random.within(0, config.max_delay.0));
        if max.0 > 0 {
            let min = Duration(random.below(max.0));
            plan.faults.push(Fault::Delay { min, max, window: heals });
        }
        for (most, lossy) in [(config.max_loss, true), (config.max_duplication, false)] {
            let rate = Ppm(random.within(0, most.0.into()) as u32);
            if rate.0 > 0 && random.below(2) == 0 {
                let window = heals;
                plan.faults.push(if lossy {
                    Fault::Loss { rate, window }
                } else {
                    Fault::Duplication { rate, window }
                });
            }
        }
        let max = Duration(random.within(0, config.max_store.0));
        if max.0 > 0 {
            let min = Duration(random.below(max.0));
            plan.faults.push(Fault::SlowStore { min, max });
        }
        for node in 0..config.nodes {
            let reach = i64::try_from(config.max_skew.0).unwrap_or(i64::MAX);
            let ahead = random.within(0, reach as u64) as i64;
            let millis = if random.below(2) == 0 { ahead } else { -ahead };
            if millis != 0 && random.below(2) == 0 {
                plan.faults.push(Fault::Skew { node, millis });
            }
        }
        for _ in 0..random.within(0, config.max_partitions) {
            let window = span(&mut random, config.heal);
            let groups = groups(&mut random, config.nodes);
            plan.faults.push(Fault::Partition { groups, window });
        }
        for _ in 0..random.within(0, config.max_crashes) {
            plan.faults.push(crash(&mut random, config));
        }
        for _ in 0..random.within(0, config.max_failed_stores) {
            plan.faults.push(Fault::FailedStore {
                node: random.below(config.nodes as u64) as usize,
                store: 1 + random.below(config.max_effect),
                until_crash: Duration(random.within(0, config.heal.0 / 10)),
            });
        }
        for _ in 0..random.within(0, config.max_stages) {
            plan.faults.push(at_stage(&mut random, config));
        }
        plan
    }

    /// The law of a message, and whether the link has its own.
    pub(crate) fn link(&self, from: usize, to: usize, now: Timestamp) -> (Link, bool) {
        let (mut law, mut own) = (Link::PERFECT, false);
        for fault in &self.faults {
            match fault {
                Fault::Delay { min, max, window } if window.contains(now) => {
                    (law.min, law.max) = (*min, *max);
                }
                Fault::Loss { rate, window } if window.contains(now) => law.loss = *rate,
                Fault::Duplication { rate, window } if window.contains(now) => {
                    law.duplication = *rate;
                }
                Fault::Link { from: source, to: target, link, window }
                    if (*source, *target) == (from, to) && window.contains(now) =>
                {
                    (law, own) = (*link, true);
                }
                _ => {}
            }
        }
        (law, own)
    }

    /// What strikes a message of a stage: how often it is lost, how much longer it takes.
    pub(crate) fn at(&self, stage: Stage, from: usize, to: usize, now: Timestamp) -> Struck {
        let mut struck = Struck::default();
        for fault in &self.faults {
            match fault {
                Fault::PartitionAt { stage: at, groups, window }
                    if *at == stage && from != to && window.contains(now) =>
                {
                    struck.parted |= !together(groups, from, to);
                }
                Fault::LossAt { stage: at, rate, window }
                    if *at == stage && window.contains(now) =>
                {
                    struck.loss = *rate;
                }
                Fault::DelayAt { stage: at, more, window }
                    if *at == stage && window.contains(now) =>
                {
                    struck.more = *more;
                }
                _ => {}
            }
        }
        struck
    }

    pub(crate) fn parts(&self, from: usize, to: usize, now: Timestamp) -> bool {
        from != to
            && self.faults.iter().any(|fault| match fault {
                Fault::Partition { groups, window } => {
                    window.contains(now) && !together(groups, from, to)
                }
                _ => false,
            })
    }

    pub(crate) fn store_time(&self) -> (Duration, Duration) {
        let slow = self.faults.iter().rev().find_map(|fault| match fault {
            Fault::SlowStore { min, max } => Some((*min, *max)),
            _ => None,
        });
        slow.unwrap_or_default()
    }

    pub(crate) fn skew(&self, node: usize) -> i64 {
        let skew = self.faults.iter().rev().find_map(|fault| match fault {
            Fault::Skew { node: whose, millis } if *whose == node => Some(*millis),
            _ => None,
        });
        skew.unwrap_or_default()
    }
}

/// What a plan does to a message because of its stage.
#[derive(Clone, Copy, Default)]
pub(crate) struct Struck {
    pub(crate) parted: bool,
    pub(crate) loss: Ppm,
    pub(crate) more: Duration,
}

fn together(groups: &[BTreeSet<usize>], from: usize, to: usize) -> bool {
    groups.iter().any(|group| group.contains(&from) && group.contains(&to))
}

/// Removes faults one at a time for as long as the plan still fails, until none can be removed.
///
/// `fails` runs the plan and says whether it fails in the way that is looked into.
pub fn shrink(mut plan: Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut index = plan.faults.len();
    let mut removed = false;
    loop {
        if index == 0 {
            if !removed {
                return plan;
            }
            (index, removed) = (plan.faults.len(), false);
            continue;
        }
        index -= 1;
        let mut smaller = plan.clone();
        smaller.faults.remove(index);
        if fails(&smaller) {
            (plan, removed) = (smaller, true);
        }
    }
}

/// Runs the random plan of each seed; the first that fails is shrunk, and printed in the panic.
///
/// # Panics
///
/// When a plan fails: with the seed, the shrunk plan, and the reasons of both.
pub fn explore<E: fmt::Display>(
    seeds: impl IntoIterator<Item = u64>,
    config: &PlanConfig,
    mut run: impl FnMut(&Plan) -> Result<(), E>,
) {
    for seed in seeds {
        let plan = Plan::random(seed, config);
        let Err(reason) = run(&plan) else { continue };
        let least = shrink(plan.clone(), |plan| run(plan).is_err());
        let last = run(&least).err().map_or_else(String::new, |reason| reason.to_string());
        panic!("seed {seed} fails: {reason}\n{plan}shrunk, it fails: {last}\n{least}");
    }
}

fn span(random: &mut Random, end: Timestamp) -> Window {
    let (a, b) = (random.within(0, end.0), random.within(0, end.0));
    Window { from: Timestamp(a.min(b)), to: Timestamp(a.max(b)) }
}

fn groups(random: &mut Random, nodes: usize) -> Vec<BTreeSet<usize>> {
    let mut groups = vec![BTreeSet::new(); 2 + random.below(2) as usize];
    for node in 0..nodes {
        let group = random.below(groups.len() as u64) as usize;
        groups[group].insert(node);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn at_stage(random: &mut Random, config: &PlanConfig) -> Fault {
    let stage = Stage {
        round: random.within(0, config.last_stage.round),
        phase: random.within(0, config.last_stage.phase.into()) as u8,
    };
    let window = Window::until(config.heal);
    match random.below(3) {
        0 => Fault::PartitionAt { stage, groups: groups(random, config.nodes), window },
        1 => Fault::LossAt { stage, rate: Ppm(random.within(1, Ppm::ONE.0.into()) as u32), window },
        _ => {
            let more = Duration(random.within(1, config.max_stage_delay.0));
            Fault::DelayAt { stage, more, window }
        }
    }
}

fn crash(random: &mut Random, config: &PlanConfig) -> Fault {
    let nodes = config.nodes as u64;
    if random.below(2) == 0 {
        return Fault::CrashAtEffect {
            node: random.below(nodes) as usize,
            effect: 1 + random.below(config.max_effect),
            down: Some(Duration(random.within(0, config.heal.0 / 10))),
        };
    }
    let mut who: BTreeSet<usize> = [random.below(nodes) as usize].into();
    if random.below(2) == 0 {
        who.extend((0..config.nodes).filter(|_| random.below(3) > 0));
    }
    let window = span(random, config.heal);
    Fault::Crash { nodes: who, at: window.from, down: Some(window.to.since(window.from)) }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

impl Fault {
    /// Name of its kind, as in [`Counters::faults`](crate::Counters::faults).
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Loss { .. } => "loss",
            Self::Duplication { .. } => "duplication",
            Self::Link { .. } => "link",
            Self::Partition { .. } => "partition",
            Self::PartitionAt { .. } => "partition at a stage",
            Self::LossAt { .. } => "loss at a stage",
            Self::DelayAt { .. } => "delay at a stage",
            Self::Crash { .. } => "crash",
            Self::CrashAtEffect { .. } => "crash at an effect",
            Self::FailedStore { .. } => "failed store",
            Self::TornStore { .. } => "torn store",
            Self::SlowStore { .. } => "slow store",
            Self::Skew { .. } => "clock skew",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {} phase {}", self.round, self.phase)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { min, max, window } => {
                write!(f, "delay {} to {} ms, {window}", min.0, max.0)
            }
            Self::Loss { rate, window } => write!(f, "loss {} ppm, {window}", rate.0),
            Self::Duplication { rate, window } => {
                write!(f, "duplication {} ppm, {window}", rate.0)
            }
            Self::Link { from, to, link, window } => {
                write!(f, "link {from} to {to}: {link}, {window}")
            }
            Self::Partition { groups, window } => {
                f.write_str("partition")?;
                groups.iter().try_for_each(|group| write!(f, " {group:?}"))?;
                write!(f, ", {window}")
            }
            Self::PartitionAt { stage, groups, window } => {
                write!(f, "partition at {stage}")?;
                groups.iter().try_for_each(|group| write!(f, " {group:?}"))?;
                write!(f, ", {window}")
            }
            Self::LossAt { stage, rate, window } => {
                write!(f, "loss {} ppm at {stage}, {window}", rate.0)
            }
            Self::DelayAt { stage, more, window } => {
                write!(f, "delay {} ms more at {stage}, {window}", more.0)
            }
            Self::Crash { nodes, at, down } => {
                write!(f, "crash of {nodes:?} at {} ms, {}", at.0, Down(*down))
            }
            Self::CrashAtEffect { node, effect, down } => {
                write!(f, "crash of {node} after its effect {effect}, {}", Down(*down))
            }
            Self::FailedStore { node, store, until_crash } => write!(
                f,
                "disk of {node} fails from store {store}, crash {} ms later",
                until_crash.0
            ),
            Self::TornStore { node, store, records, down } => {
                write!(f, "store {store} of {node} torn after {records} records, {}", Down(*down))
            }
            Self::SlowStore { min, max } => write!(f, "storing takes {} to {} ms", min.0, max.0),
            Self::Skew { node, millis } => write!(f, "clock of {node} off by {millis:+} ms"),
        }
    }
}

struct Down(Option<Duration>);

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(down) => write!(f, "down for {} ms", down.0),
            None => f.write_str("down for ever"),
        }
    }
}
