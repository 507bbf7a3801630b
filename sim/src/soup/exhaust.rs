//! Every state within a bound.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::drive::{self, Stimulus};
use super::pool::{Plain, Pool};
use super::script::Failure;
use super::state::Act;
use super::{Fingerprint, Local, Message, View, World};
use crate::process::Process;

/// How far a search goes, beside [`World::is_within`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Most states.
    pub states: u64,
    /// Whether nodes crash, at rest and between any two effects.
    pub crashes: bool,
}

/// What a search has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states, each checked.
    pub states: u64,
    /// Steps between them, those that lead back to a known state included.
    pub steps: u64,
    /// Distinct states of single nodes: so often did a real machine have to be cloned at most.
    pub locals: u64,
    /// Distinct messages, by receiver.
    pub messages: u64,
    /// Steps from the beginning to the state that is furthest away.
    pub depth: u32,
    /// Whether no state within the bounds is left.
    pub complete: bool,
}

/// Visits every state that any order of steps leads to, breadth first, so that the first failure is
/// a shortest one.
///
/// States are summed up by 128 bits: nodes by [`World::fingerprint`], messages by their encoding. A
/// node's step from one of its states is computed once, whatever the others do meanwhile.
///
/// # Errors
///
/// The promise is broken.
pub fn exhaust<W: World>(world: &W, bounds: &Bounds) -> Result<Explored, Box<Failure>> {
    let mut search = Search {
        world,
        pool: Pool::new(),
        locals: HashMap::default(),
        steps: HashMap::default(),
        seen: HashSet::default(),
        parents: Vec::new(),
    };
    search.run(bounds).map_err(|(acts, reason)| Failure::new(world, None, acts, reason))
}

type Rest<W> = Rc<Local<<W as World>::Process>>;

struct State<W: World> {
    number: u32,
    depth: u32,
    key: u128,
    nodes: Vec<Rest<W>>,
    /// Sorted.
    messages: Vec<u32>,
}

impl<W: World> Clone for State<W> {
    fn clone(&self) -> Self {
        Self { nodes: self.nodes.clone(), messages: self.messages.clone(), ..*self }
    }
}

/// What one node does: a step of it is known by its state and by this.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Move {
    node: u32,
    what: u32,
    cut: u32,
}

const TICK: u32 = u32::MAX;
const CRASH: u32 = u32::MAX - 1;

struct Outcome<W: World> {
    local: Rest<W>,
    sent: Vec<u32>,
    effects: u32,
    stored: usize,
}

struct Search<'w, W: World> {
    world: &'w W,
    pool: Pool<Message<W>>,
    locals: HashMap<u128, Rest<W>, Plain>,
    steps: HashMap<(u32, u32, u32), Rc<Outcome<W>>, Plain>,
    seen: HashSet<u128, Plain>,
    /// How each state was first reached.
    parents: Vec<(u32, Move)>,
}

type Broken = (Vec<Act>, String);

