//! Entering rounds and giving them up: NewRound and Timeout QC.

use alloc::boxed::Box;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase, Vote};

use super::{Fx, Heard, HotPokt, RoundState};
use crate::common::certificates::Checked;
use crate::common::heights::Heights as _;
use crate::common::pacemaker::Pacemaker;
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid, misplaced};
use crate::replica::error::Refusal;
use crate::replica::message::{Message, NewRound, Proposal};
use crate::replica::output::Output;

impl HotPokt {
    /// Begins a height, or takes it up where the log ends.
    pub(super) fn set_out(&mut self, now: Timestamp, fx: &mut Fx) {
        self.pace =
            Pacemaker::enter(&self.core.config, now, self.core.tip.time(), self.round.number);
        self.core.examine_waiting(now, fx);
        self.run(fx);
        let here = (self.core.height(), self.round.number);
        let last = self.core.signer.as_ref().and_then(|signer| signer.last());
        if last.is_some_and(|last| (last.data.height, last.data.round) >= here) {
            self.resend(fx);
        } else {
            self.announce(false, fx);
        }
        if let Some(decision) = self.core.decision.clone() {
            self.core.fetch(&decision, Some(decision.data.height), fx);
        }
        self.try_propose(now, fx);
    }

    /// Enters a later round of this height.
    pub(super) fn enter(&mut self, now: Timestamp, round: Round, entry: Checked, fx: &mut Fx) {
        let entry = entry.into_inner();
        // Whose round has a certificate of votes needs no NewRound to propose.
        let waits = entry.data.phase == Phase::NewRound;
        if waits {
            self.core.record_entry(&entry, entry.data.height, fx);
        }
        self.round = RoundState::new(round, Some(entry));
        self.new_rounds = self.new_rounds.split_off(&round);
        self.pace = Pacemaker::enter(&self.core.config, now, self.core.tip.time(), round);
        self.run(fx);
        if waits {
            self.announce(false, fx);
        }
        self.try_propose(now, fx);
    }

    /// Signs NewRound for the round we are in and sends it to the leader, once we know who that is.
    pub(super) fn announce(&mut self, again: bool, fx: &mut Fx) {
        let round = self.round.number;
        let Some(leader) = self.leader() else { return };
        let Some(vote) = self.sign(round, Phase::NewRound, BlockId::default(), fx) else { return };
        if vote.signer == leader {
            fx.own(vote);
        } else {
            fx.send(leader, self.new_round(vote, again));
        }
    }

    /// Gives up on rounds before `round`, and says so to everybody.
    pub(super) fn want(&mut self, round: Round, fx: &mut Fx) {
        let Some(vote) = self.sign(round, Phase::NewRound, BlockId::default(), fx) else { return };
        fx.own(vote);
        let message = self.new_round(vote, true);
        fx.emit(Output::Broadcast { to: self.core.electorate(), message });
    }

    /// The latest round for which we signed NewRound, or else the one we are in.
    fn wanted(&self) -> Round {
        self.core
            .last_signed()
            .map_or(self.round.number, |vote| vote.data.round.max(self.round.number))
    }

    /// Whether the round may still be given up.
    pub(super) fn gives_up(&self) -> bool {
        self.core.position.is_some()
            && self.core.decision.is_none()
            && self.wanted() == self.round.number
    }

    pub(super) fn sign(
        &mut self,
        round: Round,
        phase: Phase,
        block: BlockId,
        fx: &mut Fx,
    ) -> Option<Vote> {
        self.core.sign(self.core.data(round, phase, block), fx)
    }

    /// What leads into a height is large, and whoever decided the last one told everybody: only those
    /// who seem not to have heard it are told again.
    fn new_round(&self, vote: Vote, again: bool) -> Message {
        let decision = || self.core.tip.certificate().filter(|_| again);
        let entry = self.round.entry.as_ref().or_else(decision);
        let first = vote.data.round == Round::ZERO;
        Message::NewRound(Box::new(NewRound {
            vote,
            high_qc: self.high_qc.clone().filter(|qc| qc.data.round < vote.data.round),
            entry: entry.cloned(),
            commit: self.core.late_vote().filter(|_| first),
        }))
    }

