//! What happened, in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plan::{Fault, Plan};

/// How much happened, and how often each kind of fault took effect. A campaign in which a fault
/// stayed at zero did not test it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Messages sent, by sender.
    pub sent: Vec<u64>,
    /// Bytes sent in their canonical encoding, by sender.
    pub bytes: Vec<u64>,
    /// Messages sent, by [`kind`](crate::Process::kind).
    pub kinds: BTreeMap<&'static str, u64>,
    /// Effects (a store completed, an output performed), by node.
    pub effects: Vec<u64>,
    /// Messages that arrived, duplicates included.
    pub delivered: u64,
    /// Messages lost by a link.
    pub lost: u64,
    /// Messages that a link delivered twice.
    pub duplicated: u64,
    /// Messages that a partition stopped.
    pub partitioned: u64,
    /// Messages that arrived at a node that was down.
    pub missed: u64,
    /// Messages that a filter dropped.
    pub filtered: u64,
    /// Messages that a filter delayed.
    pub delayed: u64,
    /// Ticks handed in.
    pub ticks: u64,
    /// Inputs that machines refused.
    pub refused: u64,
    /// Crashes.
    pub crashes: u64,
    /// Steps whose records were not stored when their node crashed.
    pub unstored: u64,
    /// Restarts.
    pub restarts: u64,
    /// Stores that failed.
    pub failed_stores: u64,
    /// Ticks and messages that a node handled by a clock that was off.
    pub skewed: u64,
    /// Messages that took longer than on a perfect link.
    pub slowed: u64,
    /// Messages sent on a link with laws of its own.
    pub linked: u64,
    /// Messages that a partition at their stage stopped.
    pub stage_partitioned: u64,
    /// Messages lost at their stage.
    pub stage_lost: u64,
    /// Messages that took longer because of their stage.
    pub stage_delayed: u64,
    /// Crashes right after an effect.
    pub effect_crashes: u64,
    /// Stores of which a crash left a part.
    pub torn_stores: u64,
    /// Stores that took time.
    pub slow_stores: u64,
    /// What adversaries did, by the [name](crate::Context::took_effect) that they gave it.
    pub adversaries: BTreeMap<&'static str, u64>,
    /// Kinds of fault in the plans.
    planned: BTreeSet<&'static str>,
}

impl Counters {
    pub(crate) fn new(nodes: usize, plan: &Plan) -> Self {
        Self {
            planned: plan.faults.iter().map(Fault::kind).collect(),
            sent: vec![0; nodes],
            bytes: vec![0; nodes],
            effects: vec![0; nodes],
            ..Self::default()
        }
    }

    /// Adds another run's, to judge a campaign.
    pub fn add(&mut self, other: &Self) {
        add_each(&mut self.sent, &other.sent);
        add_each(&mut self.bytes, &other.bytes);
        add_each(&mut self.effects, &other.effects);
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (name, count) in &other.adversaries {
            *self.adversaries.entry(name).or_default() += count;
        }
        self.planned.extend(&other.planned);
        for ((_, mine), (_, theirs)) in self.singles_mut().into_iter().zip(other.singles()) {
            *mine += theirs;
        }
    }

    /// How often each kind of fault took effect, by name: what a rough life has, further kinds if
    /// they were planned, and what adversaries did.
    pub fn faults(&self) -> Vec<(&'static str, u64)> {
        let always = [
            ("loss", self.lost),
            ("duplication", self.duplicated),
            ("partition", self.partitioned),
            ("crash", self.crashes),
            ("unstored records", self.unstored),
            ("restart", self.restarts),
            ("failed store", self.failed_stores),
            ("clock skew", self.skewed),
        ];
        let planned = [
            ("delay", self.slowed),
            ("link", self.linked),
            ("crash at an effect", self.effect_crashes),
            ("torn store", self.torn_stores),
            ("slow store", self.slow_stores),
            ("partition at a stage", self.stage_partitioned),
            ("loss at a stage", self.stage_lost),
            ("delay at a stage", self.stage_delayed),
        ];
        let planned = planned.into_iter().filter(|(kind, _)| self.planned.contains(kind));
        let adversaries = self.adversaries.iter().map(|(name, count)| (*name, *count));
        always.into_iter().chain(planned).chain(adversaries).collect()
    }

    fn singles(&self) -> Vec<(&'static str, u64)> {
        let mut copy = self.clone();
        let singles = copy.singles_mut();
        singles.into_iter().map(|(name, count)| (name, *count)).collect()
    }

    fn singles_mut(&mut self) -> [(&'static str, &mut u64); 22] {
        [
            ("delivered", &mut self.delivered),
            ("lost", &mut self.lost),
            ("duplicated", &mut self.duplicated),
            ("partitioned", &mut self.partitioned),
            ("missed", &mut self.missed),
            ("filtered", &mut self.filtered),
            ("delayed", &mut self.delayed),
            ("ticks", &mut self.ticks),
            ("refused", &mut self.refused),
            ("crashes", &mut self.crashes),
            ("unstored", &mut self.unstored),
            ("restarts", &mut self.restarts),
            ("failed stores", &mut self.failed_stores),
            ("skewed", &mut self.skewed),
            ("slowed", &mut self.slowed),
            ("on links of their own", &mut self.linked),
            ("partitioned at a stage", &mut self.stage_partitioned),
            ("lost at a stage", &mut self.stage_lost),
            ("delayed at a stage", &mut self.stage_delayed),
            ("crashes at an effect", &mut self.effect_crashes),
            ("torn stores", &mut self.torn_stores),
            ("slow stores", &mut self.slow_stores),
        ]
    }
}

fn add_each(mine: &mut Vec<u64>, theirs: &[u64]) {
    mine.resize(mine.len().max(theirs.len()), 0);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {} in {} bytes, effects {}",
            self.sent.iter().sum::<u64>(),
            self.bytes.iter().sum::<u64>(),
            self.effects.iter().sum::<u64>()
        )?;
        let adversaries = self.adversaries.iter().map(|(name, count)| (*name, *count));
        let mut singles = self.singles().into_iter().chain(adversaries);
        singles.try_for_each(|(name, count)| write!(f, ", {name} {count}"))
    }
}
