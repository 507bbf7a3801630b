//! Schedules of twins: validators that run as two instances with one key, and a network that says
//! round by round who leads and who hears whom (Bano et al., "Twins: BFT systems made robust",
//! arXiv 2004.10617).
//!
//! A twin is a Byzantine validator that costs nothing to write: each instance is the real machine,
//! and together they equivocate, forget and contradict themselves. [`Twins`] numbers all schedules of
//! a size, so that a campaign walks through them, or through a sample of them, and a failure is one
//! number. The test applies a schedule: it makes [`TwinRound::leader`] the leader of the round, and
//! drops each message of the round unless [`TwinRound::hears`], say by a
//! [filter](crate::Simulation::filter).

use std::fmt;

use crate::random::Random;

/// The size of schedules. Instances are numbered: first one of each validator, then the twins, of
/// validator 0, 1, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Twins {
    validators: usize,
    twinned: usize,
    rounds: usize,
}

/// Who leads each round, and who hears whom in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Its number among those of its size.
    pub index: u64,
    /// The rounds, in order.
    pub rounds: Vec<TwinRound>,
    size: Twins,
}

/// One round of a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TwinRound {
    /// The validator that leads, both its instances if it is twinned.
    pub leader: usize,
    /// One bit per instance; those of equal bits hear each other. Instance 0 has bit 0.
    pub side: u64,
}

impl TwinRound {
    /// Whether what one instance sends reaches another. An instance hears itself.
    pub const fn hears(&self, from: usize, to: usize) -> bool {
        (self.side >> from) & 1 == (self.side >> to) & 1
    }
}

impl Twins {
    /// Schedules of so many rounds for so many validators, the first `twinned` of which are twins;
    /// none if their number does not fit 64 bits, or if there is no validator.
    pub fn new(validators: usize, twinned: usize, rounds: usize) -> Option<Self> {
        let size = Self { validators, twinned: twinned.min(validators), rounds };
        (validators > 0 && size.instances() <= 64).then_some(())?;
        size.per_round()?.checked_pow(u32::try_from(rounds).ok()?)?;
        Some(size)
    }

    /// How many instances there are.
    pub const fn instances(&self) -> usize {
        self.validators + self.twinned
    }

    /// The validator that an instance is.
    pub const fn validator(&self, instance: usize) -> usize {
        if instance < self.validators { instance } else { instance - self.validators }
    }

    /// How many schedules there are: (leaders × splits of the instances into two sides) to the power
    /// of the rounds.
    pub fn count(&self) -> u64 {
        self.per_round().map_or(0, |ways| ways.pow(self.rounds as u32))
    }

    /// The schedule of a number below [`count`](Self::count). Equal numbers up to a power of
    /// (leaders × splits) have equal first rounds.
    pub fn schedule(&self, index: u64) -> Schedule {
        let ways = self.per_round().unwrap_or(1);
        let mut rest = index;
        let rounds = (0..self.rounds).map(|_| {
            let way = rest % ways;
            rest /= ways;
            let (leader, split) = (way % self.validators as u64, way / self.validators as u64);
            TwinRound { leader: leader as usize, side: split << 1 }
        });
        Schedule { index, rounds: rounds.collect(), size: *self }
    }

    /// All schedules, in order.
    pub fn all(&self) -> impl Iterator<Item = Schedule> + use<> {
        let size = *self;
        (0..size.count()).map(move |index| size.schedule(index))
    }

    /// The schedule that a seed draws.
    pub fn sample(&self, seed: u64) -> Schedule {
        self.schedule(Random::new(seed).below(self.count()))
    }

    fn per_round(&self) -> Option<u64> {
        let splits = 1_u64.checked_shl(self.instances() as u32 - 1)?;
        splits.checked_mul(self.validators as u64)
    }
}

impl Schedule {
    /// A round of it; none after the last, when what holds is for the test to say.
    pub fn round(&self, round: usize) -> Option<TwinRound> {
        self.rounds.get(round).copied()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "schedule {}", self.index)?;
        for (number, round) in self.rounds.iter().enumerate() {
            write!(f, "  round {number}: {} leads,", round.leader)?;
            for side in 0..2 {
                let members = (0..self.size.instances()).filter(|i| (round.side >> i) & 1 == side);
                let names = members.map(|instance| {
                    let twin = if instance < self.size.validators { "" } else { "'" };
                    format!("{}{twin}", self.size.validator(instance))
                });
                let names: Vec<_> = names.collect();
                if !names.is_empty() {
                    write!(f, " {{{}}}", names.join(", "))?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
