use alloc::sync::Arc;

use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;

use super::envelope::{Envelope, MessageId, Payload, Segment};
use super::view::View;

/// What the host hands in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Send a payload to every other member of a segment's current view.
    Broadcast {
        /// To whom.
        segment: Segment,
        /// What.
        payload: Payload,
    },
    /// An envelope arrived on the channel of a peer.
    Received {
        /// The peer, as its channel proved.
        from: PublicKey,
        /// The envelope.
        envelope: Envelope,
    },
    /// A [`Send`](super::Output::Send) could not be delivered. What the peer would have passed on
    /// goes to the next node that it would have reached.
    Unreachable {
        /// To whom it should have gone.
        peer: PublicKey,
        /// Which message.
        id: MessageId,
    },
    /// A segment has a new membership. Messages under way in the one before are still passed on.
    ViewChanged(Arc<View>),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
