//! What happens at a node: it boots, takes inputs and ticks, and what it does is carried out.

use pocket_types::machine::{Machine, Step, Tick};
use pocket_types::number::{Duration, Timestamp};

use super::queue::Event;
use super::trace::Entry;
use super::{Observation, Simulation};
use crate::error::SimulationError;
use crate::process::{Action, Context, Error, Input, Output, Process, Record};

/// Ticks of one node at one instant beyond which its deadline is stuck.
const MAX_TICKS: u32 = 1000;

impl<P: Process> Simulation<P> {
    pub(super) fn event(&mut self, event: Event<P>) {
        self.handled += 1;
        if self.handled > self.limits.events {
            self.fail(SimulationError::TooManyEvents { max: self.limits.events, at: self.now });
            return;
        }
        match event {
            Event::Arrive(arrival) => self.arrive(*arrival),
            Event::Stored(node, life) if self.lives(node, life) => self.stored(node),
            Event::Answer(node, life, input) if self.lives(node, life) => {
                self.trace.record(Entry::Answer, node, self.now);
                self.handle(node, *input);
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

    pub(super) fn boot(&mut self, node: usize) {
        self.trace.record(Entry::Boot, node, self.now);
        let now = self.local(node);
        let nodes = self.nodes.len();
        let mut context = Context {
            setup: &self.setup,
            node,
            nodes,
            now,
            disk: &mut self.nodes[node].disk,
            random: &mut self.random,
            actions: std::mem::take(&mut self.actions),
        };
        let process = P::boot(&mut context);
        let actions = context.actions;
        self.nodes[node].process = Some(process);
        self.act(node, actions);
        self.arm(node);
    }

    pub(super) fn tick(&mut self, node: usize) {
        self.nodes[node].tick_at = None;
        if self.is_backlogged(node) {
            return;
        }
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
            self.trace.record(Entry::Tick, node, self.now);
            self.handle(node, Input::<P>::from(Tick));
        }
        self.arm(node);
    }

    pub(super) fn is_backlogged(&self, node: usize) -> bool {
        self.nodes[node].process.as_ref().is_some_and(P::is_backlogged)
    }

    pub(super) fn handle(&mut self, node: usize, input: Input<P>) {
        if self.is_backlogged(node) {
            self.nodes[node].held.push_back(input);
            return;
        }
        let now = self.local(node);
        let machine =
            self.nodes.get_mut(node).and_then(|host| host.process.as_mut()).and_then(P::machine);
        if let Some(result) = machine.map(|machine| machine.handle(now, input)) {
            self.step(node, result);
        }
        self.arm(node);
    }

    /// Carries out what a machine returned.
    pub(super) fn step(
        &mut self,
        node: usize,
        result: Result<Step<Record<P>, Output<P>>, Error<P>>,
    ) {
        let step = match result {
            Ok(step) => step,
            Err(error) => {
                self.counters.refused += 1;
                self.trace.record(Entry::Refused, node, self.now);
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
            self.trace.record(Entry::Output, node, self.now);
            self.call(node, |process, context| process.perform(context, output));
            if !self.lives(node, life) || !self.effect(node) {
                return;
            }
        }
        if let Some(unstored) = step.records {
            let (min, max) = self.plan.store_time();
            let takes = self.random.duration(min, max);
            self.counters.slow_stores += u64::from(takes > Duration(0));
            let done = self.now.after(takes);
            self.nodes[node].unstored.push_back(unstored);
            self.schedule(done, Event::Stored(node, life));
        }
    }

    /// Calls a process that is up, then carries out what it did.
    pub(super) fn call<T>(
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
            actions: std::mem::take(&mut self.actions),
        };
        let result = call(process, &mut context);
        let actions = context.actions;
        self.act(node, actions);
        Some(result)
    }

    pub(super) fn act(&mut self, node: usize, mut actions: Vec<Action<P>>) {
        let life = self.nodes[node].life;
        for action in actions.drain(..) {
            if !self.lives(node, life) {
                break;
            }
            match action {
                Action::Send(to, message) => self.send(node, [to], message),
                Action::SendEach(to, message) => self.send(node, to, message),
                Action::Broadcast(message) => {
                    let others = (0..self.nodes.len()).filter(move |&to| to != node);
                    self.send(node, others, message);
                }
                Action::Answer(after, input) => {
                    self.schedule(
                        self.now.after(after),
                        Event::Answer(node, life, Box::new(input)),
                    );
                }
                Action::Step(step) => self.step(node, Ok(step)),
                Action::Observe(event) => self.observe(node, event),
                Action::TookEffect(name) => {
                    *self.counters.adversaries.entry(name).or_default() += 1;
                }
            }
        }
        self.actions = actions;
    }

    pub(super) fn observe(&mut self, node: usize, event: P::Event) {
        self.trace.record(Entry::Observed, node, self.now).debug(&event);
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

    /// Makes sure that the node is ticked at its deadline.
    pub(super) fn arm(&mut self, node: usize) {
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
    pub(super) fn deadline(&mut self, node: usize) -> Option<Timestamp> {
        let local = self.local_deadline(node)?;
        let skew = self.nodes[node].skew;
        Some(Timestamp(local.0.saturating_add_signed(skew.saturating_neg())).max(self.now))
    }

    pub(super) fn local_deadline(&mut self, node: usize) -> Option<Timestamp> {
        self.nodes.get_mut(node)?.process.as_mut()?.machine()?.next_deadline()
    }

    /// The time by a node's clock.
    pub(super) fn local(&self, node: usize) -> Timestamp {
        let skew = self.nodes.get(node).map_or(0, |host| host.skew);
        Timestamp(self.now.0.saturating_add_signed(skew))
    }

    pub(super) fn lives(&self, node: usize, life: u64) -> bool {
        let host = &self.nodes[node];
        host.process.is_some() && host.life == life
    }
}
