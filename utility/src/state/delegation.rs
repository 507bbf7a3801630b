//! Which gateways may sign for an application.

use pocket_types::codec::List;
use pocket_types::key::PublicKey;
use pocket_types::number::Height;
use serde::{Deserialize, Serialize};

/// The most gateways that the parameter may allow an application.
pub const MAX_DELEGATIONS: usize = 64;

/// An application's gateways, in order of delegation.
pub type Delegations = List<Delegation, MAX_DELEGATIONS>;

/// One gateway of an application.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delegation {
    /// The gateway.
    pub gateway: PublicKey,
    /// When the gateway staked: one that left and came back is not the one that was trusted.
    pub since: Height,
}
