//! The run itself.

mod delivery;
mod queue;
mod run;
mod storage;
mod trace;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use pocket_types::hash::Hash;
use pocket_types::machine::Unstored;
use pocket_types::number::{Duration, Timestamp};

use self::queue::{Event, Queued};
use self::trace::{Entry, Trace};
use crate::counters::Counters;
use crate::error::SimulationError;
use crate::network::{Envelope, Fate};
use crate::plan::{Fault, Plan};
use crate::process::{Action, Input, Process, Record};
use crate::random::Random;

/// A network of processes under a plan, in virtual time that starts at 0.
///
/// All nodes boot when it is made. [`run_until`](Self::run_until) and
/// [`run_while`](Self::run_while) move time; between calls a test may look at everything, hand
/// inputs in, crash and restart nodes. When a test panics while a simulation is alive, its plan is
/// printed.
pub struct Simulation<P: Process> {
    setup: P::Setup,
    plan: Plan,
    limits: Limits,
    nodes: Vec<Node<P>>,
    now: Timestamp,
    queue: BinaryHeap<Reverse<Queued<P>>>,
    queued: u64,
    handled: u64,
    random: Random,
    trace: Trace,
    /// How often something was sent.
    sendings: u64,
    /// An empty list of actions, to use again.
    actions: Vec<Action<P>>,
    counters: Counters,
    observations: Vec<Observation<P::Event>>,
    filter: Option<Filter<P::Message>>,
    triggers: Vec<Trigger<P::Event>>,
    failure: Option<SimulationError>,
}

/// Bounds of a run: a protocol that runs away fails its test rather than eating all memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages, stores, answers and ticks under way.
    pub queue: usize,
    /// Events in the whole run.
    pub events: u64,
}

/// What a process told the oracles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation<E> {
    /// Virtual time.
    pub at: Timestamp,
    /// Index of the node.
    pub node: usize,
    /// What it told.
    pub event: E,
}

type Predicate<E> = Box<dyn FnMut(&Observation<E>) -> bool>;
type Filter<M> = Box<dyn FnMut(&Envelope<M>) -> Fate>;

struct Trigger<E> {
    nodes: BTreeSet<usize>,
    down: Option<Duration>,
    holds: Predicate<E>,
}

struct Node<P: Process> {
    process: Option<P>,
    disk: P::Disk,
    /// Counts lives, so that what a crash took away is recognized when it comes up.
    life: u64,
    skew: i64,
    /// What is being stored. Each write follows every earlier one: whichever completes, it is the
    /// first of these.
    unstored: VecDeque<Unstored<Record<P>>>,
    /// Inputs that the machine takes once a step is stored.
    held: VecDeque<Input<P>>,
    stores: u64,
    disk_failed: bool,
    tick_at: Option<Timestamp>,
    ticks_now: (Timestamp, u32),
}

impl<P: Process> Simulation<P> {
    /// Boots `nodes` processes under a plan.
    pub fn new(setup: P::Setup, nodes: usize, plan: Plan) -> Self {
        let mut simulation = Self {
            random: Random::new(plan.seed),
            counters: Counters::new(nodes, &plan),
            nodes: (0..nodes).map(|node| Node::new(plan.skew(node))).collect(),
            setup,
            limits: Limits::default(),
            now: Timestamp::ZERO,
            queue: BinaryHeap::new(),
            queued: 0,
            handled: 0,
            trace: Trace::new(),
            sendings: 0,
            actions: Vec::new(),
            observations: Vec::new(),
            filter: None,
            triggers: Vec::new(),
            failure: None,
            plan,
        };
        let crashes = simulation.plan.faults.iter().filter_map(|fault| match fault {
            Fault::Crash { nodes, at, down } => Some((*at, Event::Crash(nodes.clone(), *down))),
            _ => None,
        });
        for (at, event) in crashes.collect::<Vec<_>>() {
            simulation.schedule(at, event);
        }
        for node in 0..nodes {
            simulation.boot(node);
        }
        simulation
    }

    /// Replaces the bounds of the run.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets an adversary decide about every message from now on, when it is sent.
    pub fn filter(&mut self, filter: impl FnMut(&Envelope<P::Message>) -> Fate + 'static) {
        self.filter = Some(Box::new(filter));
    }

