//! The one rule by which the protocol checks signatures: ZIP-215, single and in batches.
//!
//! A signature (R, S) of a message M under a key A is valid when A and R decode to points of the
//! curve (y modulo p, either sign for x = 0), S is below the group's order, and
//! `8 S B = 8 R + 8 k A` with `k = SHA-512(R, A, M)` over the bytes as they were sent.
//!
//! Ed25519 checks that disagree on crafted keys split chains: a node that batches would accept a
//! block that its neighbour, which doesn't, refuses. The factor 8 is what makes one signature and a
//! batch of them agree for *every* input, so nothing else in this workspace checks a signature.
//!
//! Everything here is public data and takes variable time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{EdwardsPoint, VartimeEdwardsPrecomputation};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{VartimeMultiscalarMul, VartimePrecomputedMultiscalarMul};
use sha2::{Digest, Sha512};
use thiserror::Error;

use crate::hash::{Domain, Hash, Words};
use crate::key::{PublicKey, Signature, VerifyingKey, decompress};
use crate::trap;

/// Checks one signature of a digest.
///
/// # Errors
///
/// [`SignatureError`] when the rule of the [module](self) is broken.
pub fn verify(
    key: &VerifyingKey,
    digest: &Hash,
    signature: &Signature,
) -> Result<(), SignatureError> {
    Equation::new(key, digest, signature)?.check()
}

/// Checks many signatures, each of a digest of its own, in half the time per signature or less from
/// eight on. It accepts exactly when [`verify`] accepts every one, but for a chance of 2^-128 that
/// nobody can improve except by trying; a batch without signatures is valid. Signatures of one key
/// share the key's part of the work.
///
/// # Errors
///
/// [`BatchError`] names every signature that [`verify`] refuses. They are found one by one, since
/// bisecting costs more than that as soon as a sender spoils several signatures: beyond the batch
/// itself, the work is at most one single check per signature, whatever was sent. Work and memory
/// grow with the batch, whose length is the caller's to bound.
///
/// ```
/// use pocket_types::hash::Domain;
/// use pocket_types::key::{SecretKey, VerifyingKey};
/// use pocket_types::signature::verify_batch;
///
/// let secrets = [SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32])];
/// let keys = [
///     VerifyingKey::new(secrets[0].public_key())?,
///     VerifyingKey::new(secrets[1].public_key())?,
/// ];
/// let digest = Domain::custom("example.org v1 vote").hash(b"yes");
/// let mut batch = [
///     (&keys[0], digest, secrets[0].sign(&digest)),
///     (&keys[1], digest, secrets[1].sign(&digest)),
/// ];
/// assert_eq!(verify_batch(&batch), Ok(()));
///
/// batch[1].2 = batch[0].2;
/// let refused = verify_batch(&batch).unwrap_err();
/// assert_eq!(refused.indices().collect::<Vec<_>>(), [1]);
/// # Ok::<(), pocket_types::key::KeyError>(())
/// ```
pub fn verify_batch(items: &[(&VerifyingKey, Hash, Signature)]) -> Result<(), BatchError> {
    let equation = |index: usize| {
        let (key, digest, signature) = &items[index];
        Equation::new(key, digest, signature)
    };
    verify_all(items.len(), equation, combination_holds)
}

/// The keys of a set, each known by its position, and for small sets tables of their multiples, by
/// which checking a batch takes a sixth less time.
///
/// The tables of a key take 10 KiB, and a fifth of the time that validating the key takes
/// ([`PublicKey::validate`]): they pay from the third certificate on. They are made with the set, for
/// up to [`MAX_TABLES`] keys. Quorums of larger sets are combined in another way, which gains nothing
/// by them.
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    /// Multiples of the base point, then of each key's negated point.
    tables: Option<VartimeEdwardsPrecomputation>,
}

