//! What a replica must remember across a crash.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::codec::Wire;
use pocket_types::number::Height;
use pocket_types::vote::{Certificate, Vote};
use serde::{Deserialize, Serialize};

/// A replica's own doing, to be stored before the step's outputs leave. Nothing that was only
/// received is recorded. Four or five steps a height carry records.
///
/// The host appends them to a log in the canonical encoding, hands the log to
/// [`Replica::recover`](crate::Replica::recover) after a restart, and may drop the records of a
/// height (see [`Record::height`]) once the block of that height is committed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// A signature of ours, of any phase: never another one for its slot or an earlier one.
    Vote(Vote),
    /// The body of a block that we propose or prepare, and its validity is settled: if all who are
    /// locked on a block lost its body, the chain would halt for ever.
    Body(Box<Block>),
    /// The certificate that let us into a later round.
    Entry(Box<Certificate>),
    /// The highest Prepare certificate.
    HighQc(Box<Certificate>),
    /// The PreCommit certificate that we are locked on.
    Lock(Box<Certificate>),
    /// The Commit certificate, stored with the first signature of the next height: if the host
    /// crashes before it commits the block, the block is decided again from the log.
    Decision(Box<Certificate>),
    /// A NewRound signature of ours where rounds count on through the heights, so that it belongs to no
    /// height.
    Timeout {
        /// The signature.
        vote: Vote,
        /// It is needed until a block of this height is committed: only a later round has one.
        height: Height,
    },
    /// The Timeout QC of a round that we left so, where blocks are proved by the rounds that they skip.
    Skipped {
        /// The certificate.
        certificate: Box<Certificate>,
        /// It is needed until a block of this height is committed: only a later round has one.
        height: Height,
    },
}

impl Record {
    /// The height that this belongs to.
    pub fn height(&self) -> Height {
        match self {
            Self::Vote(vote) => vote.data.height,
            Self::Body(block) => block.header.height,
            Self::Entry(certificate)
            | Self::HighQc(certificate)
            | Self::Lock(certificate)
            | Self::Decision(certificate) => certificate.data.height,
            Self::Timeout { height, .. } | Self::Skipped { height, .. } => *height,
        }
    }
}

impl Wire for Record {
    const MAX_BYTES: usize = 4 + Block::MAX_BYTES;
}
