//! Every state within a bound.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::drive::{self, Stimulus};
use super::pool::{Plain, Pool};
use super::script::Failure;
use super::state::Act;
use super::{Fingerprint, Local, Message, View, World};

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
/// node's step from one of its states is computed once, whatever the others do meanwhile, and what is
/// forged once for each set of messages. A step that stores and sends nothing keeps every promise.
///
/// # Errors
///
/// The promise is broken.
pub fn exhaust<W: World>(world: &W, bounds: &Bounds) -> Result<Explored, Box<Failure>> {
    let mut search = Search {
        world,
        pool: Pool::new(),
        locals: Vec::new(),
        numbers: HashMap::default(),
        steps: HashMap::default(),
        outcomes: Vec::new(),
        sets: Vec::new(),
        set_numbers: HashMap::default(),
        grown: HashMap::default(),
        seen: HashSet::default(),
        parents: Vec::new(),
    };
    search.run(bounds).map_err(|(acts, reason)| Failure::new(world, None, acts, reason))
}

type Rest<W> = Rc<Local<<W as World>::Process>>;

/// All nodes by the numbers of their states, and all messages by the number of their set.
#[derive(Clone)]
struct State {
    number: u32,
    depth: u32,
    /// What the nodes' states sum up to.
    key: u128,
    set: u32,
    nodes: Box<[u32]>,
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

struct Outcome {
    local: u32,
    sent: Vec<u32>,
    effects: u32,
    stored: usize,
}

/// Messages that were sent or forged.
struct Messages {
    /// Sorted.
    ids: Vec<u32>,
    key: u128,
}

/// A set of messages after a step, and what of it the step brought.
type Grown = (u32, Rc<[u32]>);

struct Search<'w, W: World> {
    world: &'w W,
    pool: Pool<Message<W>>,
    locals: Vec<Rest<W>>,
    numbers: HashMap<u128, u32, Plain>,
    steps: HashMap<(u32, u32, u32), u32, Plain>,
    outcomes: Vec<Rc<Outcome>>,
    sets: Vec<Rc<Messages>>,
    set_numbers: HashMap<u128, u32, Plain>,
    /// By set and outcome.
    grown: HashMap<(u32, u32), Grown, Plain>,
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
                let number = self.outcome(&state, step).map_err(|reason| broken(self, reason))?;
                let outcome = self.outcomes[number as usize].clone();
                if bounds.crashes && step.cut == 0 && step.what != CRASH {
                    moves.extend((1..outcome.effects).map(|cut| Move { cut, ..step }));
                }
                let next = self.next(&state, step, number, &outcome);
                let Some(next) = next.map_err(|reason| broken(self, reason))? else { continue };
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

    fn first(&mut self) -> Result<State, String> {
        let (mut nodes, mut sent) = (Vec::new(), Vec::new());
        for index in 0..self.world.nodes() {
            let (local, done) = drive::boot(self.world, index)?;
            for post in &done.posts {
                self.pool.post(index, self.world.nodes(), post, &mut sent);
            }
            nodes.push(self.rest(local));
        }
        let key = nodes.iter().map(|&node| self.locals[node as usize].key);
        let key = key.fold(0, u128::wrapping_add);
        let none = self.intern(Messages { ids: Vec::new(), key: 0 });
        let mut state = State { number: 0, depth: 0, key, set: none, nodes: nodes.into() };
        let (set, sent) = self.grow(&state, none, 0, &sent);
        state.set = set;
        self.check(&state, 0, 0, &sent)?;
        self.seen.insert(self.sum(&state));
        self.parents.push((0, Move { node: 0, what: CRASH, cut: 0 }));
        Ok(state)
    }

    fn moves(&self, state: &State, bounds: &Bounds, moves: &mut Vec<Move>) {
        moves.clear();
        let within = |node: usize| self.locals[state.nodes[node] as usize].within;
        for &id in &self.sets[state.set as usize].ids {
            let node = self.pool.get(id).to;
            if within(node) {
                moves.push(Move { node: node as u32, what: id, cut: 0 });
            }
        }
        for (index, &local) in state.nodes.iter().enumerate().filter(|(node, _)| within(*node)) {
            let node = index as u32;
            if self.locals[local as usize].deadline.is_some() {
                moves.push(Move { node, what: TICK, cut: 0 });
            }
            if bounds.crashes {
                moves.push(Move { node, what: CRASH, cut: 0 });
            }
        }
    }

