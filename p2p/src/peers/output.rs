use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use thiserror::Error;

use super::input::{ConnectionId, Direction};
use crate::message::PeerAddress;

/// What the host must do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Open a connection and do the handshake, expecting this very peer; then say
    /// [`Connected`](super::Input::Connected) or [`DialFailed`](super::Input::DialFailed).
    Dial {
        /// Whom.
        peer: PublicKey,
        /// Where.
        address: PeerAddress,
    },
    /// A dial has taken too long: drop its attempt, whatever has become of it, since the peer will be
    /// dialled anew. It counts as failed already.
    AbandonDial {
        /// Whom we dialled.
        peer: PublicKey,
    },
    /// The connection may be used: it is the only one with this peer.
    Admitted {
        /// The connection.
        connection: ConnectionId,
        /// Who is at the other end.
        peer: PublicKey,
        /// Who opened it.
        direction: Direction,
    },
    /// Close a connection. It no longer counts, and no more need be said of it.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// A peer is banned: its connections are refused until then.
    Banned {
        /// The peer.
        peer: PublicKey,
        /// When the ban ends.
        until: Timestamp,
    },
}

/// Why a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Too many inbound connections haven't finished their handshakes.
    #[error("all {max} places for handshakes are taken")]
    HandshakesFull {
        /// The bound.
        max: usize,
    },
    /// The handshake took too long.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// No place is left for the peer; for strangers, what is reserved for listed peers doesn't count.
    #[error("all {max} inbound places are taken")]
    InboundFull {
        /// The bound that applies to the peer.
        max: usize,
    },
    /// We have all the outbound connections that we may have.
    #[error("all {max} outbound places are taken")]
    OutboundFull {
        /// The bound.
        max: usize,
    },
    /// Both sides dialled at once, and the other connection is the one that stays.
    #[error("both sides dialled at once and the other connection stays")]
    Duplicate,
    /// The peer has connected anew.
    #[error("a newer connection with this peer takes its place")]
    Replaced,
    /// The peer is banned.
    #[error("the peer is banned until {until}")]
    Banned {
        /// When the ban ends.
        until: Timestamp,
    },
}
