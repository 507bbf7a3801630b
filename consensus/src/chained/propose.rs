//! The leader's proposal, made and judged.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::codec::List;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase};

use super::certify::check_timeout;
use super::{Candidate, Certified, ChainRules, Chained, Fx, Heard, field};
use crate::common::certificates::Checked;
use crate::common::tree::{Identified, State, Valid};
use crate::common::{charge, header, misplaced, unless_ahead};
use crate::protocol::Protocol as _;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;
use crate::tip::Tip;

/// What a proposal claims, checked in all that needs no execution.
struct Judged {
    candidate: Candidate,
    certificates: [Option<Checked>; 3],
}

impl<R: ChainRules> Chained<R> {
    /// Whether this leader has yet to propose in this round.
    fn may_propose(&self) -> bool {
        let idle = self.round.proposed.is_none() && self.round.building.is_none();
        let data = self.core.data(self.round.number, Phase::Propose, BlockId::default());
        self.core.leads(self.round.number) && idle && self.core.is_unsigned(&data)
    }

    /// Proposes on top of the highest certificate, once the time has come and the certificate of the
    /// round before is here, or the Timeout QC and the highest certificate that it tells of.
    pub(super) fn try_propose(&mut self, now: Timestamp, fx: &mut Fx) {
        if now < self.pace.due || self.round.patience.is_some() || !self.may_propose() {
            return;
        }
        let high = self.high();
        let is_next = high.next_round() == self.round.number;
        let entry = self.round.entry.as_ref().filter(|entry| high.round >= entry.data.high);
        if !is_next && entry.is_none() {
            return;
        }
        // The block that an epoch begins with was certified by the validators before.
        let justify = self.justify(fx).or_else(|| self.core.tip.certificate().cloned());
        let Some(parent) = self.tip_after(&high.block, justify.as_ref()) else { return };
        let Some(last) = self.last_of_epoch(&high.block) else {
            let max_bytes = self.core.config.max_block_bytes;
            self.core.build_on(now, &parent, justify, max_bytes, fx);
            let header = self.core.requested.clone();
            self.round.building = header.map(|header| (Box::new(header), parent));
            return;
        };
        if is_next {
            self.propose_filler(now, parent, justify, fx);
        } else {
            self.announce_proposal(now, last, justify, fx);
        }
    }

    /// The highest certificate with every vote that came in since, so that nobody who was there looks
    /// absent.
    fn justify(&mut self, fx: &mut Fx) -> Option<Certificate> {
        let high = self.high.as_ref()?;
        let Some(ballots) = self.ballots.get_mut(&high.data.round) else {
            return self.high.clone();
        };
        let (whole, invalid) = ballots.extend(high, self.core.tip.validators());
        charge(&invalid, Phase::Prepare, fx);
        self.core.certificates.trust(whole.clone());
        self.high = Some(whole.clone());
        Some(whole)
    }

    fn propose_filler(
        &mut self,
        now: Timestamp,
        parent: Tip,
        justify: Option<Certificate>,
        fx: &mut Fx,
    ) {
        let Some(mut header) = self.core.header_on(now, &parent, justify) else { return };
        let Some(before) = self.core.tree.block(&header.parent) else { return };
        header.state_root = before.header.state_root;
        header.transactions_root = Block::transactions_root(&[]);
        header.evidence_root = Block::evidence_root(&[]);
        let block = Block { header, transactions: List::empty(), evidence: List::empty() };
        let next = parent.next_validators().clone();
        self.propose(now, block, Valid { parent, next, filler: true }, fx);
    }

