//! Deciding a height, and what is left to do for it afterwards.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::finality::FinalityProof;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::vote::{Certificate, Phase, Vote};

use super::Fx;
use crate::bodies::BodyState;
use crate::certificates::Checked;
use crate::replica::Replica;
use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::signer::{Position, position};
use crate::tally::{Added, Tally};
use crate::tip::Tip;

impl Replica {
    /// A Commit certificate: the height is decided, whatever we thought of the block.
    pub(crate) fn decide(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        if self.decision.is_none() {
            let certificate = certificate.into_inner();
            self.decision = Some(certificate.clone());
            self.fetch = None;
            self.fetch(certificate, fx);
            self.try_decide(now, fx);
        }
    }

    /// Hands the decided block out as soon as its body is here and executed, and moves on.
    pub(crate) fn try_decide(&mut self, now: Timestamp, fx: &mut Fx) {
        let Some(certificate) = &self.decision else { return };
        let id = certificate.data.block;
        let Some(body) = self.bodies.get(&id) else { return };
        let next = match &body.state {
            BodyState::Checking => return,
            BodyState::Valid(next) => next.clone(),
            BodyState::Invalid(reason) => {
                if self.diverged.is_none() {
                    fx.emit(Output::Diverged { block: id, reason: reason.clone() });
                    self.diverged = Some(id);
                }
                return;
            }
        };
        let certificate = certificate.clone();
        fx.record(Record::Decision(Box::new(certificate.clone())));
        self.record_body(&id, fx);
        let Some(body) = self.bodies.remove(&id) else { return };
        let block = body.block;
        // A late vote decides nothing any more; it says that we were there.
        let commit_vote = self.sign(certificate.data.round, Phase::Commit, id, fx);
        for evidence in block.evidence.iter() {
            self.evidence.remove(&evidence.id());
        }
        let proof = FinalityProof::commit(block.header.clone(), certificate.clone());
        fx.emit(Output::Decided { block: Box::new(block.clone()), proof: Box::new(proof) });
        let electorate = self.electorate();
        let tip = self.tip.after_checked(&block.header, certificate.clone(), next);
        self.reset(tip);
        self.commit_vote = commit_vote;
        self.late = Some(Tally::new(certificate.data, &electorate));
        if let Some(vote) = commit_vote {
            let _ = self.add_late(vote, true);
        }
        self.tip_body = Some(block);
        self.resume(now, fx);
        self.hear_early(now, fx);
    }

    /// The host has committed blocks past our height.
    pub(crate) fn advance(&mut self, now: Timestamp, tip: Tip, fx: &mut Fx) {
        if tip.height() <= self.tip.height() {
            return;
        }
        let adjacent = tip.height() == self.height();
        self.reset(tip);
        if !adjacent {
            self.ahead = super::Ahead::default();
        }
        self.resume(now, fx);
        self.hear_early(now, fx);
    }

    /// Our own Commit vote for the tip.
    pub(crate) fn late_vote(&self) -> Option<Vote> {
        self.commit_vote.filter(|vote| {
            self.tip.certificate().is_some_and(|certificate| certificate.data == vote.data)
        })
    }

    /// Collects a Commit vote for the tip. False if it is none, or known.
    pub(crate) fn on_late_commit(&mut self, from: PublicKey, vote: Vote) -> Result<bool, Refusal> {
        if vote.signer != from {
            return Err(Refusal::Relayed { signer: vote.signer, from });
        }
        Ok(self.add_late(vote, false))
    }

    fn add_late(&mut self, vote: Vote, checked: bool) -> bool {
        let (Some(late), Some(decision)) = (&mut self.late, self.tip.decision()) else {
            return false;
        };
        let electorate = &decision.electorate;
        let Some(position) = electorate.position(&vote.signer) else { return false };
        let known = decision.certificate.signers.get(position / 8).copied().unwrap_or_default();
        if vote.data != *late.data() || known >> (position % 8) & 1 == 1 {
            return false;
        }
        if checked {
            late.add_checked(vote, position, electorate);
            return true;
        }
        late.add(vote, position, electorate) == Added::Counted
    }

    /// The tip's certificate with every vote that came in since, so that nobody who was there looks
    /// absent; and whose late votes did not hold.
    pub(crate) fn parent_certificate(&mut self) -> (Option<Certificate>, Vec<PublicKey>) {
        let Some(decision) = self.tip.decision() else { return (None, Vec::new()) };
        let electorate = &decision.electorate;
        let invalid = self.late.as_mut().map(|late| late.check(electorate)).unwrap_or_default();
        let mut votes = decision.certificate.votes(electorate);
        let quorum = votes.len();
        votes.extend(self.late.iter().flat_map(Tally::votes));
        if votes.len() == quorum {
            return (Some(decision.certificate.clone()), invalid);
        }
        let whole = Certificate::from_votes(decision.certificate.data, &votes, electorate);
        (Some(whole.unwrap_or_else(|_| decision.certificate.clone())), invalid)
    }

    /// Shows the decision of the last height to somebody who is still deciding it, or an earlier one.
    pub(crate) fn answer_straggler(&mut self, now: Timestamp, peer: PublicKey, fx: &mut Fx) {
        if let Some(certificate) = self.tip.certificate().cloned() {
            self.show(now, peer, certificate, fx);
        }
    }

    /// Shows a certificate that helps a straggler on. Certificates are large: the same one is given
    /// to each voter once per resending interval.
    pub(crate) fn show(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        certificate: Certificate,
        fx: &mut Fx,
    ) {
        let what = position(&certificate.data);
        let soon = |&(shown, at): &(Position, Timestamp)| {
            shown == what && at <= now && now < at.after(self.config.resend)
        };
        if !self.tip.is_voter(&peer) || self.shown.get(&peer).is_some_and(soon) {
            let what = "straggler beyond the allowance";
            return fx.emit(Output::Dropped { peer, what });
        }
        self.shown.insert(peer, (what, now));
        fx.send(peer, Message::Certificate(Box::new(certificate)));
    }
}
