//! Why the light client refuses.

use pocket_types::id::{BlockId, ChainId};
use pocket_types::light::LightError;
use pocket_types::machine::Poisoned;
use pocket_types::number::{Duration, Height, Timestamp};
use thiserror::Error;

/// The host did something wrong, or the client can't go on.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LightClientError {
    /// A bound of the configuration makes no sense. Nothing has started.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// A record of the log can't be used. The host's store is at fault; nothing has started.
    #[error("stored header: {0}")]
    Record(LightError),
    /// A record of the log is from another network. The host is at fault; nothing has started.
    #[error("stored header of network {got}, expected {expected}")]
    WrongChain {
        /// The record's network.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// What we trust is too old to vouch for later headers. The client has stopped.
    #[error(
        "the trusted header (time {}) is too old at {}, beyond the trusting period of {} ms: start \
         again from a newer checkpoint of somebody you trust", trusted.0, now.0, period.0
    )]
    Expired {
        /// Time of the trusted header.
        trusted: Timestamp,
        /// The clock.
        now: Timestamp,
        /// The trusting period.
        period: Duration,
    },
    /// Two headers are proved for one height: more than a third of the validators broke the protocol,
    /// and nothing that this client could verify can be trusted. It has stopped, across restarts too.
    #[error(
        "blocks {one} and {other} are both proved at height {}: the network has forked. Publish the \
         evidence; go on from a checkpoint at or above that height once it is settled", height.0
    )]
    Forked {
        /// The height.
        height: Height,
        /// The block with the smaller id.
        one: BlockId,
        /// The block with the larger id.
        other: BlockId,
    },
    /// Too many steps wait for their records to be stored. The host lags; the input was not taken.
    #[error("{waiting} steps wait to be stored, at most {max} may: store them first")]
    Backlog {
        /// Steps that wait.
        waiting: usize,
        /// The bound.
        max: usize,
    },
    /// A store failed. The client has stopped.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a peer's answer was refused. The peer is at fault, but for [`LightError::Ahead`], where either
/// clock may be wrong, and [`LightError::Checkpoint`], where the checkpoint may.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LightRefusal {
    /// A block of another height than was asked for.
    #[error("height {} where {} was asked for", got.0, asked.0)]
    Height {
        /// The block's height.
        got: Height,
        /// The height asked for.
        asked: Height,
    },
    /// The block doesn't follow from what we trust.
    #[error("height {}: {error}", height.0)]
    Block {
        /// The height.
        height: Height,
        /// Why not.
        error: LightError,
    },
    /// It says that another block is at this height, and doesn't show it.
    #[error("claims block {claimed} at height {} and can't show it", height.0)]
    Unproven {
        /// The height.
        height: Height,
        /// The block it claims.
        claimed: BlockId,
    },
    /// It shows another block than it claimed a moment ago.
    #[error("claimed block {claimed} at height {} and shows {got}", height.0)]
    OtherBlock {
        /// The height.
        height: Height,
        /// The block it claimed.
        claimed: BlockId,
        /// The block it shows.
        got: BlockId,
    },
}
