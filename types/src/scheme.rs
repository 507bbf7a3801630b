//! How validators sign their votes, and how a quorum's signatures are packed and checked.
//!
//! A [`ValidatorSet`] names its [`Scheme`]; the [`Electorate`](crate::validator::Electorate) made of
//! it holds the matching [`Verifier`], and whoever checks votes, certificates or proofs asks that. A
//! gateway or light client therefore needs to know nothing of schemes.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::bls::{BlsAggregate, BlsPublicKey, BlsSignature};
use crate::candidacy::{Candidacy, Claim};
use crate::hash::Hash;
use crate::key::{PublicKey, Signature, VerifyingKey};
use crate::number::Height;
use crate::signature::{self, KeySet};
use crate::validator::{ValidatorSet, ValidatorSetError};
use crate::vote::{CertificateError, VoteData};
use crate::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey};

/// How the validators of a set sign, and how the signatures of a certificate are packed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scheme {
    /// The signers' Ed25519 signatures, one after the other by position.
    #[default]
    Ed25519List,
    /// The sum of the signers' BLS signatures: 96 bytes, however many they are. Every member has a
    /// [BLS key](crate::validator::Validator::bls_key); its Ed25519 key stays its identity, and signs
    /// everything but votes. Needs the feature `bls`.
    BlsAggregate,
}

/// A validator's signature under a vote, by the scheme of its set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VoteSignature {
    /// For [`Scheme::Ed25519List`].
    Ed25519(Signature),
    /// For [`Scheme::BlsAggregate`].
    Bls(BlsSignature),
}

impl VoteSignature {
    /// The most bytes that an encoding takes.
    pub const MAX_BYTES: usize = 4 + 96;
}

impl From<Signature> for VoteSignature {
    fn from(signature: Signature) -> Self {
        Self::Ed25519(signature)
    }
}

impl From<BlsSignature> for VoteSignature {
    fn from(signature: BlsSignature) -> Self {
        Self::Bls(signature)
    }
}

/// One member's signature of one digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The member's position in its set.
    pub position: usize,
    /// What is signed.
    pub digest: Hash,
    /// The signature.
    pub signature: VoteSignature,
}

/// Signatures packed into a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packed<'c> {
    /// Position and digest of each signer, by increasing position.
    pub signers: &'c [(usize, Hash)],
    /// The signatures, as the scheme packs them.
    pub bytes: &'c [u8],
}

/// A validator's keys, or what guards them: signs purposes, not bytes. An implementation may keep the
/// keys in another process or device as long as it answers at once.
pub trait Keys: fmt::Debug + Send + Sync {
    /// Who signs.
    fn public_key(&self) -> PublicKey;

    /// The key of the randomness of its blocks.
    fn vrf_key(&self) -> VrfPublicKey;

    /// The key of its votes where sets sign by [`Scheme::BlsAggregate`], if it has one.
    fn bls_key(&self) -> Option<BlsPublicKey> {
        None
    }

    /// Signs a vote by the scheme of the validator's set; none without a key for that.
    fn sign(&self, data: &VoteData, scheme: Scheme) -> Option<VoteSignature>;

    /// The randomness of a block at `height` after `previous`, and its proof.
    fn beacon(&self, previous: Hash, height: Height) -> (Hash, VrfProof);

    /// Proves and signs a claim to lead; none if the proof selects no unit ([`Claim::run`]).
    fn candidacy(&self, claim: Claim) -> Option<Candidacy>;
}

/// Checks what the members of one set sign. It is made for the set and may keep whatever makes
/// checking fast. Positions are places in the set; one beyond it has signed nothing.
///
/// Tests and simulations of millions of heights may supply a cheap one of their own
/// ([`Electorate::with_verifier`](crate::validator::Electorate::with_verifier)): it protects nothing,
/// so it is never chosen by anything in a set or a message.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Checks signatures together.
    ///
    /// # Errors
    ///
    /// The indices of all that don't hold, increasing.
    fn verify(&self, signed: &[Signed]) -> Result<(), Vec<usize>>;

    /// Packs checked signatures, given by increasing position, into what `packed` holds already.
    /// Signers that are there already must not come again.
    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8>;

    /// Checks packed signatures, skipping what `known`, which is checked, holds too where the scheme
    /// can tell.
    ///
    /// # Errors
    ///
    /// [`CertificateError::SignatureCount`], [`CertificateError::Signatures`], or
    /// [`CertificateError::Aggregate`] where an aggregate hides whose they are.
    fn verify_packed(
        &self,
        packed: Packed<'_>,
        known: Option<Packed<'_>>,
    ) -> Result<(), CertificateError>;

    /// Checks a proof of a member's verifiable random function; gives its output.
    ///
    /// # Errors
    ///
    /// [`VrfError`] saying what is wrong with the key or the proof.
    fn vrf(
        &self,
        key: &VrfPublicKey,
        input: &[u8],
        proof: &VrfProof,
    ) -> Result<VrfOutput, VrfError> {
        key.verify(input, proof)
    }

    /// Checks what a member signs as itself, which is everything but votes: by whatever scheme the
    /// set votes, a member's own key is an Ed25519 key.
    fn signed_by(&self, key: &PublicKey, digest: &Hash, signature: &Signature) -> bool {
        VerifyingKey::new(*key).is_ok_and(|key| signature::verify(&key, digest, signature).is_ok())
    }

    /// The verifier for another set of the same network.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] when a key of the set is unsafe or the set's scheme isn't supported.
    fn succeed(&self, set: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
        verifier(set)
    }
}

