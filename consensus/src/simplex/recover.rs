//! What the log says of an epoch.

use alloc::vec::Vec;

use pocket_types::number::Round;
use pocket_types::vote::{Phase, Vote};

use super::{Proposed, Simplex, View};
use crate::replica::record::Record;

impl Simplex {
    /// Begins the epoch of the tip with nothing known of it but what the log says.
    pub(super) fn restore(&mut self) {
        self.clear();
        let mut votes = Vec::new();
        for record in self.core.recollect() {
            match record {
                Record::Vote { vote, .. } => votes.push(vote),
                Record::Body(block) => {
                    self.core.recall_body(*block);
                }
                Record::HighQc(certificate) => {
                    self.core.certificates.trust((*certificate).clone());
                    self.notarized.insert(certificate.data.round, *certificate);
                }
                Record::Entry { certificate, .. } => {
                    if let Some(view) = Self::view_of(&certificate.data) {
                        self.nullified.insert(view, *certificate);
                    }
                }
                Record::Decision(certificate) => self.finalized = Some(*certificate),
                Record::Lock(_) => {}
            }
        }
        self.settle();
        self.view = View::new(self.reached(&votes));
        for vote in votes {
            self.recall(vote);
        }
    }

    /// The view that we are in: certificates lead into the next one, votes are cast where we are.
    fn reached(&self, votes: &[Vote]) -> Round {
        let certified = self.notarized.keys().chain(self.nullified.keys());
        let decided = self.finalized.as_ref().map(|known| known.data.round);
        let left = certified.copied().chain(decided).chain(self.base.map(|base| base.view));
        let voted = votes.iter().filter_map(|vote| Self::view_of(&vote.data));
        left.map(Round::next).chain(voted).max().unwrap_or_default()
    }

    fn recall(&mut self, vote: Vote) {
        let view = self.view.number;
        let ours = Self::view_of(&vote.data) == Some(view);
        match vote.data.phase {
            Phase::Commit => self.finalize = Some(vote),
            Phase::Propose if ours => {
                let block = vote.data.block;
                // The last block of an epoch rests on its own notarization when proposed again.
                let again = self.notarized.values().rev().find(|known| known.data.block == block);
                let after = match (again, self.core.tree.block(&block)) {
                    (Some(again), _) => Some(again.data.round),
                    (None, Some(block)) => self.rests_on(&block.header),
                    (None, None) => return,
                };
                self.view.proposed = Some(vote);
                self.view.proposal = Some(Proposed { block, after });
            }
            Phase::Prepare if ours => self.view.notarize = Some(vote),
            Phase::NewRound if ours => self.view.nullify = Some(vote),
            _ => {}
        }
    }
}
