//! Ed25519 keys and signatures as bytes, and the rule for keys that enter state.
//!
//! Two strictnesses, on purpose. *Checking* a signature follows ZIP-215 ([`crate::signature`]),
//! which decodes keys leniently so that single and batch checks agree for every input. *Admitting* a
//! key (a stake, the genesis, a ring) follows [`PublicKey::validate`], because ZIP-215 alone would
//! accept keys for which anybody can sign.
//!
//! Keys of the beacon's verifiable random function are separate: [`crate::vrf`].

use core::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::{Signer, SigningKey};
use thiserror::Error;
use zeroize::Zeroize;

use crate::hash::Hash;

/// An Ed25519 public key: 32 bytes that nobody has looked at yet. JSON: 64 lower-case hex digits.
///
/// Call [`validate`](Self::validate) before such a key enters state; make a [`VerifyingKey`] to
/// check signatures with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature: the point R, then the scalar S. JSON: 128 lower-case hex digits.
///
/// One message can have several valid signatures of one key, so nothing may be identified by a
/// signature's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

/// A public key with its point, so that many signatures of one key cost one decompression.
///
/// Decoding is ZIP-215's: y is taken modulo p and x = 0 may carry either sign. Two keys are equal
/// when their bytes are.
#[derive(Clone, Copy)]
pub struct VerifyingKey {
    bytes: PublicKey,
    minus_point: EdwardsPoint,
}

/// An Ed25519 secret key, wiped from memory when dropped.
///
/// It can't be cloned or serialized, and `Debug` shows the public key only.
///
/// ```
/// use pocket_types::hash::Domain;
/// use pocket_types::key::{SecretKey, VerifyingKey};
/// use pocket_types::signature::verify;
///
/// let secret = SecretKey::from_seed([7; 32]); // 32 bytes from the host's secure generator
/// let digest = Domain::custom("example.org v1 greeting").hash(b"hello");
/// let signature = secret.sign(&digest);
///
/// secret.public_key().validate()?;
/// let key = VerifyingKey::new(secret.public_key())?;
/// assert_eq!(verify(&key, &digest, &signature), Ok(()));
/// # Ok::<(), pocket_types::key::KeyError>(())
/// ```
///
/// ```compile_fail,E0599
/// use pocket_types::key::SecretKey;
/// // Whoever holds the secret holds the only one.
/// let copy = SecretKey::from_seed([7; 32]).clone();
/// ```
pub struct SecretKey(SigningKey);

/// Why a public key is refused. Whoever supplied the key is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No point of the curve has this y coordinate.
    #[error("key {0} is not a point of the curve")]
    NotOnCurve(PublicKey),
    /// The point has another, canonical encoding.
    #[error("key {received} is not canonical; the point's encoding is {expected}")]
    NotCanonical {
        /// The one encoding that RFC 8032 gives this point.
        expected: PublicKey,
        /// The encoding that was supplied.
        received: PublicKey,
    },
    /// The point is the neutral element, for which anybody can sign.
    #[error("key {0} is the identity")]
    Identity(PublicKey),
    /// The point lies outside the subgroup of prime order.
    #[error("key {0} has a component of small order")]
    Torsion(PublicKey),
}

impl PublicKey {
    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The rule for every key that enters state: the canonical encoding of a point of prime order.
    ///
    /// It costs about as much as checking a signature, once per key.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the first of: not on the curve, not canonical, the identity, torsion.
    ///
    /// ```
    /// use pocket_types::key::{KeyError, PublicKey};
    ///
    /// let mut identity = PublicKey([0; 32]);
    /// identity.0[0] = 1;
    /// assert_eq!(identity.validate(), Err(KeyError::Identity(identity)));
    /// ```
    pub fn validate(&self) -> Result<(), KeyError> {
        self.validated_point().map(|_| ())
    }

    /// The point of a key that passes [`validate`](Self::validate).
    pub(crate) fn validated_point(self) -> Result<EdwardsPoint, KeyError> {
        let point = decompress(&self.0).ok_or(KeyError::NotOnCurve(self))?;
        let expected = Self(point.compress().to_bytes());
        if expected != self {
            return Err(KeyError::NotCanonical { expected, received: self });
        }
        if point.is_identity() {
            return Err(KeyError::Identity(self));
        }
        if !point.is_torsion_free() {
            return Err(KeyError::Torsion(self));
        }
        Ok(point)
    }
}

