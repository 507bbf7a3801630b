//! States of blocks that are not decided yet: a tree of them over the committed tip.

use std::collections::BTreeMap;

use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::state::StateChanges;
use thiserror::Error;

use crate::tree::{Delta, LimitError, State};

/// The committed state and, over it, the states of undecided blocks by their id, each over its
/// parent's: forks share everything that they have in common.
#[derive(Clone, Debug)]
pub struct Overlays {
    tip: BlockId,
    state: State,
    undecided: BTreeMap<BlockId, Overlay>,
    limit: usize,
}

/// What an undecided block makes of its parent's state.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The block's parent.
    pub parent: BlockId,
    /// The state after the block.
    pub state: State,
    /// What the block changes.
    pub delta: Delta,
}

/// Why an overlay was refused. The host is at fault; nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// The block is neither the tip nor an overlay over it.
    #[error("block {0} is neither the tip nor an undecided block over it")]
    Unknown(BlockId),
    /// There is no room for another undecided block.
    #[error("{limit} undecided blocks are held already; decide one or raise Config::max_overlays")]
    Full {
        /// The bound.
        limit: usize,
    },
    /// The same block with another parent or other changes: an id names one block.
    #[error("block {0} is held already, with another parent or other changes")]
    Differs(BlockId),
    /// The block that is to be decided does not follow the tip.
    #[error("block {block} follows {parent}, the tip is {tip}; decide its parent first")]
    NotNext {
        /// The block.
        block: BlockId,
        /// Its parent.
        parent: BlockId,
        /// The tip.
        tip: BlockId,
    },
    /// The changes are beyond what a state takes.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Overlays {
    /// A committed state and nothing over it; at most `limit` undecided blocks.
    pub const fn new(tip: BlockId, state: State, limit: usize) -> Self {
        Self { tip, state, undecided: BTreeMap::new(), limit }
    }

    /// The newest decided block.
    pub const fn tip(&self) -> BlockId {
        self.tip
    }

    /// The committed state.
    pub const fn committed(&self) -> &State {
        &self.state
    }

    /// Number of undecided blocks.
    pub fn len(&self) -> usize {
        self.undecided.len()
    }

    /// Whether there are no undecided blocks.
    pub fn is_empty(&self) -> bool {
        self.undecided.is_empty()
    }

    /// The state after the tip or an undecided block.
    ///
    /// # Errors
    ///
    /// [`OverlayError::Unknown`] for any other block.
    pub fn state(&self, block: BlockId) -> Result<&State, OverlayError> {
        if block == self.tip {
            return Ok(&self.state);
        }
        self.overlay(block).map(|overlay| &overlay.state)
    }

    /// An undecided block.
    ///
    /// # Errors
    ///
    /// [`OverlayError::Unknown`] if it isn't one.
    pub fn overlay(&self, block: BlockId) -> Result<&Overlay, OverlayError> {
        self.undecided.get(&block).ok_or(OverlayError::Unknown(block))
    }

    /// Adds an undecided block over its parent; returns the state root after it. Adding the same
    /// block again changes nothing.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] for an unknown parent, a full set, another content under the same id, or
    /// changes beyond the limits.
    pub fn insert(
        &mut self,
        parent: BlockId,
        block: BlockId,
        changes: &StateChanges,
    ) -> Result<Hash, OverlayError> {
        let below = self.state(parent)?;
        let delta = below.delta(changes)?;
        if let Some(held) = self.undecided.get(&block) {
            return if held.parent == parent && held.delta == delta {
                Ok(held.state.root())
            } else {
                Err(OverlayError::Differs(block))
            };
        }
        if block == self.tip {
            return Err(OverlayError::Differs(block));
        }
        if self.undecided.len() >= self.limit {
            return Err(OverlayError::Full { limit: self.limit });
        }
        let state = below.after(&delta);
        let root = state.root();
        let overlay = Overlay { parent, state, delta };
        self.undecided.insert(block, overlay);
        Ok(root)
    }

    /// Gives up an undecided block and everything over it, such as a proposal that failed.
    pub fn discard(&mut self, block: BlockId) {
        self.undecided.remove(&block);
        self.drop_orphans();
    }

    /// The overlay that is next to be decided.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the block is unknown or does not follow the tip.
    pub fn next(&self, block: BlockId) -> Result<&Overlay, OverlayError> {
        let overlay = self.overlay(block)?;
        if overlay.parent == self.tip {
            Ok(overlay)
        } else {
            Err(OverlayError::NotNext { block, parent: overlay.parent, tip: self.tip })
        }
    }

    /// Makes a block that follows the tip the new tip, and drops every block that does not follow
    /// it.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the block is unknown or does not follow the tip; nothing has changed
    /// then.
    pub fn decide(&mut self, block: BlockId) -> Result<(), OverlayError> {
        self.state = self.next(block)?.state.clone();
        self.tip = block;
        self.undecided.remove(&block);
        self.drop_orphans();
        Ok(())
    }

    /// Drops what no longer leads down to the tip.
    fn drop_orphans(&mut self) {
        loop {
            let before = self.undecided.len();
            let known: Vec<BlockId> = self.undecided.keys().copied().collect();
            let tip = self.tip;
            self.undecided.retain(|_, overlay| {
                overlay.parent == tip || known.binary_search(&overlay.parent).is_ok()
            });
            if self.undecided.len() == before {
                break;
            }
        }
    }
}
