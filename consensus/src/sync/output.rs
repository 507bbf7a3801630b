//! What the sync machine asks of its host.

use alloc::boxed::Box;

use pocket_types::key::PublicKey;

use super::error::SyncRefusal;
use super::message::{DecidedBlock, RangeRequest, SyncMessage};

/// An output of [`Sync`](super::Sync).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send to a peer.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: SyncMessage,
    },
    /// A peer asks for blocks, within the bounds: read them with
    /// [`serve::respond`](super::serve::respond) and send the range.
    Serve {
        /// The peer.
        to: PublicKey,
        /// What it asks for.
        request: RangeRequest,
    },
    /// The next block, verified: execute and commit it, then answer
    /// [`Input::Applied`](super::Input::Applied). The replica may have decided it meanwhile, so a host
    /// that has it answers at once. In chained protocols its proof may be of a descendant, from which
    /// [`Tip::after`](crate::Tip::after) makes no tip: after Applied, [`Sync::tip`](super::Sync::tip)
    /// is the one to advance the replica to.
    Apply(Box<DecidedBlock>),
    /// A peer sent what no honest one sends.
    Misbehaviour {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: SyncRefusal,
    },
    /// A message was left out though nothing was wrong with it.
    Dropped {
        /// Who sent it.
        peer: PublicKey,
        /// Why.
        what: &'static str,
    },
    /// A peer did not answer in time.
    Unanswered {
        /// The peer.
        peer: PublicKey,
    },
}
