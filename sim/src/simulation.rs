//! The run itself.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use pocket_types::codec;
use pocket_types::hash::Hash;
use pocket_types::machine::{Machine, Step, Tick, Unstored};
use pocket_types::number::{Duration, Timestamp};

use crate::counters::Counters;
use crate::error::SimulationError;
use crate::network::{Envelope, Fate};
use crate::plan::{Fault, Plan};
use crate::process::{Action, Context, Error, Input, Output, Process, Record};
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
    trace: Hash,
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
    stores: u64,
    disk_failed: bool,
    tick_at: Option<Timestamp>,
    ticks_now: (Timestamp, u32),
}

struct Queued<P: Process> {
    at: Timestamp,
    sequence: u64,
    event: Event<P>,
}

enum Event<P: Process> {
    Arrive {
        envelope: Envelope<P::Message>,
        digest: Hash,
        /// A filter that fixes a delay overrides partitions as well.
        forced: bool,
    },
    Stored(usize, u64),
    Answer(usize, u64, Input<P>),
    Tick(usize, u64),
    Crash(BTreeSet<usize>, Option<Duration>),
    CrashLife(usize, u64),
    Restart(usize, u64),
}

/// Ticks of one node at one instant beyond which its deadline is stuck.
const MAX_TICKS: u32 = 1000;

