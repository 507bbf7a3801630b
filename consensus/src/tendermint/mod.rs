//! Tendermint (arXiv 1807.04938, algorithm 1) over one height at a time.
//!
//! A height is decided in rounds, each with one proposer. All votes go to everybody:
//!
//! 1. The proposer **proposes** the value of the highest polka that it knows, or a fresh block.
//! 2. Who finds it valid and compatible with its lock **prevotes** it ([`Phase::Prepare`]), and nil
//!    otherwise. A quorum of prevotes for a block is its *polka*.
//! 3. Who sees the polka is locked on the block and **precommits** it ([`Phase::Commit`]). Who sees a
//!    quorum for nil, or waits too long, precommits nil.
//! 4. A quorum of precommits for a block **decides** it.
//!
//! Nil is block zero. The rules stand in `rules.rs` beside their line numbers in the paper.
//!
//! # Safe
//!
//! A block decided in round r has a quorum locked on it from round r. A polka for another block in a
//! later round would need a member of that quorum to prevote against its lock, and lines 22 to 33
//! allow that only for a proposal that brings a polka of a round not before the lock's: in the first
//! such round there is none.
//!
//! # Without gossip
//!
//! The paper lets every message that reaches one correct process reach all of them. Here votes travel
//! once, from their signer, and what liveness takes from gossip is had otherwise:
//!
//! - A proposal brings the polka of its valid round along, as one certificate (line 28).
//! - When a round is failing (line 47), and on entering the next, the next proposer is sent the highest
//!   polka that one knows: it then proposes what everybody can prevote.
//! - A replica is moved on (line 55) by more than a third of the weight in rounds *not before* a later
//!   one, so that one vote of each member is enough to keep.
//! - Who leaves a round has prevoted and precommitted in it, nil if nothing else, and says its votes of
//!   this round and the one before again while it waits. So nobody stays behind in a round for want of
//!   votes that others did not care to cast. Nil votes bind nobody.
//! - Whoever still votes at a decided height is shown the decision.
//!
//! # Planted bugs
//!
//! Each breaks a rule, and the test beside it must notice: `.ci/traps` plants them one by one.
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `tendermint-lock` | prevotes whatever is proposed (lines 23, 29) | `all::tendermint::rules::line_22_a_locked_replica_prevotes_nothing_else` |
//! | `tendermint-valid-round` | any polka unlocks, however old (line 29) | `all::tendermint::rules::line_28_a_polka_not_before_the_lock_unlocks_and_an_earlier_one_does_not` |
//! | `tendermint-justify` | the polka in a proposal isn't checked (line 28) | `all::tendermint::rules::line_28_a_polka_in_a_proposal_must_hold_and_be_for_that_block_and_an_earlier_round` |
//! | `tendermint-nil-unlocks` | a quorum for nil takes the lock away (line 44) | `all::tendermint::rules::line_44_a_quorum_for_nil_is_precommitted_at_once_and_takes_no_lock_away` |
//! | `tendermint-lock-record` | a lock is forgotten in a crash (line 38) | `all::tendermint::rules::a_lock_survives_a_restart` |
//! | `tendermint-valid-value` | proposes afresh though it knows a polka (line 15) | `all::tendermint::rules::line_16_a_proposer_proposes_the_valid_value_that_others_show_it` |

mod certify;
mod count;
mod later;
mod propose;
mod recover;
mod rules;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{self, Certificate, Phase, Vote};

use crate::common::effects::Effects as Fx;
use crate::common::heights::Heights;
use crate::common::pacemaker::Pacemaker;
use crate::common::tally::Tally;
use crate::common::{Core, Heard};
use crate::protocol::Protocol;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

use later::Later;

/// The vote for no block.
const NIL: BlockId = BlockId(pocket_types::hash::Hash::ZERO);

/// The state of Tendermint at one height.
#[derive(Clone, Debug)]
pub struct Tendermint {
    core: Core,
    round: RoundState,
    pace: Pacemaker,
    /// lockedRound and lockedValue.
    locked: Option<(Round, BlockId)>,
    /// validRound and validValue: the highest polka that we know.
    valid: Option<Certificate>,
    /// Prevotes and precommits of this round and the few before.
    votes: BTreeMap<(Round, Phase), Tally>,
    /// Votes of later rounds.
    later: Later,
    /// Signed proposals of the next few rounds.
    proposals: BTreeMap<Round, Proposal>,
    /// What we voted in this round and the one before.
    said: Vec<Vote>,
    /// Which proposer was last sent which polka: their rounds.
    told: Option<(Round, Round)>,
    /// When this height began.
    began: Timestamp,
}

/// What is known of the round that the replica is in.
#[derive(Clone, Debug)]
struct RoundState {
    number: Round,
    step: Step,
    /// The proposer's signature under its first proposal.
    proposed: Option<Vote>,
    proposal: Option<Proposed>,
    /// As proposer: whether a block is being built.
    building: bool,
    /// Line 35: when to precommit nil.
    prevote_timeout: Option<Timestamp>,
    /// Line 48: when to go on to the next round.
    precommit_timeout: Option<Timestamp>,
}

