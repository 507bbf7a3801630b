//! Protocols that decide a chain: every block is voted for once, and a certificate for it is also a
//! step of its ancestors' decisions.
//!
//! [`Chained`] is all of a protocol but its [`ChainRules`]: when a block may be voted for, what to lock
//! on, what is decided, and whom timeouts go to. Four variants are here, one file each:
//! [`hotstuff`], [`hotstuff2`], [`jolteon`] and [`fast_hotstuff`]. [`crate::manual::new_variant`]
//! shows how to write another.
//!
//! # A round
//!
//! Rounds (the papers' views) count on through all heights of an epoch, from 0. The leader of a round
//! **proposes** a block on top of the highest certificate that it knows, which stands in the block's
//! header. Who finds it valid and safe **votes**, to the leader of the *next* round, who makes the
//! votes into a certificate, and proposes on top of that. So each proposal tells of the last round's
//! certificate: two delays a block, and 2(n-1) messages.
//!
//! A round that takes too long is given up by a NewRound signature for the next; a quorum of them is
//! that round's Timeout QC. A proposal whose block doesn't extend a certificate of the round before
//! carries it. Timeouts grow with the rounds since the last decision.
//!
//! # Certificates, not blocks, have rounds
//!
//! A block doesn't name its round, and might be certified in more than one. So the rules speak of
//! certificates ([`Certified`]): what a certificate decides follows from the certificate in its block's
//! header, the one in that block's parent's, and so on.
//!
//! # The last block of an epoch
//!
//! Executing a block yields the validators of the height two later. A block whose header promises
//! another set for the next height than its own is the last of its epoch: what is built on it before
//! it is decided could not be decided by the right set. But a block is decided by what is certified
//! behind it. So, until the last block L is decided, **fillers** take the place of its descendants: empty,
//! not executed, by the set that decides L, never decided, dropped by everybody once L is.
//!
//! 1. L is proposed and certified as any block is, say in round r.
//! 2. The leader of r + 1 proposes a filler upon L, whose header carries L's certificate; the leader of
//!    r + 2 another upon that, and so on, always with the certificate of the very round before.
//! 3. The certificates of L and of the fillers right behind it are of consecutive rounds, and decide L by
//!    the same rule as any other block: one filler suffices for a two-chain, HotStuff takes two. They and
//!    their headers are L's proof, so that it never rests on a block of the next epoch.
//! 4. Where a round in between fails, the row is broken: a leader whom a Timeout QC let in proposes **L
//!    again**, whichever of the row the highest certificate is for, and shows that certificate beside it
//!    ([`Proposal::justify`](crate::replica::message::Proposal)). L is certified anew, in a later round,
//!    and step 2 follows. So fillers exist only in an unbroken row behind L.
//! 5. No proposal of this epoch tells the others of the certificate that decided L. The leader who would
//!    have come next broadcasts it, and who still speaks of the old epoch is shown it.
//!
//! The new epoch begins with L as its root, in round 0. The header of its first block carries L's
//! certificate, by the validators before.
//!
//! # Planted bugs
//!
//! Each breaks a rule, and the test beside it must notice: `.ci/traps` plants them one by one.
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `chained_no_lock` | HotStuff votes whatever it is locked on | `all::chained::rules::hotstuff_keeps_its_lock` |
//! | `chained_lock_lost` | HotStuff's lock is not in the log | `all::chained::rules::hotstuff_s_lock_outlives_a_crash_though_the_block_that_shows_it_is_not_ours` |
//! | `chained_gap` | HotStuff commits whatever the rounds | `all::chained::rules::three_in_a_row_decide_and_no_gap` |
//! | `hotstuff2_lock` | HotStuff-2 votes below its lock | `all::chained::rules::hotstuff2_votes_for_nothing_below_its_lock` |
//! | `jolteon_stale_high` | Jolteon takes a Timeout QC with a stale certificate | `all::chained::rules::a_timeout_qc_demands_its_highest_certificate` |
//! | `fast_hotstuff_flaw` | the published flaw, see [`fast_hotstuff`] | `all::chained::rules::the_published_flaw_of_fast_hotstuff_decides_nothing` |
//! | `chained_high_unproved` | timeouts may vouch for what they don't show | `all::chained::rules::a_timeout_shows_what_it_vouches_for` |
//! | `chained_finale_lost` | what ended an epoch is not in the log | `all::campaign::chained_hotstuff::lives_that_failed_once_go_well` |
//! | `last_vote_pruned` | the log forgets a signature with its height | `all::chained::rules::a_round_given_up_stays_so_when_a_height_decided_before_it_is_pruned` |

pub mod fast_hotstuff;
pub mod hotstuff;
pub mod hotstuff2;
pub mod jolteon;

