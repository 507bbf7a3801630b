//! Votes, cast by replicas and counted by leaders.

use alloc::boxed::Box;

use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Phase, Vote};

use super::{Fx, Heard, HotPokt};
use crate::common::heights::Heights as _;
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid};
use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::output::Output;

impl HotPokt {
    /// Sends a vote of our round to its leader; our own counts once it is stored.
    pub(super) fn cast(&mut self, vote: Vote, fx: &mut Fx) {
        let leader = if trap!("5") {
            Some(self.core.leader(Round(vote.data.round.0 + vote.data.phase as u64)))
        } else {
            self.collector()
        };
        // Who showed us neither proposal nor certificate says it again.
        let Some(leader) = leader else { return };
        if leader == vote.signer {
            fx.own(vote);
        } else {
            fx.send(leader, Message::Vote(vote));
        }
    }

    /// Our own signature is durable: count it.
    pub(super) fn count_own(&mut self, now: Timestamp, vote: Vote, fx: &mut Fx) {
        let data = vote.data;
        let Some(position) = self.core.position.filter(|_| data.height == self.core.height())
        else {
            return;
        };
        let electorate = self.core.electorate();
        if data.phase == Phase::NewRound {
            if data.round >= self.round.number {
                let tally = self.new_rounds.entry(data.round);
                let tally = tally.or_insert_with(|| Tally::new(&electorate));
                tally.add_checked(&vote, position, &electorate);
                self.weigh_new_rounds(now, data.round, fx);
            }
        } else if let Some(tally) = self.tally(&vote) {
            tally.add_checked(&vote, position, &electorate);
            self.weigh_votes(now, data.phase, fx);
        }
    }

    /// The tally for a vote of the round that we lead and have proposed in.
    fn tally(&mut self, vote: &Vote) -> Option<&mut Tally> {
        let data = vote.data;
        self.round.proposed.filter(|_| data.round == self.round.number)?;
        if self.contest.is_some() && !self.is_leader() {
            return None;
        }
        let electorate = self.core.tip.validators();
        let tally = self.round.votes.entry(data.phase);
        Some(tally.or_insert_with(|| Tally::new(electorate)))
    }

    pub(super) fn on_vote(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        vote: Vote,
        fx: &mut Fx,
    ) -> Heard {
        let data = vote.data;
        let phases = [Phase::Prepare, Phase::PreCommit, Phase::Commit];
        self.core.check_vote(&vote, from, &phases)?;
        if data.height < self.core.height() {
            if !self.core.on_late_commit(from, vote)? {
                self.core.answer_straggler(now, from, fx);
            }
            return Ok(());
        }
        if data.height > self.core.height() {
            return self.later(now, from, data.height, None, Message::Vote(vote), fx);
        }
        let position = self.core.check_signer(&vote)?;
        if self.contest.is_none() && !self.core.leads(data.round) {
            return Err(Refusal::NotOurRound(data.round));
        }
        if data.round != self.round.number || self.is_certified(data.phase) {
            return Ok(());
        }
        let electorate = self.core.electorate();
        let Some(tally) = self.tally(&vote) else { return Ok(()) };
        match tally.add(&vote, position, &electorate) {
            Added::Counted => self.weigh_votes(now, data.phase, fx),
            Added::Known => {}
            Added::Conflict(evidence) => self.core.accuse(*evidence, fx),
            Added::Invalid => return Err(invalid(&vote)),
        }
        Ok(())
    }

    /// Whether this round has its certificate of a phase already.
    fn is_certified(&self, phase: Phase) -> bool {
        let certificate = match phase {
            Phase::Prepare => &self.high_qc,
            Phase::PreCommit => &self.lock,
            _ => &self.core.decision,
        };
        let current = |round| round == self.round.number;
        certificate.as_ref().is_some_and(|certificate| current(certificate.data.round))
    }

    /// Makes the certificate once a quorum has voted, and sends it to everybody.
    fn weigh_votes(&mut self, now: Timestamp, phase: Phase, fx: &mut Fx) {
        if self.is_certified(phase) {
            return;
        }
        let electorate = self.core.electorate();
        let Some(tally) = self.round.votes.get_mut(&phase) else { return };
        let (certificate, invalid) = tally.certify(&electorate);
        charge(&invalid, phase, fx);
        let Some(certificate) = certificate else { return };
        let certificate = self.core.certificates.trust(certificate);
        let message = Message::Certificate(Box::new((*certificate).clone()));
        fx.emit(Output::Broadcast { to: electorate, message });
        self.use_certificate(now, certificate, fx);
    }
}
