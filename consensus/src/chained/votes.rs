//! Votes, cast by replicas and counted by the next round's leader.

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::trap;
use pocket_types::vote::{Phase, Vote};

use super::{Certified, ChainRules, Chained, Fx, Heard};
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid};
use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;

impl<R: ChainRules> Chained<R> {
    /// Votes for the round's proposal if it is valid and safe.
    pub(super) fn vote(&mut self, fx: &mut Fx) {
        let Some(candidate) = self.round.candidate else { return };
        if !self.core.tree.is_valid(&candidate.block)
            || !self.fits_epoch(&candidate)
            || !R::may_vote(&candidate, &self.chain())
        {
            return;
        }
        let (round, block) = (candidate.round, candidate.block);
        let data = self.data(candidate.height, round, Phase::Prepare, block);
        if self.core.position.is_none() || !self.core.may_sign(&data) {
            return;
        }
        self.core.record_body(&block, fx);
        self.record_lock(&candidate.justify, fx);
        self.round.candidate = None;
        if let Some(vote) = self.sign(data, fx) {
            self.cast(vote, fx);
        }
    }

    /// What locks us is durable before the vote: the lock that it obeys, or, where nothing shows that one
    /// any more, the lock that the candidate's own justify makes.
    fn record_lock(&mut self, justify: &Certified, fx: &mut Fx) {
        let own = R::lock(justify, &self.chain());
        for lock in [Some(self.lock), own].into_iter().flatten() {
            if lock.round <= self.decided().round || self.recalls(&lock) {
                return;
            }
            if let Some(certificate) = self.certificate_of(&lock) {
                self.locked = lock.round;
                return fx.record(Record::Lock(certificate.into()));
            }
        }
    }

    /// Whether our log leads to a lock as high as this one. Mostly it does, by a certificate in a block
    /// that we recorded; but some rules look into the certified block, too, and that need not be ours.
    fn recalls(&self, lock: &Certified) -> bool {
        let chain = self.chain();
        let known = |block: &BlockId| {
            *block == chain.tip.block || self.core.tree.get(block).is_some_and(|node| node.recorded)
        };
        let leads = |from: &Certified| {
            let to = R::lock(from, &chain).filter(|to| to.round >= lock.round);
            to.is_some_and(|to| to == *from || known(&from.block) || trap!("chained_lock_lost"))
        };
        let high = self.high();
        lock.round <= self.locked
            || high.round == self.logged && leads(&high)
            || self.core.tree.iter().any(|(_, node)| {
                node.recorded && leads(&Certified::justify(&node.block.header, self.epoch()).0)
            })
    }

    /// Whether our log has a block that carries this certificate.
    pub(super) fn is_recorded(&self, certified: &Certified) -> bool {
        let carries =
            |block: &Block| Certified::justify(&block.header, self.epoch()).0 == *certified;
        self.core.tree.iter().any(|(_, node)| node.recorded && carries(&node.block))
    }

    /// Sends a vote to the leader of the next round; our own counts once it is stored.
    pub(super) fn cast(&mut self, vote: Vote, fx: &mut Fx) {
        let leader = self.core.leader(vote.data.round.next());
        if leader == vote.signer {
            fx.own(vote);
        } else {
            fx.send(leader, Message::Vote(vote));
        }
    }

    /// Our own signature is durable: count it.
    pub(super) fn count_own(&mut self, now: Timestamp, vote: Vote, fx: &mut Fx) {
        let data = vote.data;
        let Some(position) = self.core.position.filter(|_| data.epoch == self.epoch()) else {
            return;
        };
        let electorate = self.core.electorate();
        if data.phase == Phase::NewRound {
            self.count_own_new_round(now, vote, position, fx);
        } else if data.round.next() >= self.round.number {
            let ballots = self.ballots.entry(data.round);
            let ballots = ballots.or_insert_with(|| Tally::new(&electorate));
            ballots.add_checked(&vote, position, &electorate);
            self.weigh_votes(now, data.round, fx);
        }
    }

    pub(super) fn on_vote(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        vote: Vote,
        fx: &mut Fx,
    ) -> Heard {
        let data = vote.data;
        self.core.check_vote(&vote, from, &[Phase::Prepare])?;
        if !self.is_current(now, from, data.epoch, data.height, fx) {
            return Ok(());
        }
        let position = self.core.check_signer(&vote)?;
        if !self.core.leads(data.round.next()) {
            return Err(Refusal::NotOurRound(data.round));
        }
        let round = self.round.number;
        if data.round.next() < round {
            self.help(now, from, fx);
            return Ok(());
        }
        if data.round.0.saturating_sub(round.0) > self.core.config.round_window {
            fx.emit(Output::Dropped { peer: from, what: "vote beyond the window" });
            return Ok(());
        }
        let electorate = self.core.electorate();
        let ballots = self.ballots.entry(data.round);
        let ballots = ballots.or_insert_with(|| Tally::new(&electorate));
        match ballots.add(&vote, position, &electorate) {
            Added::Counted => self.weigh_votes(now, data.round, fx),
            Added::Known => {}
            Added::Conflict(evidence) => self.core.accuse(*evidence, fx),
            Added::Invalid => return Err(invalid(&vote)),
        }
        Ok(())
    }

    /// Makes the certificate once a quorum has voted.
    fn weigh_votes(&mut self, now: Timestamp, round: pocket_types::number::Round, fx: &mut Fx) {
        if self.high().round >= Some(round) {
            return;
        }
        let electorate = self.core.electorate();
        let Some(ballots) = self.ballots.get_mut(&round) else { return };
        let (certificate, invalid) = ballots.certify(&electorate);
        charge(&invalid, Phase::Prepare, fx);
        if let Some(certificate) = certificate {
            let certificate = self.core.certificates.trust(certificate);
            self.use_certificate(now, certificate, fx);
            self.progress(now, fx);
        }
    }
}
