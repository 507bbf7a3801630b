//! Certificates: what each of them makes a replica do, and the bodies that they name.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Heard, HotPokt};
use crate::common::certificates::Checked;
use crate::common::heights::Heights as _;
use crate::common::misplaced;
use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::record::Record;

impl HotPokt {
    /// Checks a certificate of this height in full.
    pub(super) fn verify(&mut self, certificate: &Certificate) -> Result<Checked, Refusal> {
        let data = &certificate.data;
        self.core.check_network(data)?;
        if data.height != self.core.height() && !trap!("replayed_height") {
            return Err(misplaced(certificate, "a certificate of this height"));
        }
        if data.phase == Phase::Propose {
            return Err(misplaced(certificate, "a certificate; proposals have none"));
        }
        if data.phase == Phase::NewRound && data.block != Default::default() {
            return Err(Refusal::NewRoundBlock(data.block));
        }
        self.core.verify(certificate)
    }

    pub(super) fn on_certificate(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        certificate: Certificate,
        fx: &mut Fx,
    ) -> Heard {
        let data = certificate.data;
        self.core.check_network(&data)?;
        if data.height < self.core.height()
            || data.height == self.core.height() && self.is_old(&certificate)
        {
            return Ok(());
        }
        if data.height > self.core.height() {
            let message = Message::Certificate(Box::new(certificate));
            return self.later(now, from, data.height, None, message, fx);
        }
        if !self.core.hears(from, fx) {
            return Ok(());
        }
        let certificate = self.verify(&certificate)?;
        self.shown(from, &certificate);
        self.use_certificate(now, certificate, fx);
        Ok(())
    }

    /// Whether a certificate of this height can't move us any more.
    fn is_old(&self, certificate: &Certificate) -> bool {
        let data = &certificate.data;
        let earlier = data.round < self.round.number;
        let beaten = |known: &Option<Certificate>| {
            known.as_ref().is_some_and(|known| known.data.round >= data.round)
        };
        match data.phase {
            Phase::NewRound => data.round <= self.round.number,
            Phase::Propose => false,
            Phase::Prepare => earlier && beaten(&self.high_qc),
            Phase::PreCommit => earlier && beaten(&self.lock),
            Phase::Commit => self.core.decision.is_some(),
        }
    }

    /// A certificate of a later round moves us there; one of our round moves us to its next step.
    /// One of an earlier round may still raise the high QC or the lock, or decide.
    pub(super) fn use_certificate(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        let data = certificate.data;
        if data.height != self.core.height() {
            return;
        }
        match data.phase {
            Phase::NewRound | Phase::Propose => {}
            Phase::Prepare => self.raise_high_qc(&certificate, fx),
            Phase::PreCommit => self.raise_lock(&certificate, fx),
            Phase::Commit => return self.decide(now, certificate, fx),
        }
        if data.round > self.round.number {
            self.enter(now, data.round, certificate, fx);
        }
        let next = match data.phase {
            Phase::Prepare => Phase::PreCommit,
            Phase::PreCommit => Phase::Commit,
            _ => return,
        };
        if data.round == self.round.number
            && !self.core.tree.is_invalid(&data.block)
            && let Some(vote) = self.sign(data.round, next, data.block, fx)
        {
            self.cast(vote, fx);
        }
    }

    fn raise_high_qc(&mut self, certificate: &Checked, fx: &mut Fx) {
        let round = certificate.data.round;
        if trap!("9") {
            self.lock = None;
        }
        let news = self.high_qc.as_ref().is_none_or(|known| known.data.round < round);
        if news || trap!("stale_high_qc") {
            fx.record(Record::HighQc(Box::new((**certificate).clone())));
            self.high_qc = Some((**certificate).clone());
            self.core.fetch(certificate, None, fx);
        }
    }

    fn raise_lock(&mut self, certificate: &Checked, fx: &mut Fx) {
        let round = certificate.data.round;
        if self.lock.as_ref().is_none_or(|known| known.data.round < round) {
            fx.record(Record::Lock(Box::new((**certificate).clone())));
            self.lock = Some((**certificate).clone());
            self.core.fetch(certificate, None, fx);
        }
    }

    pub(super) fn on_block(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Block,
        fx: &mut Fx,
    ) -> Heard {
        if self.core.on_block(now, from, block, &self.needed(), fx)? {
            self.try_propose(now, fx);
            self.try_decide(now, fx);
        }
        Ok(())
    }

    /// A Commit certificate: the height is decided, whatever we thought of the block.
    fn decide(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        if self.core.decision.is_none() {
            let certificate = certificate.into_inner();
            self.core.fetch = None;
            self.core.fetch(&certificate, Some(certificate.data.height), fx);
            self.core.decision = Some(certificate);
            self.try_decide(now, fx);
        }
    }
}
