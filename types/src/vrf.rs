//! The verifiable random function behind the beacon: ECVRF-EDWARDS25519-SHA512-TAI of RFC 9381.
//!
//! The owner of a key can compute exactly one output for an input, and a proof that anybody can
//! check; nobody else can tell the output from a random one before. Mapping inputs to the curve by
//! try-and-increment takes a time that depends on the input, which is fine here because every input
//! of the protocol is public.
//!
//! A proof's bytes are not unique, the output is: seeds and ids hash the output.

use core::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::key::{KeyError, PublicKey, plain_bytes};

/// A public key of the random function. JSON: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfPublicKey(pub [u8; 32]);

/// What convinces others of an output: the point Gamma, the challenge c (16 bytes) and the scalar s.
/// JSON: 160 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfProof(pub [u8; 80]);

/// The output, beta in the RFC: 64 bytes that look random to all who haven't seen the proof. JSON:
/// 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfOutput(pub [u8; 64]);

/// A secret key of the random function, wiped from memory when dropped.
///
/// It can't be cloned or serialized, and `Debug` shows the public key only.
///
/// ```
/// use pocket_types::vrf::VrfSecret;
///
/// let secret = VrfSecret::from_seed([7; 32]); // 32 bytes from the host's secure generator
/// let (proof, output) = secret.prove(b"height 1");
///
/// assert_eq!(secret.public_key().verify(b"height 1", &proof), Ok(output));
/// assert!(secret.public_key().verify(b"height 2", &proof).is_err());
/// ```
///
/// ```compile_fail,E0599
/// use pocket_types::vrf::VrfSecret;
/// // Whoever holds the secret holds the only one.
/// let copy = VrfSecret::from_seed([7; 32]).clone();
/// ```
#[derive(ZeroizeOnDrop)]
pub struct VrfSecret {
    scalar: Scalar,
    nonce_prefix: [u8; 32],
    #[zeroize(skip)]
    public: VrfPublicKey,
}

/// Why a proof is refused. Whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum VrfError {
    /// The public key is not one that may enter state.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Gamma is not the canonical encoding of a point of the curve.
    #[error("Gamma of proof {0} is not the canonical encoding of a point")]
    Gamma(VrfProof),
    /// s is not below the group's order.
    #[error("s of proof {0} is not below the order of the group")]
    ScalarTooLarge(VrfProof),
    /// The input maps to no point, for which the chance is 2^-256.
    #[error("the input maps to no point of the curve for key {0}")]
    Input(VrfPublicKey),
    /// Well-formed, but not this key's proof for this input.
    #[error("proof {proof} is not by key {key} for this input")]
    Mismatch {
        /// The key that should have made the proof.
        key: VrfPublicKey,
        /// The proof received.
        proof: VrfProof,
    },
}

impl VrfPublicKey {
    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The rule for keys that enter state, [`PublicKey::validate`]. It includes the key validation
    /// of RFC 9381, section 5.4.5, and goes beyond it: keys with a component of small order, which
    /// the RFC leaves alone, are refused too.
    ///
    /// # Errors
    ///
    /// [`KeyError`] with the reason.
    pub fn validate(&self) -> Result<(), KeyError> {
        PublicKey(self.0).validate()
    }

    /// Checks a proof for an input and gives the output (RFC 9381, section 5.3, with
    /// [`validate`](Self::validate) as its key validation).
    ///
    /// # Errors
    ///
    /// [`VrfError`] when the key is refused or the proof isn't one.
    pub fn verify(&self, alpha: &[u8], proof: &VrfProof) -> Result<VrfOutput, VrfError> {
        let Decoded { gamma, c, s } = proof.decode()?;
        let y = PublicKey(self.0).validated_point()?;
        let h = encode_to_curve(self, alpha).ok_or(VrfError::Input(*self))?;
        let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&c.negated(), &y, &s);
        let v = EdwardsPoint::vartime_multiscalar_mul([s, c.negated()], [h, gamma]);
        if challenge(self, &h, &gamma, &u, &v) != c {
            return Err(VrfError::Mismatch { key: *self, proof: *proof });
        }
        Ok(output(&gamma))
    }
}

impl VrfProof {
    /// The proof's bytes.
    pub const fn as_bytes(&self) -> &[u8; 80] {
        &self.0
    }

    fn encode(gamma: &EdwardsPoint, c: &Challenge, s: &Scalar) -> Self {
        let mut bytes = [0; 80];
        bytes[..32].copy_from_slice(gamma.compress().as_bytes());
        bytes[32..48].copy_from_slice(&c.0);
        bytes[48..].copy_from_slice(s.as_bytes());
        Self(bytes)
    }

    /// RFC 9381, section 5.4.4.
    fn decode(&self) -> Result<Decoded, VrfError> {
        let (mut gamma, mut c, mut s) = ([0; 32], [0; 16], [0; 32]);
        gamma.copy_from_slice(&self.0[..32]);
        c.copy_from_slice(&self.0[32..48]);
        s.copy_from_slice(&self.0[48..]);
        // The cheaper check first.
        let s =
            Option::from(Scalar::from_canonical_bytes(s)).ok_or(VrfError::ScalarTooLarge(*self))?;
        let gamma = string_to_point(gamma).ok_or(VrfError::Gamma(*self))?;
        Ok(Decoded { gamma, c: Challenge(c), s })
    }
}

