//! Jolteon, which is DiemBFT v4: Gelashvili, Kokoris-Kogias, Sonnino, Spiegelman, Xiang, "Jolteon and
//! Ditto", arXiv 2106.10362, section 3 and figure 1.
//!
//! | paper | here |
//! |---|---|
//! | proposal `B = [id, qc, r, v, txn]`, with `tc_{r-1}` | [`Candidate`]; our Timeout QC of round r |
//! | vote if `r = qc.r + 1` | [`Candidate::is_next`] |
//! | or if `r = tc.r + 1` and `qc.r ≥ max{qc_high.r}` of the TC | [`Candidate::highest`] |
//! | `r > r_vote`, and no timeout for r | the engine: signatures only move forward |
//! | adjacent blocks certified in adjacent rounds commit the first | [`ChainRules::commits`] |
//! | timeouts `⟨r, qc_high⟩` are multicast | [`Timeouts::ToAll`] |
//!
//! **Safe**, without a lock: let certificates of rounds r and r+1 decide a block. The quorum that voted
//! in round r+1 saw the first of them and vouches for no less in its timeouts. A later round that
//! doesn't follow a certificate at once follows a Timeout QC, in which one of that quorum signed; so
//! its justify is of round r or later.
//!
//! **Live and responsive**: what the Timeout QC demands, the leader has, for the timeouts brought it.

use pocket_types::trap;
use pocket_types::vote::Protocol;

use super::{Candidate, Certified, Chain, ChainRules, Chained, Timeouts};

/// Jolteon, DiemBFT v4.
pub type Jolteon = Chained<JolteonRules>;

/// The rules of Jolteon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JolteonRules;

impl ChainRules for JolteonRules {
    const ID: Protocol = Protocol::Jolteon;
    const TIMEOUTS: Timeouts = Timeouts::ToAll;

    fn may_vote(proposal: &Candidate, _: &Chain<'_>) -> bool {
        proposal.is_next()
            || proposal.justify.round >= proposal.highest
            || trap!("jolteon_stale_high")
    }

    fn lock(_: &Certified, _: &Chain<'_>) -> Option<Certified> {
        None
    }

    fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
        chain.justify(certified).filter(|first| certified.follows(first))
    }
}
