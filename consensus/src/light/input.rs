//! What the host hands to the light client.

use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;
use pocket_types::number::Height;

use super::config::Target;
use super::message::LightMessage;

/// An input of [`LightClient`](super::LightClient).
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
        message: LightMessage,
    },
    /// A peer is said to have blocks up to a height, as if it had sent a
    /// [`Status`](LightMessage::Status): for hosts that poll.
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
    /// Follow to another target from now on.
    Follow(Target),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
