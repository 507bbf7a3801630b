//! From what is trusted to what is wanted: fetch, verify or halve, ask witnesses, trust.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;

use pocket_types::key::PublicKey;
use pocket_types::light::{LightBlock, LightError, MAX_STEPS, Trusted};
use pocket_types::number::{Height, Timestamp};

use super::config::Target;
use super::message::{LightMessage, LightRequest};
use super::output::Output;
use super::peers::{Asked, Purpose};
use super::record::Record;
use super::{Check, Effects, LightClient, Start};

impl LightClient {
    /// Goes on until an answer is needed.
    pub(super) fn pump(&mut self, now: Timestamp, fx: &mut Effects) {
        while self.halted.is_none() && self.advance(now, fx) {}
    }

    /// One step; false when there is nothing to do but wait.
    fn advance(&mut self, now: Timestamp, fx: &mut Effects) -> bool {
        if self.check.is_some() {
            return self.confirm(now, fx);
        }
        // Without a header to confirm, the one request in flight is the source's.
        if self.peers.in_flight() > 0 {
            return false;
        }
        let trusted = match &self.trust {
            Start::Checkpoint(checkpoint) => {
                self.fetch(now, checkpoint.height, Purpose::Anchor, fx);
                if self.source.is_none() {
                    self.say_too_few(now, fx);
                }
                return false;
            }
            Start::Trusted(trusted) => trusted,
        };
        let (Some(source), Some(pivot)) = (self.source, self.pivots.last()) else {
            match self.wanted(now) {
                Some(height) => {
                    self.has_said_too_few = false;
                    self.fetch(now, height, Purpose::Header, fx);
                }
                None => self.say_too_few(now, fx),
            }
            return false;
        };
        let (from, to) = (trusted.tip().height, pivot.header().map(|header| header.height));
        match (trusted.verify(pivot, now, &self.config.rules), to) {
            (Ok(trusted), _) => {
                if let Some(block) = self.pivots.pop() {
                    self.verified(trusted, block, fx);
                }
                true
            }
            (Err(LightError::Overlap { .. }), Some(to)) => {
                let height = Height(from.0 + to.0.saturating_sub(from.0) / 2);
                self.ask(now, source, LightRequest::Block { height }, Purpose::Header, fx);
                false
            }
            (Err(error), to) => {
                self.refused(now, source, to.unwrap_or_default(), error, fx);
                true
            }
        }
    }

    /// Ends a contest at its height, or has the header confirmed.
    fn verified(&mut self, trusted: Trusted, block: LightBlock, fx: &mut Effects) {
        let (height, id) = (trusted.tip().height, trusted.tip().block);
        if let Some(mut contest) = self.contest.take_if(|contest| contest.height == height)
            && contest.block.header().is_some_and(|header| header.id() != id)
        {
            contest.path.push(block);
            self.fork(&contest.from, alloc::vec![contest.block], contest.path, fx);
            return;
        }
        self.check = Some(Check { block, trusted, agreed: BTreeSet::new() });
    }

    /// Asks witnesses until enough of them know the header, and nobody who is asked does not.
    fn confirm(&mut self, now: Timestamp, fx: &mut Effects) -> bool {
        let Some(Check { block, trusted, agreed }) = self.check.take() else { return false };
        let height = trusted.tip().height;
        let rival = self.contest.as_ref().and_then(|contest| contest.rival);
        let mut asked = self.peers.in_flight();
        while agreed.len() + asked < self.config.witnesses {
            let other = |key: &PublicKey| self.source != Some(*key) && !agreed.contains(key);
            let Some(witness) = self.peers.pick(height, now, rival, other) else { break };
            self.ask(now, witness, LightRequest::Id { height }, Purpose::Opinion, fx);
            asked += 1;
        }
        if asked == 0 && agreed.len() >= self.config.witnesses {
            self.commit(trusted, block, fx);
            return true;
        }
        if asked == 0 {
            // Nobody is left to ask. It is fetched again when enough peers say that they have it.
            self.abandon();
            return true;
        }
        self.check = Some(Check { block, trusted, agreed });
        false
    }

    /// Trusts a header from now on; the host hears of it when it is stored.
    pub(super) fn commit(&mut self, trusted: Trusted, block: LightBlock, fx: &mut Effects) {
        let (tip, next) = (*trusted.tip(), trusted.next().set().clone());
        fx.records.push(Record::Trusted { tip, next });
        if let Some(header) = block.header() {
            self.kept.push_back(header.clone());
        }
        while self.kept.len() > self.config.max_kept {
            self.kept.pop_front();
        }
        self.trust = Start::Trusted(trusted);
        if let Some(contest) = &mut self.contest {
            contest.path.push(block.clone());
        }
        fx.outputs.push(Output::Trusted(Box::new(block)));
        // Evidence has a bound. A source whose way is longer wins if nobody contradicts it on it.
        self.contest.take_if(|contest| contest.path.len() >= MAX_STEPS);
    }

    /// The next height to be trusted: what is followed, as far as a source and its witnesses have it.
    fn wanted(&self, now: Timestamp) -> Option<Height> {
        if let Some(contest) = &self.contest {
            return Some(contest.height);
        }
        let known = self.peers.height_of(self.config.witnesses + 1, now)?;
        let height = match self.config.target {
            Target::Newest => known,
            Target::Height(target) => known.min(target),
        };
        Some(height).filter(|height| self.trusted().is_some_and(|tip| *height > tip.height))
    }

    /// Whether what is followed is reached.
    pub(super) fn is_done(&self) -> bool {
        let trusted = self.trusted().map(|tip| tip.height);
        match self.config.target {
            Target::Newest => false,
            Target::Height(target) => trusted.is_some_and(|height| height >= target),
        }
    }

    fn say_too_few(&mut self, now: Timestamp, fx: &mut Effects) {
        let (have, need) = (self.peers.rested(now), self.config.witnesses + 1);
        let is_short = have < need && !self.is_done();
        if is_short && !self.has_said_too_few {
            fx.outputs.push(Output::TooFewPeers { have, need });
        }
        self.has_said_too_few = is_short;
    }

    /// Asks a source, the last one if it can.
    fn fetch(&mut self, now: Timestamp, height: Height, purpose: Purpose, fx: &mut Effects) {
        self.source = self.peers.pick(height, now, self.source, |_| true);
        if let Some(source) = self.source {
            self.ask(now, source, LightRequest::Block { height }, purpose, fx);
        }
    }

    pub(super) fn ask(
        &mut self,
        now: Timestamp,
        to: PublicKey,
        request: LightRequest,
        purpose: Purpose,
        fx: &mut Effects,
    ) {
        let deadline = now.after(self.config.timeout);
        self.peers.ask(&to, Asked { request, purpose, deadline });
        fx.outputs.push(Output::Send { to, message: LightMessage::Request(request) });
    }

    /// Keeps a fetched header until it can be verified; beyond the bound the farthest is dropped, to
    /// be fetched again from nearer by.
    pub(super) fn push(&mut self, block: LightBlock) {
        self.pivots.push(block);
        if self.pivots.len() > self.config.max_pivots {
            self.pivots.remove(0);
        }
    }

    /// Starts over from what is trusted.
    pub(super) fn abandon(&mut self) {
        self.source = None;
        self.contest = None;
        self.pivots.clear();
        self.check = None;
        self.peers.forget_requests();
    }
}
