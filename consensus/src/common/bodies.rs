//! The undecided blocks of one height.
//!
//! What we prepared is kept until the height is decided. Somebody may hold a certificate of it and
//! show it many rounds later; from then on every leader must propose that block, and those who
//! prepared it may be the only ones who have it. Time bounds what is kept so: a replica prepares at
//! most one new body a round, a round without a decision lasts until honest replicas time out, and
//! timeouts grow. All other bodies are bounded by number.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::validator::Electorate;

/// A block with its id, which it takes a hash of the whole header to know.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) id: BlockId,
    pub(crate) block: Block,
}

impl From<Block> for Identified {
    fn from(block: Block) -> Self {
        Self { id: block.id(), block }
    }
}

/// Bodies by block, within a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    bodies: BTreeMap<BlockId, Body>,
    arrivals: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) block: Block,
    pub(crate) state: BodyState,
    /// Whether our log has it.
    pub(crate) recorded: bool,
    arrival: u64,
}

/// What is known of a block.
#[derive(Clone, Debug)]
pub(crate) enum BodyState {
    /// The host executes it.
    Checking,
    /// It is valid, and yields this set.
    Valid(Arc<Electorate>),
    /// It is invalid.
    Invalid(String),
}

impl Bodies {
    pub(crate) fn get(&self, id: &BlockId) -> Option<&Body> {
        self.bodies.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Body> {
        self.bodies.get_mut(id)
    }

    /// Takes a body in. Recorded ones are always kept; of the others there are at most `max`, and at
    /// that bound the one that came first goes, unless a certificate (`pinned`) names it. False if
    /// there is no room.
    pub(crate) fn insert(
        &mut self,
        Identified { id, block }: Identified,
        state: BodyState,
        recorded: bool,
        max: usize,
        pinned: &[BlockId],
    ) -> bool {
        let others = || self.bodies.iter().filter(|(_, body)| !body.recorded);
        if !recorded && others().count() >= max && !self.bodies.contains_key(&id) {
            let candidates = others().filter(|(id, _)| !pinned.contains(id));
            let oldest = candidates.min_by_key(|(_, body)| body.arrival).map(|(id, _)| *id);
            let Some(oldest) = oldest else { return false };
            self.bodies.remove(&oldest);
        }
        self.arrivals += 1;
        self.bodies.insert(id, Body { block, state, recorded, arrival: self.arrivals });
        true
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Body> {
        self.bodies.remove(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &BlockId> {
        self.bodies.keys()
    }
}
