//! HotPOKT: Basic HotStuff (arXiv 1803.05069, algorithm 2) over one height at a time.
//!
//! A height is decided in rounds, each with one leader, in four steps ([`Phase`]):
//!
//! 1. On entering a round a replica sends its leader a **NewRound** with the highest Prepare
//!    certificate it knows. With a quorum of these the leader **proposes**: the block of the highest
//!    certificate among them, or a fresh one if there is none.
//! 2. Who finds the proposal valid and safe votes **Prepare**. A quorum is a Prepare certificate.
//! 3. Who sees it votes **PreCommit**. A quorum is a PreCommit certificate: who sees that is locked on
//!    it and votes **Commit**.
//! 4. A quorum of Commit votes **decides**.
//!
//! Leaders take turns by weight, or are elected by VRF: [`crate::election`].
//!
//! # Safe
//!
//! A proposal is *safe* when nothing is locked, or it is the locked block, or its justify certificate
//! is of a later round than the lock, and names the proposed block itself. Why that suffices: a block
//! decided in round r has a quorum locked on it from round r. A Prepare certificate for another block
//! in a later round would need a member of that quorum to vote against its lock, in the first such
//! round without a justify certificate of a later one. Locks go only when the height is decided.
//!
//! The rule is `HotPokt::is_safe` in `propose.rs`. Whoever changes it runs `tests/traps.rs`, where
//! each known way to get it wrong is a test; random campaigns alone rarely meet a broken lock.
//!
//! # Live
//!
//! A round that takes too long is given up by a broadcast NewRound signature for the next; a quorum of
//! them is that round's Timeout QC and lets everybody in, and more than a third of the weight makes
//! the others join. Who signed NewRound for a round votes in no earlier one, so the certificate that
//! it sends along stays the highest it can have helped to make: with a quorum of NewRounds a leader
//! knows of every lock that an honest replica may hold. Everything unanswered is said again.
//!
//! Who missed a decision learns of it from the next proposal, whose header carries the certificate; from
//! the last leader, who answers the Commit vote that is said again; as the next leader, from NewRounds
//! that are said again; and from those that give a round of the next height up.
//!
//! # Planted bugs
//!
//! Each breaks a rule, and the test beside it must notice: `.ci/traps` plants them one by one.
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `2` | the lock is compared with the justify's block | `all::traps::trap_2_the_lock_is_compared_with_the_proposal_not_with_its_justify` |
//! | `3` | a higher certificate does not unlock | `all::traps::trap_3_a_higher_certificate_unlocks` |
//! | `4` | a round is entered on an unchecked certificate | `all::traps::a_forged_certificate_leads_nobody_into_a_round` |
//! | `5` | the phase decides whom a vote goes to | `all::traps::trap_5_every_vote_of_a_round_goes_to_the_same_leader` |
//! | `7` | a leader proposes afresh though it knows a certificate | `all::traps::trap_7_an_interrupted_leader_s_block_is_proposed_again` |
//! | `9` | a Prepare certificate clears the lock | `all::traps::trap_9_a_lock_outlives_every_later_prepare` |
//! | `replayed_height` | certificates of other heights count | `all::traps::a_certificate_of_another_height_is_refused_wherever_it_stands` |
//! | `stale_high_qc` | a lower certificate takes the place of the highest | `all::traps::an_older_justify_makes_nobody_forget_the_highest_certificate` |
//! | `vrf_no_wait` | leaders are chosen before all could be heard | `all::candidacies::a_replica_asks_the_best_candidate_and_not_before_the_wait_is_over` |
//! | `vrf_other_height` | candidacies count in other rounds | `all::candidacies::a_candidacy_counts_in_its_own_round_of_its_own_height_only` |
//! | `vrf_anybody_leads` | whoever was not elected may propose | `all::candidacies::whom_nobody_chose_here_proposes_in_vain` |

mod certify;
mod election;
mod propose;
mod recover;
mod round;
mod votes;

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
use crate::replica::error::ReplicaError;
use crate::replica::input::Verdict;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

use election::Contest;

