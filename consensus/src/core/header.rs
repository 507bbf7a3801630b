//! What everybody can check of a proposed block without executing it.

use pocket_types::block::{Block, VERSION, beacon};
use pocket_types::codec;
use pocket_types::number::Timestamp;
use pocket_types::vote::{Certificate, Phase, Protocol};

use crate::certificates::verify_beyond;
use crate::replica::config::Config;
use crate::replica::error::Refusal;
use crate::tip::Tip;

/// Checks a block against the tip that it must extend, the cheap things first. Its id binds all of
/// the header, so a block that passed once need not be checked again.
pub(crate) fn check(
    block: &Block,
    tip: &Tip,
    config: &Config,
    now: Timestamp,
) -> Result<(), Refusal> {
    let header = &block.header;
    let validators = tip.validators();
    let fields = [
        (header.version == VERSION, "version"),
        (header.chain == tip.chain(), "chain"),
        (header.height == tip.height().next(), "height"),
        (header.parent == tip.block(), "parent"),
        (header.epoch == validators.epoch(), "epoch"),
        (header.validators == validators.hash(), "validator set"),
        (header.next_validators == tip.next_validators().hash(), "next validator set"),
        (header.parent_certificate.is_some() == tip.decision().is_some(), "parent certificate"),
    ];
    if let Some((_, field)) = fields.iter().find(|(holds, _)| !holds) {
        return Err(Refusal::Header(field));
    }
    if header.time <= tip.time() {
        return Err(Refusal::TimeNotAfter { got: header.time, parent: tip.time() });
    }
    let latest = now.after(config.max_drift);
    if header.time > latest {
        return Err(Refusal::TimeAhead { got: header.time, latest });
    }
    let proposer = validators.position(&header.proposer).and_then(|p| validators.member(p));
    let proposer = proposer.ok_or(Refusal::NotValidator(header.proposer))?;
    let got = codec::encoded_len(block);
    if got > config.max_block_bytes {
        return Err(Refusal::TooLarge { got, max: config.max_block_bytes });
    }
    block.check_body()?;
    if !beacon::verify(header, tip.randomness(), &proposer.vrf_key) {
        return Err(Refusal::Randomness);
    }
    header.parent_certificate.as_ref().map_or(Ok(()), |certificate| check_parent(certificate, tip))
}

/// The parent's certificate may hold more signatures than ours, never fewer than a quorum.
fn check_parent(certificate: &Certificate, tip: &Tip) -> Result<(), Refusal> {
    let Some(decision) = tip.decision() else { return Ok(()) };
    let data = &certificate.data;
    let decides = [
        data.protocol == Protocol::HotPokt,
        data.chain == tip.chain(),
        data.phase == Phase::Commit,
        data.height == tip.height(),
        data.block == tip.block(),
    ];
    if decides.contains(&false) {
        return Err(Refusal::Misplaced {
            phase: data.phase,
            height: data.height,
            round: data.round,
            what: "the certificate that decided the parent",
        });
    }
    verify_beyond(certificate, &decision.electorate, Some(&decision.certificate))
        .map_err(Refusal::Parent)
}