    /// Crashes nodes, all at once, the first time that an observation fulfils the predicate; they
    /// restart `down` later, or never.
    pub fn crash_when(
        &mut self,
        nodes: impl IntoIterator<Item = usize>,
        down: Option<Duration>,
        holds: impl FnMut(&Observation<P::Event>) -> bool + 'static,
    ) {
        self.triggers.push(Trigger {
            nodes: nodes.into_iter().collect(),
            down,
            holds: Box::new(holds),
        });
    }

    /// Runs up to and including an instant.
    ///
    /// # Errors
    ///
    /// [`SimulationError`] when what runs is broken.
    pub fn run_until(&mut self, end: Timestamp) -> Result<(), SimulationError> {
        self.run_while(end, |_| true).map(|_| ())
    }

    /// Runs while a condition holds, up to and including an instant; true when the condition ended
    /// it. The condition is asked before the first event and after each.
    ///
    /// # Errors
    ///
    /// [`SimulationError`] when what runs is broken.
    pub fn run_while(
        &mut self,
        end: Timestamp,
        mut goes_on: impl FnMut(&Self) -> bool,
    ) -> Result<bool, SimulationError> {
        loop {
            if let Some(failure) = self.failure {
                return Err(failure);
            }
            if !goes_on(self) {
                return Ok(true);
            }
            match self.queue.peek() {
                Some(Reverse(next)) if next.at <= end => {}
                _ => break,
            }
            if let Some(Reverse(next)) = self.queue.pop() {
                self.now = next.at;
                self.event(next.event);
            }
        }
        self.now = self.now.max(end);
        Ok(false)
    }

    /// Hands an input to a node's machine now, as its host; nothing happens if the node is down.
    pub fn input(&mut self, node: usize, input: Input<P>) {
        self.trace.record(Entry::Input, node, self.now);
        self.handle(node, input);
    }

    /// Crashes a node now; it restarts `down` later, or never.
    pub fn crash(&mut self, node: usize, down: Option<Duration>) {
        let Some(host) = self.nodes.get_mut(node) else {
            return;
        };
        if host.process.take().is_none() {
            return;
        }
        host.life += 1;
        self.counters.crashes += 1;
        self.counters.unstored += host.unstored.len() as u64;
        host.unstored.clear();
        host.held.clear();
        host.tick_at = None;
        host.disk_failed = false;
        let life = host.life;
        self.trace.record(Entry::Crash, node, self.now);
        if let Some(down) = down {
            self.schedule(self.now.after(down), Event::Restart(node, life));
        }
    }

    /// Starts a node that is down from its disk.
    pub fn restart(&mut self, node: usize) {
        if self.nodes.get(node).is_some_and(|host| host.process.is_none()) {
            self.counters.restarts += 1;
            self.boot(node);
        }
    }

    /// Virtual time.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// A node's process; none while it is down.
    pub fn process(&self, node: usize) -> Option<&P> {
        self.nodes.get(node)?.process.as_ref()
    }

    /// What is durable at a node.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn disk(&self, node: usize) -> &P::Disk {
        &self.nodes[node].disk
    }

    /// Everything that processes told the oracles, in order.
    pub fn observations(&self) -> &[Observation<P::Event>] {
        &self.observations
    }

    /// What happened so far, in numbers.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Hash over everything that happened so far: equal for two runs of the same plan, on any
    /// machine.
    pub fn trace(&self) -> Hash {
        self.trace.hash()
    }

    /// The plan that is being run.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What all nodes share.
    pub const fn setup(&self) -> &P::Setup {
        &self.setup
    }
}

impl<P: Process> Drop for Simulation<P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation's plan: {}", self.plan);
        }
    }
}

impl<P: Process> Node<P> {
    fn new(skew: i64) -> Self {
        Self {
            process: None,
            disk: P::Disk::default(),
            life: 0,
            skew,
            unstored: VecDeque::new(),
            held: VecDeque::new(),
            stores: 0,
            disk_failed: false,
            tick_at: None,
            ticks_now: (Timestamp::ZERO, 0),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 1_000_000, events: 50_000_000 }
    }
}
