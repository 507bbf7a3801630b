//! Claims and the volume that they prove.

use pocket_types::number::Height;
use pocket_types::sum::SumRoot;
use serde::{Deserialize, Serialize};

/// A servicer's commitment to the relays of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Root, sum and count of its tree.
    pub root: SumRoot,
    /// When it was made.
    pub height: Height,
    /// When its challenge was answered.
    pub proven: Option<Height>,
}

/// Relays of a chain and zone that were proven and paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Volume {
    /// Claimed and proven.
    pub proven: u128,
    /// Of these, within the applications' budgets.
    pub settled: u128,
}
