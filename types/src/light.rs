//! Trusting a header without having seen all those before it.
//!
//! Who follows the chain header by header needs [`TrustedTip::advance`] and nothing else. Who was
//! away, or doesn't want every header, skips: from a header it trusts to any later one. The argument
//! (Cosmos ICS-07; "A Tendermint Light Client", arXiv 2010.07031, whose constants HotStuff shares):
//!
//! - the trusted header names the validators of the next block. While their stake can still be
//!   punished for what they did then, less than a third of it lies. So if **more than a third** of
//!   that weight signed a later header, at least one honest validator did, and an honest validator
//!   signs only headers of the true chain, which name their true validator set;
//! - **more than two thirds** of the set that the later header names signed it too, so it is decided.
//!
//! The first half holds for the [trusting period](TrustingPeriod) only. A trusted header that is older
//! vouches for nothing ([`LightError::Expired`]), and a new checkpoint must come from somebody one
//! trusts. If too few of the old validators signed ([`LightError::Overlap`]), a header halfway is
//! tried first; at the very next height the two sets are one and the same, so that halving always
//! ends. Fetching, halving, and asking others whether they know the same chain is what
//! `pocket_consensus::light` does; here is what a single step must satisfy.
//!
//! ```
//! use pocket_types::block::{Block, Header, VERSION, beacon};
//! use pocket_types::finality::{FinalityProof, TrustedTip};
//! use pocket_types::hash::Hash;
//! use pocket_types::id::{BlockId, ChainId};
//! use pocket_types::key::SecretKey;
//! use pocket_types::light::{LightBlock, LightError, Rules, Trusted, TrustingPeriod};
//! use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp, Weight};
//! use pocket_types::validator::{Electorate, Validator, ValidatorSet};
//! use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
//! use pocket_types::vrf::VrfSecret;
//!
//! # let vrf = VrfSecret::from_seed([9; 32]);
//! # let set = |epoch, secrets: &[SecretKey]| {
//! #     let member = |key: &SecretKey| Validator {
//! #         public_key: key.public_key(),
//! #         vrf_key: vrf.public_key(),
//! #         weight: Weight(10),
//! #         bls_key: None,
//! #     };
//! #     ValidatorSet::new(Epoch(epoch), secrets.iter().map(member).collect()).unwrap()
//! # };
//! # // A block at height 100, decided by `secrets`, who stay in office.
//! # let decide = |validators: &ValidatorSet, secrets: &[SecretKey]| {
//! #     let (randomness, randomness_proof) = beacon::extend(Hash::ZERO, Height(100), &vrf);
//! #     let header = Header {
//! #         version: VERSION,
//! #         chain: ChainId::default(),
//! #         height: Height(100),
//! #         epoch: validators.epoch,
//! #         parent: BlockId(Hash([1; 32])),
//! #         parent_certificate: None,
//! #         time: Timestamp(600_000),
//! #         proposer: validators.members[0].public_key,
//! #         state_root: Hash([2; 32]),
//! #         transactions_root: Block::transactions_root(&[]),
//! #         evidence_root: Block::evidence_root(&[]),
//! #         validators: validators.hash(),
//! #         next_validators: validators.hash(),
//! #         randomness,
//! #         randomness_proof,
//! #     };
//! #     let data = VoteData {
//! #         protocol: Protocol::HotPokt,
//! #         chain: header.chain,
//! #         epoch: header.epoch,
//! #         validators: header.validators,
//! #         height: header.height,
//! #         round: Round(0),
//! #         phase: Phase::Commit,
//! #         block: header.id(),
//! #         high: None,
//! #     };
//! #     let votes: Vec<Vote> = secrets.iter().map(|key| Vote::sign(data, key)).collect();
//! #     let electorate = Electorate::new(validators.clone()).unwrap();
//! #     FinalityProof::commit(header, Certificate::from_votes(data, &votes, &electorate).unwrap())
//! # };
//! // What the network promises: misbehaviour is punished for three weeks, stake locked for as long.
//! let weeks = |count: u64| Duration::seconds(count * 7 * 24 * 3600);
//! let period = TrustingPeriod::new(weeks(2), weeks(3), weeks(3))?;
//! let rules = Rules { period, max_drift: Duration::seconds(10) };
//!
//! // We trust the genesis of a chain that these four began.
//! let keys: Vec<SecretKey> = (1..=6).map(|n| SecretKey::from_seed([n; 32])).collect();
//! let first = set(0, &keys[..4]);
//! let genesis = TrustedTip {
//!     chain: ChainId::default(),
//!     height: Height::GENESIS,
//!     block: BlockId::default(),
//!     time: Timestamp::ZERO,
//!     next_validators: first.hash(),
//! };
//! let trusted = Trusted::new(genesis, first)?;
//!
//! // Ninety-nine blocks later two of them are left, which is half of the weight that we trust.
//! let later = set(1, &keys[2..]);
//! let proof = decide(&later, &keys[2..]);
//! let block = LightBlock::new(proof, later.clone(), later);
//! let now = Timestamp(600_500);
//! let trusted = trusted.verify(&block, now, &rules)?;
//! assert_eq!(trusted.tip().height, Height(100));
//! let state_root = block.header().map(|header| header.state_root);
//! assert_eq!(state_root, Some(Hash([2; 32])), "what Merkle proofs are checked against");
//!
//! // A month later this header vouches for nothing.
//! let late = Timestamp(now.0 + weeks(5).0);
//! assert!(matches!(trusted.verify(&block, late, &rules), Err(LightError::Expired { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod divergence;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::block::{Header, VERSION};
use crate::codec::Wire;
use crate::finality::{FinalityError, FinalityProof, TrustedTip};
use crate::hash::Hash;
use crate::id::{BlockId, ChainId};
use crate::number::{Duration, Epoch, Height, Timestamp, Weight};
use crate::scheme::Scheme;
use crate::trap;
use crate::validator::{Electorate, ValidatorSet, ValidatorSetError};

