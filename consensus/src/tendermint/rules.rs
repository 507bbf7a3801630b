//! Algorithm 1 of the paper, but for the proposer's part (`propose.rs`). Numbers are its lines.

use alloc::boxed::Box;

use pocket_types::id::BlockId;
use pocket_types::number::{Duration, Round, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase, Vote};

use super::{Fx, NIL, Proposed, RoundState, Step, Tendermint};
use crate::common::certificates::Checked;
use crate::common::charge;
use crate::common::pacemaker::{Pacemaker, timeout};
use crate::common::tree::State;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;

impl Tendermint {
    /// 11-21: StartRound.
    pub(super) fn enter(&mut self, now: Timestamp, round: Round, fx: &mut Fx) {
        let height = self.core.height();
        self.leave(round, fx);
        let window = self.core.config.round_window;
        self.round = RoundState::new(round);
        self.pace = Pacemaker::enter(&self.core.config, now, self.core.tip.time(), round);
        self.said.retain(|vote| vote.data.round.next() >= round);
        self.votes.retain(|(of, _), _| of.0.saturating_add(window) >= round.0);
        self.take_up(round, fx);
        self.tell(round, fx);
        let early = self.proposals.remove(&round);
        self.proposals = self.proposals.split_off(&round);
        if let Some(proposal) = early {
            let peer = proposal.vote.signer;
            if let Err(reason) = self.judge(now, peer, proposal, fx) {
                fx.emit(Output::Misbehaviour { peer, reason });
            }
        }
        self.try_propose(now, fx);
        for phase in [Phase::Prepare, Phase::Commit] {
            if (self.core.height(), self.round.number) == (height, round) {
                self.weigh(now, round, phase, fx);
            }
        }
    }

    /// Whoever is still in the round before must not lack our votes there.
    fn leave(&mut self, next: Round, fx: &mut Fx) {
        if let Some(before) = next.0.checked_sub(1).map(Round) {
            self.cast(before, Phase::Prepare, NIL, fx);
            self.cast(before, Phase::Commit, NIL, fx);
        }
    }

    /// 22-33: prevotes the proposal if it is valid and the lock allows it, nil if not.
    pub(super) fn try_prevote(&mut self, now: Timestamp, fx: &mut Fx) {
        let Some(proposal) = self.round.proposal.as_ref().filter(|_| self.waits_for_proposal())
        else {
            return;
        };
        let block = proposal.block;
        match self.core.tree.get(&block).map(|node| &node.state) {
            Some(State::Valid(_)) if self.allows(proposal) => self.prevote(now, block, fx),
            Some(State::Valid(_) | State::Invalid(_)) => self.prevote(now, NIL, fx),
            Some(State::Waiting | State::Checking(_)) | None => {}
        }
    }

    fn waits_for_proposal(&self) -> bool {
        self.round.step == Step::Propose && self.core.decision.is_none()
    }

    /// 23, 29: the rule that keeps decisions.
    fn allows(&self, proposal: &Proposed) -> bool {
        if trap!("tendermint-lock") {
            return true;
        }
        let Some((round, block)) = self.locked else { return true };
        let later =
            |polka: &Certificate| trap!("tendermint-valid-round") || round <= polka.data.round;
        block == proposal.block || proposal.justify.as_ref().is_some_and(later)
    }

    /// 24-27, 30-33, 59-60.
    fn prevote(&mut self, now: Timestamp, block: BlockId, fx: &mut Fx) {
        if block != NIL {
            self.core.record_body(&block, fx);
        }
        self.cast(self.round.number, Phase::Prepare, block, fx);
        self.round.step = Step::Prevote;
        if !self.try_lock(fx) {
            self.weigh_prevotes(now, fx);
        }
    }

    /// Acts on the votes of a round and phase.
    pub(super) fn weigh(&mut self, now: Timestamp, round: Round, phase: Phase, fx: &mut Fx) {
        match phase {
            _ if self.core.decision.is_some() => {}
            Phase::Prepare if round == self.round.number => self.weigh_prevotes(now, fx),
            Phase::Commit => self.weigh_precommits(now, round, fx),
            _ => {}
        }
    }

    fn weigh_prevotes(&mut self, now: Timestamp, fx: &mut Fx) {
        let round = self.round.number;
        let polka = self.valid.as_ref().is_some_and(|valid| valid.data.round == round);
        let waits = self.round.step == Step::Prevote && self.round.prevote_timeout.is_none();
        if polka && !waits {
            return;
        }
        let electorate = self.core.electorate();
        let Some(votes) = self.votes.get_mut(&(round, Phase::Prepare)) else { return };
        if !polka {
            let (quorum, invalid) = votes.quorum(&electorate);
            charge(&invalid, Phase::Prepare, fx);
            match quorum {
                // 44-46
                Some(data) if data.block == NIL && self.round.step == Step::Prevote => {
                    if trap!("tendermint-nil-unlocks") {
                        self.locked = None;
                    }
                    return self.precommit(NIL, fx);
                }
                Some(data) if data.block != NIL => {
                    if let Some(polka) = votes.certificate(&data, &electorate) {
                        let polka = self.core.certificates.trust(polka);
                        return self.on_polka(now, polka, fx);
                    }
                }
                _ => {}
            }
        }
        // 34-35
        if waits {
            let (quorum, invalid) = votes.is_quorum(&electorate);
            charge(&invalid, Phase::Prepare, fx);
            if quorum {
                self.round.prevote_timeout = Some(now.after(self.vote_timeout()));
            }
        }
    }

