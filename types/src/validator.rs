//! Who votes, with what weight, and when votes are enough.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, List, Wire};
use crate::hash::{Domain, Hash};
use crate::key::{KeyError, PublicKey, VerifyingKey};
use crate::number::{Epoch, Weight};
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
}

/// The validators of one epoch, by increasing public key. Decoding checks the order only: build an
/// [`Electorate`] before you trust one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValidatorSet {
    /// Counts the sets of the chain.
    pub epoch: Epoch,
    /// Members by strictly increasing public key.
    pub members: List<Validator, MAX_VALIDATORS>,
}

impl Wire for ValidatorSet {
    const MAX_BYTES: usize = 16 + MAX_VALIDATORS * (32 + 32 + 8);
}

impl ValidatorSet {
    /// Sorts the members into a set.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] as [`Electorate::new`].
    pub fn new(epoch: Epoch, mut members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        members.sort_unstable_by_key(|member| member.public_key);
        let got = members.len();
        let members = List::new(members).map_err(|_| ValidatorSetError::TooMany { got })?;
        Ok(Self { epoch, members })
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
}

/// A validator set that has been checked, with its keys decompressed once: what checks votes and
/// certificates.
#[derive(Clone, Debug)]
pub struct Electorate {
    set: ValidatorSet,
    hash: Hash,
    keys: Vec<VerifyingKey>,
    total: Weight,
}

impl Electorate {
    /// Checks a set: non-empty, in order, every weight positive, the total within u64, every key
    /// canonical and torsion-free.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] naming the first violation.
    pub fn new(set: ValidatorSet) -> Result<Self, ValidatorSetError> {
        if set.members.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if let Some(pair) = set.members.windows(2).find(|p| p[0].public_key >= p[1].public_key) {
            return Err(ValidatorSetError::Order(pair[1].public_key));
        }
        let mut total = 0u64;
        let mut keys = Vec::with_capacity(set.members.len());
        for member in set.members.iter() {
            let key = member.public_key;
            if member.weight.0 == 0 {
                return Err(ValidatorSetError::Weightless(key));
            }
            total = total.checked_add(member.weight.0).ok_or(ValidatorSetError::Overflow)?;
            let checked = key.validate().and_then(|()| VerifyingKey::new(key));
            keys.push(checked.map_err(|error| ValidatorSetError::Key { key, error })?);
        }
        Ok(Self { hash: set.hash(), set, keys, total: Weight(total) })
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
        self.keys.len()
    }

    /// Never: a checked set has members.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Position of a member, by public key.
    pub fn position(&self, key: &PublicKey) -> Option<usize> {
        self.set.members.binary_search_by(|member| member.public_key.cmp(key)).ok()
    }

    /// The member at a position.
    pub fn member(&self, position: usize) -> Option<&Validator> {
        self.set.members.get(position)
    }

    /// The decompressed key at a position.
    pub fn key(&self, position: usize) -> Option<&VerifyingKey> {
        self.keys.get(position)
    }

    /// The weight of all members.
    pub const fn total(&self) -> Weight {
        self.total
    }

    /// Whether a weight is a quorum: more than two thirds of the total.
    pub fn is_quorum(&self, weight: Weight) -> bool {
        3 * u128::from(weight.0) > 2 * u128::from(self.total.0)
    }

    /// Whether a weight must hold an honest member: more than one third of the total.
    pub fn exceeds_third(&self, weight: Weight) -> bool {
        3 * u128::from(weight.0) > u128::from(self.total.0)
    }
}