    /// Says again what was said last in this round: it may have been lost.
    pub(super) fn resend(&mut self, fx: &mut Fx) {
        self.core.fetch_again(fx);
        if let Some(&vote) = self.core.last_signed() {
            let ours = vote.data.round == self.round.number;
            match vote.data.phase {
                Phase::NewRound if ours => self.announce(true, fx),
                Phase::NewRound => self.want(vote.data.round, fx),
                Phase::Propose => {}
                Phase::Prepare | Phase::PreCommit | Phase::Commit if ours => self.cast(vote, fx),
                _ => {}
            }
        }
        if self.is_leader()
            && let Some(message) = self.leader_said()
        {
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
    }

    /// The furthest that we have come as leader of this round.
    fn leader_said(&self) -> Option<Message> {
        let certificates = [&self.lock, &self.high_qc].into_iter().flatten();
        let mut of_round =
            certificates.filter(|certificate| certificate.data.round == self.round.number);
        if let Some(certificate) = of_round.next() {
            return Some(Message::Certificate(Box::new(certificate.clone())));
        }
        let vote = self.round.proposed?;
        let proposal = self.round.proposal.as_ref()?;
        let block = self.core.tree.block(&proposal.block)?;
        Some(Message::Proposal(Box::new(Proposal {
            vote,
            block: block.clone(),
            justify: proposal.justify.clone(),
            entry: self.round.entry.clone(),
        })))
    }

    pub(super) fn on_new_round(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: NewRound,
        fx: &mut Fx,
    ) -> Heard {
        let NewRound { vote, ref high_qc, ref entry, commit } = message;
        let data = vote.data;
        self.core.check_vote(&vote, from, &[Phase::NewRound])?;
        if data.height < self.core.height() {
            self.core.answer_straggler(now, from, fx);
            return Ok(());
        }
        if data.height > self.core.height() {
            let decision = entry.clone();
            let message = Message::NewRound(Box::new(message));
            return self.later(now, from, data.height, decision, message, fx);
        }
        let position = self.core.check_signer(&vote)?;
        let entry = entry.as_ref().filter(|entry| entry.data.height == data.height);
        let entered = entry.map_or(Round::ZERO, |entry| entry.data.round);
        let news = [
            entry.map_or(Ok(None), |entry| self.check_entry(entry, data.round))?,
            high_qc.as_ref().map_or(Ok(None), |high_qc| self.check_high_qc(high_qc, data.round))?,
        ];
        if let Some(commit) = commit {
            self.core.on_late_commit(from, commit)?;
        }
        for certificate in news.into_iter().flatten() {
            self.use_certificate(now, certificate, fx);
        }
        if data.height == self.core.height() {
            self.count_new_round(now, vote, position, entered, fx)?;
        }
        Ok(())
    }

    /// The certificate that shows how somebody came into a round of this height, if it can move us.
    pub(super) fn check_entry(
        &mut self,
        entry: &Certificate,
        claimed: Round,
    ) -> Result<Option<Checked>, Refusal> {
        if entry.data.round > claimed {
            return Err(misplaced(entry, "a certificate that leads into the round claimed"));
        }
        if entry.data.round <= self.round.number {
            return Ok(None);
        }
        if trap!("4") {
            return Ok(Some(self.core.certificates.trust(entry.clone())));
        }
        self.verify(entry).map(Some)
    }

    /// A Prepare certificate of an earlier round of this height, if it is news.
    fn check_high_qc(
        &mut self,
        high_qc: &Certificate,
        claimed: Round,
    ) -> Result<Option<Checked>, Refusal> {
        self.check_prepared(high_qc, claimed)?;
        if self.high_qc.as_ref().is_some_and(|known| known.data.round >= high_qc.data.round) {
            return Ok(None);
        }
        self.verify(high_qc).map(Some)
    }

    /// Whether a certificate stands where a Prepare certificate of an earlier round belongs.
    pub(super) fn check_prepared(&self, high_qc: &Certificate, claimed: Round) -> Heard {
        let data = &high_qc.data;
        let here = data.height == self.core.height() || trap!("replayed_height");
        if data.phase != Phase::Prepare || !here || data.round >= claimed {
            return Err(misplaced(high_qc, "a Prepare certificate of an earlier round"));
        }
        Ok(())
    }

    fn count_new_round(
        &mut self,
        now: Timestamp,
        vote: Vote,
        position: usize,
        entered: Round,
        fx: &mut Fx,
    ) -> Heard {
        let round = vote.data.round;
        if round < self.round.number {
            self.let_in(now, vote.signer, fx);
            return Ok(());
        }
        if round.0 - self.round.number.0 > self.core.config.round_window {
            fx.emit(Output::Dropped { peer: vote.signer, what: "NewRound beyond the window" });
            return Ok(());
        }
        let electorate = self.core.electorate();
        let tally = self.new_rounds.entry(round).or_insert_with(|| Tally::new(&electorate));
        match tally.add(&vote, position, &electorate) {
            Added::Counted => {
                self.follow(round, entered, position);
                self.weigh_new_rounds(now, round, fx);
            }
            // It says so again, so it is still waiting outside.
            Added::Known if entered < self.round.number => self.let_in(now, vote.signer, fx),
            // Where leaders are elected, it was for everybody before and is for us alone now.
            Added::Known => {
                self.follow(round, entered, position);
                self.try_propose(now, fx);
            }
            Added::Conflict(_) => {}
            Added::Invalid => return Err(invalid(&vote)),
        }
        Ok(())
    }

    /// Acts on the NewRound signatures of a round.
    pub(super) fn weigh_new_rounds(&mut self, now: Timestamp, round: Round, fx: &mut Fx) {
        if round == self.round.number {
            return self.try_propose(now, fx);
        }
        let electorate = self.core.electorate();
        let wanted = self.wanted();
        let Some(tally) = self.new_rounds.get_mut(&round) else { return };
        let (third, invalid) = tally.exceeds_third(&electorate);
        charge(&invalid, Phase::NewRound, fx);
        if !third {
            return;
        }
        if let Some(timeout) = tally.timeout(&electorate) {
            let timeout = self.core.certificates.trust(timeout);
            self.enter(now, round, timeout, fx);
        } else if round > wanted {
            self.want(round, fx);
        }
    }

    /// Shows a replica that is behind in this height into our round.
    fn let_in(&mut self, now: Timestamp, peer: PublicKey, fx: &mut Fx) {
        if let Some(entry) = self.round.entry.clone() {
            self.core.show(now, peer, entry, fx);
        }
    }
}
