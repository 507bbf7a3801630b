//! The proposer's part, and what everybody checks of it.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::trap;
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase, Vote};

use super::{Fx, Heard, Proposed, Step, Tendermint};
use crate::common::certificates::Checked;
use crate::common::heights::Heights as _;
use crate::common::tree::{Identified, State, Valid};
use crate::common::{header, misplaced, unless_ahead};
use crate::protocol::Protocol as _;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;

impl Tendermint {
    /// Whether this proposer has yet to propose in this round. Not where it knows a polka of the very
    /// round: then an earlier life of it, or a twin, has.
    fn may_propose(&self) -> bool {
        let data = self.core.data(self.round.number, Phase::Propose, BlockId::default());
        self.core.leads(self.round.number)
            && self.round.step == Step::Propose
            && self.round.proposed.is_none()
            && !self.round.building
            && self.core.decision.is_none()
            && self.valid.as_ref().is_none_or(|valid| valid.data.round < self.round.number)
            && self.core.is_unsigned(&data)
    }

    /// 14-19: proposes the valid value, and only where there is none a fresh block.
    pub(super) fn try_propose(&mut self, now: Timestamp, fx: &mut Fx) {
        if now < self.pace.due || !self.may_propose() {
            return;
        }
        let valid = self.valid.as_ref().filter(|_| !trap!("tendermint-valid-value"));
        let Some(valid) = valid.cloned() else {
            self.round.building = true;
            return self.core.build(now, fx);
        };
        match self.core.tree.block(&valid.data.block).cloned() {
            Some(block) => self.propose(now, block, valid.data.block, Some(valid), fx),
            None => self.core.fetch(&valid, None, fx),
        }
    }

