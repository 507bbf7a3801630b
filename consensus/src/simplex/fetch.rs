//! Bodies and certificates that others have and we need, and the other way round.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::vote::Certificate;

use super::{Fx, Heard, Simplex};
use crate::common::tree::{Identified, State};
use crate::replica::message::{BlockRequest, Message, RoundRequest};
use crate::replica::output::Output;

impl Simplex {
    /// What we need most and lack: for the decision, for building upon, for judging the proposal.
    fn lacking(&mut self) -> Option<Certificate> {
        let proposal =
            self.view.proposal.and_then(|proposal| self.core.tree.block(&proposal.block));
        let parent = proposal.and_then(|block| block.header.parent_certificate.as_ref());
        let heads = [self.pending(), self.highest(), parent].into_iter().flatten();
        let missing = heads.filter_map(|head| self.core.tree.missing(&self.core.tip, head));
        let missing: Vec<_> = missing.cloned().collect();
        missing.into_iter().find(|missing| self.verify(missing).is_ok())
    }

    /// Asks for what is lacking, unless that is being asked for.
    pub(super) fn fetch(&mut self, fx: &mut Fx) {
        let decided = self.pending().map(|pending| pending.data.height);
        match self.lacking() {
            Some(lacking) => self.core.fetch(&lacking, decided, fx),
            None => self.core.fetch = None,
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
        let Some(certificate) = self.core.fetched(from, &block, fx)? else { return Ok(()) };
        // Its certificate may be one that only the block above it told of.
        if let Ok(certificate) = self.verify(&certificate) {
            self.use_certificate(now, certificate, fx);
        }
        let id = self.keep(block, State::Waiting);
        // Votes may overtake the block that they notarize; when its child is due, it tells.
        if self.view.proposal.is_none() && self.highest().is_some_and(|qc| qc.data.block == id) {
            self.pace(now);
        }
        self.progress(now, fx);
        Ok(())
    }

    /// Gives a body, or shows how it was decided: who asks may build upon blocks without knowing that
    /// they are decided.
    pub(super) fn on_block_request(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        request: BlockRequest,
        fx: &mut Fx,
    ) {
        if self.core.on_block_request(now, from, request, fx) {
            return;
        }
        let decided = self.finalized.clone().filter(|known| known.data.height >= request.height);
        if let Some(decided) = decided
            && self.core.may_help(now, from)
        {
            fx.send(from, Message::Certificate(Box::new(decided)));
        }
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
        let (resend, tip) = (self.core.config.resend, &self.core.tip);
        if !self.answered.allows(now, from, (), resend, tip) {
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
