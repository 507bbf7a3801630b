//! The leader's proposal, made and judged.

use alloc::boxed::Box;

use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::signature;
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase};

use super::round::{charge, invalid, misplaced};
use super::{Fx, Heard, Proposed};
use crate::bodies::BodyState;
use crate::certificates::Checked;
use crate::header;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::message::{Message, Proposal};
use crate::replica::output::{BuildRequest, Output};
use crate::replica::record::Record;
use crate::replica::{HostVerdict, Replica};
use crate::signer::position;

impl Replica {
    /// Whether this leader has yet to propose in this round.
    fn may_propose(&self) -> bool {
        let idle = self.round.proposed.is_none() && !self.round.building;
        let data = self.data(self.round.number, Phase::Propose, BlockId::default());
        let last = self.signer.as_ref().and_then(|signer| signer.last());
        self.is_leader()
            && idle
            && self.decision.is_none()
            && last.is_none_or(|last| position(&last.data) < position(&data))
    }

    /// Proposes, once a quorum has entered the round and the time has come: the block of the highest
    /// Prepare certificate, and only where there is none a fresh one.
    pub(crate) fn try_propose(&mut self, now: Timestamp, fx: &mut Fx) {
        if now < self.pace.due || !self.may_propose() {
            return;
        }
        let electorate = self.electorate();
        let Some(tally) = self.new_rounds.get_mut(&self.round.number) else { return };
        let (quorum, invalid) = tally.is_quorum(&electorate);
        charge(&invalid, Phase::NewRound, fx);
        if !quorum {
            return;
        }
        let Some(justify) = self.high_qc.clone() else {
            self.round.building = true;
            return self.build(now, fx);
        };
        match self.bodies.get(&justify.data.block).map(|body| body.block.clone()) {
            Some(block) => self.propose(block, Some(justify), fx),
            None => self.fetch(justify, fx),
        }
    }

    fn build(&mut self, now: Timestamp, fx: &mut Fx) {
        let (Some(vrf), Some(signer)) = (&self.vrf, &self.signer) else { return };
        let proposer = signer.public_key();
        let height = self.height();
        let (randomness, randomness_proof) = beacon::extend(self.tip.randomness(), height, vrf);
        let (parent_certificate, invalid) = self.parent_certificate();
        charge(&invalid, Phase::Commit, fx);
        let validators = self.tip.validators();
        let header = Header {
            version: VERSION,
            chain: self.tip.chain(),
            height,
            epoch: validators.epoch(),
            parent: self.tip.block(),
            parent_certificate,
            time: now.max(Timestamp(self.tip.time().0.saturating_add(1))),
            proposer,
            state_root: Hash::ZERO,
            transactions_root: Hash::ZERO,
            evidence_root: Hash::ZERO,
            validators: validators.hash(),
            next_validators: self.tip.next_validators().hash(),
            randomness,
            randomness_proof,
        };
        let evidence = self.evidence.values().copied().collect();
        let max_bytes = self.config.max_block_bytes;
        fx.emit(Output::Build(Box::new(BuildRequest { header, evidence, max_bytes })));
    }

