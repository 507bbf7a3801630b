//! Entering views, leaving them without a notarization, and saying things again.

use alloc::boxed::Box;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Simplex, View};
use crate::common::pacemaker::Pacemaker;
use crate::replica::message::Message;
use crate::replica::output::Output;

impl Simplex {
    /// Takes an epoch up where the log ends.
    pub(super) fn resume(&mut self, now: Timestamp, fx: &mut Fx) {
        self.pace(now);
        self.progress(now, fx);
        self.say_again(fx);
    }

    /// Enters a later view.
    pub(super) fn enter(&mut self, now: Timestamp, view: Round, fx: &mut Fx) {
        if view <= self.view.number {
            return;
        }
        self.view = View::new(view);
        let first = Round(view.0.saturating_sub(self.core.config.round_window));
        self.polls = self.polls.split_off(&(first, Phase::NewRound));
        self.asked = None;
        self.pace(now);
        self.try_propose(now, fx);
    }

    pub(super) fn pace(&mut self, now: Timestamp) {
        let parent = self.highest().and_then(|highest| self.core.tree.block(&highest.data.block));
        let time = parent.map_or_else(|| self.core.tip.time(), |parent| parent.header.time);
        let view = self.view.number.0;
        // While all goes well, the view before the last is decided.
        let decided = self.base.map_or(1, |base| base.view.0.saturating_add(2));
        let failed = Round(view.saturating_sub(decided));
        self.pace = Pacemaker::enter(&self.core.config, now, time, failed);
    }

    /// Whether we may still leave this view without a notarization: never after we finalized it.
    pub(super) fn may_nullify(&self) -> bool {
        let view = self.view.number;
        let finalized = self.finalize.is_some_and(|vote| vote.data.round >= view);
        self.core.position.is_some()
            && self.view.nullify.is_none()
            && (!finalized || trap!("simplex_nullify"))
    }

    pub(super) fn nullify(&mut self, fx: &mut Fx) {
        let view = self.view.number;
        let data = self.data(view.next(), Phase::NewRound, Height::GENESIS, BlockId::default());
        let height = self.core.horizon(view);
        self.view.nullify = self.core.sign_until(data, height, fx);
        if let Some(vote) = self.view.nullify {
            self.cast(vote, fx);
        }
    }

    /// The first view after `after` and before `view` that isn't known to be nullified.
    pub(super) fn first_missing(&self, after: Option<Round>, view: Round) -> Option<Round> {
        let mut next = after.map_or(Round::ZERO, Round::next);
        while next < view {
            if !self.nullified.contains_key(&next) {
                return Some(next);
            }
            next = next.next();
        }
        None
    }

    /// Says again what was said last: it may have been lost.
    pub(super) fn resend(&mut self, fx: &mut Fx) {
        self.core.fetch_again(fx);
        self.ask_again(fx);
        self.say_again(fx);
    }

    fn say_again(&self, fx: &mut Fx) {
        let undecided = |vote: &pocket_types::vote::Vote| !self.is_decided(vote.data.round);
        let finalize = self.finalize.filter(undecided);
        for vote in [finalize, self.view.notarize, self.view.nullify].into_iter().flatten() {
            self.cast(vote, fx);
        }
        if let Some(proposal) = self.proposal() {
            let message = Message::Proposal(Box::new(proposal));
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
    }

    /// What lets others into our view.
    fn key(&self) -> Option<&Certificate> {
        let left = Round(self.view.number.0.checked_sub(1)?);
        let finalized = self.finalized.as_ref().filter(|known| known.data.round == left);
        finalized.or_else(|| self.notarized.get(&left)).or_else(|| self.nullified.get(&left))
    }

    /// Shows somebody who is behind into our view, and what decides the view that it speaks of.
    pub(super) fn help(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        view: Round,
        phase: Phase,
        fx: &mut Fx,
    ) {
        // It is in the view that it votes in, or has left the one that it finalizes.
        let behind = phase != Phase::Commit;
        let decision = self.finalized.clone().filter(|known| known.data.round >= view);
        if decision.is_none() && !behind || !self.core.may_help(now, peer) {
            return;
        }
        let key = self.key().filter(|key| behind && decision.as_ref() != Some(key)).cloned();
        for certificate in [decision, key].into_iter().flatten() {
            fx.send(peer, Message::Certificate(Box::new(certificate)));
        }
    }
}