pub use divergence::{Blame, Divergence, DivergenceError, MAX_STEPS};

/// A header that is trusted, with the validators that decide the block after it: what a light client
/// starts a step from.
#[derive(Clone, Debug)]
pub struct Trusted {
    tip: TrustedTip,
    next: Arc<Electorate>,
}

impl Trusted {
    /// Trusts a tip without proof: a genesis, or what was stored when it was verified.
    ///
    /// # Errors
    ///
    /// [`LightError::NextValidators`] when the set isn't the one that the tip names,
    /// [`LightError::Set`] when it can't be used.
    pub fn new(tip: TrustedTip, next: ValidatorSet) -> Result<Self, LightError> {
        let (got, expected) = (next.hash(), tip.next_validators);
        if got != expected {
            return Err(LightError::NextValidators { got, expected });
        }
        Ok(Self { tip, next: Arc::new(Electorate::new(next)?) })
    }

    /// Trusts the block that a checkpoint names, if this is it and still young enough to vouch for
    /// others. Its own certificate is checked too: a checkpoint that no quorum decided is a mistake.
    ///
    /// # Errors
    ///
    /// [`LightError`] naming the first violation. [`LightError::Expired`] is the checkpoint's fault,
    /// everything else that of whoever supplied the block.
    pub fn anchor(
        checkpoint: &Checkpoint,
        block: &LightBlock,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Self, LightError> {
        let header = header_of(block, checkpoint.chain)?;
        if header.height != checkpoint.height {
            return Err(LightError::Height { got: header.height, trusted: checkpoint.height });
        }
        let (got, expected) = (header.id(), checkpoint.block);
        if got != expected {
            return Err(LightError::Checkpoint { got, expected });
        }
        rules.check_age(header.time, now)?;
        rules.check_ahead(header.time, now)?;
        block.check_sets(header)?;
        let electorate = Arc::new(Electorate::new(block.validators.clone())?);
        block.proof.verify(&electorate)?;
        Self::of(header, block, &electorate)
    }

    /// The header that is trusted.
    pub const fn tip(&self) -> &TrustedTip {
        &self.tip
    }

    /// The validators that decide the block after it.
    pub const fn next(&self) -> &Arc<Electorate> {
        &self.next
    }

    /// Moves trust to a later header, over any distance, checked in full: cheap checks first, then
    /// its validator set, each signature once and last. Only the next header brings a set that signs
    /// by aggregates: of those beyond it, another such set's signers vouch for nothing.
    ///
    /// # Errors
    ///
    /// [`LightError`] naming the first violation. After [`LightError::Overlap`] a header in between
    /// may help, after [`LightError::Expired`] only a new checkpoint does.
    pub fn verify(
        &self,
        block: &LightBlock,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Self, LightError> {
        rules.check_age(self.tip.time, now)?;
        let header = header_of(block, self.tip.chain)?;
        rules.check_ahead(header.time, now)?;
        self.follow(header, block)
    }

    /// All of [`Trusted::verify`] that doesn't depend on the time at which it is done.
    fn follow(&self, header: &Header, block: &LightBlock) -> Result<Self, LightError> {
        let trusted = self.tip.height;
        let distance = header.height.0.checked_sub(trusted.0).filter(|distance| *distance > 0);
        let Some(distance) = distance else {
            return Err(LightError::Height { got: header.height, trusted });
        };
        // Every block is later than its parent, by at least a millisecond.
        let earliest = self.tip.time.after(Duration(distance));
        if header.time < earliest {
            return Err(LightError::Early { got: header.time, earliest });
        }
        block.check_sets(header)?;
        if distance == 1 {
            self.tip.clone().advance(&block.proof, &self.next)?;
            return Self::of(header, block, &self.next);
        }
        let trusted_epoch = self.next.epoch();
        if header.validators != self.next.hash() && header.epoch <= trusted_epoch {
            return Err(LightError::Epoch { got: header.epoch, trusted: trusted_epoch });
        }
        let got = self.overlap(block);
        if !self.next.exceeds_third(got) && !trap!("light_no_overlap") {
            return Err(LightError::Overlap { got, total: self.next.total() });
        }
        let electorate = share(&block.validators, &self.next)?;
        if !trap!("light_unsigned") {
            block.proof.verify(&electorate)?;
        }
        Self::of(header, block, &electorate)
    }

    /// Weight, in the trusted set, of those who signed every link of a block's proof. Costs no curve
    /// arithmetic; meaningful together with a check of the set and the signatures.
    pub fn overlap(&self, block: &LightBlock) -> Weight {
        let positions = self.vouching(block);
        let weights = positions.iter().filter_map(|&p| Some(self.next.member(p)?.weight.0));
        // Distinct members of a checked set: their sum is at most its total, which fits.
        Weight(weights.fold(0, u64::saturating_add))
    }

    /// Positions in the trusted set of those who signed every link. Bitmaps speak of the new set's
    /// positions, so signers are found by their key.
    fn vouching(&self, block: &LightBlock) -> BTreeSet<usize> {
        if !self.tells_signers(&block.validators) {
            return BTreeSet::new();
        }
        let signers = block.proof.links.iter().map(|link| -> BTreeSet<usize> {
            let positions = link.certificate.positions();
            let members = positions.filter_map(|position| block.validators.members.get(position));
            members.filter_map(|member| self.next.position(&member.public_key)).collect()
        });
        signers.reduce(|all, link| &all & &link).unwrap_or_default()
    }

    /// Whether a certificate under this set's keys says who signed. An aggregate does so only if every
    /// owner has proven to hold its key's secret, which has been looked at for the set that we trust.
    /// In any other, somebody may have made up a key that cancels out those of all others.
    fn tells_signers(&self, set: &ValidatorSet) -> bool {
        set.scheme == Scheme::Ed25519List || set == self.next.set()
    }

    fn of(
        header: &Header,
        block: &LightBlock,
        electorate: &Arc<Electorate>,
    ) -> Result<Self, LightError> {
        let next = match &block.next_validators {
            Some(set) => Arc::new(Electorate::new(set.clone())?),
            None => Arc::clone(electorate),
        };
        Ok(Self { tip: TrustedTip::of(header), next })
    }
}

/// A decided header with all that a light client needs to verify it and to go on from it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LightBlock {
    /// The header and why it is final.
    pub proof: FinalityProof,
    /// The validators that decided it.
    pub validators: ValidatorSet,
    /// The validators that decide the next block; none when they are the same.
    pub next_validators: Option<ValidatorSet>,
}

impl Wire for LightBlock {
    const MAX_BYTES: usize = FinalityProof::MAX_BYTES + 1 + 2 * ValidatorSet::MAX_BYTES;
}

impl LightBlock {
    /// Puts together what a node has stored. Nothing is checked.
    pub fn new(
        proof: FinalityProof,
        validators: ValidatorSet,
        next_validators: ValidatorSet,
    ) -> Self {
        let next_validators = Some(next_validators).filter(|next| *next != validators);
        Self { proof, validators, next_validators }
    }

