//! What the host hands to the sync machine.

use alloc::boxed::Box;
use alloc::string::String;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;
use pocket_types::number::Height;
use pocket_types::validator::ValidatorSet;

use super::message::SyncMessage;
use crate::tip::Tip;

/// An input of [`Sync`](super::Sync).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A message from a peer whom the channel has authenticated.
    Message {
        /// The peer.
        from: PublicKey,
        /// What it sent.
        message: SyncMessage,
    },
    /// A peer is said to have blocks up to a height: a status learnt elsewhere, or a replica's
    /// [`Behind`](crate::Output::Behind).
    Announced {
        /// The peer.
        peer: PublicKey,
        /// Its last block.
        height: Height,
    },
    /// A peer is gone.
    Gone {
        /// The peer.
        peer: PublicKey,
    },
    /// The block of [`Output::Apply`](super::Output::Apply) is executed and committed.
    Applied {
        /// The block.
        block: BlockId,
        /// The validator set of the height two later, if executing the block changed it.
        change: Option<ValidatorSet>,
    },
    /// The block of [`Output::Apply`](super::Output::Apply) doesn't execute to its state root though
    /// a quorum decided it.
    Rejected {
        /// The block.
        block: BlockId,
        /// Why.
        reason: String,
    },
    /// A replica beside us has decided blocks.
    Advance(Box<Tip>),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
