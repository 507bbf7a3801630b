//! Who votes, with what weight, and when votes are enough.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bls::{BlsKeyError, BlsPublicKey};
use crate::codec::{self, List, Wire};
use crate::hash::{Domain, Hash};
use crate::key::{KeyError, PublicKey};
use crate::number::{Epoch, Weight};
use crate::scheme::{self, Scheme, Signed, Verifier};
use crate::trap;
use crate::vote::Vote;
use crate::vrf::VrfPublicKey;

/// The most validators a set may hold.
pub const MAX_VALIDATORS: usize = 16_384;

/// A member of a validator set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Validator {
    /// Signs votes and proposals; the member's identity.
    pub public_key: PublicKey,
    /// Proves the randomness of the blocks it proposes.
    pub vrf_key: VrfPublicKey,
    /// Its stake.
    pub weight: Weight,
    /// Signs votes instead of `public_key` where the set's scheme is [`Scheme::BlsAggregate`]. Who
    /// makes a set has checked its owner's proof of possession.
    pub bls_key: Option<BlsPublicKey>,
}

/// The validators of one epoch, by increasing public key. Decoding checks the order only: build an
/// [`Electorate`] before you trust one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValidatorSet {
    /// Counts the sets of the chain.
    pub epoch: Epoch,
    /// How its members sign votes.
    pub scheme: Scheme,
    /// Members by strictly increasing public key.
    pub members: List<Validator, MAX_VALIDATORS>,
}

impl Wire for ValidatorSet {
    const MAX_BYTES: usize = 20 + MAX_VALIDATORS * (32 + 32 + 8 + 1 + 48);
}

impl ValidatorSet {
    /// Sorts the members into a set that signs by the default scheme.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] as [`Electorate::new`].
    pub fn new(epoch: Epoch, mut members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        members.sort_unstable_by_key(|member| member.public_key);
        let got = members.len();
        let members = List::new(members).map_err(|_| ValidatorSetError::TooMany { got })?;
        Ok(Self { epoch, scheme: Scheme::default(), members })
    }

    /// The set with another scheme.
    #[must_use]
    pub fn signing_by(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// What headers and votes commit to.
    pub fn hash(&self) -> Hash {
        Domain::VALIDATOR_SET.hash(&codec::encode(self))
    }
}

/// Why a validator set can't be used. Whoever supplied it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ValidatorSetError {
    /// No members.
    #[error("a validator set needs at least one member")]
    Empty,
    /// Too many members.
    #[error("{got} validators where at most {MAX_VALIDATORS} are allowed")]
    TooMany {
        /// Members given.
        got: usize,
    },
    /// Members out of order, or one of them twice.
    #[error("validators must come by strictly increasing public key; {0} does not")]
    Order(PublicKey),
    /// A member without weight.
    #[error("validator {0} has no weight")]
    Weightless(PublicKey),
    /// The weights overflow a u64.
    #[error("the validators' total weight overflows")]
    Overflow,
    /// A signing key that is not safe to use.
    #[error("validator {key}: {error}")]
    Key {
        /// The member.
        key: PublicKey,
        /// What is wrong with its key.
        error: KeyError,
    },
    /// A member without a BLS key in a set that signs by BLS.
    #[error("validator {0} has no BLS key, by which its set signs")]
    NoBlsKey(PublicKey),
    /// A BLS key that is not safe to use, or this build has no BLS at all.
    #[error("validator {validator}: {error}")]
    BlsKey {
        /// The member.
        validator: PublicKey,
        /// What is wrong with its key.
        error: BlsKeyError,
    },
    /// A BLS key that two members have: one's votes would be the other's.
    #[error("validators {owner} and {other} have the same BLS key")]
    SharedBlsKey {
        /// The member with the smaller public key.
        owner: PublicKey,
        /// The other one.
        other: PublicKey,
    },
}

/// A validator set that has been checked, with the verifier of its scheme: what checks votes and
/// certificates.
///
/// For lists of Ed25519 signatures it takes some 300 bytes a member and, for sets of up to
/// [`MAX_TABLES`](crate::signature::MAX_TABLES), 10 KiB more for tables that make checking faster.
#[derive(Debug)]
pub struct Electorate {
    set: ValidatorSet,
    hash: Hash,
    verifier: Box<dyn Verifier>,
    total: Weight,
    /// The first bytes of each member's key, close together: every message is looked up by them.
    heads: Vec<u64>,
}

