//! Fast-HotStuff, pipelined: Jalalzai, Niu, Feng, Gai, "Fast-HotStuff: A Fast and Robust BFT Protocol for
//! Blockchains", arXiv 2010.11454.
//!
//! | paper | here |
//! |---|---|
//! | a block with the certificate of the view before is safe | [`Candidate::is_next`] |
//! | a block with `AggQC` must extend the highest certificate in it | [`Candidate::highest`] |
//! | new-view messages go to the next primary, who aggregates them | [`Timeouts::ToNextLeader`] |
//! | a two-chain of consecutive views commits its first block | [`ChainRules::commits`] |
//!
//! It is [Jolteon](super::jolteon) with a linear way to the next leader: our Timeout QC is the AggQC,
//! each signature in it vouching for its signer's highest certificate, and only the highest of those
//! travels along.
//!
//! # The published flaw
//!
//! The first version committed a block once its child was certified, whatever their views. Bano and
//! others found that unsafe ("Twins: BFT Systems Made Robust", arXiv 2004.10617, section 3); the
//! mended one asks for consecutive views. How it breaks, with four replicas of whom one may withhold
//! messages: b is certified in view 5, which only A learns. B, C, D time out; without A they know of no
//! certificate after view 4, so c, a sibling of b, is certified in view 7, which only C learns. A, B, D
//! go on from b, the highest certificate they know: b' is certified in view 9, and with it b is
//! committed. Whoever learns that is cut off, and the others go on from c, which is of a later view
//! than b: c' is certified in view 11, and c is committed beside b. With consecutive views there is
//! no view for c between the two of b.

use pocket_types::trap;
use pocket_types::vote::Protocol;

use super::{Candidate, Certified, Chain, ChainRules, Chained, Timeouts};

/// Fast-HotStuff.
pub type FastHotStuff = Chained<FastHotStuffRules>;

/// The rules of Fast-HotStuff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FastHotStuffRules;

impl ChainRules for FastHotStuffRules {
    const ID: Protocol = Protocol::FastHotStuff;
    const TIMEOUTS: Timeouts = Timeouts::ToNextLeader;

    fn may_vote(proposal: &Candidate, _: &Chain<'_>) -> bool {
        proposal.is_next() || proposal.justify.round >= proposal.highest
    }

    fn lock(_: &Certified, _: &Chain<'_>) -> Option<Certified> {
        None
    }

    fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
        let first = chain.justify(certified)?;
        let in_a_row = certified.follows(&first);
        (in_a_row || trap!("fast_hotstuff_flaw")).then_some(first)
    }
}
