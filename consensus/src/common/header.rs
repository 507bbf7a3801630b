//! What everybody can check of a proposed block without executing it.

use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec;
use pocket_types::number::Timestamp;
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase, Protocol};

use crate::replica::config::Config;
use crate::replica::error::Refusal;
use crate::tip::Tip;

/// Checks a block against the parent that it must extend, decided or not, the cheap things first. Its
/// id binds all of the header, so a block that passed once need not be checked again.
pub(crate) fn check(
    block: &Block,
    tip: &Tip,
    protocol: Protocol,
    config: &Config,
    now: Timestamp,
) -> Result<(), Refusal> {
    check_form(block, tip, config, now)?;
    check_proofs(&block.header, tip, protocol)
}

/// A block that a quorum vouches for: its time passed their clocks and its size their limits, so ours
/// have no say.
pub(crate) fn check_certified(block: &Block, tip: &Tip, protocol: Protocol) -> Result<(), Refusal> {
    check_link(block, tip)?;
    check_proofs(&block.header, tip, protocol)
}

/// What may be kept before its parent is here.
pub(crate) fn check_orphan(block: &Block, config: &Config) -> Result<(), Refusal> {
    check_size(block, config)?;
    Ok(block.check_body()?)
}

pub(crate) fn check_size(block: &Block, config: &Config) -> Result<(), Refusal> {
    let got = codec::encoded_len(block);
    if got > config.max_block_bytes && !trap!("8") {
        return Err(Refusal::TooLarge { got, max: config.max_block_bytes });
    }
    Ok(())
}

/// What costs no cryptography but hashing. Our clock is asked last: who is ahead of it is not charged.
pub(crate) fn check_form(
    block: &Block,
    tip: &Tip,
    config: &Config,
    now: Timestamp,
) -> Result<(), Refusal> {
    check_size(block, config)?;
    check_link(block, tip)?;
    let (got, latest) = (block.header.time, now.after(config.max_drift));
    if got > latest {
        return Err(Refusal::TimeAhead { got, latest });
    }
    Ok(())
}

/// How a block follows its parent, whatever our clock and limits.
fn check_link(block: &Block, tip: &Tip) -> Result<(), Refusal> {
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
    if validators.position(&header.proposer).is_none() {
        return Err(Refusal::NotValidator(header.proposer));
    }
    if trap!("other_body") {
        return Ok(());
    }
    Ok(block.check_body()?)
}

/// The randomness, and the signatures of the parent's certificate.
pub(crate) fn check_proofs(header: &Header, tip: &Tip, protocol: Protocol) -> Result<(), Refusal> {
    if !beacon::verify(header, tip.randomness(), tip.validators()) && !trap!("beacon_unproved") {
        return Err(Refusal::Randomness);
    }
    let certificate = header.parent_certificate.as_ref();
    let certificate = certificate.filter(|_| !trap!("parent_unproved"));
    certificate.map_or(Ok(()), |certificate| check_parent(certificate, tip, protocol))
}

/// The parent's certificate may hold more signatures than ours, never fewer than a quorum.
fn check_parent(certificate: &Certificate, tip: &Tip, protocol: Protocol) -> Result<(), Refusal> {
    let Some(decision) = tip.decision() else { return Ok(()) };
    let data = &certificate.data;
    let decides = [
        data.protocol == protocol,
        data.chain == tip.chain(),
        data.phase == parent_phase(protocol) || data.phase == protocol.deciding_phase(),
        data.height == tip.height(),
        data.block == tip.block(),
    ];
    if decides.contains(&false) {
        return Err(Refusal::Misplaced {
            phase: data.phase,
            height: data.height,
            round: data.round,
            what: "the certificate of the parent",
        });
    }
    certificate
        .verify_beyond(&decision.electorate, Some(&decision.certificate))
        .map_err(Refusal::Parent)
}

/// The phase of the certificate by which a block may be built upon.
const fn parent_phase(protocol: Protocol) -> Phase {
    if protocol.is_chained() { Phase::Prepare } else { protocol.deciding_phase() }
}