    /// The host's answer to a Build.
    pub(super) fn on_built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let Some((header, parent)) = &self.round.building else { return Ok(()) };
        let asked = block.header.parent == header.parent
            && block.header.parent_certificate == header.parent_certificate
            && block.header.proposer == header.proposer;
        if !asked {
            return Ok(());
        }
        let next = self.core.check_built(now, &block, parent, change)?;
        let parent = parent.clone();
        self.round.building = None;
        self.propose(now, block, Valid { parent, next, filler: false }, fx);
        Ok(())
    }

    fn propose(&mut self, now: Timestamp, block: Block, valid: Valid, fx: &mut Fx) {
        if self.justify_of(&block.header).is_err() {
            return;
        }
        let id = self.add(block.into(), State::Valid(valid));
        self.announce_proposal(now, id, None, fx);
    }

    /// Signs a proposal and says it; `justify` is beside a block that is proposed again.
    fn announce_proposal(
        &mut self,
        now: Timestamp,
        id: BlockId,
        justify: Option<Certificate>,
        fx: &mut Fx,
    ) {
        let Some(block) = self.core.tree.block(&id) else { return };
        let (height, round) = (block.header.height, self.round.number);
        let parent = Certified::justify(&block.header, self.epoch()).0;
        let candidate = self.candidate(id, height, round, justify.as_ref(), parent);
        self.core.record_body(&id, fx);
        let data = self.data(height, round, Phase::Propose, id);
        let Some(vote) = self.sign(data, fx) else { return };
        self.round.proposed = Some(vote);
        self.round.justify = justify;
        self.take(now, candidate);
        if let Some(message) = self.proposal() {
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
        self.progress(now, fx);
    }

    fn candidate(
        &self,
        block: BlockId,
        height: pocket_types::number::Height,
        round: Round,
        justify: Option<&Certificate>,
        parent: Certified,
    ) -> Candidate {
        let justify = justify.map_or(parent, Certified::of);
        let entry = self.round.entry.as_ref();
        let highest = entry.and_then(|entry| entry.data.high);
        Candidate { block, height, round, justify, highest }
    }

    /// A proposal to vote for; its successor is due a block time later.
    fn take(&mut self, now: Timestamp, candidate: Candidate) {
        self.round.candidate = Some(candidate);
        let time = self.core.tree.block(&candidate.block).map(|block| block.header.time);
        self.pace = self.pacemaker(now, time);
    }

    /// What this leader has proposed, once more.
    pub(super) fn proposal(&self) -> Option<Message> {
        let vote = self.round.proposed?;
        let block = self.core.tree.block(&vote.data.block)?.clone();
        let justify = self.round.justify.clone();
        let parent = Certified::justify(&block.header, self.epoch()).0;
        let extends = justify.as_ref().map_or(parent, Certified::of);
        let is_next = extends.next_round() == vote.data.round;
        let entry = self.round.entry.clone().filter(|_| !is_next);
        (is_next || entry.is_some())
            .then(|| Message::Proposal(Box::new(Proposal { vote, block, justify, entry })))
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
        field(&data, data.height == proposal.block.header.height, "height")?;
        if !self.is_current(now, from, data.epoch, data.height, fx) {
            return Ok(());
        }
        let signer = self.core.check_leader(&proposal.vote)?;
        if data.round < self.round.number {
            // Too late to vote for, but its body may be missed.
            if self.core.fetches(&data.block) {
                return self.on_block(now, from, proposal.block, fx);
            }
            return Ok(());
        }
        let first = self.round.proposed.filter(|first| first.data.round == data.round);
        if !self.core.is_first(&proposal.vote, signer, first, fx)? {
            return Ok(());
        }
        let got = proposal.block.id();
        if got != data.block {
            return Err(Refusal::BlockId { signed: data.block, got });
        }
        let judged = self.judge(now, &proposal);
        let Some(judged) = unless_ahead(from, judged, fx)? else { return Ok(()) };
        let epoch = self.epoch();
        for certificate in judged.certificates.into_iter().flatten() {
            self.use_certificate(now, certificate, fx);
        }
        if self.epoch() == epoch && self.round.number == data.round {
            self.round.proposed = Some(proposal.vote);
            self.add(Identified { id: got, block: proposal.block }, State::Waiting);
            self.take(now, judged.candidate);
        }
        self.progress(now, fx);
        Ok(())
    }

    /// Everything about a signed proposal that doesn't need execution, or a parent that is not here;
    /// changes nothing.
    fn judge(&mut self, now: Timestamp, proposal: &Proposal) -> Result<Judged, Refusal> {
        let Proposal { vote, block, justify, entry } = proposal;
        let round = vote.data.round;
        let (parent, carried) = self.justify_of(&block.header)?;
        if let Some(carried) = carried {
            self.check_votes(carried, round)?;
        } else if parent.height == self.core.tip.height() && parent.block != self.core.tip.block() {
            return Err(Refusal::Header("parent"));
        }
        if justify.is_none() && block.header.proposer != vote.signer {
            return Err(Refusal::Header("proposer"));
        }
        if let Some(justify) = justify {
            self.check_votes(justify, round)?;
        }
        let extends = justify.as_ref().map_or(parent, Certified::of);
        let is_next = extends.next_round() == round;
        let entry = entry.as_ref().filter(|_| !is_next);
        match entry {
            Some(entry) => {
                let data = &entry.data;
                let leads = (data.phase, data.round) == (Phase::NewRound, round);
                if !leads || data.epoch != self.epoch() {
                    return Err(misplaced(entry, "the Timeout QC of the round"));
                }
                self.core.check_network(data)?;
                check_timeout(entry)?;
            }
            None if !is_next => {
                return Err(Refusal::Unjustified { got: round, ours: self.round.number });
            }
            None => {}
        }
        if !self.core.tree.contains(&vote.data.block) {
            let carried = block.header.parent_certificate.as_ref();
            match self.tip_after(&block.header.parent, carried) {
                Some(tip) => header::check(block, &tip, Self::ID, &self.core.config, now)?,
                None => header::check_orphan(block, &self.core.config)?,
            }
        }
        let mut verify = |certificate: Option<&Certificate>| {
            certificate.map(|certificate| self.core.verify(certificate)).transpose()
        };
        let certificates = [verify(carried)?, verify(justify.as_ref())?, verify(entry)?];
        let candidate = Candidate {
            block: vote.data.block,
            height: block.header.height,
            round,
            justify: extends,
            highest: entry.and_then(|entry| entry.data.high),
        };
        Ok(Judged { candidate, certificates })
    }

    /// Whether a proposal keeps to what may be built at the end of an epoch.
    pub(super) fn fits_epoch(&self, candidate: &Candidate) -> bool {
        let Some(block) = self.core.tree.block(&candidate.block) else { return false };
        let extends = block.header.parent == candidate.justify.block;
        match self.last_of_epoch(&candidate.justify.block) {
            Some(last) if extends => candidate.is_next() && last != candidate.block,
            Some(last) => last == candidate.block,
            None => extends,
        }
    }
}
