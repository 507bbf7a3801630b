//! The leader's proposal, made and judged; executing blocks; notarizing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::block::{Block, Header};
use pocket_types::evidence::Evidence;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::trap;
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Heard, Proposed, Simplex};
use crate::common::blocks::{Examined, INVALID_PARENT};
use crate::common::certificates::Checked;
use crate::common::tree::{Identified, Path, State, Valid};
use crate::common::{charge, header, misplaced, unless_ahead};
use crate::protocol::Protocol as _;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;
use crate::tip::Tip;

impl Simplex {
    /// Whether this leader has yet to propose in this view.
    fn may_propose(&self) -> bool {
        let idle = self.view.proposed.is_none() && self.view.building.is_none();
        let data = self.data(self.view.number, Phase::Propose, Height::GENESIS, BlockId::default());
        self.is_leader() && idle && self.core.is_unsigned(&data)
    }

    /// The notarized view to build upon.
    fn parent_view(&self) -> Option<Round> {
        let notarized = self.notarized.last_key_value().map(|(view, _)| *view);
        notarized.max(self.base.map(|base| base.view))
    }

    /// Proposes, when the time has come and everything before is known.
    pub(super) fn try_propose(&mut self, now: Timestamp, fx: &mut Fx) {
        if now < self.pace.due || !self.may_propose() {
            return;
        }
        let after = self.parent_view();
        if self.first_missing(after, self.view.number).is_some() {
            return;
        }
        let highest = after.and_then(|view| self.notarized.get(&view)).cloned();
        let tip = match &highest {
            Some(highest) if highest.data.block != self.core.tip.block() => {
                self.core.tree.tip(&highest.data.block, highest.clone())
            }
            _ => Some(self.core.tip.clone()),
        };
        let Some(tip) = tip else { return };
        if let Some(highest) = highest.as_ref().filter(|_| self.ends_epoch(&tip)) {
            let block = highest.data.block;
            return self.propose(block, after, fx);
        }
        let certificate = self.parent_certificate(highest, fx);
        if certificate.as_ref().is_some_and(|certificate| certificate.data.block != tip.block()) {
            // Our host's proof of the tip is of a descendant: others will build.
            return;
        }
        self.view.building = Some(tip.block());
        let known = self.known_evidence(tip.block());
        let known: Vec<_> =
            known.iter().filter_map(|id| self.core.evidence.remove_entry(id)).collect();
        self.core.build_on(now, &tip, certificate, self.core.config.max_block_bytes, fx);
        self.core.evidence.extend(known);
    }

    /// Whether another set decides after this block.
    fn ends_epoch(&self, tip: &Tip) -> bool {
        tip.validators().hash() != self.core.tip.validators().hash() && !trap!("simplex_epoch")
    }

    /// Evidence that undecided ancestors hold already.
    fn known_evidence(&self, parent: BlockId) -> Vec<pocket_types::hash::Hash> {
        let Path::Whole(path) = self.core.tree.path(&self.core.tip, parent) else {
            return Vec::new();
        };
        let blocks = path.iter().filter_map(|id| self.core.tree.block(id));
        blocks.flat_map(|block| block.evidence.iter().map(Evidence::id)).collect()
    }

    /// The parent's certificate with every vote that has come in since, so that nobody who was there
    /// looks absent.
    fn parent_certificate(
        &mut self,
        highest: Option<Certificate>,
        fx: &mut Fx,
    ) -> Option<Certificate> {
        let certificate = highest.or_else(|| self.core.tip.certificate().cloned())?;
        let electorate = self.core.electorate();
        let data = certificate.data;
        if data.epoch != electorate.epoch() {
            return Some(certificate);
        }
        let Some(poll) = self.polls.get_mut(&(data.round, data.phase)) else {
            return Some(certificate);
        };
        let (whole, invalid) = poll.extend(&certificate, &electorate);
        charge(&invalid, data.phase, fx);
        Some(whole)
    }

