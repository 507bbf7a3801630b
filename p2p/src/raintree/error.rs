use pocket_types::key::PublicKey;
use thiserror::Error;

use super::envelope::{MessageId, Segment};

/// Why the machine can't do what the host asks. The host is at fault, or its membership is behind;
/// nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RainTreeError {
    /// No view of the segment was ever handed in.
    #[error("no view of segment {0:?}; hand one in with ViewChanged first")]
    NoView(Segment),
    /// We can't broadcast to a segment that we aren't in: its members would refuse the message.
    #[error("we are no member of segment {0:?}")]
    NotMember(Segment),
    /// The configuration allows no more segments.
    #[error("{max} segments are in use and {segment:?} would be one more")]
    TooManySegments {
        /// The segment that found no room.
        segment: Segment,
        /// The bound of the configuration.
        max: usize,
    },
}

/// Why an envelope was refused. The peer that sent it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The id isn't the hash of the content.
    #[error("message {claimed} has content of hash {actual}")]
    ContentHash {
        /// The id that the envelope claims.
        claimed: MessageId,
        /// The content's.
        actual: MessageId,
    },
    /// We know no view of the segment, so we can't be in it.
    #[error("a message for segment {0:?}, which we are not in")]
    UnknownSegment(Segment),
    /// The sender isn't in the view by which it sends.
    #[error("{sender} is no member of segment {segment:?}")]
    NotMember {
        /// Who sent it.
        sender: PublicKey,
        /// The segment.
        segment: Segment,
    },
    /// We aren't in the view that the envelope names, so its sender can't have chosen us by it.
    #[error("a message for a view of segment {0:?} that we are not in")]
    Misdirected(Segment),
    /// We are asked to pass the message on to more nodes than any sender can have left for us.
    #[error("a range of {got} nodes where 1 to {max} are possible")]
    Range {
        /// Nodes in the range.
        got: u32,
        /// The most that one node of this view is ever asked to serve.
        max: u32,
    },
    /// A level that a view of this size doesn't have.
    #[error("level {got} where at most {max} is possible")]
    Level {
        /// The level.
        got: u32,
        /// The highest.
        max: u32,
    },
    /// The envelope follows another kind of tree than we do.
    #[error("the message follows another kind of tree")]
    Topology,
}

/// Why a list of nodes can't be a view. Whoever supplied it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Too many members.
    #[error("{got} members where at most {max} are allowed")]
    TooMany {
        /// Members given.
        got: usize,
        /// [`MAX_MEMBERS`](super::MAX_MEMBERS).
        max: usize,
    },
    /// A member twice.
    #[error("{0} is in the list twice")]
    Duplicate(PublicKey),
}