    /// 36-43: a polka is the valid value; we are locked on that of our own round. A quorum vouches for
    /// the block's validity, so that it may be proposed again before we have executed it; the lock and
    /// the precommit wait for our own verdict.
    pub(super) fn on_polka(&mut self, now: Timestamp, polka: Checked, fx: &mut Fx) {
        let known = self.valid.as_ref();
        if known.is_some_and(|known| known.data.round >= polka.data.round) {
            return;
        }
        self.valid = Some(polka.into_inner());
        if !self.try_lock(fx) {
            fx.record(Record::HighQc(Box::new(self.valid.clone().expect("set above"))));
            self.try_propose(now, fx);
        }
    }

    /// 37-41.
    pub(super) fn try_lock(&mut self, fx: &mut Fx) -> bool {
        let round = self.round.number;
        let current = self.valid.as_ref().filter(|valid| valid.data.round == round);
        let Some(valid) = current.filter(|_| self.round.step == Step::Prevote) else {
            return false;
        };
        let block = valid.data.block;
        if !self.core.tree.is_valid(&block) {
            return false;
        }
        let record = Record::Lock(Box::new(valid.clone()));
        self.core.record_body(&block, fx);
        if !trap!("tendermint-lock-record") {
            fx.record(record);
        }
        self.locked = Some((round, block));
        self.precommit(block, fx);
        true
    }

    /// 40-41, 45-46, 63-64.
    fn precommit(&mut self, block: BlockId, fx: &mut Fx) {
        self.cast(self.round.number, Phase::Commit, block, fx);
        self.round.step = Step::Precommit;
    }

    fn weigh_precommits(&mut self, now: Timestamp, round: Round, fx: &mut Fx) {
        let electorate = self.core.electorate();
        let Some(votes) = self.votes.get_mut(&(round, Phase::Commit)) else { return };
        let (quorum, invalid) = votes.quorum(&electorate);
        charge(&invalid, Phase::Commit, fx);
        // 49-54
        if let Some(data) = quorum.filter(|data| data.block != NIL)
            && let Some(decision) = votes.certificate(&data, &electorate)
        {
            return self.decide(now, decision, fx);
        }
        // 47-48
        if round == self.round.number && self.round.precommit_timeout.is_none() {
            let (quorum, invalid) = votes.is_quorum(&electorate);
            charge(&invalid, Phase::Commit, fx);
            if quorum {
                self.round.precommit_timeout = Some(now.after(self.vote_timeout()));
                self.tell(round.next(), fx);
            }
        }
    }

    /// The height is decided, whatever we thought of the block.
    pub(super) fn decide(&mut self, now: Timestamp, decision: Certificate, fx: &mut Fx) {
        if self.core.decision.is_none() {
            self.core.fetch = None;
            self.core.fetch(&decision, Some(decision.data.height), fx);
            self.core.decision = Some(decision);
            self.try_decide(now, fx);
        }
    }

    /// 57-67: gives up waiting.
    pub(super) fn give_up(&mut self, now: Timestamp, fx: &mut Fx) {
        if self.timeout().is_none_or(|timeout| now < timeout) {
            return;
        }
        let over = |timeout: Option<Timestamp>| timeout.is_some_and(|timeout| now >= timeout);
        if over(self.round.precommit_timeout) {
            self.enter(now, self.round.number.next(), fx);
        } else if self.round.step == Step::Propose {
            self.prevote(now, NIL, fx);
        } else if self.round.step == Step::Prevote && over(self.round.prevote_timeout) {
            self.precommit(NIL, fx);
        }
    }

    /// When we shall give up waiting.
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        if self.core.position.is_none() || self.core.decision.is_some() {
            return None;
        }
        let vote = match self.round.step {
            Step::Propose => Some(self.pace.timeout),
            Step::Prevote => self.round.prevote_timeout,
            Step::Precommit => None,
        };
        [vote, self.round.precommit_timeout].into_iter().flatten().min()
    }

    /// Votes take no building and no execution: they are waited for half as long as a proposal.
    fn vote_timeout(&self) -> Duration {
        Duration((timeout(&self.core.config, self.round.number).0 / 2).max(1))
    }

    /// Votes, unless we have voted there, or in a later place.
    fn cast(&mut self, round: Round, phase: Phase, block: BlockId, fx: &mut Fx) {
        let data = self.core.data(round, phase, block);
        if self.said.iter().any(|vote| vote.data == data) {
            return;
        }
        if let Some(vote) = self.core.sign(data, fx) {
            self.said.push(vote);
            fx.own(vote);
            self.say(vote, fx);
        }
    }

    pub(super) fn say(&self, vote: Vote, fx: &mut Fx) {
        let to = self.core.electorate();
        fx.emit(Output::Broadcast { to, message: Message::Vote(vote) });
    }
}
