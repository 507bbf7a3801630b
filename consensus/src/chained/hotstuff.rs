//! Chained HotStuff: Yin, Malkhi, Reiter, Golan-Gueta, Abraham, "HotStuff: BFT Consensus in the Lens of
//! Blockchain", arXiv 1803.05069, algorithms 4 and 5 (section 5); its three phases are three blocks in
//! a row.
//!
//! | paper | here |
//! |---|---|
//! | `b*`, the proposal | [`Candidate`] |
//! | `b'' = b*.justify.node` | [`Candidate::justify`] |
//! | `b' = b''.justify.node`, `b = b'.justify.node` | [`Chain::justify`] of that, twice |
//! | `vheight`: vote only above it | the engine: one vote a round, rounds increase |
//! | `safeNode`: extends `b_lock`, or a higher justify | [`ChainRules::may_vote`] |
//! | `b_lock ← b'` | [`ChainRules::lock`] |
//! | `b''.parent = b' ∧ b'.parent = b` decides `b` | [`ChainRules::commits`] |
//! | `onNextSyncView`: new-view with `qc_high` to the next leader | [`Timeouts::ToNextLeader`] |
//!
//! The paper puts a dummy block into every view without one, so there a parent is always of the view
//! before. Without dummies, consecutive rounds say the same.
//!
//! **Safe.** A block decided by certificates of rounds r, r+1, r+2 has a quorum locked on it: those who
//! voted in round r+2 saw the certificate of r+1. The first certificate of a later round for a block
//! that doesn't extend it would need one of them to vote against its lock for a justify of a round
//! between, which would be an earlier such certificate.
//!
//! **Live, and responsive**: the third phase. Whoever is locked on a certificate, a quorum had the one
//! after it, so the leader hears of a certificate as high as the lock from any quorum. Three rounds in
//! a row must succeed: where every third leader is dead, nothing is decided in turn order, so leaders
//! may have to lead several rounds ([`leader_rounds`](crate::Config::leader_rounds)).

use pocket_types::trap;
use pocket_types::vote::Protocol;

use super::{Candidate, Certified, Chain, ChainRules, Chained, Timeouts};

/// Chained HotStuff.
pub type ChainedHotStuff = Chained<HotStuffRules>;

/// The rules of chained HotStuff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HotStuffRules;

impl ChainRules for HotStuffRules {
    const ID: Protocol = Protocol::ChainedHotStuff;
    const TIMEOUTS: Timeouts = Timeouts::ToNextLeader;

    fn may_vote(proposal: &Candidate, chain: &Chain<'_>) -> bool {
        if trap!("chained_no_lock") {
            return true;
        }
        let lock = chain.lock();
        chain.extends(&proposal.block, &lock) || proposal.justify.round > lock.round
    }

    fn lock(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
        chain.justify(certified)
    }

    fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
        let second = chain.justify(certified)?;
        let first = chain.justify(&second)?;
        let in_a_row = certified.follows(&second) && second.follows(&first);
        (in_a_row || trap!("chained_gap")).then_some(first)
    }
}
