//! Why fast sync refuses.

use pocket_types::hash::Hash;
use pocket_types::number::Height;
use thiserror::Error;

use super::message::MAX_CHUNKS;

/// The host did something wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FastSyncError {
    /// A bound of the configuration makes no sense. Nothing has started.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// A chunk that the host says it has is none of the snapshot's. Nothing has started.
    #[error("chunk {got} of a snapshot of {chunks} chunks")]
    NoSuchChunk {
        /// Index of the chunk.
        got: u32,
        /// How many there are.
        chunks: u32,
    },
}

/// Why a peer's message was refused. The peer is at fault; nothing of it was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FastSyncRefusal {
    /// A snapshot of no chunks, or of too many.
    #[error("a snapshot of {got} chunks, expected 1 to {MAX_CHUNKS}")]
    Chunks {
        /// How many it claims.
        got: u32,
    },
    /// A snapshot is offered twice, or offers are not in order.
    #[error("offers are not in strictly increasing order")]
    Order,
    /// A certified header names another state root.
    #[error("offers state {got} at height {height}, the certified header names {expected}")]
    Root {
        /// The height.
        height: Height,
        /// The root offered.
        got: Hash,
        /// The header's.
        expected: Hash,
    },
    /// The chunk is no part of the state whose root it was asked for by.
    #[error("chunk {index} doesn't belong to the state")]
    Chunk {
        /// Index of the chunk.
        index: u32,
    },
    /// All chunks are parts of the state, and together they are not the state: the number is wrong.
    #[error("a snapshot of {chunks} chunks at height {height} is not the whole state")]
    Incomplete {
        /// Its height.
        height: Height,
        /// How many chunks were offered.
        chunks: u32,
    },
    /// A request for a chunk that no snapshot has.
    #[error("asks for chunk {got}, snapshots have at most {MAX_CHUNKS}")]
    NoSuchChunk {
        /// Index of the chunk.
        got: u32,
    },
}
