//! What the ledger remembers of a session until it is settled.

use pocket_types::hash::Hash;
use pocket_types::number::Height;
use pocket_types::session::SessionClock;
use serde::{Deserialize, Serialize};

use crate::params::Params;

/// An unsettled session, stored by its first block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Number, start and length.
    pub clock: SessionClock,
    /// The beacon's value at its first block: the seed of its draws.
    pub randomness: Hash,
    /// When what is due; fixed when it started.
    pub windows: Windows,
    /// The beacon's value at [`Windows::challenge`], once that block came.
    pub challenge: Option<Hash>,
}

/// The heights of a session's life. All are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Windows {
    /// Last block of the session.
    pub end: Height,
    /// Last block whose state serves its relays.
    pub grace: Height,
    /// First block that takes its claims.
    pub claim_open: Height,
    /// Last block that takes its claims.
    pub claim_close: Height,
    /// The block whose beacon value challenges the claims: after all of them, before any proof.
    pub challenge: Height,
    /// First block that takes proofs.
    pub proof_open: Height,
    /// Last block that takes proofs; it settles the session.
    pub proof_close: Height,
}

impl Windows {
    /// The windows of a session under the parameters at its start. Heights saturate.
    pub fn of(clock: &SessionClock, params: &Params) -> Self {
        let after = |height: Height, blocks: u64| Height(height.0.saturating_add(blocks));
        let end = after(clock.start, clock.blocks.saturating_sub(1));
        let claim_open = after(end, params.claim_window_open_offset_blocks).next();
        let claim_close = after(claim_open, params.claim_window_blocks);
        let challenge = claim_close.next();
        let proof_open = after(challenge, params.proof_window_open_offset_blocks);
        Self {
            end,
            grace: after(end, params.session_grace_blocks),
            claim_open,
            claim_close,
            challenge,
            proof_open,
            proof_close: after(proof_open, params.proof_window_blocks),
        }
    }
}
