//! Which block the state is the result of.

use pocket_types::id::ChainId;
use pocket_types::number::{Height, Timestamp};
use pocket_types::scheme::Scheme;
use serde::{Deserialize, Serialize};

/// The latest block that the ledger applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tip {
    /// The network.
    pub chain: ChainId,
    /// Height of the block; 0 after genesis.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// How the network's validators sign, as genesis says.
    pub scheme: Scheme,
}
