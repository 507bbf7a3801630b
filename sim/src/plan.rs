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
}

impl PlanConfig {
    /// A rough life that ends at `heal`.
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
        plan
    }

    pub(crate) fn link(&self, from: usize, to: usize, now: Timestamp) -> Link {
        let mut law = Link::PERFECT;
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
                    law = *link
                }
                _ => {}
            }
        }
        law
    }

    pub(crate) fn parts(&self, from: usize, to: usize, now: Timestamp) -> bool {
        let together = |groups: &[BTreeSet<usize>]| {
            groups.iter().any(|g| g.contains(&from) && g.contains(&to))
        };
        from != to
            && self.faults.iter().any(|fault| match fault {
                Fault::Partition { groups, window } => window.contains(now) && !together(groups),
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