    /// The header, unchecked.
    pub fn header(&self) -> Option<&Header> {
        self.proof.header()
    }

    /// The sets given are those that the header names.
    fn check_sets(&self, header: &Header) -> Result<(), LightError> {
        let (got, expected) = (self.validators.hash(), header.validators);
        if got != expected {
            return Err(LightError::Validators { got, expected });
        }
        let expected = header.next_validators;
        // A set that stays in office is not sent twice: one block has one form.
        let got = self.next_validators.as_ref().map_or(header.validators, ValidatorSet::hash);
        if got != expected || (self.next_validators.is_some() && got == header.validators) {
            return Err(LightError::NextValidators { got, expected });
        }
        Ok(())
    }
}

/// A block that somebody one trusts has named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The network.
    pub chain: ChainId,
    /// The block's height, at least 1.
    pub height: Height,
    /// The block.
    pub block: BlockId,
}

impl Wire for Checkpoint {
    const MAX_BYTES: usize = 32 + 8 + 32;
}

/// How a light client judges times. All of it is its own, nothing that peers must agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// For how long a header vouches for later ones.
    pub period: TrustingPeriod,
    /// How far ahead of the own clock a header's time may be.
    pub max_drift: Duration,
}

impl Rules {
    /// Whether a header of this time still vouches for others: through the period's last millisecond,
    /// and no longer.
    ///
    /// # Errors
    ///
    /// [`LightError::Expired`] when it doesn't.
    pub fn check_age(&self, trusted: Timestamp, now: Timestamp) -> Result<(), LightError> {
        let period = self.period.duration();
        if now > trusted.after(period) && !trap!("light_expired") {
            return Err(LightError::Expired { trusted, now, period });
        }
        Ok(())
    }

