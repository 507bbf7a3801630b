//! What light clients and those who serve them send each other.

use alloc::boxed::Box;

use pocket_types::block::{Block, Header};
use pocket_types::codec::Wire;
use pocket_types::id::BlockId;
use pocket_types::light::LightBlock;
use pocket_types::number::Height;
use serde::{Deserialize, Serialize};

/// The most bytes that the block of an answer takes: what a message may take but for its tags, height
/// and option. With lists of signatures a block of the largest sets fits.
pub const MAX_ANSWER_BYTES: usize = LightMessage::MAX_BYTES - 17;

/// A message of the light-client protocol.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LightMessage {
    /// The sender has committed blocks up to this height.
    Status {
        /// Height of its last block.
        height: Height,
    },
    /// Asks for something.
    Request(LightRequest),
    /// The answer.
    Answer(LightAnswer),
}

impl Wire for LightMessage {
    /// What a channel carries, as for [`SyncMessage`](crate::sync::SyncMessage).
    const MAX_BYTES: usize = Block::MAX_BYTES + Header::MAX_BYTES;
}

/// Asks for something at one height.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LightRequest {
    /// The header, its proof and its validator sets.
    Block {
        /// The height.
        height: Height,
    },
    /// The block's id alone: what witnesses are asked for.
    Id {
        /// The height.
        height: Height,
    },
}

impl LightRequest {
    /// The height asked for.
    pub const fn height(&self) -> Height {
        match self {
            Self::Block { height } | Self::Id { height } => *height,
        }
    }
}

/// Answers one request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LightAnswer {
    /// To [`LightRequest::Block`].
    Block {
        /// The height asked for.
        height: Height,
        /// The block, if the sender has it.
        block: Option<Box<LightBlock>>,
    },
    /// To [`LightRequest::Id`].
    Id {
        /// The height asked for.
        height: Height,
        /// The id, if the sender has the block.
        id: Option<BlockId>,
    },
}

impl LightAnswer {
    /// The request that this answers.
    pub const fn request(&self) -> LightRequest {
        match self {
            Self::Block { height, .. } => LightRequest::Block { height: *height },
            Self::Id { height, .. } => LightRequest::Id { height: *height },
        }
    }
}
