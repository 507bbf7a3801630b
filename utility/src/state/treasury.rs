//! Pools, running totals and the supply.

use pocket_types::id::Address;
use pocket_types::number::Amount;
use pocket_types::transaction::ActorKind;
use serde::{Deserialize, Serialize};

/// The most uPOKT that can exist: it keeps every stake and every sum of stakes within the `u64` of a
/// validator's weight.
pub const MAX_SUPPLY: Amount = Amount(u64::MAX as u128);

/// Money that no key owns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Pool {
    /// The community's treasury.
    Dao,
    /// Fees of the running block; empty between blocks.
    FeeCollector,
    /// Stakes of applications.
    AppStakePool,
    /// Stakes of servicers.
    ServicerStakePool,
    /// Stakes of fishermen.
    FishermanStakePool,
    /// Stakes of validators.
    ValidatorStakePool,
    /// Stakes of gateways.
    GatewayStakePool,
    /// Salaries being paid; empty between blocks.
    SalaryPool,
}

impl Pool {
    /// All pools, in the order of their encoding.
    pub const ALL: [Self; 8] = [
        Self::Dao,
        Self::FeeCollector,
        Self::AppStakePool,
        Self::ServicerStakePool,
        Self::FishermanStakePool,
        Self::ValidatorStakePool,
        Self::GatewayStakePool,
        Self::SalaryPool,
    ];

    /// The pool that holds the stakes of a kind.
    pub const fn of(kind: ActorKind) -> Self {
        match kind {
            ActorKind::Application => Self::AppStakePool,
            ActorKind::Servicer => Self::ServicerStakePool,
            ActorKind::Fisherman => Self::FishermanStakePool,
            ActorKind::Validator => Self::ValidatorStakePool,
            ActorKind::Gateway => Self::GatewayStakePool,
        }
    }

    /// The pool's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dao => "DAO",
            Self::FeeCollector => "FeeCollector",
            Self::AppStakePool => "AppStakePool",
            Self::ServicerStakePool => "ServicerStakePool",
            Self::FishermanStakePool => "FishermanStakePool",
            Self::ValidatorStakePool => "ValidatorStakePool",
            Self::GatewayStakePool => "GatewayStakePool",
            Self::SalaryPool => "SalaryPool",
        }
    }

    /// Its address: the name, padded with zeros. No key hashes to it, and no message may pay to it.
    pub fn address(self) -> Address {
        let mut address = [0; 20];
        address[..self.name().len()].copy_from_slice(self.name().as_bytes());
        Address(address)
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// How much exists, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Supply {
    /// Everything in accounts and pools.
    pub total: Amount,
    /// Ever minted after genesis.
    pub minted: Amount,
    /// Ever burnt.
    pub burned: Amount,
}

/// The pools' balances and the totals against which every block is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Treasury {
    /// How much exists: changed by minting and burning alone.
    pub supply: Supply,
    /// Sum of all accounts: changed by every change of a balance.
    pub accounts: Amount,
    /// Balances of [`Pool::ALL`].
    pub pools: [Amount; 8],
    /// Sums of the stakes of [`ActorKind::ALL`]: changed by every change of an actor's stake.
    pub staked: [Amount; 5],
    /// Numbers of staked (not unstaking) actors of [`ActorKind::ALL`].
    pub active: [u64; 5],
}

/// A rule that must hold at the end of every block does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConservationError {
    /// Money appeared or vanished.
    #[error("{held} uPOKT are held where {total} exist")]
    Supply {
        /// In accounts and pools.
        held: Amount,
        /// By the count of minting and burning.
        total: Amount,
    },
    /// A pool does not hold the stakes that it stands for.
    #[error("{} holds {held} uPOKT for stakes of {staked}", pool.name())]
    Stakes {
        /// The pool.
        pool: Pool,
        /// What it holds.
        held: Amount,
        /// Sum of the stakes.
        staked: Amount,
    },
    /// A pool that must be empty between blocks is not.
    #[error("{} holds {held} uPOKT between blocks", pool.name())]
    NotEmpty {
        /// The pool.
        pool: Pool,
        /// What it holds.
        held: Amount,
    },
}

impl Treasury {
    /// A pool's balance.
    pub const fn pool(&self, pool: Pool) -> Amount {
        self.pools[pool.place()]
    }

    pub(crate) const fn pool_mut(&mut self, pool: Pool) -> &mut Amount {
        &mut self.pools[pool.place()]
    }

    /// Sum of the stakes of a kind.
    pub const fn staked(&self, kind: ActorKind) -> Amount {
        self.staked[kind as usize]
    }

    /// Staked (not unstaking) actors of a kind.
    pub const fn active(&self, kind: ActorKind) -> u64 {
        self.active[kind as usize]
    }

    /// Checks that money is conserved; O(1), at the end of every block, in release builds too.
    ///
    /// # Errors
    ///
    /// [`ConservationError`]: the ledger is at fault, or the state below it was damaged.
    pub fn check(&self) -> Result<(), ConservationError> {
        let held = self.pools.iter().try_fold(self.accounts, |sum, pool| sum.checked_add(*pool));
        let (held, total) = (held.unwrap_or(Amount(u128::MAX)), self.supply.total);
        if held != total {
            return Err(ConservationError::Supply { held, total });
        }
        for kind in ActorKind::ALL {
            let pool = Pool::of(kind);
            let (held, staked) = (self.pool(pool), self.staked(kind));
            if held != staked {
                return Err(ConservationError::Stakes { pool, held, staked });
            }
        }
        for pool in [Pool::FeeCollector, Pool::SalaryPool] {
            let held = self.pool(pool);
            if held != Amount::ZERO {
                return Err(ConservationError::NotEmpty { pool, held });
            }
        }
        Ok(())
    }
}
