//! Two headers at one height, both verified from one that is trusted.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{LightBlock, LightError, Trusted, header_of};
use crate::block::Header;
use crate::codec::{BoundError, List, Wire};
use crate::evidence::Evidence;
use crate::finality::{FinalityError, TrustedTip};
use crate::hash::Hash;
use crate::id::BlockId;
use crate::key::{PublicKey, Signature};
use crate::number::Height;
use crate::scheme::Scheme;
use crate::validator::ValidatorSet;
use crate::vote::{Certificate, Vote};

/// The most headers on the way from the common header to either of the two that conflict.
pub const MAX_STEPS: usize = 8;

/// A fork: proof that more than a third of the weight broke the protocol. Self-contained, so that
/// anyone who knows the common header can check it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Divergence {
    /// The trusted header that both sides are verified from.
    pub from: TrustedTip,
    /// The validators that decide the block after it.
    pub validators: ValidatorSet,
    /// Blocks of which each is verified from the one before; the last one has the smaller id.
    pub one: List<LightBlock, MAX_STEPS>,
    /// The same, ending at the same height with the larger id.
    pub other: List<LightBlock, MAX_STEPS>,
}

impl Wire for Divergence {
    const MAX_BYTES: usize = TrustedTip::MAX_BYTES
        + ValidatorSet::MAX_BYTES
        + 2 * (8 + MAX_STEPS * LightBlock::MAX_BYTES);
}

/// Who is to blame for a fork, as far as the judge can tell. Keys increase.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Blame {
    /// Both blocks were decided in one round by one set. Everybody who signed both is **guilty**.
    Equivocation {
        /// Who signed both; more than a third of the set's weight.
        guilty: Vec<PublicKey>,
        /// What the ledger punishes: one piece for each, if the certificates' scheme lets single
        /// votes be taken out.
        evidence: Vec<Evidence>,
    },
    /// Decided in different rounds by one set. An honest validator may have signed both if a
    /// certificate of a round in between unlocked it; the liars among these can only be told by what
    /// they signed there. They are **suspects**.
    Amnesia {
        /// Who signed both; more than a third of the set's weight.
        suspects: Vec<PublicKey>,
    },
    /// A side takes the step to a header that is not the judge's, for the judge has the chain at least
    /// that far.
    Lunatic {
        /// Validators in office who signed a header by which others were: no honest one does, so they
        /// are **guilty**.
        guilty: Vec<PublicKey>,
        /// Signers of a header that names the right validators. It conflicts with the judge's own, and
        /// the two certificates together tell more, as above: they are **suspects**.
        suspects: Vec<PublicKey>,
    },
    /// Decided by different sets, and the judge doesn't have the chain at these heights. Those of one
    /// side at least are guilty: they are **suspects** until somebody says of which.
    Disputed {
        /// Trusted validators who signed for [`Divergence::one`].
        one: Vec<PublicKey>,
        /// Trusted validators who signed for [`Divergence::other`].
        other: Vec<PublicKey>,
    },
}

/// Why a divergence proves nothing. Whoever made it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DivergenceError {
    /// It starts from a header that is not on the chain we know.
    #[error("starts from block {got} at height {}, which the judge doesn't know", height.0)]
    Unknown {
        /// The block it starts from.
        got: BlockId,
        /// That block's height.
        height: Height,
    },
    /// The two sides don't end at one height.
    #[error("the sides end at heights {} and {}", one.0, other.0)]
    Heights {
        /// Height of the first.
        one: Height,
        /// Height of the second.
        other: Height,
    },
    /// They end with the same block, or come in the wrong order.
    #[error("the sides must end with different blocks, the smaller id first")]
    NoConflict,
    /// The first side doesn't follow from the common header.
    #[error("the first side: {0}")]
    One(LightError),
    /// The second side doesn't follow from the common header.
    #[error("the second side: {0}")]
    Other(LightError),
}

