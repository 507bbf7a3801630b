//! A protocol to be simulated: every node announces increasing numbers, each stored before it is
//! announced, and tells what it hears.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use pocket_sim::{Context, Plan, Process, Simulation, Stage};
use pocket_types::machine::{Machine, Outbox, Poisoned, Receipt, Step, Tick};
use pocket_types::number::{Duration, Timestamp};

/// How often a node announces.
pub const PERIOD: Duration = Duration(100);

/// What is wrong with the protocol, if anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    None,
    /// Announces a number before it is stored.
    SpeaksEarly,
    /// Goes on after its store failed.
    SpeaksAfterFailure,
    /// Never moves its deadline.
    StuckDeadline,
    /// Answers each message with two, at once.
    Multiplies,
    /// Is never quiet: answers each message with one.
    Chatters,
}

pub struct Announcer {
    flaw: Flaw,
    next: u64,
    due: Timestamp,
    outbox: Outbox<Output>,
}

#[derive(Debug)]
pub enum Input {
    Tick,
    Hear { from: usize, number: u64 },
    Ask,
    Remind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Announce(u64),
    Heard { from: usize, number: u64 },
    Ask,
    Remind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Booted { at: Timestamp },
    Ticked { at: Timestamp },
    Announced(u64),
    Heard { from: usize, number: u64 },
    Refused,
}

impl From<Tick> for Input {
    fn from(Tick: Tick) -> Self {
        Self::Tick
    }
}

impl Machine for Announcer {
    type Input = Input;
    type Record = u64;
    type Output = Output;
    type Error = Poisoned;

    fn handle(&mut self, now: Timestamp, input: Input) -> Result<Step<u64, Output>, Poisoned> {
        self.outbox.check()?;
        match input {
            Input::Tick if now < self.due => Ok(Step::empty()),
            Input::Tick => {
                if self.flaw != Flaw::StuckDeadline {
                    self.due = now.after(PERIOD);
                }
                self.next += 1;
                let announce = vec![Output::Announce(self.next)];
                Ok(match self.flaw {
                    Flaw::SpeaksEarly => Step {
                        records: self.outbox.push(vec![self.next], Vec::new()).records,
                        outputs: announce,
                    },
                    _ => self.outbox.push(vec![self.next], announce),
                })
            }
            Input::Hear { from, number } => {
                let mut outputs = vec![Output::Heard { from, number }];
                let answers = match self.flaw {
                    Flaw::Multiplies => 2,
                    Flaw::Chatters => 1,
                    _ => 0,
                };
                outputs.resize(1 + answers, Output::Announce(number));
                Ok(self.outbox.push(Vec::new(), outputs))
            }
            Input::Ask => Ok(self.outbox.push(Vec::new(), vec![Output::Ask])),
            Input::Remind => Ok(self.outbox.push(Vec::new(), vec![Output::Remind])),
        }
    }

    fn release(&mut self, _: Timestamp, receipt: Receipt) -> Result<Step<u64, Output>, Poisoned> {
        let outputs = match (self.outbox.release(&receipt), self.flaw) {
            (Err(_), Flaw::SpeaksAfterFailure) => vec![Output::Announce(self.next)],
            (released, _) => released?,
        };
        Ok(Step { records: None, outputs })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.outbox.check().ok().map(|()| self.due)
    }
}

#[derive(Clone, Copy)]
pub struct Setup {
    pub flaw: Flaw,
    /// Time from a node's boot to its first announcement; negative if that has passed already.
    pub first: i64,
}

pub struct Node(pub Announcer);

impl Process for Node {
    type Machine = Announcer;
    type Setup = Setup;
    type Message = u64;
    type Event = Event;
    type Disk = Vec<u64>;

    fn boot(context: &mut Context<'_, Self>) -> Self {
        let at = context.now();
        context.observe(Event::Booted { at });
        Self(Announcer {
            flaw: context.setup().flaw,
            next: context.disk().last().copied().unwrap_or_default(),
            due: Timestamp(at.0.saturating_add_signed(context.setup().first)),
            outbox: Outbox::new(),
        })
    }

    fn machine(&mut self) -> Option<&mut Announcer> {
        Some(&mut self.0)
    }

    fn store(disk: &mut Vec<u64>, records: &[u64]) {
        disk.extend(records);
    }

    fn receive(&mut self, _: &mut Context<'_, Self>, from: usize, number: u64) -> Option<Input> {
        Some(Input::Hear { from, number })
    }

    fn perform(&mut self, context: &mut Context<'_, Self>, output: Output) {
        match output {
            Output::Announce(number) => {
                context.observe(Event::Announced(number));
                context.broadcast(number);
            }
            Output::Heard { from, number } => context.observe(Event::Heard { from, number }),
            Output::Remind => context.send(context.node(), 77),
            Output::Ask => {
                context.answer(Duration(50), Input::Hear { from: usize::MAX, number: 0 })
            }
        }
    }

    fn refused(&mut self, context: &mut Context<'_, Self>, _: Poisoned) {
        context.observe(Event::Refused);
    }

    fn stage(number: &u64) -> Option<Stage> {
        Some(Stage { round: number / 10, phase: (number % 10) as u8 })
    }

    fn kind(_: &u64) -> &'static str {
        "announcement"
    }
}

pub fn simulation(nodes: usize, plan: Plan) -> Simulation<Node> {
    flawed(nodes, plan, Flaw::None)
}

pub fn flawed(nodes: usize, plan: Plan, flaw: Flaw) -> Simulation<Node> {
    let first = PERIOD.0 as i64;
    Simulation::new(Setup { flaw, first }, nodes, plan)
}

/// What a node announced, with the times.
pub fn announced(simulation: &Simulation<Node>, node: usize) -> Vec<(u64, u64)> {
    let of_node = simulation.observations().iter().filter(|o| o.node == node);
    let numbers = of_node.filter_map(|o| match o.event {
        Event::Announced(number) => Some((o.at.0, number)),
        _ => None,
    });
    numbers.collect()
}

/// What a node heard from another, with the times.
pub fn heard(simulation: &Simulation<Node>, node: usize, source: usize) -> Vec<(u64, u64)> {
    let of_node = simulation.observations().iter().filter(|o| o.node == node);
    let numbers = of_node.filter_map(|o| match o.event {
        Event::Heard { from, number } if from == source => Some((o.at.0, number)),
        _ => None,
    });
    numbers.collect()
}

/// The protocol's promise: a node never announces a number twice, whatever befalls it, nor one that
/// it has not stored.
pub fn check_promise(simulation: &Simulation<Node>, nodes: usize) -> Result<(), String> {
    for node in 0..nodes {
        let mut counts = BTreeMap::new();
        for (at, number) in announced(simulation, node) {
            if counts.insert(number, at).is_some() {
                return Err(format!("node {node} announced {number} again at {at}"));
            }
            if !simulation.disk(node).contains(&number) {
                return Err(format!("node {node} announced {number}, which it lost"));
            }
        }
    }
    Ok(())
}
