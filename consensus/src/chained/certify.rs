//! Certificates: what each of them makes a replica do, and the blocks that they name.

use alloc::string::{String, ToString};

use pocket_types::block::{Block, Header};
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::vote::{Certificate, Phase};

use super::tree::{Node, State, Valid};
use super::{Certified, ChainRules, Chained, Fx, Heard, certified};
use crate::common::bodies::BodyState;
use crate::common::certificates::Checked;
use crate::common::{Core, header, misplaced};
use crate::protocol::Protocol as _;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::output::Output;
use crate::tip::Tip;

impl<R: ChainRules> Chained<R> {
    pub(super) fn on_certificate(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        certificate: Certificate,
        fx: &mut Fx,
    ) -> Heard {
        let data = certificate.data;
        self.core.check_network(&data)?;
        if !self.is_current(now, from, data.epoch, data.height, fx) {
            return Ok(());
        }
        let old = match data.phase {
            Phase::Prepare => self.high().round >= Some(data.round),
            Phase::NewRound => {
                data.round < self.round.number
                    || data.round == self.round.number && self.round.entry.is_some()
            }
            _ => return Err(misplaced(&certificate, "a certificate of votes or timeouts")),
        };
        if old {
            return Ok(());
        }
        if !self.core.tip.is_voter(&from) {
            fx.emit(Output::Dropped { peer: from, what: "certificate from a stranger" });
            return Ok(());
        }
        if data.phase == Phase::NewRound {
            check_timeout(&certificate)?;
        }
        let certificate = self.core.verify(&certificate)?;
        self.use_certificate(now, certificate, fx);
        self.progress(now, fx);
        Ok(())
    }

    /// Checks, without signatures, a certificate of votes where one of an earlier round belongs.
    pub(super) fn check_votes(
        &self,
        certificate: &Certificate,
        before: pocket_types::number::Round,
    ) -> Heard {
        let data = &certificate.data;
        self.core.check_network(data)?;
        let fits = data.phase == Phase::Prepare && data.epoch == self.epoch();
        if !fits || data.round >= before {
            return Err(misplaced(certificate, "a certificate of an earlier round's votes"));
        }
        Ok(())
    }

    /// A certificate of a later round moves us there; the latest is what we build on.
    pub(super) fn use_certificate(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        let data = certificate.data;
        if data.epoch != self.epoch() {
            return;
        }
        if data.phase == Phase::NewRound {
            if data.round > self.round.number {
                self.enter(now, data.round, Some(certificate), fx);
            } else if data.round == self.round.number && self.round.entry.is_none() {
                self.round.entry = Some(certificate.into_inner());
            }
            return;
        }
        let known = certified(&certificate);
        let tip = self.decided();
        if known.round > self.high().round
            && (known.height > tip.height || known.block == tip.block)
        {
            if let Some(node) = self.tree.get_mut(&known.block) {
                node.certified = true;
            }
            self.high = Some(certificate.into_inner());
            self.consider(&known);
        }
        let next = known.next_round();
        if next > self.round.number {
            self.enter(now, next, None, fx);
        }
        if self.high().next_round() == self.round.number {
            self.round.patience = None;
        }
    }

    /// What the rules say of a certificate: the lock, and what is decided. Asked once the certificate
    /// is known, and again when its block comes.
    pub(super) fn consider(&mut self, known: &Certified) {
        let chain = self.chain();
        let (lock, decided) = (R::lock(known, &chain), R::commits(known, &chain));
        if let Some(lock) = lock.filter(|lock| lock.round > self.lock.round) {
            self.lock = lock;
        }
        let target = self.deciding.as_ref().map_or_else(|| self.decided(), |(_, to)| *to).height;
        if let Some(decided) = decided.filter(|decided| decided.height > target)
            && let Some(certificate) = self.certificate_of(known)
        {
            self.deciding = Some((certificate, decided));
        }
    }

    /// The certificate itself, if it is known.
    pub(super) fn certificate_of(&self, known: &Certified) -> Option<Certificate> {
        let high = self.high.as_ref().filter(|high| certified(high) == *known);
        high.or_else(|| self.tree.certificate(known)).cloned()
    }

