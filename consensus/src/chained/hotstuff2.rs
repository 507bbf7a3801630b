//! HotStuff-2: Malkhi, Nayak, "HotStuff-2: Optimal Two-Phase Responsive BFT", IACR eprint 2023/397, in
//! its pipelined form.
//!
//! | paper | here |
//! |---|---|
//! | proposal `⟨propose, B_k, v, C_v'(B_{k-1})⟩` | [`Candidate`], its justify of round v' |
//! | vote if `C_v'(B_{k-1})` ranks no lower than the lock | [`ChainRules::may_vote`] |
//! | the lock is the highest certificate seen | [`ChainRules::lock`] |
//! | certificates of two consecutive views commit the first's block | [`ChainRules::commits`] |
//! | a leader without the last view's certificate waits Δ | [`ChainRules::patience`] |
//! | locks go to the next leader | [`Timeouts::ToNextLeader`] |
//!
//! **Safe.** A block decided by certificates of rounds r and r+1 has a quorum that saw the first of
//! them, and is locked no lower. The first certificate of a later round for a block that doesn't extend
//! it would need one of them to vote for a justify of an earlier round than r.
//!
//! **Live** without a third phase or proofs in timeouts: the leader who was let in by timeouts waits
//! until it has heard from every honest replica, so it proposes on a certificate as high as anybody's
//! lock. Only that leader waits: where the last round succeeded, all goes at the network's speed.

use pocket_types::number::Duration;
use pocket_types::trap;
use pocket_types::vote::Protocol;

use super::{Candidate, Certified, Chain, ChainRules, Chained, Timeouts};
use crate::replica::config::Config;

/// HotStuff-2.
pub type HotStuff2 = Chained<HotStuff2Rules>;

/// The rules of HotStuff-2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HotStuff2Rules;

impl ChainRules for HotStuff2Rules {
    const ID: Protocol = Protocol::HotStuff2;
    const TIMEOUTS: Timeouts = Timeouts::ToNextLeader;

    fn may_vote(proposal: &Candidate, chain: &Chain<'_>) -> bool {
        proposal.justify.round >= chain.lock().round || trap!("hotstuff2_lock")
    }

    fn lock(certified: &Certified, _: &Chain<'_>) -> Option<Certified> {
        Some(*certified)
    }

    fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
        chain.justify(certified).filter(|first| certified.follows(first))
    }

    fn patience(config: &Config) -> Duration {
        config.delta
    }
}