    fn check_ahead(&self, got: Timestamp, now: Timestamp) -> Result<(), LightError> {
        let latest = now.after(self.max_drift);
        if got > latest { Err(LightError::Ahead { got, latest }) } else { Ok(()) }
    }
}

/// For how long a header vouches for later ones: shorter than misbehaviour is punished, which is no
/// longer than the stake of those who leave stays locked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TrustingPeriod(Duration);

impl TrustingPeriod {
    /// Checks a period against the network's parameters: `evidence_age` is how old an offence may be
    /// to be punished, `unbonding` how long a leaver's stake stays locked. Parameters in blocks become
    /// times by the *shortest* time that a block takes.
    ///
    /// # Errors
    ///
    /// [`TrustingPeriodError`] unless `0 < period < evidence_age <= unbonding`.
    pub const fn new(
        period: Duration,
        evidence_age: Duration,
        unbonding: Duration,
    ) -> Result<Self, TrustingPeriodError> {
        if period.0 == 0 {
            return Err(TrustingPeriodError::Zero);
        }
        if period.0 >= evidence_age.0 {
            return Err(TrustingPeriodError::EvidenceAge { period, evidence_age });
        }
        if evidence_age.0 > unbonding.0 {
            return Err(TrustingPeriodError::Unbonding { evidence_age, unbonding });
        }
        Ok(Self(period))
    }

    /// The period itself.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Why a trusting period protects nobody. The configuration is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TrustingPeriodError {
    /// No header would ever vouch for another.
    #[error("the trusting period must be positive")]
    Zero,
    /// A lie told at the end of the period would go unpunished.
    #[error(
        "a trusting period of {} ms must be shorter than the {} ms for which evidence is accepted",
        period.0, evidence_age.0
    )]
    EvidenceAge {
        /// The period wanted.
        period: Duration,
        /// How old evidence may be.
        evidence_age: Duration,
    },
    /// The liar's stake would be gone before the evidence.
    #[error(
        "evidence is accepted for {} ms, longer than the {} ms for which stake stays locked",
        evidence_age.0, unbonding.0
    )]
    Unbonding {
        /// How old evidence may be.
        evidence_age: Duration,
        /// How long stake stays locked.
        unbonding: Duration,
    },
}

