//! The leader's proposal, made and judged.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::trap;
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Heard, HotPokt, Proposed};
use crate::common::certificates::Checked;
use crate::common::heights::Heights as _;
use crate::common::tree::{Identified, State, Valid};
use crate::common::{charge, header, misplaced, unless_ahead};
use crate::protocol::Protocol as _;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;

impl HotPokt {
    /// Whether this leader has yet to propose in this round.
    fn may_propose(&self) -> bool {
        let idle = self.round.proposed.is_none() && !self.round.building;
        let data = self.core.data(self.round.number, Phase::Propose, BlockId::default());
        self.is_leader() && idle && self.core.decision.is_none() && self.core.is_unsigned(&data)
    }

    /// Proposes, once a quorum has entered the round and the time has come: the block of the highest
    /// Prepare certificate, and only where there is none a fresh one.
    pub(super) fn try_propose(&mut self, now: Timestamp, fx: &mut Fx) {
        if now < self.pace.due || !self.may_propose() {
            return;
        }
        let electorate = self.core.electorate();
        let Some(tally) = self.new_rounds.get_mut(&self.round.number) else { return };
        // Before round 0 there was nothing that a NewRound could tell us of, and no certificate is made
        // of these: it is enough that the channel says who is there.
        if self.round.number == Round::ZERO {
            if !tally.claims_quorum(&electorate) {
                return;
            }
        } else {
            let (quorum, invalid) = tally.is_quorum(&electorate);
            charge(&invalid, Phase::NewRound, fx);
            if !quorum {
                return;
            }
        }
        let justify = self.high_qc.clone().filter(|_| !trap!("7"));
        let Some(justify) = justify else {
            self.round.building = true;
            return self.core.build(now, fx);
        };
        match self.core.tree.block(&justify.data.block).cloned() {
            Some(block) => self.propose(block, justify.data.block, Some(justify), fx),
            None => self.core.fetch(&justify, None, fx),
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
        if self.high_qc.is_some() && !trap!("7") {
            self.try_propose(now, fx);
            return Ok(());
        }
        let parent = self.core.tip.clone();
        let state = State::Valid(Valid { parent, next, filler: false });
        let id = self.core.keep(block.clone(), state, &self.needed());
        self.propose(block, id, None, fx);
        Ok(())
    }

    fn propose(&mut self, block: Block, id: BlockId, justify: Option<Certificate>, fx: &mut Fx) {
        self.core.record_body(&id, fx);
        let Some(vote) = self.sign(self.round.number, Phase::Propose, id, fx) else { return };
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: id, justify: justify.clone() });
        let entry = self.round.entry.clone();
        let message = Message::Proposal(Box::new(Proposal { vote, block, justify, entry }));
        fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        self.prepare(fx);
    }

    pub(super) fn on_proposal(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Heard {
        let data = proposal.vote.data;
        self.core.check_phase(&data, &[Phase::Propose])?;
        let header = &proposal.block.header;
        if data.height < self.core.height() {
            return Ok(());
        }
        if data.height > self.core.height() {
            let decision = header.parent_certificate.clone();
            let message = Message::Proposal(Box::new(proposal));
            return self.later(now, from, data.height, decision, message, fx);
        }
        if data.round < self.round.number {
            return Ok(());
        }
        let signer = match &self.contest {
            None => self.core.check_leader(&proposal.vote)?,
            Some(_) => self.core.check_signer(&proposal.vote)?,
        };
        let first = self.round.proposed.filter(|first| first.data.round == data.round);
        if !self.core.is_first(&proposal.vote, signer, first, fx)? {
            return Ok(());
        }
        let got = header.id();
        if got != data.block {
            return Err(Refusal::BlockId { signed: data.block, got });
        }
        let Some(proposal) = self.admit(now, from, proposal, fx)? else { return Ok(()) };
        let judged = self.judge(now, &proposal);
        let Some(news) = unless_ahead(from, judged, fx)? else { return Ok(()) };

        let Proposal { vote, block, justify, .. } = proposal;
        for certificate in news.into_iter().flatten() {
            self.use_certificate(now, certificate, fx);
        }
        if data.height != self.core.height() || data.round != self.round.number {
            return Ok(());
        }
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: got, justify });
        self.core.accept(Identified { id: got, block }, &self.needed(), fx);
        self.prepare(fx);
        self.try_decide(now, fx);
        Ok(())
    }

    /// Everything about a signed proposal that doesn't need execution; changes nothing. Gives the
    /// certificates that came along.
    fn judge(
        &mut self,
        now: Timestamp,
        proposal: &Proposal,
    ) -> Result<[Option<Checked>; 2], Refusal> {
        let Proposal { vote, block, justify, entry } = proposal;
        let round = vote.data.round;
        let entry = match entry {
            Some(entry) if entry.data.height != vote.data.height || entry.data.round != round => {
                return Err(misplaced(entry, "a certificate of the round"));
            }
            Some(entry) => self.check_entry(entry, round)?,
            None if round > self.round.number => {
                return Err(Refusal::Unjustified { got: round, ours: self.round.number });
            }
            None => None,
        };
        let justify = match justify {
            Some(justify) => {
                self.check_prepared(justify, round)?;
                if justify.data.block != vote.data.block && !trap!("2") {
                    let (got, expected) = (vote.data.block, justify.data.block);
                    return Err(Refusal::JustifyBlock { got, expected });
                }
                // The lock rule relies on it, so it is checked even if we know a higher one.
                Some(self.verify(justify)?)
            }
            None if block.header.proposer != vote.signer => {
                return Err(Refusal::Header("proposer"));
            }
            None => None,
        };
        if !self.core.tree.contains(&vote.data.block) {
            header::check(block, &self.core.tip, Self::ID, &self.core.config, now)?;
        }
        Ok([entry, justify])
    }

    /// The host's answer to a Check.
    pub(super) fn on_checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let proposed = self.round.proposed.filter(|vote| vote.data.block == block);
        if self.core.on_checked(&block, verdict, proposed.map(|vote| vote.signer), fx)? {
            self.prepare(fx);
            self.try_propose(now, fx);
            self.try_decide(now, fx);
        }
        Ok(())
    }

    /// Votes Prepare for the round's proposal if it is valid and safe.
    fn prepare(&mut self, fx: &mut Fx) {
        let Some(proposed) = &self.round.proposal else { return };
        let block = proposed.block;
        if !self.core.tree.is_valid(&block) || !self.is_safe(proposed) {
            return;
        }
        let data = self.core.data(self.round.number, Phase::Prepare, block);
        if !self.core.may_sign(&data) {
            return;
        }
        self.core.record_body(&block, fx);
        if let Some(vote) = self.sign(self.round.number, Phase::Prepare, block, fx) {
            self.cast(vote, fx);
        }
    }

    /// The rule that keeps decisions: see [`crate::hotpokt`].
    fn is_safe(&self, proposed: &Proposed) -> bool {
        self.lock.as_ref().is_none_or(|lock| {
            let block = match &proposed.justify {
                Some(justify) if trap!("2") => justify.data.block,
                _ => proposed.block,
            };
            if trap!("3") {
                return lock.data.block == block;
            }
            lock.data.block == block
                || proposed.justify.as_ref().is_some_and(|qc| qc.data.round > lock.data.round)
        })
    }
}
