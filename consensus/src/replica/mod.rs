//! The validator's machine: what the host sees, whatever the protocol inside.

pub mod config;
mod effects;
pub mod error;
pub mod input;
pub mod message;
pub mod output;
pub mod record;
mod recover;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Outbox, Receipt, Step};
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::validator::Electorate;
use pocket_types::vote::Certificate;
use pocket_types::vrf::VrfSecret;

use crate::bodies::Bodies;
use crate::certificates::Certificates;
use crate::hotpokt::{Ahead, Fetch, RoundState};
use crate::pacemaker::Pacemaker;
use crate::schedule::{LeaderSchedule, Leaders};
use crate::signer::{Position, Signer};
use crate::tally::Tally;
use crate::tip::Tip;

use config::Config;
use effects::{Effect, Effects};
use error::{Refusal, ReplicaError};
use input::{Input, Verdict};
use output::Output;
use record::Record;

/// A validator, or an observer, deciding one height after the other.
///
/// Drive it as [`pocket_types::machine`] says. Hand in a [`Tick`](pocket_types::machine::Tick) when
/// [`next_deadline`](Machine::next_deadline) has come; a fresh replica wants one at once, and says
/// nothing before it.
///
/// Answer every [`Output::Build`] and [`Output::Check`]; an answer that is no longer wanted is
/// ignored. Commit [`Output::Decided`] before answering requests that name it as the parent. Messages
/// may be lost, duplicated and reordered; only the sender's identity must be authentic, and it must be
/// the validator's own key.
#[derive(Debug)]
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) schedule: LeaderSchedule,
    pub(crate) signer: Option<Signer>,
    pub(crate) vrf: Option<VrfSecret>,
    outbox: Outbox<Effect>,
    started: bool,
    /// The host contradicts a quorum: nothing more is said.
    pub(crate) diverged: Option<BlockId>,

    pub(crate) tip: Tip,
    /// The body of the tip, if we decided it ourselves: stragglers ask for it.
    pub(crate) tip_body: Option<pocket_types::block::Block>,
    /// Commit votes for the tip that its certificate doesn't hold.
    pub(crate) late: Option<Tally>,
    /// Our own Commit vote for the tip.
    pub(crate) commit_vote: Option<pocket_types::vote::Vote>,
    pub(crate) evidence: BTreeMap<Hash, Evidence>,
    /// When each validator was last given a body.
    pub(crate) served: BTreeMap<PublicKey, Timestamp>,
    /// The certificate that each straggler was last shown, and when.
    pub(crate) shown: BTreeMap<PublicKey, (Position, Timestamp)>,
    /// What the log says of later heights than the one being decided.
    pub(crate) unread: Vec<Record>,

    // Of the height being decided:
    /// Our place in its electorate.
    pub(crate) position: Option<usize>,
    pub(crate) leaders: Leaders,
    pub(crate) high_qc: Option<Certificate>,
    pub(crate) lock: Option<Certificate>,
    /// The decision, while its body is missing or being checked.
    pub(crate) decision: Option<Certificate>,
    pub(crate) bodies: Bodies,
    pub(crate) certificates: Certificates,
    pub(crate) fetch: Option<Fetch>,
    /// NewRound signatures for this round and the next few.
    pub(crate) new_rounds: BTreeMap<Round, Tally>,
    pub(crate) round: RoundState,
    pub(crate) pace: Pacemaker,
    /// What came early for the next height.
    pub(crate) ahead: Ahead,
}

impl Replica {
    /// The last decided block.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The height being decided.
    pub fn height(&self) -> Height {
        self.tip.height().next()
    }

    /// The round that this replica is in.
    pub const fn round(&self) -> Round {
        self.round.number
    }

    /// Whether it is a validator at this height.
    pub const fn is_validator(&self) -> bool {
        self.position.is_some()
    }

    /// The leader of a round of this height.
    pub fn leader(&self, round: Round) -> PublicKey {
        let position = self.leaders.leader(self.height(), round);
        let member = self.tip.validators().member(position);
        member.expect("leaders are positions in the electorate").public_key
    }

    /// The PreCommit certificate that this replica is locked on.
    pub const fn lock(&self) -> Option<&Certificate> {
        self.lock.as_ref()
    }

