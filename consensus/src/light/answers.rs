//! What peers answer, and what becomes of those who answer badly or not at all.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::block::Header;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::light::{Divergence, LightBlock, LightError, Trusted};
use pocket_types::number::{Height, Timestamp};

use super::error::LightRefusal;
use super::message::{LightAnswer, LightRequest};
use super::output::Output;
use super::peers::{NEVER, Purpose};
use super::record::Record;
use super::{Contest, Effects, LightClient, Start, forked};

impl LightClient {
    pub(super) fn answer(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        answer: LightAnswer,
        fx: &mut Effects,
    ) {
        let request = answer.request();
        let Some(purpose) = self.peers.answered(&from, request) else {
            // Late, or twice, or asked for before a restart.
            let what = "an answer that is not waited for";
            fx.outputs.push(Output::Dropped { peer: from, what });
            return;
        };
        let height = request.height();
        match (answer, purpose) {
            (LightAnswer::Block { block: None, .. }, Purpose::Proof(claimed)) => {
                self.lied(from, LightRefusal::Unproven { height, claimed }, fx);
            }
            (LightAnswer::Block { block: None, .. } | LightAnswer::Id { id: None, .. }, _) => {
                fx.outputs.push(Output::Missing { peer: from, height });
                self.peers.lacks(&from);
                self.failed(now, &from);
            }
            (LightAnswer::Id { id: Some(id), .. }, _) => self.opinion(now, from, height, id, fx),
            (LightAnswer::Block { block: Some(block), .. }, purpose) => {
                let got = block.header().map(|header| header.height).unwrap_or_default();
                if got != height {
                    self.lied(from, LightRefusal::Height { got, asked: height }, fx);
                    return;
                }
                match purpose {
                    Purpose::Anchor => self.anchor(now, from, *block, fx),
                    Purpose::Proof(claimed) => self.proof(now, from, claimed, *block, fx),
                    Purpose::Header | Purpose::Opinion => self.push(*block),
                }
            }
        }
    }

    /// The block of the checkpoint, perhaps.
    fn anchor(&mut self, now: Timestamp, from: PublicKey, block: LightBlock, fx: &mut Effects) {
        let Start::Checkpoint(checkpoint) = &self.trust else { return };
        match Trusted::anchor(checkpoint, &block, now, &self.config.rules) {
            Ok(trusted) => self.commit(trusted, block, fx),
            Err(LightError::Expired { trusted, .. }) => {
                // Halts: the checkpoint itself is too old.
                let _ = self.check_age(trusted, now);
            }
            Err(error) => self.refused(now, from, checkpoint.height, error, fx),
        }
    }

    /// What a witness says of the header that is verified.
    fn opinion(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        height: Height,
        id: BlockId,
        fx: &mut Effects,
    ) {
        let Some(check) = &mut self.check else { return };
        if check.trusted.tip().block == id {
            check.agreed.insert(from);
        } else {
            self.ask(now, from, LightRequest::Block { height }, Purpose::Proof(id), fx);
        }
    }

    /// What a witness shows instead of the header that is verified.
    fn proof(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        claimed: BlockId,
        block: LightBlock,
        fx: &mut Effects,
    ) {
        let (Start::Trusted(trusted), Some(check)) = (&self.trust, &self.check) else { return };
        let height = check.trusted.tip().height;
        let got = block.header().map(Header::id).unwrap_or_default();
        if got != claimed {
            self.lied(from, LightRefusal::OtherBlock { height, claimed, got }, fx);
            return;
        }
        match trusted.verify(&block, now, &self.config.rules) {
            Ok(_) => {
                let (from, verified) = (trusted.clone(), check.block.clone());
                self.fork(&from, alloc::vec![verified], alloc::vec![block], fx);
            }
            Err(LightError::Overlap { .. }) => {
                // One step doesn't tell which of the two is right: the witness shows its way there,
                // and whom it contradicts is asked along the way.
                let contest = Contest {
                    rival: self.source,
                    height,
                    block: check.block.clone(),
                    from: trusted.clone(),
                    path: Vec::new(),
                };
                self.abandon();
                self.contest = Some(contest);
                self.source = Some(from);
                self.push(block);
            }
            Err(error) => self.refused(now, from, height, error, fx),
        }
    }

    /// Two blocks of one height are verified: it is over.
    pub(super) fn fork(
        &mut self,
        from: &Trusted,
        one: Vec<LightBlock>,
        other: Vec<LightBlock>,
        fx: &mut Effects,
    ) {
        let divergence = Divergence::between(from, one, other);
        let divergence = Box::new(divergence.expect("a contest's path leaves room for its end"));
        self.halted = Some(forked(&divergence));
        fx.records.push(Record::Forked(divergence.clone()));
        fx.outputs.push(Output::Forked(divergence));
    }

    /// A block that doesn't follow from what we trust. Its sender lied, unless a clock or the
    /// checkpoint may be wrong.
    pub(super) fn refused(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        height: Height,
        error: LightError,
        fx: &mut Effects,
    ) {
        let maybe_ours = matches!(error, LightError::Ahead { .. } | LightError::Checkpoint { .. });
        let reason = LightRefusal::Block { height, error };
        if maybe_ours {
            fx.outputs.push(Output::Refused { peer, reason });
            self.failed(now, &peer);
        } else {
            self.lied(peer, reason, fx);
        }
    }

    fn lied(&mut self, peer: PublicKey, reason: LightRefusal, fx: &mut Effects) {
        fx.outputs.push(Output::Misbehaviour { peer, reason });
        self.peers.rest(&peer, NEVER);
        self.lost(&peer);
    }

    fn failed(&mut self, now: Timestamp, peer: &PublicKey) {
        self.peers.rest(peer, now.after(self.config.cooldown));
        self.lost(peer);
    }

    /// Whatever hung on a peer is given up.
    pub(super) fn lost(&mut self, peer: &PublicKey) {
        if self.source == Some(*peer) {
            self.abandon();
        } else if let Some(contest) = &mut self.contest
            && contest.rival == Some(*peer)
        {
            contest.rival = None;
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp, fx: &mut Effects) {
        for peer in self.peers.late(now) {
            // Giving up the source gives up the witnesses, too.
            if self.peers.is_asked(&peer) {
                fx.outputs.push(Output::Unanswered { peer });
                self.failed(now, &peer);
            }
        }
    }
}
