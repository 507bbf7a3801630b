//! Undecided blocks, each below its parent, with what executing them showed.
//!
//! The root is the last decided block and is kept elsewhere. A block is executed once its parent is
//! found valid, so the valid blocks hang together from the root on.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::validator::Electorate;
use pocket_types::vote::Certificate;

use crate::tip::Tip;

/// Blocks above the last decided one, within a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<BlockId, Node>,
    arrivals: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) block: Block,
    pub(crate) state: State,
    /// Whether our log has it.
    pub(crate) recorded: bool,
    arrival: u64,
}

/// What is known of a block.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Its parent is missing, or not known to be valid yet.
    Waiting,
    /// The host executes it upon this parent.
    Checking(Box<Tip>),
    /// It is valid upon this parent, and yields this set.
    Valid(Box<Tip>, Arc<Electorate>),
    /// It is invalid.
    Invalid(String),
}

/// The way from the root up to a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Path {
    /// All blocks above the root, in order of height, the block itself last.
    Whole(Vec<BlockId>),
    /// This block is missing; the one above it, if we have that.
    Missing(BlockId, Option<BlockId>),
    /// It leads past the root.
    Elsewhere,
}

impl Tree {
    pub(crate) fn get(&self, id: &BlockId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    pub(crate) fn is_valid(&self, id: &BlockId) -> bool {
        self.nodes.get(id).is_some_and(|node| matches!(node.state, State::Valid(..)))
    }

    pub(crate) fn is_invalid(&self, id: &BlockId) -> bool {
        self.nodes.get(id).is_some_and(|node| matches!(node.state, State::Invalid(_)))
    }

    /// Takes a block in, unless it is here. Recorded ones are always kept; of the others there are at
    /// most `max`, and at that bound the one that came first goes, unless it is `pinned`. False if
    /// there is no room.
    pub(crate) fn insert(
        &mut self,
        block: Block,
        state: State,
        recorded: bool,
        max: usize,
        pinned: &BTreeSet<BlockId>,
    ) -> bool {
        let id = block.id();
        if let Some(node) = self.nodes.get_mut(&id) {
            node.recorded |= recorded;
            return true;
        }
        let others = || self.nodes.iter().filter(|(_, node)| !node.recorded);
        if !recorded && others().count() >= max {
            let candidates = others().filter(|(id, _)| !pinned.contains(id));
            let oldest = candidates.min_by_key(|(_, node)| node.arrival).map(|(id, _)| *id);
            match oldest {
                Some(oldest) => self.nodes.remove(&oldest),
                None if pinned.contains(&id) => None,
                None => return false,
            };
        }
        self.arrivals += 1;
        self.nodes.insert(id, Node { block, state, recorded, arrival: self.arrivals });
        true
    }

    /// The tip that a valid block makes, with this checked certificate for it.
    pub(crate) fn tip(&self, id: &BlockId, certificate: Certificate) -> Option<Tip> {
        let node = self.nodes.get(id)?;
        let State::Valid(parent, next) = &node.state else { return None };
        Some(parent.after_checked(&node.block.header, certificate, Arc::clone(next)))
    }

    /// Blocks that may be executed now.
    pub(crate) fn ready(&self, root: &Tip) -> Vec<BlockId> {
        let ready = |(id, node): (&BlockId, &Node)| {
            let parent = node.block.header.parent;
            let waits = matches!(node.state, State::Waiting);
            (waits && (parent == root.block() || self.is_valid(&parent))).then_some(*id)
        };
        self.nodes.iter().filter_map(ready).collect()
    }

    /// The way from the root up to a block.
    pub(crate) fn path(&self, root: &Tip, id: BlockId) -> Path {
        let (mut path, mut next) = (Vec::new(), id);
        while next != root.block() {
            let Some(node) = self.nodes.get(&next) else {
                return Path::Missing(next, path.last().copied());
            };
            if node.block.header.height <= root.height() {
                return Path::Elsewhere;
            }
            path.push(next);
            next = node.block.header.parent;
        }
        path.reverse();
        Path::Whole(path)
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Node> {
        self.nodes.remove(id)
    }

    /// Drops what can't follow the root any more.
    pub(crate) fn prune(&mut self, root: &Tip) {
        self.nodes.retain(|_, node| node.block.header.height > root.height());
        let lost: Vec<BlockId> = self
            .nodes
            .keys()
            .filter(|id| self.path(root, **id) == Path::Elsewhere || self.is_fork(root, **id))
            .copied()
            .collect();
        lost.iter().for_each(|id| drop(self.nodes.remove(id)));
    }

    /// Whether the lowest ancestor here stands directly above the root's height, on another block.
    fn is_fork(&self, root: &Tip, id: BlockId) -> bool {
        match self.path(root, id) {
            Path::Missing(_, Some(lowest)) => self
                .nodes
                .get(&lowest)
                .is_some_and(|node| node.block.header.height == root.height().next()),
            _ => false,
        }
    }
}
