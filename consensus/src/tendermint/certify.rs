//! Certificates that others show us, and the bodies that they name.

use alloc::boxed::Box;

use pocket_types::block::Block;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Heard, NIL, Tendermint};
use crate::common::certificates::Checked;
use crate::common::heights::Heights as _;
use crate::common::misplaced;
use crate::replica::error::Refusal;
use crate::replica::message::Message;

impl Tendermint {
    /// Checks a certificate of this height in full: a polka or a decision.
    pub(super) fn verify(&mut self, certificate: &Certificate) -> Result<Checked, Refusal> {
        let data = &certificate.data;
        self.core.check_network(data)?;
        let votes = matches!(data.phase, Phase::Prepare | Phase::Commit);
        if !votes || data.block == NIL || data.height != self.core.height() {
            return Err(misplaced(certificate, "a quorum of votes for a block of this height"));
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
        if data.height > self.core.height() {
            if data.phase == Phase::Commit {
                // Its sender is past a height that we have not come to, and may wait for us.
                let height = data.height.next();
                self.core.behind(from, height, false, fx);
            }
            let message = Message::Certificate(Box::new(certificate));
            return self.later(now, from, data.height, None, message, fx);
        }
        if data.height < self.core.height() || self.is_old(&certificate) {
            return Ok(());
        }
        if !self.core.hears(from, fx) {
            return Ok(());
        }
        let certificate = self.verify(&certificate)?;
        self.use_certificate(now, certificate, fx);
        Ok(())
    }

    /// Whether a certificate of this height can't move us any more.
    fn is_old(&self, certificate: &Certificate) -> bool {
        let data = &certificate.data;
        match data.phase {
            Phase::Prepare => {
                self.valid.as_ref().is_some_and(|valid| valid.data.round >= data.round)
            }
            Phase::Commit => self.core.decision.is_some(),
            _ => false,
        }
    }

    /// A polka of a later round is a quorum in it (line 55); a quorum of precommits decides.
    fn use_certificate(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        let data = certificate.data;
        if data.phase == Phase::Commit {
            return self.decide(now, certificate.into_inner(), fx);
        }
        self.on_polka(now, certificate, fx);
        if data.round > self.round.number && self.core.decision.is_none() {
            self.enter(now, data.round, fx);
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
}