    /// The host's answer to a Build.
    pub(crate) fn built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let signer = self.signer.as_ref().map(|signer| signer.public_key());
        let wanted = self.round.building
            && block.header.height == self.height()
            && Some(block.header.proposer) == signer;
        if !wanted {
            return Ok(());
        }
        header::check(&block, &self.tip, &self.config, now).map_err(ReplicaError::Built)?;
        let next = self.tip.electorate_of(change).map_err(ReplicaError::Set)?;
        self.round.building = false;
        if self.high_qc.is_some() {
            self.try_propose(now, fx);
        } else if self.keep_body(block.clone(), BodyState::Valid(next), false) {
            self.propose(block, None, fx);
        }
        Ok(())
    }

    fn propose(&mut self, block: Block, justify: Option<Certificate>, fx: &mut Fx) {
        let id = block.id();
        self.record_body(&id, fx);
        let Some(vote) = self.sign(self.round.number, Phase::Propose, id, fx) else { return };
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: id, justify: justify.clone() });
        let entry = self.round.entry.clone();
        let message = Message::Proposal(Box::new(Proposal { vote, block, justify, entry }));
        fx.emit(Output::Broadcast { to: self.electorate(), message });
        self.prepare(fx);
    }

    pub(crate) fn on_proposal(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Heard {
        let data = proposal.vote.data;
        self.check_network(&data)?;
        if data.phase != Phase::Propose {
            return Err(Refusal::WrongPhase { got: data.phase, expected: Phase::Propose });
        }
        let header = &proposal.block.header;
        if data.height < self.height() {
            return Ok(());
        }
        if data.height > self.height() {
            let decision = header.parent_certificate.clone();
            let message = Message::Proposal(Box::new(proposal));
            return self.later(now, from, data.height, decision, message, fx);
        }
        if data.round < self.round.number {
            return Ok(());
        }
        let signer = self.check_signer(&proposal.vote)?;
        let leader = self.leaders.leader(data.height, data.round);
        if signer != leader {
            let expected = self.leader(data.round);
            return Err(Refusal::NotLeader { got: proposal.vote.signer, expected });
        }
        if self.round.number == data.round && self.round.proposed == Some(proposal.vote) {
            return Ok(());
        }
        let key = self.tip.validators().key(signer).ok_or_else(|| invalid(&proposal.vote))?;
        signature::verify(key, &data.digest(), &proposal.vote.signature)
            .map_err(|_| invalid(&proposal.vote))?;
        if let Some(first) = self.round.proposed.filter(|first| first.data.round == data.round) {
            if first.data.block != data.block {
                self.accuse(Evidence::equivocation(first, proposal.vote), fx);
            }
            return Ok(());
        }
        let got = header.id();
        if got != data.block {
            return Err(Refusal::BlockId { signed: data.block, got });
        }
        let news = match self.judge(now, &proposal) {
            // Who of us has the wrong clock is unknown; the leader says it again until then.
            Err(Refusal::TimeAhead { .. }) => {
                fx.emit(Output::Dropped { peer: from, what: "proposal ahead of our clock" });
                return Ok(());
            }
            news => news?,
        };

        let Proposal { vote, block, justify, .. } = proposal;
        for certificate in news.into_iter().flatten() {
            self.use_certificate(now, certificate, fx);
        }
        if data.height != self.height() || data.round != self.round.number {
            return Ok(());
        }
        self.round.proposed = Some(vote);
        self.round.proposal = Some(Proposed { block: got, justify });
        self.accept_body(block, fx);
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
                if justify.data.block != vote.data.block {
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
        if self.bodies.get(&vote.data.block).is_none() {
            header::check(block, &self.tip, &self.config, now)?;
        }
        Ok([entry, justify])
    }

    /// Has a body that passed the header's checks executed, unless it is known.
    pub(crate) fn accept_body(&mut self, block: Block, fx: &mut Fx) {
        if self.bodies.get(&block.id()).is_some() {
            return;
        }
        if self.keep_body(block.clone(), BodyState::Checking, false) {
            fx.emit(Output::Check(Box::new(block)));
        }
    }

    /// The host's answer to a Check.
    pub(crate) fn checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: HostVerdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let waits = |state: &BodyState| matches!(state, BodyState::Checking);
        if !self.bodies.get(&block).is_some_and(|body| waits(&body.state)) {
            return Ok(());
        }
        let state = match verdict {
            HostVerdict::Valid { change } => {
                BodyState::Valid(self.tip.electorate_of(change).map_err(ReplicaError::Set)?)
            }
            HostVerdict::Invalid(reason) => {
                let proposed = self.round.proposed.filter(|vote| vote.data.block == block);
                if let Some(vote) = proposed {
                    let reason = Refusal::Execution(reason.clone());
                    fx.emit(Output::Misbehaviour { peer: vote.signer, reason });
                }
                BodyState::Invalid(reason)
            }
        };
        if let Some(body) = self.bodies.get_mut(&block) {
            body.state = state;
        }
        self.prepare(fx);
        self.try_propose(now, fx);
        self.try_decide(now, fx);
        Ok(())
    }

    /// Votes Prepare for the round's proposal if it is valid and safe.
    fn prepare(&mut self, fx: &mut Fx) {
        let Some(proposed) = &self.round.proposal else { return };
        let block = proposed.block;
        let valid = |state: &BodyState| matches!(state, BodyState::Valid(_));
        let known = self.bodies.get(&block).is_some_and(|body| valid(&body.state));
        if !known || !self.is_safe(proposed) {
            return;
        }
        let data = self.data(self.round.number, Phase::Prepare, block);
        if !self.signer.as_ref().is_some_and(|signer| signer.may_sign(&data)) {
            return;
        }
        self.record_body(&block, fx);
        if let Some(vote) = self.sign(self.round.number, Phase::Prepare, block, fx) {
            self.cast(vote, fx);
        }
    }

    /// The rule that keeps decisions: see [`crate::hotpokt`].
    fn is_safe(&self, proposed: &Proposed) -> bool {
        self.lock.as_ref().is_none_or(|lock| {
            lock.data.block == proposed.block
                || proposed.justify.as_ref().is_some_and(|qc| qc.data.round > lock.data.round)
        })
    }

    /// A body is durable before a signature for it leaves.
    pub(crate) fn record_body(&mut self, id: &BlockId, fx: &mut Fx) {
        if let Some(body) = self.bodies.get_mut(id).filter(|body| !body.recorded) {
            body.recorded = true;
            fx.record(Record::Body(Box::new(body.block.clone())));
        }
    }

    /// Keeps a proof of misbehaviour until a block holds it.
    pub(crate) fn accuse(&mut self, evidence: Evidence, fx: &mut Fx) {
        let id = evidence.id();
        if self.evidence.contains_key(&id) || self.config.max_evidence == 0 {
            return;
        }
        if self.evidence.len() >= self.config.max_evidence {
            let oldest = self.evidence.iter().min_by_key(|(_, e)| e.offence().height);
            let oldest = oldest.map(|(id, _)| *id);
            oldest.map(|id| self.evidence.remove(&id));
        }
        self.evidence.insert(id, evidence);
        fx.emit(Output::Evidence(Box::new(evidence)));
    }
}
