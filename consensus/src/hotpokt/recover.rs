//! What the log says of a height.

use pocket_types::number::Round;
use pocket_types::vote::{Certificate, Phase};

use super::{HotPokt, Proposed, RoundState};
use crate::replica::record::Record;

impl HotPokt {
    /// Begins the height being decided with nothing known of it but what the log says.
    pub(super) fn recollect(&mut self) {
        (self.high_qc, self.lock) = (None, None);
        self.new_rounds.clear();
        let mut proposed = None;
        let mut entry = None;
        let mut round = Round::ZERO;
        for record in self.core.recollect() {
            match record {
                Record::Vote { vote, .. } => {
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
                    self.core.recall_body(*block);
                }
                Record::Entry { certificate, .. } => newer(&mut entry, *certificate),
                Record::HighQc(certificate) => newer(&mut self.high_qc, *certificate),
                Record::Lock(certificate) => newer(&mut self.lock, *certificate),
                Record::Decision(certificate) => newer(&mut self.core.decision, *certificate),
            }
        }
        for certificate in [&entry, &self.high_qc, &self.lock].into_iter().flatten() {
            self.core.certificates.trust(certificate.clone());
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
}

fn newer(known: &mut Option<Certificate>, certificate: Certificate) {
    if known.as_ref().is_none_or(|known| known.data.round <= certificate.data.round) {
        *known = Some(certificate);
    }
}
