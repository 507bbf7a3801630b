//! Many keys, one message, one signature.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use thiserror::Error;

use super::{
    BlsPublicKey, BlsSignature, BlsSignatureError, BlsVerifyingKey, SIGNATURE_SUITE, curve,
};
use crate::hash::{Domain, Hash};

/// The keys of a set by position, with their sum: what checks and makes aggregates. Per key it keeps
/// about 150 bytes.
///
/// Every key must have been admitted with its proof of possession. The same key may stand at several
/// positions.
///
/// ```
/// use pocket_types::bls::{BlsKeys, BlsSecretKey, BlsVerifyingKey};
/// use pocket_types::hash::Domain;
///
/// let Ok(secrets) = [1, 2, 3, 4].map(|n| BlsSecretKey::from_seed([n; 32])).into_iter().collect()
/// else {
///     assert!(!cfg!(feature = "bls"));
///     return Ok(());
/// };
/// let secrets: Vec<BlsSecretKey> = secrets;
/// let keys: Result<Vec<_>, _> =
///     secrets.iter().map(|secret| BlsVerifyingKey::new(secret.public_key())).collect();
/// let keys = BlsKeys::new(keys?)?;
///
/// let digest = Domain::custom("example.org v1 vote").hash(b"yes");
/// let mut votes = vec![
///     (0, secrets[0].sign(&digest)),
///     (2, secrets[2].sign(&digest)),
///     (3, secrets[3].sign(&digest)),
/// ];
/// let signature = keys.aggregate(&digest, &votes)?;
/// assert_eq!(keys.verify(&[0, 2, 3], &digest, &signature), Ok(()));
/// assert!(keys.verify(&[0, 1, 3], &digest, &signature).is_err());
///
/// votes[1].1 = votes[0].1;
/// let error = keys.aggregate(&digest, &votes).unwrap_err();
/// assert_eq!(error.refused().iter().map(|(position, _)| *position).collect::<Vec<_>>(), [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BlsKeys {
    keys: Vec<BlsVerifyingKey>,
    total: curve::KeySum,
}

/// Why an aggregate can't be made or is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BlsAggregateError {
    /// No keys or no signers: nobody's signature proves nothing. The caller is at fault, or whoever
    /// sent the list.
    #[error("an aggregate needs at least one signer")]
    Empty,
    /// Positions don't increase, or one comes twice. Whoever sent the list is at fault.
    #[error("signers must come by strictly increasing position; {0} does not")]
    Order(usize),
    /// No key has this position. Whoever sent the list is at fault.
    #[error("signer at position {position} of a set of {members}")]
    Position {
        /// The position given.
        position: usize,
        /// Keys of the set.
        members: usize,
    },
    /// The signers' keys or signatures add up to the identity, which they do only for signers who
    /// planned it.
    #[error("the signers cancel each other out")]
    Cancelled,
    /// The aggregate is not the signers' signature of this digest. Whoever made it is at fault.
    #[error(transparent)]
    Signature(#[from] BlsSignatureError),
    /// The signatures that are invalid, all of them and no others, by increasing position. Whoever
    /// sent each of them is at fault.
    #[error("{}", Refused(.0))]
    Refused(Vec<(usize, BlsSignatureError)>),
}

impl BlsAggregateError {
    /// Position and reason of each invalid signature, if that is why.
    pub fn refused(&self) -> &[(usize, BlsSignatureError)] {
        match self {
            Self::Refused(refused) => refused,
            _ => &[],
        }
    }
}