/// How far we are in a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    /// Waits for the proposal.
    Propose,
    /// Has prevoted.
    Prevote,
    /// Has precommitted.
    Precommit,
}

/// A proposal under consideration.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Proposed {
    block: BlockId,
    /// The polka that it brought.
    justify: Option<Certificate>,
}

impl RoundState {
    const fn new(number: Round) -> Self {
        Self {
            number,
            step: Step::Propose,
            proposed: None,
            proposal: None,
            building: false,
            prevote_timeout: None,
            precommit_timeout: None,
        }
    }
}

impl Tendermint {
    /// The round and block that this replica is locked on.
    pub const fn lock(&self) -> Option<(Round, BlockId)> {
        self.locked
    }

    /// The highest polka of this height that it knows: the certificate of the valid value.
    pub const fn valid(&self) -> Option<&Certificate> {
        self.valid.as_ref()
    }

    /// Blocks that must not be pushed out while they are undecided.
    fn needed(&self) -> Vec<BlockId> {
        let certificates = [&self.valid, &self.core.decision].into_iter().flatten();
        let certified = certificates.map(|certificate| certificate.data.block);
        certified.chain(self.round.proposal.iter().map(|proposal| proposal.block)).collect()
    }

    /// Hands the decided block out as soon as its body is here and executed, and moves on.
    fn try_decide(&mut self, now: Timestamp, fx: &mut Fx) {
        let Some(data) = self.core.decision.as_ref().map(|decision| decision.data) else { return };
        let electorate = self.core.electorate();
        if !self.core.try_decide(fx) {
            return;
        }
        // The next header names those, too, whose precommits came beyond the quorum.
        if let (Some(votes), Some(decision)) =
            (self.votes.remove(&(data.round, Phase::Commit)), self.core.tip.decision().cloned())
        {
            for (vote, checked) in votes.beyond(&decision.certificate, &electorate) {
                self.core.add_late(vote, checked);
            }
        }
        let said = self.said.iter().any(|vote| vote.data == data);
        if let Some(vote) = self.core.late_vote().filter(|_| !said)
            && !self.core.leads(Round::ZERO)
        {
            fx.send(self.core.leader(Round::ZERO), Message::Vote(vote));
        }
        self.begin(now, fx);
    }
}

impl Heights for Tendermint {
    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn restore(&mut self) {
        self.recollect();
    }

    fn resume(&mut self, now: Timestamp, fx: &mut Fx) {
        self.set_out(now, fx);
    }

    fn hear_certificate(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        certificate: Certificate,
        fx: &mut Fx,
    ) -> Heard {
        self.on_certificate(now, from, certificate, fx)
    }
}

impl Protocol for Tendermint {
    const ID: vote::Protocol = vote::Protocol::Tendermint;

    fn recover(mut core: Core, log: Vec<Record>) -> Self {
        core.unread = log;
        let pace = Pacemaker::enter(&core.config, Timestamp::ZERO, core.tip.time(), Round::ZERO);
        let mut protocol = Self {
            core,
            round: RoundState::new(Round::ZERO),
            pace,
            locked: None,
            valid: None,
            votes: BTreeMap::new(),
            later: Later::default(),
            proposals: BTreeMap::new(),
            said: Vec::new(),
            told: None,
            began: Timestamp::ZERO,
        };
        protocol.restore();
        protocol
    }

    fn core(&self) -> &Core {
        &self.core
    }

    fn round(&self) -> Round {
        self.round.number
    }

    fn start(&mut self, now: Timestamp, fx: &mut Fx) {
        self.resume(now, fx);
    }

    fn receive(&mut self, now: Timestamp, from: PublicKey, message: Message, fx: &mut Fx) -> Heard {
        match message {
            Message::Vote(vote) => self.on_vote(now, from, vote, fx),
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, fx),
            Message::Certificate(certificate) => self.on_certificate(now, from, *certificate, fx),
            Message::BlockRequest(request) => {
                self.core.on_block_request(now, from, request, fx);
                Ok(())
            }
            Message::Block(block) => self.on_block(now, from, *block, fx),
            Message::RoundRequest(_) | Message::Candidacy(_) => {
                let what = "message of another protocol";
                fx.emit(Output::Dropped { peer: from, what });
                Ok(())
            }
            Message::NewRound(_) => {
                Err(Refusal::WrongPhase { got: Phase::NewRound, expected: Phase::Prepare })
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
        self.move_to(now, tip, fx);
    }

    fn tick(&mut self, now: Timestamp, fx: &mut Fx) {
        if now >= self.pace.due && !self.pace.is_due {
            self.pace.is_due = true;
            self.try_propose(now, fx);
        }
        self.give_up(now, fx);
        if now >= self.pace.resend {
            self.pace.resend = now.after(self.core.config.resend);
            self.resend(fx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.core.position.is_none() {
            return self.core.fetch.is_some().then_some(self.pace.resend);
        }
        let propose =
            (!self.pace.is_due && self.core.leads(self.round.number)).then_some(self.pace.due);
        [Some(self.pace.resend), propose, self.timeout()].into_iter().flatten().min()
    }
}
