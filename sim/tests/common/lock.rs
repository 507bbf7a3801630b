//! A protocol with a lock: four nodes agree on one value, once, in two phases a view. A node that is
//! told that three prepared a value locks it and votes to commit it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use pocket_sim::{Context, Process, Stage};
use pocket_types::machine::{Machine, Outbox, Poisoned, Receipt, Step, Tick};
use pocket_types::number::{Duration, Timestamp};
use serde::Serialize;

pub const NODES: usize = 4;
const QUORUM: usize = 3;
const TIMEOUT: u64 = 100;

/// What is wrong with the protocol, if anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flaw {
    None,
    /// Prepares whatever a leader proposes, locked or not.
    NoLockCheck,
    /// Locks and commits in a view after it has prepared in a later one.
    LocksLate,
    /// Does not store that it prepared.
    Forgets,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Message {
    NewView { view: u64, lock: Option<(u64, usize)> },
    Propose { view: u64, value: usize, justify: Option<u64> },
    Prepare { view: u64, value: usize },
    Lock { view: u64, value: usize },
    Commit { view: u64, value: usize },
    Decide { value: usize },
}

pub enum Input {
    Start,
    Tick,
    Hear(usize, Message),
}

pub enum Output {
    Send(usize, Message),
    Broadcast(Message),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What survives a crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Disk {
    pub prepared: Option<u64>,
    pub lock: Option<(u64, usize)>,
    pub decided: Option<usize>,
}

/// What a node remembers until it crashes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub view: u64,
    new_views: BTreeMap<usize, Option<(u64, usize)>>,
    proposed: Option<usize>,
    prepares: BTreeSet<usize>,
    commits: BTreeSet<usize>,
    pub disk: Disk,
}

pub struct Locker {
    me: usize,
    flaw: Flaw,
    pub state: State,
    due: Timestamp,
    outbox: Outbox<Output>,
}

impl Clone for Locker {
    fn clone(&self) -> Self {
        assert_eq!(self.outbox.waiting(), 0, "the soup clones nodes at rest");
        Self { state: self.state.clone(), outbox: Outbox::new(), ..*self }
    }
}

pub const fn leader(view: u64) -> usize {
    (view % NODES as u64) as usize
}

impl Locker {
    fn hear(&mut self, now: Timestamp, from: usize, message: Message, outputs: &mut Vec<Output>) {
        let state = &mut self.state;
        match message {
            Message::NewView { view, lock } => {
                if view == state.view && leader(view) == self.me && state.proposed.is_none() {
                    state.new_views.insert(from, lock);
                    if state.new_views.len() >= QUORUM {
                        let highest = state.new_views.values().flatten().max().copied();
                        let value = highest.map_or(self.me, |(_, value)| value);
                        let justify = highest.map(|(view, _)| view);
                        state.proposed = Some(value);
                        let proposal = Message::Propose { view, value, justify };
                        outputs.push(Output::Broadcast(proposal));
                        self.hear(now, self.me, proposal, outputs);
                    }
                }
            }
            Message::Propose { view, value, justify } => {
                let unlocked = state.disk.lock.is_none_or(|(locked, kept)| {
                    kept == value || justify > Some(locked) || self.flaw == Flaw::NoLockCheck
                });
                if leader(view) != from || view < state.view || Some(view) <= state.disk.prepared {
                    return;
                }
                if view > state.view {
                    self.enter(now, view);
                }
                if unlocked {
                    self.state.disk.prepared = Some(view);
                    self.tell(now, leader(view), Message::Prepare { view, value }, outputs);
                }
            }
            Message::Prepare { view, value } => {
                if view == state.view && state.proposed == Some(value) {
                    state.prepares.insert(from);
                    if state.prepares.len() == QUORUM {
                        let lock = Message::Lock { view, value };
                        outputs.push(Output::Broadcast(lock));
                        self.hear(now, self.me, lock, outputs);
                    }
                }
            }
            Message::Lock { view, value } => {
                let late = Some(view) < state.disk.prepared;
                let again = state.disk.lock.is_some_and(|(locked, _)| locked >= view);
                if (!late && !again) || (late && self.flaw == Flaw::LocksLate) {
                    state.disk.lock = Some((view, value));
                    self.tell(now, leader(view), Message::Commit { view, value }, outputs);
                }
            }
            Message::Commit { view, value } => {
                if view == state.view && state.proposed == Some(value) {
                    state.commits.insert(from);
                    if state.commits.len() == QUORUM {
                        state.disk.decided = Some(value);
                        outputs.push(Output::Broadcast(Message::Decide { value }));
                    }
                }
            }
            Message::Decide { value } => {
                state.disk.decided.get_or_insert(value);
            }
        }
    }