mod certify;
mod decide;
mod propose;
mod recover;
mod round;
mod rules;
mod votes;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::marker::PhantomData;

use pocket_types::block::{Block, Header};
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Epoch, Height, Round, Timestamp};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{self, Certificate, Phase, Vote, VoteData};

pub use fast_hotstuff::FastHotStuff;
pub use hotstuff::ChainedHotStuff;
pub use hotstuff2::HotStuff2;
pub use jolteon::Jolteon;
pub use rules::{Candidate, Certified, Chain, ChainRules, Timeouts};

use crate::common::effects::Effects as Fx;
use crate::common::pacemaker::Pacemaker;
use crate::common::tally::Tally;
use crate::common::tree::Node;
use crate::common::{Core, Heard};
use crate::protocol::Protocol;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

/// A chained protocol by the rules `R`.
#[derive(Clone, Debug)]
pub struct Chained<R> {
    core: Core,
    rules: PhantomData<R>,
    /// The certificate of the latest round; none while nothing of this epoch is certified.
    high: Option<Certificate>,
    lock: Certified,
    /// The certificate that decides a block which is not handed out yet, and that block.
    deciding: Option<(Certificate, Certified)>,
    /// What decided the end of the last epoch.
    finale: Option<Certificate>,
    /// NewRound signatures for this round and the next few.
    new_rounds: BTreeMap<Round, Tally>,
    /// Votes of the rounds before those that we lead.
    ballots: BTreeMap<Round, Tally>,
    /// The latest round of a certificate that our log has on its own.
    logged: Option<Round>,
    /// The latest round of a lock that our log has on its own.
    locked: Option<Round>,
    round: RoundState,
    pace: Pacemaker,
}

/// What is known of the round that the replica is in.
#[derive(Clone, Debug)]
struct RoundState {
    number: Round,
    /// The round's Timeout QC, if that let us in.
    entry: Option<Certificate>,
    /// The leader's signature under its first proposal.
    proposed: Option<Vote>,
    /// The certificate that the leader shows beside a block that it proposes again.
    justify: Option<Certificate>,
    /// The proposal that we will vote for when it proves valid and safe.
    candidate: Option<Candidate>,
    /// As leader: the header of the block that is being built, and its parent.
    building: Option<(Box<Header>, Tip)>,
    /// As leader: until when to wait for higher certificates.
    patience: Option<Timestamp>,
}

impl RoundState {
    const fn new(number: Round, entry: Option<Certificate>) -> Self {
        Self {
            number,
            entry,
            proposed: None,
            justify: None,
            candidate: None,
            building: None,
            patience: None,
        }
    }
}

impl<R: ChainRules> Chained<R> {
    /// The certificate of the latest round that it knows, as the rules see it.
    pub fn high(&self) -> Certified {
        self.high.as_ref().map_or_else(|| self.decided(), Certified::of)
    }

    /// What it is locked on.
    pub const fn lock(&self) -> Certified {
        self.lock
    }

    /// The certificate of the latest round; none while nothing of this epoch is certified.
    pub const fn high_qc(&self) -> Option<&Certificate> {
        self.high.as_ref()
    }

    /// How many undecided blocks it holds.
    pub fn undecided(&self) -> usize {
        self.core.tree.iter().count()
    }

    /// The last decided block, as the rules see it.
    fn decided(&self) -> Certified {
        let tip = &self.core.tip;
        let of_epoch = tip.certificate().filter(|qc| qc.data.epoch == self.epoch());
        Certified {
            block: tip.block(),
            height: tip.height(),
            round: of_epoch.map(|qc| qc.data.round),
        }
    }

    /// The highest block that is decided, or will be once its ancestors are here.
    fn target(&self) -> Certified {
        self.deciding.as_ref().map_or_else(|| self.decided(), |(_, to)| *to)
    }