impl KeySet {
    /// Keys by position.
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        let points = keys.iter().map(VerifyingKey::minus_point);
        let tables = (keys.len() <= MAX_TABLES).then(|| {
            VartimeEdwardsPrecomputation::new([&ED25519_BASEPOINT_POINT].into_iter().chain(points))
        });
        Self { keys, tables }
    }

    /// The key at a position.
    pub fn get(&self, position: usize) -> Option<&VerifyingKey> {
        self.keys.get(position)
    }

    /// [`verify_batch`] for signatures by keys of this set, given by position. The verdict is the same
    /// for every input; a position without a key has signed nothing.
    ///
    /// # Errors
    ///
    /// As [`verify_batch`].
    pub fn verify_batch(&self, items: &[(usize, Hash, Signature)]) -> Result<(), BatchError> {
        let equation = |index: usize| {
            let (position, digest, signature) = &items[index];
            let Some(key) = self.get(*position) else {
                return Err(SignatureError::NoKey(*position));
            };
            Equation::new(key, digest, signature)
        };
        verify_all(items.len(), equation, |equations| match &self.tables {
            // Whoever has not signed costs little, but a few signatures don't pay for all of them.
            Some(tables) if equations.len() * ABSENTEES >= self.keys.len() => {
                let position = |index: usize| items[index].0;
                combination_holds_by(tables, self.keys.len(), equations, position)
            }
            _ => combination_holds(equations),
        })
    }
}

/// The most keys of a [`KeySet`] that have tables.
pub const MAX_TABLES: usize = 200;

/// How many keys that have not signed cost as much as tables gain for one that has.
const ABSENTEES: usize = 4;

/// Checks equations, together if `combination` holds, and one by one if it doesn't.
fn verify_all<'a>(
    count: usize,
    equation: impl Fn(usize) -> Result<Equation<'a>, SignatureError>,
    combination: impl Fn(&[(usize, Equation<'a>)]) -> bool,
) -> Result<(), BatchError> {
    let mut equations = Vec::with_capacity(count);
    let mut refused = Vec::new();
    for index in 0..count {
        match equation(index) {
            Ok(equation) => equations.push((index, equation)),
            Err(reason) => refused.push((index, reason)),
        }
    }
    // For one signature the combination is only a detour.
    if equations.len() == 1 || !combination(&equations) {
        for (index, equation) in &equations {
            if let Err(reason) = equation.check() {
                refused.push((*index, reason));
            }
        }
        refused.sort_unstable_by_key(|(index, _)| *index);
    }
    if refused.is_empty() { Ok(()) } else { Err(BatchError { refused, checked: count }) }
}

/// Why a signature is refused. Whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The first half is not a point of the curve.
    #[error("the R of signature {0} is not a point of the curve")]
    PointNotOnCurve(Signature),
    /// The second half is not below the group's order, so it would be one of several spellings.
    #[error("the S of signature {0} is not below the order of the group")]
    ScalarTooLarge(Signature),
    /// Well-formed, but not this key's signature of this digest.
    #[error("signature {signature} is not by key {key} over this digest")]
    Mismatch {
        /// The key that should have signed.
        key: PublicKey,
        /// The signature received.
        signature: Signature,
    },
    /// Nobody stands at this position of the set.
    #[error("no key at position {0}")]
    NoKey(usize),
}

/// The signatures of a batch that are invalid: all of them, and no others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchError {
    /// In increasing order of the index; never empty.
    refused: Vec<(usize, SignatureError)>,
    checked: usize,
}

impl BatchError {
    /// Positions in the batch of the invalid signatures, in increasing order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.refused.iter().map(|(index, _)| *index)
    }

    /// Positions with the reason for each, in increasing order.
    pub fn refused(&self) -> &[(usize, SignatureError)] {
        &self.refused
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} signatures refused", self.refused.len(), self.checked)?;
        match self.refused.first() {
            Some((index, reason)) => write!(f, ", the first at {index}: {reason}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for BatchError {}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.tables.is_some();
        f.debug_struct("KeySet").field("keys", &self.keys).field("tables", &tables).finish()
    }
}

/// `8 S B = 8 R + 8 k A`, decoded.
struct Equation<'a> {
    key: &'a VerifyingKey,
    digest: &'a Hash,
    signature: &'a Signature,
    minus_r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl<'a> Equation<'a> {
    fn new(
        key: &'a VerifyingKey,
        digest: &'a Hash,
        signature: &'a Signature,
    ) -> Result<Self, SignatureError> {
        let (r, s) = signature.halves();
        // The cheaper check first.
        let s = Option::from(Scalar::from_canonical_bytes(s))
            .or_else(|| trap!("malleable").then(|| Scalar::from_bytes_mod_order(s)))
            .ok_or(SignatureError::ScalarTooLarge(*signature))?;
        let point = decompress(&r).ok_or(SignatureError::PointNotOnCurve(*signature))?;
        let hash = Sha512::new()
            .chain_update(r)
            .chain_update(key.public_key().as_bytes())
            .chain_update(digest.as_bytes());
        Ok(Self { key, digest, signature, minus_r: -point, s, k: Scalar::from_hash(hash) })
    }

    fn check(&self) -> Result<(), SignatureError> {
        let s_b_minus_k_a = EdwardsPoint::vartime_double_scalar_mul_basepoint(
            &self.k,
            self.key.minus_point(),
            &self.s,
        );
        // Small order is what eight times a point being the identity means.
        if (s_b_minus_k_a + self.minus_r).is_small_order() {
            return Ok(());
        }
        let key = self.key.public_key();
        Err(SignatureError::Mismatch { key, signature: *self.signature })
    }
}

