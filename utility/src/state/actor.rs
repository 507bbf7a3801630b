//! Those who stake.

use pocket_types::id::{Address, GeoZone, RelayChain};
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Height};
use pocket_types::transaction::{ActorKind, Role, ServiceUrl};
use serde::{Deserialize, Serialize};

/// Somebody with a stake and a task. Its address is that of its key; it is stored until its stake
/// is paid out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// Identity and signing key.
    pub public_key: PublicKey,
    /// Where rewards and the returned stake go.
    pub output: Address,
    /// What can be burnt.
    pub stake: Amount,
    /// What it does.
    pub role: Role,
    /// When it staked.
    pub since: Height,
    /// Whether it is leaving.
    pub status: Status,
}

/// Whether an actor works or is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Status {
    /// At work from the session after [`Actor::since`].
    Staked,
    /// Leaving.
    Unstaking {
        /// When it asked, or was made to.
        since: Height,
        /// The block that pays its stake out. Never before the running session's settlement.
        due: Height,
    },
}

impl Actor {
    /// The actor's address.
    pub fn address(&self) -> Address {
        Address::of(&self.public_key)
    }

    /// The kind of actor.
    pub const fn kind(&self) -> ActorKind {
        self.role.kind()
    }

    /// Whether it is not leaving.
    pub const fn is_staked(&self) -> bool {
        matches!(self.status, Status::Staked)
    }

    /// The chains it staked for; none for kinds without chains.
    pub fn chains(&self) -> &[RelayChain] {
        match &self.role {
            Role::Application { chains, .. } | Role::Servicer { chains, .. } => chains,
            _ => &[],
        }
    }

    /// Its zone, for kinds that have one.
    pub const fn zone(&self) -> Option<GeoZone> {
        match &self.role {
            Role::Application { zone, .. }
            | Role::Servicer { zone, .. }
            | Role::Fisherman { zone, .. } => Some(*zone),
            _ => None,
        }
    }

    /// Where it is reached, for kinds that are.
    pub const fn service_url(&self) -> Option<&ServiceUrl> {
        match &self.role {
            Role::Application { .. } => None,
            Role::Servicer { service_url, .. }
            | Role::Fisherman { service_url, .. }
            | Role::Validator { service_url, .. }
            | Role::Gateway { service_url } => Some(service_url),
        }
    }
}