    /// The highest Prepare certificate of this height that it knows.
    pub const fn high_qc(&self) -> Option<&Certificate> {
        self.high_qc.as_ref()
    }

    pub(crate) fn electorate(&self) -> Arc<Electorate> {
        Arc::clone(self.tip.validators())
    }

    fn input(
        &mut self,
        now: Timestamp,
        input: Input,
        fx: &mut Effects,
    ) -> Result<(), ReplicaError> {
        match input {
            Input::Tick => self.tick(now, fx),
            Input::Message { from, message } => self.deliver(now, from, message, fx),
            Input::Built { block, change } => self.built(now, *block, change, fx)?,
            Input::Checked { block, verdict } => self.checked(now, block, verdict, fx)?,
            Input::Advance(tip) => self.advance(now, *tip, fx),
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp, fx: &mut Effects) {
        if !self.started {
            self.started = true;
            self.resume(now, fx);
            return;
        }
        if now >= self.pace.due && !self.pace.is_due {
            self.pace.is_due = true;
            self.try_propose(now, fx);
        }
        if now >= self.pace.timeout && self.gives_up() {
            // Should our last signature lie ahead of this height, there is nothing to sign here.
            self.pace.timeout = now.after(self.config.resend);
            self.want(self.round.number.next(), fx);
        }
        if now >= self.pace.resend {
            self.pace.resend = now.after(self.config.resend);
            self.resend(fx);
        }
    }

    /// What a peer sent: a refusal is charged to it.
    pub(crate) fn deliver(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: message::Message,
        fx: &mut Effects,
    ) {
        if let Err(reason) = self.receive(now, from, message, fx) {
            fx.emit(Output::Misbehaviour { peer: from, reason });
        }
    }

    /// Closes a step, and acts on what the replica told itself as soon as that is free.
    fn close(
        &mut self,
        now: Timestamp,
        freed: Vec<Effect>,
        mut fx: Effects,
    ) -> Step<Record, Output> {
        let mut outputs = Vec::new();
        let mut queue = freed;
        loop {
            for effect in queue {
                match effect {
                    Effect::Emit(output) => outputs.push(*output),
                    Effect::Own(vote) => self.own(now, *vote, &mut fx),
                }
            }
            let Effects { records, effects } = core::mem::take(&mut fx);
            if records.is_empty() && effects.is_empty() {
                return Step { records: None, outputs };
            }
            let step = self.outbox.push(records, effects);
            if step.records.is_some() {
                return Step { records: step.records, outputs };
            }
            queue = step.outputs;
        }
    }

    fn check_running(&self) -> Result<(), ReplicaError> {
        self.outbox.check()?;
        self.diverged.map_or(Ok(()), |block| Err(ReplicaError::Diverged { block }))
    }
}

impl Machine for Replica {
    type Input = Input;
    type Record = Record;
    type Output = Output;
    type Error = ReplicaError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Record, Output>, ReplicaError> {
        self.check_running()?;
        let waiting = self.outbox.waiting();
        if waiting >= self.config.max_unstored {
            return Err(ReplicaError::Backlog { waiting, max: self.config.max_unstored });
        }
        let mut fx = Effects::default();
        self.input(now, input, &mut fx)?;
        Ok(self.close(now, Vec::new(), fx))
    }

    fn release(
        &mut self,
        now: Timestamp,
        receipt: Receipt,
    ) -> Result<Step<Record, Output>, ReplicaError> {
        let freed = self.outbox.release(&receipt)?;
        Ok(self.close(now, freed, Effects::default()))
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.diverged.is_some() || self.outbox.check().is_err() {
            return None;
        }
        if !self.started {
            return Some(Timestamp::ZERO);
        }
        let fetching = self.fetch.is_some();
        if self.position.is_none() {
            return fetching.then_some(self.pace.resend);
        }
        let mut next = self.pace.resend;
        if self.gives_up() {
            next = next.min(self.pace.timeout);
        }
        if !self.pace.is_due && self.is_leader() {
            next = next.min(self.pace.due);
        }
        Some(next)
    }
}

// The refusal type is what `deliver` charges; naming it here keeps the protocol's files short.
pub(crate) type Heard = Result<(), Refusal>;
pub(crate) use effects::Effects as Fx;
pub(crate) type HostVerdict = Verdict;
