//! What a variant decides, and what it sees when it does.

use core::fmt;

use pocket_types::block::Header;
use pocket_types::id::BlockId;
use pocket_types::number::{Duration, Epoch, Height, Round};
use pocket_types::vote::{self, Certificate};

use crate::common::tree::Tree;
use crate::replica::config::Config;

/// The rules by which a chain of certified blocks is voted for, locked and committed. Everything else
/// of a protocol is [`Chained`](super::Chained)'s.
///
/// Rules are pure functions of what they are shown, and the certificates they see have been checked:
/// a quorum signed each of them. The engine sees to it, whatever the rules say, that a replica votes
/// once a round and never in an earlier round than it has voted in or left, that it votes only for
/// valid blocks, and only in a round to which a certificate of the round before leads, or a Timeout
/// QC.
pub trait ChainRules: Clone + fmt::Debug + 'static {
    /// The name under which votes are signed. It also says how many links prove a decision
    /// ([`links`](vote::Protocol::links)), and whether timeouts vouch for the highest certificate that
    /// their signer knows ([`signs_high`](vote::Protocol::signs_high)).
    const ID: vote::Protocol;

    /// Whom a replica tells first that it gives a round up.
    const TIMEOUTS: Timeouts;

    /// Whether a proposal is safe to vote for.
    fn may_vote(proposal: &Candidate, chain: &Chain<'_>) -> bool;

    /// What to lock on, now that `certified` is known; it counts if it is of a later round than the
    /// lock so far. Rules without a lock say none.
    fn lock(certified: &Certified, chain: &Chain<'_>) -> Option<Certified>;

    /// The block that is decided, with all its ancestors, now that `certified` is known.
    fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified>;

    /// How long a leader that a Timeout QC let in waits for higher certificates before it proposes.
    fn patience(_config: &Config) -> Duration {
        Duration(0)
    }
}

/// Whom a replica tells first that it gives a round up; what brings no new round is said to all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeouts {
    /// The leader of the next round, who shows the Timeout QC with its proposal: O(n) messages.
    ToNextLeader,
    /// Everybody, so that everybody makes the Timeout QC: O(n²) messages.
    ToAll,
}

/// A block with a certificate of a quorum's votes: which block, in which round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certified {
    /// The block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// The round of the certificate; none for the block that the epoch began with, which comes before
    /// round 0.
    pub round: Option<Round>,
}

impl Certified {
    /// What a certificate of this epoch certifies.
    pub(super) const fn of(certificate: &Certificate) -> Self {
        let data = &certificate.data;
        Self { block: data.block, height: data.height, round: Some(data.round) }
    }

    /// What a header extends, and the certificate for that: its own epoch's, or else none, for the block
    /// that the epoch began with.
    pub(super) fn justify(header: &Header, epoch: Epoch) -> (Self, Option<&Certificate>) {
        let carried = header.parent_certificate.as_ref();
        match carried.filter(|certificate| certificate.data.epoch == epoch) {
            Some(certificate) => (Self::of(certificate), Some(certificate)),
            None => {
                let height = header.height.previous().unwrap_or(Height::GENESIS);
                (Self { block: header.parent, height, round: None }, None)
            }
        }
    }

    /// Whether this was certified in the very round after `other` was.
    pub fn follows(&self, other: &Self) -> bool {
        self.round == Some(other.next_round())
    }

    /// The round after this certificate's.
    pub fn next_round(&self) -> Round {
        self.round.map_or(Round::ZERO, Round::next)
    }
}

/// A proposal of the current round that may be voted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The proposed block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The certificate that it extends.
    pub justify: Certified,
    /// Of the Timeout QC that came along if `justify` is not of the round before: the highest round
    /// that its signers vouch for, where the protocol signs that.
    pub highest: Option<Round>,
}

impl Candidate {
    /// Whether it extends the certificate of the round before: nothing was given up.
    pub fn is_next(&self) -> bool {
        self.justify.next_round() == self.round
    }
}

/// The certified blocks that are not decided yet, as a replica knows them.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    pub(super) tree: &'a Tree,
    pub(super) epoch: Epoch,
    pub(super) tip: Certified,
    pub(super) high: Certified,
    pub(super) lock: Certified,
}

impl Chain<'_> {
    /// The last decided block.
    pub const fn tip(&self) -> Certified {
        self.tip
    }

    /// The certificate of the latest round.
    pub const fn high(&self) -> Certified {
        self.high
    }

    /// What this replica is locked on; at first, the last decided block.
    pub const fn lock(&self) -> Certified {
        self.lock
    }

    /// The certificate that a block extends: its parent's. None for the last decided block and below,
    /// and for a block that has not arrived.
    pub fn justify(&self, of: &Certified) -> Option<Certified> {
        Some(Certified::justify(&self.tree.block(&of.block)?.header, self.epoch).0)
    }

    /// Whether a block is `ancestor` or descends from it. What is decided is everybody's ancestor.
    pub fn extends(&self, block: &BlockId, ancestor: &Certified) -> bool {
        ancestor.height <= self.tip.height || self.tree.line(*block).any(|id| id == ancestor.block)
    }
}
