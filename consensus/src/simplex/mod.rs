//! Simplex (IACR eprint 2023/463): one block a view, notarized in two message delays, final in three.
//!
//! Rounds are called views. They count on through all heights of a validator set, and every signature
//! is broadcast. In each view v:
//!
//! 1. The leader **proposes** a block ([`Phase::Propose`]). Its parent is the block of the highest
//!    notarized view p that the leader knows, and all views between p and v are nullified.
//! 2. Who finds it valid, and knows that notarization and all those nullifications, **notarizes** it
//!    ([`Phase::Prepare`]). A quorum notarizes the view: everybody who sees that enters the next one,
//!    and **finalizes** v ([`Phase::Commit`]) on leaving.
//! 3. Who has been in v for too long **nullifies** it: signs [`Phase::NewRound`] for v + 1. A quorum
//!    nullifies the view, which lets everybody into the next one, too.
//! 4. A quorum of finalizations decides the block of v and all its ancestors.
//!
//! # Safe
//!
//! Nobody signs both the finalization and the nullification of a view: not the former after the
//! latter, because the signer only moves forward ([`signer`](crate::signer)), and not the latter after
//! the former, by a rule of its own (`Simplex::may_nullify`). So a finalized view w has no
//! nullification, and it has one notarized block, for nobody notarizes twice in a view. A block
//! notarized in a later view v has its parent in a view p with all views between nullified: p is not
//! before w. It is w, and the parent is the finalized block; or it lies between w and v, and the same
//! holds of the parent.
//!
//! # Live
//!
//! A view is left by a certificate only, never on the word of a few: so every view before one that
//! somebody is in has a certificate, and some honest replica stored it
//! ([`Record::HighQc`], [`Record::Entry`]). Who lacks one that a proposal rests on asks for it
//! ([`Message::RoundRequest`]); who hears again from somebody in an earlier view shows what leads out
//! of there. Views without a decision grow longer.
//!
//! # The last block of an epoch
//!
//! The block after which another validator set decides has no children until it is decided: leaders
//! of later views propose **that block again**, with its notarization as the proposal's justification.
//! The argument above holds as it stands, with "is the parent's block" for "has the parent". Nothing
//! is built that would have to be thrown away. With the decision the new set begins at view 0.
//!
//! # Planted bugs
//!
//! Each breaks a rule, and the test beside it must notice: `.ci/traps` plants them one by one.
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `simplex_nullify` | who finalized a view may nullify it | `all::simplex_rules::who_finalized_a_view_never_nullifies_it` |
//! | `simplex_skip` | views between parent and proposal need no nullification | `all::simplex_rules::a_proposal_that_skips_a_view_without_nullification_gets_no_vote` |
//! | `simplex_commit` | a notarization decides | `all::simplex_rules::a_notarization_decides_nothing` |
//! | `simplex_forget` | nullifications are not in the log | `all::simplex::when_all_crash_after_a_nullified_view_they_go_on` |
//! | `simplex_epoch` | the last block of an epoch has children | `all::simplex::the_last_block_of_an_epoch_is_proposed_until_it_is_decided` |

mod certify;
mod fetch;
mod propose;
mod recover;
mod view;
mod votes;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{self, Certificate, Phase, Vote, VoteData};

use crate::common::allowance::Allowance;
use crate::common::effects::Effects as Fx;
use crate::common::pacemaker::Pacemaker;
use crate::common::tally::Tally;
use crate::common::{Core, Heard};
use crate::protocol::Protocol;
use crate::replica::error::ReplicaError;
use crate::replica::input::Verdict;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

/// The state of Simplex in one epoch.
#[derive(Clone, Debug)]
pub struct Simplex {
    core: Core,
    /// The decided view: none before the epoch's first decision.
    base: Option<Base>,
    /// Notarizations from the decided view on. Each view takes a quorum, so time bounds them.
    notarized: BTreeMap<Round, Certificate>,
    /// Nullifications after the decided view, by the view that they end. Each takes a quorum to wait
    /// for a timeout, so time bounds them.
    nullified: BTreeMap<Round, Certificate>,
    /// The highest finalization.
    finalized: Option<Certificate>,
    /// What decided the last block of the epoch before.
    ended: Option<Certificate>,
    /// The votes of a few views around ours.
    polls: BTreeMap<(Round, Phase), Tally>,
    view: View,
    /// The last view that we finalized.
    finalize: Option<Vote>,
    pace: Pacemaker,
    /// The first certificate that we asked for, and how often.
    asked: Option<(Round, usize)>,
    /// Who was given certificates of rounds.
    answered: Allowance,
}

/// Where the chain was last decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Base {
    view: Round,
    height: Height,
}

/// What is known of the view that the replica is in.
#[derive(Clone, Debug)]
struct View {
    number: Round,
    /// The leader's signature under its first proposal.
    proposed: Option<Vote>,
    /// The proposal that we will notarize when it proves valid.
    proposal: Option<Proposed>,
    /// As leader: the parent of the block that is being built.
    building: Option<BlockId>,
    /// Our notarization.
    notarize: Option<Vote>,
    /// Our nullification.
    nullify: Option<Vote>,
}

