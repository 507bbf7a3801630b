//! What connects the nodes.

use std::fmt;

use pocket_types::number::{Duration, Ppm, Timestamp};

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope<M> {
    /// Index of the node that sent it.
    pub from: usize,
    /// Index of the node that it is for.
    pub to: usize,
    /// When it was sent, in virtual time.
    pub sent: Timestamp,
    /// What it says.
    pub message: M,
}

/// What a filter decides about a message when it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The plan's laws apply: delay, loss, duplication, partitions.
    Deliver,
    /// It never arrives.
    Drop,
    /// It arrives once, after exactly this long, whatever the plan says.
    Delay(Duration),
}

/// The laws of one direction between two nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Shortest time that a message takes.
    pub min: Duration,
    /// Longest time that a message takes.
    pub max: Duration,
    /// How often a message is lost.
    pub loss: Ppm,
    /// How often a message arrives twice.
    pub duplication: Ppm,
}

/// A span of virtual time, the end excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

impl Link {
    /// One millisecond, nothing lost, nothing twice: what holds where a plan says nothing else.
    pub const PERFECT: Self =
        Self { min: Duration(1), max: Duration(1), loss: Ppm(0), duplication: Ppm(0) };
}

impl Default for Link {
    fn default() -> Self {
        Self::PERFECT
    }
}

impl Window {
    /// All of time.
    pub const ALWAYS: Self = Self { from: Timestamp::ZERO, to: Timestamp(u64::MAX) };

    /// From the beginning to this instant.
    pub const fn until(to: Timestamp) -> Self {
        Self { from: Timestamp::ZERO, to }
    }

    /// Whether an instant lies inside.
    pub const fn contains(&self, instant: Timestamp) -> bool {
        self.from.0 <= instant.0 && instant.0 < self.to.0
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, loss, duplication } = self;
        write!(
            f,
            "{} to {} ms, loss {} ppm, duplication {} ppm",
            min.0, max.0, loss.0, duplication.0
        )
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALWAYS {
            return f.write_str("always");
        }
        write!(f, "from {} ms", self.from.0)?;
        if self.to == Self::ALWAYS.to {
            return Ok(());
        }
        write!(f, " until {} ms", self.to.0)
    }
}
