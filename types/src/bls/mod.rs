//! BLS signatures over BLS12-381: many signatures of one message become one.
//!
//! The scheme is the proof-of-possession scheme of draft-irtf-cfrg-bls-signature with keys in G1 (48
//! bytes) and signatures in G2 (96 bytes), suite
//! `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`. What is signed is always a 32-byte digest that
//! names its [`Domain`](crate::hash::Domain).
//!
//! Two rules for keys, as with Ed25519. *Admitting* a key (a stake, the genesis) follows
//! [`BlsPublicKey::validate`], which asks for a proof of possession: without one, somebody who
//! announces `own key - victim's key` signs for both alone. *Reading* a key that was admitted before
//! follows [`BlsVerifyingKey::new`], which checks all but that.
//!
//! Points have one encoding each, lie in the subgroup of prime order and are never the identity: keys
//! and signatures that break this are refused before any equation is looked at.
//!
//! The curve is behind the feature `bls`. The bytes and every function of this module stay the same
//! without it; then keys, secret or public, can't be made and [`BlsUnavailable`] says why. The
//! feature brings `blst`, which needs a C compiler, and std except on targets that have none.
//!
//! Everything but signing is public data and takes variable time.

mod aggregate;
#[cfg(feature = "bls")]
mod curve;
#[cfg(not(feature = "bls"))]
#[path = "absent.rs"]
mod curve;
mod verifier;

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroize;

pub use self::aggregate::{BlsAggregateError, BlsKeys, verify_batch};
pub(crate) use self::verifier::BlsAggregate;
use crate::hash::Hash;
use crate::key::plain_bytes;

/// A BLS public key: 48 bytes that nobody has looked at yet, a point of G1. JSON: 96 lower-case hex
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlsPublicKey(pub [u8; 48]);

/// One BLS signature, or the sum of many: a point of G2. JSON: 192 lower-case hex digits.
///
/// A key has exactly one signature for a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlsSignature(pub [u8; 96]);

/// Proof that who announces a key holds its secret: a signature of the key itself, under a suite of
/// its own. JSON: 192 lower-case hex digits.
///
/// It names nobody: a copy of a key and its proof passes too, and its owner then votes as the
/// original's owner does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofOfPossession(pub [u8; 96]);

/// A key as it is announced: with the proof that its owner holds the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProvenKey {
    /// The key.
    pub key: BlsPublicKey,
    /// Of the key's owner.
    pub proof: ProofOfPossession,
}

impl ProvenKey {
    /// [`BlsPublicKey::validate`].
    ///
    /// # Errors
    ///
    /// [`BlsKeyError`], naming the first violation.
    pub fn validate(&self) -> Result<(), BlsKeyError> {
        self.key.validate(&self.proof)
    }
}

/// A public key, or the sum of several, with its point.
///
/// Two keys are equal when their bytes are.
#[derive(Clone, Copy)]
pub struct BlsVerifyingKey {
    bytes: BlsPublicKey,
    point: curve::Key,
}

/// A BLS secret key, wiped from memory when dropped.
///
/// It can't be cloned or serialized, and `Debug` shows the public key only.
///
/// ```
/// use pocket_types::bls::{BlsSecretKey, BlsVerifyingKey, verify};
/// use pocket_types::hash::Domain;
///
/// // 32 bytes from the host's secure generator.
/// let Ok(secret) = BlsSecretKey::from_seed([7; 32]) else {
///     assert!(!cfg!(feature = "bls"));
///     return Ok(());
/// };
/// let digest = Domain::custom("example.org v1 greeting").hash(b"hello");
/// let signature = secret.sign(&digest);
///
/// secret.public_key().validate(&secret.prove_possession())?;
/// let key = BlsVerifyingKey::new(secret.public_key())?;
/// assert_eq!(verify(&key, &digest, &signature), Ok(()));
/// # Ok::<(), pocket_types::bls::BlsKeyError>(())
/// ```
///
/// ```compile_fail,E0599
/// use pocket_types::bls::BlsSecretKey;
/// // Whoever holds the secret holds the only one.
/// let copy = BlsSecretKey::from_seed([7; 32]).unwrap().clone();
/// ```
pub struct BlsSecretKey {
    secret: curve::Secret,
    public: BlsPublicKey,
}