impl BlsKeys {
    /// Adds up the keys of a set.
    ///
    /// # Errors
    ///
    /// [`BlsAggregateError::Empty`] without keys.
    pub fn new(keys: Vec<BlsVerifyingKey>) -> Result<Self, BlsAggregateError> {
        let total = curve::sum(keys.iter().map(|key| &key.point));
        Ok(Self { total: total.ok_or(BlsAggregateError::Empty)?, keys })
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set has keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key at a position.
    pub fn key(&self, position: usize) -> Option<&BlsVerifyingKey> {
        self.keys.get(position)
    }

    /// The sum of the signers' keys, which checks their aggregate with
    /// [`verify`](super::verify()) or [`verify_batch`]. Costs an addition per signer or per absent
    /// member, whichever are fewer.
    ///
    /// # Errors
    ///
    /// [`BlsAggregateError`] when the positions are no list of signers.
    pub fn sum(&self, signers: &[usize]) -> Result<BlsVerifyingKey, BlsAggregateError> {
        self.check(signers.iter().copied())?;
        let point = |position: &usize| &self.keys[*position].point;
        let sum = if signers.len() > self.keys.len() / 2 {
            let mut signers = signers.iter().peekable();
            let absent = (0..self.keys.len())
                .filter(|position| signers.next_if(|signer| *signer == position).is_none());
            let absent: Vec<usize> = absent.collect();
            curve::subtract(&self.total, absent.iter().map(point))
        } else {
            curve::sum(signers.iter().map(point))
        };
        let point = sum.and_then(|sum| curve::summed_key(&sum));
        let point = point.ok_or(BlsAggregateError::Cancelled)?;
        Ok(BlsVerifyingKey { bytes: BlsPublicKey(curve::key_bytes(&point)), point })
    }

    /// Checks that everybody at these positions signed the digest (FastAggregateVerify, section
    /// 3.3.4 of the draft). Whether they are enough is the caller's question.
    ///
    /// # Errors
    ///
    /// [`BlsAggregateError`] when the positions are no list of signers, or the signature isn't
    /// theirs. Who of them didn't sign can't be told from an aggregate.
    pub fn verify(
        &self,
        signers: &[usize],
        digest: &Hash,
        signature: &BlsSignature,
    ) -> Result<(), BlsAggregateError> {
        Ok(super::verify(&self.sum(signers)?, digest, signature)?)
    }

    /// As [`verify`](Self::verify), where signers signed several digests: each digest, none twice, with
    /// the positions of its signers (AggregateVerify, section 2.9 of the draft, on the sums of the
    /// keys). Every further digest costs about a third of the first.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_parts(
        &self,
        parts: &[(Hash, Vec<usize>)],
        signature: &BlsSignature,
    ) -> Result<(), BlsAggregateError> {
        if let [(digest, signers)] = parts {
            return self.verify(signers, digest, signature);
        }
        let point = signature.point()?;
        let sums: Vec<_> =
            parts.iter().map(|(_, signers)| self.sum(signers)).collect::<Result<_, _>>()?;
        let first = sums.first().ok_or(BlsAggregateError::Empty)?.bytes;
        let keys: Vec<_> = sums.iter().map(|sum| sum.point).collect();
        let digests: Vec<_> = parts.iter().map(|(digest, _)| digest).collect();
        if curve::sum_holds(&keys, &digests, SIGNATURE_SUITE, &point) {
            Ok(())
        } else {
            Err(BlsSignatureError::Mismatch(first).into())
        }
    }

    /// Checks signatures of one digest by position and adds them up (Aggregate, section 2.8 of the
    /// draft). It succeeds exactly when [`verify`](super::verify()) accepts every one, but for a
    /// chance of 2^-128 that nobody can improve except by trying: adding first and checking the sum
    /// would let two members who conspire hide errors that cancel out.
    ///
    /// Most of the work is decoding; checking costs one pairing equation. An invalid signature
    /// costs up to 2 log2(n) more of them; many together cost about as much as checking one by one.
    ///
    /// # Errors
    ///
    /// [`BlsAggregateError`] when the positions are no list of signers, or with all signatures that
    /// are invalid.
    pub fn aggregate(
        &self,
        digest: &Hash,
        votes: &[(usize, BlsSignature)],
    ) -> Result<BlsSignature, BlsAggregateError> {
        let points = self.check_each(digest, votes)?;
        let sum = curve::summed_signature(&points).ok_or(BlsAggregateError::Cancelled)?;
        Ok(BlsSignature(sum))
    }

    /// As [`aggregate`](Self::aggregate), without adding up.
    ///
    /// # Errors
    ///
    /// As [`aggregate`](Self::aggregate).
    pub fn verify_each(
        &self,
        digest: &Hash,
        votes: &[(usize, BlsSignature)],
    ) -> Result<(), BlsAggregateError> {
        self.check_each(digest, votes).map(|_| ())
    }

