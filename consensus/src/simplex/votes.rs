//! Votes: broadcast by everybody, counted by everybody.

use alloc::boxed::Box;

use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::vote::{Phase, Vote, VoteData};

use super::{Fx, Heard, Simplex};
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid};
use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::output::Output;

impl Simplex {
    /// Broadcasts a signature; it counts here once it is stored.
    pub(super) fn cast(&self, vote: Vote, fx: &mut Fx) {
        fx.own(vote);
        fx.emit(Output::Broadcast { to: self.core.electorate(), message: Message::Vote(vote) });
    }

    /// The view that a vote speaks of: a NewRound signature of the one that it leaves.
    pub(super) const fn view_of(data: &VoteData) -> Option<Round> {
        match data.phase {
            Phase::NewRound => match data.round.0.checked_sub(1) {
                Some(view) => Some(Round(view)),
                None => None,
            },
            _ => Some(data.round),
        }
    }

    /// Our own signature is durable: count it.
    pub(super) fn count_own(&mut self, now: Timestamp, vote: Vote, fx: &mut Fx) {
        let electorate = self.core.electorate();
        let Some(position) = self.core.position else { return };
        if vote.data.epoch != electorate.epoch() || vote.data.phase == Phase::Propose {
            return;
        }
        if let Some(poll) = self.poll(&vote.data) {
            poll.add_checked(&vote, position, &electorate);
            self.weigh(now, &vote.data, fx);
        }
    }

    /// The poll that a vote belongs to, if its view is near ours.
    fn poll(&mut self, data: &VoteData) -> Option<&mut Tally> {
        let view = Self::view_of(data)?;
        let window = self.core.config.round_window;
        if view.0.abs_diff(self.view.number.0) > window {
            return None;
        }
        let electorate = self.core.electorate();
        Some(self.polls.entry((view, data.phase)).or_insert_with(|| Tally::new(&electorate)))
    }

    /// Whether the decided view is this one or a later one.
    pub(super) fn is_decided(&self, view: Round) -> bool {
        self.base.is_some_and(|base| view <= base.view)
    }

    pub(super) fn on_vote(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        vote: Vote,
        fx: &mut Fx,
    ) -> Heard {
        let data = vote.data;
        self.core.check_vote(&vote, from, &[Phase::Prepare, Phase::Commit, Phase::NewRound])?;
        let Some(view) = Self::view_of(&data) else {
            return Err(Refusal::NotOurRound(data.round));
        };
        if data.phase == Phase::NewRound && data.height != Height::GENESIS {
            return Err(Refusal::Field { phase: data.phase, field: "height" });
        }
        if !self.is_our_epoch(now, from, &data, fx) {
            return Ok(());
        }
        let position = self.core.check_signer(&vote)?;
        let electorate = self.core.electorate();
        let Some(poll) = self.poll(&data) else {
            if view < self.view.number {
                self.help(now, from, view, data.phase, fx);
            } else {
                fx.emit(Output::Dropped { peer: from, what: "vote beyond the window" });
            }
            return Ok(());
        };
        match poll.add(&vote, position, &electorate) {
            Added::Counted => self.weigh(now, &data, fx),
            // It says so again, so it is still waiting.
            Added::Known if view < self.view.number => self.help(now, from, view, data.phase, fx),
            Added::Known => {}
            Added::Conflict(evidence) => self.core.accuse(*evidence, fx),
            Added::Invalid => return Err(invalid(&vote)),
        }
        Ok(())
    }

    /// Whether a message is of the epoch that we are in. Who is behind is shown how it ended; who is
    /// ahead has blocks that we lack.
    pub(super) fn is_our_epoch(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        data: &VoteData,
        fx: &mut Fx,
    ) -> bool {
        let ours = self.core.electorate().epoch();
        if data.epoch < ours {
            if let Some(ended) = self.ended.clone().filter(|ended| ended.data.epoch == data.epoch)
                && self.core.may_help(now, from)
            {
                fx.send(from, Message::Certificate(Box::new(ended)));
            }
        } else if data.epoch > ours {
            // Of the block it votes for, the parent may be undecided.
            let height = data.height.previous().unwrap_or_default().max(self.core.height().next());
            self.core.behind(from, height, false, fx);
        }
        data.epoch == ours
    }

    /// Acts on the votes for something.
    fn weigh(&mut self, now: Timestamp, data: &VoteData, fx: &mut Fx) {
        let electorate = self.core.electorate();
        let Some(view) = Self::view_of(data) else { return };
        let known = self.is_decided(view)
            || match data.phase {
                Phase::NewRound => self.nullified.contains_key(&view),
                Phase::Prepare => self.notarized.contains_key(&view),
                _ => self.finalized.as_ref().is_some_and(|known| known.data.round >= view),
            };
        if known {
            return;
        }
        let Some(poll) = self.polls.get_mut(&(view, data.phase)) else { return };
        let (certificate, invalid) = poll.certify(&electorate);
        charge(&invalid, data.phase, fx);
        if let Some(certificate) = certificate {
            let certificate = self.core.certificates.trust(certificate);
            self.use_certificate(now, certificate, fx);
            self.progress(now, fx);
        }
    }
}
