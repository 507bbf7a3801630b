//! Times and bounds of syncing.

use pocket_types::number::Duration;

/// Times and bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How many blocks beyond the tip are asked for and kept.
    pub window: u64,
    /// How many blocks one request asks for; at most [`MAX_RANGE`](super::message::MAX_RANGE).
    pub per_request: u64,
    /// The most bytes of blocks that are kept before they are applied. One answer may go beyond, and
    /// so may blocks that prove the next one.
    pub max_bytes: usize,
    /// A request unanswered for this long goes to another peer.
    pub timeout: Duration,
    /// A peer that failed or lied is not asked again for this long.
    pub cooldown: Duration,
    /// How many peers are known at a time.
    pub max_peers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 256,
            per_request: 32,
            max_bytes: 64 << 20,
            timeout: Duration(5_000),
            cooldown: Duration(30_000),
            max_peers: 64,
        }
    }
}