impl Divergence {
    /// Two sides in canonical order. Nothing else is checked.
    ///
    /// # Errors
    ///
    /// [`BoundError`] when one of them takes more than [`MAX_STEPS`].
    pub fn between(
        from: &Trusted,
        a: Vec<LightBlock>,
        b: Vec<LightBlock>,
    ) -> Result<Self, BoundError> {
        let id = |side: &[LightBlock]| side.last().and_then(LightBlock::header).map(Header::id);
        let (one, other) = if id(&a) <= id(&b) { (a, b) } else { (b, a) };
        let (one, other) = (List::new(one)?, List::new(other)?);
        Ok(Self { from: *from.tip(), validators: from.next().set().clone(), one, other })
    }

    /// The last header of [`Divergence::one`], unchecked.
    pub fn one_header(&self) -> Option<&Header> {
        self.one.last()?.header()
    }

    /// The last header of [`Divergence::other`], unchecked.
    pub fn other_header(&self) -> Option<&Header> {
        self.other.last()?.header()
    }

    /// Checks the fork in full, and says who is to blame. `known` is what the judge itself trusts at a
    /// height: it must know [`Divergence::from`] (from a header that somebody made up, anything
    /// follows), and who knows the heights above as well can tell which side is false. How old a fork
    /// may be is for the judge to say.
    ///
    /// # Errors
    ///
    /// [`DivergenceError`] naming the first violation. Each signature is checked once.
    pub fn verify(
        &self,
        known: impl Fn(Height) -> Option<TrustedTip>,
    ) -> Result<Blame, DivergenceError> {
        let (got, height) = (self.from.block, self.from.height);
        if known(height) != Some(self.from) {
            return Err(DivergenceError::Unknown { got, height });
        }
        if let (Some(one), Some(other)) = (self.one_header(), self.other_header()) {
            if one.height != other.height {
                return Err(DivergenceError::Heights { one: one.height, other: other.height });
            }
            if one.id() >= other.id() {
                return Err(DivergenceError::NoConflict);
            }
        }
        let trusted = Trusted::new(self.from, self.validators.clone());
        let trusted = trusted.map_err(DivergenceError::One)?;
        let one = walk(&trusted, &self.one).map_err(DivergenceError::One)?;
        let other = walk(&trusted, &self.other).map_err(DivergenceError::Other)?;
        if let (Some(a), Some(b)) = (self.one.last(), self.other.last())
            && a.validators == b.validators
            && one.last().is_some_and(|step| {
                step.tells_signers(&known) && step.is_in_office(&known) != Some(false)
            })
        {
            return Ok(blame_one_set(a, b));
        }
        let (mut guilty, mut suspects) = (BTreeSet::new(), BTreeSet::new());
        for step in [first_false(&one, &known), first_false(&other, &known)].into_iter().flatten() {
            let is_lunatic = step.is_in_office(&known) == Some(false);
            let blamed = if is_lunatic { &mut guilty } else { &mut suspects };
            blamed.extend(step.vouching.iter().copied());
        }
        if !guilty.is_empty() || !suspects.is_empty() {
            let (guilty, suspects) = (guilty.into_iter().collect(), suspects.into_iter().collect());
            return Ok(Blame::Lunatic { guilty, suspects });
        }
        let all = |side: &[Step]| {
            let sure = side.iter().filter(|step| step.tells_signers(&known));
            let keys = sure.flat_map(|step| step.vouching.iter().copied());
            keys.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Ok(Blame::Disputed { one: all(&one), other: all(&other) })
    }
}

/// A verified block of a side, and the validators trusted before it who signed it.
struct Step {
    tip: TrustedTip,
    /// The set that decided it.
    validators: Hash,
    /// Whether its keys are the common header's, or nobody's votes can be made up with others.
    proven: bool,
    vouching: Vec<PublicKey>,
}

impl Step {
    /// Whether the set that decided it was the right one, if the judge knows the header before.
    fn is_in_office(&self, known: impl Fn(Height) -> Option<TrustedTip>) -> Option<bool> {
        Some(known(self.tip.height.previous()?)?.next_validators == self.validators)
    }