    fn tell(&mut self, now: Timestamp, to: usize, message: Message, outputs: &mut Vec<Output>) {
        if to == self.me {
            self.hear(now, self.me, message, outputs);
        } else {
            outputs.push(Output::Send(to, message));
        }
    }

    fn enter(&mut self, now: Timestamp, view: u64) {
        self.due = now.after(Duration(TIMEOUT << view.min(10)));
        let disk = self.state.disk;
        self.state = State { view, disk, ..State::default() };
    }
}

impl Machine for Locker {
    type Input = Input;
    type Record = Disk;
    type Output = Output;
    type Error = Poisoned;

    fn handle(&mut self, now: Timestamp, input: Input) -> Result<Step<Disk, Output>, Poisoned> {
        self.outbox.check()?;
        let (before, mut outputs) = (self.state.disk, Vec::new());
        match input {
            Input::Hear(from, message) => self.hear(now, from, message, &mut outputs),
            // After a restart its view may be over: it has nothing to say then.
            Input::Start if self.me == leader(0) && before.prepared.is_none() => {
                let proposal = Message::Propose { view: 0, value: self.me, justify: None };
                self.state.proposed = Some(self.me);
                outputs.push(Output::Broadcast(proposal));
                self.hear(now, self.me, proposal, &mut outputs);
            }
            Input::Tick if now >= self.due => {
                let (view, lock) = (self.state.view + 1, self.state.disk.lock);
                self.enter(now, view);
                self.tell(now, leader(view), Message::NewView { view, lock }, &mut outputs);
            }
            Input::Start | Input::Tick => {}
        }
        let mut disk = self.state.disk;
        if self.flaw == Flaw::Forgets {
            disk.prepared = None;
        }
        let records = if self.state.disk == before { Vec::new() } else { vec![disk] };
        Ok(self.outbox.push(records, outputs))
    }

    fn release(&mut self, _: Timestamp, receipt: Receipt) -> Result<Step<Disk, Output>, Poisoned> {
        let outputs = self.outbox.release(&receipt)?;
        Ok(Step { records: None, outputs })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.outbox.check().ok().map(|()| self.due)
    }
}

#[derive(Clone)]
pub struct Node(pub Locker);

impl Process for Node {
    type Machine = Locker;
    type Setup = Flaw;
    type Message = Message;
    type Event = ();
    type Disk = Disk;

    fn boot(context: &mut Context<'_, Self>) -> Self {
        context.answer(Duration(0), Input::Start);
        let disk = *context.disk();
        // What it did in a view that it began must not be done again.
        let view = disk.prepared.max(disk.lock.map(|(view, _)| view)).unwrap_or_default();
        let state = State { view, disk, ..State::default() };
        let due = context.now().after(Duration(TIMEOUT));
        let (me, flaw) = (context.node(), *context.setup());
        Self(Locker { me, flaw, state, due, outbox: Outbox::new() })
    }

    fn machine(&mut self) -> Option<&mut Locker> {
        Some(&mut self.0)
    }

    fn store(disk: &mut Disk, records: &[Disk]) {
        *disk = records[records.len() - 1];
    }

    fn receive(&mut self, _: &mut Context<'_, Self>, from: usize, said: Message) -> Option<Input> {
        Some(Input::Hear(from, said))
    }

    fn perform(&mut self, context: &mut Context<'_, Self>, output: Output) {
        match output {
            Output::Send(to, message) => context.send(to, message),
            Output::Broadcast(message) => context.broadcast(message),
        }
    }

    fn stage(message: &Message) -> Option<Stage> {
        let (round, phase) = match *message {
            Message::NewView { view, .. } => (view, 0),
            Message::Propose { view, .. } => (view, 1),
            Message::Prepare { view, .. } => (view, 2),
            Message::Lock { view, .. } => (view, 3),
            Message::Commit { view, .. } => (view, 4),
            Message::Decide { .. } => return None,
        };
        Some(Stage { round, phase })
    }

    fn kind(message: &Message) -> &'static str {
        match message {
            Message::NewView { .. } => "new view",
            Message::Propose { .. } => "proposal",
            Message::Prepare { .. } => "prepare",
            Message::Lock { .. } => "lock",
            Message::Commit { .. } => "commit",
            Message::Decide { .. } => "decide",
        }
    }
}

/// Nobody decides another value than anybody else.
pub fn agree(decided: impl IntoIterator<Item = Option<usize>>) -> Result<(), String> {
    let values: BTreeSet<usize> = decided.into_iter().flatten().collect();
    if values.len() > 1 { Err(format!("{values:?} are decided")) } else { Ok(()) }
}
