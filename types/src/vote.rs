//! What validators sign, and the certificates that a quorum of their signatures makes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bls::BlsAggregateError;
use crate::codec::{self, Bytes, List, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{BlockId, ChainId};
use crate::key::{PublicKey, SecretKey};
use crate::number::{Epoch, Height, Round, Weight};
use crate::scheme::{Packed, Scheme, VoteSignature};
use crate::trap;
use crate::validator::{Electorate, MAX_VALIDATORS};

/// The consensus protocol that a vote belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Protocol {
    /// HotPOKT: Basic HotStuff (arXiv 1803.05069, algorithm 2), three vote phases.
    HotPokt,
    /// Chained HotStuff (arXiv 1803.05069, algorithm 3).
    ChainedHotStuff,
    /// HotStuff-2, pipelined (IACR eprint 2023/397).
    HotStuff2,
    /// Jolteon (arXiv 2106.10362).
    Jolteon,
    /// Fast-HotStuff, pipelined (arXiv 2010.11454).
    FastHotStuff,
    /// Tendermint (arXiv 1807.04938).
    Tendermint,
    /// Simplex (IACR eprint 2023/463).
    Simplex,
}

impl Protocol {
    /// Whether undecided blocks are built upon. Rounds then count on through all heights of a
    /// validator set; otherwise they begin anew at every height.
    pub const fn is_chained(self) -> bool {
        !matches!(self, Self::HotPokt | Self::Tendermint)
    }

    /// Whether a NewRound signature vouches for the round of the signer's highest certificate
    /// ([`VoteData::high`]).
    pub const fn signs_high(self) -> bool {
        matches!(self, Self::Jolteon | Self::FastHotStuff)
    }

    /// The phase of the certificates that decide.
    pub const fn deciding_phase(self) -> Phase {
        match self {
            Self::HotPokt | Self::Tendermint | Self::Simplex => Phase::Commit,
            Self::ChainedHotStuff | Self::HotStuff2 | Self::Jolteon | Self::FastHotStuff => {
                Phase::Prepare
            }
        }
    }

    /// How many certified blocks of consecutive rounds, each the parent of the next, decide the
    /// first.
    pub const fn links(self) -> usize {
        match self {
            Self::HotPokt | Self::Tendermint | Self::Simplex => 1,
            Self::HotStuff2 | Self::Jolteon | Self::FastHotStuff => 2,
            Self::ChainedHotStuff => 3,
        }
    }
}

/// What a signature in consensus says about its block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// Enters a round and votes in no earlier one; names no block. A quorum of them for a round is
    /// its Timeout QC.
    NewRound,
    /// The leader proposes the block.
    Propose,
    /// The proposal is safe. The only vote of chained protocols; Tendermint's prevote, Simplex's
    /// notarization. Tendermint's vote for no block names block zero.
    Prepare,
    /// A quorum prepared it. HotPOKT only.
    PreCommit,
    /// A quorum is locked on it: a quorum of these decides. Tendermint's precommit, Simplex's
    /// finalization.
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
    /// Of a NewRound where the [protocol signs it](Protocol::signs_high): the round of the highest
    /// certificate that the signer knows, none for genesis. None everywhere else.
    pub high: Option<Round>,
}

impl VoteData {
    /// The message that is signed.
    pub fn digest(&self) -> Hash {
        Domain::VOTE_SIGNATURE.hash(&codec::encode(self))
    }

    /// The same place in the protocol, whatever is said there: an honest validator signs one vote for
    /// each. Where rounds count on through the heights, blocks of different heights compete for it.
    #[must_use]
    pub fn slot(&self) -> Self {
        let height = if self.protocol.is_chained() { Height::GENESIS } else { self.height };
        Self { height, block: BlockId::default(), high: None, ..*self }
    }

