//! What those who sync fast and those who serve them send each other.

use pocket_types::codec::{Bytes, List, Wire};
use pocket_types::hash::Hash;
use pocket_types::number::Height;
use serde::{Deserialize, Serialize};

/// The most snapshots that one peer offers.
pub const MAX_OFFERS: usize = 16;

/// The most bytes of a chunk.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;

/// The most chunks of a snapshot: a tebibyte of them.
pub const MAX_CHUNKS: u32 = 1 << 20;

/// The state after a block, cut into chunks. Two nodes that have the same state cut it alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Height of the block.
    pub height: Height,
    /// The state root that the block's header names.
    pub root: Hash,
    /// How many chunks there are, from 1 to [`MAX_CHUNKS`].
    pub chunks: u32,
}

/// A message of the fast-sync protocol.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FastSyncMessage {
    /// Asks what snapshots there are.
    Ask,
    /// The answer, also sent unasked when there is a new one: all that the sender has.
    Offers(List<Snapshot, MAX_OFFERS>),
    /// Asks for a chunk.
    Request(ChunkRequest),
    /// The answer.
    Chunk(Chunk),
}

impl Wire for FastSyncMessage {
    const MAX_BYTES: usize = MAX_CHUNK_BYTES + 128;
}

/// Asks for a chunk of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// Height of the snapshot.
    pub height: Height,
    /// Its state root.
    pub root: Hash,
    /// Which chunk, from 0.
    pub index: u32,
}

/// Answers a request for a chunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// What was asked for.
    pub request: ChunkRequest,
    /// The chunk; none if the sender has dropped the snapshot since it offered it.
    pub bytes: Option<Bytes<MAX_CHUNK_BYTES>>,
}
