//! What a replica must remember across a crash.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::codec::Wire;
use pocket_types::number::{Epoch, Height};
use pocket_types::vote::{Certificate, Vote};
use serde::{Deserialize, Serialize};

/// A replica's own doing, to be stored before the step's outputs leave. Nothing that was only
/// received is recorded. Four or five steps a height carry records.
///
/// The host appends them to a log in the canonical encoding, hands the log to
/// [`Replica::recover`](crate::Replica::recover) after a restart, and may drop a record once the block of
/// its [`height`](Record::height) is committed ([`Record::prune`]). Any prefix of the log will do to
/// recover from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "most records are votes")]
pub enum Record {
    /// A signature of ours, of any phase: never another one for its slot or an earlier one.
    Vote {
        /// The signature.
        vote: Vote,
        /// It is needed until a block of this height is committed. That is the height which it votes at;
        /// or, where rounds count on through the heights, one that only a later round's block has.
        height: Height,
    },
    /// The body of a block that we propose or prepare, and its validity is settled: if all who are
    /// locked on a block lost its body, the chain would halt for ever.
    Body(Box<Block>),
    /// The certificate that let us into a later round: a Timeout QC, or a certificate of votes of the
    /// round itself.
    Entry {
        /// The certificate.
        certificate: Box<Certificate>,
        /// It is needed until a block of this height is committed.
        height: Height,
    },
    /// The highest certificate of a block.
    HighQc(Box<Certificate>),
    /// The certificate that we are locked on.
    Lock(Box<Certificate>),
    /// What decided a block, or the last one of an epoch where blocks make a chain: stored with the
    /// first signature of the next height or epoch. If the host crashes before it commits the block,
    /// the block is decided again from the log.
    Decision(Box<Certificate>),
}

impl Record {
    /// Drops what is of no use once the block of a height is committed.
    pub fn prune(log: &mut Vec<Self>, committed: Height) {
        log.retain(|record| record.height() > committed);
    }

    /// The height that this belongs to: with its block committed, the record is of no use.
    pub fn height(&self) -> Height {
        match self {
            Self::Vote { height, .. } | Self::Entry { height, .. } => *height,
            Self::Body(block) => block.header.height,
            Self::HighQc(certificate) | Self::Lock(certificate) | Self::Decision(certificate) => {
                certificate.data.height
            }
        }
    }

    /// The epoch that this belongs to.
    pub(crate) fn epoch(&self) -> Epoch {
        match self {
            Self::Vote { vote, .. } => vote.data.epoch,
            Self::Body(block) => block.header.epoch,
            Self::Entry { certificate, .. }
            | Self::HighQc(certificate)
            | Self::Lock(certificate)
            | Self::Decision(certificate) => certificate.data.epoch,
        }
    }
}

impl Wire for Record {
    const MAX_BYTES: usize = 4 + Block::MAX_BYTES;
}
