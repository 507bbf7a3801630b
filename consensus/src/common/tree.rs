//! Undecided blocks, each below its parent, with what executing them showed.
//!
//! The root is the last decided block, and is kept elsewhere. A block is executed once its parent is
//! known to be valid, so the valid ones hang together from the root on. Protocols that decide one
//! height at a time have a tree of one level.
//!
//! # Bounds
//!
//! What we signed is kept until something else is decided: somebody may hold a certificate of it and
//! show it many rounds later; from then on every leader must build on it, and those who voted for it
//! may be the only ones who have it. The same holds of what a certificate leads to. Time bounds both: a
//! replica votes for at most one new block a round, a round without a decision lasts until honest
//! replicas time out, and timeouts grow. All other blocks are bounded by number, and none of them can
//! push out one of the former.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::validator::Electorate;
use pocket_types::vote::Certificate;

use crate::tip::Tip;

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

/// Blocks above the last decided one, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<BlockId, Node>,
    arrivals: u64,
}

/// An undecided block.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) block: Block,
    pub(crate) state: State,
    /// Whether our log has it.
    pub(crate) recorded: bool,
    /// Whether a quorum vouches for its header's time.
    pub(crate) certified: bool,
    arrival: u64,
}

/// What is known of a block.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Its parent is missing, or not known to be valid yet.
    Waiting,
    /// The host executes it upon this parent.
    Checking(Tip),
    /// It is valid.
    Valid(Valid),
    /// It is invalid.
    Invalid(String),
}

/// A valid block.
#[derive(Clone, Debug)]
pub(crate) struct Valid {
    /// Its parent.
    pub(crate) parent: Tip,
    /// The set that executing it yields for the height two later.
    pub(crate) next: Arc<Electorate>,
    /// Whether it only fills a round of an epoch whose last block is not decided yet.
    pub(crate) filler: bool,
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

impl Node {
    pub(crate) const fn height(&self) -> Height {
        self.block.header.height
    }

    pub(crate) const fn valid(&self) -> Option<&Valid> {
        match &self.state {
            State::Valid(valid) => Some(valid),
            _ => None,
        }
    }
}

impl Tree {
    pub(crate) fn get(&self, id: &BlockId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    pub(crate) fn contains(&self, id: &BlockId) -> bool {
        self.nodes.contains_key(id)
    }

    pub(crate) fn block(&self, id: &BlockId) -> Option<&Block> {
        self.nodes.get(id).map(|node| &node.block)
    }

    pub(crate) fn valid(&self, id: &BlockId) -> Option<&Valid> {
        self.nodes.get(id)?.valid()
    }

    pub(crate) fn is_valid(&self, id: &BlockId) -> bool {
        self.valid(id).is_some()
    }

    pub(crate) fn is_invalid(&self, id: &BlockId) -> bool {
        self.nodes.get(id).is_some_and(|node| matches!(node.state, State::Invalid(_)))
    }

    pub(crate) fn set(&mut self, id: &BlockId, state: State) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.state = state;
        }
    }

