//! Handing out what is decided, and the end of an epoch.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::codec::List;
use pocket_types::finality::{FinalityLink, FinalityProof};
use pocket_types::id::BlockId;
use pocket_types::number::Timestamp;
use pocket_types::trap;
use pocket_types::vote::Certificate;

use super::{Certified, ChainRules, Chained, Fx};
use crate::common::allowance::Allowance;
use crate::common::tree::Path;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

impl<R: ChainRules> Chained<R> {
    /// Hands out the blocks that are decided and valid, with their proofs, and makes the last of them
    /// the tip. True if that ended the epoch.
    pub(super) fn try_decide(&mut self, now: Timestamp, fx: &mut Fx) -> bool {
        let Some((deciding, target)) = self.deciding.clone() else { return false };
        let path = self.core.tree.path(&self.core.tip, deciding.data.block);
        let Path::Whole(path) = path else { return false };
        let Some(end) = path.iter().position(|id| *id == target.block) else {
            self.deciding = None;
            return false;
        };
        if !self.core.all_valid(&path[..=end], fx) {
            return false;
        }
        let Some(links) = self.links(&path, &deciding) else { return false };
        let proofs = self.proofs(&links, end);
        let mut tip = self.core.tip.clone();
        let epoch = self.epoch();
        for ((id, link), proof) in path.into_iter().zip(links).take(end + 1).zip(proofs) {
            let Some((header, valid)) = self.core.hand_out(&id, proof, fx) else { break };
            tip = valid.parent.after_checked(&header, link.certificate, valid.next);
            if tip.validators().epoch() != epoch {
                return self.end_epoch(now, tip, deciding, fx);
            }
        }
        self.settle(tip);
        // What follows may be decided as well.
        self.consider(&self.high());
        self.deciding.is_some() && self.try_decide(now, fx)
    }

    /// From here on nothing can be signed in this epoch. Perhaps nobody else has the certificate yet,
    /// and a quorum needs us: it is durable before we sign in the next one.
    fn end_epoch(&mut self, now: Timestamp, tip: Tip, deciding: Certificate, fx: &mut Fx) -> bool {
        if !trap!("chained_finale_lost") {
            fx.record(Record::Decision(Box::new(deciding.clone())));
        }
        // No further proposal of this epoch shows the others what we know.
        if self.core.leads(deciding.data.round.next()) {
            let message = Message::Certificate(Box::new(deciding.clone()));
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
        self.begin_epoch(now, tip, Some(deciding), fx);
        true
    }

    /// Each header of a path with its certificate: the next one carries it, `last` is the last one's.
    fn links(&self, path: &[BlockId], last: &Certificate) -> Option<Vec<FinalityLink>> {
        let headers: Option<Vec<_>> =
            path.iter().map(|id| Some(&self.core.tree.block(id)?.header)).collect();
        let headers = headers?;
        let next = headers.iter().skip(1).map(|header| header.parent_certificate.as_ref());
        let certificates = next.chain([Some(last)]);
        let link =
            |(header, certificate): (&&pocket_types::block::Header, Option<&Certificate>)| {
                Some(FinalityLink { header: (*header).clone(), certificate: certificate?.clone() })
            };
        headers.iter().zip(certificates).map(link).collect()
    }

    /// A proof for each link up to `end`: its own where it is decided for itself, and else the one of
    /// the next descendant that is.
    fn proofs(&self, links: &[FinalityLink], end: usize) -> Vec<FinalityProof> {
        let count = R::ID.links();
        let chain = self.chain();
        let proof = |first: usize| {
            let links = links.get(first..first + count)?;
            List::new(links.to_vec()).ok().map(|links| FinalityProof { links })
        };
        let decides = |first: usize| {
            let last = Certified::of(&links.get(first + count - 1)?.certificate);
            let decided: Certified = R::commits(&last, &chain)?;
            (decided.block == links[first].certificate.data.block).then_some(())
        };
        let Some(mut current) = proof(end) else { return Vec::new() };
        let mut proofs = Vec::with_capacity(end + 1);
        for first in (0..=end).rev() {
            if decides(first).is_some()
                && let Some(own) = proof(first)
            {
                current = own;
            }
            proofs.push(current.clone());
        }
        proofs.reverse();
        proofs
    }

    /// Moves on to a later tip of the same epoch.
    pub(super) fn settle(&mut self, tip: Tip) {
        self.core.follow(tip);
        for (id, block) in self.core.tree.prune(&self.core.tip) {
            self.core.remember(id, block);
        }
        let tip = self.decided();
        if self.high.as_ref().is_none_or(|high| high.data.height <= tip.height) {
            self.high = self.core.tip.certificate().cloned();
        }
        if self.lock.height <= tip.height {
            self.lock = tip;
        }
        self.deciding.take_if(|(_, target)| target.height <= tip.height);
        let core = &mut self.core;
        if core.fetch.as_ref().is_some_and(|f| f.certificate.data.height <= tip.height) {
            core.fetch = None;
        }
    }

    /// Begins the epoch that `tip` is followed by, or takes it up there.
    pub(super) fn begin_epoch(
        &mut self,
        now: Timestamp,
        tip: Tip,
        finale: Option<Certificate>,
        fx: &mut Fx,
    ) {
        let fillers: Vec<_> =
            self.core.tree.iter().map(|(id, node)| (*id, node.block.clone())).collect();
        for (id, block) in fillers {
            self.core.remember(id, block);
        }
        self.core.reset(tip);
        self.finale = finale;
        (self.deciding, self.logged, self.locked) = (None, None, None);
        let epoch = self.epoch();
        self.high = self.core.tip.certificate().filter(|qc| qc.data.epoch == epoch).cloned();
        self.new_rounds.clear();
        self.ballots.clear();
        self.core.helped = Allowance::default();
        self.reread();
        self.resume(now, fx);
    }
}
