//! From when to when a registered VRF key may be used: consensus specification 3.1.3 has keys
//! registered beforehand and refreshed.
//!
//! Who sees a seed before choosing a key tries keys until one wins. So a key counts for a seed only
//! if it was registered when nobody could know the seed. The seed of an epoch is the beacon's value
//! at some height, and the proposers of the blocks up to there know it in advance if all of them
//! conspire, since each can compute its own part. One honest proposer among them is enough: the
//! rule's `lead` is how many blocks must lie between, and a share a of the proposers has them all
//! to itself in one of a^-lead epochs.
//!
//! The same must hold of the key that a validator signs with, which is part of the VRF's input. It
//! does when validators enter a set by the same rule.

use thiserror::Error;

use crate::number::Height;
use crate::trap;
use crate::vrf::VrfPublicKey;

/// How old a key must and may be at the height whose beacon value seeds an epoch; parameters that
/// governance sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRule {
    lead: u64,
    lifetime: u64,
}

/// A key and when it was registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The block that registers it.
    pub height: Height,
    /// The key.
    pub key: VrfPublicKey,
}

/// Why a key may not be used in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Its owner may have known the seed when choosing it.
    #[error(
        "key registered at {registered} may be used with seeds from {usable_from} on, not {seed}"
    )]
    TooYoung {
        /// When it was registered.
        registered: Height,
        /// Height of the seed.
        seed: Height,
        /// Height of the first seed that it may be used with.
        usable_from: Height,
    },
    /// It should have been refreshed.
    #[error(
        "key registered at {registered} expired for seeds from {expired_from} on, such as {seed}"
    )]
    Expired {
        /// When it was registered.
        registered: Height,
        /// Height of the seed.
        seed: Height,
        /// Height of the first seed that it may no longer be used with.
        expired_from: Height,
    },
    /// A rule under which keys could be chosen for a seed, or no key could be used.
    #[error("keys usable {lead} blocks after registration and for {lifetime} in all")]
    Rule {
        /// Blocks before a key may be used.
        lead: u64,
        /// Blocks after which it may no longer be.
        lifetime: u64,
    },
}

impl KeyRule {
    /// Keys may be used with seeds of at least `lead` and fewer than `lifetime` blocks after their
    /// registration.
    ///
    /// # Errors
    ///
    /// [`RegistrationError::Rule`] unless 0 < lead < lifetime.
    pub const fn new(lead: u64, lifetime: u64) -> Result<Self, RegistrationError> {
        if 0 < lead && lead < lifetime {
            Ok(Self { lead, lifetime })
        } else {
            Err(RegistrationError::Rule { lead, lifetime })
        }
    }

    /// Whether a key that was registered at a height may be used in the epoch whose seed is the
    /// beacon's value at another.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] with the first height of a seed for which it would be otherwise.
    pub fn check(&self, registered: Height, seed: Height) -> Result<(), RegistrationError> {
        let usable_from = Height(registered.0.saturating_add(self.lead));
        if seed < usable_from && !trap!("vrf_key_ground") {
            return Err(RegistrationError::TooYoung { registered, seed, usable_from });
        }
        let expired_from = Height(registered.0.saturating_add(self.lifetime));
        if seed >= expired_from {
            return Err(RegistrationError::Expired { registered, seed, expired_from });
        }
        Ok(())
    }

    /// The key that a validator uses in the epoch of a seed: of those that may be, the one
    /// registered last, and of several in one block the last given. None if it has to stand back
    /// until it has refreshed its key.
    pub fn usable(&self, registrations: &[Registration], seed: Height) -> Option<VrfPublicKey> {
        let usable = registrations.iter().filter(|one| self.check(one.height, seed).is_ok());
        usable.max_by_key(|one| one.height).map(|one| one.key)
    }
}