impl Signature {
    /// The signature's bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// R and S, undecoded.
    pub(crate) fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (mut point, mut scalar) = ([0; 32], [0; 32]);
        point.copy_from_slice(&self.0[..32]);
        scalar.copy_from_slice(&self.0[32..]);
        (point, scalar)
    }
}

impl VerifyingKey {
    /// Decompresses a key as ZIP-215 does. This admits keys that [`PublicKey::validate`] refuses;
    /// keys read from state have passed it already.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotOnCurve`] and no other.
    pub fn new(key: PublicKey) -> Result<Self, KeyError> {
        let point = decompress(&key.0).ok_or(KeyError::NotOnCurve(key))?;
        Ok(Self { bytes: key, minus_point: -point })
    }

    /// A key that passes [`PublicKey::validate`].
    pub(crate) fn validated(key: PublicKey) -> Result<Self, KeyError> {
        Ok(Self { bytes: key, minus_point: -key.validated_point()? })
    }

    /// The key's bytes, exactly as given.
    pub const fn public_key(&self) -> PublicKey {
        self.bytes
    }

    /// The negated point: checking a signature subtracts.
    pub(crate) const fn minus_point(&self) -> &EdwardsPoint {
        &self.minus_point
    }
}

impl SecretKey {
    /// The key of an RFC 8032 seed: 32 bytes from the host's secure generator or key store.
    ///
    /// This function wipes its own copy of the seed; the caller wipes the caller's.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let secret = Self(SigningKey::from_bytes(&seed));
        seed.zeroize();
        secret
    }

    /// The public half. It always passes [`PublicKey::validate`].
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a digest, which says by its [`Domain`](crate::hash::Domain) what is being signed.
    ///
    /// Deterministic (RFC 8032) and constant-time: no generator is needed and none can fail.
    pub fn sign(&self, digest: &Hash) -> Signature {
        Signature(self.0.sign(digest.as_bytes()).to_bytes())
    }
}

/// ZIP-215's reading of a point: any y, reduced modulo p, that is on the curve.
pub(crate) fn decompress(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes).decompress()
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}

/// Hex for people, [`crate::codec::array`] for serde: what all byte newtypes of this crate do.
macro_rules! plain_bytes {
    ($($name:ident)*) => {$(
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::codec::array::serialize(&self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::codec::array::deserialize(deserializer).map(Self)
            }
        }
    )*};
}
pub(crate) use plain_bytes;

plain_bytes!(PublicKey Signature);

#[cfg(test)]
mod tests {
    use alloc::format;

    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    /// y + p, for the points whose y leaves room for it in 255 bits.
    fn plus_p(y: u8) -> PublicKey {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + y;
        bytes[31] = 0x7f;
        PublicKey(bytes)
    }

    #[test]
    fn every_reason_to_refuse_a_key_has_its_name() {
        let mixed = PublicKey((ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes());
        assert_eq!(mixed.validate(), Err(KeyError::Torsion(mixed)));
        let order_two = PublicKey(EIGHT_TORSION[4].compress().to_bytes());
        assert_eq!(order_two.validate(), Err(KeyError::Torsion(order_two)));

        let mut identity = PublicKey([0; 32]);
        identity.0[0] = 1;
        assert_eq!(identity.validate(), Err(KeyError::Identity(identity)));
        let received = plus_p(1);
        let refused = Err(KeyError::NotCanonical { expected: identity, received });
        assert_eq!(received.validate(), refused);
        let mut received = identity;
        received.0[31] |= 0x80;
        let refused = Err(KeyError::NotCanonical { expected: identity, received });
        assert_eq!(received.validate(), refused);

        let off = PublicKey({
            let mut bytes = [0; 32];
            bytes[0] = 2;
            bytes
        });
        assert_eq!(off.validate(), Err(KeyError::NotOnCurve(off)));
        assert_eq!(VerifyingKey::new(off), Err(KeyError::NotOnCurve(off)));
    }

    #[test]
    fn checking_decodes_what_state_refuses() {
        let key = VerifyingKey::new(plus_p(1)).unwrap();
        assert_eq!(key.public_key(), plus_p(1));
        assert_ne!(key, VerifyingKey::new(PublicKey([0; 32])).unwrap());
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let secret = SecretKey::from_seed([0xab; 32]);
        let shown = format!("{secret:?}");
        assert!(shown.contains(&format!("{}", secret.public_key())) && !shown.contains("abab"));
    }
}
