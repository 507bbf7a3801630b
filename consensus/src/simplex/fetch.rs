//! Bodies and certificates that others have and we need, and the other way round.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::vote::Certificate;

use super::tree::{Path, State};
use super::{Fx, Heard, Simplex};
use crate::common::Core;
use crate::replica::message::{BlockRequest, Message, RoundRequest};
use crate::replica::output::Output;

/// A body that is wanted: the one that this certificate names.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    certificate: Certificate,
    attempts: usize,
}

/// When each validator was last given something large: it gets it once per resending interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance(BTreeMap<PublicKey, Timestamp>);

impl Allowance {
    /// Whether a peer may be given something now; notes that it is.
    pub(super) fn allows(&mut self, now: Timestamp, peer: PublicKey, core: &Core) -> bool {
        let soon = |&at: &Timestamp| at <= now && now < at.after(core.config.resend);
        let allows = core.tip.is_voter(&peer) && !self.0.get(&peer).is_some_and(soon);
        if allows {
            self.0.insert(peer, now);
        }
        allows
    }

    /// Forgets who votes no more.
    pub(super) fn retain(&mut self, core: &Core) {
        self.0.retain(|peer, _| core.tip.is_voter(peer));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Simplex {
    /// What we need most and lack: for the decision, for building upon, for judging the proposal.
    fn lacking(&mut self) -> Option<Certificate> {
        let proposal = self.view.proposal.map(|proposal| proposal.block);
        let targets = [self.pending(), self.highest()].into_iter().flatten();
        let targets: Vec<(BlockId, Option<Certificate>)> = targets
            .map(|certificate| (certificate.data.block, Some(certificate.clone())))
            .chain(proposal.map(|block| (block, None)))
            .collect();
        for (target, certificate) in targets {
            let Path::Missing(missing, above) = self.tree.path(&self.core.tip, target) else {
                continue;
            };
            let Some(above) = above else {
                if certificate.is_some() {
                    return certificate;
                }
                continue;
            };
            let header = self.tree.get(&above).map(|node| node.block.header.clone())?;
            let known = header.parent_certificate.filter(|known| known.data.block == missing);
            if let Some(known) = known
                && self.verify(&known).is_ok()
            {
                return Some(known);
            }
        }
        None
    }

    /// Asks for what is lacking, unless that is being asked for.
    pub(super) fn fetch(&mut self, fx: &mut Fx) {
        let lacking = self.lacking();
        let block = |wanted: &Wanted| wanted.certificate.data.block;
        if lacking.as_ref().map(|lacking| lacking.data.block) != self.wanted.as_ref().map(block) {
            self.wanted = lacking.map(|certificate| Wanted { certificate, attempts: 0 });
            self.fetch_again(fx);
        }
    }

    /// Asks one signer of the certificate after the other: more than a third of the weight among them
    /// is honest and holds what it notarized.
    pub(super) fn fetch_again(&mut self, fx: &mut Fx) {
        let pending = self.pending().map(|pending| pending.data.height);
        let Some(Wanted { certificate, attempts }) = &mut self.wanted else { return };
        let data = certificate.data;
        let electorate = self.core.tip.validators();
        let ours = self.core.position;
        let signers: Vec<_> =
            certificate.positions().filter(|&position| Some(position) != ours).collect();
        let turn = signers.get(*attempts % signers.len().max(1));
        if let Some(member) = turn.and_then(|&position| electorate.member(position)) {
            let request = BlockRequest { height: data.height, block: data.block };
            fx.send(member.public_key, Message::BlockRequest(request));
            if let Some(height) = pending.filter(|_| *attempts > 0) {
                let peer = member.public_key;
                fx.emit(Output::Behind { peer, height: height.next(), certified: true });
            }
        }
        *attempts = attempts.saturating_add(1);
    }

    pub(super) fn wants(&self, block: &BlockId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.certificate.data.block == *block)
    }

    pub(super) fn on_block(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Block,
        fx: &mut Fx,
    ) -> Heard {
        let id = block.id();
        if block.header.height <= self.core.tip.height() || self.tree.get(&id).is_some() {
            return Ok(());
        }
        if !self.wants(&id) {
            fx.emit(Output::Dropped { peer: from, what: "block that is not waited for" });
            return Ok(());
        }
        block.check_body()?;
        // Its certificate may be one that only the block above it told of.
        let certificate = self.wanted.take().map(|wanted| wanted.certificate);
        if let Some(certificate) = certificate
            && let Ok(certificate) = self.verify(&certificate)
        {
            self.use_certificate(now, certificate, fx);
        }
        self.keep(block, State::Waiting);
        self.progress(now, fx);
        Ok(())
    }

    /// Gives a body, of an undecided block or the tip.
    pub(super) fn on_block_request(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        request: BlockRequest,
        fx: &mut Fx,
    ) {
        let undecided = self.tree.get(&request.block).map(|node| &node.block);
        let tip = self.core.tip_body.as_ref().filter(|_| request.block == self.core.tip.block());
        let Some(block) = undecided.or(tip).cloned() else {
            // It builds upon blocks without knowing that they are decided.
            let decided = self.finalized.clone();
            if let Some(decided) = decided.filter(|known| known.data.height >= request.height)
                && self.helped.allows(now, from, &self.core)
            {
                fx.send(from, Message::Certificate(Box::new(decided)));
            }
            return;
        };
        let served = self.core.served.get(&from);
        let soon = |&at: &Timestamp| at <= now && now < at.after(self.core.config.resend);
        if !self.core.tip.is_voter(&from) || served.is_some_and(soon) {
            let what = "block request beyond the allowance";
            return fx.emit(Output::Dropped { peer: from, what });
        }
        self.core.served.insert(from, now);
        fx.send(from, Message::Block(Box::new(block)));
    }

    /// The first view whose certificate we lack: to notarize the proposal or, as leader, to propose.
    fn missing(&self) -> Option<Round> {
        let view = self.view.number;
        let after = match self.view.proposal {
            Some(_) if self.view.notarize.is_some() => return None,
            Some(proposal) => proposal.after,
            None if self.is_leader() => {
                let notarized = self.notarized.last_key_value().map(|(view, _)| *view);
                notarized.max(self.base.map(|base| base.view))
            }
            None => return None,
        };
        self.first_missing(after, view)
    }

    /// Asks for certificates of earlier views that we jumped over, unless we just did.
    pub(super) fn ask(&mut self, fx: &mut Fx) {
        let missing = self.missing();
        let asked = self.asked.map(|(view, _)| view);
        if missing != asked {
            let attempts = self.asked.map_or(0, |(_, attempts)| attempts);
            self.asked = missing.map(|missing| (missing, attempts));
            self.ask_again(fx);
        }
    }

    /// Asks the leader, who knows what it built upon, then one validator after the other.
    pub(super) fn ask_again(&mut self, fx: &mut Fx) {
        let Some((from, attempts)) = &mut self.asked else { return };
        let electorate = self.core.tip.validators();
        let leader = self.core.leader_position(self.view.number);
        let (from, position) = (*from, (leader + *attempts) % electorate.len().max(1));
        *attempts = attempts.saturating_add(1);
        if Some(position) == self.core.position {
            return self.ask_again(fx);
        }
        if let Some(member) = electorate.member(position).filter(|_| electorate.len() > 1) {
            let request = RoundRequest { epoch: electorate.epoch(), from };
            fx.send(member.public_key, Message::RoundRequest(request));
        }
    }

    /// Gives a few of the certificates that are asked for.
    pub(super) fn on_round_request(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        request: RoundRequest,
        fx: &mut Fx,
    ) {
        if request.epoch != self.core.electorate().epoch() {
            return;
        }
        if !self.answered.allows(now, from, &self.core) {
            let what = "round request beyond the allowance";
            return fx.emit(Output::Dropped { peer: from, what });
        }
        let decided = self.finalized.clone().filter(|known| known.data.round >= request.from);
        let certificate = |view| self.nullified.get(&view).or_else(|| self.notarized.get(&view));
        let (mut given, mut view) = (0, request.from);
        while given < self.core.config.round_window
            && let Some(certificate) = certificate(view)
        {
            fx.send(from, Message::Certificate(Box::new(certificate.clone())));
            (given, view) = (given + 1, view.next());
        }
        if let Some(decided) = decided {
            fx.send(from, Message::Certificate(Box::new(decided)));
        }
    }
}
