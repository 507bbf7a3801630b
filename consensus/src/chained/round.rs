//! Entering rounds and giving them up: NewRound and Timeout QC.

use alloc::boxed::Box;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::certify::check_timeout;
use super::{ChainRules, Chained, Fx, Heard, RoundState, Timeouts, field};
use crate::common::certificates::Checked;
use crate::common::pacemaker::Pacemaker;
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid, misplaced};
use crate::replica::error::Refusal;
use crate::replica::message::{Message, NewRound};
use crate::replica::output::Output;
use crate::replica::record::Record;

impl<R: ChainRules> Chained<R> {
    /// Begins an epoch, or takes it up where the log ends.
    pub(super) fn resume(&mut self, now: Timestamp, fx: &mut Fx) {
        self.pace = self.pacemaker(now, None);
        if self.last_signed().is_some() {
            self.resend(fx);
        } else if self.round.number == Round::ZERO && !self.core.leads(Round::ZERO) {
            // Should the first leader not know yet that the epoch has begun, this tells it.
            self.want(Round::ZERO, false, fx);
        }
        self.progress(now, fx);
    }

    /// The clockwork of the round, when its leader builds on a block of this time: the highest
    /// certificate's, if none is given. Timeouts grow with the rounds since the last decision: as long
    /// as nothing is decided, rounds may be too short for two of them to succeed in a row.
    pub(super) fn pacemaker(&self, now: Timestamp, parent: Option<Timestamp>) -> Pacemaker {
        let high = self.core.tree.block(&self.high().block).map(|block| block.header.time);
        let parent = parent.or(high).unwrap_or_else(|| self.core.tip.time());
        let decided = self.target();
        let expected = decided.next_round().0.saturating_add(R::ID.links() as u64 - 1);
        let late = Round(self.round.number.0.saturating_sub(expected));
        Pacemaker::enter(&self.core.config, now, parent, late)
    }

    /// Enters a later round of this epoch: by its Timeout QC, or by the certificate of the round before.
    pub(super) fn enter(
        &mut self,
        now: Timestamp,
        round: Round,
        entry: Option<Checked>,
        fx: &mut Fx,
    ) {
        let entry = entry.map(Checked::into_inner);
        if let Some(entry) = &entry {
            self.core.record_entry(entry, self.core.height(), fx);
        }
        self.round = RoundState::new(round, entry);
        self.new_rounds = self.new_rounds.split_off(&round);
        self.ballots = self.ballots.split_off(&Round(round.0.saturating_sub(1)));
        self.pace = self.pacemaker(now, None);
        let patience = R::patience(&self.core.config);
        if patience.0 > 0 && self.core.leads(round) && self.high().next_round() != round {
            self.round.patience = Some(now.after(patience));
        }
    }

    /// Gives up on rounds before `round`, and says so: to the next leader alone or to everybody, as the
    /// rules have it, and to everybody when it is said again.
    pub(super) fn want(&mut self, round: Round, again: bool, fx: &mut Fx) {
        let last = self
            .last_signed()
            .filter(|vote| (vote.data.round, vote.data.phase) == (round, Phase::NewRound));
        let vote = match last.copied() {
            Some(vote) => Some(vote),
            None => self.sign_new_round(round, fx),
        };
        let Some(vote) = vote else { return };
        if self.high().round < vote.data.high {
            return;
        }
        if !again {
            fx.own(vote);
        }
        let message = Message::NewRound(Box::new(NewRound {
            vote,
            high_qc: self.high.clone().filter(|high| high.data.round < round),
            entry: self.round.entry.as_ref().or_else(|| self.core.tip.certificate()).cloned(),
            commit: None,
        }));
        let leader = self.core.leader(round);
        if round > self.round.number && (again || R::TIMEOUTS == Timeouts::ToAll) {
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        } else if leader != vote.signer {
            fx.send(leader, message);
        }
    }

    /// Signs NewRound; the certificate that the signature vouches for is durable before it.
    fn sign_new_round(&mut self, round: Round, fx: &mut Fx) -> Option<Vote> {
        let data = self.data(Height::GENESIS, round, Phase::NewRound, BlockId::default());
        let high = self.high().round.filter(|_| R::ID.signs_high());
        let data = VoteData { high, ..data };
        if self.core.position.is_none() || !self.core.may_sign(&data) {
            return None;
        }
        if let Some(high) = &self.high
            && self.logged < Some(high.data.round)
            && !self.is_recorded(&self.high())
        {
            self.logged = Some(high.data.round);
            fx.record(Record::HighQc(Box::new(high.clone())));
        }
        self.sign(data, fx)
    }

    /// Signs. The block of the height that it votes at may be decided by certificates of earlier rounds
    /// than this one, so the log needs the signature for longer.
    pub(super) fn sign(&mut self, data: VoteData, fx: &mut Fx) -> Option<Vote> {
        let height = match trap!("last_vote_pruned") {
            true => self.core.height(),
            false => self.core.horizon(data.round),
        };
        self.core.sign_until(data, height, fx)
    }

    /// The latest round for which we signed NewRound, or else the one we are in.
    fn wanted(&self) -> Round {
        self.last_signed().map_or(self.round.number, |vote| vote.data.round.max(self.round.number))
    }

    /// Whether the round may still be given up.
    pub(super) fn gives_up(&self) -> bool {
        self.core.position.is_some() && self.wanted() == self.round.number
    }