impl VrfOutput {
    /// The output's bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl VrfSecret {
    /// The key of a seed: 32 bytes from the host's secure generator or key store.
    ///
    /// The seed must belong to this key alone. An Ed25519 key of the same seed would share the
    /// secret scalar and the source of nonces, and a nonce used twice reveals the key.
    ///
    /// This function wipes its own copy of the seed; the caller wipes the caller's.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let mut hashed: [u8; 64] = Sha512::digest(seed).into();
        seed.zeroize();
        let (mut clamped, mut nonce_prefix) = ([0; 32], [0; 32]);
        clamped.copy_from_slice(&hashed[..32]);
        nonce_prefix.copy_from_slice(&hashed[32..]);
        hashed.zeroize();
        clamped = clamp_integer(clamped);
        // Reducing is harmless: the scalar only ever multiplies points of prime order.
        let scalar = Scalar::from_bytes_mod_order(clamped);
        clamped.zeroize();
        let public = VrfPublicKey(EdwardsPoint::mul_base(&scalar).compress().to_bytes());
        Self { scalar, nonce_prefix, public }
    }

    /// The public half. It always passes [`VrfPublicKey::validate`].
    pub const fn public_key(&self) -> VrfPublicKey {
        self.public
    }

    /// The output for an input, and its proof (RFC 9381, section 5.1). Deterministic; the secret
    /// parts take constant time, the input doesn't.
    ///
    /// # Panics
    ///
    /// Never in practice: one in 2^256 inputs maps to no point, and there is no way to look for one
    /// that beats trying.
    pub fn prove(&self, alpha: &[u8]) -> (VrfProof, VrfOutput) {
        let h = encode_to_curve(&self.public, alpha)
            .expect("256 independent tries, each good with a chance of one half, can't all fail");
        let gamma = h * self.scalar;
        let mut k = self.nonce(&h);
        let c = challenge(&self.public, &h, &gamma, &EdwardsPoint::mul_base(&k), &(h * k));
        let s = k + c.scalar() * self.scalar;
        k.zeroize();
        (VrfProof::encode(&gamma, &c, &s), output(&gamma))
    }

    /// RFC 9381, section 5.4.2.2.
    fn nonce(&self, h: &EdwardsPoint) -> Scalar {
        let mut wide: [u8; 64] = Sha512::new()
            .chain_update(self.nonce_prefix)
            .chain_update(h.compress().as_bytes())
            .finalize()
            .into();
        let nonce = Scalar::from_bytes_mod_order_wide(&wide);
        wide.zeroize();
        nonce
    }
}

impl fmt::Debug for VrfSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfSecret(of {})", self.public)
    }
}

plain_bytes!(VrfPublicKey VrfProof VrfOutput);

struct Decoded {
    gamma: EdwardsPoint,
    c: Challenge,
    s: Scalar,
}

#[derive(PartialEq, Eq)]
struct Challenge([u8; 16]);

impl Challenge {
    fn scalar(&self) -> Scalar {
        Scalar::from(u128::from_le_bytes(self.0))
    }

    fn negated(&self) -> Scalar {
        -self.scalar()
    }
}

/// RFC 9381, section 5.4.1.1, salted with the public key. None after 256 failures.
fn encode_to_curve(key: &VrfPublicKey, alpha: &[u8]) -> Option<EdwardsPoint> {
    let prefix = Sha512::new()
        .chain_update([SUITE, ENCODE_TO_CURVE])
        .chain_update(key.as_bytes())
        .chain_update(alpha);
    (0..=u8::MAX).find_map(|counter| {
        let hash = prefix.clone().chain_update([counter, BACK]).finalize();
        let mut candidate = [0; 32];
        candidate.copy_from_slice(&hash[..32]);
        let point = string_to_point(candidate)?.mul_by_cofactor();
        (!point.is_identity()).then_some(point)
    })
}

/// RFC 9381, section 5.4.3. The key's bytes stand for its point: both callers know that they are its
/// encoding.
fn challenge(
    key: &VrfPublicKey,
    h: &EdwardsPoint,
    gamma: &EdwardsPoint,
    u: &EdwardsPoint,
    v: &EdwardsPoint,
) -> Challenge {
    let mut hash = Sha512::new().chain_update([SUITE, CHALLENGE]).chain_update(key.as_bytes());
    for point in EdwardsPoint::compress_batch(&[*h, *gamma, *u, *v]) {
        hash.update(point.as_bytes());
    }
    let hash = hash.chain_update([BACK]).finalize();
    let mut challenge = [0; 16];
    challenge.copy_from_slice(&hash[..16]);
    Challenge(challenge)
}

/// RFC 9381, section 5.2: the factor 8 gives one output to all of a proof's spellings.
fn output(gamma: &EdwardsPoint) -> VrfOutput {
    let hash = Sha512::new()
        .chain_update([SUITE, PROOF_TO_HASH])
        .chain_update(gamma.mul_by_cofactor().compress().as_bytes())
        .chain_update([BACK])
        .finalize();
    VrfOutput(hash.into())
}

/// A point from its canonical encoding only (RFC 8032, section 5.1.3).
fn string_to_point(bytes: [u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(bytes).decompress()?;
    (point.compress().to_bytes() == bytes).then_some(point)
}

/// RFC 9381, section 5.5: the suite, and the separators in front of and behind what is hashed.
const SUITE: u8 = 3;
const ENCODE_TO_CURVE: u8 = 1;
const CHALLENGE: u8 = 2;
const PROOF_TO_HASH: u8 = 3;
const BACK: u8 = 0;
