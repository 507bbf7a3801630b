//! The validator's machine: what the host sees, whatever the protocol inside.

pub mod config;
pub mod error;
pub mod input;
pub mod message;
pub mod output;
pub mod record;
mod recover;

use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Outbox, Receipt, Step};
use pocket_types::number::{Height, Round, Timestamp};

use crate::common::effects::{Effect, Effects};
use crate::hotpokt::HotPokt;
use crate::protocol::Protocol;
use crate::tip::Tip;

use config::Config;
use error::ReplicaError;
use input::Input;
use output::Output;
use record::Record;

/// A validator, or an observer, deciding one height after the other by a [`Protocol`].
///
/// Drive it as [`pocket_types::machine`] says. Hand in a [`Tick`](pocket_types::machine::Tick) when
/// [`next_deadline`](Machine::next_deadline) has come; a fresh replica wants one at once, and says
/// nothing before it.
///
/// Answer every [`Output::Build`] and [`Output::Check`]; an answer that is no longer wanted is
/// ignored. Commit [`Output::Decided`] before answering requests that name it as the parent. Messages
/// may be lost, duplicated and reordered; only the sender's identity must be authentic, and it must be
/// the validator's own key.
///
/// A clone is another replica with the same keys: for simulations only.
#[derive(Clone, Debug)]
pub struct Replica<P: Protocol = HotPokt> {
    outbox: Outbox<Effect>,
    started: bool,
    protocol: P,
}

impl<P: Protocol> Replica<P> {
    /// The last decided block.
    pub fn tip(&self) -> &Tip {
        self.protocol.core().tip()
    }

    /// Whether so many steps wait for the store that the next input would be refused
    /// ([`ReplicaError::Backlog`]): a host keeps what comes until it has released one.
    pub fn is_backlogged(&self) -> bool {
        self.outbox.waiting() >= self.config().max_unstored
    }

    /// The height being decided.
    pub fn height(&self) -> Height {
        self.protocol.core().height()
    }

    /// The round that this replica is in.
    pub fn round(&self) -> Round {
        self.protocol.round()
    }

    /// Whether it is a validator at this height.
    pub fn is_validator(&self) -> bool {
        self.protocol.core().position.is_some()
    }

    /// The leader of a round of this height, by turns: where leaders are elected, if nobody runs.
    pub fn leader(&self, round: Round) -> PublicKey {
        self.protocol.core().leader(round)
    }

    /// The protocol's own state, to look at.
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    fn config(&self) -> &Config {
        &self.protocol.core().config
    }

    fn input(
        &mut self,
        now: Timestamp,
        input: Input,
        fx: &mut Effects,
    ) -> Result<(), ReplicaError> {
        match input {
            Input::Tick if !self.started => {
                self.started = true;
                self.protocol.start(now, fx);
            }
            Input::Tick => self.protocol.tick(now, fx),
            Input::Message { from, message } => self.protocol.deliver(now, from, message, fx),
            Input::Built { block, change } => self.protocol.built(now, *block, change, fx)?,
            Input::Checked { block, verdict } => self.protocol.checked(now, block, verdict, fx)?,
            Input::Advance(tip) => {
                let (got, expected) = (tip.seed_rule(), self.config().election.map(|e| e.seed));
                if let Some(expected) = expected.filter(|_| got != expected) {
                    return Err(ReplicaError::Seed { got, expected });
                }
                self.protocol.advance(now, *tip, fx);
            }
        }
        Ok(())
    }

    /// Closes a step, and acts on what the replica told itself as soon as that is free.
    fn close(
        &mut self,
        now: Timestamp,
        freed: Vec<Effect>,
        mut fx: Effects,
    ) -> Step<Record, Output> {
        // Most votes change nothing but a count.
        if freed.is_empty() && fx.is_empty() {
            return Step::empty();
        }
        let mut outputs = Vec::new();
        let mut queue = freed;
        loop {
            for effect in queue {
                match effect {
                    Effect::Emit(output) => outputs.push(*output),
                    Effect::Own(vote) => self.protocol.own(now, *vote, &mut fx),
                }
            }
            let Effects { records, effects } = core::mem::take(&mut fx);
            if records.is_empty() && effects.is_empty() {
                return Step { records: None, outputs };
            }
            let step = self.outbox.push(records, effects);
            if step.records.is_some() {
                return Step { records: step.records, outputs };
            }
            queue = step.outputs;
        }
    }

    fn check_running(&self) -> Result<(), ReplicaError> {
        self.outbox.check()?;
        self.protocol.core().diverged.map_or(Ok(()), |block| Err(ReplicaError::Diverged { block }))
    }
}

impl<P: Protocol> Machine for Replica<P> {
    type Input = Input;
    type Record = Record;
    type Output = Output;
    type Error = ReplicaError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Record, Output>, ReplicaError> {
        self.check_running()?;
        if self.is_backlogged() {
            let (waiting, max) = (self.outbox.waiting(), self.config().max_unstored);
            return Err(ReplicaError::Backlog { waiting, max });
        }
        let mut fx = Effects::default();
        self.input(now, input, &mut fx)?;
        Ok(self.close(now, Vec::new(), fx))
    }

    fn release(
        &mut self,
        now: Timestamp,
        receipt: Receipt,
    ) -> Result<Step<Record, Output>, ReplicaError> {
        let freed = self.outbox.release(&receipt)?;
        Ok(self.close(now, freed, Effects::default()))
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.protocol.core().diverged.is_some() || self.outbox.check().is_err() {
            return None;
        }
        if !self.started {
            return Some(Timestamp::ZERO);
        }
        self.protocol.next_deadline()
    }
}
