//! Why the sync machine refuses.

use alloc::string::String;

use pocket_types::block::BlockError;
use pocket_types::finality::FinalityError;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use thiserror::Error;

use super::serve::RequestError;
use crate::tip::TipError;

/// The host did something wrong, or can't go on.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A bound of the configuration makes no sense. Nothing has changed.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// The validator set that execution yielded can't be used. Nothing has changed.
    #[error(transparent)]
    Set(#[from] TipError),
    /// Our own execution refuses a block that a quorum decided. The machine has stopped.
    #[error(
        "block {block} is decided, but our own execution refused it ({reason}): stop and compare"
    )]
    Diverged {
        /// The block.
        block: BlockId,
        /// Why.
        reason: String,
    },
}

/// Why a peer's message was refused. The peer is at fault; nothing of it was kept.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SyncRefusal {
    /// More blocks than we ask anybody for.
    #[error("{got} blocks where at most {asked} are asked for")]
    TooMany {
        /// Blocks sent.
        got: usize,
        /// The most blocks that we ask for.
        asked: u64,
    },
    /// A block of another height than its place in the range says.
    #[error("height {got} where {expected} belongs")]
    Height {
        /// The block's height.
        got: Height,
        /// The height that belongs there.
        expected: Height,
    },
    /// The proof is for another header than the block's.
    #[error("the proof of height {0} is for another block")]
    OtherBlock(Height),
    /// The body is not the header's.
    #[error(transparent)]
    Body(#[from] BlockError),
    /// The block is not final.
    #[error("height {height}: {error}")]
    Finality {
        /// The height.
        height: Height,
        /// Why not.
        error: FinalityError,
    },
    /// A request that no honest peer makes.
    #[error(transparent)]
    Request(#[from] RequestError),
}