    /// The host's answer to a Build.
    pub(super) fn on_built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let wanted = self.round.building
            && block.header.height == self.core.height()
            && Some(block.header.proposer) == self.core.public_key();
        if !wanted {
            return Ok(());
        }
        let next = self.core.check_built(now, &block, &self.core.tip, change)?;
        self.round.building = false;
        if self.valid.is_some() && !trap!("tendermint-valid-value") {
            self.try_propose(now, fx);
            return Ok(());
        }
        let parent = self.core.tip.clone();
        let state = State::Valid(Valid { parent, next, filler: false });
        let id = self.core.keep(block.clone(), state, &self.needed());
        self.propose(now, block, id, None, fx);
        Ok(())
    }

    fn propose(
        &mut self,
        now: Timestamp,
        block: Block,
        id: BlockId,
        justify: Option<Certificate>,
        fx: &mut Fx,
    ) {
        let data = self.core.data(self.round.number, Phase::Propose, id);
        if !self.core.may_sign(&data) {
            return;
        }
        self.core.record_body(&id, fx);
        let Some(vote) = self.core.sign(data, fx) else { return };
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: id, justify: justify.clone() });
        self.broadcast_proposal(vote, block, justify, fx);
        self.try_prevote(now, fx);
    }

    fn broadcast_proposal(
        &self,
        vote: Vote,
        block: Block,
        justify: Option<Certificate>,
        fx: &mut Fx,
    ) {
        let message = Message::Proposal(Box::new(Proposal { vote, block, justify, entry: None }));
        fx.emit(Output::Broadcast { to: self.core.electorate(), message });
    }

    /// Says the furthest again that we have come as proposer of this round.
    fn propose_again(&self, fx: &mut Fx) {
        let number = self.round.number;
        if let Some(polka) = self.valid.clone().filter(|valid| valid.data.round == number) {
            let message = Message::Certificate(Box::new(polka));
            return fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
        if let (Some(vote), Some(proposal)) = (self.round.proposed, &self.round.proposal)
            && let Some(block) = self.core.tree.block(&proposal.block)
        {
            let (block, justify) = (block.clone(), proposal.justify.clone());
            self.broadcast_proposal(vote, block, justify, fx);
        }
    }

    /// Tells the proposer of a round of the highest polka that we know, once.
    pub(super) fn tell(&mut self, round: Round, fx: &mut Fx) {
        let Some(valid) = self.valid.as_ref().filter(|_| self.core.position.is_some()) else {
            return;
        };
        let what = Some((round, valid.data.round));
        if self.told != what && !self.core.leads(round) && valid.data.round < round {
            fx.send(self.core.leader(round), Message::Certificate(Box::new(valid.clone())));
            self.told = what;
        }
    }

    /// Says again what may have been lost.
    pub(super) fn resend(&mut self, fx: &mut Fx) {
        self.core.fetch_again(fx);
        if self.core.position.is_none() {
            return;
        }
        if let Some(valid) = self.valid.clone().filter(|_| self.core.decision.is_none()) {
            self.core.fetch(&valid, None, fx);
        }
        self.said.iter().for_each(|vote| self.say(*vote, fx));
        if self.core.leads(self.round.number) {
            self.propose_again(fx);
        } else if self.round.step == Step::Propose {
            self.told = None;
            self.tell(self.round.number, fx);
        }
    }

    pub(super) fn on_proposal(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Heard {
        let vote = proposal.vote;
        let data = vote.data;
        self.core.check_phase(&data, &[Phase::Propose])?;
        if data.height > self.core.height() {
            let decision = proposal.block.header.parent_certificate.clone();
            let message = Message::Proposal(Box::new(proposal));
            return self.later(now, from, data.height, decision, message, fx);
        }
        let number = self.round.number;
        if data.height < self.core.height() || data.round < number {
            return Ok(());
        }
        let signer = self.core.check_leader(&vote)?;
        if data.round.0 - number.0 > self.core.config.round_window {
            fx.emit(Output::Dropped { peer: from, what: "proposal beyond the window" });
            return Ok(());
        }
        let early = self.proposals.get(&data.round).map(|early| early.vote);
        let first = if data.round == number { self.round.proposed } else { early };
        if !self.core.is_first(&vote, signer, first, fx)? {
            return Ok(());
        }
        let got = proposal.block.id();
        if got != data.block {
            return Err(Refusal::BlockId { signed: data.block, got });
        }
        if data.round == number {
            return self.judge(now, from, proposal, fx);
        }
        header::check_orphan(&proposal.block, &self.core.config)?;
        self.proposals.insert(data.round, proposal);
        Ok(())
    }

    /// Takes the signed proposal of this round, if it is what a proposer may say.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Heard {
        let judged = self.check_proposal(now, &proposal);
        let Some(polka) = unless_ahead(from, judged, fx)? else { return Ok(()) };
        let Proposal { vote, block, justify, .. } = proposal;
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: vote.data.block, justify });
        let block = Identified { id: vote.data.block, block };
        self.core.accept(block, &self.needed(), fx);
        if let Some(polka) = polka {
            self.on_polka(now, polka, fx);
        }
        self.try_prevote(now, fx);
        self.try_lock(fx);
        self.try_decide(now, fx);
        Ok(())
    }

    /// Everything about a signed proposal that doesn't need execution; changes nothing. Gives the
    /// polka that came along.
    fn check_proposal(
        &mut self,
        now: Timestamp,
        proposal: &Proposal,
    ) -> Result<Option<Checked>, Refusal> {
        let Proposal { vote, block, justify, entry } = proposal;
        if let Some(entry) = entry {
            return Err(misplaced(entry, "nothing: rounds are entered without a certificate"));
        }
        let polka = match justify {
            Some(justify) => Some(self.check_justify(justify, vote)?),
            None if block.header.proposer != vote.signer => {
                return Err(Refusal::Header("proposer"));
            }
            None => None,
        };
        if !self.core.tree.contains(&vote.data.block) {
            header::check(block, &self.core.tip, Self::ID, &self.core.config, now)?;
        }
        Ok(polka)
    }

    /// 28: the polka of an earlier round for the very block that is proposed. The lock rule relies on
    /// it, so it is checked even if we know a higher one.
    fn check_justify(&mut self, justify: &Certificate, vote: &Vote) -> Result<Checked, Refusal> {
        let data = &justify.data;
        let polka = data.phase == Phase::Prepare && data.height == vote.data.height;
        if !polka || data.round >= vote.data.round {
            return Err(misplaced(justify, "a Prepare certificate of an earlier round"));
        }
        if data.block != vote.data.block {
            return Err(Refusal::JustifyBlock { got: vote.data.block, expected: data.block });
        }
        if trap!("tendermint-justify") {
            return Ok(self.core.certificates.trust(justify.clone()));
        }
        self.verify(justify)
    }

    /// The host's answer to a Check.
    pub(super) fn on_checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        // Who brings a polka repeats what a quorum vouches for.
        let fresh = self.round.proposal.as_ref().is_some_and(|fresh| fresh.justify.is_none());
        let proposed = self.round.proposed.filter(|vote| fresh && vote.data.block == block);
        if self.core.on_checked(&block, verdict, proposed.map(|vote| vote.signer), fx)? {
            self.try_prevote(now, fx);
            self.try_lock(fx);
            self.try_propose(now, fx);
            self.try_decide(now, fx);
        }
        Ok(())
    }
}
