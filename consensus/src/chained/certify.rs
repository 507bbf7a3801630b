//! Certificates: what each of them makes a replica do, and the blocks that they name.

use alloc::vec::Vec;

use pocket_types::block::{Block, Header};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::vote::{Certificate, Phase};

use super::{Certified, ChainRules, Chained, Fx, Heard};
use crate::common::blocks::{Examined, INVALID_PARENT};
use crate::common::certificates::Checked;
use crate::common::misplaced;
use crate::common::tree::{Identified, Node, State};
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;

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
        if !self.core.hears(from, fx) {
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
        let known = Certified::of(&certificate);
        let tip = self.decided();
        if known.round > self.high().round
            && (known.height > tip.height || known.block == tip.block)
        {
            self.core.tree.certify(&known.block);
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
        let target = self.target().height;
        if let Some(decided) = decided.filter(|decided| decided.height > target)
            && let Some(certificate) = self.certificate_of(known)
        {
            self.deciding = Some((certificate, decided));
        }
    }

    /// The certificate itself, if it is known: a block may carry it.
    pub(super) fn certificate_of(&self, known: &Certified) -> Option<Certificate> {
        let carried = self.core.tree.iter().filter_map(|(_, node)| {
            let (justify, certificate) = Certified::justify(&node.block.header, self.epoch());
            certificate.filter(|_| justify == *known)
        });
        let high = self.high.iter().filter(|high| Certified::of(high) == *known);
        high.chain(carried).next().cloned()
    }

    /// [`Certified::justify`], checked, but for the signatures.
    pub(super) fn justify_of<'h>(
        &self,
        header: &'h Header,
    ) -> Result<(Certified, Option<&'h Certificate>), Refusal> {
        let (extends, certificate) = Certified::justify(header, self.epoch());
        let Some(justify) = certificate else { return Ok((extends, None)) };
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
        Ok((extends, certificate))
    }

    /// Takes a block in, unless it is known or can't be decided any more.
    pub(super) fn add(&mut self, block: Identified, state: State) -> BlockId {
        let (id, tip) = (block.id, &self.core.tip);
        let header = &block.block.header;
        if self.core.tree.contains(&id)
            || header.height <= tip.height()
            || header.height == tip.height().next() && header.parent != tip.block()
        {
            return id;
        }
        let extends = Certified::justify(header, self.epoch()).0;
        let needed = self.needed();
        self.core.keep(block, state, &needed);
        self.consider(&extends);
        let children = self.core.tree.children(&id);
        let epoch = self.epoch();
        let of = children.map(|child| Certified::justify(&child.block.header, epoch).0);
        for certified in of.collect::<Vec<_>>() {
            self.consider(&certified);
        }
        if self.high().block == id {
            self.consider(&self.high());
        }
        id
    }

    /// Asks for what is missing between the decided block and the highest certificate.
    pub(super) fn fetch_missing(&mut self, fx: &mut Fx) {
        let tip = self.decided();
        let heads = [self.deciding.as_ref().map(|(qc, _)| qc), self.high.as_ref()];
        let missing = |head| {
            let missing: &Certificate = self.core.tree.missing(&self.core.tip, head)?;
            Some((missing.clone(), head.data.height))
        };
        let Some((missing, head)) = heads.into_iter().flatten().find_map(missing) else { return };
        if missing.data.height.0.saturating_sub(tip.height.0) <= MAX_WALK {
            self.core.fetch(&missing, None, fx);
        }
        // Where nothing failed, all but the last few blocks are decided. Others forget their bodies.
        let decided = Height(head.0.saturating_sub(R::ID.links() as u64 - 1));
        let signer = self.core.signers(&missing).next();
        if let Some(signer) = signer.filter(|_| decided > tip.height.next()) {
            self.core.behind(signer, decided.next(), true, fx);
        }
    }

    pub(super) fn on_block(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Block,
        fx: &mut Fx,
    ) -> Heard {
        let block = Identified::from(block);
        if self.core.fetched(from, &block, fx)?.is_none() {
            return Ok(());
        }
        // A quorum voted for this header: its parent's certificate was checked by honest replicas.
        if self.justify_of(&block.block.header).is_ok() {
            let id = self.add(block, State::Waiting);
            self.core.tree.certify(&id);
            // Votes may overtake the block that they certify; when its child is due, it tells.
            if self.high().block == id && self.round.candidate.is_none() {
                self.pace = self.pacemaker(now, None);
            }
        }
        self.progress(now, fx);
        Ok(())
    }

    /// Has blocks executed whose parents are valid by now.
    pub(super) fn execute(&mut self, now: Timestamp, fx: &mut Fx) {
        while let Some(id) = self.core.tree.next_waiting(&self.core.tip) {
            let Some(header) = self.core.tree.block(&id).map(|block| &block.header) else { return };
            let Some(parent) = self.tip_after(&header.parent, header.parent_certificate.as_ref())
            else {
                self.core.refuse(&id, INVALID_PARENT, None, fx);
                continue;
            };
            let before = self.core.tree.get(&header.parent).filter(|node| self.ends_epoch(node));
            let root = before.map(|before| before.block.header.state_root);
            let rules =
                |node: &Node| root.map_or(Ok(false), |root| check_filler(&node.block, root));
            let proposed = self.round.proposed.filter(|vote| vote.data.block == id);
            let examined = self.core.examine(now, &id, parent, proposed, rules, fx);
            if examined == Examined::Ahead && proposed.is_some() {
                (self.round.proposed, self.round.candidate) = (None, None);
            }
        }
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
            self.progress(now, fx);
        }
        Ok(())
    }
}

/// Whether a filler is empty and changes nothing.
fn check_filler(block: &Block, state_root: Hash) -> Result<bool, Refusal> {
    let rules = [
        (block.transactions.is_empty(), "transactions of a filler"),
        (block.evidence.is_empty(), "evidence of a filler"),
        (block.header.state_root == state_root, "state root of a filler"),
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
