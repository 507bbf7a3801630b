//! The last decided block, with everything that deciding the next one needs.

use alloc::sync::Arc;

use pocket_types::block::Header;
use pocket_types::candidacy::Seed;
use pocket_types::finality::{FinalityError, FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::light::LightBlock;
use pocket_types::number::{Epoch, Height, Timestamp};
use pocket_types::validator::{Electorate, ValidatorSet, ValidatorSetError};
use pocket_types::vote::Certificate;
use thiserror::Error;

use crate::election::{SeedError, SeedRule, Seeds};

/// The last decided block (or genesis) and the validator sets around it.
///
/// Executing the block at height h yields the set of height h + 2: a tip at h knows the sets of h,
/// h + 1 and h + 2.
#[derive(Clone, Debug)]
pub struct Tip {
    trusted: TrustedTip,
    randomness: Hash,
    seeds: Option<Seeds>,
    decision: Option<Arc<Decision>>,
    validators: Arc<Electorate>,
    next_validators: Arc<Electorate>,
}

/// What decided the tip; genesis has none.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) certificate: Certificate,
    pub(crate) electorate: Arc<Electorate>,
}

/// Why a block doesn't make a tip. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TipError {
    /// The proof does not hold. Whoever supplied it is at fault.
    #[error(transparent)]
    Finality(#[from] FinalityError),
    /// The validator set that execution yielded can't be used. The host is at fault.
    #[error(transparent)]
    Set(#[from] ValidatorSetError),
    /// The set that execution yielded doesn't count on from the one before. The host is at fault.
    #[error("validator set of epoch {got} follows one of epoch {previous}")]
    Epoch {
        /// Its epoch.
        got: Epoch,
        /// The epoch before.
        previous: Epoch,
    },
    /// A stored set is not the one that the stored header names. The host's store is at fault.
    #[error("validator set {got} where the header says {expected}")]
    WrongSet {
        /// Hash of the set given.
        got: Hash,
        /// Hash in the header.
        expected: Hash,
    },
}

impl Tip {
    /// The tip of a chain without blocks. `time` is the genesis' own: the first block must be later.
    /// The genesis set decides the first two blocks.
    ///
    /// # Errors
    ///
    /// [`TipError::Set`] when the set can't be used.
    pub fn genesis(
        chain: ChainId,
        time: Timestamp,
        randomness: Hash,
        validators: ValidatorSet,
    ) -> Result<Self, TipError> {
        let electorate = Electorate::new(validators)?;
        Ok(Self::genesis_of(chain, time, randomness, electorate))
    }

    /// As [`Tip::genesis`], for an electorate that the caller has made
    /// ([`Electorate::with_verifier`]); all later sets follow it in kind.
    pub fn genesis_of(
        chain: ChainId,
        time: Timestamp,
        randomness: Hash,
        validators: Electorate,
    ) -> Self {
        let validators = Arc::new(validators);
        let trusted = TrustedTip {
            chain,
            height: Height::GENESIS,
            block: BlockId::default(),
            time,
            next_validators: validators.hash(),
        };
        let next_validators = Arc::clone(&validators);
        Self { trusted, randomness, seeds: None, decision: None, validators, next_validators }
    }

    /// The tip that a host finds in its own store: the proof of the last block, and the sets of its
    /// height and the next two. The proof is checked in full.
    ///
    /// # Errors
    ///
    /// [`TipError`] naming what doesn't fit.
    pub fn stored(
        proof: &FinalityProof,
        decided_by: ValidatorSet,
        validators: ValidatorSet,
        next_validators: ValidatorSet,
    ) -> Result<Self, TipError> {
        Self::stored_of(proof, Electorate::new(decided_by)?, validators, next_validators)
    }

    /// The tip at a block that a light client came to trust
    /// ([`light::Output::Trusted`](crate::light::Output::Trusted)). The set of the height two later
    /// lies in the state whose root the block's header names, and is the caller's to vouch for.
    ///
    /// # Errors
    ///
    /// As [`Tip::stored`].
    pub fn certified(block: LightBlock, later: ValidatorSet) -> Result<Self, TipError> {
        let LightBlock { proof, validators, next_validators } = block;
        let next = next_validators.unwrap_or_else(|| validators.clone());
        Self::stored(&proof, validators, next, later)
    }

    /// As [`Tip::stored`], for an electorate that the caller has made
    /// ([`Electorate::with_verifier`]); the other sets follow it in kind.
    ///
    /// # Errors
    ///
    /// As [`Tip::stored`].
    pub fn stored_of(
        proof: &FinalityProof,
        decided_by: Electorate,
        validators: ValidatorSet,
        next_validators: ValidatorSet,
    ) -> Result<Self, TipError> {
        let electorate = Arc::new(decided_by);
        let header = proof.verify(&electorate)?;
        let validators = share(validators, &electorate)?;
        if validators.hash() != header.next_validators {
            return Err(TipError::WrongSet {
                got: validators.hash(),
                expected: header.next_validators,
            });
        }
        let next_validators = share(next_validators, &validators)?;
        Ok(Self {
            trusted: TrustedTip::of(header),
            randomness: header.randomness,
            seeds: None,
            decision: Some(Arc::new(Decision { certificate: certificate(proof)?, electorate })),
            validators,
            next_validators,
        })
    }

    /// The tip with the seed of the election after it, where leaders are elected; tips that follow
    /// carry it on. Takes the genesis' randomness, and the headers of the heights that
    /// [`SeedRule::reads`] names for this tip, which the caller vouches for ([`crate::election`]).
    ///
    /// # Errors
    ///
    /// [`SeedError`] naming what doesn't fit the tip.
    pub fn with_seed(
        mut self,
        rule: SeedRule,
        genesis: Hash,
        headers: &[Header],
    ) -> Result<Self, SeedError> {
        if !rule.is_valid() {
            return Err(SeedError::Rule(rule));
        }
        let expected = rule.reads(self.height());
        if headers.len() as u64 != expected.end - expected.start {
            return Err(SeedError::Count { got: headers.len(), expected });
        }
        if self.height() == Height::GENESIS && genesis != self.randomness {
            return Err(SeedError::Genesis { got: genesis, expected: self.randomness });
        }
        let mut seeds = Seeds::new(rule, genesis);
        for (index, (header, height)) in headers.iter().zip(expected).enumerate() {
            if header.height.0 != height {
                let (got, expected) = (header.height, Height(height));
                return Err(SeedError::Height { got, expected });
            }
            if header.chain != self.chain() {
                let (got, expected) = (header.chain, self.chain());
                return Err(SeedError::WrongChain { got, expected });
            }
            let next = headers.get(index + 1).map(|next| next.parent);
            let known = next.or_else(|| (header.height == self.height()).then(|| self.block()));
            let got = header.id();
            if let Some(expected) = known.filter(|known| *known != got) {
                return Err(SeedError::OffChain { height: header.height, got, expected });
            }
            seeds.push(header);
        }
        self.seeds = Some(seeds);
        Ok(self)
    }

    /// The tip after the next decided block, checked in full; the proof must be that block's own, not a
    /// descendant's. `change` is the set of the height two later if executing the block changes it.
    ///
    /// # Errors
    ///
    /// [`TipError`] naming what doesn't follow.
    pub fn after(
        &self,
        proof: &FinalityProof,
        change: Option<ValidatorSet>,
    ) -> Result<Self, TipError> {
        let mut trusted = self.trusted;
        let header = trusted.advance(proof, &self.validators)?;
        let next = self.electorate_of(change)?;
        Ok(self.follow(trusted, header, certificate(proof)?, next))
    }

    /// [`Tip::after`] for a block and the certificate that decided it, its own or a descendant's, which
    /// have been checked already.
    pub(crate) fn after_checked(
        &self,
        header: &Header,
        certificate: Certificate,
        next: Arc<Electorate>,
    ) -> Self {
        let own = certificate.data.height == header.height;
        let id = if own { certificate.data.block } else { header.id() };
        let trusted = TrustedTip::of_block(id, header);
        self.follow(trusted, header, certificate, next)
    }

    /// The same tip, but the set that decided it decides on.
    pub(crate) fn held(&self) -> Self {
        let mut held = self.clone();
        if let Some(decision) = &self.decision {
            held.validators = Arc::clone(&decision.electorate);
            held.next_validators = Arc::clone(&decision.electorate);
        }
        held
    }

    /// This tip with another checked certificate for its block.
    pub(crate) fn with_certificate(&self, certificate: Certificate) -> Self {
        let mut tip = self.clone();
        if let Some(decision) = &self.decision {
            let electorate = Arc::clone(&decision.electorate);
            tip.decision = Some(Arc::new(Decision { certificate, electorate }));
        }
        tip
    }

    /// Whether somebody votes at this height or the next, or did for the tip.
    pub(crate) fn is_voter(&self, key: &PublicKey) -> bool {
        let past = self.decision.as_ref().map(|decision| &decision.electorate);
        let electorates = [&self.validators, &self.next_validators].into_iter().chain(past);
        electorates.into_iter().any(|electorate| electorate.position(key).is_some())
    }

    /// The electorate two heights after the next block, which yielded `change`.
    pub(crate) fn electorate_of(
        &self,
        change: Option<ValidatorSet>,
    ) -> Result<Arc<Electorate>, TipError> {
        let Some(set) = change else { return Ok(Arc::clone(&self.next_validators)) };
        let previous = self.next_validators.epoch();
        if set.epoch != previous.next() {
            return Err(TipError::Epoch { got: set.epoch, previous });
        }
        Ok(Arc::new(self.next_validators.succeed(set)?))
    }

    fn follow(
        &self,
        trusted: TrustedTip,
        header: &Header,
        certificate: Certificate,
        next: Arc<Electorate>,
    ) -> Self {
        let mut seeds = self.seeds.clone();
        if let Some(seeds) = &mut seeds {
            seeds.push(header);
        }
        Self {
            trusted,
            randomness: header.randomness,
            seeds,
            decision: Some(Arc::new(Decision {
                certificate,
                electorate: Arc::clone(&self.validators),
            })),
            validators: Arc::clone(&self.next_validators),
            next_validators: next,
        }
    }

    /// The network.
    pub const fn chain(&self) -> ChainId {
        self.trusted.chain
    }

    /// Height of the last decided block; 0 at genesis.
    pub const fn height(&self) -> Height {
        self.trusted.height
    }

    /// The last decided block; zero at genesis.
    pub const fn block(&self) -> BlockId {
        self.trusted.block
    }

    /// Time of the last decided block.
    pub const fn time(&self) -> Timestamp {
        self.trusted.time
    }

    /// The beacon's value at the last decided block.
    pub const fn randomness(&self) -> Hash {
        self.randomness
    }

    /// The seed of the election of the next height's leaders, if the tip knows it.
    pub fn seed(&self) -> Option<Seed> {
        self.seeds.as_ref().map(Seeds::seed)
    }

    /// By which rule it knows seeds.
    pub fn seed_rule(&self) -> Option<SeedRule> {
        self.seeds.as_ref().map(Seeds::rule)
    }

    /// The certificate that decided the block; none at genesis.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.decision.as_ref().map(|decision| &decision.certificate)
    }

    /// The tip as gateways and light clients trust it.
    pub const fn trusted(&self) -> TrustedTip {
        self.trusted
    }

    pub(crate) fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    /// Who decides the next block.
    pub const fn validators(&self) -> &Arc<Electorate> {
        &self.validators
    }

    /// Who decides the block after the next.
    pub const fn next_validators(&self) -> &Arc<Electorate> {
        &self.next_validators
    }
}

fn certificate(proof: &FinalityProof) -> Result<Certificate, FinalityError> {
    let link = proof.links.first().ok_or(FinalityError::Links { got: 0, expected: 1 })?;
    Ok(link.certificate.clone())
}

/// Sets rarely change, and checking one costs a decompression per member.
fn share(set: ValidatorSet, like: &Arc<Electorate>) -> Result<Arc<Electorate>, ValidatorSetError> {
    if set == *like.set() { Ok(Arc::clone(like)) } else { Ok(Arc::new(like.succeed(set)?)) }
}