    fn outcome(&mut self, state: &State, step: Move) -> Result<u32, String> {
        let before = state.nodes[step.node as usize];
        let known = (before, step.what, step.cut);
        if let Some(outcome) = self.steps.get(&known) {
            return Ok(*outcome);
        }
        let mut local = Local::clone(&self.locals[before as usize]);
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
        let local = self.rest(local);
        let (effects, stored) = (done.effects, done.stored);
        let number = self.outcomes.len() as u32;
        self.outcomes.push(Rc::new(Outcome { local, sent, effects, stored }));
        self.steps.insert(known, number);
        Ok(number)
    }

    /// The state after a step, if it is new.
    fn next(
        &mut self,
        state: &State,
        step: Move,
        number: u32,
        outcome: &Outcome,
    ) -> Result<Option<State>, String> {
        let node = step.node as usize;
        let before = state.nodes[node];
        if before == outcome.local && outcome.sent.is_empty() {
            return Ok(None);
        }
        let [old, new] = [before, outcome.local].map(|local| self.locals[local as usize].key);
        let mut next =
            State { key: state.key.wrapping_sub(old).wrapping_add(new), ..state.clone() };
        next.depth += 1;
        next.nodes[node] = outcome.local;
        let mut sent: Rc<[u32]> = Rc::default();
        if !outcome.sent.is_empty() {
            let known = (state.set, number);
            let grown = match self.grown.get(&known) {
                Some(grown) => grown.clone(),
                None => {
                    let grown = self.grow(&next, state.set, node, &outcome.sent);
                    self.grown.insert(known, grown.clone());
                    grown
                }
            };
            (next.set, sent) = grown;
        }
        let sum = self.sum(&next);
        if !self.seen.insert(sum) {
            return Ok(None);
        }
        if outcome.stored > 0 || !sent.is_empty() {
            self.check(&next, node, outcome.stored, &sent)?;
        }
        next.number = self.parents.len() as u32;
        self.parents.push((state.number, step));
        Ok(Some(next))
    }

    fn sum(&self, state: &State) -> u128 {
        state.key.wrapping_add(self.sets[state.set as usize].key)
    }

    /// A set with more messages, and with what can be forged then.
    fn grow(&mut self, state: &State, set: u32, moved: usize, ids: &[u32]) -> Grown {
        let old = self.sets[set as usize].clone();
        let mut all = Messages { ids: old.ids.clone(), key: old.key };
        let mut sent = self.include(&mut all, ids);
        if sent.is_empty() && !(set == 0 && self.sets.len() == 1) {
            return (set, Rc::default());
        }
        let nodes = self.nodes(state);
        let forged = self.world.forge(&View {
            nodes: &nodes,
            pool: &self.pool,
            messages: &all.ids,
            sent: &sent,
            moved,
            stored: 0,
        });
        let mut ids = Vec::new();
        forged.iter().for_each(|forged| self.pool.forge(forged, &mut ids));
        sent.extend(self.include(&mut all, &ids));
        (self.intern(all), sent.into())
    }

    /// Adds messages; returns those that were not there.
    fn include(&self, all: &mut Messages, ids: &[u32]) -> Vec<u32> {
        let mut sent = Vec::new();
        for &id in ids {
            if let Err(at) = all.ids.binary_search(&id) {
                all.ids.insert(at, id);
                all.key = all.key.wrapping_add(self.pool.key(id));
                sent.push(id);
            }
        }
        sent
    }

    fn intern(&mut self, set: Messages) -> u32 {
        let next = self.sets.len() as u32;
        let number = *self.set_numbers.entry(set.key).or_insert(next);
        if number == next {
            self.sets.push(Rc::new(set));
        }
        number
    }

    fn nodes(&self, state: &State) -> Vec<Rest<W>> {
        state.nodes.iter().map(|&local| self.locals[local as usize].clone()).collect()
    }

    fn check(
        &self,
        state: &State,
        moved: usize,
        stored: usize,
        sent: &[u32],
    ) -> Result<(), String> {
        self.world.check(&View {
            nodes: &self.nodes(state),
            pool: &self.pool,
            messages: &self.sets[state.set as usize].ids,
            sent,
            moved,
            stored,
        })
    }

    /// The number of a node's state, of which one copy is kept.
    fn rest(&mut self, mut local: Local<W::Process>) -> u32 {
        let mut fingerprint = Fingerprint::new(local.index);
        self.world.fingerprint(&local, &mut fingerprint);
        local.key = fingerprint.value();
        let next = self.locals.len() as u32;
        let number = *self.numbers.entry(local.key).or_insert(next);
        if number == next {
            self.locals.push(Rc::new(local));
        }
        number
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