impl<W: World> Search<'_, W> {
    fn run(&mut self, bounds: &Bounds) -> Result<Explored, Broken> {
        let first = self.first().map_err(|reason| (Vec::new(), reason))?;
        let mut explored =
            Explored { states: 1, steps: 0, locals: 0, messages: 0, depth: 0, complete: true };
        let mut queue = VecDeque::from([first]);
        let mut moves = Vec::new();
        'search: while let Some(state) = queue.pop_front() {
            explored.depth = state.depth;
            self.moves(&state, bounds, &mut moves);
            let mut at = 0;
            while let Some(&step) = moves.get(at) {
                at += 1;
                explored.steps += 1;
                let broken =
                    |search: &Self, reason| (search.path(state.number, Some(step)), reason);
                let outcome = self.outcome(&state, step).map_err(|reason| broken(self, reason))?;
                if bounds.crashes && step.cut == 0 && step.what != CRASH {
                    moves.extend((1..outcome.effects).map(|cut| Move { cut, ..step }));
                }
                let next = self.next(&state, step, &outcome).map_err(|e| broken(self, e))?;
                let Some(next) = next else { continue };
                if explored.states == bounds.states {
                    explored.complete = false;
                    break 'search;
                }
                explored.states += 1;
                queue.push_back(next);
            }
        }
        explored.locals = self.locals.len() as u64;
        explored.messages = self.pool.len() as u64;
        Ok(explored)
    }

    fn first(&mut self) -> Result<State<W>, String> {
        let mut state =
            State { number: 0, depth: 0, key: 0, nodes: Vec::new(), messages: Vec::new() };
        let mut sent = Vec::new();
        for index in 0..self.world.nodes() {
            let (local, done) = drive::boot(self.world, index)?;
            for post in &done.posts {
                self.pool.post(index, self.world.nodes(), post, &mut sent);
            }
            let local = self.rest(local);
            state.key = state.key.wrapping_add(local.key);
            state.nodes.push(local);
        }
        let sent = self.include(&mut state, &sent);
        let sent = self.forge(&mut state, 0, sent);
        self.check(&state, 0, 0, &sent)?;
        self.seen.insert(state.key);
        self.parents.push((0, Move { node: 0, what: CRASH, cut: 0 }));
        Ok(state)
    }

    fn moves(&self, state: &State<W>, bounds: &Bounds, moves: &mut Vec<Move>) {
        moves.clear();
        for &id in &state.messages {
            let node = self.pool.get(id).to;
            if state.nodes[node].within {
                moves.push(Move { node: node as u32, what: id, cut: 0 });
            }
        }
        for (node, local) in state.nodes.iter().enumerate().filter(|(_, local)| local.within) {
            let node = node as u32;
            if local.deadline.is_some() {
                moves.push(Move { node, what: TICK, cut: 0 });
            }
            if bounds.crashes {
                moves.push(Move { node, what: CRASH, cut: 0 });
            }
        }
    }

    fn outcome(&mut self, state: &State<W>, step: Move) -> Result<Rc<Outcome<W>>, String> {
        let before = &state.nodes[step.node as usize];
        let known = (before.id, step.what, step.cut);
        if let Some(outcome) = self.steps.get(&known) {
            return Ok(outcome.clone());
        }
        let mut local = Local::clone(before);
        let stimulus = match step.what {
            TICK => Stimulus::Tick,
            CRASH => Stimulus::Crash,
            id => {
                let sent = self.pool.get(id);
                Stimulus::Message(sent.from, &sent.message)
            }
        };
        let cut = (step.cut > 0).then_some(step.cut);
        let done = drive::take(self.world, &mut local, stimulus, cut)?;
        let mut sent = Vec::new();
        for post in &done.posts {
            self.pool.post(step.node as usize, self.world.nodes(), post, &mut sent);
        }
        let outcome = Rc::new(Outcome {
            local: self.rest(local),
            sent,
            effects: done.effects,
            stored: done.stored,
        });
        self.steps.insert(known, outcome.clone());
        Ok(outcome)
    }

    /// The state after a step, if it is new.
    fn next(
        &mut self,
        state: &State<W>,
        step: Move,
        outcome: &Outcome<W>,
    ) -> Result<Option<State<W>>, String> {
        let node = step.node as usize;
        let before = &state.nodes[node];
        let mut key = state.key.wrapping_sub(before.key).wrapping_add(outcome.local.key);
        let news = outcome.sent.iter().any(|id| state.messages.binary_search(id).is_err());
        if !news && self.seen.contains(&key) {
            return Ok(None);
        }
        let mut next = state.clone();
        (next.key, next.depth) = (key, state.depth + 1);
        next.nodes[node] = outcome.local.clone();
        let mut sent = self.include(&mut next, &outcome.sent);
        if news {
            sent = self.forge(&mut next, node, sent);
        }
        key = next.key;
        if !self.seen.insert(key) {
            return Ok(None);
        }
        self.check(&next, node, outcome.stored, &sent)?;
        next.number = self.parents.len() as u32;
        self.parents.push((state.number, step));
        Ok(Some(next))
    }

    /// Adds messages to a state; returns those that it had not.
    fn include(&self, state: &mut State<W>, ids: &[u32]) -> Vec<u32> {
        let mut sent = Vec::new();
        for &id in ids {
            if let Err(at) = state.messages.binary_search(&id) {
                state.messages.insert(at, id);
                state.key = state.key.wrapping_add(self.pool.key(id));
                sent.push(id);
            }
        }
        sent
    }

    fn forge(&mut self, state: &mut State<W>, moved: usize, mut sent: Vec<u32>) -> Vec<u32> {
        let forged = self.world.forge(&view(&self.pool, state, moved, 0, &sent));
        let mut ids = Vec::new();
        forged.iter().for_each(|forged| self.pool.forge(forged, &mut ids));
        sent.extend(self.include(state, &ids));
        sent
    }

    fn check(
        &self,
        state: &State<W>,
        moved: usize,
        stored: usize,
        sent: &[u32],
    ) -> Result<(), String> {
        self.world.check(&view(&self.pool, state, moved, stored, sent))
    }

    /// The one copy of a node's state.
    fn rest(&mut self, mut local: Local<W::Process>) -> Rest<W> {
        let mut fingerprint = Fingerprint::new(local.index);
        self.world.fingerprint(&local, &mut fingerprint);
        local.key = fingerprint.value();
        local.id = self.locals.len() as u32;
        self.locals.entry(local.key).or_insert_with(|| Rc::new(local)).clone()
    }

    /// The steps that led to a state, and one more.
    fn path(&self, mut number: u32, last: Option<Move>) -> Vec<Act> {
        let mut moves: Vec<Move> = last.into_iter().collect();
        while number > 0 {
            let (parent, step) = self.parents[number as usize];
            moves.push(step);
            number = parent;
        }
        let acts = moves.iter().rev().map(|step| {
            let (node, cut) = (step.node as usize, (step.cut > 0).then_some(step.cut));
            match step.what {
                TICK => Act::Tick { node, cut },
                CRASH => Act::Crash { node },
                id => Act::Deliver { key: self.pool.key(id), cut },
            }
        });
        acts.collect()
    }
}

fn view<'a, W: World>(
    pool: &'a Pool<<W::Process as Process>::Message>,
    state: &'a State<W>,
    moved: usize,
    stored: usize,
    sent: &'a [u32],
) -> View<'a, W::Process> {
    View { nodes: &state.nodes, pool, messages: &state.messages, sent, moved, stored }
}
