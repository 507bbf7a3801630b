//! Headers and blocks.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, List, Wire};
use crate::evidence::Evidence;
use crate::hash::{Domain, Hash};
use crate::id::{BlockId, ChainId};
use crate::key::PublicKey;
use crate::list;
use crate::number::{Epoch, Height, Timestamp};
use crate::transaction::Transaction;
use crate::validator::Electorate;
use crate::vote::Certificate;
use crate::vrf::{VrfOutput, VrfProof, VrfSecret};

/// The protocol version that this crate speaks.
pub const VERSION: u32 = 1;

/// The most transactions in a block.
pub const MAX_TRANSACTIONS: usize = 32_768;

/// The most pieces of evidence in a block.
pub const MAX_EVIDENCE: usize = 64;

/// What a block commits to. Its hash is the block's id; it does not name a round, so that a later
/// leader can propose the same block again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Protocol version, [`VERSION`].
    pub version: u32,
    /// The network.
    pub chain: ChainId,
    /// Position in the chain; the first block has height 1.
    pub height: Height,
    /// Epoch of the validator set that decides this block.
    pub epoch: Epoch,
    /// The block before; zero for the first block.
    pub parent: BlockId,
    /// The certificate for the parent: the one that decided it or, in protocols that build on undecided
    /// blocks, the one by which it may be built upon. None for the first block.
    pub parent_certificate: Option<Certificate>,
    /// When it was proposed; later than the parent.
    pub time: Timestamp,
    /// Who made the block.
    pub proposer: PublicKey,
    /// State root after this block's own transactions.
    pub state_root: Hash,
    /// Commitment to the transactions, in order.
    pub transactions_root: Hash,
    /// Commitment to the evidence, in order.
    pub evidence_root: Hash,
    /// Hash of the validator set that decides this block.
    pub validators: Hash,
    /// Hash of the validator set that decides the next block.
    pub next_validators: Hash,
    /// The beacon's value at this block.
    pub randomness: Hash,
    /// The proposer's proof that it could not choose that value.
    pub randomness_proof: VrfProof,
}

impl Wire for Header {
    const MAX_BYTES: usize = 1024 + Certificate::MAX_BYTES;
}

/// A header with what it commits to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Transactions in order of execution.
    pub transactions: List<Transaction, MAX_TRANSACTIONS>,
    /// Proofs of misbehaviour.
    pub evidence: List<Evidence, MAX_EVIDENCE>,
}

impl Wire for Block {
    const MAX_BYTES: usize = 4 << 20;
}

/// Why a block is malformed. Its proposer is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The transactions are not the header's.
    #[error("transactions root {got}, header says {expected}")]
    TransactionsRoot {
        /// Root of the block's transactions.
        got: Hash,
        /// Root in the header.
        expected: Hash,
    },
    /// The evidence is not the header's.
    #[error("evidence root {got}, header says {expected}")]
    EvidenceRoot {
        /// Root of the block's evidence.
        got: Hash,
        /// Root in the header.
        expected: Hash,
    },
}

impl Header {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        BlockId(Domain::BLOCK_ID.hash(&codec::encode(self)))
    }
}

impl Block {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Commitment to a block's transactions, signatures included: a block id names one body.
    pub fn transactions_root(transactions: &[Transaction]) -> Hash {
        list::root(transactions.iter().map(Transaction::commitment))
    }

    /// Commitment to a block's evidence.
    pub fn evidence_root(evidence: &[Evidence]) -> Hash {
        list::root(
            evidence.iter().map(|evidence| Domain::EVIDENCE_ID.hash(&codec::encode(evidence))),
        )
    }

    /// Checks that the body is the one that the header commits to.
    ///
    /// # Errors
    ///
    /// [`BlockError`] naming the root that differs.
    pub fn check_body(&self) -> Result<(), BlockError> {
        let got = Self::transactions_root(&self.transactions);
        if got != self.header.transactions_root {
            return Err(BlockError::TransactionsRoot {
                got,
                expected: self.header.transactions_root,
            });
        }
        let got = Self::evidence_root(&self.evidence);
        if got != self.header.evidence_root {
            return Err(BlockError::EvidenceRoot { got, expected: self.header.evidence_root });
        }
        Ok(())
    }
}

/// The beacon (a chain of verifiable random outputs): every seed of the protocol comes from it.
/// Proposers can withhold a value but not choose it.
pub mod beacon {
    use super::*;

    /// What a proposer's VRF is evaluated on.
    pub fn input(previous: Hash, height: Height) -> Hash {
        Domain::RANDOMNESS_INPUT.hasher().fixed(&previous.0).number(height.0).finish()
    }

    /// The beacon's next value.
    pub fn next(previous: Hash, output: &VrfOutput) -> Hash {
        Domain::RANDOMNESS.hasher().fixed(&previous.0).fixed(&output.0).finish()
    }

    /// What a proposer puts into its header: the next value and its proof.
    pub fn extend(previous: Hash, height: Height, secret: &VrfSecret) -> (Hash, VrfProof) {
        let (proof, output) = secret.prove(&input(previous, height).0);
        (next(previous, &output), proof)
    }

    /// Whether a header's randomness is the one that its proposer, a member of this electorate, had to
    /// put there.
    pub fn verify(header: &Header, previous: Hash, electorate: &Electorate) -> bool {
        let proposer = electorate.position(&header.proposer).and_then(|p| electorate.member(p));
        proposer.is_some_and(|proposer| {
            let input = input(previous, header.height);
            electorate
                .verifier()
                .vrf(&proposer.vrf_key, &input.0, &header.randomness_proof)
                .is_ok_and(|output| next(previous, &output) == header.randomness)
        })
    }
}
