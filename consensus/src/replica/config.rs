//! What a replica is told once.

use pocket_types::block::Block;
use pocket_types::codec::Wire;
use pocket_types::number::Duration;
use pocket_types::vote::Certificate;

use crate::election::ElectionConfig;
use crate::schedule::LeaderSchedule;

/// The largest block that may be decided: with the largest certificates beside it, it still fits a
/// message of [`Block::MAX_BYTES`] and a header, which every channel must carry, as a proposal
/// ([`Message::Proposal`](super::message::Message)) and as a decided block
/// ([`SyncMessage`](crate::sync::SyncMessage)).
pub const MAX_BLOCK_BYTES: usize = Block::MAX_BYTES - Certificate::MAX_BYTES - 1024;

/// Times and bounds. All validators of a network should agree on the times; they may differ without
/// harm to safety.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How leaders follow each other. All validators must agree.
    pub schedule: LeaderSchedule,
    /// How many rounds in a row each of them leads; at least 1. All validators must agree. Chained
    /// protocols decide nothing while no leaders of enough rounds in a row are up: with few
    /// validators, let each lead 4.
    pub leader_rounds: u64,
    /// Elects leaders by VRF; the schedule's leads where nobody runs. HotPOKT only. All validators
    /// must agree.
    pub election: Option<ElectionConfig>,
    /// From one block's time to the next's, when all goes well.
    pub block_time: Duration,
    /// What the block time is counted from.
    pub pace: Pace,
    /// How long round 0 may take, counted from when its proposal is due.
    pub timeout: Duration,
    /// Each further round may take this many percent of the one before; at least 100.
    pub timeout_growth: u32,
    /// No round may take longer than this.
    pub timeout_cap: Duration,
    /// Unanswered messages are sent again after this long.
    pub resend: Duration,
    /// Δ: how long a message takes at most when the network is well. A leader of HotStuff-2 whom a
    /// Timeout QC let in waits as long for higher certificates.
    pub delta: Duration,
    /// How far a block's time may lie ahead of our clock.
    pub max_drift: Duration,
    /// The largest encoded block that we build or vote for; at most [`MAX_BLOCK_BYTES`]. A chain's
    /// validators must agree on it: one who allows less charges honest leaders with what the others
    /// allow. What a quorum certified is taken whatever its size.
    pub max_block_bytes: usize,
    /// How many rounds ahead of ours NewRound signatures are counted. Certificates move us any
    /// distance.
    pub round_window: u64,
    /// How many different undecided bodies are kept at a height, besides those that this replica
    /// prepared: it must keep them all, at most one for each round that failed.
    pub max_bodies: usize,
    /// How many bytes of messages for the next height are kept until it begins; what comes beyond is
    /// left out, and said again by its sender.
    pub max_early_bytes: usize,
    /// How many pieces of evidence wait for a block.
    pub max_evidence: usize,
    /// How many steps may wait for the store.
    pub max_unstored: usize,
}

/// When the next block is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Pace {
    /// A block time after the last block was proposed, or at once if that has passed: blocks are
    /// decided a block time apart on average, however long deciding takes, and one slow block delays
    /// no later one.
    #[default]
    Steady,
    /// A block time after the last block was decided here or, where blocks are proposed before their
    /// parents are decided, after its round was entered: every delay adds up. What a pacemaker without
    /// a target does, to compare with.
    AfterDecision,
}

impl Default for Config {
    /// One-second blocks.
    fn default() -> Self {
        Self {
            schedule: LeaderSchedule::default(),
            leader_rounds: 1,
            election: None,
            block_time: Duration(1_000),
            pace: Pace::default(),
            timeout: Duration(2_000),
            timeout_growth: 150,
            timeout_cap: Duration(60_000),
            resend: Duration(500),
            delta: Duration(250),
            max_drift: Duration(500),
            max_block_bytes: MAX_BLOCK_BYTES,
            round_window: 4,
            max_bodies: 4,
            max_early_bytes: 32 << 20,
            max_evidence: 64,
            max_unstored: 64,
        }
    }
}
