//! What the light client asks of its host.

use alloc::boxed::Box;

use pocket_types::key::PublicKey;
use pocket_types::light::{Divergence, LightBlock};
use pocket_types::number::Height;

use super::error::LightRefusal;
use super::message::LightMessage;

/// An output of [`LightClient`](super::LightClient).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send to a peer.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: LightMessage,
    },
    /// A header is verified, known to the witnesses, and stored: proofs may be checked against it. With
    /// it come its finality proof and validator sets, from which a [`Tip`](crate::Tip) can be made.
    Trusted(Box<LightBlock>),
    /// The network has forked: hand this to every peer, and its
    /// [evidence](pocket_types::light::Blame) to a validator. The client has stopped.
    Forked(Box<Divergence>),
    /// A peer sent what no honest one sends. It is not asked again.
    Misbehaviour {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: LightRefusal,
    },
    /// A peer's block can't be used now, and clocks or the checkpoint may be why.
    Refused {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: LightRefusal,
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
    /// A peer doesn't have what it announced, and must announce anew.
    Missing {
        /// The peer.
        peer: PublicKey,
        /// The height it was asked for.
        height: Height,
    },
    /// Fewer peers can be asked than a source and its witnesses: nothing is trusted until more are
    /// announced or have rested. Said once each time that it comes to that.
    TooFewPeers {
        /// Peers that can be asked.
        have: usize,
        /// Peers needed.
        need: usize,
    },
}
