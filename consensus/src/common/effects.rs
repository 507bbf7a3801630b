//! What one step does, before it is closed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::vote::Vote;

use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;

/// The records and effects that a step collects.
#[derive(Debug, Default)]
pub struct Effects {
    pub(crate) records: Vec<Record>,
    pub(crate) effects: Vec<Effect>,
}

/// What happens once the records are durable.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Goes to the host.
    Emit(Box<Output>),
    /// Our own signature, which enters our own tally.
    Own(Box<Vote>),
}

impl Effects {
    pub(crate) const fn is_empty(&self) -> bool {
        self.records.is_empty() && self.effects.is_empty()
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.effects.push(Effect::Emit(Box::new(output)));
    }

    pub(crate) fn send(&mut self, to: PublicKey, message: Message) {
        self.emit(Output::Send { to, message });
    }

    pub(crate) fn own(&mut self, vote: Vote) {
        self.effects.push(Effect::Own(Box::new(vote)));
    }
}
