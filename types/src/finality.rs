//! Proof that a block is decided, and that headers follow each other: all a gateway or light client
//! needs to trust a state root.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::block::{Header, VERSION};
use crate::codec::{List, Wire};
use crate::hash::Hash;
use crate::id::{BlockId, ChainId};
use crate::number::{Height, Round, Timestamp};
use crate::validator::Electorate;
use crate::vote::{Certificate, CertificateError, Phase};

/// The most links that any protocol needs to decide a block.
pub const MAX_LINKS: usize = 3;

/// A header and a certificate for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FinalityLink {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
}

/// Proof that a block is decided. How many links it takes, and of which phase, depends on the protocol
/// ([`links`](crate::vote::Protocol::links), [`deciding_phase`](crate::vote::Protocol::deciding_phase)): HotPOKT decides by one Commit certificate,
/// chained HotStuff by three Prepare certificates in a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FinalityProof {
    /// The decided header first, then, for chained protocols, its descendants.
    pub links: List<FinalityLink, MAX_LINKS>,
}

impl Wire for FinalityProof {
    const MAX_BYTES: usize = 8 + MAX_LINKS * (Header::MAX_BYTES + Certificate::MAX_BYTES);
}

/// Why a header is not proved. Whoever supplied it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FinalityError {
    /// Not the number of links by which the protocol decides.
    #[error("{got} links where the protocol decides by {expected}")]
    Links {
        /// Links given.
        got: usize,
        /// Links needed.
        expected: usize,
    },
    /// The certificate is not a decision.
    #[error("a {got:?} certificate decides nothing")]
    Phase {
        /// Its phase.
        got: Phase,
    },
    /// The certificate is for another block.
    #[error("certificate for block {got}, the header is {expected}")]
    Block {
        /// The block it certifies.
        got: BlockId,
        /// The header's id.
        expected: BlockId,
    },
    /// A link does not continue the one before.
    #[error("a link does not continue the one before: {0}")]
    Broken(&'static str),
    /// Header and certificate disagree on chain, height, epoch or validators.
    #[error("header and certificate disagree on the {0}")]
    Disagree(&'static str),
    /// A protocol version that this crate does not speak.
    #[error("protocol version {got}, this crate speaks {VERSION}")]
    Version {
        /// The header's version.
        got: u32,
    },
    /// The header does not follow the trusted one.
    #[error("the header does not follow the trusted one: {what}")]
    Chain {
        /// Which rule it breaks.
        what: &'static str,
    },
    /// The validator set is not the one that the trusted header promised.
    #[error("validator set {got}, the trusted header promised {expected}")]
    Validators {
        /// Hash of the set given.
        got: Hash,
        /// Hash promised.
        expected: Hash,
    },
    /// The certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl FinalityProof {
    /// A decision by one certificate.
    pub fn commit(header: Header, certificate: Certificate) -> Self {
        let links = List::new(alloc::vec![FinalityLink { header, certificate }]);
        Self { links: links.expect("one link is within the bound") }
    }

    /// The header that this decides, unchecked.
    pub fn header(&self) -> Option<&Header> {
        self.links.first().map(|link| &link.header)
    }

    /// The decided header, checked against the validators of its epoch: as many links as its protocol
    /// needs, each a certified header of the deciding phase, each the parent of the next and certified
    /// in the round before it, which the next one's own parent certificate says too, all by the same
    /// validators.
    ///
    /// # Errors
    ///
    /// [`FinalityError`] naming the first violation; signatures are checked last.
    pub fn verify(&self, electorate: &Electorate) -> Result<&Header, FinalityError> {
        self.verify_beyond(electorate, &[])
    }

    /// As [`verify`](Self::verify), but skips signatures that the certificates in `known`, which are
    /// verified, brought along already.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_beyond(
        &self,
        electorate: &Electorate,
        known: &[&Certificate],
    ) -> Result<&Header, FinalityError> {
        let header = self.header().ok_or(FinalityError::Links { got: 0, expected: 1 })?;
        let protocol = self.links[0].certificate.data.protocol;
        let (got, expected) = (self.links.len(), protocol.links());
        if got != expected {
            return Err(FinalityError::Links { got, expected });
        }
        self.links.iter().try_for_each(|link| certified(&link.header, &link.certificate))?;
        for pair in self.links.windows(2) {
            let [(child, vote), (parent, earlier)] =
                [&pair[1], &pair[0]].map(|link| (&link.header, &link.certificate.data));
            let rules = [
                (child.parent == earlier.block, "parent"),
                (Some(child.height) == parent.height.0.checked_add(1).map(Height), "height"),
                (Some(vote.round) == earlier.round.0.checked_add(1).map(Round), "round"),
                (vote.protocol == protocol, "protocol"),
                (child.validators == parent.validators, "validators"),
                // A block may be certified in several rounds. Who voted for the child vouches only for
                // the one that the child extends.
                (child.parent_certificate.as_ref().map(|c| &c.data) == Some(earlier), "justify"),
            ];
            if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
                return Err(FinalityError::Broken(what));
            }
        }
        for FinalityLink { certificate, .. } in self.links.iter() {
            let data = &certificate.data;
            let known = known.iter().copied().find(|known| known.data == *data);
            if known != Some(certificate) {
                certificate.verify_beyond(electorate, known)?;
            }
        }
        Ok(header)
    }
}

