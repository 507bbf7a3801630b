//! Proof of misbehaviour that anyone can check.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bls::{self, BlsKeyError, BlsPublicKey, BlsVerifyingKey};
use crate::candidacy::{MisuseError, VrfMisuse};
use crate::codec::{self, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{BlockId, ChainId};
use crate::key::{PublicKey, VerifyingKey};
use crate::number::{Epoch, Height, Round};
use crate::scheme::VoteSignature;
use crate::signature;
use crate::trap;
use crate::validator::Electorate;
use crate::vote::{Phase, Vote};

/// What validators submit against each other, in a block's own evidence section.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Evidence {
    /// Two votes, two proposals or two NewRounds of one validator that say different things in one
    /// slot. The smaller block id (height, signed round) comes first, so that one offence has one
    /// form.
    Equivocation {
        /// The vote for the smaller block id.
        first: Vote,
        /// The vote for the larger block id.
        second: Vote,
    },
    /// A claim to lead that its own proof contradicts.
    VrfMisuse(VrfMisuse),
}

impl Wire for Evidence {
    const MAX_BYTES: usize = 4 + if 2 * Vote::MAX_BYTES > VrfMisuse::MAX_BYTES {
        2 * Vote::MAX_BYTES
    } else {
        VrfMisuse::MAX_BYTES
    };
}

/// What a piece of evidence proves: one punishment for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Offence {
    /// Who did it.
    pub offender: PublicKey,
    /// At which height.
    pub height: Height,
    /// In which round.
    pub round: Round,
    /// Doing what.
    pub kind: OffenceKind,
}

/// The kinds of offences; of each there is one in a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OffenceKind {
    /// Signing two things in one slot, whatever they were.
    Equivocation(Phase),
    /// Claiming to lead what its own proof contradicts, whatever was claimed.
    VrfMisuse,
}

