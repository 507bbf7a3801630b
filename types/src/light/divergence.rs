//! Two headers at one height, both proved from one trusted header.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{LightBlock, LightError, Trusted, header_of};
use crate::block::Header;
use crate::codec::Wire;
use crate::evidence::Evidence;
use crate::finality::TrustedTip;
use crate::id::BlockId;
use crate::key::{PublicKey, Signature};
use crate::number::Height;
use crate::validator::ValidatorSet;
use crate::vote::{Certificate, Scheme, Vote};

/// A fork: proof that more than a third of the weight broke the protocol. Self-contained, so that
/// anyone who knows the common header can check it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Divergence {
    /// The trusted header that both blocks are verified from, in one step each.
    pub from: TrustedTip,
    /// The validators that decide the block after it.
    pub validators: ValidatorSet,
    /// The block with the smaller id.
    pub one: LightBlock,
    /// The block with the larger id, at the same height.
    pub other: LightBlock,
}

impl Wire for Divergence {
    const MAX_BYTES: usize =
        TrustedTip::MAX_BYTES + ValidatorSet::MAX_BYTES + 2 * LightBlock::MAX_BYTES;
}

/// Who is to blame for a fork, as far as its two certificates tell.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Blame {
    /// Both blocks were decided in one round by one set. Everybody who signed both is **guilty**.
    Equivocation {
        /// Who signed both, by increasing key; more than a third of the set's weight.
        guilty: Vec<PublicKey>,
        /// What the ledger punishes: one piece for each, if the certificates' scheme lets single
        /// votes be taken out.
        evidence: Vec<Evidence>,
    },
    /// Decided in different rounds by one set. An honest validator may have signed both if a
    /// certificate of a round in between unlocked it; the liars among these can only be told by what
    /// they signed there. They are **suspects**.
    Amnesia {
        /// Who signed both, by increasing key; more than a third of the set's weight.
        suspects: Vec<PublicKey>,
    },
    /// Decided by different sets, so one of the headers names validators that were never in office.
    /// Of the trusted validators, those who signed that header are guilty, whichever it is: they are
    /// **suspects** until somebody who has the chain says which. Who signed both is guilty either way.
    Lunatic {
        /// Trusted validators who signed [`Divergence::one`], by increasing key.
        one: Vec<PublicKey>,
        /// Trusted validators who signed [`Divergence::other`], by increasing key.
        other: Vec<PublicKey>,
    },
}

/// Why a divergence proves nothing. Whoever made it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DivergenceError {
    /// It starts from a header that is not on the chain we know.
    #[error(
        "starts from block {got} at height {}, which is not what we trust at height {}",
        got_height.0, known_height.0
    )]
    Unknown {
        /// The block it starts from.
        got: BlockId,
        /// That block's height.
        got_height: Height,
        /// The height of the tip it was checked against.
        known_height: Height,
    },
    /// The blocks are not at one height.
    #[error("the blocks are at heights {} and {}", one.0, other.0)]
    Heights {
        /// Height of the first.
        one: Height,
        /// Height of the second.
        other: Height,
    },
    /// The blocks are the same, or come in the wrong order.
    #[error("the blocks must differ, the smaller id first")]
    NoConflict,
    /// The first block doesn't follow from the common header.
    #[error("the first block: {0}")]
    One(LightError),
    /// The second block doesn't follow from the common header.
    #[error("the second block: {0}")]
    Other(LightError),
}

impl Divergence {
    /// Two blocks in canonical order. Nothing is checked.
    pub fn between(from: &Trusted, a: LightBlock, b: LightBlock) -> Self {
        let id = |block: &LightBlock| block.header().map(Header::id);
        let (one, other) = if id(&a) <= id(&b) { (a, b) } else { (b, a) };
        Self { from: *from.tip(), validators: from.next().set().clone(), one, other }
    }

    /// Checks the fork in full, and says who is to blame. `known` is what the caller itself trusts at
    /// the height of [`Divergence::from`]: from a header that somebody made up, anything follows. How
    /// old a fork may be is for the caller to say.
    ///
    /// # Errors
    ///
    /// [`DivergenceError`] naming the first violation; signatures are checked last, each once.
    pub fn verify(&self, known: &TrustedTip) -> Result<Blame, DivergenceError> {
        if self.from != *known {
            return Err(DivergenceError::Unknown {
                got: self.from.block,
                got_height: self.from.height,
                known_height: known.height,
            });
        }
        let one = header_of(&self.one, known.chain).map_err(DivergenceError::One)?;
        let other = header_of(&self.other, known.chain).map_err(DivergenceError::Other)?;
        if one.height != other.height {
            return Err(DivergenceError::Heights { one: one.height, other: other.height });
        }
        if one.id() >= other.id() {
            return Err(DivergenceError::NoConflict);
        }
        let trusted = Trusted::new(self.from, self.validators.clone());
        let trusted = trusted.map_err(DivergenceError::One)?;
        trusted.follow(one, &self.one).map_err(DivergenceError::One)?;
        trusted.follow(other, &self.other).map_err(DivergenceError::Other)?;
        Ok(self.blame(&trusted))
    }

    /// The blame of a fork whose two blocks were verified from `trusted`.
    fn blame(&self, trusted: &Trusted) -> Blame {
        if self.one.validators != self.other.validators {
            let keys = |block| {
                let positions = trusted.vouching(block).into_iter();
                positions.filter_map(|p| Some(trusted.next().member(p)?.public_key)).collect()
            };
            return Blame::Lunatic { one: keys(&self.one), other: keys(&self.other) };
        }
        let set = &self.one.validators;
        let mut offenders: BTreeMap<PublicKey, Option<Evidence>> = BTreeMap::new();
        let mut suspects = BTreeSet::new();
        for one in self.one.proof.links.iter().map(|link| &link.certificate) {
            let ones = signed(one, set);
            for other in self.other.proof.links.iter().map(|link| &link.certificate) {
                let others = signed(other, set);
                let both =
                    ones.iter().filter_map(|(key, vote)| Some((key, vote, others.get(key)?)));
                let (a, b) = (&one.data, &other.data);
                let equivocal = a.slot() == b.slot() && a.block != b.block;
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
}

/// Signers of a verified certificate, with their votes where the scheme keeps them apart.
fn signed(certificate: &Certificate, set: &ValidatorSet) -> BTreeMap<PublicKey, Option<Vote>> {
    let apart = certificate.scheme == Scheme::Ed25519List;
    let signatures = if apart { certificate.signatures.as_chunks::<64>().0 } else { &[] };
    let members = certificate.positions().filter_map(|position| set.members.get(position));
    let keys = members.map(|member| member.public_key);
    let vote = |(index, signer): (usize, PublicKey)| {
        let signature = signatures.get(index).copied().map(Signature);
        (signer, signature.map(|signature| Vote { data: certificate.data, signer, signature }))
    };
    keys.enumerate().map(vote).collect()
}
