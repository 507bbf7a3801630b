//! What all protocols have in common: keys, the tip, the undecided blocks, checked certificates, evidence.

pub(crate) mod ahead;
pub(crate) mod allowance;
pub(crate) mod blocks;
pub(crate) mod certificates;
pub(crate) mod check;
pub(crate) mod effects;
pub(crate) mod evidence;
pub(crate) mod fetch;
pub(crate) mod header;
pub(crate) mod heights;
pub(crate) mod late;
pub(crate) mod pacemaker;
pub(crate) mod tally;
pub(crate) mod tree;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::block::{Block, Header, VERSION};
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::trap;
use pocket_types::validator::{Electorate, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

use crate::replica::config::Config;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::message::Message;
use crate::replica::output::{BuildRequest, Output};
use crate::replica::record::Record;
use crate::schedule::{LeaderSchedule, Leaders};
use crate::signer::{Position, Signed, Signer, position};
use crate::tip::Tip;

use ahead::Ahead;
use allowance::Allowance;
use blocks::Recent;
use certificates::Certificates;
pub(crate) use check::{charge, invalid, misplaced, unless_ahead};
use effects::Effects;
use fetch::Fetch;
use late::Late;
use tree::Tree;

/// The state that every protocol keeps, whatever its rules.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) protocol: Protocol,
    pub(crate) config: Config,
    pub(crate) schedule: LeaderSchedule,
    pub(crate) signer: Option<Signer>,
    /// The host contradicts a quorum: nothing more is said.
    pub(crate) diverged: Option<BlockId>,
    pub(crate) evidence: evidence::Pool,
    /// Who was given a body.
    pub(crate) served: Allowance,
    /// Which certificate each straggler was shown.
    pub(crate) shown: Allowance<Position>,
    /// Who was helped out of an earlier round.
    pub(crate) helped: Allowance,

    pub(crate) tip: Tip,
    pub(crate) recent: Recent,
    pub(crate) late: Late,
    /// What came early for the next height.
    pub(crate) ahead: Ahead,
    /// What the log says of later heights than the one being decided.
    pub(crate) unread: Vec<Record>,

    /// Our place in the electorate of the height being decided.
    pub(crate) position: Option<usize>,
    pub(crate) leaders: Leaders,
    /// The header that the host was last asked to build a block for: its proofs are our own.
    pub(crate) requested: Option<Header>,
    /// The decision, while its body is missing or being checked.
    pub(crate) decision: Option<Certificate>,
    /// What is undecided.
    pub(crate) tree: Tree,
    pub(crate) certificates: Certificates,
    pub(crate) fetch: Option<Fetch>,
}

/// What became of a message: a refusal is charged to its sender.
pub(crate) type Heard = Result<(), Refusal>;

impl Core {
    pub(crate) fn new(
        protocol: Protocol,
        config: Config,
        signer: Option<Signer>,
        tip: Tip,
    ) -> Self {
        let schedule = config.schedule;
        Self {
            protocol,
            position: seat(signer.as_ref(), tip.validators()),
            leaders: schedule.leaders(tip.validators(), config.leader_rounds),
            config,
            schedule,
            signer,
            diverged: None,
            evidence: evidence::Pool::new(),
            served: Allowance::default(),
            shown: Allowance::default(),
            helped: Allowance::default(),
            recent: Recent::default(),
            late: Late::default(),
            ahead: Ahead::default(),
            unread: Vec::new(),
            requested: None,
            decision: None,
            tree: Tree::default(),
            certificates: Certificates::default(),
            fetch: None,
            tip,
        }
    }

    /// Moves on to the height after `tip`, with nothing known of it.
    pub(crate) fn reset(&mut self, tip: Tip) {
        self.follow(tip);
        self.requested = None;
        self.tree = Tree::default();
        self.certificates = Certificates::default();
        self.fetch = None;
    }

    /// Moves on to the height after `tip`, about which something may be known already.
    pub(crate) fn follow(&mut self, tip: Tip) {
        if tip.validators().hash() != self.tip.validators().hash() {
            self.leaders = self.schedule.leaders(tip.validators(), self.config.leader_rounds);
        }
        self.position = seat(self.signer.as_ref(), tip.validators());
        self.tip = tip;
        self.late = Late::default();
        self.decision = None;
        self.served.retain(&self.tip);
        self.shown.retain(&self.tip);
        self.helped.retain(&self.tip);
    }

    /// What the log says of the height being decided, or of its epoch where rounds count on through the
    /// heights; what it says of later ones is kept.
    pub(crate) fn recollect(&mut self) -> Vec<Record> {
        let here = match self.protocol.is_chained() {
            true => self.tip.validators().epoch().0,
            false => self.height().0,
        };
        let of = |record: &Record| match self.protocol.is_chained() {
            true => record.epoch().0,
            false => record.height().0,
        };
        let (now, later): (Vec<_>, Vec<_>) = core::mem::take(&mut self.unread)
            .into_iter()
            .filter(|record| of(record) >= here)
            .partition(|record| of(record) == here);
        self.unread = later;
        now
    }

