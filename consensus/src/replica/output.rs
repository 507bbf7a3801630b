//! What a replica asks of its host.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::block::{Block, Header};
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Height;
use pocket_types::validator::Electorate;

use crate::replica::error::Refusal;
use crate::replica::message::Message;

/// An output of a [`Replica`](crate::Replica).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send to one validator.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: Message,
    },
    /// Send to every validator of this set but ourselves.
    Broadcast {
        /// The set.
        to: Arc<Electorate>,
        /// What.
        message: Message,
    },
    /// Build a block and answer with [`Input::Built`](crate::Input::Built). A later request
    /// replaces an earlier one.
    Build(Box<BuildRequest>),
    /// Execute this block on its parent's state, compare the state root, and answer with
    /// [`Input::Checked`](crate::Input::Checked). Its header and body have been checked already.
    Check(Box<Block>),
    /// This block is decided: commit it with its proof. The replica has moved on to the next height;
    /// its next requests build on this block.
    ///
    /// In chained protocols a proof may decide several blocks at once. They come in order of height in
    /// one step, each with the same proof, whose [`header`](FinalityProof::header) is the last one's:
    /// keep the others until that comes, and commit all together.
    Decided {
        /// The block.
        block: Box<Block>,
        /// Why it is final.
        proof: Box<FinalityProof>,
    },
    /// A peer sent what no honest one sends; the message has changed nothing.
    Misbehaviour {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: Refusal,
    },
    /// A message was left out though nothing need be wrong with it: a bound was reached, it came when
    /// nobody waited for it, or from no validator, or it proposes a block whose time lies ahead of our
    /// clock. Heights and epochs that we have left or not reached are no misbehaviour either: who is
    /// ahead or behind says so honestly, and a liar costs us one comparison. A host that wants fewer of
    /// them limits the peer's messages.
    Dropped {
        /// Who sent it.
        peer: PublicKey,
        /// Why.
        what: &'static str,
    },
    /// Proof that a validator signed twice: submit it, it belongs into a block's evidence.
    Evidence(Box<Evidence>),
    /// A peer is at a later height than we can follow from here: a hint for
    /// [`Sync`](crate::Sync). `certified` says that a certificate of validators known to us proves
    /// it; otherwise it is only what the peer says.
    Behind {
        /// The peer.
        peer: PublicKey,
        /// The height that it is deciding; it has the blocks below.
        height: Height,
        /// Whether this is proved.
        certified: bool,
    },
    /// A quorum decided a block that our host found invalid: our execution differs from theirs, or a
    /// third of the weight is dishonest. The replica signs nothing more; a person must look.
    Diverged {
        /// The block.
        block: BlockId,
        /// Why our host refused it.
        reason: String,
    },
}

/// What the host needs to make a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildRequest {
    /// The header with everything that consensus knows. The host fills in `state_root`,
    /// `transactions_root` and `evidence_root` and changes nothing else.
    pub header: Header,
    /// Evidence that this replica found and that no decided block of its memory holds; the host
    /// merges it with its pool.
    pub evidence: Vec<Evidence>,
    /// The most bytes that the finished block's encoding may take.
    pub max_bytes: usize,
}
