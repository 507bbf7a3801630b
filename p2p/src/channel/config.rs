use pocket_types::id::ChainId;

use crate::message::PeerAddress;

/// What both sides of a channel must agree on, and what we tell the other side about ourselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelConfig {
    /// The network; peers of another are refused by name.
    pub chain: ChainId,
    /// Where we accept connections; empty if we don't.
    pub listen: PeerAddress,
}