    /// Whether this is a vote by this set.
    pub(crate) fn is_by(&self, electorate: &Electorate) -> bool {
        self.validators == electorate.hash() && self.epoch == electorate.epoch()
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
    pub signature: VoteSignature,
}

impl Wire for Vote {
    const MAX_BYTES: usize = 4 + 32 + 8 + 32 + 8 + 8 + 4 + 32 + 9 + 32 + VoteSignature::MAX_BYTES;
}

impl Vote {
    /// Signs. Only the one place of a protocol that guards against signing a slot twice may call it.
    pub fn sign(data: VoteData, key: &SecretKey) -> Self {
        Self { data, signer: key.public_key(), signature: key.sign(&data.digest()).into() }
    }
}

/// A quorum of votes for one and the same [`VoteData`]; a Timeout QC whose signers vouch for their
/// highest certificates says of each for which.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// What all signers signed. [`VoteData::high`] is the highest of [`highs`](Self::highs).
    pub data: VoteData,
    /// How the signatures are packed: as the set's scheme says.
    pub scheme: Scheme,
    /// One bit per member of the set, position 0 in the lowest bit of the first byte; exactly as
    /// many bytes as the set needs.
    pub signers: Bytes<{ MAX_VALIDATORS / 8 }>,
    /// What each signer put into [`VoteData::high`], by position, if this is a NewRound certificate
    /// of a protocol that [signs it](Protocol::signs_high); empty otherwise.
    pub highs: List<Option<Round>, MAX_VALIDATORS>,
    /// The signatures, as the scheme packs them.
    pub signatures: Bytes<{ MAX_VALIDATORS * 64 }>,
}

impl Wire for Certificate {
    const MAX_BYTES: usize =
        Vote::MAX_BYTES + 4 + 24 + MAX_VALIDATORS / 8 + MAX_VALIDATORS * (64 + 9);
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
    /// Packed by another scheme than the set's.
    #[error("packed by scheme {got:?}, the set signs by {expected:?}")]
    Scheme {
        /// The scheme it names.
        got: Scheme,
        /// The set's.
        expected: Scheme,
    },
    /// The bitmap isn't the canonical one for this set.
    #[error("signer bitmap of {got} bytes does not fit a set of {members}")]
    Bitmap {
        /// Bytes of the bitmap.
        got: usize,
        /// Members of the set.
        members: usize,
    },
    /// The rounds that its signers vouch for are not what they must be: one for each where the protocol
    /// signs them, none elsewhere, and the highest of them in the data.
    #[error("{got} rounds for {signers} signers, or another highest than the data says")]
    Highs {
        /// Rounds given.
        got: usize,
        /// Bits set in the bitmap.
        signers: usize,
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
    /// The aggregate is not the signers' signature. Who of them didn't sign can't be told.
    #[error(transparent)]
    Aggregate(#[from] BlsAggregateError),
    /// At least one signature is invalid; the positions of all that are.
    #[error("invalid signatures at positions {0:?}")]
    Signatures(Vec<usize>),
}

impl Certificate {
    /// Packs votes into a certificate. Votes must be checked already, and be for the same data but for
    /// the [`high`](VoteData::high) of a NewRound; votes of strangers, of other data and of the same
    /// signer twice are left out.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NoQuorum`] when what remains is not enough.
    pub fn from_votes<'v>(
        data: VoteData,
        votes: impl IntoIterator<Item = &'v Vote>,
        electorate: &Electorate,
    ) -> Result<Self, CertificateError> {
        let empty = Self {
            data: VoteData { high: None, ..data },
            scheme: electorate.set().scheme,
            signers: Bytes::new(alloc::vec![0; electorate.len().div_ceil(8)]).expect(WITHIN),
            highs: List::empty(),
            signatures: Bytes::new(Vec::new()).expect(WITHIN),
        };
        let whole = empty.extended(votes, electorate);
        quorum(whole.positions(), electorate)?;
        Ok(whole)
    }

    /// This checked certificate with more checked votes: of the same data, from signers that it
    /// doesn't have yet. Others are left out.
    #[must_use]
    pub fn extended<'v>(
        &self,
        votes: impl IntoIterator<Item = &'v Vote>,
        electorate: &Electorate,
    ) -> Self {
        let plain = |data: &VoteData| VoteData { high: None, ..*data };
        let more: BTreeMap<usize, &Vote> = votes
            .into_iter()
            .filter(|vote| plain(&vote.data) == plain(&self.data))
            .filter_map(|vote| Some((electorate.position(&vote.signer)?, vote)))
            .filter(|(position, _)| !self.is_signer(*position))
            .collect();
        if more.is_empty() {
            return self.clone();
        }
        let mut signers = self.signers.to_vec();
        more.keys().for_each(|position| signers[position / 8] |= 1 << (position % 8));
        let mut highs: BTreeMap<usize, Option<Round>> =
            self.positions().zip(self.highs.iter().copied()).collect();
        if self.has_highs() {
            highs.extend(more.iter().map(|(&position, vote)| (position, vote.data.high)));
        }
        let highs: Vec<_> = highs.into_values().collect();
        let signatures: Vec<_> =
            more.iter().map(|(&position, vote)| (position, vote.signature)).collect();
        let digests = self.digests();
        let packed = Packed { signers: &digests, bytes: &self.signatures };
        let signatures = electorate.verifier().pack(packed, &signatures);
        Self {
            data: VoteData { high: highs.iter().copied().max().flatten(), ..self.data },
            scheme: self.scheme,
            signers: Bytes::new(signers).expect(WITHIN),
            highs: List::new(highs).expect(WITHIN),
            signatures: Bytes::new(signatures).expect(WITHIN),
        }
    }

