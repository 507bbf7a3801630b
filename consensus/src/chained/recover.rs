//! What the log says of an epoch.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::marker::PhantomData;

use pocket_types::block::Block;
use pocket_types::number::{Round, Timestamp};
use pocket_types::vote::{Certificate, Phase};

use super::{Certified, ChainRules, Chained, RoundState};
use crate::common::Core;
use crate::common::pacemaker::Pacemaker;
use crate::common::tree::State;
use crate::replica::record::Record;

impl<R: ChainRules> Chained<R> {
    /// Takes up the epoch after the tip of `core` with what the log says of it.
    pub(super) fn restore(mut core: Core, log: Vec<Record>) -> Self {
        core.unread = log;
        let pace = Pacemaker::enter(&core.config, Timestamp::ZERO, core.tip.time(), Round::ZERO);
        let epoch = core.tip.validators().epoch();
        let tip = core.tip.certificate().filter(|qc| qc.data.epoch == epoch).cloned();
        let mut chained = Self {
            lock: Certified { block: core.tip.block(), height: core.tip.height(), round: None },
            core,
            rules: PhantomData,
            high: tip,
            deciding: None,
            finale: None,
            new_rounds: BTreeMap::new(),
            ballots: BTreeMap::new(),
            logged: None,
            locked: None,
            round: RoundState::new(Round::ZERO, None),
            pace,
        };
        chained.reread();
        chained
    }

    /// Takes over what the log says of the epoch.
    pub(super) fn reread(&mut self) {
        self.lock = self.decided();
        let mut entry: Option<Certificate> = None;
        let (mut round, mut proposed) = (Round::ZERO, None);
        for record in self.core.recollect() {
            match record {
                Record::Vote { vote, .. } => {
                    if vote.data.phase == Phase::Propose {
                        proposed = Some((vote, self.high.clone()));
                    }
                    if vote.data.phase != Phase::NewRound {
                        round = round.max(vote.data.round);
                    }
                }
                Record::Body(block) => self.reread_body(*block),
                Record::Entry { certificate, .. } => {
                    let known = entry.as_ref().map(|entry| entry.data.round);
                    entry = if known < Some(certificate.data.round) {
                        Some(*certificate)
                    } else {
                        entry
                    };
                }
                Record::HighQc(certificate) => {
                    self.logged = self.logged.max(Some(certificate.data.round));
                    self.recall(*certificate);
                }
                Record::Lock(certificate) => {
                    let lock = Certified::of(&certificate);
                    self.locked = self.locked.max(lock.round);
                    self.recall(*certificate);
                    if lock.round > self.lock.round {
                        self.lock = lock;
                    }
                }
                Record::Decision(certificate) => self.recall(*certificate),
            }
        }
        self.core.tree.prune(&self.core.tip);
        self.restore_round(round, entry, proposed);
    }

    fn reread_body(&mut self, block: Block) {
        let Ok((_, certificate)) = self.justify_of(&block.header) else { return };
        let certificate = certificate.cloned();
        let id = self.add(block.into(), State::Waiting);
        if let Some(node) = self.core.tree.get_mut(&id) {
            node.recorded = true;
        }
        if let Some(certificate) = certificate {
            self.recall(certificate);
        }
    }

    fn restore_round(
        &mut self,
        signed: Round,
        entry: Option<Certificate>,
        proposed: Option<(pocket_types::vote::Vote, Option<Certificate>)>,
    ) {
        let entered = entry.as_ref().map_or(Round::ZERO, |entry| entry.data.round);
        let round = self.high().next_round().max(signed).max(entered);
        if let Some(entry) = &entry {
            self.core.certificates.trust(entry.clone());
        }
        self.round = RoundState::new(round, entry.filter(|entry| entry.data.round == round));
        let Some((vote, high)) = proposed.filter(|(vote, _)| vote.data.round == round) else {
            return;
        };
        self.round.proposed = Some(vote);
        // The highest certificate of that time was beside a block that was proposed again.
        let block = self.core.tree.block(&vote.data.block);
        let carried = block.map(|block| Certified::justify(&block.header, self.epoch()).0);
        self.round.justify = high.filter(|high| Some(Certified::of(high)) != carried);
    }

    /// Takes over a certificate from our own log.
    fn recall(&mut self, certificate: Certificate) {
        let known = Certified::of(&certificate);
        let tip = self.decided();
        if known.height <= tip.height && known.block != tip.block {
            return;
        }
        let certificate = self.core.certificates.trust(certificate).into_inner();
        if known.round > self.high().round {
            self.high = Some(certificate);
        }
        self.core.tree.certify(&known.block);
        self.consider(&known);
    }
}
