//! Leaders by VRF: who may run, with what luck, and what a host keeps for it (consensus
//! specification 3.1.3).
//!
//! Leaders of turns are known long before, and so is whom to attack. Here nobody knows a leader
//! before it says so. With [`Config::election`](crate::Config::election) set, on entering a round:
//!
//! 1. Whoever the sortition selects (about [`committee`](ElectionConfig::committee) units of all
//!    stakes) broadcasts its [`Candidacy`](pocket_types::candidacy::Candidacy).
//! 2. A replica listens for [`wait`](ElectionConfig::wait), then sends its NewRound to the best
//!    candidate it has heard of, or, if to none, to the one whose turn it would be.
//! 3. Whoever holds a quorum of NewRounds and has been chosen, by itself or by a quorum, proposes.
//!    Replicas take a proposal only from the leader that they chose, or from a better candidate that
//!    came too late to be chosen ([`Candidates::may_lead`](crate::candidates::Candidates::may_lead)),
//!    and one that comes before they have chosen waits until then: being fast gains nothing.
//!
//! Two leaders may propose in one round when announcements were lost or late. That is as safe as one
//! leader who proposes twice: everybody prepares one block a round. Who crashed does not run, so it
//! costs a timeout only if it crashes after it ran. Waits grow as timeouts do, so that some round's is
//! long enough for the announcements of all, whatever the network's delay.
//!
//! # Seeds, and what a host hands in
//!
//! The luck of a height comes from a [`Seed`]: by [`SeedRule::Beacon`] the beacon's value at the last
//! height that is a multiple of the period, at or below the decided tip. A [`Tip`](crate::Tip) carries
//! it on from block to block. A host supplies what a tip can't know by itself, by
//! [`Tip::with_seed`](crate::Tip::with_seed):
//!
//! - at genesis, the genesis' randomness and no headers;
//! - after a restart, with the tip from its own store, the headers of the heights that
//!   [`SeedRule::reads`] names, from its own store;
//! - in fast sync, the same headers, each of which it has verified (a
//!   [`FinalityProof`](pocket_types::finality::FinalityProof), the light client).
//!
//! What doesn't fit the tip is refused ([`SeedError`]). Another header of the right height doesn't
//! show by itself: it makes a replica that refuses everybody's candidacies
//! ([`WrongSeed`](pocket_types::candidacy::CandidacyError::WrongSeed)), and is refused by everybody.
//! It decides what the others decide, and leads nothing.
//!
//! # When keys count
//!
//! Who can choose a VRF key or a signing key for a seed that it knows chooses one that wins: 16 tries
//! give a fifth of the stake two fifths of the turns. So whoever makes validator sets (the ledger)
//! must let a member into a set, or change its key, only if the key passes
//! [`KeyRule::check`](pocket_types::registration::KeyRule::check) for the height of the seed under
//! which the set starts to decide, [`SeedRule::seed_height`]. A lead of 4 to 8 blocks leaves nothing
//! measurable. What is left is withholding the block that makes the seed; with periods of 100 heights
//! a third of the stake gains less than 1% of the turns by it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use pocket_types::block::Header;
use pocket_types::candidacy::Seed;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Height};
use pocket_types::sortition::CommitteeSize;
use thiserror::Error;

/// How leaders are elected. All validators of a network must agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElectionConfig {
    /// How many units of stake are selected on average. Nobody at all is in one of e^size rounds.
    pub committee: CommitteeSize,
    /// How long a replica listens to candidates from entering round 0; twice a network delay hears
    /// all, as replicas enter a round within one of each other. It grows with the round as the
    /// timeout does.
    pub wait: Duration,
    /// Where the luck comes from.
    pub seed: SeedRule,
}

impl Default for ElectionConfig {
    /// Listens for 200 milliseconds, with a new seed every 100 heights.
    fn default() -> Self {
        Self {
            committee: CommitteeSize::default(),
            wait: Duration(200),
            seed: SeedRule::Beacon { period: 100 },
        }
    }
}

/// Which [`Seed`] the election of a height has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SeedRule {
    /// The beacon's value at the last multiple of this many heights below; at least 1.
    Beacon {
        /// Heights with one seed.
        period: u64,
    },
    /// The specification's own, to compare with: the proposers of the last so many blocks below; 1 to
    /// [`SeedRule::MAX_LEADERS`].
    LastLeaders {
        /// Blocks.
        count: u64,
    },
}

