//! Votes as they come in.

use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::vote::{Phase, Vote};

use super::{Fx, Heard, Tendermint};
use crate::common::heights::Heights as _;
use crate::common::invalid;
use crate::common::tally::{Added, Tally};
use crate::replica::message::Message;

impl Tendermint {
    pub(super) fn on_vote(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        vote: Vote,
        fx: &mut Fx,
    ) -> Heard {
        let data = &vote.data;
        self.core.check_vote(&vote, from, &[Phase::Prepare, Phase::Commit])?;
        if data.height < self.core.height() {
            let late = data.phase == Phase::Commit && self.core.on_late_commit(from, vote)?;
            if !late {
                self.help(now, from, data.height, fx);
            }
            return Ok(());
        }
        if data.height > self.core.height() {
            return self.later(now, from, data.height, None, Message::Vote(vote), fx);
        }
        let position = self.core.check_signer(&vote)?;
        if data.round > self.round.number {
            return self.hold(now, vote, position, fx);
        }
        self.count(now, &vote, position, false, fx)
    }

    /// Our own vote is durable: count it.
    pub(super) fn count_own(&mut self, now: Timestamp, vote: Vote, fx: &mut Fx) {
        let counts = vote.data.height == self.core.height()
            && vote.data.phase != Phase::Propose
            && vote.data.round <= self.round.number;
        if let Some(position) = self.core.position.filter(|_| counts) {
            // Only a contradiction could be refused, and the signer makes none.
            let _ = self.count(now, &vote, position, true, fx);
        }
    }

    fn count(
        &mut self,
        now: Timestamp,
        vote: &Vote,
        position: usize,
        checked: bool,
        fx: &mut Fx,
    ) -> Heard {
        let (round, phase) = (vote.data.round, vote.data.phase);
        if round.0.saturating_add(self.core.config.round_window) < self.round.number.0 {
            return Ok(());
        }
        let electorate = self.core.tip.validators();
        let votes = self.votes.entry((round, phase));
        let votes = votes.or_insert_with(|| Tally::new(electorate));
        let added = votes.take(vote, position, checked, electorate);
        match added {
            Added::Counted if votes.claims_quorum(electorate) => self.weigh(now, round, phase, fx),
            Added::Counted => {}
            Added::Known => {}
            Added::Conflict(evidence) => self.core.accuse(*evidence, fx),
            Added::Invalid => return Err(invalid(vote)),
        }
        Ok(())
    }

    /// Shows the decision to somebody who still votes at a decided height. Votes for the last height
    /// come late as a matter of course; who is left behind says them again.
    fn help(&mut self, now: Timestamp, peer: PublicKey, height: Height, fx: &mut Fx) {
        let just_now = now < self.began.after(self.core.config.resend);
        if height < self.core.tip.height() || !just_now {
            self.core.answer_straggler(now, peer, fx);
        }
    }
}
