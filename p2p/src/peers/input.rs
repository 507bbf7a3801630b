use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::machine::Tick;

use crate::message::PeerAddress;

/// The host's name for a connection; never used for two connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// Who opened a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// A peer of the list: one that we want to be connected to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ListedPeer {
    /// Who it is.
    pub key: PublicKey,
    /// Where it listens; a peer without an address is let in and never dialled.
    pub address: PeerAddress,
}

/// What the host hands in.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The whole list of wanted peers: configured or staked. Those who drop out of it keep their
    /// connections and are strangers from now on.
    Listed(Vec<ListedPeer>),
    /// Somebody opened a connection; its handshake may begin unless the answer is to close it.
    Incoming {
        /// The connection.
        connection: ConnectionId,
    },
    /// A handshake is done, inbound or after a [`Dial`](super::Output::Dial). The connection is in
    /// use once the answer is [`Admitted`](super::Output::Admitted).
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Who is at the other end, proven.
        peer: PublicKey,
        /// Who opened it.
        direction: Direction,
    },
    /// A [`Dial`](super::Output::Dial) came to nothing: no connection, or no handshake.
    DialFailed {
        /// Whom we dialled.
        peer: PublicKey,
    },
    /// A connection is gone, whether admitted or not, by whichever side.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// A peer broke the rules of some protocol.
    Misbehaved {
        /// The peer, proven.
        peer: PublicKey,
        /// How bad it was, in points; [`PeersConfig::ban_at`](super::PeersConfig) of them ban.
        penalty: u32,
    },
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}
