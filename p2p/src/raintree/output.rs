use pocket_types::key::PublicKey;

use super::envelope::{Envelope, MessageId, Payload, Segment};
use super::error::EnvelopeError;
use super::view::ViewId;

/// What the host must do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send an envelope to a member; if that fails, say so with
    /// [`Unreachable`](super::Input::Unreachable).
    Send {
        /// To whom.
        to: PublicKey,
        /// What.
        envelope: Envelope,
    },
    /// A message that we haven't seen before.
    Deliver {
        /// Who passed it on, which says nothing of who made it.
        from: PublicKey,
        /// Its identity.
        id: MessageId,
        /// The segment that it is for.
        segment: Segment,
        /// What it says.
        payload: Payload,
    },
    /// A peer broke the rules: nothing of its envelope was used. Its score should suffer.
    Refused {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: EnvelopeError,
    },
    /// A message came by a view that we don't have: it was delivered and not passed on. If this
    /// happens often, our membership or the peer's is behind.
    UnknownView {
        /// Who sent it.
        peer: PublicKey,
        /// The segment.
        segment: Segment,
        /// The view that it names.
        view: ViewId,
    },
}
