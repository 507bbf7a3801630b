//! The Merkle-sum tree over the relays of a claim: proofs that an invented sibling can't pass.
//!
//! Leaves are sorted by relay digest, strictly increasing. A node commits to both children's hashes
//! *and* sums, the root to the count, and a challenge picks a point of the sum: the proof shows the
//! one leaf whose interval holds that point, by the sums along its path.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{List, Wire};
use crate::hash::{Domain, Hash};
use crate::id::RelayDigest;

/// Deepest tree: 2^40 relays of one servicer in one session.
pub const MAX_DEPTH: usize = 40;

/// A claim's commitment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SumRoot {
    /// Binds the tree and the count.
    pub hash: Hash,
    /// Sum of all weights.
    pub sum: u64,
    /// Number of leaves.
    pub count: u64,
}

/// A subtree on the side of a proof's path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SumNode {
    /// Its hash.
    pub hash: Hash,
    /// Sum of its weights.
    pub sum: u64,
}

/// Proof of the leaf that a challenge hit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SumProof {
    /// Place of the leaf, from 0.
    pub index: u64,
    /// Siblings from the leaf upward.
    pub siblings: List<SumNode, MAX_DEPTH>,
}

impl Wire for SumProof {
    const MAX_BYTES: usize = 16 + 40 * MAX_DEPTH;
}

/// Why a proof does not answer a challenge. The servicer is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SumError {
    /// It proves another tree.
    #[error("the proof leads to another root")]
    Root,
    /// Its length does not fit the place and the count.
    #[error("the proof has {got} siblings, which does not fit leaf {index} of {count}")]
    Shape {
        /// Siblings given.
        got: usize,
        /// The leaf's place.
        index: u64,
        /// Leaves of the tree.
        count: u64,
    },
    /// The sums overflow.
    #[error("the sums overflow")]
    Overflow,
    /// It proves a leaf that the challenge did not hit.
    #[error("the challenge hit {point}, the leaf covers {low} to {high}")]
    Missed {
        /// Where the challenge hit.
        point: u64,
        /// Where the leaf begins.
        low: u64,
        /// Where it ends, exclusive.
        high: u64,
    },
}

impl SumNode {
    /// A leaf: a relay and what it weighs.
    pub fn leaf(relay: RelayDigest, weight: u64) -> Self {
        let hash = Domain::SUM_LEAF.hasher().fixed(&relay.0.0).number(weight).finish();
        Self { hash, sum: weight }
    }

    /// The node over two others; none if their sums overflow.
    pub fn join(left: &Self, right: &Self) -> Option<Self> {
        let hash = Domain::SUM_NODE
            .hasher()
            .fixed(&left.hash.0)
            .number(left.sum)
            .fixed(&right.hash.0)
            .number(right.sum)
            .finish();
        Some(Self { hash, sum: left.sum.checked_add(right.sum)? })
    }

    /// The commitment to a tree with this top.
    pub fn root(&self, count: u64) -> SumRoot {
        let hasher = Domain::SUM_ROOT.hasher().fixed(&self.hash.0).number(self.sum);
        SumRoot { hash: hasher.number(count).finish(), sum: self.sum, count }
    }
}

impl SumProof {
    /// Checks that `relay` with `weight` is the leaf of the claim that holds `point`.
    ///
    /// # Errors
    ///
    /// [`SumError`] naming the first violation.
    pub fn verify(
        &self,
        root: &SumRoot,
        relay: RelayDigest,
        weight: u64,
        point: u64,
    ) -> Result<(), SumError> {
        let (index, count) = (self.index, root.count);
        let shape = SumError::Shape { got: self.siblings.len(), index, count };
        if index >= count {
            return Err(shape);
        }
        let (mut place, mut width, mut low) = (index, count, 0u64);
        let mut node = SumNode::leaf(relay, weight);
        let mut siblings = self.siblings.iter();
        while width > 1 {
            // The last node of an odd level has no sibling and moves up as it is.
            if place ^ 1 < width {
                let sibling = siblings.next().ok_or(shape)?;
                let joined = if place % 2 == 0 {
                    SumNode::join(&node, sibling)
                } else {
                    low = low.checked_add(sibling.sum).ok_or(SumError::Overflow)?;
                    SumNode::join(sibling, &node)
                };
                node = joined.ok_or(SumError::Overflow)?;
            }
            place /= 2;
            width = width.div_ceil(2);
        }
        if siblings.next().is_some() {
            return Err(shape);
        }
        if node.root(count) != *root {
            return Err(SumError::Root);
        }
        let high = low.saturating_add(weight);
        if (low..high).contains(&point) {
            Ok(())
        } else {
            Err(SumError::Missed { point, low, high })
        }
    }
}