/// The verifier that a set's scheme asks for.
pub(crate) fn verifier(set: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
    match set.scheme {
        Scheme::Ed25519List => Ok(Box::new(Ed25519List::new(set)?)),
        Scheme::BlsAggregate => Ok(Box::new(BlsAggregate::new(set, &[])?)),
    }
}

/// Lists of Ed25519 signatures, checked in batches over decompressed keys.
#[derive(Debug)]
struct Ed25519List {
    keys: KeySet,
}

impl Ed25519List {
    fn new(set: &ValidatorSet) -> Result<Self, ValidatorSetError> {
        let check = |member: &crate::validator::Validator| {
            let key = member.public_key;
            VerifyingKey::validated(key).map_err(|error| ValidatorSetError::Key { key, error })
        };
        Ok(Self { keys: KeySet::new(set.members.iter().map(check).collect::<Result<_, _>>()?) })
    }
}

impl Verifier for Ed25519List {
    fn verify(&self, signed: &[Signed]) -> Result<(), Vec<usize>> {
        let entry = |signed: &Signed| match signed.signature {
            VoteSignature::Ed25519(signature) => (signed.position, signed.digest, signature),
            // Nobody's: at no position.
            VoteSignature::Bls(_) => (usize::MAX, signed.digest, Signature([0; 64])),
        };
        let batch: Vec<_> = signed.iter().map(entry).collect();
        self.keys.verify_batch(&batch).map_err(|error| error.indices().collect())
    }

    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        list::pack(packed, more)
    }

    fn verify_packed(
        &self,
        packed: Packed<'_>,
        known: Option<Packed<'_>>,
    ) -> Result<(), CertificateError> {
        let unknown = list::unknown(packed, known)?;
        self.keys.verify_batch(&unknown).map_err(|error| {
            CertificateError::Signatures(error.indices().map(|index| unknown[index].0).collect())
        })
    }
}

/// Lists of 64-byte signatures by position: what verifiers of such lists share.
pub mod list {
    use super::*;

    /// [`Verifier::pack`] for a list.
    pub fn pack(packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(packed.bytes.len() + 64 * more.len());
        let more = more.iter().filter_map(|(position, signature)| match signature {
            VoteSignature::Ed25519(signature) => Some((*position, signature.0)),
            VoteSignature::Bls(_) => None,
        });
        let mut more = more.peekable();
        for ((position, _), signature) in
            packed.signers.iter().zip(packed.bytes.as_chunks::<64>().0)
        {
            while let Some((_, more)) = more.next_if(|(other, _)| other < position) {
                bytes.extend_from_slice(&more);
            }
            bytes.extend_from_slice(signature);
        }
        more.for_each(|(_, more)| bytes.extend_from_slice(&more));
        bytes
    }

    /// What [`Verifier::verify_packed`] has to check of a list: position, digest and signature of all
    /// that `known` doesn't hold.
    ///
    /// # Errors
    ///
    /// [`CertificateError::SignatureCount`] when there isn't one signature for each signer.
    pub fn unknown(
        packed: Packed<'_>,
        known: Option<Packed<'_>>,
    ) -> Result<Vec<(usize, Hash, Signature)>, CertificateError> {
        let signers = packed.signers.len();
        if packed.bytes.len() != signers * 64 {
            return Err(CertificateError::SignatureCount { got: packed.bytes.len(), signers });
        }
        let mut known = known.into_iter().flat_map(entries).peekable();
        let mut unknown = Vec::with_capacity(signers);
        for entry in entries(packed) {
            while known.next_if(|known| known.0 < entry.0).is_some() {}
            if known.peek() != Some(&entry) {
                unknown.push(entry);
            }
        }
        Ok(unknown)
    }

    fn entries(packed: Packed<'_>) -> impl Iterator<Item = (usize, Hash, Signature)> {
        let signatures = packed.bytes.as_chunks::<64>().0;
        let entry = |(&(position, digest), &signature): (&(usize, Hash), &[u8; 64])| {
            (position, digest, Signature(signature))
        };
        packed.signers.iter().zip(signatures).map(entry)
    }
}