    /// Says again what was said last: it may have been lost.
    pub(super) fn resend(&mut self, fx: &mut Fx) {
        self.core.fetch_again(fx);
        if let Some(&vote) = self.last_signed() {
            let (round, ours) = (vote.data.round, self.round.number);
            match vote.data.phase {
                Phase::NewRound if round > ours || round == ours && round == Round::ZERO => {
                    self.want(round, true, fx);
                }
                Phase::Prepare if round == ours => self.cast(vote, fx),
                _ => {}
            }
        }
        if self.core.leads(self.round.number)
            && let Some(message) = self.proposal()
        {
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
    }

    pub(super) fn on_new_round(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: NewRound,
        fx: &mut Fx,
    ) -> Heard {
        let NewRound { vote, ref high_qc, ref entry, .. } = message;
        let data = vote.data;
        self.core.check_vote(&vote, from, &[Phase::NewRound])?;
        field(&data, data.height == Height::GENESIS, "height")?;
        let known = [high_qc, entry].into_iter().flatten().map(|known| known.data.height);
        let height = known.max().unwrap_or_default().next();
        if !self.is_current(now, from, data.epoch, height, fx) {
            return Ok(());
        }
        let position = self.core.check_signer(&vote)?;
        let entry = entry
            .as_ref()
            .filter(|entry| (entry.data.epoch, entry.data.phase) == (data.epoch, Phase::NewRound));
        let entered = entry.map_or(Round::ZERO, |entry| entry.data.round);
        let news = [
            entry.map_or(Ok(None), |entry| self.check_entry(entry, data.round))?,
            high_qc.as_ref().map_or(Ok(None), |high_qc| self.check_high(high_qc, data.round))?,
        ];
        let shown = high_qc.as_ref().map(|high_qc| high_qc.data.round).max(self.high().round);
        if data.high > shown && !trap!("chained_high_unproved") {
            return Err(Refusal::Field { phase: data.phase, field: "highest round" });
        }
        for certificate in news.into_iter().flatten() {
            self.use_certificate(now, certificate, fx);
        }
        let counted = self.count_new_round(now, vote, position, entered, fx);
        self.progress(now, fx);
        counted
    }

    /// The Timeout QC that shows how somebody came into a round, if it can move us.
    fn check_entry(
        &mut self,
        entry: &Certificate,
        claimed: Round,
    ) -> Result<Option<Checked>, Refusal> {
        if entry.data.round > claimed {
            return Err(misplaced(entry, "a Timeout QC that leads into the round claimed"));
        }
        if entry.data.round <= self.round.number {
            return Ok(None);
        }
        self.core.check_network(&entry.data)?;
        check_timeout(entry)?;
        self.core.verify(entry).map(Some)
    }

    /// A certificate of an earlier round's votes, if it is news.
    fn check_high(
        &mut self,
        high_qc: &Certificate,
        claimed: Round,
    ) -> Result<Option<Checked>, Refusal> {
        self.check_votes(high_qc, claimed)?;
        if self.high().round >= Some(high_qc.data.round) {
            return Ok(None);
        }
        self.core.verify(high_qc).map(Some)
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
            self.help(now, vote.signer, fx);
            return Ok(());
        }
        if round.0 - self.round.number.0 > self.core.config.round_window {
            fx.emit(Output::Dropped { peer: vote.signer, what: "NewRound beyond the window" });
            return Ok(());
        }
        let electorate = self.core.electorate();
        let tally = self.new_rounds.entry(round).or_insert_with(|| Tally::new(&electorate));
        match tally.add(&vote, position, &electorate) {
            Added::Counted => self.weigh_new_rounds(now, round, fx),
            // It says so again, so it is still waiting outside.
            Added::Known if round == self.round.number && entered < round => {
                self.help(now, vote.signer, fx);
            }
            Added::Known => {}
            Added::Conflict(evidence) => self.core.accuse(*evidence, fx),
            Added::Invalid => return Err(invalid(&vote)),
        }
        Ok(())
    }

    pub(super) fn count_own_new_round(
        &mut self,
        now: Timestamp,
        vote: Vote,
        position: usize,
        fx: &mut Fx,
    ) {
        let round = vote.data.round;
        if round < self.round.number {
            return;
        }
        let electorate = self.core.electorate();
        let tally = self.new_rounds.entry(round);
        let tally = tally.or_insert_with(|| Tally::new(&electorate));
        tally.add_checked(&vote, position, &electorate);
        self.weigh_new_rounds(now, round, fx);
        self.progress(now, fx);
    }

    /// Acts on the NewRound signatures of a round: a third lets us join, a quorum lets us in.
    fn weigh_new_rounds(&mut self, now: Timestamp, round: Round, fx: &mut Fx) {
        if round == self.round.number && (self.round.entry.is_some() || round == Round::ZERO) {
            return;
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
            self.use_certificate(now, timeout, fx);
        } else if round > wanted {
            self.want(round, false, fx);
        }
    }

    /// Shows a replica that is behind into our round, or out of an earlier epoch; each once per
    /// resending interval.
    pub(super) fn help(&mut self, now: Timestamp, peer: PublicKey, fx: &mut Fx) {
        if !self.core.may_help(now, peer) {
            let what = "straggler beyond the allowance";
            return fx.emit(Output::Dropped { peer, what });
        }
        let finale = self.finale.as_ref().filter(|_| self.high.is_none());
        for shown in [finale, self.high.as_ref(), self.round.entry.as_ref()].into_iter().flatten() {
            fx.send(peer, Message::Certificate(Box::new(shown.clone())));
        }
    }
}
