//! Bodies that a certificate names and nobody has sent yet, and bodies that others ask us for.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::vote::Certificate;

use super::Core;
use super::effects::Effects;
use crate::replica::message::{BlockRequest, Message};
use crate::replica::output::Output;

/// A body that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) certificate: Certificate,
    attempts: usize,
}

impl Core {
    /// Asks for the body that a certificate names, if we lack it and don't ask already.
    pub(crate) fn fetch(&mut self, certificate: &Certificate, fx: &mut Effects) {
        let block = certificate.data.block;
        if self.bodies.get(&block).is_none() && !self.fetches(&block) {
            self.fetch = Some(Fetch { certificate: certificate.clone(), attempts: 0 });
            self.fetch_again(fx);
        }
    }

    /// Whether this body is being asked for.
    pub(crate) fn fetches(&self, block: &BlockId) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.certificate.data.block == *block)
    }

    /// Asks one signer of the certificate after the other: more than a third of the weight among
    /// them is honest and holds what it prepared.
    pub(crate) fn fetch_again(&mut self, fx: &mut Effects) {
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
        fx: &mut Effects,
    ) {
        let block = self.body(&request.block).cloned();
        self.serve(now, from, block, fx);
    }

    /// Gives a voter the body that it asked for, if we have it.
    pub(crate) fn serve(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Option<Block>,
        fx: &mut Effects,
    ) {
        let served = self.served.get(&from);
        let soon =
            served.is_some_and(|&served| now < served.after(self.config.resend) && now >= served);
        if !self.tip.is_voter(&from) || soon {
            return fx
                .emit(Output::Dropped { peer: from, what: "block request beyond the allowance" });
        }
        if let Some(block) = block {
            self.served.insert(from, now);
            fx.send(from, Message::Block(Box::new(block)));
        }
    }

    /// The body of an undecided block or of the tip.
    fn body(&self, id: &BlockId) -> Option<&Block> {
        let undecided = self.bodies.get(id).map(|body| &body.block);
        undecided.or_else(|| self.tip_body.as_ref().filter(|_| *id == self.tip.block()))
    }
}