    fn check_each(
        &self,
        digest: &Hash,
        votes: &[(usize, BlsSignature)],
    ) -> Result<Vec<curve::SignaturePoint>, BlsAggregateError> {
        self.check(votes.iter().map(|(position, _)| *position))?;
        let mut batch = Batch::new(digest, votes.len());
        for &(position, signature) in votes {
            match signature.point() {
                Ok(point) => batch.push(position, &self.keys[position], signature, point),
                Err(reason) => batch.refused.push((position, reason)),
            }
        }
        batch.coefficients =
            coefficients(batch.votes.iter().map(|(_, key, signature)| (key, digest, signature)));
        batch.search(0..batch.votes.len(), Hint::None);
        if !batch.refused.is_empty() {
            batch.refused.sort_unstable_by_key(|(position, _)| *position);
            return Err(BlsAggregateError::Refused(batch.refused));
        }
        Ok(batch.points)
    }

    fn check(&self, positions: impl Iterator<Item = usize>) -> Result<(), BlsAggregateError> {
        let mut previous = None;
        for position in positions {
            if previous >= Some(position) {
                return Err(BlsAggregateError::Order(position));
            }
            if position >= self.keys.len() {
                let members = self.keys.len();
                return Err(BlsAggregateError::Position { position, members });
            }
            previous = Some(position);
        }
        previous.map(|_| ()).ok_or(BlsAggregateError::Empty)
    }
}

impl fmt::Debug for BlsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(BlsVerifyingKey::public_key)).finish()
    }
}

/// Checks many aggregates or single signatures, each of a digest of its own. It accepts exactly when
/// [`verify`](super::verify()) accepts every one, but for a chance of 2^-128 that nobody can improve
/// except by trying; a batch without signatures is valid.
///
/// # Errors
///
/// [`BlsAggregateError::Refused`] with the place in the batch of every signature that
/// [`verify`](super::verify()) refuses. They are found one by one. Work and memory grow with the
/// batch, whose length is the caller's to bound.
pub fn verify_batch(
    items: &[(&BlsVerifyingKey, Hash, BlsSignature)],
) -> Result<(), BlsAggregateError> {
    let mut refused = Vec::new();
    let (mut places, mut points) = (Vec::new(), Vec::new());
    let (mut keys, mut digests) = (Vec::new(), Vec::new());
    for (place, (key, digest, signature)) in items.iter().enumerate() {
        match signature.point() {
            Ok(point) => {
                places.push(place);
                keys.push(&key.point);
                digests.push(digest);
                points.push(point);
            }
            Err(reason) => refused.push((place, reason)),
        }
    }
    let coefficients = coefficients(places.iter().map(|&place| {
        let (key, digest, signature) = &items[place];
        (&key.bytes, digest, signature)
    }));
    if !curve::batch_holds(&keys, &digests, SIGNATURE_SUITE, &points, &coefficients) {
        for (&place, point) in places.iter().zip(&points) {
            let (key, digest, _) = &items[place];
            if !curve::holds(&key.point, digest.as_bytes(), SIGNATURE_SUITE, point) {
                refused.push((place, BlsSignatureError::Mismatch(key.bytes)));
            }
        }
        refused.sort_unstable_by_key(|(place, _)| *place);
    }
    if refused.is_empty() { Ok(()) } else { Err(BlsAggregateError::Refused(refused)) }
}

/// Signatures of one digest that are well-formed, in four lists of one length, and those refused.
struct Batch<'a> {
    digest: &'a Hash,
    votes: Vec<(usize, BlsPublicKey, BlsSignature)>,
    keys: Vec<curve::Key>,
    points: Vec<curve::SignaturePoint>,
    coefficients: Vec<[u8; 16]>,
    refused: Vec<(usize, BlsSignatureError)>,
    /// Combinations that may still be checked. One costs twice as much as a signature, and when many
    /// are invalid few combinations hold.
    budget: usize,
}

impl<'a> Batch<'a> {
    fn new(digest: &'a Hash, size: usize) -> Self {
        Self {
            digest,
            votes: Vec::with_capacity(size),
            keys: Vec::with_capacity(size),
            points: Vec::with_capacity(size),
            coefficients: Vec::new(),
            refused: Vec::new(),
            budget: 16 + size / 8,
        }
    }

    fn push(
        &mut self,
        position: usize,
        key: &BlsVerifyingKey,
        signature: BlsSignature,
        point: curve::SignaturePoint,
    ) {
        self.votes.push((position, key.bytes, signature));
        self.keys.push(key.point);
        self.points.push(point);
    }

