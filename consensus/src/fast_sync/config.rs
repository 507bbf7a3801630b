//! Bounds of fast sync.

use pocket_types::number::{Duration, Height};

/// What fast sync may take up, and how long it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Snapshots below this height are of no use: our own chain is as far.
    pub from: Height,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long a peer that failed is left alone, and after how long offers are asked for again.
    pub cooldown: Duration,
    /// How many peers are kept. Each may have one request open, so this bounds chunks on their way.
    pub max_peers: usize,
    /// How many chunks may wait for the host to restore them.
    pub max_restoring: usize,
    /// Of how many peers that are gone, or were pushed out, failures are remembered.
    pub max_remembered: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from: Height::GENESIS,
            timeout: Duration(10_000),
            cooldown: Duration(30_000),
            max_peers: 16,
            max_restoring: 8,
            max_remembered: 256,
        }
    }
}