    /// The last decided block.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The height being decided.
    pub fn height(&self) -> Height {
        self.tip.height().next()
    }

    pub(crate) fn electorate(&self) -> Arc<Electorate> {
        Arc::clone(self.tip.validators())
    }

    /// The leader of a round: of the height being decided, or of all heights where they share rounds.
    pub fn leader(&self, round: Round) -> PublicKey {
        let member = self.tip.validators().member(self.leader_position(round));
        member.expect("leaders are positions in the electorate").public_key
    }

    pub(crate) fn leader_position(&self, round: Round) -> usize {
        let height = if self.protocol.is_chained() { Height::GENESIS } else { self.height() };
        self.leaders.leader(height, round)
    }

    pub(crate) fn leads(&self, round: Round) -> bool {
        self.position == Some(self.leader_position(round))
    }

    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        self.signer.as_ref().map(Signer::public_key)
    }

    /// What we signed last, if it was at this height.
    pub(crate) fn last_signed(&self) -> Option<&Vote> {
        let last = self.signer.as_ref().and_then(Signer::last);
        last.filter(|vote| vote.data.height == self.height())
    }

    /// What is signed at this height.
    pub(crate) fn data(&self, round: Round, phase: Phase, block: BlockId) -> VoteData {
        let electorate = self.tip.validators();
        VoteData {
            protocol: self.protocol,
            chain: self.tip.chain(),
            epoch: electorate.epoch(),
            validators: electorate.hash(),
            height: self.height(),
            round,
            phase,
            block,
            high: None,
        }
    }

    /// Signs, and records what is new; none if it must not be signed.
    pub(crate) fn sign(&mut self, data: VoteData, fx: &mut Effects) -> Option<Vote> {
        self.sign_until(data, data.height, fx)
    }

    /// As [`Core::sign`]; the log needs it until a block of this height is committed.
    pub(crate) fn sign_until(
        &mut self,
        data: VoteData,
        height: Height,
        fx: &mut Effects,
    ) -> Option<Vote> {
        self.position?;
        let scheme = self.tip.validators().set().scheme;
        match self.signer.as_mut()?.sign(data, scheme)? {
            Signed::New(vote) => {
                fx.record(Record::Vote { vote, height });
                Some(vote)
            }
            Signed::Again(vote) => Some(vote),
        }
    }

    /// The lowest height that only a block of a later round than this can have, where rounds count on
    /// through the heights: to what is decided, each round adds one block at most.
    pub(crate) fn horizon(&self, round: Round) -> Height {
        let epoch = self.tip.validators().epoch();
        let decided = self.tip.certificate().map(|certificate| certificate.data);
        let (height, rounds) = match decided.filter(|data| data.epoch == epoch) {
            Some(data) => (data.height, round.0.saturating_sub(data.round.0)),
            None => (self.tip.height(), round.0.saturating_add(1)),
        };
        Height(height.0.saturating_add(rounds)).next()
    }

    /// Records what let us into a round: without it we could not let others in after a restart.
    pub(crate) fn record_entry(&self, entry: &Certificate, height: Height, fx: &mut Effects) {
        fx.record(Record::Entry { certificate: Box::new(entry.clone()), height });
    }

    /// Whether nothing was signed in this place or a later one.
    pub(crate) fn is_unsigned(&self, data: &VoteData) -> bool {
        let last = self.signer.as_ref().and_then(Signer::last);
        last.is_none_or(|last| position(&last.data) < position(data))
    }

    pub(crate) fn may_sign(&self, data: &VoteData) -> bool {
        self.signer.as_ref().is_some_and(|signer| signer.may_sign(data))
    }

    /// Asks the host for a block on top of the tip.
    pub(crate) fn build(&mut self, now: Timestamp, fx: &mut Effects) {
        let (parent_certificate, invalid) = self.parent_certificate();
        charge(&invalid, Phase::Commit, fx);
        self.build_on(now, &self.tip.clone(), parent_certificate, self.config.max_block_bytes, fx);
    }

    /// Asks the host for a block on top of a parent, decided or not.
    pub(crate) fn build_on(
        &mut self,
        now: Timestamp,
        parent: &Tip,
        parent_certificate: Option<Certificate>,
        max_bytes: usize,
        fx: &mut Effects,
    ) {
        let Some(header) = self.header_on(now, parent, parent_certificate) else { return };
        self.requested = Some(header.clone());
        let evidence = self.evidence.values().copied().collect();
        fx.emit(Output::Build(Box::new(BuildRequest { header, evidence, max_bytes })));
    }

    /// The header of a block of ours on top of a parent, without what the host fills in.
    pub(crate) fn header_on(
        &self,
        now: Timestamp,
        parent: &Tip,
        parent_certificate: Option<Certificate>,
    ) -> Option<Header> {
        let signer = self.signer.as_ref()?;
        let height = parent.height().next();
        let (randomness, randomness_proof) = signer.beacon(parent.randomness(), height);
        let validators = parent.validators();
        Some(Header {
            version: VERSION,
            chain: parent.chain(),
            height,
            epoch: validators.epoch(),
            parent: parent.block(),
            parent_certificate,
            time: now.max(Timestamp(parent.time().0.saturating_add(1))),
            proposer: signer.public_key(),
            state_root: Hash::ZERO,
            transactions_root: Hash::ZERO,
            evidence_root: Hash::ZERO,
            validators: validators.hash(),
            next_validators: parent.next_validators().hash(),
            randomness,
            randomness_proof,
        })
    }

    /// Checks a block that the host built on a parent; gives the set that it yields. What we put into
    /// the header ourselves, and the host left alone, need not be proved to us.
    pub(crate) fn check_built(
        &self,
        now: Timestamp,
        block: &Block,
        parent: &Tip,
        change: Option<ValidatorSet>,
    ) -> Result<Arc<Electorate>, ReplicaError> {
        let header = &block.header;
        let ours = self.requested.as_ref().is_some_and(|requested| {
            let Header { state_root, transactions_root, evidence_root, .. } = *header;
            let finished =
                Header { state_root, transactions_root, evidence_root, ..requested.clone() };
            finished == *header
        });
        header::check_form(block, parent, &self.config, now).map_err(ReplicaError::Built)?;
        if !ours {
            header::check_proofs(header, parent, self.protocol).map_err(ReplicaError::Built)?;
        }
        parent.electorate_of(change).map_err(ReplicaError::Set)
    }

    /// Keeps a proof of misbehaviour until a block holds it.
    pub(crate) fn accuse(&mut self, evidence: Evidence, fx: &mut Effects) {
        let id = evidence.id();
        let lost = self.config.max_evidence == 0 || trap!("evidence_lost");
        if self.evidence.contains_key(&id) || lost {
            return;
        }
        evidence::make_room(&mut self.evidence, self.config.max_evidence);
        self.evidence.insert(id, evidence);
        fx.emit(Output::Evidence(Box::new(evidence)));
    }

    /// Shows the decision of the last height to somebody who is still deciding it, or an earlier one.
    pub(crate) fn answer_straggler(&mut self, now: Timestamp, peer: PublicKey, fx: &mut Effects) {
        if let Some(certificate) = self.tip.certificate().cloned() {
            self.show(now, peer, certificate, fx);
        }
    }

    /// Shows a certificate that helps a straggler on. Certificates are large: the same one is given
    /// to each voter once per resending interval.
    pub(crate) fn show(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        certificate: Certificate,
        fx: &mut Effects,
    ) {
        let what = position(&certificate.data);
        if !self.shown.allows(now, peer, what, self.config.resend, &self.tip) {
            let what = "straggler beyond the allowance";
            return fx.emit(Output::Dropped { peer, what });
        }
        fx.send(peer, Message::Certificate(Box::new(certificate)));
    }

    /// Whether somebody who is in an earlier round may be shown certificates of any number; each once
    /// per resending interval.
    pub(crate) fn may_help(&mut self, now: Timestamp, peer: PublicKey) -> bool {
        self.helped.allows(now, peer, (), self.config.resend, &self.tip)
    }

    /// Closes the height that `decision` decides, if its body is here and executed: hands the block
    /// out, makes it the tip, and keeps what is left to do for it. The protocol begins the next.
    pub(crate) fn try_decide(&mut self, fx: &mut Effects) -> bool {
        let Some(data) = self.decision.as_ref().map(|decision| decision.data) else { return false };
        let id = data.block;
        if !self.all_valid(&[id], fx) {
            return false;
        }
        let Some(certificate) = self.decision.take() else { return false };
        fx.record(Record::Decision(Box::new(certificate.clone())));
        self.record_body(&id, fx);
        // A late vote decides nothing any more; it says that we were there.
        let ours = self.sign(self.data(data.round, Phase::Commit, id), fx);
        let Some(header) = self.tree.block(&id).map(|block| block.header.clone()) else {
            return false;
        };
        let proof = FinalityProof::commit(header, certificate.clone());
        let Some((header, valid)) = self.hand_out(&id, proof, fx) else { return false };
        let electorate = self.electorate();
        let tip = self.tip.after_checked(&header, certificate, valid.next);
        self.reset(tip);
        self.late = Late::new(ours, &electorate);
        if let Some(vote) = ours {
            self.add_late(vote, true);
        }
        true
    }
}

fn seat(signer: Option<&Signer>, electorate: &Electorate) -> Option<usize> {
    electorate.position(&signer?.public_key())
}
