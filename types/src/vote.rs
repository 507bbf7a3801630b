//! What validators sign, and the certificates that a quorum of their signatures makes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{BlockId, ChainId};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::number::{Epoch, Height, Round, Weight};
use crate::signature;
use crate::validator::{Electorate, MAX_VALIDATORS};

/// The consensus protocol that a vote belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Protocol {
    /// HotPOKT: Basic HotStuff (arXiv 1803.05069), three vote phases.
    HotPokt,
}

/// What a signature in consensus says about its block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// Enters a round; names no block. A quorum of them for a round is its Timeout QC.
    NewRound,
    /// The leader proposes the block.
    Propose,
    /// The proposal is safe.
    Prepare,
    /// A quorum prepared it.
    PreCommit,
    /// A quorum is locked on it: a quorum of these decides.
    Commit,
}

/// What a validator signs: nothing of it can be replayed on another chain, in another epoch,
/// height, round, phase or protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct VoteData {
    /// The protocol.
    pub protocol: Protocol,
    /// The network.
    pub chain: ChainId,
    /// The validator set's epoch.
    pub epoch: Epoch,
    /// Hash of the validator set.
    pub validators: Hash,
    /// The height being decided.
    pub height: Height,
    /// The attempt.
    pub round: Round,
    /// What is said of the block.
    pub phase: Phase,
    /// The block; zero for [`Phase::NewRound`].
    pub block: BlockId,
}

impl VoteData {
    /// The message that is signed.
    pub fn digest(&self) -> Hash {
        Domain::VOTE_SIGNATURE.hash(&codec::encode(self))
    }

    /// The same place in the protocol, whatever the block: an honest validator signs one vote for
    /// each.
    #[must_use]
    pub fn slot(&self) -> Self {
        Self { block: BlockId::default(), ..*self }
    }
}

/// One validator's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// What is signed.
    pub data: VoteData,
    /// Who signs.
    pub signer: PublicKey,
    /// Over [`VoteData::digest`].
    pub signature: Signature,
}

impl Wire for Vote {
    const MAX_BYTES: usize = 4 + 32 + 8 + 32 + 8 + 8 + 4 + 32 + 32 + 64;
}

impl Vote {
    /// Signs. Only the one place of a protocol that guards against signing a slot twice may call it.
    pub fn sign(data: VoteData, key: &SecretKey) -> Self {
        Self { data, signer: key.public_key(), signature: key.sign(&data.digest()) }
    }
}

/// How the signatures of a certificate are packed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scheme {
    /// The signers' Ed25519 signatures, one after the other by position.
    Ed25519List,
}

/// A quorum of votes for one and the same [`VoteData`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// What all signers signed.
    pub data: VoteData,
    /// How the signatures are packed.
    pub scheme: Scheme,
    /// One bit per member of the set, position 0 in the lowest bit of the first byte; exactly as
    /// many bytes as the set needs.
    pub signers: Bytes<{ MAX_VALIDATORS / 8 }>,
    /// The signatures, as the scheme packs them.
    pub signatures: Bytes<{ MAX_VALIDATORS * 64 }>,
}

impl Wire for Certificate {
    const MAX_BYTES: usize = Vote::MAX_BYTES + 4 + 16 + MAX_VALIDATORS / 8 + MAX_VALIDATORS * 64;
}

/// Why a certificate proves nothing. Whoever made it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Made by another validator set.
    #[error(
        "certificate of validator set {got} (epoch {got_epoch}), expected {expected} (epoch {expected_epoch})"
    )]
    WrongSet {
        /// The set it names.
        got: Hash,
        /// The epoch it names.
        got_epoch: Epoch,
        /// The set it is checked against.
        expected: Hash,
        /// That set's epoch.
        expected_epoch: Epoch,
    },
    /// The bitmap isn't the canonical one for this set.
    #[error("signer bitmap of {got} bytes does not fit a set of {members}")]
    Bitmap {
        /// Bytes of the bitmap.
        got: usize,
        /// Members of the set.
        members: usize,
    },
    /// Not one signature per signer.
    #[error("{got} bytes of signatures for {signers} signers")]
    SignatureCount {
        /// Bytes of signatures.
        got: usize,
        /// Bits set in the bitmap.
        signers: usize,
    },
    /// The signers are no quorum.
    #[error("signers weigh {got} of {total}, which is no quorum")]
    NoQuorum {
        /// Weight of the signers.
        got: Weight,
        /// Weight of the set.
        total: Weight,
    },
    /// At least one signature is invalid; the positions of all that are.
    #[error("invalid signatures at positions {0:?}")]
    Signatures(Vec<usize>),
}

