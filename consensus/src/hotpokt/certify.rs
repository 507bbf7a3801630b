//! Certificates: what each of them makes a replica do, and the bodies that they name.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::vote::{Certificate, Phase};

use super::round::misplaced;
use super::{Fetch, Fx, Heard};
use crate::bodies::BodyState;
use crate::certificates::Checked;
use crate::header;
use crate::replica::Replica;
use crate::replica::error::Refusal;
use crate::replica::message::{BlockRequest, Message};
use crate::replica::output::Output;
use crate::replica::record::Record;

impl Replica {
    /// Checks a certificate of this height in full.
    pub(crate) fn verify(&mut self, certificate: &Certificate) -> Result<Checked, Refusal> {
        let data = &certificate.data;
        self.check_network(data)?;
        if data.height != self.height() {
            return Err(misplaced(certificate, "a certificate of this height"));
        }
        if data.phase == Phase::Propose {
            return Err(misplaced(certificate, "a certificate; proposals have none"));
        }
        if data.phase == Phase::NewRound && data.block != Default::default() {
            return Err(Refusal::NewRoundBlock(data.block));
        }
        Ok(self.certificates.verify(certificate, self.tip.validators())?)
    }

    pub(crate) fn on_certificate(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        certificate: Certificate,
        fx: &mut Fx,
    ) -> Heard {
        let data = certificate.data;
        self.check_network(&data)?;
        if data.height < self.height() || data.height == self.height() && self.is_old(&certificate)
        {
            return Ok(());
        }
        if data.height > self.height() {
            let message = Message::Certificate(Box::new(certificate));
            return self.later(now, from, data.height, None, message, fx);
        }
        if !self.tip.is_voter(&from) {
            fx.emit(Output::Dropped { peer: from, what: "certificate from a stranger" });
            return Ok(());
        }
        let certificate = self.verify(&certificate)?;
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
            Phase::Commit => self.decision.is_some(),
        }
    }

    /// A certificate of a later round moves us there; one of our round moves us to its next step.
    /// One of an earlier round may still raise the high QC or the lock, or decide.
    pub(crate) fn use_certificate(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        let data = certificate.data;
        if data.height != self.height() {
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
        let invalid = |state: &BodyState| matches!(state, BodyState::Invalid(_));
        if data.round == self.round.number
            && !self.bodies.get(&data.block).is_some_and(|body| invalid(&body.state))
            && let Some(vote) = self.sign(data.round, next, data.block, fx)
        {
            self.cast(vote, fx);
        }
    }

    fn raise_high_qc(&mut self, certificate: &Checked, fx: &mut Fx) {
        let round = certificate.data.round;
        if self.high_qc.as_ref().is_none_or(|known| known.data.round < round) {
            fx.record(Record::HighQc(Box::new((**certificate).clone())));
            self.high_qc = Some((**certificate).clone());
            self.fetch((**certificate).clone(), fx);
        }
    }

    fn raise_lock(&mut self, certificate: &Checked, fx: &mut Fx) {
        let round = certificate.data.round;
        if self.lock.as_ref().is_none_or(|known| known.data.round < round) {
            fx.record(Record::Lock(Box::new((**certificate).clone())));
            self.lock = Some((**certificate).clone());
            self.fetch((**certificate).clone(), fx);
        }
    }

    /// Asks for the body that a certificate names, if we lack it and don't ask already.
    pub(crate) fn fetch(&mut self, certificate: Certificate, fx: &mut Fx) {
        let block = certificate.data.block;
        let asking = |fetch: &Fetch| fetch.certificate.data.block == block;
        if self.bodies.get(&block).is_none() && !self.fetch.as_ref().is_some_and(asking) {
            self.fetch = Some(Fetch { certificate, attempts: 0 });
            self.fetch_again(fx);
        }
    }

    /// Asks one signer of the certificate after the other: more than a third of the weight among
    /// them is honest and holds what it prepared.
    pub(crate) fn fetch_again(&mut self, fx: &mut Fx) {
        let Some(Fetch { certificate, attempts }) = self.fetch.take() else { return };
        let data = certificate.data;
        if self.bodies.get(&data.block).is_some() {
            return;
        }
        let electorate = self.tip.validators();
        let signers: Vec<_> =
            certificate.positions().filter(|&position| Some(position) != self.position).collect();
        let turn = signers.get(attempts % signers.len().max(1));
        if let Some(member) = turn.and_then(|&position| electorate.member(position)) {
            let request = BlockRequest { height: data.height, block: data.block };
            fx.send(member.public_key, Message::BlockRequest(request));
            if self.decision.is_some() && attempts > 0 {
                let peer = member.public_key;
                fx.emit(Output::Behind { peer, height: data.height.next(), certified: true });
            }
        }
        self.fetch = Some(Fetch { certificate, attempts: attempts.saturating_add(1) });
    }

    /// Bodies are large: each voter is given one per resending interval.
    pub(crate) fn on_block_request(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        request: BlockRequest,
        fx: &mut Fx,
    ) {
        let served = self.served.get(&from);
        let soon =
            served.is_some_and(|&served| now < served.after(self.config.resend) && now >= served);
        if !self.tip.is_voter(&from) || soon {
            return fx
                .emit(Output::Dropped { peer: from, what: "block request beyond the allowance" });
        }
        let block = if request.height == self.height() {
            self.bodies.get(&request.block).map(|body| &body.block)
        } else {
            self.tip_body.as_ref().filter(|_| request.block == self.tip.block())
        };
        if let Some(block) = block.cloned() {
            self.served.insert(from, now);
            fx.send(from, Message::Block(Box::new(block)));
        }
    }

    pub(crate) fn on_block(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Block,
        fx: &mut Fx,
    ) -> Heard {
        let id = block.id();
        if block.header.height < self.height() || self.bodies.get(&id).is_some() {
            return Ok(());
        }
        if self.fetch.as_ref().is_none_or(|fetch| fetch.certificate.data.block != id) {
            fx.emit(Output::Dropped { peer: from, what: "block that is not waited for" });
            return Ok(());
        }
        block.check_body()?;
        self.fetch = None;
        // A quorum vouches for the header's time, so our clock has no say.
        let checked = header::check(&block, &self.tip, &self.config, Timestamp(u64::MAX));
        match checked {
            Ok(()) => self.accept_body(block, fx),
            Err(refusal) => {
                self.keep_body(block, BodyState::Invalid(refusal.to_string()), false);
            }
        }
        self.try_propose(now, fx);
        self.try_decide(now, fx);
        Ok(())
    }
}