/// The state of HotPOKT at one height.
#[derive(Clone, Debug)]
pub struct HotPokt {
    core: Core,
    /// The highest Prepare certificate.
    high_qc: Option<Certificate>,
    /// The highest PreCommit certificate.
    lock: Option<Certificate>,
    /// NewRound signatures for this round and the next few.
    new_rounds: BTreeMap<Round, Tally>,
    round: RoundState,
    /// Where leaders are elected.
    contest: Option<Contest>,
    pace: Pacemaker,
}

/// What is known of the round that the replica is in.
#[derive(Clone, Debug)]
struct RoundState {
    number: Round,
    /// What let us in; none in round 0.
    entry: Option<Certificate>,
    /// The leader's signature under its first proposal.
    proposed: Option<Vote>,
    /// The proposal that we will prepare when it proves valid.
    proposal: Option<Proposed>,
    /// As leader: whether a block is being built.
    building: bool,
    /// As leader: the votes.
    votes: BTreeMap<Phase, Tally>,
}

/// A proposal under consideration.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Proposed {
    block: BlockId,
    /// Its justify certificate, whatever is known by now: a leader says the same again.
    justify: Option<Certificate>,
}

impl RoundState {
    const fn new(number: Round, entry: Option<Certificate>) -> Self {
        Self {
            number,
            entry,
            proposed: None,
            proposal: None,
            building: false,
            votes: BTreeMap::new(),
        }
    }
}

impl HotPokt {
    /// The PreCommit certificate that this replica is locked on.
    pub const fn lock(&self) -> Option<&Certificate> {
        self.lock.as_ref()
    }

    /// The highest Prepare certificate of this height that it knows.
    pub const fn high_qc(&self) -> Option<&Certificate> {
        self.high_qc.as_ref()
    }

    /// Blocks that must not be pushed out while they are undecided.
    fn needed(&self) -> Vec<BlockId> {
        let certificates = [&self.lock, &self.high_qc, &self.core.decision].into_iter().flatten();
        let certified = certificates.map(|certificate| certificate.data.block);
        certified.chain(self.round.proposal.iter().map(|proposed| proposed.block)).collect()
    }

    /// Hands the decided block out as soon as its body is here and executed, and moves on.
    fn try_decide(&mut self, now: Timestamp, fx: &mut Fx) {
        if self.core.try_decide(fx) {
            self.begin(now, fx);
        }
    }
}

impl Heights for HotPokt {
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

impl Protocol for HotPokt {
    const ID: vote::Protocol = vote::Protocol::HotPokt;

    fn recover(mut core: Core, log: Vec<Record>) -> Self {
        core.unread = log;
        let pace = Pacemaker::enter(&core.config, Timestamp::ZERO, core.tip.time(), Round::ZERO);
        let mut protocol = Self {
            contest: Contest::new(&core),
            core,
            high_qc: None,
            lock: None,
            new_rounds: BTreeMap::new(),
            round: RoundState::new(Round::ZERO, None),
            pace,
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
            Message::NewRound(message) => self.on_new_round(now, from, *message, fx),
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, fx),
            Message::Vote(vote) => self.on_vote(now, from, vote, fx),
            Message::Certificate(certificate) => self.on_certificate(now, from, *certificate, fx),
            Message::BlockRequest(request) => {
                self.core.on_block_request(now, from, request, fx);
                Ok(())
            }
            Message::Block(block) => self.on_block(now, from, *block, fx),
            Message::RoundRequest(_) => {
                fx.emit(Output::Dropped { peer: from, what: "request for rounds" });
                Ok(())
            }
            Message::Candidacy(candidacy) => self.on_candidacy(from, *candidacy, fx),
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
        if now >= self.pace.settles && self.is_unsettled() {
            self.settle(now, fx);
        }
        if now >= self.pace.due && !self.pace.is_due {
            self.pace.is_due = true;
            self.try_propose(now, fx);
        }
        if now >= self.pace.timeout && self.gives_up() {
            // Should our last signature lie ahead of this height, there is nothing to sign here.
            self.pace.timeout = now.after(self.core.config.resend);
            self.want(self.round.number.next(), fx);
        }
        if now >= self.pace.resend {
            self.pace.resend = now.after(self.core.config.resend);
            self.run_again(fx);
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
        if self.is_unsettled() {
            next = next.min(self.pace.settles);
        }
        if !self.pace.is_due && self.is_leader() {
            next = next.min(self.pace.due);
        }
        Some(next)
    }
}
