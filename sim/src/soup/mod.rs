//! Soup mode: every message ever sent stays deliverable, in any order, any number of times.
//!
//! A random plan runs a protocol from end to end, and most of what it does is what happens anyway;
//! a bug in a lock shows in one plan of ten thousand. The soup has no network and no time: at each
//! step one node takes one message out of all that were ever sent to it, or its deadline comes, or it
//! loses its memory. Host's answers come at once, stores complete at once. It runs the same
//! [`Process`] as a [`Simulation`](crate::Simulation) does, around the real machine.
//!
//! [`walk`] takes random steps and shrinks what fails to a [`Script`] that [`replay`] runs again;
//! [`exhaust`] visits every state within a bound, breadth first.
//!
//! # Adversaries
//!
//! [`World::forge`] adds messages that Byzantine nodes could have sent: an alphabet at the beginning,
//! and whatever can be made of what was sent since. They stay deliverable like all others.

mod drive;
mod exhaust;
mod pool;
mod script;
mod state;
mod walk;

use std::fmt;
use std::hash::Hasher;
use std::rc::Rc;

use pocket_types::number::Timestamp;

use crate::process::Process;

pub use exhaust::{Bounds, Explored, exhaust};
pub use pool::{Forged, Sent};
pub use script::{Choice, Failure, Script, ScriptError, replay};
pub use walk::{Tally, Walks, walk};

/// What a test writes to put a protocol into the soup.
pub trait World {
    /// One node: the real machine and its host. What [`Context::random`](crate::Context::random)
    /// draws is the same in every step.
    type Process: Process + Clone;

    /// What all nodes share.
    fn setup(&self) -> &<Self::Process as Process>::Setup;

    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// The promise that must hold after every step. Only [`View::moved`] has changed since the step
    /// before.
    ///
    /// # Errors
    ///
    /// Says what is broken.
    fn check(&self, view: &View<'_, Self::Process>) -> Result<(), String>;

    /// Whether a node is still within what is explored; beyond it takes nothing more, though what it
    /// sent stays deliverable.
    fn is_within(&self, _node: &Local<Self::Process>) -> bool {
        true
    }

    /// Messages that Byzantine nodes add: asked at the beginning and whenever a message was sent that
    /// had not been sent before ([`View::sent`]). For [`exhaust`] they must depend on messages only,
    /// and add up to the same set whatever the order in which the same messages were sent.
    fn forge(&self, _view: &View<'_, Self::Process>) -> Vec<Forged<Message<Self>>> {
        Vec::new()
    }

    /// Writes all of a node's state on which its further behaviour, [`check`](Self::check) and
    /// [`is_within`](Self::is_within) depend. [`exhaust`] takes two states of a node with the same
    /// fingerprint for one: what is left out (absolute times, for one) must not matter. [`walk`]
    /// doesn't ask.
    fn fingerprint(&self, node: &Local<Self::Process>, to: &mut Fingerprint);
}

/// The message of a world's process.
pub type Message<W> = <<W as World>::Process as Process>::Message;

/// One node of the soup, at rest: all is stored and all the host's answers are given.
#[derive(Clone)]
pub struct Local<P: Process> {
    index: usize,
    process: P,
    disk: P::Disk,
    now: Timestamp,
    deadline: Option<Timestamp>,
    /// What a search sums its state up by.
    key: u128,
    within: bool,
}

impl<P: Process> Local<P> {
    /// Index of the node, from 0.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The process.
    pub const fn process(&self) -> &P {
        &self.process
    }

    /// What survives a crash.
    pub const fn disk(&self) -> &P::Disk {
        &self.disk
    }

    /// When its machine wants to be woken.
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The node's own clock: the latest deadline that came. No other event moves it.
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

/// All nodes, and all that was ever sent.
pub struct View<'a, P: Process> {
    nodes: &'a [Rc<Local<P>>],
    pool: &'a pool::Pool<P::Message>,
    messages: &'a [u32],
    sent: &'a [u32],
    moved: usize,
    stored: usize,
}

impl<'a, P: Process> View<'a, P> {
    /// The nodes, in order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &'a Local<P>> + use<'a, P> {
        self.nodes.iter().map(|node| &**node)
    }

    /// The node that took the last step; 0 at the beginning.
    pub fn moved(&self) -> &'a Local<P> {
        &self.nodes[self.moved]
    }

    /// How many records the last step stored.
    pub const fn stored(&self) -> usize {
        self.stored
    }

    /// Everything ever sent or forged, each once per receiver.
    pub fn messages(&self) -> impl Iterator<Item = &'a Sent<P::Message>> + use<'a, P> {
        let pool = self.pool;
        self.messages.iter().map(move |&id| pool.get(id))
    }

    /// What the last step sent for the first time.
    pub fn sent(&self) -> impl Iterator<Item = &'a Sent<P::Message>> + use<'a, P> {
        let pool = self.pool;
        self.sent.iter().map(move |&id| pool.get(id))
    }
}

/// Takes in what tells two states of a node apart: what implements [`std::hash::Hash`] by
/// [`Hasher`], anything else by its `Debug` form and [`fmt::Write`].
pub struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    fn new(index: usize) -> Self {
        let mut fingerprint = Self(blake3::Hasher::new());
        fingerprint.write_usize(index);
        fingerprint
    }

    fn value(&self) -> u128 {
        wide(&self.0.finalize())
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.value() as u64
    }
}

impl fmt::Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn wide(hash: &blake3::Hash) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(bytes)
}
