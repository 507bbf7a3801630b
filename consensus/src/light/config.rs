//! Times and bounds of following.

use pocket_types::light::Rules;
use pocket_types::number::{Duration, Height};

/// How far to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Whatever is newest, for ever.
    Newest,
    /// Up to this height, and no further.
    Height(Height),
}

/// Times and bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The trusting period, and how far headers may be ahead of the clock.
    pub rules: Rules,
    /// How far to follow.
    pub target: Target,
    /// How many peers, beside the one that supplied it, must know a header before it is trusted.
    /// Zero trusts the first peer's word that there is no fork.
    pub witnesses: usize,
    /// A request unanswered for this long goes to another peer.
    pub timeout: Duration,
    /// A peer that failed is not asked again for this long; one that lied, never while it is known.
    pub cooldown: Duration,
    /// How many peers are known at a time.
    pub max_peers: usize,
    /// How many fetched headers wait for one in between. Each may take
    /// [`LightMessage::MAX_BYTES`](super::LightMessage), though a set of 1,000 and its signatures take
    /// a twentieth of that.
    pub max_pivots: usize,
    /// How many trusted headers are kept in memory.
    pub max_kept: usize,
    /// How many steps may wait for the host to store records.
    pub max_unstored: usize,
}

impl Config {
    /// The defaults, which leave only the network's own periods open: two witnesses, 5 s to answer.
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            target: Target::Newest,
            witnesses: 2,
            timeout: Duration(5_000),
            cooldown: Duration(30_000),
            max_peers: 32,
            max_pivots: 8,
            max_kept: 64,
            max_unstored: 16,
        }
    }
}
