//! What the host hands to a replica.

use alloc::boxed::Box;
use alloc::string::String;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;
use pocket_types::validator::ValidatorSet;

use crate::replica::message::Message;
use crate::tip::Tip;

/// An input of a [`Replica`](crate::Replica).
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "messages are the most frequent input by far")]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A message from a peer whom the channel has authenticated.
    Message {
        /// The peer.
        from: PublicKey,
        /// What it sent.
        message: Message,
    },
    /// The answer to [`Output::Build`](crate::Output::Build): the finished block. The host vouches
    /// that it executes to the header's state root.
    Built {
        /// The block: the request's header, with state root and roots filled in.
        block: Box<Block>,
        /// The validator set of the height two later, if executing the block changes it.
        change: Option<ValidatorSet>,
    },
    /// The answer to [`Output::Check`](crate::Output::Check).
    Checked {
        /// The block that was asked about.
        block: BlockId,
        /// What came of it.
        verdict: Verdict,
    },
    /// Blocks past our height have been committed by way of [`Sync`](crate::Sync).
    Advance(Box<Tip>),
}

/// What executing a proposed block showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It executes to its header's state root.
    Valid {
        /// The validator set of the height two later, if executing the block changes it.
        change: Option<ValidatorSet>,
    },
    /// It doesn't, for this reason.
    Invalid(String),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