/// Checks, without signatures, that a certificate is of the phase that decides in its protocol and
/// for this very header.
///
/// # Errors
///
/// [`FinalityError`] naming the first violation.
pub fn certified(header: &Header, certificate: &Certificate) -> Result<(), FinalityError> {
    let data = &certificate.data;
    if header.version != VERSION {
        return Err(FinalityError::Version { got: header.version });
    }
    if data.phase != data.protocol.deciding_phase() {
        return Err(FinalityError::Phase { got: data.phase });
    }
    let expected = header.id();
    if data.block != expected {
        return Err(FinalityError::Block { got: data.block, expected });
    }
    let agree = [
        (data.chain == header.chain, "chain"),
        (data.height == header.height, "height"),
        (data.epoch == header.epoch, "epoch"),
        (data.validators == header.validators, "validators"),
    ];
    agree
        .iter()
        .find(|(same, _)| !same)
        .map_or(Ok(()), |(_, what)| Err(FinalityError::Disagree(what)))
}

/// The newest header that somebody trusts: a genesis, a checkpoint, or one that was verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrustedTip {
    /// The network.
    pub chain: ChainId,
    /// Height of the tip.
    pub height: Height,
    /// The tip; zero at genesis.
    pub block: BlockId,
    /// Time of the tip.
    pub time: Timestamp,
    /// Hash of the validator set that decides the next block.
    pub next_validators: Hash,
}

impl Wire for TrustedTip {
    const MAX_BYTES: usize = 32 + 8 + 32 + 8 + 32;
}

impl TrustedTip {
    /// The tip that a header makes, once it is trusted.
    pub fn of(header: &Header) -> Self {
        Self::of_block(header.id(), header)
    }

    /// As [`of`](Self::of), for a caller who knows the block's id already.
    pub const fn of_block(id: BlockId, header: &Header) -> Self {
        Self {
            chain: header.chain,
            height: header.height,
            block: id,
            time: header.time,
            next_validators: header.next_validators,
        }
    }

    /// Checks that a header is the next one upon this tip; not that it is decided.
    ///
    /// # Errors
    ///
    /// [`FinalityError::Chain`] naming the first rule that it breaks.
    pub fn check_next(&self, header: &Header) -> Result<(), FinalityError> {
        let rules = [
            (header.chain == self.chain, "another network"),
            (header.height == self.height.next(), "not the next height"),
            (header.parent == self.block, "another parent"),
            (header.time > self.time, "not later than its parent"),
            (header.validators == self.next_validators, "another validator set"),
        ];
        let broken = rules.iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, what)| Err(FinalityError::Chain { what }))
    }

    /// Moves on to the next decided header, checked in full.
    ///
    /// # Errors
    ///
    /// [`FinalityError`] naming the first violation; the tip has not moved then.
    pub fn advance<'p>(
        &mut self,
        proof: &'p FinalityProof,
        electorate: &Electorate,
    ) -> Result<&'p Header, FinalityError> {
        if electorate.hash() != self.next_validators {
            return Err(FinalityError::Validators {
                got: electorate.hash(),
                expected: self.next_validators,
            });
        }
        self.check_next(proof.header().ok_or(FinalityError::Links { got: 0, expected: 1 })?)?;
        let header = proof.verify(electorate)?;
        *self = Self::of_block(proof.links[0].certificate.data.block, header);
        Ok(header)
    }
}
