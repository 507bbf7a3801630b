//! Certificates: what each of them makes a replica do, and the decision.

use alloc::boxed::Box;

use pocket_types::finality::FinalityProof;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase};

use super::{Base, Fx, Heard, Simplex, View};
use crate::common::certificates::Checked;
use crate::common::misplaced;
use crate::common::tree::{Path, Tree};
use crate::replica::error::Refusal;
use crate::replica::record::Record;
use crate::tip::Tip;

impl Simplex {
    /// Checks a certificate of this epoch in full, but for what it is good for.
    pub(super) fn verify(&mut self, certificate: &Certificate) -> Result<Checked, Refusal> {
        let data = &certificate.data;
        self.core.check_network(data)?;
        match data.phase {
            Phase::NewRound if data.block != BlockId::default() => {
                return Err(Refusal::NewRoundBlock(data.block));
            }
            Phase::NewRound if data.height != Height::GENESIS => {
                return Err(misplaced(certificate, "a Timeout QC, which has no height"));
            }
            Phase::NewRound | Phase::Prepare | Phase::Commit => {}
            _ => return Err(misplaced(certificate, "a certificate; this phase has none")),
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
        self.core.check_network(&certificate.data)?;
        if !self.is_our_epoch(now, from, &certificate.data, fx) || self.is_old(&certificate) {
            return Ok(());
        }
        if !self.core.hears(from, fx) {
            return Ok(());
        }
        let certificate = self.verify(&certificate)?;
        self.use_certificate(now, certificate, fx);
        self.progress(now, fx);
        Ok(())
    }

    /// Whether a certificate of this epoch tells us nothing new.
    fn is_old(&self, certificate: &Certificate) -> bool {
        let data = &certificate.data;
        let Some(view) = Self::view_of(data) else { return false };
        match data.phase {
            Phase::NewRound => self.is_decided(view) || self.nullified.contains_key(&view),
            Phase::Prepare => self.is_decided(view) || self.notarized.contains_key(&view),
            Phase::Commit => self.finalized.as_ref().is_some_and(|known| known.data.round >= view),
            _ => false,
        }
    }

    /// A certificate of our view or a later one leads into the next; one of an earlier view may still
    /// be what a proposal rests on, or decide.
    pub(super) fn use_certificate(&mut self, now: Timestamp, certificate: Checked, fx: &mut Fx) {
        let Some(view) = Self::view_of(&certificate.data) else { return };
        if self.is_old(&certificate) {
            return;
        }
        let certificate = certificate.into_inner();
        self.core.tree.certify(&certificate.data.block);
        match certificate.data.phase {
            Phase::NewRound => {
                if !trap!("simplex_forget") {
                    self.core.record_entry(&certificate, self.core.horizon(view), fx);
                }
                self.nullified.insert(view, certificate);
            }
            Phase::Commit => self.finalized = Some(certificate),
            _ => {
                fx.record(Record::HighQc(Box::new(certificate.clone())));
                if view >= self.view.number {
                    self.finalize(&certificate, fx);
                }
                if trap!("simplex_commit") {
                    self.finalized = Some(certificate.clone());
                }
                self.notarized.insert(view, certificate);
            }
        }
        self.enter(now, view.next(), fx);
    }

    /// Leaving a notarized view: says that we did, unless we nullified it (the signer won't).
    fn finalize(&mut self, certificate: &Certificate, fx: &mut Fx) {
        let data = &certificate.data;
        if self.core.tree.is_invalid(&data.block) {
            return;
        }
        let data = self.data(data.round, Phase::Commit, data.height, data.block);
        if let Some(vote) = self.core.sign(data, fx) {
            self.finalize = Some(vote);
            self.cast(vote, fx);
        }
    }

    /// The finalization whose block is not handed out yet.
    pub(super) fn pending(&self) -> Option<&Certificate> {
        let height = self.core.tip.height();
        self.finalized.as_ref().filter(|finalized| finalized.data.height > height)
    }

    /// Hands the finalized block out, after its ancestors, as soon as all are here and executed.
    pub(super) fn try_decide(&mut self, now: Timestamp, fx: &mut Fx) {
        let Some(certificate) = self.pending().cloned() else { return };
        let id = certificate.data.block;
        let Path::Whole(path) = self.core.tree.path(&self.core.tip, id) else { return };
        if !self.core.all_valid(&path, fx) {
            return;
        }
        let Some(tip) = self.core.tree.tip(&id, certificate.clone()) else { return };
        fx.record(Record::Decision(Box::new(certificate.clone())));
        path.iter().for_each(|id| self.core.record_body(id, fx));
        let Some(last) = self.core.tree.block(&id).map(|block| block.header.clone()) else {
            return;
        };
        let proof = FinalityProof::commit(last, certificate);
        for id in &path {
            self.core.hand_out(id, proof.clone(), fx);
        }
        self.move_to(now, tip, fx);
        self.progress(now, fx);
    }

    /// Goes on after a block that is decided.
    pub(super) fn move_to(&mut self, now: Timestamp, tip: Tip, fx: &mut Fx) {
        let before = self.core.electorate();
        self.core.follow(tip);
        let electorate = self.core.electorate();
        self.answered.retain(&self.core.tip);
        if before.hash() == electorate.hash() && before.epoch() == electorate.epoch() {
            self.settle();
            if let Some(base) = self.base {
                self.enter(now, base.view.next(), fx);
                // Finalizing overtook notarizing, so we entered without knowing the parent's time.
                if !self.notarized.contains_key(&base.view) && self.view.proposal.is_none() {
                    self.pace(now);
                }
            }
        } else {
            self.ended = self.core.tip.certificate().cloned();
            self.restore();
            self.pace(now);
        }
    }

    /// Takes note of where the tip stands, and drops what lies behind it.
    pub(super) fn settle(&mut self) {
        let epoch = self.core.electorate().epoch();
        let of_epoch = |certificate: &&Certificate| certificate.data.epoch == epoch;
        if let Some(decided) = self.core.tip.certificate().filter(of_epoch) {
            let data = &decided.data;
            self.base = Some(Base { view: data.round, height: data.height });
            let newer = |known: &Certificate| known.data.round >= data.round;
            if data.phase == Phase::Commit && !self.finalized.as_ref().is_some_and(newer) {
                self.finalized = Some(decided.clone());
            }
        }
        self.core.tree.prune(&self.core.tip);
        if let Some(base) = self.base {
            self.notarized = self.notarized.split_off(&base.view);
            self.nullified = self.nullified.split_off(&base.view.next());
        }
    }

    /// Forgets all of an epoch.
    pub(super) fn clear(&mut self) {
        self.base = None;
        self.notarized.clear();
        self.nullified.clear();
        self.polls.clear();
        (self.finalized, self.finalize, self.asked) = (None, None, None);
        self.view = View::new(pocket_types::number::Round::ZERO);
        (self.core.tree, self.core.fetch) = (Tree::default(), None);
        self.core.certificates = Default::default();
    }
}
