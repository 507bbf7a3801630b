//! The tree that a claim commits to.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use pocket_types::codec::List;
use pocket_types::id::RelayDigest;
use pocket_types::sum::{MAX_DEPTH, SumNode, SumProof, SumRoot};

use crate::ledger::RELAY_WEIGHT;

/// A Merkle-sum tree over relays, sorted by digest; [`pocket_types::sum`] has the rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimTree {
    digests: Vec<RelayDigest>,
    /// From the leaves to the top.
    levels: Vec<Vec<SumNode>>,
}

impl ClaimTree {
    /// Builds the tree; none over no relays.
    pub fn new(relays: impl IntoIterator<Item = RelayDigest>) -> Option<Self> {
        let relays: BTreeSet<_> = relays.into_iter().collect();
        let digests: Vec<_> = relays.into_iter().collect();
        if digests.is_empty() {
            return None;
        }
        let mut level: Vec<_> =
            digests.iter().map(|&digest| SumNode::leaf(digest, RELAY_WEIGHT)).collect();
        let mut levels = Vec::new();
        while level.len() > 1 {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => SumNode::join(left, right),
                // The last node of an odd level moves up as it is.
                _ => Some(pair[0]),
            });
            let above = above.collect::<Option<Vec<_>>>()?;
            levels.push(core::mem::replace(&mut level, above));
        }
        levels.push(level);
        Some(Self { digests, levels })
    }

    /// The commitment.
    pub fn root(&self) -> SumRoot {
        let top = self.levels.last().and_then(|level| level.first());
        top.map(|top| top.root(self.digests.len() as u64)).unwrap_or_default()
    }

    /// The relay whose interval holds a point of the sum, and its proof; none beyond the sum.
    pub fn prove(&self, point: u64) -> Option<(RelayDigest, SumProof)> {
        let index = usize::try_from(point / RELAY_WEIGHT).ok()?;
        let digest = *self.digests.get(index)?;
        let (mut place, mut siblings) = (index, Vec::with_capacity(MAX_DEPTH));
        for level in &self.levels {
            siblings.extend(level.get(place ^ 1).copied());
            place /= 2;
        }
        let siblings = List::new(siblings).ok()?;
        Some((digest, SumProof { index: index as u64, siblings }))
    }
}

#[cfg(test)]
mod tests {
    use pocket_types::hash::Hash;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_point_is_proved_and_only_at_its_place(count in 1u64..70, point: u64, other: u64) {
            let digest = |i: u64| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                RelayDigest(Hash(bytes))
            };
            let tree = ClaimTree::new((0..count).map(digest)).unwrap();
            let root = tree.root();
            prop_assert_eq!((root.sum, root.count), (count * RELAY_WEIGHT, count));
            let (point, other) = (point % count, other % count);
            let (relay, proof) = tree.prove(point).unwrap();
            prop_assert_eq!(proof.verify(&root, relay, RELAY_WEIGHT, point), Ok(()));
            prop_assert_eq!(proof.verify(&root, relay, RELAY_WEIGHT, other).is_ok(), other == point);
            prop_assert!(tree.prove(count).is_none());
        }
    }

    #[test]
    fn no_relays_make_no_tree_and_a_relay_counts_once() {
        assert!(ClaimTree::new([]).is_none());
        let digest = RelayDigest(Hash([1; 32]));
        assert_eq!(ClaimTree::new([digest, digest]).unwrap().root().count, 1);
    }
}