impl Electorate {
    /// Checks a set: non-empty, in order, every weight positive, the total within u64, every key
    /// canonical and torsion-free; where the set signs by BLS, a BLS key for each member, no two the
    /// same. Their proofs of possession are looked at where keys are admitted.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] naming the first violation.
    pub fn new(set: ValidatorSet) -> Result<Self, ValidatorSetError> {
        Self::checked(set, scheme::verifier)
    }

    /// As [`Electorate::new`], but trusting a verifier of the caller's own, and its word for the keys,
    /// instead of the set's scheme: for tests, simulations, and schemes that this crate doesn't have.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] naming the first violation.
    pub fn with_verifier(
        set: ValidatorSet,
        verifier: Box<dyn Verifier>,
    ) -> Result<Self, ValidatorSetError> {
        Self::checked(set, |_| Ok(verifier))
    }

    /// The electorate of another set of the same network, with a verifier of the same kind.
    ///
    /// # Errors
    ///
    /// As [`Electorate::new`].
    pub fn succeed(&self, set: ValidatorSet) -> Result<Self, ValidatorSetError> {
        Self::checked(set, |set| self.verifier.succeed(set))
    }

    fn checked(
        set: ValidatorSet,
        verifier: impl FnOnce(&ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError>,
    ) -> Result<Self, ValidatorSetError> {
        let total = check(&set)?;
        let verifier = verifier(&set)?;
        let heads = set.members.iter().map(|member| head(&member.public_key)).collect();
        Ok(Self { hash: set.hash(), set, verifier, total, heads })
    }

    /// The set itself.
    pub const fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// What headers and votes commit to.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The set's epoch.
    pub const fn epoch(&self) -> Epoch {
        self.set.epoch
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.set.members.len()
    }

    /// Never: a checked set has members.
    pub fn is_empty(&self) -> bool {
        self.set.members.is_empty()
    }

    /// Position of a member, by public key.
    pub fn position(&self, key: &PublicKey) -> Option<usize> {
        let first = self.heads.partition_point(|other| *other < head(key));
        let alike = self.set.members.get(first..)?;
        let found = alike.iter().position(|member| member.public_key >= *key)?;
        (alike[found].public_key == *key).then_some(first + found)
    }

    /// The member at a position.
    pub fn member(&self, position: usize) -> Option<&Validator> {
        self.set.members.get(position)
    }

    /// Checks what members sign.
    pub fn verifier(&self) -> &dyn Verifier {
        &*self.verifier
    }

    /// Whether a vote is its signer's, who stands at `position`.
    pub fn holds(&self, vote: &Vote, position: usize) -> bool {
        let signed = Signed { position, digest: vote.data.digest(), signature: vote.signature };
        self.verifier.verify(&[signed]).is_ok()
    }

    /// The weight of all members.
    pub const fn total(&self) -> Weight {
        self.total
    }

    /// Whether a weight is a quorum: more than two thirds of the total.
    pub fn is_quorum(&self, weight: Weight) -> bool {
        if trap!("quorum_off_by_one") {
            return 3 * u128::from(weight.0) >= 2 * u128::from(self.total.0);
        }
        3 * u128::from(weight.0) > 2 * u128::from(self.total.0)
    }

    /// Whether a weight must hold an honest member: more than one third of the total.
    pub fn exceeds_third(&self, weight: Weight) -> bool {
        if trap!("third_off_by_one") {
            return 3 * u128::from(weight.0) >= u128::from(self.total.0);
        }
        3 * u128::from(weight.0) > u128::from(self.total.0)
    }
}

fn head(key: &PublicKey) -> u64 {
    key.0.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

/// Checks everything of a set but its keys; gives the total weight.
fn check(set: &ValidatorSet) -> Result<Weight, ValidatorSetError> {
    if set.members.is_empty() {
        return Err(ValidatorSetError::Empty);
    }
    if let Some(pair) = set.members.windows(2).find(|p| p[0].public_key >= p[1].public_key) {
        return Err(ValidatorSetError::Order(pair[1].public_key));
    }
    let mut total = 0u64;
    for member in set.members.iter() {
        if member.weight.0 == 0 {
            return Err(ValidatorSetError::Weightless(member.public_key));
        }
        total = match total.checked_add(member.weight.0) {
            Some(total) => total,
            None if trap!("weight_overflow") => total.wrapping_add(member.weight.0),
            None => return Err(ValidatorSetError::Overflow),
        };
    }
    Ok(Weight(total))
}
