//! What validators send each other.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::candidacy::Candidacy;
use pocket_types::codec::Wire;
use pocket_types::id::BlockId;
use pocket_types::number::{Epoch, Height, Round};
use pocket_types::vote::{Certificate, Vote};
use serde::{Deserialize, Serialize};

/// A message between validators, over a channel that authenticates the sender.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "votes are what is sent most")]
pub enum Message {
    /// A replica enters a round, or wants to.
    NewRound(Box<NewRound>),
    /// The leader's block.
    Proposal(Box<Proposal>),
    /// A Prepare, PreCommit or Commit vote, to the leader.
    Vote(Vote),
    /// A certificate of any phase; of Commit: the decision.
    Certificate(Box<Certificate>),
    /// Asks for the body of a block that a certificate names.
    BlockRequest(BlockRequest),
    /// The answer.
    Block(Box<Block>),
    /// Asks for the certificates that ended rounds. Simplex only.
    RoundRequest(RoundRequest),
    /// A candidate for leading a round, where leaders are elected.
    Candidacy(Box<Candidacy>),
}

impl Wire for Message {
    const MAX_BYTES: usize = 4 + Proposal::MAX_BYTES;
}

/// A signature under "I enter this round", with all that the round's leader must know to propose
/// safely and that a straggler needs to follow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewRound {
    /// The signature: phase NewRound, no block. A quorum of them is the round's Timeout QC.
    pub vote: Vote,
    /// The highest Prepare certificate of this height that the sender knows.
    pub high_qc: Option<Certificate>,
    /// What let the sender into the round it is in or leaves: the previous height's Commit
    /// certificate, a Timeout QC, or a certificate of the round itself. The first is left out until
    /// something is said again: everybody was told.
    pub entry: Option<Certificate>,
    /// The sender's own Commit vote for the previous height, so that the next header's certificate
    /// can name everybody who was there. In round 0 only.
    pub commit: Option<Vote>,
}

impl Wire for NewRound {
    const MAX_BYTES: usize = 2 * Vote::MAX_BYTES + 3 + 2 * Certificate::MAX_BYTES;
}

/// A leader's proposal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    /// The leader's signature: phase Propose, over the block's id.
    pub vote: Vote,
    /// The block.
    pub block: Block,
    /// The highest Prepare certificate of this height that the leader knows; it names this very
    /// block. None for a fresh block.
    pub justify: Option<Certificate>,
    /// The Timeout QC of the round (or any certificate of it); none in round 0, where the header's
    /// parent certificate is enough.
    pub entry: Option<Certificate>,
}

impl Wire for Proposal {
    const MAX_BYTES: usize = Vote::MAX_BYTES + Block::MAX_BYTES + 2 + 2 * Certificate::MAX_BYTES;
}

/// Names a block whose body is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRequest {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
}

/// Names rounds whose certificates are wanted: Timeout QCs or, where there are none, notarizations.
/// The answer is a few of them, each in a [`Message::Certificate`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoundRequest {
    /// Their epoch.
    pub epoch: Epoch,
    /// The first of them.
    pub from: Round,
}
