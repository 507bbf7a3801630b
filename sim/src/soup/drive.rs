//! One step of one node: an input, and everything that follows from it at once.

use std::collections::VecDeque;

use pocket_types::machine::{Machine, Step, Tick};
use pocket_types::number::Timestamp;

use super::{Local, World};
use crate::process::{Action, Context, Error, Input, Output, Process, Record};
use crate::random::Random;

/// What a node takes.
pub(super) enum Stimulus<'a, M> {
    Message(usize, &'a M),
    Tick,
    Crash,
}

/// A message that leaves.
pub(super) struct Post<M> {
    pub(super) to: To,
    pub(super) message: M,
}

/// Whom a message is for.
pub(super) enum To {
    One(usize),
    Each(Vec<usize>),
    Others,
}

/// What a step did, beside changing its node.
pub(super) struct Done<M> {
    pub(super) posts: Vec<Post<M>>,
    pub(super) effects: u32,
    pub(super) stored: usize,
}

/// Inputs within one step beyond which a node will never rest.
const MAX_INPUTS: u32 = 10_000;

pub(super) fn boot<W: World>(world: &W, index: usize) -> Result<Born<W::Process>, String> {
    let (setup, nodes) = (world.setup(), world.nodes());
    let mut disk = <W::Process as Process>::Disk::default();
    let mut drive = Drive::new(setup, index, nodes, Timestamp::ZERO, &mut disk, None);
    let mut process = drive.boot()?;
    let deadline = deadline(&mut process);
    let done = drive.done();
    let now = Timestamp::ZERO;
    let mut local = Local { index, process, disk, now, deadline, key: 0, within: true };
    local.within = world.is_within(&local);
    Ok((local, done))
}

type Born<P> = (Local<P>, Done<<P as Process>::Message>);

/// Lets a node take something; with a cut, it crashes after that many effects and starts again.
pub(super) fn take<W: World>(
    world: &W,
    local: &mut Local<W::Process>,
    stimulus: Stimulus<'_, super::Message<W>>,
    cut: Option<u32>,
) -> Result<Done<super::Message<W>>, String> {
    let Local { index, process, disk, now, deadline: due, .. } = local;
    if let (Stimulus::Tick, Some(due)) = (&stimulus, *due) {
        *now = (*now).max(due);
    }
    let mut drive = Drive::new(world.setup(), *index, world.nodes(), *now, disk, cut);
    match stimulus {
        Stimulus::Message(from, message) => {
            let message = message.clone();
            let input =
                drive.call(process, |process, context| process.receive(context, from, message))?;
            if let Some(input) = input {
                // What the host answered while it received waits for the message itself.
                drive.inputs.push_front(input);
            }
        }
        Stimulus::Tick => drive.inputs.push_back(Input::<W::Process>::from(Tick)),
        Stimulus::Crash => drive.dead = true,
    }
    drive.settle(process)?;
    if drive.dead {
        drive.inputs.clear();
        (drive.dead, drive.cut) = (false, None);
        *process = drive.boot()?;
    }
    *due = deadline(process);
    let done = drive.done();
    local.within = world.is_within(local);
    Ok(done)
}

fn deadline<P: Process>(process: &mut P) -> Option<Timestamp> {
    process.machine()?.next_deadline()
}

struct Drive<'a, P: Process> {
    setup: &'a P::Setup,
    index: usize,
    nodes: usize,
    now: Timestamp,
    disk: &'a mut P::Disk,
    random: Random,
    inputs: VecDeque<Input<P>>,
    posts: Vec<Post<P::Message>>,
    handled: u32,
    effects: u32,
    stored: usize,
    cut: Option<u32>,
    dead: bool,
}

impl<'a, P: Process> Drive<'a, P> {
    fn new(
        setup: &'a P::Setup,
        index: usize,
        nodes: usize,
        now: Timestamp,
        disk: &'a mut P::Disk,
        cut: Option<u32>,
    ) -> Self {
        Self {
            setup,
            index,
            nodes,
            now,
            disk,
            random: Random::new(index as u64),
            inputs: VecDeque::new(),
            posts: Vec::new(),
            handled: 0,
            effects: 0,
            stored: 0,
            cut,
            dead: false,
        }
    }

    fn boot(&mut self) -> Result<P, String> {
        let mut context = self.context();
        let mut process = P::boot(&mut context);
        let actions = context.actions;
        self.act(&mut process, actions)?;
        self.settle(&mut process)?;
        Ok(process)
    }

    fn done(self) -> Done<P::Message> {
        Done { posts: self.posts, effects: self.effects, stored: self.stored }
    }

    fn context(&mut self) -> Context<'_, P> {
        Context {
            setup: self.setup,
            node: self.index,
            nodes: self.nodes,
            now: self.now,
            disk: self.disk,
            random: &mut self.random,
            actions: Vec::new(),
        }
    }

    fn call<T>(
        &mut self,
        process: &mut P,
        call: impl FnOnce(&mut P, &mut Context<'_, P>) -> T,
    ) -> Result<T, String> {
        let mut context = self.context();
        let result = call(process, &mut context);
        let actions = context.actions;
        self.act(process, actions)?;
        Ok(result)
    }

    fn act(&mut self, process: &mut P, actions: Vec<Action<P>>) -> Result<(), String> {
        for action in actions {
            match action {
                Action::Send(to, message) => self.posts.push(Post { to: To::One(to), message }),
                Action::SendEach(to, message) => {
                    self.posts.push(Post { to: To::Each(to), message });
                }
                Action::Broadcast(message) => self.posts.push(Post { to: To::Others, message }),
                Action::Answer(_, input) => self.inputs.push_back(input),
                Action::Step(step) => self.step(process, Ok(step))?,
                Action::Observe(_) | Action::TookEffect(_) => {}
            }
        }
        Ok(())
    }

    /// Hands in what waits until nothing does.
    fn settle(&mut self, process: &mut P) -> Result<(), String> {
        while !self.dead
            && let Some(input) = self.inputs.pop_front()
        {
            self.handled += 1;
            if self.handled > MAX_INPUTS {
                return Err(format!("node {} does not come to rest", self.index));
            }
            let now = self.now;
            if let Some(result) = process.machine().map(|machine| machine.handle(now, input)) {
                self.step(process, result)?;
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        process: &mut P,
        mut result: Result<Step<Record<P>, Output<P>>, Error<P>>,
    ) -> Result<(), String> {
        loop {
            let step = match result {
                Ok(step) => step,
                Err(error) => {
                    return self.call(process, |process, context| process.refused(context, error));
                }
            };
            for output in step.outputs {
                self.call(process, |process, context| process.perform(context, output))?;
                if self.effect() {
                    return Ok(());
                }
            }
            let Some(unstored) = step.records else { return Ok(()) };
            P::store(self.disk, unstored.records());
            self.stored += unstored.records().len();
            if self.effect() {
                return Ok(());
            }
            let now = self.now;
            let Some(machine) = process.machine() else { return Ok(()) };
            self.handled += 1;
            if self.handled > MAX_INPUTS {
                return Err(format!("node {} stores without end", self.index));
            }
            result = machine.release(now, unstored.stored());
        }
    }

    /// Counts an effect; true if the node crashes at it.
    fn effect(&mut self) -> bool {
        self.effects += 1;
        self.dead = self.cut == Some(self.effects);
        self.dead
    }
}