/// Why evidence proves nothing. Whoever submitted it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// From another network.
    #[error("evidence from network {got}, expected {expected}")]
    WrongChain {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// The two votes have different signers.
    #[error("the votes have different signers")]
    DifferentSigners,
    /// The two votes are for different slots.
    #[error("the votes are for different slots")]
    DifferentSlots,
    /// The votes agree, or come in the wrong order.
    #[error("the votes must say different things, the smaller first")]
    NoConflict,
    /// The offender is no member of the set that the votes name.
    #[error("{0} is no member of the set that the votes name")]
    NotMember(PublicKey),
    /// A signature is invalid.
    #[error("a vote's signature is invalid")]
    Signature,
    /// The candidacy is none that convicts.
    #[error(transparent)]
    Misuse(#[from] MisuseError),
    /// A vote is signed by BLS, and no BLS key of the offender is known.
    #[error("a vote of {0} is signed by BLS, and no such key of its signer is known")]
    NoBlsKey(PublicKey),
    /// The offender's BLS key can't be used, or this build has no BLS at all.
    #[error(transparent)]
    BlsKey(#[from] BlsKeyError),
}

impl Evidence {
    /// Two conflicting votes in canonical order.
    pub fn equivocation(a: Vote, b: Vote) -> Self {
        let (first, second) = if said(&a) <= said(&b) { (a, b) } else { (b, a) };
        Self::Equivocation { first, second }
    }

    /// Identity of the evidence.
    pub fn id(&self) -> Hash {
        Domain::EVIDENCE_ID.hash(&codec::encode(&self.offence()))
    }

    /// What is claimed; meaningful after [`Evidence::verify`].
    pub const fn offence(&self) -> Offence {
        match self {
            Self::Equivocation { first, .. } => Offence {
                offender: first.signer,
                height: first.data.height,
                round: first.data.round,
                kind: OffenceKind::Equivocation(first.data.phase),
            },
            Self::VrfMisuse(misuse) => Offence {
                offender: misuse.offender(),
                height: misuse.height(),
                round: misuse.round(),
                kind: OffenceKind::VrfMisuse,
            },
        }
    }

    /// The network that it is about.
    pub const fn chain(&self) -> ChainId {
        match self {
            Self::Equivocation { first, .. } => first.data.chain,
            Self::VrfMisuse(misuse) => misuse.0.claim.chain,
        }
    }

    /// The epoch of the validator set that it names.
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Equivocation { first, .. } => first.data.epoch,
            Self::VrfMisuse(misuse) => misuse.0.claim.epoch,
        }
    }

    /// Checks that the offence happened on this network. Whether the offender was a validator, and
    /// whether the offence is too old or already punished, is the ledger's to say. The key of votes
    /// that are signed by BLS is not in the evidence: see [`verify_with`](Self::verify_with).
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] naming the first violation; signatures are checked last.
    pub fn verify(&self, chain: ChainId) -> Result<Offence, EvidenceError> {
        self.verify_with(chain, None)
    }

    /// As [`verify`](Self::verify), with the BLS key by which the caller knows the offender, if any.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] naming the first violation; signatures are checked last.
    pub fn verify_with(
        &self,
        chain: ChainId,
        bls_key: Option<BlsPublicKey>,
    ) -> Result<Offence, EvidenceError> {
        let (first, second) = match self {
            Self::Equivocation { first, second } => (first, second),
            Self::VrfMisuse(misuse) => {
                misuse.verify(chain)?;
                return Ok(self.offence());
            }
        };
        check_form(first, second, chain)?;
        if trap!("framed") {
            return Ok(self.offence());
        }
        for vote in [first, second] {
            let digest = vote.data.digest();
            match vote.signature {
                VoteSignature::Ed25519(signature) => {
                    let key = VerifyingKey::new(vote.signer);
                    let key = key.map_err(|_| EvidenceError::Signature)?;
                    signature::verify(&key, &digest, &signature)
                        .map_err(|_| EvidenceError::Signature)?;
                }
                VoteSignature::Bls(signature) => {
                    let key = bls_key.ok_or(EvidenceError::NoBlsKey(vote.signer))?;
                    bls::verify(&BlsVerifyingKey::new(key)?, &digest, &signature)
                        .map_err(|_| EvidenceError::Signature)?;
                }
            }
        }
        Ok(self.offence())
    }

    /// As [`verify`](Self::verify), for an offender who must be a member of this electorate, by
    /// whatever scheme it signs.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] naming the first violation; signatures are checked last.
    pub fn verify_by(
        &self,
        chain: ChainId,
        electorate: &Electorate,
    ) -> Result<Offence, EvidenceError> {
        let (first, second) = match self {
            Self::Equivocation { first, second } => (first, second),
            Self::VrfMisuse(misuse) => {
                misuse.verify_by(chain, electorate)?;
                return Ok(self.offence());
            }
        };
        check_form(first, second, chain)?;
        let member = electorate.position(&first.signer).filter(|_| first.data.is_by(electorate));
        let position = member.ok_or(EvidenceError::NotMember(first.signer))?;
        if trap!("framed") || [first, second].iter().all(|vote| electorate.holds(vote, position)) {
            Ok(self.offence())
        } else {
            Err(EvidenceError::Signature)
        }
    }
}

/// Whether two votes are on this network and conflict, in canonical order.
fn check_form(first: &Vote, second: &Vote, chain: ChainId) -> Result<(), EvidenceError> {
    if first.data.chain != chain {
        return Err(EvidenceError::WrongChain { got: first.data.chain, expected: chain });
    }
    if first.signer != second.signer {
        return Err(EvidenceError::DifferentSigners);
    }
    if first.data.slot() != second.data.slot() {
        return Err(EvidenceError::DifferentSlots);
    }
    if said(first) >= said(second) {
        return Err(EvidenceError::NoConflict);
    }
    Ok(())
}

/// What a vote says in its slot.
const fn said(vote: &Vote) -> (BlockId, Height, Option<Round>) {
    (vote.data.block, vote.data.height, vote.data.high)
}