impl SeedRule {
    /// The most leaders that a seed may be made of.
    pub const MAX_LEADERS: u64 = 1_024;

    /// Heights of the headers that make the seed for the height after `tip`, beside the genesis.
    pub const fn reads(self, tip: Height) -> Range<u64> {
        match self {
            Self::Beacon { .. } => {
                let Height(from) = self.seed_height(tip);
                from..if from == 0 { 0 } else { from + 1 }
            }
            Self::LastLeaders { count } => {
                let first = tip.0.saturating_sub(count) + 1;
                first..tip.0.saturating_add(1)
            }
        }
    }

    /// Height of the last block that has a say in the seed for the height after `tip`.
    pub const fn seed_height(self, tip: Height) -> Height {
        match self {
            Self::Beacon { period } => match tip.0.checked_rem(period) {
                Some(since) => Height(tip.0 - since),
                None => Height::GENESIS,
            },
            Self::LastLeaders { .. } => tip,
        }
    }

    /// Whether its numbers are within bounds.
    pub const fn is_valid(self) -> bool {
        match self {
            Self::Beacon { period } => period > 0,
            Self::LastLeaders { count } => 0 < count && count <= Self::MAX_LEADERS,
        }
    }
}

/// Why headers don't make a tip's seed. The host is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A rule whose numbers are out of bounds.
    #[error("seeds by {0:?}, which is out of bounds")]
    Rule(SeedRule),
    /// Not as many headers as the rule reads.
    #[error("{got} headers where the seed reads {}, at heights {}..{}", expected.end - expected.start, expected.start, expected.end)]
    Count {
        /// Headers given.
        got: usize,
        /// The heights that the rule reads.
        expected: Range<u64>,
    },
    /// A header of another height than the rule reads.
    #[error("the header of height {got} where the seed reads that of {expected}")]
    Height {
        /// Its height.
        got: Height,
        /// The height that the rule reads.
        expected: Height,
    },
    /// A header of another network.
    #[error("a header of network {got}, the tip is of {expected}")]
    WrongChain {
        /// The network it names.
        got: ChainId,
        /// The tip's.
        expected: ChainId,
    },
    /// A header that is not the tip's, or not the parent of the next.
    #[error("header {got} at height {height}, where the chain has {expected}")]
    OffChain {
        /// Its height.
        height: Height,
        /// Its id.
        got: BlockId,
        /// The block that the chain has there.
        expected: BlockId,
    },
    /// A genesis randomness that isn't that of a tip at genesis.
    #[error("genesis randomness {got}, the tip's is {expected}")]
    Genesis {
        /// The randomness given.
        got: Hash,
        /// The tip's.
        expected: Hash,
    },
}

/// What makes the seed of the height after a tip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seeds {
    rule: SeedRule,
    /// The beacon's value, for that rule.
    beacon: Hash,
    /// The last proposers, the latest last, for that rule.
    leaders: VecDeque<PublicKey>,
}

impl Seeds {
    /// Those of genesis.
    pub(crate) const fn new(rule: SeedRule, beacon: Hash) -> Self {
        Self { rule, beacon, leaders: VecDeque::new() }
    }

    pub(crate) const fn rule(&self) -> SeedRule {
        self.rule
    }

    /// Takes the next block in, or one that the rule reads.
    pub(crate) fn push(&mut self, header: &Header) {
        match self.rule {
            SeedRule::Beacon { .. } => {
                if self.rule.seed_height(header.height) == header.height {
                    self.beacon = header.randomness;
                }
            }
            SeedRule::LastLeaders { count } => {
                self.leaders.push_back(header.proposer);
                if self.leaders.len() as u64 > count {
                    self.leaders.pop_front();
                }
            }
        }
    }

    pub(crate) fn seed(&self) -> Seed {
        match self.rule {
            SeedRule::Beacon { .. } => Seed::Beacon(self.beacon),
            SeedRule::LastLeaders { .. } => {
                Seed::last_leaders(&self.leaders.iter().copied().collect::<Vec<_>>())
            }
        }
    }
}
