//! The one convention: a protocol is a value.
//!
//! Every message-driven protocol in this workspace (consensus, sync, RainTree, the secure channel)
//! is a [`Machine`]: one input goes in, a [`Step`] comes out. It never blocks, reads no clock,
//! draws no hidden randomness and spawns nothing. The same inputs give the same outputs, byte for
//! byte, so an input log is a replay.
//!
//! # Driving a machine
//!
//! ```
//! use pocket_types::machine::{Machine, Tick};
//! use pocket_types::number::Timestamp;
//!
//! fn drive<M: Machine>(
//!     machine: &mut M,
//!     now: Timestamp,
//!     input: M::Input,
//!     mut store: impl FnMut(&[M::Record]) -> bool,
//!     mut send: impl FnMut(M::Output),
//! ) -> Result<(), M::Error> {
//!     let mut step = machine.handle(now, input)?;
//!     loop {
//!         step.outputs.into_iter().for_each(&mut send);
//!         let Some(unstored) = step.records else { break };
//!         let receipt = match store(unstored.records()) {
//!             true => unstored.stored(),
//!             false => unstored.failed(),
//!         };
//!         step = machine.release(now, receipt)?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Between calls the host watches [`Machine::next_deadline`] and hands in a [`Tick`] when it has
//! come; a deadline that lies in the past is due at once.
//!
//! # Storing before sending
//!
//! A step may carry records. Everything that must not leave before those records are durable stays
//! inside the machine, and comes out of [`Machine::release`] against the [`Receipt`] that storing
//! them yields. Steps are numbered, and a later step can't overtake an unstored earlier one, even
//! when it carries no records itself. A failed store poisons the machine: it says so and sends
//! nothing more. There is no other way to the outputs:
//!
//! ```compile_fail,E0451
//! use pocket_types::machine::Receipt;
//! // A receipt can't be made up ...
//! let receipt = Receipt { sequence: todo!(), stored: true };
//! ```
//!
//! ```compile_fail,E0599
//! use pocket_types::machine::Step;
//! // ... and a machine that keeps records has no shortcut to its outputs.
//! fn send_before_storing(step: Step<u64, &'static str>) -> Vec<&'static str> {
//!     step.into_outputs()
//! }
//! ```
//!
//! ```compile_fail,E0382
//! use pocket_types::machine::{Receipt, Unstored};
//! // Records give one receipt.
//! fn twice(unstored: Unstored<u64>) -> (Receipt, Receipt) {
//!     (unstored.stored(), unstored.stored())
//! }
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::convert::Infallible;

use thiserror::Error;

use crate::number::Timestamp;
use crate::trap;

/// A protocol as a value. See the [module documentation](self) for how to drive one.
pub trait Machine {
    /// What the host may hand in; [`Tick`] among it.
    type Input: From<Tick>;
    /// What must be durable before the step's outputs leave; [`Infallible`] for a machine without
    /// durable state, whose outputs are free at once.
    type Record;
    /// What the host must do: messages to send, questions to answer, events to pass on.
    type Output;
    /// Why an input was refused. Each variant says who is at fault and whether state changed.
    type Error;

    /// Takes one input.
    ///
    /// # Errors
    ///
    /// As the machine documents them; a refused input has changed nothing unless the error's own
    /// documentation says otherwise.
    fn handle(
        &mut self,
        now: Timestamp,
        input: Self::Input,
    ) -> Result<Step<Self::Record, Self::Output>, Self::Error>;

    /// Takes the receipt for a step's records and frees what waited for them, in order. What the
    /// machine tells itself (its own votes) counts from here on, so new records may follow.
    ///
    /// # Errors
    ///
    /// [`Poisoned`] in the machine's error type when the receipt says that storing failed.
    fn release(
        &mut self,
        now: Timestamp,
        receipt: Receipt,
    ) -> Result<Step<Self::Record, Self::Output>, Self::Error>;

    /// When the machine next wants a [`Tick`]; none if only an input can move it.
    fn next_deadline(&self) -> Option<Timestamp>;
}

/// The input that says: time has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick;

/// Number of a step within the life of one machine, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// The number itself, for logs.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What one input caused.
#[derive(Debug)]
#[must_use = "store the records, then release the step; send the outputs"]
pub struct Step<R, O> {
    /// What must be stored before the rest of this step is released; none if nothing.
    pub records: Option<Unstored<R>>,
    /// What is free to leave now, in order.
    pub outputs: Vec<O>,
}

impl<R, O> Step<R, O> {
    /// A step in which nothing happened.
    pub const fn empty() -> Self {
        Self { records: None, outputs: Vec::new() }
    }
}

impl<O> Step<Infallible, O> {
    /// The outputs of a machine without durable state.
    pub fn into_outputs(self) -> Vec<O> {
        self.outputs
    }
}

/// Records that are not durable yet. Store all of them in one atomic write that follows every
/// earlier step's, then say how it went.
#[derive(Debug)]
#[must_use = "outputs wait until these records are stored"]
pub struct Unstored<R> {
    sequence: Sequence,
    records: Vec<R>,
}