/// The program was built without the curve. Whoever chose its features is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("BLS signatures need pocket-types with the feature `bls`")]
pub struct BlsUnavailable;

/// Why a public key is refused. Whoever supplied the key is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BlsKeyError {
    /// Nothing was looked at.
    #[error(transparent)]
    Unavailable(#[from] BlsUnavailable),
    /// Not the canonical, compressed encoding of anything.
    #[error("key {0} is not the canonical encoding of a point")]
    Encoding(BlsPublicKey),
    /// No point of the curve has this x coordinate.
    #[error("key {0} is not a point of the curve")]
    NotOnCurve(BlsPublicKey),
    /// The point is the neutral element, for which anybody can sign.
    #[error("key {0} is the identity")]
    Identity(BlsPublicKey),
    /// The point lies outside the subgroup of prime order.
    #[error("key {0} is outside the subgroup of prime order")]
    Subgroup(BlsPublicKey),
    /// The proof doesn't show that its sender holds the key's secret.
    #[error("the proof shows no possession of key {0}")]
    Possession(BlsPublicKey),
}

/// Why a signature is refused. Whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BlsSignatureError {
    /// Nothing was looked at.
    #[error(transparent)]
    Unavailable(#[from] BlsUnavailable),
    /// Not the canonical, compressed encoding of anything.
    #[error("signature {0} is not the canonical encoding of a point")]
    Encoding(BlsSignature),
    /// No point of the curve has this x coordinate.
    #[error("signature {0} is not a point of the curve")]
    NotOnCurve(BlsSignature),
    /// The point is the neutral element, which no key signs with.
    #[error("signature {0} is the identity")]
    Identity(BlsSignature),
    /// The point lies outside the subgroup of prime order.
    #[error("signature {0} is outside the subgroup of prime order")]
    Subgroup(BlsSignature),
    /// Well-formed, but not the signature of this digest by this key, which for an aggregate is the
    /// sum of the signers' keys.
    #[error("the signature is not by key {0} over this digest")]
    Mismatch(BlsPublicKey),
}

/// Checks one signature of a digest, or one aggregate under the sum of its signers' keys
/// ([`BlsKeys::sum`]).
///
/// # Errors
///
/// [`BlsSignatureError`] when the signature is malformed or doesn't match.
pub fn verify(
    key: &BlsVerifyingKey,
    digest: &Hash,
    signature: &BlsSignature,
) -> Result<(), BlsSignatureError> {
    let point = signature.point()?;
    if curve::holds(&key.point, digest.as_bytes(), SIGNATURE_SUITE, &point) {
        Ok(())
    } else {
        Err(BlsSignatureError::Mismatch(key.bytes))
    }
}

impl BlsPublicKey {
    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// The rule for every key that enters state: the canonical encoding of a point of the subgroup
    /// that isn't the identity (KeyValidate, section 2.5 of the draft), announced by somebody who
    /// holds its secret (PopVerify, section 3.3.3).
    ///
    /// It costs about as much as checking two signatures, once per key.
    ///
    /// # Errors
    ///
    /// [`BlsKeyError`], naming the first violation.
    pub fn validate(&self, proof: &ProofOfPossession) -> Result<(), BlsKeyError> {
        let key = BlsVerifyingKey::new(*self)?;
        let proven = curve::signature(&proof.0)
            .is_ok_and(|point| curve::holds(&key.point, &self.0, POSSESSION_SUITE, &point));
        if proven { Ok(()) } else { Err(BlsKeyError::Possession(*self)) }
    }
}

impl BlsSignature {
    /// The signature's bytes.
    pub const fn as_bytes(&self) -> &[u8; 96] {
        &self.0
    }

    /// The sum of signatures that were checked before, aggregates among them. None without any, or when
    /// they cancel each other out.
    pub fn sum(signatures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let bytes = signatures.into_iter().map(|signature| signature.0);
        curve::summed_bytes(bytes).map(Self)
    }

