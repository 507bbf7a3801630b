//! Bodies that a certificate names and nobody has sent yet, and bodies that others ask us for.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::vote::Certificate;

use super::Core;
use super::effects::Effects;
use super::tree::Identified;
use crate::replica::error::Refusal;
use crate::replica::message::{BlockRequest, Message};
use crate::replica::output::Output;

/// A body that is wanted: one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) certificate: Certificate,
    /// The block that waits for it is decided, at this height: sync can bring it, too.
    decided: Option<Height>,
    attempts: usize,
}

impl Core {
    /// Asks for the body that a certificate names, if we lack it and don't ask already. `decided` is the
    /// height of the decided block that can't be handed out without it: such a body is wanted before
    /// any other.
    pub(crate) fn fetch(
        &mut self,
        certificate: &Certificate,
        decided: Option<Height>,
        fx: &mut Effects,
    ) {
        let block = certificate.data.block;
        if self.tree.contains(&block) {
            return;
        }
        if let Some(fetch) = self.fetch.as_mut().filter(|f| f.certificate.data.block == block) {
            fetch.decided = fetch.decided.max(decided);
            return;
        }
        if decided.is_none() && self.fetch.as_ref().is_some_and(|fetch| fetch.decided.is_some()) {
            return;
        }
        self.fetch = Some(Fetch { certificate: certificate.clone(), decided, attempts: 0 });
        self.fetch_again(fx);
    }

    /// Whether this body is being asked for.
    pub(crate) fn fetches(&self, block: &BlockId) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.certificate.data.block == *block)
    }

    /// Asks one signer of the certificate after the other: more than a third of the weight among
    /// them is honest and holds what it voted for.
    pub(crate) fn fetch_again(&mut self, fx: &mut Effects) {
        let Some(mut fetch) = self.fetch.take() else { return };
        let data = fetch.certificate.data;
        if self.tree.contains(&data.block) {
            return;
        }
        let signers: Vec<_> = self.signers(&fetch.certificate).collect();
        if let Some(&signer) = signers.get(fetch.attempts % signers.len().max(1)) {
            let request = BlockRequest { height: data.height, block: data.block };
            fx.send(signer, Message::BlockRequest(request));
            if let Some(height) = fetch.decided.filter(|_| fetch.attempts > 0) {
                self.behind(signer, height.next(), true, fx);
            }
        }
        fetch.attempts = fetch.attempts.saturating_add(1);
        self.fetch = Some(fetch);
    }

    /// Who signed a certificate of the set that decides now, but for us.
    pub(crate) fn signers(&self, certificate: &Certificate) -> impl Iterator<Item = PublicKey> {
        let others = certificate.positions().filter(|&position| Some(position) != self.position);
        let members = others.filter_map(|position| self.tip.validators().member(position));
        members.map(|member| member.public_key)
    }

    /// A body that came; none if it was not asked for, or is another than was. Gives the certificate by
    /// which it was asked for.
    pub(crate) fn fetched(
        &mut self,
        from: PublicKey,
        Identified { id, block }: &Identified,
        fx: &mut Effects,
    ) -> Result<Option<Certificate>, Refusal> {
        if block.header.height < self.height() || self.tree.contains(id) {
            return Ok(None);
        }
        if !self.fetches(id) {
            fx.emit(Output::Dropped { peer: from, what: "block that is not waited for" });
            return Ok(None);
        }
        block.check_body()?;
        Ok(self.fetch.take().map(|fetch| fetch.certificate))
    }

    /// Gives a voter the body that it asks for, of an undecided block or one of the last decided. Bodies
    /// are large: each voter is given one per resending interval. False if we don't have it.
    pub(crate) fn on_block_request(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        request: BlockRequest,
        fx: &mut Effects,
    ) -> bool {
        let known = self.tree.block(&request.block);
        let Some(block) = known.or_else(|| self.recent.get(&request.block)) else { return false };
        if self.served.allows(now, from, (), self.config.resend, &self.tip) {
            fx.send(from, Message::Block(Box::new(block.clone())));
        } else {
            fx.emit(Output::Dropped { peer: from, what: "block request beyond the allowance" });
        }
        true
    }
}