impl<R> Unstored<R> {
    /// The step that these records belong to.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// What to store, in order.
    pub fn records(&self) -> &[R] {
        &self.records
    }

    /// The records are durable: they survive a crash of this machine from now on.
    pub fn stored(self) -> Receipt {
        Receipt { sequence: self.sequence, stored: true }
    }

    /// The records could not be stored: the machine that gets this receipt stops for good.
    pub fn failed(self) -> Receipt {
        Receipt { sequence: self.sequence, stored: false }
    }
}

/// Says how storing a step's records went; comes only from [`Unstored`].
#[derive(Debug)]
#[must_use = "hand it to Machine::release"]
pub struct Receipt {
    sequence: Sequence,
    stored: bool,
}

/// A store failed, or lagged beyond the machine's bound, and the machine sends nothing more: restart
/// it from its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "storing the records of step {} failed and nothing may leave after it; mend the store and \
     recover the machine from its log", sequence.0
)]
pub struct Poisoned {
    /// The step whose records were lost.
    pub sequence: Sequence,
}

/// Holds a machine's outputs back until its records are stored: the part of the convention that
/// every machine with durable state shares.
///
/// It grows by one entry per step while the host stores; [`Outbox::waiting`] lets a machine refuse
/// inputs beyond its bound.
#[derive(Clone, Debug)]
pub struct Outbox<O> {
    next: Sequence,
    waiting: VecDeque<Waiting<O>>,
    poisoned: Option<Poisoned>,
}

#[derive(Clone, Debug)]
struct Waiting<O> {
    sequence: Sequence,
    stored: bool,
    outputs: Vec<O>,
}

impl<O> Outbox<O> {
    /// An outbox in which nothing waits.
    pub const fn new() -> Self {
        Self { next: Sequence(0), waiting: VecDeque::new(), poisoned: None }
    }

    /// Closes a step: outputs are free at once if it has no records and nothing earlier waits.
    pub fn push<R>(&mut self, records: Vec<R>, outputs: Vec<O>) -> Step<R, O> {
        let sequence = self.next;
        self.next = Sequence(sequence.0.saturating_add(1));
        if records.is_empty() && self.waiting.is_empty() {
            return Step { records: None, outputs };
        }
        if trap!("sent_before_stored") {
            return Step { records: Some(Unstored { sequence, records }), outputs };
        }
        let stored = records.is_empty();
        self.waiting.push_back(Waiting { sequence, stored, outputs });
        let records = (!stored).then_some(Unstored { sequence, records });
        Step { records, outputs: Vec::new() }
    }

    /// Frees, in order, what no longer waits for an unstored step.
    ///
    /// # Errors
    ///
    /// [`Poisoned`] when the receipt, or an earlier one, says that storing failed.
    pub fn release(&mut self, receipt: &Receipt) -> Result<Vec<O>, Poisoned> {
        self.check()?;
        if !receipt.stored {
            let poisoned = Poisoned { sequence: receipt.sequence };
            self.poisoned = Some(poisoned);
            self.waiting.clear();
            return Err(poisoned);
        }
        if let Some(step) = self.waiting.iter_mut().find(|step| step.sequence == receipt.sequence) {
            step.stored = true;
        }
        let mut free = Vec::new();
        while let Some(step) = self.waiting.pop_front_if(|step| step.stored) {
            free.extend(step.outputs);
        }
        Ok(free)
    }

    /// Whether the machine may still act.
    ///
    /// # Errors
    ///
    /// [`Poisoned`] once a store has failed.
    pub fn check(&self) -> Result<(), Poisoned> {
        self.poisoned.map_or(Ok(()), Err)
    }

    /// Number of steps whose outputs wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl<O> Default for Outbox<O> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_step_without_records_waits_for_an_earlier_unstored_one() {
        let mut outbox = Outbox::new();
        let first = outbox.push(vec!["lock"], vec!["vote"]);
        let second = outbox.push(Vec::<&str>::new(), vec!["answer"]);
        assert!(first.outputs.is_empty() && second.outputs.is_empty());
        assert!(second.records.is_none());
        let receipt = first.records.unwrap().stored();
        assert_eq!(outbox.release(&receipt), Ok(vec!["vote", "answer"]));
    }

    #[test]
    fn receipts_out_of_order_free_nothing_early() {
        let mut outbox = Outbox::new();
        let first = outbox.push(vec![1], vec!["a"]);
        let second = outbox.push(vec![2], vec!["b"]);
        let (first, second) = (first.records.unwrap().stored(), second.records.unwrap().stored());
        assert_eq!(outbox.release(&second), Ok(vec![]));
        assert_eq!(outbox.release(&first), Ok(vec!["a", "b"]));
        assert_eq!(outbox.waiting(), 0);
    }

    #[test]
    fn a_failed_store_poisons_for_good() {
        let mut outbox = Outbox::new();
        let first = outbox.push(vec![1], vec!["a"]);
        let second = outbox.push(vec![2], vec!["b"]);
        let poisoned = outbox.release(&first.records.unwrap().failed()).unwrap_err();
        assert_eq!(outbox.release(&second.records.unwrap().stored()), Err(poisoned));
        assert_eq!(outbox.check(), Err(poisoned));
    }
}