    /// Positions of the signers, increasing. Meaningful for a verified certificate.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        (0..self.signers.len() * 8).filter(|&position| self.is_signer(position))
    }

    /// Whether the member at a position signed. Meaningful for a verified certificate.
    pub fn is_signer(&self, position: usize) -> bool {
        self.signers.get(position / 8).is_some_and(|byte| byte >> (position % 8) & 1 == 1)
    }

    /// Checks everything but the signatures: the set, the form, the quorum. Costs no curve
    /// arithmetic.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] naming the first violation.
    pub fn check_form(&self, electorate: &Electorate) -> Result<(), CertificateError> {
        if !self.data.is_by(electorate) && !trap!("replayed_set") {
            return Err(CertificateError::WrongSet {
                got: self.data.validators,
                got_epoch: self.data.epoch,
                expected: electorate.hash(),
                expected_epoch: electorate.epoch(),
            });
        }
        let expected = electorate.set().scheme;
        if self.scheme != expected {
            return Err(CertificateError::Scheme { got: self.scheme, expected });
        }
        let members = electorate.len();
        let stray = self.positions().last().is_some_and(|position| position >= members);
        if self.signers.len() != members.div_ceil(8) || stray {
            return Err(CertificateError::Bitmap { got: self.signers.len(), members });
        }
        let signers = self.positions().count();
        let highs = if self.has_highs() { signers } else { 0 };
        let highest = self.highs.iter().copied().max().flatten();
        if self.highs.len() != highs || self.data.high != highest {
            return Err(CertificateError::Highs { got: self.highs.len(), signers });
        }
        quorum(self.positions(), electorate)
    }

    /// Checks everything: the form and every signature, in one batch.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] naming the first violation, or all invalid signatures.
    pub fn verify(&self, electorate: &Electorate) -> Result<(), CertificateError> {
        self.verify_beyond(electorate, None)
    }

    /// As [`verify`](Self::verify), but skips the signatures that `known`, which is verified, brought
    /// along already, where the scheme can tell.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_beyond(
        &self,
        electorate: &Electorate,
        known: Option<&Self>,
    ) -> Result<(), CertificateError> {
        self.check_form(electorate)?;
        let digests = self.digests();
        let packed = Packed { signers: &digests, bytes: &self.signatures };
        let known = known.filter(|known| known.data.slot() == self.data.slot());
        let known_digests = known.map(Self::digests).unwrap_or_default();
        let known = known.map(|known| Packed { signers: &known_digests, bytes: &known.signatures });
        electorate.verifier().verify_packed(packed, known)
    }

    /// Position and digest of each signer.
    fn digests(&self) -> Vec<(usize, Hash)> {
        if !self.has_highs() {
            let digest = self.data.digest();
            return self.positions().map(|position| (position, digest)).collect();
        }
        let signed = self.positions().zip(self.highs.iter());
        signed.map(|(p, &high)| (p, VoteData { high, ..self.data }.digest())).collect()
    }

    const fn has_highs(&self) -> bool {
        matches!(self.data.phase, Phase::NewRound) && self.data.protocol.signs_high()
    }
}

const WITHIN: &str = "a set has at most MAX_VALIDATORS members";

fn quorum(
    positions: impl Iterator<Item = usize>,
    electorate: &Electorate,
) -> Result<(), CertificateError> {
    let weight: u64 = positions.filter_map(|p| electorate.member(p)).map(|m| m.weight.0).sum();
    if electorate.is_quorum(Weight(weight)) || trap!("1") {
        Ok(())
    } else {
        Err(CertificateError::NoQuorum { got: Weight(weight), total: electorate.total() })
    }
}
