//! One path through the soup, step by step and in place.

use std::rc::Rc;

use super::drive::{self, Done, Stimulus};
use super::pool::Pool;
use super::{Local, Message, View, World};

/// A step, with messages by what they say: removing an earlier step does not rename them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Deliver { key: u128, cut: Option<u32> },
    Tick { node: usize, cut: Option<u32> },
    Crash { node: usize },
}

pub(super) struct Soup<'w, W: World> {
    world: &'w W,
    /// The nodes and the messages at the beginning, to go back to.
    born: Vec<Rc<Local<W::Process>>>,
    born_sent: Vec<u32>,
    pub(super) nodes: Vec<Rc<Local<W::Process>>>,
    pub(super) pool: Pool<Message<W>>,
    /// Numbers from 0: in one path the pool holds what was sent and nothing else.
    messages: Vec<u32>,
    /// What the last step sent for the first time.
    pub(super) sent: Vec<u32>,
    moved: usize,
    stored: usize,
}

impl<'w, W: World> Soup<'w, W> {
    /// Boots all nodes.
    pub(super) fn new(world: &'w W) -> Result<Self, String> {
        let mut soup = Self {
            world,
            born: Vec::new(),
            born_sent: Vec::new(),
            nodes: Vec::new(),
            pool: Pool::new(),
            messages: Vec::new(),
            sent: Vec::new(),
            moved: 0,
            stored: 0,
        };
        for index in 0..world.nodes() {
            let (local, done) = drive::boot(world, index)?;
            soup.nodes.push(Rc::new(local));
            soup.post(index, &done);
        }
        soup.forge();
        soup.born = soup.nodes.clone();
        soup.born_sent = soup.sent.clone();
        soup.check()?;
        Ok(soup)
    }

    /// Goes back to the beginning.
    pub(super) fn reset(&mut self) {
        self.nodes.clone_from(&self.born);
        self.pool.truncate(self.born_sent.len());
        self.messages.clone_from(&self.born_sent);
        self.sent.clone_from(&self.born_sent);
        (self.moved, self.stored) = (0, 0);
    }

    /// Takes a step and looks whether the promise holds; false if there is no such step here.
    pub(super) fn apply(&mut self, act: Act) -> Result<bool, String> {
        let (node, stimulus, cut) = match act {
            Act::Deliver { key, cut } => {
                let Some(id) = self.pool.find(key) else { return Ok(false) };
                let sent = self.pool.get(id);
                (sent.to, Stimulus::Message(sent.from, &sent.message), cut)
            }
            Act::Tick { node, cut } => (node, Stimulus::Tick, cut),
            Act::Crash { node } => (node, Stimulus::Crash, None),
        };
        let Some(local) = self.nodes.get_mut(node) else { return Ok(false) };
        let ticks = matches!(act, Act::Tick { .. });
        if !local.within || (ticks && local.deadline.is_none()) {
            return Ok(false);
        }
        let done = drive::take(self.world, Rc::make_mut(local), stimulus, cut)?;
        (self.moved, self.stored) = (node, done.stored);
        self.sent.clear();
        self.post(node, &done);
        if !self.sent.is_empty() {
            self.forge();
        }
        self.check()?;
        Ok(true)
    }

    fn post(&mut self, from: usize, done: &Done<Message<W>>) {
        let known = self.pool.len() as u32;
        let mut ids = Vec::new();
        for post in &done.posts {
            self.pool.post(from, self.world.nodes(), post, &mut ids);
        }
        self.include(known);
    }

    fn forge(&mut self) {
        let known = self.pool.len() as u32;
        let mut ids = Vec::new();
        for forged in self.world.forge(&self.view()) {
            self.pool.forge(&forged, &mut ids);
        }
        self.include(known);
    }

    fn include(&mut self, known: u32) {
        self.messages.extend(known..self.pool.len() as u32);
        self.sent.extend(known..self.pool.len() as u32);
    }

    fn check(&self) -> Result<(), String> {
        self.world.check(&self.view())
    }

    fn view(&self) -> View<'_, W::Process> {
        View {
            nodes: &self.nodes,
            pool: &self.pool,
            messages: &self.messages,
            sent: &self.sent,
            moved: self.moved,
            stored: self.stored,
        }
    }
}