    fn point(&self) -> Result<curve::SignaturePoint, BlsSignatureError> {
        curve::signature(&self.0).map_err(|fault| match fault {
            Fault::Unavailable => BlsUnavailable.into(),
            Fault::Encoding => BlsSignatureError::Encoding(*self),
            Fault::NotOnCurve => BlsSignatureError::NotOnCurve(*self),
            Fault::Identity => BlsSignatureError::Identity(*self),
            Fault::Subgroup => BlsSignatureError::Subgroup(*self),
        })
    }
}

impl ProofOfPossession {
    /// The proof's bytes.
    pub const fn as_bytes(&self) -> &[u8; 96] {
        &self.0
    }
}

impl BlsVerifyingKey {
    /// Decompresses and checks a key that was admitted before, proof of possession included
    /// ([`BlsPublicKey::validate`]). For any other key an aggregate proves nothing.
    ///
    /// # Errors
    ///
    /// [`BlsKeyError`], but never [`BlsKeyError::Possession`].
    pub fn new(key: BlsPublicKey) -> Result<Self, BlsKeyError> {
        let point = curve::key(&key.0).map_err(|fault| match fault {
            Fault::Unavailable => BlsUnavailable.into(),
            Fault::Encoding => BlsKeyError::Encoding(key),
            Fault::NotOnCurve => BlsKeyError::NotOnCurve(key),
            Fault::Identity => BlsKeyError::Identity(key),
            Fault::Subgroup => BlsKeyError::Subgroup(key),
        })?;
        Ok(Self { bytes: key, point })
    }

    /// The key's bytes.
    pub const fn public_key(&self) -> BlsPublicKey {
        self.bytes
    }
}

impl BlsSecretKey {
    /// The key of a seed (KeyGen, section 2.3 of the draft): 32 bytes from the host's secure
    /// generator or key store.
    ///
    /// This function wipes its own copy of the seed; the caller wipes the caller's.
    ///
    /// # Errors
    ///
    /// [`BlsUnavailable`] without the feature `bls`, and never with it.
    pub fn from_seed(mut seed: [u8; 32]) -> Result<Self, BlsUnavailable> {
        let secret = curve::secret(&seed);
        seed.zeroize();
        let secret = secret?;
        let public = BlsPublicKey(curve::public_key(&secret));
        Ok(Self { secret, public })
    }

    /// The public half. With [`prove_possession`](Self::prove_possession) it always passes
    /// [`BlsPublicKey::validate`].
    pub const fn public_key(&self) -> BlsPublicKey {
        self.public
    }

    /// Shows that this secret's owner announces the public key (PopProve, section 3.3.2).
    pub fn prove_possession(&self) -> ProofOfPossession {
        ProofOfPossession(curve::sign(&self.secret, &self.public.0, POSSESSION_SUITE))
    }

    /// The public half with its proof: what its owner announces.
    pub fn proven_key(&self) -> ProvenKey {
        ProvenKey { key: self.public, proof: self.prove_possession() }
    }

    /// Signs a digest, which says by its [`Domain`](crate::hash::Domain) what is being signed.
    ///
    /// Deterministic; the secret parts take constant time.
    pub fn sign(&self, digest: &Hash) -> BlsSignature {
        BlsSignature(curve::sign(&self.secret, digest.as_bytes(), SIGNATURE_SUITE))
    }
}

impl PartialEq for BlsVerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for BlsVerifyingKey {}

impl fmt::Debug for BlsVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsVerifyingKey({})", self.bytes)
    }
}

impl fmt::Debug for BlsSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsSecretKey(of {})", self.public)
    }
}

plain_bytes!(BlsPublicKey BlsSignature ProofOfPossession);

/// What is wrong with the bytes of a point.
#[cfg_attr(not(feature = "bls"), expect(dead_code, reason = "the curve finds the other faults"))]
enum Fault {
    #[cfg_attr(feature = "bls", expect(dead_code, reason = "the curve is there"))]
    Unavailable,
    Encoding,
    NotOnCurve,
    Identity,
    Subgroup,
}

/// Section 4.2.3 of the draft.
const SIGNATURE_SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const POSSESSION_SUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