    /// A quorum vouches for this block.
    pub(crate) fn certify(&mut self, id: &BlockId) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.certified = true;
        }
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Node> {
        self.nodes.remove(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BlockId, &Node)> {
        self.nodes.iter()
    }

    /// Takes a block in, unless it is here. Of those that are neither recorded nor in the line of one of
    /// `needed` there are at most `max`: the one that came first goes.
    pub(crate) fn insert(
        &mut self,
        Identified { id, block }: Identified,
        state: State,
        max: usize,
        needed: &[BlockId],
    ) {
        if self.contains(&id) {
            return;
        }
        self.arrivals += 1;
        let (recorded, certified) = (false, false);
        self.nodes.insert(id, Node { block, state, recorded, certified, arrival: self.arrivals });
        // It may join the two ends of a line that is needed, so it is here before any block goes.
        let spare = self.spare(needed);
        if spare.len() > max
            && let Some(oldest) = spare.iter().min_by_key(|id| self.nodes[*id].arrival)
        {
            self.nodes.remove(oldest);
        }
    }

    /// What may be pushed out.
    fn spare(&self, needed: &[BlockId]) -> Vec<BlockId> {
        let others = self.nodes.iter().filter(|(_, node)| !node.recorded);
        let others: Vec<BlockId> = others.map(|(id, _)| *id).collect();
        if others.is_empty() {
            return others;
        }
        let mut kept = BTreeSet::new();
        for head in needed {
            // Where a line was met, the rest of it was followed already.
            let mut line = self.line(*head);
            while line.next().is_some_and(|id| kept.insert(id)) {}
        }
        others.into_iter().filter(|id| !kept.contains(id)).collect()
    }

    /// A block and its ancestors, as far as they are known: the first that is not known is the last.
    pub(crate) fn line(&self, from: BlockId) -> impl Iterator<Item = BlockId> {
        core::iter::successors(Some(from), |id| Some(self.get(id)?.block.header.parent))
    }

    /// The way from the root up to a block.
    pub(crate) fn path(&self, root: &Tip, id: BlockId) -> Path {
        let (mut path, mut next) = (Vec::new(), id);
        while next != root.block() {
            let Some(node) = self.nodes.get(&next) else {
                return Path::Missing(next, path.last().copied());
            };
            if node.height() <= root.height() {
                return Path::Elsewhere;
            }
            path.push(next);
            next = node.block.header.parent;
        }
        path.reverse();
        Path::Whole(path)
    }

    /// The certificate of the block that is missing between the root and the one that `head`
    /// certifies: `head` itself, or the one in the header above.
    pub(crate) fn missing<'c>(
        &'c self,
        root: &Tip,
        head: &'c Certificate,
    ) -> Option<&'c Certificate> {
        let Path::Missing(missing, above) = self.path(root, head.data.block) else { return None };
        let carried = |id| self.block(&id)?.header.parent_certificate.as_ref();
        let certificate = above.map_or(Some(head), carried)?;
        let data = &certificate.data;
        (data.block == missing && data.height > root.height()).then_some(certificate)
    }

    /// The blocks that extend this one.
    pub(crate) fn children(&self, parent: &BlockId) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.block.header.parent == *parent)
    }

    /// A waiting block of which the parent's verdict is known.
    pub(crate) fn next_waiting(&self, root: &Tip) -> Option<BlockId> {
        let ready = |parent: &BlockId| {
            *parent == root.block() || self.is_valid(parent) || self.is_invalid(parent)
        };
        let waits = |node: &Node| matches!(node.state, State::Waiting);
        let mut nodes = self.nodes.iter();
        nodes.find(|(_, n)| waits(n) && ready(&n.block.header.parent)).map(|(id, _)| *id)
    }

    /// The tip that a valid block makes, with this checked certificate for it.
    pub(crate) fn tip(&self, id: &BlockId, certificate: Certificate) -> Option<Tip> {
        let node = self.get(id)?;
        let Valid { parent, next, .. } = node.valid()?;
        Some(parent.after_checked(&node.block.header, certificate, Arc::clone(next)))
    }

    /// Drops what can't follow the root any more, and gives it back. Where a line is broken above the
    /// root, it may still lead there.
    pub(crate) fn prune(&mut self, root: &Tip) -> Vec<(BlockId, Block)> {
        let alive = |id: &BlockId| match self.path(root, *id) {
            Path::Whole(_) => true,
            Path::Missing(_, lowest) => {
                let lowest = lowest.and_then(|id| self.get(&id));
                lowest.is_some_and(|lowest| lowest.height() > root.height().next())
            }
            Path::Elsewhere => false,
        };
        let dead: Vec<BlockId> = self.nodes.keys().copied().filter(|id| !alive(id)).collect();
        dead.into_iter().filter_map(|id| Some((id, self.nodes.remove(&id)?.block))).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use pocket_types::block::{Header, VERSION};
    use pocket_types::codec::List;
    use pocket_types::hash::Hash;
    use pocket_types::id::ChainId;
    use pocket_types::key::SecretKey;
    use pocket_types::number::{Epoch, Timestamp};
    use pocket_types::vrf::VrfSecret;

    use super::*;

    fn block(parent: BlockId, height: u64, salt: u64) -> Identified {
        let (randomness, randomness_proof) = pocket_types::block::beacon::extend(
            Hash::ZERO,
            Height(height),
            &VrfSecret::from_seed([1; 32]),
        );
        let header = Header {
            version: VERSION,
            chain: ChainId::default(),
            height: Height(height),
            epoch: Epoch(0),
            parent,
            parent_certificate: None,
            time: Timestamp(salt),
            proposer: SecretKey::from_seed([1; 32]).public_key(),
            state_root: Hash::ZERO,
            transactions_root: Hash::ZERO,
            evidence_root: Hash::ZERO,
            validators: Hash::ZERO,
            next_validators: Hash::ZERO,
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }.into()
    }

    fn insert(tree: &mut Tree, block: Identified, needed: &[BlockId]) -> BlockId {
        let id = block.id;
        tree.insert(block, State::Waiting, 4, needed);
        id
    }

    #[test]
    fn a_flood_pushes_out_neither_what_we_signed_nor_what_a_certificate_leads_to() {
        let mut tree = Tree::default();
        let signed = insert(&mut tree, block(BlockId::default(), 1, 0), &[]);
        tree.get_mut(&signed).unwrap().recorded = true;
        let mut line = vec![insert(&mut tree, block(BlockId::default(), 1, 1), &[])];
        for height in 2..9 {
            let above = block(line[line.len() - 1], height, 1);
            let needed = [above.id];
            line.push(insert(&mut tree, above, &needed));
            // The head of the line is certified; everything below it is needed, too.
            for salt in 0..50 {
                let flood = block(BlockId(Hash([salt; 32])), height, 2);
                let last = insert(&mut tree, flood, &[line[line.len() - 1]]);
                assert!(tree.contains(&last), "the newest is taken in");
            }
        }
        assert!(tree.contains(&signed) && line.iter().all(|id| tree.contains(id)));
        assert_eq!(tree.iter().count(), 1 + line.len() + 4);
    }
}