/// Why a header is not trusted. Nothing has changed. Whoever supplied the block is at fault, unless
/// said otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LightError {
    /// The *trusted* header is too old to vouch for others: get a new checkpoint from somebody you
    /// trust. Nobody's fault but the host's, who was away for too long.
    #[error(
        "the trusted header (time {}) is too old at {}: it vouched for {} ms",
        trusted.0, now.0, period.0
    )]
    Expired {
        /// Time of the trusted header.
        trusted: Timestamp,
        /// The own clock.
        now: Timestamp,
        /// The trusting period.
        period: Duration,
    },
    /// The header lies in the future, or the own clock is behind.
    #[error("header time {} is ahead of the clock, at most {} is accepted", got.0, latest.0)]
    Ahead {
        /// The header's time.
        got: Timestamp,
        /// The latest time accepted.
        latest: Timestamp,
    },
    /// The header is earlier than the trusted one and the blocks between allow.
    #[error("header time {} is too early, at this height it is {} or later", got.0, earliest.0)]
    Early {
        /// The header's time.
        got: Timestamp,
        /// The earliest time possible.
        earliest: Timestamp,
    },
    /// Not later than the trusted header, or not at the checkpoint's height.
    #[error("height {}, the trusted header's is {}", got.0, trusted.0)]
    Height {
        /// The header's height.
        got: Height,
        /// The trusted height.
        trusted: Height,
    },
    /// From another network.
    #[error("header of network {got}, expected {expected}")]
    Chain {
        /// The header's network.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// Another validator set, though no later epoch than that of the set we trust.
    #[error("another validator set of epoch {}, the trusted one is of epoch {}", got.0, trusted.0)]
    Epoch {
        /// The header's epoch.
        got: Epoch,
        /// The trusted set's epoch.
        trusted: Epoch,
    },
    /// The validator set given is not the header's.
    #[error("validator set {got}, the header says {expected}")]
    Validators {
        /// Hash of the set given.
        got: Hash,
        /// Hash in the header.
        expected: Hash,
    },
    /// The next validator set is not the header's, is missing, or is given though it is the same.
    #[error("next validator set {got}, the header says {expected}")]
    NextValidators {
        /// Hash of the set given, or of the header's own set when none is given.
        got: Hash,
        /// Hash in the header.
        expected: Hash,
    },
    /// Too few of the trusted validators signed, or by aggregates of another set, which don't tell.
    /// Nobody is at fault: try a header in between.
    #[error("signers weigh {} of the {} that are trusted: more than a third must sign", got.0, total.0)]
    Overlap {
        /// Weight, in the trusted set, of the signers.
        got: Weight,
        /// Weight of the trusted set.
        total: Weight,
    },
    /// Not the block of the checkpoint.
    #[error("block {got}, the checkpoint is {expected}")]
    Checkpoint {
        /// The block given.
        got: BlockId,
        /// The block named.
        expected: BlockId,
    },
    /// The header is not decided, or doesn't follow its trusted parent.
    #[error(transparent)]
    Finality(#[from] FinalityError),
    /// A validator set can't be used.
    #[error(transparent)]
    Set(#[from] ValidatorSetError),
}

fn header_of(block: &LightBlock, chain: ChainId) -> Result<&Header, LightError> {
    let header = block.header().ok_or(FinalityError::Links { got: 0, expected: 1 })?;
    if header.version != VERSION {
        return Err(FinalityError::Version { got: header.version }.into());
    }
    if header.chain != chain {
        return Err(LightError::Chain { got: header.chain, expected: chain });
    }
    Ok(header)
}

/// Sets rarely change, and checking one costs a decompression per member.
fn share(set: &ValidatorSet, like: &Arc<Electorate>) -> Result<Arc<Electorate>, ValidatorSetError> {
    if set == like.set() {
        Ok(Arc::clone(like))
    } else {
        Ok(Arc::new(Electorate::new(set.clone())?))
    }
}