    /// The host's answer to a Build.
    pub(super) fn on_built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let wanted = self.view.building == Some(block.header.parent)
            && Some(block.header.proposer) == self.core.public_key();
        if !wanted {
            return Ok(());
        }
        let after = self.rests_on(&block.header);
        let Ok(Some(parent)) = self.parent_of(&block.header) else { return Ok(()) };
        let next = self.core.check_built(now, &block, &parent, change)?;
        self.view.building = None;
        if self.may_propose() {
            let state = State::Valid(Valid { parent, next, filler: false });
            let id = self.keep(block.into(), state);
            self.propose(id, after, fx);
        }
        Ok(())
    }

    pub(super) fn keep(&mut self, block: Identified, state: State) -> BlockId {
        let needed = self.needed();
        let id = self.core.keep(block, state, &needed);
        if self.is_notarized(&id) {
            self.core.tree.certify(&id);
        }
        id
    }

    fn propose(&mut self, block: BlockId, after: Option<Round>, fx: &mut Fx) {
        self.core.record_body(&block, fx);
        let Some(height) = self.height_of(&block) else {
            return;
        };
        let data = self.data(self.view.number, Phase::Propose, height, block);
        let Some(vote) = self.core.sign(data, fx) else { return };
        self.view.proposed = Some(vote);
        self.view.proposal = Some(Proposed { block, after });
        if let Some(proposal) = self.proposal() {
            let message = Message::Proposal(Box::new(proposal));
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
        self.notarize(fx);
    }

    /// Our own proposal in this view.
    pub(super) fn proposal(&self) -> Option<Proposal> {
        let vote = self.view.proposed.filter(|vote| Some(vote.signer) == self.core.public_key())?;
        let Proposed { block, after } = self.view.proposal?;
        let block = self.core.tree.block(&block)?.clone();
        let certificate = after.and_then(|view| self.notarized.get(&view));
        let justify = certificate.filter(|known| known.data.block == vote.data.block).cloned();
        let left = vote.data.round.0.checked_sub(1).map(Round);
        let entry = left.filter(|_| left != after).and_then(|left| self.nullified.get(&left));
        Some(Proposal { vote, block, justify, entry: entry.cloned() })
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
        if !self.is_our_epoch(now, from, &data, fx) {
            return Ok(());
        }
        let signer = self.core.check_leader(&proposal.vote)?;
        if data.round < self.view.number {
            return self.on_late_proposal(now, from, proposal, fx);
        }
        let first = self.view.proposed.filter(|first| first.data.round == data.round);
        if !self.core.is_first(&proposal.vote, signer, first, fx)? {
            return Ok(());
        }
        let judged = self.judge(now, &proposal);
        let Some(certificates) = unless_ahead(from, judged, fx)? else { return Ok(()) };

        let Proposal { vote, block, justify, .. } = proposal;
        let after = match &justify {
            Some(justify) => Some(justify.data.round),
            None => self.rests_on(&block.header),
        };
        for certificate in certificates {
            self.use_certificate(now, certificate, fx);
        }
        if self.core.electorate().epoch() == data.epoch && data.round == self.view.number {
            self.view.proposed = Some(vote);
            self.view.proposal = Some(Proposed { block: data.block, after });
            self.keep(Identified { id: data.block, block }, State::Waiting);
        }
        self.progress(now, fx);
        Ok(())
    }

    /// A proposal that its votes have overtaken: its body may be wanted.
    fn on_late_proposal(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Heard {
        if self.core.fetches(&proposal.vote.data.block) {
            return self.on_block(now, from, proposal.block, fx);
        }
        Ok(())
    }

    /// The view of this epoch that a block's parent was notarized in.
    pub(super) fn rests_on(&self, header: &Header) -> Option<Round> {
        let certificate = header.parent_certificate.as_ref()?;
        let ours = certificate.data.epoch == self.core.electorate().epoch();
        ours.then_some(certificate.data.round)
    }

    /// Everything about a signed proposal that doesn't need execution; changes nothing. Gives the
    /// certificates that came along.
    fn judge(&mut self, now: Timestamp, proposal: &Proposal) -> Result<Vec<Checked>, Refusal> {
        let Proposal { vote, block, justify, entry } = proposal;
        let (view, header) = (vote.data.round, &block.header);
        let got = header.id();
        if got != vote.data.block {
            return Err(Refusal::BlockId { signed: vote.data.block, got });
        }
        let electorate = self.core.electorate();
        let fields = [
            (header.height == vote.data.height, "height"),
            (header.epoch == electorate.epoch(), "epoch"),
            (header.validators == electorate.hash(), "validator set"),
            (justify.is_some() || header.proposer == vote.signer, "proposer"),
        ];
        if let Some((_, field)) = fields.iter().find(|(holds, _)| !holds) {
            return Err(Refusal::Header(field));
        }
        let mut checked = Vec::new();
        if let Some(justify) = justify {
            self.check_again(justify, header, view)?;
            checked.push(self.verify(justify)?);
        } else if let Some(parent) = self.rests_on(header).and(header.parent_certificate.as_ref()) {
            self.check_parent(parent, header, view)?;
            checked.push(self.verify(parent)?);
        } else if header.parent != self.core.tip.block() {
            return Err(Refusal::Header("parent certificate"));
        }
        let left = view.0.checked_sub(1).map(Round);
        if let Some(entry) = entry {
            if entry.data.phase != Phase::NewRound || entry.data.round != view {
                return Err(misplaced(entry, "the Timeout QC of the round"));
            }
            if left.is_some_and(|left| !self.nullified.contains_key(&left)) {
                checked.push(self.verify(entry)?);
            }
        } else if view > self.view.number && checked.first().map(|c| c.data.round) != left {
            return Err(Refusal::Unjustified { got: view, ours: self.view.number });
        }
        if !self.core.tree.contains(&got) {
            match self.parent_of(header)? {
                Some(parent) => header::check(block, &parent, Self::ID, &self.core.config, now)?,
                None => header::check_orphan(block, &self.core.config)?,
            }
        }
        Ok(checked)
    }

    /// Whether this certificate stands where the notarization of a block's parent belongs.
    fn check_parent(&self, certificate: &Certificate, header: &Header, view: Round) -> Heard {
        let data = &certificate.data;
        let stands = matches!(data.phase, Phase::Prepare | Phase::Commit)
            && data.block == header.parent
            && data.height.next() == header.height
            && data.round < view
            && self.base.is_none_or(|base| base.view <= data.round);
        if stands { Ok(()) } else { Err(misplaced(certificate, "the notarization of the parent")) }
    }

    /// Whether this certificate allows the block to be proposed again: only the last of an epoch may.
    fn check_again(&self, certificate: &Certificate, header: &Header, view: Round) -> Heard {
        let data = &certificate.data;
        if data.block != header.id() {
            let (got, expected) = (header.id(), data.block);
            return Err(Refusal::JustifyBlock { got, expected });
        }
        let stands = data.phase == Phase::Prepare
            && data.height == header.height
            && data.round < view
            && header.next_validators != header.validators;
        if stands { Ok(()) } else { Err(misplaced(certificate, "a notarization of this block")) }
    }

    /// The tip that a block must extend, if its parent is known to be valid. The parent's certificate
    /// is checked then, unless it is of the epoch before.
    pub(super) fn parent_of(&mut self, header: &Header) -> Result<Option<Tip>, Refusal> {
        let certificate = header.parent_certificate.as_ref().filter(|_| {
            header.parent_certificate.as_ref().map(|known| known.data.epoch)
                == Some(self.core.electorate().epoch())
        });
        if header.parent == self.core.tip.block() {
            let Some(certificate) = certificate else { return Ok(Some(self.core.tip.clone())) };
            let certificate = self.verify(certificate)?.into_inner();
            return Ok(Some(self.core.tip.with_certificate(certificate)));
        }
        if !self.core.tree.is_valid(&header.parent) {
            return Ok(None);
        }
        let Some(certificate) = certificate else {
            return Err(Refusal::Header("parent certificate"));
        };
        let certificate = self.verify(certificate)?.into_inner();
        Ok(self.core.tree.tip(&header.parent, certificate))
    }

    /// Has blocks executed whose parents are valid by now.
    pub(super) fn execute(&mut self, now: Timestamp, fx: &mut Fx) {
        while let Some(id) = self.core.tree.next_waiting(&self.core.tip) {
            let Some(header) = self.core.tree.block(&id).map(|block| block.header.clone()) else {
                return;
            };
            let proposed = self.view.proposed.filter(|vote| vote.data.block == id);
            let examined = match self.parent_of(&header) {
                Ok(Some(parent)) => {
                    self.core.examine(now, &id, parent, proposed, |_| Ok(false), fx)
                }
                Ok(None) => self.core.refuse(&id, INVALID_PARENT, None, fx),
                Err(refusal) => self.core.refuse(&id, refusal, proposed, fx),
            };
            if examined == Examined::Ahead && proposed.is_some() {
                (self.view.proposed, self.view.proposal) = (None, None);
            }
        }
    }

    fn height_of(&self, id: &BlockId) -> Option<Height> {
        self.core.tree.get(id).map(|node| node.height())
    }

    fn is_notarized(&self, id: &BlockId) -> bool {
        let mut certificates = self.notarized.values().chain(&self.finalized);
        certificates.any(|certificate| certificate.data.block == *id)
    }

    /// The host's answer to a Check.
    pub(super) fn on_checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let proposed = self.view.proposed.filter(|vote| vote.data.block == block);
        if self.core.on_checked(&block, verdict, proposed.map(|vote| vote.signer), fx)? {
            self.progress(now, fx);
        }
        Ok(())
    }

    /// Notarizes the view's proposal if it is valid and all views that it skips are nullified.
    pub(super) fn notarize(&mut self, fx: &mut Fx) {
        let view = self.view.number;
        let Some(Proposed { block, after }) = self.view.proposal else { return };
        let skips = self.first_missing(after, view).is_some();
        if self.view.notarize.is_some()
            || !self.core.tree.is_valid(&block)
            || skips && !trap!("simplex_skip")
        {
            return;
        }
        let Some(height) = self.height_of(&block) else {
            return;
        };
        let data = self.data(view, Phase::Prepare, height, block);
        if !self.core.may_sign(&data) {
            return;
        }
        self.core.record_body(&block, fx);
        self.view.notarize = self.core.sign(data, fx);
        if let Some(vote) = self.view.notarize {
            self.cast(vote, fx);
        }
    }
}