/// Whether a random combination of the equations holds. True if all of them hold; if one doesn't,
/// false but for a chance of 2^-128.
///
/// The equations are combined before the factor 8, which wipes out whatever reducing the
/// coefficients modulo the group's order did to points of small order.
fn combination_holds(equations: &[(usize, Equation<'_>)]) -> bool {
    let mut by_key = BTreeMap::<PublicKey, (Scalar, &EdwardsPoint)>::new();
    let (base, mut scalars, mut points) = combine(equations, |_, key, scalar| {
        let minus_a = key.minus_point();
        by_key.entry(key.public_key()).or_insert((Scalar::ZERO, minus_a)).0 += scalar;
    });
    for (scalar, minus_a) in by_key.into_values() {
        scalars.push(scalar);
        points.push(minus_a);
    }
    scalars.push(base);
    points.push(&ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).is_small_order()
}

/// [`combination_holds`] by the tables of a [`KeySet`]; `position` gives the place in the set of an
/// equation's key.
fn combination_holds_by(
    tables: &VartimeEdwardsPrecomputation,
    keys: usize,
    equations: &[(usize, Equation<'_>)],
    position: impl Fn(usize) -> usize,
) -> bool {
    let mut fixed = alloc::vec![Scalar::ZERO; 1 + keys];
    let (base, scalars, points) =
        combine(equations, |index, _, scalar| fixed[1 + position(index)] += scalar);
    fixed[0] = base;
    tables.vartime_mixed_multiscalar_mul(fixed, scalars, points).is_small_order()
}

/// Multiplies each equation by a coefficient: gives the sum of the base point's scalars, and scalar
/// and point of each R, and tells `by_key` what a key's point is to be multiplied by.
fn combine<'e, 'a>(
    equations: &'e [(usize, Equation<'a>)],
    mut by_key: impl FnMut(usize, &'a VerifyingKey, Scalar),
) -> (Scalar, Vec<Scalar>, Vec<&'e EdwardsPoint>) {
    let mut words = coefficients(equations);
    let mut base = Scalar::ZERO;
    let mut scalars = Vec::with_capacity(2 * equations.len() + 1);
    let mut points = Vec::with_capacity(2 * equations.len() + 1);
    for (index, equation) in equations {
        // Half-length coefficients make R's half of the work half as long.
        let (high, low) = (words.next_word(), words.next_word());
        let coefficient = Scalar::from((u128::from(high) << 64) | u128::from(low));
        base += coefficient * equation.s;
        by_key(*index, equation.key, coefficient * equation.k);
        scalars.push(coefficient);
        points.push(&equation.minus_r);
    }
    (base, scalars, points)
}

/// The source of a batch's coefficients: a hash over every key, digest and signature in it. A sender
/// who changes any of them, to make errors cancel out, changes all coefficients. There is no seed
/// that could leak or be guessed.
fn coefficients(equations: &[(usize, Equation<'_>)]) -> Words {
    let mut hasher = Domain::BATCH_COEFFICIENTS.hasher().number(equations.len() as u64);
    for (_, Equation { key, digest, signature, .. }) in equations {
        hasher = hasher
            .fixed(key.public_key().as_bytes())
            .fixed(digest.as_bytes())
            .fixed(signature.as_bytes());
    }
    hasher.words()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::key::SecretKey;

    const DIGEST: Hash = Hash([3; 32]);

    /// A batch that fails is checked one by one and comes out right all the same, so whether the
    /// combination itself is right, and nobody can force the slow way, shows only from within.
    fn holds(items: &[(&VerifyingKey, Hash, Signature)]) -> bool {
        let equations = equations(items);
        let keys = KeySet::new(items.iter().map(|(key, ..)| **key).collect());
        // By tables: of the keys as they come, and of a set where others stand around the first.
        let tables = keys.tables.as_ref().unwrap();
        let by_tables = combination_holds_by(tables, items.len(), &equations, |index| index);
        let first = |key: &VerifyingKey| items.iter().position(|item| item.0 == key).unwrap();
        let shared = |index: usize| first(items[index].0);
        let by_few = combination_holds_by(tables, items.len(), &equations, shared);
        let holds = combination_holds(&equations);
        assert_eq!((by_tables, by_few), (holds, holds));
        holds
    }

    fn equations<'a>(
        items: &'a [(&'a VerifyingKey, Hash, Signature)],
    ) -> Vec<(usize, Equation<'a>)> {
        items
            .iter()
            .map(|(key, digest, signature)| Equation::new(key, digest, signature).unwrap())
            .enumerate()
            .collect()
    }

    fn key(point: EdwardsPoint) -> VerifyingKey {
        VerifyingKey::new(PublicKey(point.compress().to_bytes())).unwrap()
    }

    #[test]
    fn combinations_hold_when_every_equation_does() {
        let secrets = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]));
        let keys = [0, 1, 2].map(|n| VerifyingKey::new(secrets[n].public_key()).unwrap());
        let mut items = vec![];
        for n in 0..100 {
            let digest = Hash([n as u8; 32]);
            items.push((&keys[n % 3], digest, secrets[n % 3].sign(&digest)));
            assert!(holds(&items));
        }
        for n in [0, 50, 99] {
            let mut spoilt = items.clone();
            spoilt[n].1 = Hash([100; 32]);
            assert!(!holds(&spoilt));
        }
        assert!(holds(&[]));
    }

    #[test]
    fn small_order_leaves_combinations_alone() {
        // a = 2 and r = 3, each with every component of small order.
        let keys = EIGHT_TORSION.map(|torsion| key(EdwardsPoint::mul_base(&2u8.into()) + torsion));
        let mut items = vec![];
        for (key, torsion) in
            keys.iter().flat_map(|key| EIGHT_TORSION.map(|torsion| (key, torsion)))
        {
            let r = EdwardsPoint::mul_base(&3u8.into()) + torsion;
            let mut signature = Signature([0; 64]);
            signature.0[..32].copy_from_slice(r.compress().as_bytes());
            let k = Equation::new(key, &DIGEST, &signature).unwrap().k;
            let s = Scalar::from(3u8) + k * Scalar::from(2u8);
            signature.0[32..].copy_from_slice(s.as_bytes());
            items.push((key, DIGEST, signature));
        }
        assert!(holds(&items));
        items.iter().for_each(|item| assert!(holds(&[*item])));
    }

    /// No signature that anybody can make tells the difference, so it is pinned here.
    #[test]
    fn hashes_take_bytes_as_sent() {
        // y = 3 + p is a point of large order in a spelling that isn't canonical.
        let mut sent = [0xff; 32];
        (sent[0], sent[31]) = (0xed + 3, 0x7f);
        let key = VerifyingKey::new(PublicKey(sent)).unwrap();
        assert!(!key.minus_point().is_small_order());
        let mut signature = Signature([0; 64]);
        signature.0[..32].copy_from_slice(&sent);
        let hash = Sha512::new().chain_update(sent).chain_update(sent).chain_update(DIGEST.0);
        let k = Equation::new(&key, &DIGEST, &signature).unwrap().k;
        assert_eq!(k, Scalar::from_hash(hash));
    }

    #[test]
    fn coefficients_depend_on_everything() {
        let secret = SecretKey::from_seed([1; 32]);
        let keys = [
            VerifyingKey::new(secret.public_key()).unwrap(),
            VerifyingKey::new(SecretKey::from_seed([2; 32]).public_key()).unwrap(),
        ];
        let signature = secret.sign(&DIGEST);
        let mut other = signature;
        other.0[63] ^= 1;
        let items = [(&keys[0], DIGEST, signature); 2];
        let first = |items: &[_]| coefficients(&equations(items)).next_word();
        for changed in [
            (&keys[1], DIGEST, signature),
            (&keys[0], Hash::ZERO, signature),
            (&keys[0], DIGEST, other),
        ] {
            assert_ne!(first(&[items[0], changed]), first(&items));
        }
        assert_ne!(first(&items[..1]), first(&items));
    }
}
