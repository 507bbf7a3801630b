//! What syncing peers send each other.

use alloc::boxed::Box;

use pocket_types::block::{Block, Header};
use pocket_types::codec::{List, Wire};
use pocket_types::finality::FinalityProof;
use pocket_types::number::Height;
use serde::{Deserialize, Serialize};

/// The most blocks in one answer.
pub const MAX_RANGE: usize = 256;

/// The most bytes that the blocks of one answer take, with their proofs: what a message may take
/// but for its tag, height and length. Any one block that a [`Replica`](crate::Replica) decides fits
/// ([`MAX_BLOCK_BYTES`](crate::replica::config::MAX_BLOCK_BYTES)).
pub const MAX_RANGE_BYTES: usize = SyncMessage::MAX_BYTES - 20;

/// A message of the sync protocol.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SyncMessage {
    /// The sender has committed blocks up to this height.
    Status {
        /// Height of its last block.
        height: Height,
    },
    /// Asks for blocks.
    Request(RangeRequest),
    /// The answer.
    Range(Range),
    /// A block just decided, for followers.
    Decided(Box<DecidedBlock>),
}

impl Wire for SyncMessage {
    /// What a channel carries: a block with a certified header beside it.
    const MAX_BYTES: usize = Block::MAX_BYTES + Header::MAX_BYTES;
}

/// Asks for consecutive blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RangeRequest {
    /// The first height wanted.
    pub from: Height,
    /// How many blocks; the answer may hold fewer.
    pub count: u64,
}

/// Consecutive blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Range {
    /// The height asked for, which is that of the first block.
    pub from: Height,
    /// The blocks, as many as there are and fit.
    pub blocks: List<DecidedBlock, MAX_RANGE>,
}

/// A block and why it is final.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DecidedBlock {
    /// The block.
    pub block: Block,
    /// Its proof.
    pub proof: FinalityProof,
}

impl Wire for DecidedBlock {
    const MAX_BYTES: usize = Block::MAX_BYTES + FinalityProof::MAX_BYTES;
}
