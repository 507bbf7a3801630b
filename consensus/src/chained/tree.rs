//! The undecided blocks of an epoch.
//!
//! A replica takes in one proposal a round, and the ancestors of what a quorum certified. What it
//! voted for it keeps until something else is decided: others may need it. Time bounds that, for a
//! round lasts until a quorum votes or times out, and timeouts grow; all other blocks are bounded by
//! number.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::validator::Electorate;
use pocket_types::vote::Certificate;

use super::rules::Certified;
use crate::tip::Tip;

/// Undecided blocks, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<BlockId, Node>,
    arrivals: u64,
}

/// An undecided block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) block: Block,
    /// The certificate of its parent.
    pub(super) justify: Certified,
    pub(super) state: State,
    /// Whether our log has it.
    pub(super) recorded: bool,
    /// Whether a quorum vouches for its header's time.
    pub(super) certified: bool,
    arrival: u64,
}

/// What is known of a block.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Its parent is unknown, or not known to be valid.
    Waiting,
    /// The host executes it on this parent.
    Checking(Tip),
    /// It is valid.
    Valid(Valid),
    /// It is invalid.
    Invalid(String),
}

/// A valid block.
#[derive(Clone, Debug)]
pub(super) struct Valid {
    /// Its parent.
    pub(super) parent: Tip,
    /// The set that executing it yields for the height two later.
    pub(super) next: Arc<Electorate>,
    /// Whether it only fills a round of an epoch whose last block is not decided yet.
    pub(super) filler: bool,
}

impl Node {
    pub(super) const fn new(block: Block, justify: Certified, state: State) -> Self {
        Self { block, justify, state, recorded: false, certified: false, arrival: 0 }
    }

    pub(super) const fn valid(&self) -> Option<&Valid> {
        match &self.state {
            State::Valid(valid) => Some(valid),
            _ => None,
        }
    }
}

impl Tree {
    pub(super) fn get(&self, id: &BlockId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    pub(super) fn remove(&mut self, id: &BlockId) -> Option<Node> {
        self.nodes.remove(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&BlockId, &Node)> {
        self.nodes.iter()
    }

    /// Takes a block in. Of those that are neither recorded nor in the line of one of `needed` there
    /// are at most `max`: the one that came first goes.
    pub(super) fn insert(&mut self, id: BlockId, mut node: Node, max: usize, needed: &[BlockId]) {
        let spare = self.spare(needed);
        if spare.len() >= max
            && let Some(oldest) = spare.iter().min_by_key(|id| self.nodes[*id].arrival)
        {
            self.nodes.remove(oldest);
        }
        self.arrivals += 1;
        node.arrival = self.arrivals;
        self.nodes.insert(id, node);
    }

    fn spare(&self, needed: &[BlockId]) -> Vec<BlockId> {
        let others = self.nodes.iter().filter(|(_, node)| !node.recorded);
        let others: Vec<BlockId> = others.map(|(id, _)| *id).collect();
        if others.is_empty() {
            return others;
        }
        let needed: Vec<BlockId> = needed.iter().flat_map(|&id| self.line(id)).collect();
        others.into_iter().filter(|id| !needed.contains(id)).collect()
    }

    /// A block and its ancestors, as far as they are known: the first that is not known is the last.
    pub(super) fn line(&self, from: BlockId) -> impl Iterator<Item = BlockId> {
        core::iter::successors(Some(from), |id| Some(self.get(id)?.block.header.parent))
    }

    /// The blocks above `tip` up to and including `to`, in order of height; or, where the line is
    /// broken, the certificate of the block that is missing, none if it doesn't lead to `tip`.
    pub(super) fn path(
        &self,
        to: &Certificate,
        tip: &Certified,
    ) -> Result<Vec<BlockId>, Option<Box<Certificate>>> {
        let mut path = Vec::new();
        let mut certificate = Some(to);
        let mut at = to.data.block;
        while at != tip.block {
            let Some(node) = self.get(&at) else {
                let above = certificate.filter(|missing| missing.data.height > tip.height);
                return Err(above.cloned().map(Box::new));
            };
            path.push(at);
            at = node.block.header.parent;
            certificate = node.block.header.parent_certificate.as_ref();
        }
        path.reverse();
        Ok(path)
    }

    /// The blocks that extend this one.
    pub(super) fn children(&self, parent: &BlockId) -> Vec<BlockId> {
        let children = self.nodes.iter().filter(|(_, node)| node.block.header.parent == *parent);
        children.map(|(id, _)| *id).collect()
    }

    /// A certificate for this block of this round, if a block carries one.
    pub(super) fn certificate(&self, of: &Certified) -> Option<&Certificate> {
        let carriers = self.nodes.values().filter(|node| node.justify == *of);
        carriers.filter_map(|node| node.block.header.parent_certificate.as_ref()).next()
    }

    /// Whether our log has a block that carries this certificate.
    pub(super) fn is_recorded(&self, certified: &Certified) -> bool {
        self.nodes.values().any(|node| node.recorded && node.justify == *certified)
    }

    /// Drops what can't follow the decided block any more, and gives it back.
    pub(super) fn prune(&mut self, tip: &Certified) -> Vec<(BlockId, Node)> {
        let alive = |id: &BlockId| {
            let follows = self.line(*id).any(|id| id == tip.block);
            // Where the line is broken above the tip, it may still lead there.
            let lowest = self.line(*id).filter_map(|id| self.get(&id)).last();
            let height = |node: &Node| node.block.header.height;
            let open = lowest.is_some_and(|lowest| height(lowest) > tip.height.next());
            self.get(id).is_some_and(|node| height(node) > tip.height) && (follows || open)
        };
        let dead: Vec<BlockId> = self.nodes.keys().copied().filter(|id| !alive(id)).collect();
        dead.into_iter().filter_map(|id| Some((id, self.nodes.remove(&id)?))).collect()
    }
}
