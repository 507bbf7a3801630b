//! What is still to come, in order of time, then of scheduling.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::rc::Rc;

use pocket_types::number::{Duration, Timestamp};

use super::Simulation;
use crate::error::SimulationError;
use crate::process::{Input, Process};

pub(super) struct Queued<P: Process> {
    pub(super) at: Timestamp,
    sequence: u64,
    pub(super) event: Event<P>,
}

/// Large things are boxed: the heap moves its entries about.
pub(super) enum Event<P: Process> {
    Arrive(Box<Arrival<P::Message>>),
    Stored(usize, u64),
    Answer(usize, u64, Box<Input<P>>),
    Tick(usize, u64),
    Crash(BTreeSet<usize>, Option<Duration>),
    CrashLife(usize, u64),
    Restart(usize, u64),
}

/// A message on its way.
pub(super) struct Arrival<M> {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The receivers of a broadcast share it while it is under way.
    pub(super) message: Rc<M>,
    /// Which sending it comes from, for the trace.
    pub(super) sending: u64,
    /// A filter that fixes a delay overrides partitions as well.
    pub(super) forced: bool,
}

impl<P: Process> Simulation<P> {
    pub(super) fn schedule(&mut self, at: Timestamp, event: Event<P>) {
        if self.queue.len() >= self.limits.queue {
            self.fail(SimulationError::QueueFull { max: self.limits.queue, at: self.now });
            return;
        }
        let sequence = self.queued;
        self.queued += 1;
        self.queue.push(Reverse(Queued { at, sequence, event }));
    }

    pub(super) fn fail(&mut self, failure: SimulationError) {
        self.failure.get_or_insert(failure);
    }
}

impl<P: Process> Ord for Queued<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl<P: Process> PartialOrd for Queued<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Process> PartialEq for Queued<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P: Process> Eq for Queued<P> {}
