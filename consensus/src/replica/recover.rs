//! Starting from a tip and our own log.

use alloc::vec::Vec;

use pocket_types::machine::Outbox;
use pocket_types::scheme::Scheme;
use pocket_types::trap;
use pocket_types::vote::{Protocol, Vote};

use crate::common::Core;
use crate::replica::Replica;
use crate::replica::config::{Config, MAX_BLOCK_BYTES};
use crate::replica::error::RecoverError;
use crate::replica::record::Record;
use crate::signer::{Identity, Signer};
use crate::tip::Tip;

impl<P: crate::Protocol> Replica<P> {
    /// A replica as it was when it last stored something: at its first start with an empty log.
    ///
    /// `tip` is the last *committed* block; `log` holds the records of all later heights, in the
    /// order in which they were stored. Records of earlier heights do no harm.
    ///
    /// Without an identity it observes. The identity must not be in use anywhere else.
    ///
    /// # Errors
    ///
    /// [`RecoverError`] naming what is wrong with configuration or log.
    pub fn recover(
        config: Config,
        identity: Option<Identity>,
        tip: Tip,
        log: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RecoverError> {
        check(&config, P::ID)?;
        check_seed(&config, &tip)?;
        if let Some(identity) = &identity {
            check_keys(identity, &tip)?;
        }
        let mut signer = identity.map(Signer::new);
        let log: Vec<Record> = log.into_iter().collect();
        for record in &log {
            if let (Record::Vote { vote, .. }, Some(signer)) = (record, &mut signer)
                && !trap!("amnesia")
            {
                recall(signer, vote, P::ID, &tip)?;
            }
        }
        let core = Core::new(P::ID, config, signer, tip);
        Ok(Self { outbox: Outbox::new(), started: false, protocol: P::recover(core, log) })
    }
}

/// Takes over a signature of ours from the log.
fn recall(
    signer: &mut Signer,
    vote: &Vote,
    protocol: Protocol,
    tip: &Tip,
) -> Result<(), RecoverError> {
    let data = &vote.data;
    if vote.signer != signer.public_key() {
        return Err(RecoverError::Foreign { got: vote.signer, expected: signer.public_key() });
    }
    if data.chain != tip.chain() {
        return Err(RecoverError::WrongChain { got: data.chain, expected: tip.chain() });
    }
    if data.protocol != protocol {
        return Err(RecoverError::WrongProtocol { got: data.protocol, expected: protocol });
    }
    if !signer.recall(*vote) {
        return Err(RecoverError::Order {
            height: data.height,
            round: data.round,
            phase: data.phase,
        });
    }
    Ok(())
}

fn check(config: &Config, protocol: Protocol) -> Result<(), RecoverError> {
    let election = config.election.as_ref();
    let rules = [
        (config.timeout.0 > 0, "timeout must be positive"),
        (config.timeout_growth >= 100, "timeout_growth must be at least 100 percent"),
        (config.timeout_cap >= config.timeout, "timeout_cap must not be below timeout"),
        (config.resend.0 > 0, "resend must be positive"),
        (config.leader_rounds > 0, "leader_rounds must be positive"),
        (
            config.max_block_bytes <= MAX_BLOCK_BYTES,
            "max_block_bytes must leave room for certificates: at most MAX_BLOCK_BYTES",
        ),
        (config.round_window > 0, "round_window must be positive"),
        (
            config.max_bodies >= 4,
            "max_bodies must be at least 4: lock, high QC, decision, proposal",
        ),
        (config.max_unstored > 0, "max_unstored must be positive"),
        (
            election.is_none() || protocol == Protocol::HotPokt,
            "election: this protocol's leaders take turns",
        ),
        (
            election
                .is_none_or(|election| election.wait.0 > 0 && election.wait < config.timeout_cap),
            "election: wait must be positive and below timeout_cap",
        ),
        (election.is_none_or(|election| election.seed.is_valid()), "election: seed out of bounds"),
    ];
    rules
        .iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, what)| Err(RecoverError::Config(what)))
}

fn check_seed(config: &Config, tip: &Tip) -> Result<(), RecoverError> {
    let got = tip.seed_rule();
    match config.election.map(|election| election.seed) {
        Some(expected) if got != Some(expected) => Err(RecoverError::Seed { got, expected }),
        _ => Ok(()),
    }
}

/// Blocks whose randomness another key proves are refused by everybody, and so are votes that another
/// key signs: better not to start.
fn check_keys(identity: &Identity, tip: &Tip) -> Result<(), RecoverError> {
    let (key, got) = (identity.public_key(), identity.vrf_key());
    for electorate in [tip.validators(), tip.next_validators()] {
        let member = electorate.position(&key).and_then(|seat| electorate.member(seat));
        let Some(member) = member else { continue };
        if member.vrf_key != got {
            return Err(RecoverError::VrfKey { got, expected: member.vrf_key });
        }
        let got = identity.bls_key();
        if let (Scheme::BlsAggregate, Some(expected)) = (electorate.set().scheme, member.bls_key)
            && got != Some(expected)
        {
            return Err(RecoverError::BlsKey { got, expected });
        }
    }
    Ok(())
}