impl Certificate {
    /// Packs votes into a certificate. Votes must be checked already, and be for the same data;
    /// votes of strangers, of other data and of the same signer twice are left out.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NoQuorum`] when what remains is not enough.
    pub fn from_votes<'v>(
        data: VoteData,
        votes: impl IntoIterator<Item = &'v Vote>,
        electorate: &Electorate,
    ) -> Result<Self, CertificateError> {
        let by_position: BTreeMap<usize, &Signature> = votes
            .into_iter()
            .filter(|vote| vote.data == data)
            .filter_map(|vote| Some((electorate.position(&vote.signer)?, &vote.signature)))
            .collect();
        let mut bitmap = alloc::vec![0u8; electorate.len().div_ceil(8)];
        let mut signatures = Vec::with_capacity(by_position.len() * 64);
        for (&position, signature) in &by_position {
            bitmap[position / 8] |= 1 << (position % 8);
            signatures.extend_from_slice(&signature.0);
        }
        quorum(by_position.keys().copied(), electorate)?;
        Ok(Self {
            data,
            scheme: Scheme::Ed25519List,
            signers: Bytes::new(bitmap).expect("a set has at most MAX_VALIDATORS members"),
            signatures: Bytes::new(signatures).expect("a set has at most MAX_VALIDATORS members"),
        })
    }

    /// Positions of the signers, increasing. Meaningful for a verified certificate.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        (0..self.signers.len() * 8).filter(|&i| self.signers[i / 8] >> (i % 8) & 1 == 1)
    }

    /// The votes inside, by position. Meaningful for a verified certificate.
    pub fn votes(&self, electorate: &Electorate) -> Vec<Vote> {
        let signatures = self.signatures.as_chunks::<64>().0;
        let members = self.positions().filter_map(|position| electorate.member(position));
        let votes = members.zip(signatures).map(|(member, &signature)| Vote {
            data: self.data,
            signer: member.public_key,
            signature: Signature(signature),
        });
        votes.collect()
    }

    /// Checks everything but the signatures: the set, the form, the quorum. Costs no curve
    /// arithmetic.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] naming the first violation.
    pub fn check_form(&self, electorate: &Electorate) -> Result<(), CertificateError> {
        if self.data.validators != electorate.hash() || self.data.epoch != electorate.epoch() {
            return Err(CertificateError::WrongSet {
                got: self.data.validators,
                got_epoch: self.data.epoch,
                expected: electorate.hash(),
                expected_epoch: electorate.epoch(),
            });
        }
        let members = electorate.len();
        let stray = self.positions().last().is_some_and(|position| position >= members);
        if self.signers.len() != members.div_ceil(8) || stray {
            return Err(CertificateError::Bitmap { got: self.signers.len(), members });
        }
        let signers = self.positions().count();
        if self.signatures.len() != signers * 64 {
            return Err(CertificateError::SignatureCount { got: self.signatures.len(), signers });
        }
        quorum(self.positions(), electorate)
    }

    /// Checks everything: the form and every signature, in one batch.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] naming the first violation, or all invalid signatures.
    pub fn verify(&self, electorate: &Electorate) -> Result<(), CertificateError> {
        self.check_form(electorate)?;
        let digest = self.data.digest();
        let positions: Vec<usize> = self.positions().collect();
        let signatures = self.signatures.as_chunks::<64>().0;
        let batch: Vec<_> = positions
            .iter()
            .zip(signatures)
            .filter_map(|(&p, &signature)| Some((electorate.key(p)?, digest, Signature(signature))))
            .collect();
        signature::verify_batch(&batch).map_err(|error| {
            CertificateError::Signatures(error.indices().map(|i| positions[i]).collect())
        })
    }
}

fn quorum(
    positions: impl Iterator<Item = usize>,
    electorate: &Electorate,
) -> Result<(), CertificateError> {
    let weight: u64 = positions.filter_map(|p| electorate.member(p)).map(|m| m.weight.0).sum();
    if electorate.is_quorum(Weight(weight)) {
        Ok(())
    } else {
        Err(CertificateError::NoQuorum { got: Weight(weight), total: electorate.total() })
    }
}