    fn chain(&self) -> Chain<'_> {
        let (tree, epoch) = (&self.core.tree, self.epoch());
        Chain { tree, epoch, tip: self.decided(), high: self.high(), lock: self.lock }
    }

    fn epoch(&self) -> Epoch {
        self.core.tip.validators().epoch()
    }

    /// What is signed in this epoch.
    fn data(&self, height: Height, round: Round, phase: Phase, block: BlockId) -> VoteData {
        VoteData { height, ..self.core.data(round, phase, block) }
    }

    /// What we signed last, if it was in this epoch.
    fn last_signed(&self) -> Option<&Vote> {
        let last = self.core.signer.as_ref().and_then(|signer| signer.last());
        last.filter(|vote| vote.data.epoch == self.epoch())
    }

    /// The tip after an undecided block that is valid, or the decided one.
    fn tip_after(&self, block: &BlockId, certificate: Option<&Certificate>) -> Option<Tip> {
        if *block == self.core.tip.block() {
            let known = certificate.filter(|qc| qc.data.epoch == self.epoch());
            let tip = &self.core.tip;
            return Some(known.map_or_else(|| tip.clone(), |qc| tip.with_certificate(qc.clone())));
        }
        let tip = self.core.tree.tip(block, certificate?.clone())?;
        Some(if self.ends_epoch(self.core.tree.get(block)?) { tip.held() } else { tip })
    }

    /// Whether only fillers may be built on this block.
    fn ends_epoch(&self, node: &Node) -> bool {
        let header = &node.block.header;
        header.next_validators != header.validators || node.valid().is_some_and(|v| v.filler)
    }

    /// The last block of the epoch, if this is that or a filler behind it.
    fn last_of_epoch(&self, block: &BlockId) -> Option<BlockId> {
        self.core.tree.get(block).filter(|node| self.ends_epoch(node))?;
        self.core.tree.line(*block).find(|id| {
            let filler = |node: &Node| node.valid().is_some_and(|valid| valid.filler);
            !self.core.tree.get(id).is_some_and(filler)
        })
    }

    /// Blocks whose line must not be pushed out.
    fn needed(&self) -> Vec<BlockId> {
        let high = self.high.as_ref().map(|qc| qc.data.block);
        let deciding = self.deciding.as_ref().map(|(qc, _)| qc.data.block);
        let candidate = self.round.candidate.map(|candidate| candidate.block);
        let wanted = self.core.fetch.as_ref().map(|fetch| fetch.certificate.data.block);
        [high, deciding, candidate, wanted].into_iter().flatten().collect()
    }

    /// Whether a message is of our epoch. Who is in an earlier one is shown out of it; who is in a later
    /// one has blocks that we need.
    fn is_current(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        epoch: Epoch,
        height: Height,
        fx: &mut Fx,
    ) -> bool {
        if epoch < self.epoch() {
            self.help(now, from, fx);
        } else if epoch > self.epoch() {
            // Whatever it says, it has decided more than we have.
            let height = height.max(self.core.height().next());
            self.core.behind(from, height, false, fx);
        }
        epoch == self.epoch()
    }

    /// Does whatever has become possible.
    fn progress(&mut self, now: Timestamp, fx: &mut Fx) {
        self.fetch_missing(fx);
        self.execute(now, fx);
        if self.try_decide(now, fx) {
            return;
        }
        self.vote(fx);
        self.try_propose(now, fx);
    }
}

impl<R: ChainRules> Protocol for Chained<R> {
    const ID: vote::Protocol = R::ID;

    fn recover(core: Core, log: Vec<Record>) -> Self {
        Self::restore(core, log)
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
            Message::NewRound(message) => self.on_new_round(now, from, *message, fx),
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, fx),
            Message::Vote(vote) => self.on_vote(now, from, vote, fx),
            Message::Certificate(certificate) => self.on_certificate(now, from, *certificate, fx),
            Message::BlockRequest(request) => {
                self.core.on_block_request(now, from, request, fx);
                Ok(())
            }
            Message::Block(block) => self.on_block(now, from, *block, fx),
            Message::RoundRequest(_) | Message::Candidacy(_) => {
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
        if tip.height() <= self.core.tip.height() {
            return;
        }
        if tip.validators().epoch() != self.epoch() {
            return self.begin_epoch(now, tip, None, fx);
        }
        self.settle(tip);
        let next = self.high().next_round();
        if next > self.round.number {
            self.enter(now, next, None, fx);
        }
        self.progress(now, fx);
    }

    fn tick(&mut self, now: Timestamp, fx: &mut Fx) {
        if now >= self.pace.due && !self.pace.is_due {
            self.pace.is_due = true;
            self.try_propose(now, fx);
        }
        if self.round.patience.is_some_and(|until| now >= until) {
            self.round.patience = None;
            self.try_propose(now, fx);
        }
        if now >= self.pace.timeout && self.gives_up() {
            // Should our last signature lie ahead of this epoch, there is nothing to sign here.
            self.pace.timeout = now.after(self.core.config.resend);
            self.want(self.round.number.next(), false, fx);
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
        if self.gives_up() {
            next = next.min(self.pace.timeout);
        }
        if !self.pace.is_due && self.core.leads(self.round.number) {
            next = next.min(self.pace.due);
        }
        Some(self.round.patience.map_or(next, |patience| next.min(patience)))
    }
}

/// Refuses a signature whose data can't be of its phase.
const fn field(data: &VoteData, holds: bool, field: &'static str) -> Heard {
    if holds { Ok(()) } else { Err(Refusal::Field { phase: data.phase, field }) }
}
