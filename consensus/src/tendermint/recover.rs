//! What the log says of a height.

use pocket_types::number::{Round, Timestamp};
use pocket_types::vote::{Certificate, Phase};

use super::later::Later;
use super::{Fx, Proposed, RoundState, Step, Tendermint};
use crate::common::pacemaker::Pacemaker;
use crate::replica::record::Record;

impl Tendermint {
    /// Begins the height being decided with nothing known of it but what the log says.
    pub(super) fn recollect(&mut self) {
        (self.valid, self.locked, self.told) = (None, None, None);
        self.votes.clear();
        self.proposals.clear();
        self.said.clear();
        self.later = Later::default();
        let mut proposed = None;
        for record in self.core.recollect() {
            match record {
                Record::Vote { vote, .. } if vote.data.phase == Phase::Propose => {
                    // The valid value of that time, if it is what was proposed, came with it.
                    let block = vote.data.block;
                    let justify = self.valid.clone().filter(|valid| valid.data.block == block);
                    proposed = Some((vote, Proposed { block, justify }));
                }
                Record::Vote { vote, .. } => self.said.push(vote),
                Record::Body(block) => {
                    self.core.recall_body(*block);
                }
                Record::HighQc(polka) => newer(&mut self.valid, *polka),
                Record::Lock(polka) => {
                    self.locked = Some((polka.data.round, polka.data.block));
                    newer(&mut self.valid, *polka);
                }
                Record::Decision(decision) => newer(&mut self.core.decision, *decision),
                Record::Entry { .. } => {}
            }
        }
        if let Some(valid) = self.valid.clone() {
            self.core.certificates.trust(valid);
        }
        let proposal = proposed.as_ref().map(|(vote, _)| vote.data.round);
        let votes = self.said.iter().map(|vote| vote.data.round);
        let number = votes.chain(proposal).max().unwrap_or(Round::ZERO);
        self.round = RoundState::new(number);
        let ours = self.said.iter().filter(|vote| vote.data.round == number);
        self.round.step = match ours.map(|vote| vote.data.phase).max() {
            Some(Phase::Commit) => Step::Precommit,
            Some(_) => Step::Prevote,
            None => Step::Propose,
        };
        self.said.retain(|vote| vote.data.round.next() >= number);
        if let Some((vote, proposal)) = proposed.filter(|(vote, _)| vote.data.round == number) {
            self.round.proposed = Some(vote);
            self.round.proposal = Some(proposal);
        }
    }

    /// Begins a height, or takes it up where the log ends.
    pub(super) fn set_out(&mut self, now: Timestamp, fx: &mut Fx) {
        self.began = now;
        self.pace =
            Pacemaker::enter(&self.core.config, now, self.core.tip.time(), self.round.number);
        self.core.examine_waiting(now, fx);
        self.said.iter().for_each(|vote| fx.own(*vote));
        if !self.said.is_empty() || self.round.proposed.is_some() {
            self.resend(fx);
        }
        if let Some(decision) = self.core.decision.clone() {
            self.core.fetch(&decision, Some(decision.data.height), fx);
        }
        self.try_propose(now, fx);
    }
}

fn newer(known: &mut Option<Certificate>, certificate: Certificate) {
    if known.as_ref().is_none_or(|known| known.data.round <= certificate.data.round) {
        *known = Some(certificate);
    }
}
