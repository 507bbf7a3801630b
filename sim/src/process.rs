//! What a test writes: a machine with the duties of its host.

use std::fmt;

use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Duration, Timestamp};
use serde::Serialize;

use crate::plan::Stage;
use crate::random::Random;

/// The input of a process's machine.
pub type Input<P> = <<P as Process>::Machine as Machine>::Input;
/// The record of a process's machine.
pub type Record<P> = <<P as Process>::Machine as Machine>::Record;
/// The output of a process's machine.
pub type Output<P> = <<P as Process>::Machine as Machine>::Output;
/// The error of a process's machine.
pub type Error<P> = <<P as Process>::Machine as Machine>::Error;

/// One node: a machine, and what its host does for it.
///
/// The simulator drives the machine by the convention of [`pocket_types::machine`]: it hands inputs
/// in, stores the records of each step, in order, after the plan's store delay, hands the receipt
/// back, performs outputs, and ticks at the deadline. The process supplies the rest. What it keeps
/// in `self` dies in a crash; what is on its disk survives.
///
/// All nodes of a simulation are of one type. To put adversaries among them make it an enum, each
/// variant with a machine of its own, or none.
pub trait Process: Sized {
    /// The protocol.
    type Machine: Machine;
    /// What all nodes share and nobody changes: keys, genesis, parameters.
    type Setup;
    /// What travels between nodes. Its canonical encoding goes into the trace.
    type Message: Clone + Serialize;
    /// What oracles look at; its `Debug` form goes into the trace.
    type Event: fmt::Debug;
    /// What survives a crash.
    type Disk: Clone + Default;

    /// Starts a node from what is durable: at the beginning of the simulation from an empty disk,
    /// after a crash from what was stored before. A step that recovering the machine yields goes to
    /// [`Context::step`].
    fn boot(context: &mut Context<'_, Self>) -> Self;

    /// The machine to drive; none for a node that has none.
    fn machine(&mut self) -> Option<&mut Self::Machine>;

    /// Writes the records of one step, all or nothing.
    fn store(disk: &mut Self::Disk, records: &[Record<Self>]);

    /// Turns a message into an input of the machine, or none if it ends here.
    fn receive(
        &mut self,
        context: &mut Context<'_, Self>,
        from: usize,
        message: Self::Message,
    ) -> Option<Input<Self>>;

    /// Does what the machine asks for.
    fn perform(&mut self, context: &mut Context<'_, Self>, output: Output<Self>);

    /// Whether the machine takes no input until a step is stored: until then what comes is kept, as a
    /// host does.
    fn is_backlogged(&self) -> bool {
        false
    }

    /// Hears that the machine refused an input, or that it is poisoned.
    fn refused(&mut self, _context: &mut Context<'_, Self>, _error: Error<Self>) {}

    /// Where in the protocol a message belongs, for faults that strike there; none if nowhere.
    fn stage(_message: &Self::Message) -> Option<Stage> {
        None
    }

    /// Name of a message's kind, for the counters.
    fn kind(_message: &Self::Message) -> &'static str {
        "message"
    }
}

/// What a process can see and do.
pub struct Context<'a, P: Process> {
    pub(crate) setup: &'a P::Setup,
    pub(crate) node: usize,
    pub(crate) nodes: usize,
    pub(crate) now: Timestamp,
    pub(crate) disk: &'a mut P::Disk,
    pub(crate) random: &'a mut Random,
    pub(crate) actions: Vec<Action<P>>,
}

/// What a process did, for the simulator to carry out when the call is over.
pub(crate) enum Action<P: Process> {
    Send(usize, P::Message),
    SendEach(Vec<usize>, P::Message),
    Broadcast(P::Message),
    Answer(Duration, Input<P>),
    Step(Step<Record<P>, Output<P>>),
    Observe(P::Event),
    TookEffect(&'static str),
}

impl<P: Process> Context<'_, P> {
    /// What all nodes share.
    pub const fn setup(&self) -> &P::Setup {
        self.setup
    }

    /// Index of this node, from 0.
    pub const fn node(&self) -> usize {
        self.node
    }

    /// How many nodes there are.
    pub const fn nodes(&self) -> usize {
        self.nodes
    }

    /// The time by this node's clock.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The node's disk: to boot from, and for what the host itself makes durable when it performs
    /// an output. A write is durable at once.
    pub const fn disk(&mut self) -> &mut P::Disk {
        self.disk
    }

    /// The simulation's generator, for adversaries and hosts that draw.
    pub const fn random(&mut self) -> &mut Random {
        self.random
    }

    /// What all nodes share, and what is this node's alone: its disk and the generator.
    pub const fn parts(&mut self) -> (&P::Setup, &mut P::Disk, &mut Random) {
        (self.setup, self.disk, self.random)
    }

    /// Sends a message to one node, this one included.
    pub fn send(&mut self, to: usize, message: P::Message) {
        self.actions.push(Action::Send(to, message));
    }

    /// Sends a message to several nodes, in this order; it is encoded once.
    pub fn send_each(&mut self, to: Vec<usize>, message: P::Message) {
        self.actions.push(Action::SendEach(to, message));
    }

    /// Sends a message to every other node.
    pub fn broadcast(&mut self, message: P::Message) {
        self.actions.push(Action::Broadcast(message));
    }

    /// Hands an input to this node's machine later: the host's answer to an output. A crash before
    /// loses it.
    pub fn answer(&mut self, after: Duration, input: Input<P>) {
        self.actions.push(Action::Answer(after, input));
    }

    /// Drives a step that the machine returned outside [`Machine::handle`], when it was recovered.
    pub fn step(&mut self, step: Step<Record<P>, Output<P>>) {
        self.actions.push(Action::Step(step));
    }

    /// Counts what an adversary did, by a name of its own, among the
    /// [faults that took effect](crate::Counters::faults).
    pub fn took_effect(&mut self, name: &'static str) {
        self.actions.push(Action::TookEffect(name));
    }

    /// Tells the oracles.
    pub fn observe(&mut self, event: P::Event) {
        self.actions.push(Action::Observe(event));
    }
}
