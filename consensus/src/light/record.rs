//! What a light client must remember across a crash.

use alloc::boxed::Box;

use pocket_types::codec::Wire;
use pocket_types::finality::TrustedTip;
use pocket_types::light::Divergence;
use pocket_types::validator::ValidatorSet;
use serde::{Deserialize, Serialize};

/// What a light client has come to trust, or why it trusts nothing any more. Each record replaces all
/// before it: the host keeps the last one and hands it to
/// [`LightClient::recover`](super::LightClient::recover) after a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// A header is trusted.
    Trusted {
        /// The header.
        tip: TrustedTip,
        /// The validators that decide the next block.
        next: ValidatorSet,
    },
    /// The network has forked.
    Forked(Box<Divergence>),
}

impl Wire for Record {
    const MAX_BYTES: usize = 4 + Divergence::MAX_BYTES;
}
