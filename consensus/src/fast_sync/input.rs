//! What the host hands to fast sync.

use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;
use pocket_types::number::Height;

use super::message::FastSyncMessage;

/// An input of [`FastSync`](super::FastSync).
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
        message: FastSyncMessage,
    },
    /// There is a connection to a peer.
    Connected {
        /// The peer.
        peer: PublicKey,
    },
    /// A peer is gone.
    Gone {
        /// The peer.
        peer: PublicKey,
    },
    /// Answers [`Output::Trust`](super::Output::Trust).
    Trusted {
        /// The height asked for.
        height: Height,
        /// The state root of the certified header; none if none could be certified in the time that the
        /// host gives it.
        root: Option<Hash>,
    },
    /// Answers [`Output::Restore`](super::Output::Restore): whether the chunk is proved to be a part
    /// of the state, and is stored.
    Restored {
        /// Index of the chunk.
        index: u32,
        /// Whether it belongs to the state.
        holds: bool,
    },
    /// Answers [`Output::Finish`](super::Output::Finish): the root of all that was restored.
    Finished {
        /// The root.
        root: Hash,
    },
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