impl<P: Process> Simulation<P> {
    /// Boots `nodes` processes under a plan.
    pub fn new(setup: P::Setup, nodes: usize, plan: Plan) -> Self {
        let mut simulation = Self {
            random: Random::new(plan.seed),
            counters: Counters::new(nodes),
            nodes: (0..nodes).map(|node| Node::new(plan.skew(node))).collect(),
            setup,
            limits: Limits::default(),
            now: Timestamp::ZERO,
            queue: BinaryHeap::new(),
            queued: 0,
            handled: 0,
            trace: Hash::ZERO,
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
        self.record(b"input", node, &[]);
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
        host.tick_at = None;
        host.disk_failed = false;
        let life = host.life;
        self.record(b"crash", node, &[]);
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
    pub const fn trace(&self) -> Hash {
        self.trace
    }

    /// The plan that is being run.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What all nodes share.
    pub const fn setup(&self) -> &P::Setup {
        &self.setup
    }

    fn event(&mut self, event: Event<P>) {
        self.handled += 1;
        if self.handled > self.limits.events {
            self.fail(SimulationError::TooManyEvents { max: self.limits.events, at: self.now });
            return;
        }
        match event {
            Event::Arrive { envelope, digest, forced } => self.arrive(envelope, digest, forced),
            Event::Stored(node, life) if self.lives(node, life) => self.stored(node),
            Event::Answer(node, life, input) if self.lives(node, life) => {
                self.record(b"answer", node, &[]);
                self.handle(node, input);
            }
            Event::Tick(node, life) if self.lives(node, life) => self.tick(node),
            Event::Crash(nodes, down) => nodes.iter().for_each(|&node| self.crash(node, down)),
            Event::CrashLife(node, life) if self.lives(node, life) => {
                self.crash(node, Some(Duration(0)));
            }
            Event::Restart(node, life) => {
                // A node restarted by hand, and perhaps crashed again, has another life.
                if self.nodes[node].life == life {
                    self.restart(node);
                }
            }
            Event::Stored(..) | Event::Answer(..) | Event::Tick(..) | Event::CrashLife(..) => {}
        }
    }

    fn boot(&mut self, node: usize) {
        self.record(b"boot", node, &[]);
        let now = self.local(node);
        let nodes = self.nodes.len();
        let mut context = Context {
            setup: &self.setup,
            node,
            nodes,
            now,
            disk: &mut self.nodes[node].disk,
            random: &mut self.random,
            actions: Vec::new(),
        };
        let process = P::boot(&mut context);
        let actions = context.actions;
        self.nodes[node].process = Some(process);
        self.act(node, actions);
        self.arm(node);
    }

    fn arrive(&mut self, envelope: Envelope<P::Message>, digest: Hash, forced: bool) {
        let Envelope { from, to, .. } = envelope;
        if !forced && self.plan.parts(from, to, self.now) {
            self.counters.partitioned += 1;
            return;
        }
        if self.nodes[to].process.is_none() {
            self.counters.missed += 1;
            return;
        }
        self.counters.delivered += 1;
        self.counters.skewed += u64::from(self.nodes[to].skew != 0);
        self.record(b"message", to, &[&(from as u64).to_le_bytes(), &digest.0]);
        let input =
            self.call(to, |process, context| process.receive(context, from, envelope.message));
        if let Some(Some(input)) = input {
            self.handle(to, input);
        }
        self.arm(to);
    }

    fn stored(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        let Some(unstored) = host.unstored.pop_front() else {
            return;
        };
        host.stores += 1;
        let (stores, life) = (host.stores, host.life);
        let first_failure = (!host.disk_failed)
            .then(|| {
                self.plan.faults.iter().find_map(|fault| match fault {
                    Fault::FailedStore { node: whose, store, until_crash }
                        if (*whose, *store) == (node, stores) =>
                    {
                        Some(*until_crash)
                    }
                    _ => None,
                })
            })
            .flatten();
        if let Some(until_crash) = first_failure {
            host.disk_failed = true;
            self.schedule(self.now.after(until_crash), Event::CrashLife(node, life));
        }
        let host = &mut self.nodes[node];
        let receipt = if host.disk_failed {
            self.counters.failed_stores += 1;
            self.record(b"failed", node, &[]);
            unstored.failed()
        } else {
            P::store(&mut host.disk, unstored.records());
            self.record(b"stored", node, &[]);
            if !self.effect(node) {
                return;
            }
            unstored.stored()
        };
        let now = self.local(node);
        let machine = self.nodes[node].process.as_mut().and_then(P::machine);
        if let Some(result) = machine.map(|machine| machine.release(now, receipt)) {
            self.step(node, result);
        }
        self.arm(node);
    }

    fn tick(&mut self, node: usize) {
        self.nodes[node].tick_at = None;
        if self.deadline(node).is_some_and(|deadline| deadline <= self.now) {
            let ticks = &mut self.nodes[node].ticks_now;
            *ticks = if ticks.0 == self.now { (self.now, ticks.1 + 1) } else { (self.now, 1) };
            if ticks.1 > MAX_TICKS {
                let (at, ticks) = *ticks;
                let deadline = self.local_deadline(node).unwrap_or_default();
                self.fail(SimulationError::DeadlineStuck { node, deadline, ticks, at });
                return;
            }
            self.counters.ticks += 1;
            self.counters.skewed += u64::from(self.nodes[node].skew != 0);
            self.record(b"tick", node, &[]);
            self.handle(node, Input::<P>::from(Tick));
        }
        self.arm(node);
    }

    fn handle(&mut self, node: usize, input: Input<P>) {
        let now = self.local(node);
        let machine =
            self.nodes.get_mut(node).and_then(|host| host.process.as_mut()).and_then(P::machine);
        if let Some(result) = machine.map(|machine| machine.handle(now, input)) {
            self.step(node, result);
        }
        self.arm(node);
    }

    /// Carries out what a machine returned.
    fn step(&mut self, node: usize, result: Result<Step<Record<P>, Output<P>>, Error<P>>) {
        let step = match result {
            Ok(step) => step,
            Err(error) => {
                self.counters.refused += 1;
                self.record(b"refused", node, &[]);
                self.call(node, |process, context| process.refused(context, error));
                return;
            }
        };
        if self.nodes[node].disk_failed && !step.outputs.is_empty() {
            self.fail(SimulationError::OutputAfterFailedStore { node, at: self.now });
            return;
        }
        let life = self.nodes[node].life;
        for output in step.outputs {
            self.record(b"output", node, &[]);
            self.call(node, |process, context| process.perform(context, output));
            if !self.lives(node, life) || !self.effect(node) {
                return;
            }
        }
        if let Some(unstored) = step.records {
            let (min, max) = self.plan.store_time();
            let done = self.now.after(self.random.duration(min, max));
            self.nodes[node].unstored.push_back(unstored);
            self.schedule(done, Event::Stored(node, life));
        }
    }

    /// Calls a process that is up, then carries out what it did.
    fn call<T>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut P, &mut Context<'_, P>) -> T,
    ) -> Option<T> {
        let now = self.local(node);
        let nodes = self.nodes.len();
        let host = &mut self.nodes[node];
        let process = host.process.as_mut()?;
        let mut context = Context {
            setup: &self.setup,
            node,
            nodes,
            now,
            disk: &mut host.disk,
            random: &mut self.random,
            actions: Vec::new(),
        };
        let result = call(process, &mut context);
        let actions = context.actions;
        self.act(node, actions);
        Some(result)
    }

    fn act(&mut self, node: usize, actions: Vec<Action<P>>) {
        let life = self.nodes[node].life;
        for action in actions {
            if !self.lives(node, life) {
                return;
            }
            match action {
                Action::Send(to, message) => self.send(node, [to], &message),
                Action::Broadcast(message) => {
                    let others = (0..self.nodes.len()).filter(|&to| to != node);
                    self.send(node, others, &message);
                }
                Action::Answer(after, input) => {
                    self.schedule(self.now.after(after), Event::Answer(node, life, input));
                }
                Action::Step(step) => self.step(node, Ok(step)),
                Action::Observe(event) => self.observe(node, event),
            }
        }
    }

    fn send(&mut self, from: usize, to: impl IntoIterator<Item = usize>, message: &P::Message) {
        let encoded = codec::encode(message);
        let digest = Hash(*blake3::hash(&encoded).as_bytes());
        self.record(b"send", from, &[&digest.0]);
        for to in to {
            if to >= self.nodes.len() {
                self.counters.missed += 1;
                continue;
            }
            self.counters.sent[from] += 1;
            self.counters.bytes[from] += encoded.len() as u64;
            *self.counters.kinds.entry(P::kind(message)).or_default() += 1;
            let envelope = Envelope { from, to, sent: self.now, message: message.clone() };
            self.carry(envelope, digest);
        }
    }

    fn carry(&mut self, envelope: Envelope<P::Message>, digest: Hash) {
        let fate = self.filter.as_mut().map_or(Fate::Deliver, |filter| filter(&envelope));
        let (from, to) = (envelope.from, envelope.to);
        match fate {
            Fate::Drop => self.counters.filtered += 1,
            Fate::Delay(delay) => {
                self.counters.delayed += 1;
                let at = self.now.after(delay);
                self.schedule(at, Event::Arrive { envelope, digest, forced: true });
            }
            Fate::Deliver => {
                let link = self.plan.link(from, to, self.now);
                if self.plan.parts(from, to, self.now) {
                    self.counters.partitioned += 1;
                    return;
                }
                if self.random.chance(link.loss) {
                    self.counters.lost += 1;
                    return;
                }
                if self.random.chance(link.duplication) {
                    self.counters.duplicated += 1;
                    let at = self.now.after(self.random.duration(link.min, link.max));
                    let envelope = envelope.clone();
                    self.schedule(at, Event::Arrive { envelope, digest, forced: false });
                }
                let at = self.now.after(self.random.duration(link.min, link.max));
                self.schedule(at, Event::Arrive { envelope, digest, forced: false });
            }
        }
    }

    fn observe(&mut self, node: usize, event: P::Event) {
        self.record(b"event", node, &[format!("{event:?}").as_bytes()]);
        let observation = Observation { at: self.now, node, event };
        let mut crashes = Vec::new();
        self.triggers.retain_mut(|trigger| {
            let holds = (trigger.holds)(&observation);
            if holds {
                crashes.push((trigger.nodes.clone(), trigger.down));
            }
            !holds
        });
        self.observations.push(observation);
        for (nodes, down) in crashes {
            nodes.iter().for_each(|&node| self.crash(node, down));
        }
    }

    /// Counts an effect; false if the node crashed at it.
    fn effect(&mut self, node: usize) -> bool {
        self.counters.effects[node] += 1;
        let effects = self.counters.effects[node];
        let crash = self.plan.faults.iter().find_map(|fault| match fault {
            Fault::CrashAtEffect { node: whose, effect, down }
                if (*whose, *effect) == (node, effects) =>
            {
                Some(*down)
            }
            _ => None,
        });
        if let Some(down) = crash {
            self.crash(node, down);
        }
        crash.is_none()
    }

    /// Makes sure that the node is ticked at its deadline.
    fn arm(&mut self, node: usize) {
        let Some(deadline) = self.deadline(node) else {
            return;
        };
        let host = &mut self.nodes[node];
        if host.tick_at.is_none_or(|at| deadline < at) {
            host.tick_at = Some(deadline);
            let life = host.life;
            self.schedule(deadline, Event::Tick(node, life));
        }
    }

    /// A machine's deadline in virtual time; one in the past is due now.
    fn deadline(&mut self, node: usize) -> Option<Timestamp> {
        let local = self.local_deadline(node)?;
        let skew = self.nodes[node].skew;
        Some(Timestamp(local.0.saturating_add_signed(skew.saturating_neg())).max(self.now))
    }

    fn local_deadline(&mut self, node: usize) -> Option<Timestamp> {
        self.nodes.get_mut(node)?.process.as_mut()?.machine()?.next_deadline()
    }

    /// The time by a node's clock.
    fn local(&self, node: usize) -> Timestamp {
        let skew = self.nodes.get(node).map_or(0, |host| host.skew);
        Timestamp(self.now.0.saturating_add_signed(skew))
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        let host = &self.nodes[node];
        host.process.is_some() && host.life == life
    }

    fn schedule(&mut self, at: Timestamp, event: Event<P>) {
        if self.queue.len() >= self.limits.queue {
            self.fail(SimulationError::QueueFull { max: self.limits.queue, at: self.now });
            return;
        }
        let sequence = self.queued;
        self.queued += 1;
        self.queue.push(Reverse(Queued { at, sequence, event }));
    }

    fn fail(&mut self, failure: SimulationError) {
        self.failure.get_or_insert(failure);
    }

    fn record(&mut self, what: &[u8], node: usize, parts: &[&[u8]]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.trace.0);
        hasher.update(&self.now.0.to_le_bytes());
        hasher.update(&(node as u64).to_le_bytes());
        for part in [what].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        self.trace = Hash(*hasher.finalize().as_bytes());
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

impl<P: Process> Ord for Queued<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl<P: Process> PartialOrd for Queued<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Process> PartialEq for Queued<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P: Process> Eq for Queued<P> {}
