//! Commit votes that come after the decision.
//!
//! A certificate stops at a quorum, so a third of the validators looks absent in it. The next header
//! carries it with every vote that came until then.

use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::trap;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote};

use super::Core;
use super::tally::{Added, Tally};
use crate::replica::error::Refusal;

/// What is left to do for the tip.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    /// Commit votes for the tip that its certificate doesn't hold.
    votes: Option<Tally>,
    /// Our own Commit vote for the tip.
    ours: Option<Vote>,
}

impl Late {
    pub(crate) fn new(ours: Option<Vote>, electorate: &Electorate) -> Self {
        Self { votes: Some(Tally::new(electorate)), ours }
    }
}

impl Core {
    /// Our own Commit vote for the tip.
    pub(crate) fn late_vote(&self) -> Option<Vote> {
        self.late.ours.filter(|vote| {
            self.tip.certificate().is_some_and(|certificate| certificate.data == vote.data)
        })
    }

    /// Collects a Commit vote for the tip. False if it is none, or known.
    pub(crate) fn on_late_commit(&mut self, from: PublicKey, vote: Vote) -> Result<bool, Refusal> {
        self.check_network(&vote.data)?;
        if vote.signer != from {
            return Err(Refusal::Relayed { signer: vote.signer, from });
        }
        Ok(self.add_late(vote, false))
    }

    pub(crate) fn add_late(&mut self, vote: Vote, checked: bool) -> bool {
        let (Some(late), Some(decision)) = (&mut self.late.votes, self.tip.decision()) else {
            return false;
        };
        let electorate = &decision.electorate;
        let Some(position) = electorate.position(&vote.signer) else { return false };
        let certificate = &decision.certificate;
        if vote.data != certificate.data || certificate.is_signer(position) {
            return false;
        }
        late.take(&vote, position, checked, electorate) == Added::Counted
    }

    /// The tip's certificate with every vote that came in since, so that nobody who was there looks
    /// absent; and whose late votes did not hold.
    pub(crate) fn parent_certificate(&mut self) -> (Option<Certificate>, Vec<PublicKey>) {
        let Some(decision) = self.tip.decision() else { return (None, Vec::new()) };
        let electorate = &decision.electorate;
        let late = self.late.votes.as_mut().filter(|_| !trap!("late_votes_lost"));
        let Some(late) = late else { return (Some(decision.certificate.clone()), Vec::new()) };
        let (whole, invalid) = late.extend(&decision.certificate, electorate);
        (Some(whole), invalid)
    }
}