    /// Whether those who seem to have signed have: see [`Trusted::tells_signers`]. Not by aggregates
    /// of a set that a side brings along itself and the judge doesn't know.
    fn tells_signers(&self, known: impl Fn(Height) -> Option<TrustedTip>) -> bool {
        self.proven || self.is_in_office(known) == Some(true)
    }
}

/// The step at which a side leaves the judge's chain, if the judge can follow so far.
fn first_false(side: &[Step], known: impl Fn(Height) -> Option<TrustedTip>) -> Option<&Step> {
    side.iter()
        .find(|step| known(step.tip.height) != Some(step.tip))
        .filter(|step| known(step.tip.height).is_some())
}

fn walk(from: &Trusted, side: &[LightBlock]) -> Result<Vec<Step>, LightError> {
    if side.is_empty() {
        return Err(FinalityError::Links { got: 0, expected: 1 }.into());
    }
    let mut trusted = from.clone();
    let mut steps = Vec::with_capacity(side.len());
    for block in side {
        let header = header_of(block, trusted.tip.chain)?;
        let next = trusted.follow(header, block)?;
        let places = trusted.vouching(block).into_iter();
        let members = places.filter_map(|place| trusted.next.member(place));
        let vouching = members.map(|member| member.public_key).collect();
        let apart = block.validators.scheme == Scheme::Ed25519List;
        let proven = apart || header.validators == from.next.hash();
        steps.push(Step { tip: next.tip, validators: header.validators, proven, vouching });
        trusted = next;
    }
    Ok(steps)
}

/// The blame for two verified blocks that one set decided.
fn blame_one_set(a: &LightBlock, b: &LightBlock) -> Blame {
    let set = &a.validators;
    let mut offenders: BTreeMap<PublicKey, Option<Evidence>> = BTreeMap::new();
    let mut suspects = BTreeSet::new();
    for one in a.proof.links.iter().map(|link| &link.certificate) {
        let ones = signed(one, set);
        for other in b.proof.links.iter().map(|link| &link.certificate) {
            let others = signed(other, set);
            let both = ones.iter().filter_map(|(key, vote)| Some((key, vote, others.get(key)?)));
            let equivocal =
                one.data.slot() == other.data.slot() && one.data.block != other.data.block;
            for (key, vote, conflicting) in both {
                suspects.insert(*key);
                if equivocal {
                    let votes = vote.zip(*conflicting);
                    let evidence = votes.map(|(a, b)| Evidence::equivocation(a, b));
                    offenders.entry(*key).or_insert(evidence);
                }
            }
        }
    }
    if offenders.is_empty() {
        return Blame::Amnesia { suspects: suspects.into_iter().collect() };
    }
    let guilty = offenders.keys().copied().collect();
    Blame::Equivocation { guilty, evidence: offenders.into_values().flatten().collect() }
}

/// Signers of a verified certificate, with their votes where the scheme keeps them apart.
fn signed(certificate: &Certificate, set: &ValidatorSet) -> BTreeMap<PublicKey, Option<Vote>> {
    let apart = certificate.scheme == Scheme::Ed25519List;
    let signatures = if apart { certificate.signatures.as_chunks::<64>().0 } else { &[] };
    let members = certificate.positions().filter_map(|position| set.members.get(position));
    let keys = members.map(|member| member.public_key);
    let vote = |(index, signer): (usize, PublicKey)| {
        let signature = signatures.get(index).copied().map(Signature);
        (
            signer,
            signature.map(|signature| Vote {
                data: certificate.data,
                signer,
                signature: signature.into(),
            }),
        )
    };
    keys.enumerate().map(vote).collect()
}