/// A proposal under consideration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Proposed {
    block: BlockId,
    /// The notarized view that it rests on; none if that is the last block of the epoch before.
    after: Option<Round>,
}

impl View {
    const fn new(number: Round) -> Self {
        Self {
            number,
            proposed: None,
            proposal: None,
            building: None,
            notarize: None,
            nullify: None,
        }
    }
}

impl Simplex {
    /// The notarization of the highest view that is notarized.
    pub fn highest(&self) -> Option<&Certificate> {
        self.notarized.last_key_value().map(|(_, certificate)| certificate)
    }

    /// How many things are kept: notarizations, nullifications, polls, and peers that were helped.
    pub fn kept(&self) -> usize {
        self.notarized.len() + self.nullified.len() + self.polls.len() + self.core.helped.len()
    }

    /// What is signed of a block in a view, or of a view.
    fn data(&self, view: Round, phase: Phase, height: Height, block: BlockId) -> VoteData {
        VoteData { height, ..self.core.data(view, phase, block) }
    }

    fn is_leader(&self) -> bool {
        self.core.leads(self.view.number)
    }

    /// Blocks that must not be pushed out while they are undecided.
    fn needed(&self) -> Vec<BlockId> {
        let certificates = self.notarized.values().chain(&self.finalized);
        let proposal = self.view.proposal.map(|proposal| proposal.block);
        certificates.map(|certificate| certificate.data.block).chain(proposal).collect()
    }

    /// Does whatever has become possible.
    fn progress(&mut self, now: Timestamp, fx: &mut Fx) {
        self.execute(now, fx);
        self.notarize(fx);
        self.try_propose(now, fx);
        self.try_decide(now, fx);
        self.fetch(fx);
        self.ask(fx);
    }
}

impl Protocol for Simplex {
    const ID: vote::Protocol = vote::Protocol::Simplex;

    fn recover(mut core: Core, log: Vec<Record>) -> Self {
        core.unread = log;
        let pace = Pacemaker::enter(&core.config, Timestamp::ZERO, core.tip.time(), Round::ZERO);
        let mut protocol = Self {
            core,
            base: None,
            notarized: BTreeMap::new(),
            nullified: BTreeMap::new(),
            finalized: None,
            ended: None,
            polls: BTreeMap::new(),
            view: View::new(Round::ZERO),
            finalize: None,
            pace,
            asked: None,
            answered: Allowance::default(),
        };
        protocol.restore();
        protocol
    }

    fn core(&self) -> &Core {
        &self.core
    }

    fn round(&self) -> Round {
        self.view.number
    }

    fn start(&mut self, now: Timestamp, fx: &mut Fx) {
        self.resume(now, fx);
    }

    fn receive(&mut self, now: Timestamp, from: PublicKey, message: Message, fx: &mut Fx) -> Heard {
        match message {
            Message::NewRound(message) => self.on_vote(now, from, message.vote, fx),
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, fx),
            Message::Vote(vote) => self.on_vote(now, from, vote, fx),
            Message::Certificate(certificate) => self.on_certificate(now, from, *certificate, fx),
            Message::BlockRequest(request) => {
                self.on_block_request(now, from, request, fx);
                Ok(())
            }
            Message::Block(block) => self.on_block(now, from, *block, fx),
            Message::RoundRequest(request) => {
                self.on_round_request(now, from, request, fx);
                Ok(())
            }
            Message::Candidacy(_) => {
                fx.emit(Output::Dropped { peer: from, what: "message of another protocol" });
                Ok(())
            }
        }
    }

    fn own(&mut self, now: Timestamp, vote: Vote, fx: &mut Fx) {
        self.count_own(now, vote, fx);
    }

    fn built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        self.on_built(now, block, change, fx)
    }

    fn checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Fx,
    ) -> Result<(), ReplicaError> {
        self.on_checked(now, block, verdict, fx)
    }

    fn advance(&mut self, now: Timestamp, tip: Tip, fx: &mut Fx) {
        if tip.height() > self.core.tip.height() {
            self.move_to(now, tip, fx);
            self.progress(now, fx);
        }
    }

    fn tick(&mut self, now: Timestamp, fx: &mut Fx) {
        if now >= self.pace.due && !self.pace.is_due {
            self.pace.is_due = true;
            self.try_propose(now, fx);
        }
        if now >= self.pace.timeout && self.may_nullify() {
            self.pace.timeout = now.after(self.core.config.resend);
            self.nullify(fx);
        }
        if now >= self.pace.resend {
            self.pace.resend = now.after(self.core.config.resend);
            self.resend(fx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.core.position.is_none() {
            return self.core.fetch.is_some().then_some(self.pace.resend);
        }
        let mut next = self.pace.resend;
        if self.may_nullify() {
            next = next.min(self.pace.timeout);
        }
        if !self.pace.is_due && self.is_leader() {
            next = next.min(self.pace.due);
        }
        Some(next)
    }
}