    /// The certificate that a header extends; its own epoch's, or else the block that the epoch began
    /// with.
    pub(super) fn justify_of<'h>(
        &self,
        header: &'h Header,
    ) -> Result<(Certified, Option<&'h Certificate>), Refusal> {
        let of_epoch = header.parent_certificate.as_ref();
        let Some(justify) = of_epoch.filter(|qc| qc.data.epoch == self.epoch()) else {
            let height = header.height.previous().unwrap_or(Height::GENESIS);
            return Ok((Certified { block: header.parent, height, round: None }, None));
        };
        let data = &justify.data;
        self.core.check_network(data)?;
        let fits = [
            data.phase == Phase::Prepare,
            data.block == header.parent,
            data.height.next() == header.height,
        ];
        if fits.contains(&false) {
            return Err(misplaced(justify, "the certificate of the parent"));
        }
        Ok((certified(justify), Some(justify)))
    }

    /// Takes a block in, unless it is known or can't be decided any more.
    pub(super) fn add(
        &mut self,
        block: Block,
        justify: Certified,
        is_certified: bool,
        state: State,
    ) {
        let id = block.id();
        let tip = self.decided();
        if self.tree.get(&id).is_some()
            || block.header.height <= tip.height
            || block.header.height == tip.height.next() && block.header.parent != tip.block
        {
            return;
        }
        let mut node = Node::new(block, justify, state);
        node.certified = is_certified;
        let needed = self.needed();
        self.tree.insert(id, node, self.core.config.max_bodies, &needed);
        self.consider(&justify);
        for child in self.tree.children(&id) {
            if let Some(justify) = self.tree.get(&child).map(|node| node.justify) {
                self.consider(&justify);
            }
        }
        if self.high().block == id {
            self.consider(&self.high());
        }
    }

    /// Asks for what is missing between the decided block and the highest certificate.
    pub(super) fn fetch_missing(&mut self, fx: &mut Fx) {
        let tip = self.decided();
        let heads = [self.deciding.as_ref().map(|(qc, _)| qc), self.high.as_ref()];
        let missing = |head: &Certificate| {
            Some((*self.tree.path(head, &tip).err().flatten()?, head.data.height))
        };
        let Some((missing, head)) = heads.into_iter().flatten().find_map(missing) else { return };
        if missing.data.height.0.saturating_sub(tip.height.0) <= MAX_WALK {
            self.core.fetch(&missing, fx);
        }
        // Where nothing failed, all but the last few blocks are decided. Others forget their bodies.
        let decided = Height(head.0.saturating_sub(R::ID.links() as u64 - 1));
        let mut signers = missing.positions().filter(|&p| Some(p) != self.core.position);
        if decided > tip.height.next()
            && let Some(signer) = signers.find_map(|p| self.core.tip.validators().member(p))
        {
            let (peer, height) = (signer.public_key, decided.next());
            fx.emit(Output::Behind { peer, height, certified: true });
        }
    }

    pub(super) fn on_block(&mut self, now: Timestamp, from: PublicKey, block: Block, fx: &mut Fx) {
        let id = block.id();
        if !self.core.fetches(&id) {
            if self.tree.get(&id).is_none() {
                fx.emit(Output::Dropped { peer: from, what: "block that is not waited for" });
            }
            return;
        }
        if block.check_body().is_err() {
            return fx.emit(Output::Dropped { peer: from, what: "block with another body" });
        }
        self.core.fetch = None;
        // A quorum voted for this header: its parent's certificate was checked by honest replicas.
        if let Ok((justify, _)) = self.justify_of(&block.header) {
            self.add(block, justify, true, State::Waiting);
        }
        self.progress(now, fx);
    }

    /// Checks the blocks whose parent has proved valid.
    pub(super) fn check_waiting(&mut self, now: Timestamp, fx: &mut Fx) {
        while let Some((id, parent)) = self.next_waiting() {
            match parent {
                Some(parent) => self.check(now, id, parent, fx),
                None => self.refuse(&id, "it extends an invalid block".to_string()),
            }
        }
    }

    /// A waiting block, and its valid parent; none where the parent is invalid.
    fn next_waiting(&self) -> Option<(BlockId, Option<Tip>)> {
        let waiting = self.tree.iter().filter(|(_, node)| matches!(node.state, State::Waiting));
        waiting.into_iter().find_map(|(id, node)| {
            let header = &node.block.header;
            let parent = self.tree.get(&header.parent).map(|parent| &parent.state);
            if matches!(parent, Some(State::Invalid(_))) {
                return Some((*id, None));
            }
            let parent = self.tip_after(&header.parent, header.parent_certificate.as_ref())?;
            Some((*id, Some(parent)))
        })
    }

    fn check(&mut self, now: Timestamp, id: BlockId, parent: Tip, fx: &mut Fx) {
        let Some(node) = self.tree.get(&id) else { return };
        // A quorum vouches for the header's time, so our clock has no say.
        let clock = if node.certified { Timestamp(u64::MAX) } else { now };
        let block = &node.block;
        let result = header::check(block, &parent, Self::ID, &self.core.config, clock);
        let filler = self.tree.get(&block.header.parent).filter(|p| self.ends_epoch(p));
        let result = result.and_then(|()| filler.map_or(Ok(false), |p| check_filler(block, p)));
        match result {
            // Who of us has the wrong clock is unknown; the leader says it again until then.
            Err(Refusal::TimeAhead { .. }) => {
                let peer = block.header.proposer;
                fx.emit(Output::Dropped { peer, what: "proposal ahead of our clock" });
                self.tree.remove(&id);
                if self.round.proposed.is_some_and(|vote| vote.data.block == id) {
                    (self.round.proposed, self.round.candidate) = (None, None);
                }
            }
            Err(reason) => {
                let proposed = self.round.proposed.filter(|vote| vote.data.block == id);
                self.refuse(&id, reason.to_string());
                if let Some(vote) = proposed {
                    fx.emit(Output::Misbehaviour { peer: vote.signer, reason });
                }
            }
            Ok(true) => {
                let next = parent.next_validators().clone();
                self.set(&id, State::Valid(Valid { parent, next, filler: true }));
            }
            Ok(false) => {
                fx.emit(Output::Check(block.clone().into()));
                self.set(&id, State::Checking(parent));
            }
        }
    }

    pub(super) fn set(&mut self, id: &BlockId, state: State) {
        if let Some(node) = self.tree.get_mut(id) {
            node.state = state;
        }
    }

    fn refuse(&mut self, id: &BlockId, reason: String) {
        self.set(id, State::Invalid(reason));
    }

    /// The host's answer to a Check.
    pub(super) fn on_checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        let state = self.tree.get(&block).map(|node| &node.state);
        let Some(State::Checking(parent)) = state else { return Ok(()) };
        let parent = parent.clone();
        let proposed = self.round.proposed.filter(|vote| vote.data.block == block);
        let proposer = proposed.map(|vote| vote.signer);
        let state = match Core::verdict(&parent, verdict, proposer, fx)? {
            BodyState::Valid(next) => State::Valid(Valid { parent, next, filler: false }),
            BodyState::Invalid(reason) => State::Invalid(reason),
            BodyState::Checking => State::Checking(parent),
        };
        self.set(&block, state);
        self.progress(now, fx);
        Ok(())
    }
}

/// Whether a filler is empty and changes nothing.
fn check_filler(block: &Block, parent: &Node) -> Result<bool, Refusal> {
    let rules = [
        (block.transactions.is_empty(), "transactions of a filler"),
        (block.evidence.is_empty(), "evidence of a filler"),
        (block.header.state_root == parent.block.header.state_root, "state root of a filler"),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(true), |(_, what)| Err(Refusal::Header(what)))
}

/// Checks, without signatures, a Timeout QC's form.
pub(super) fn check_timeout(certificate: &Certificate) -> Heard {
    let data = &certificate.data;
    if data.block != BlockId::default() || data.height != Height::GENESIS {
        return Err(misplaced(certificate, "a Timeout QC, of no block and no height"));
    }
    Ok(())
}

/// How far above the decided block missing blocks are asked for one by one; beyond, sync brings the
/// decided ones first.
const MAX_WALK: u64 = 256;