    /// Finds the invalid signatures of a range by halves. In the end each is checked by itself, so
    /// that nobody is blamed for a combination.
    fn search(&mut self, range: Range<usize>, hint: Hint) {
        if range.len() < 2 || self.budget == 0 {
            range.for_each(|place| self.check(place));
            return;
        }
        if hint == Hint::None && self.combination_holds(range.clone()) {
            return;
        }
        let (middle, before) = (range.start + range.len() / 2, self.refused.len());
        self.search(range.start..middle, Hint::None);
        let clean = self.refused.len() == before;
        self.search(middle..range.end, if clean { Hint::Spoilt } else { Hint::None });
    }

    fn combination_holds(&mut self, range: Range<usize>) -> bool {
        self.budget = self.budget.saturating_sub(1);
        curve::combination_holds(
            &self.keys[range.clone()],
            &self.points[range.clone()],
            &self.coefficients[range],
            self.digest.as_bytes(),
            SIGNATURE_SUITE,
        )
    }

    fn check(&mut self, place: usize) {
        let (position, key, _) = self.votes[place];
        let (key_point, point) = (&self.keys[place], &self.points[place]);
        if !curve::holds(key_point, self.digest.as_bytes(), SIGNATURE_SUITE, point) {
            self.refused.push((position, BlsSignatureError::Mismatch(key)));
        }
    }
}

/// What is known of a range before it is looked at.
#[derive(PartialEq)]
enum Hint {
    None,
    /// It holds an invalid signature, since the range around it does and the other half doesn't.
    Spoilt,
}

/// Combines the equations of a batch, from a hash over every key, digest and signature in it: who
/// changes any of them, to make errors cancel out, changes all coefficients. Half the length of a
/// scalar makes multiplying half as long.
fn coefficients<'a>(
    items: impl ExactSizeIterator<Item = (&'a BlsPublicKey, &'a Hash, &'a BlsSignature)>,
) -> Vec<[u8; 16]> {
    let count = items.len();
    let mut hasher = Domain::BLS_BATCH_COEFFICIENTS.hasher().number(count as u64);
    for (key, digest, signature) in items {
        hasher = hasher.fixed(key.as_bytes()).fixed(digest.as_bytes()).fixed(signature.as_bytes());
    }
    let mut words = hasher.words();
    let mut draw = || {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&words.next_word().to_le_bytes());
        bytes[8..].copy_from_slice(&words.next_word().to_le_bytes());
        bytes
    };
    (0..count).map(|_| draw()).collect()
}

struct Refused<'a>(&'a [(usize, BlsSignatureError)]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signatures refused", self.0.len())?;
        match self.0.first() {
            Some((position, reason)) => write!(f, ", the first at {position}: {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_depend_on_everything() {
        let (key, digest, signature) =
            (BlsPublicKey([1; 48]), Hash([2; 32]), BlsSignature([3; 96]));
        let first = |items: &[_]| coefficients(items.iter().copied())[0];
        let item = (&key, &digest, &signature);
        let drawn = first(&[item, item]);
        for changed in [
            (&BlsPublicKey([0; 48]), &digest, &signature),
            (&key, &Hash([0; 32]), &signature),
            (&key, &digest, &BlsSignature([0; 96])),
        ] {
            assert_ne!(first(&[item, changed]), drawn);
        }
        assert_ne!(first(&[item]), drawn);
        let two = coefficients([item, item].into_iter());
        assert_ne!(two[0], two[1]);
    }

    /// The right half of a spoilt range whose left half is clean isn't checked again.
    #[cfg(feature = "bls")]
    #[test]
    fn one_invalid_signature_costs_one_combination_for_each_halving() {
        let secrets: Vec<_> =
            (0..64).map(|n| super::super::BlsSecretKey::from_seed([n; 32]).unwrap()).collect();
        let digest = Hash([5; 32]);
        for (spoilt, combinations) in [(63, 6), (0, 11)] {
            let mut batch = Batch::new(&digest, secrets.len());
            for (position, secret) in secrets.iter().enumerate() {
                let key = BlsVerifyingKey::new(secret.public_key()).unwrap();
                let signed = if position == spoilt { Hash::ZERO } else { digest };
                let signature = secret.sign(&signed);
                batch.push(position, &key, signature, signature.point().unwrap());
            }
            batch.coefficients =
                coefficients(batch.votes.iter().map(|(_, key, sig)| (key, &digest, sig)));
            let budget = batch.budget;
            batch.search(0..64, Hint::None);
            assert_eq!(budget - batch.budget, combinations);
            assert_eq!(batch.refused.len(), 1);
            assert_eq!(batch.refused[0].0, spoilt);
        }
    }
}
