//! Starting from a tip and our own log.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::machine::Outbox;
use pocket_types::number::{Round, Timestamp};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Vote};

use crate::bodies::{Bodies, BodyState};
use crate::certificates::Certificates;
use crate::hotpokt::{Ahead, Proposed, RoundState};
use crate::pacemaker::Pacemaker;
use crate::replica::Replica;
use crate::replica::config::{Config, Identity, MAX_BLOCK_BYTES};
use crate::replica::error::RecoverError;
use crate::replica::record::Record;
use crate::schedule::LeaderSchedule;
use crate::signer::Signer;
use crate::tip::Tip;

impl Replica {
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
        check(&config)?;
        if let Some(identity) = &identity {
            check_vrf(identity, &tip)?;
        }
        let (signer, vrf) =
            identity.map(|identity| (Signer::new(identity.key), identity.vrf)).unzip();
        let schedule = LeaderSchedule::default();
        let leaders = schedule.leaders(tip.validators());
        let mut replica = Self {
            position: position(signer.as_ref(), tip.validators()),
            leaders,
            config,
            schedule,
            signer,
            vrf,
            outbox: Outbox::new(),
            started: false,
            diverged: None,
            tip_body: None,
            late: None,
            commit_vote: None,
            evidence: BTreeMap::new(),
            served: BTreeMap::new(),
            shown: BTreeMap::new(),
            unread: Vec::new(),
            high_qc: None,
            lock: None,
            decision: None,
            bodies: Bodies::default(),
            certificates: Certificates::default(),
            fetch: None,
            new_rounds: BTreeMap::new(),
            round: RoundState::new(Round::ZERO, None),
            pace: Pacemaker::enter(&config, Timestamp::ZERO, tip.time(), Round::ZERO),
            ahead: Ahead::default(),
            tip,
        };
        replica.replay(log)?;
        Ok(replica)
    }

    fn replay(&mut self, log: impl IntoIterator<Item = Record>) -> Result<(), RecoverError> {
        for record in log {
            if let Record::Vote(vote) = record {
                self.recall(vote)?;
            }
            self.unread.push(record);
        }
        self.restore();
        Ok(())
    }

    /// Takes over what the log says of this height, and keeps what it says of later ones.
    fn restore(&mut self) {
        let height = self.height();
        let mut proposed = None;
        let mut entry = None;
        let mut round = Round::ZERO;
        let mut unread = Vec::new();
        for record in core::mem::take(&mut self.unread) {
            if record.height() > height {
                unread.push(record);
                continue;
            }
            if record.height() < height {
                continue;
            }
            match record {
                Record::Vote(vote) => {
                    if vote.data.phase == Phase::Propose {
                        // The high QC of that time, if it names the block, was its justify.
                        let block = vote.data.block;
                        let justify = self.high_qc.clone().filter(|qc| qc.data.block == block);
                        proposed = Some((vote, Proposed { block, justify }));
                    }
                    if vote.data.phase != Phase::NewRound {
                        round = round.max(vote.data.round);
                    }
                }
                Record::Body(block) => {
                    self.keep_body(*block, BodyState::Checking, true);
                }
                Record::Entry(certificate) => newer(&mut entry, *certificate),
                Record::HighQc(certificate) => newer(&mut self.high_qc, *certificate),
                Record::Lock(certificate) => newer(&mut self.lock, *certificate),
                Record::Decision(certificate) => newer(&mut self.decision, *certificate),
            }
        }
        self.unread = unread;
        for certificate in [&entry, &self.high_qc, &self.lock].into_iter().flatten() {
            self.certificates.trust(certificate.clone());
            round = round.max(certificate.data.round);
        }
        let certificates = [entry, self.high_qc.clone(), self.lock.clone()];
        let entry = certificates.into_iter().flatten().find(|entry| entry.data.round == round);
        self.round = RoundState::new(round, entry);
        if let Some((vote, proposal)) = proposed.filter(|(vote, _)| vote.data.round == round) {
            self.round.proposed = Some(vote);
            self.round.proposal = Some(proposal);
        }
    }

    fn recall(&mut self, vote: Vote) -> Result<(), RecoverError> {
        let Some(signer) = self.signer.as_mut() else { return Ok(()) };
        if vote.signer != signer.public_key() {
            return Err(RecoverError::Foreign { got: vote.signer, expected: signer.public_key() });
        }
        if vote.data.chain != self.tip.chain() {
            let (got, expected) = (vote.data.chain, self.tip.chain());
            return Err(RecoverError::WrongChain { got, expected });
        }
        if !signer.recall(vote) {
            let data = vote.data;
            return Err(RecoverError::Order {
                height: data.height,
                round: data.round,
                phase: data.phase,
            });
        }
        Ok(())
    }

    /// Moves on to the height after `tip`, with nothing known of it but what the log says.
    pub(crate) fn reset(&mut self, tip: Tip) {
        if tip.validators().hash() != self.tip.validators().hash() {
            self.leaders = self.schedule.leaders(tip.validators());
        }
        self.position = position(self.signer.as_ref(), tip.validators());
        self.tip = tip;
        self.tip_body = None;
        self.late = None;
        self.commit_vote = None;
        self.high_qc = None;
        self.lock = None;
        self.decision = None;
        self.bodies = Bodies::default();
        self.certificates = Certificates::default();
        self.fetch = None;
        self.new_rounds = BTreeMap::new();
        self.restore();
        self.served.retain(|peer, _| self.tip.is_voter(peer));
        self.shown.retain(|peer, _| self.tip.is_voter(peer));
    }
}

fn check(config: &Config) -> Result<(), RecoverError> {
    let rules = [
        (config.timeout.0 > 0, "timeout must be positive"),
        (config.timeout_growth >= 100, "timeout_growth must be at least 100 percent"),
        (config.timeout_cap >= config.timeout, "timeout_cap must not be below timeout"),
        (config.resend.0 > 0, "resend must be positive"),
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
    ];
    rules
        .iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, what)| Err(RecoverError::Config(what)))
}

fn position(signer: Option<&Signer>, electorate: &Electorate) -> Option<usize> {
    electorate.position(&signer?.public_key())
}

fn newer(known: &mut Option<Certificate>, certificate: Certificate) {
    if known.as_ref().is_none_or(|known| known.data.round <= certificate.data.round) {
        *known = Some(certificate);
    }
}

/// Blocks whose randomness another key proves are refused by everybody: better not to start.
fn check_vrf(identity: &Identity, tip: &Tip) -> Result<(), RecoverError> {
    let (key, got) = (identity.key.public_key(), identity.vrf.public_key());
    for electorate in [tip.validators(), tip.next_validators()] {
        let member = electorate.position(&key).and_then(|seat| electorate.member(seat));
        if let Some(expected) = member.map(|member| member.vrf_key).filter(|known| *known != got) {
            return Err(RecoverError::VrfKey { got, expected });
        }
    }
    Ok(())
}
