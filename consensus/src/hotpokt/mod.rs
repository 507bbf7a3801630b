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
//! # Safe
//!
//! A proposal is *safe* when nothing is locked, or it is the locked block, or its justify certificate
//! is of a later round than the lock, and names the proposed block itself. Why that suffices: a block
//! decided in round r has a quorum locked on it from round r. A Prepare certificate for another block
//! in a later round would need a member of that quorum to vote against its lock, in the first such
//! round without a justify certificate of a later one. Locks go only when the height is decided.
//!
//! The rule is `Replica::is_safe` in `propose.rs`. Whoever changes it runs `tests/traps.rs`, where
//! each known way to get it wrong is a test; random campaigns alone rarely meet a broken lock.
//!
//! # Live
//!
//! A round that takes too long is given up by a broadcast NewRound signature for the next; a quorum of
//! them is that round's Timeout QC and lets everybody in, and more than a third of the weight makes
//! the others join. Who signed NewRound for a round votes in no earlier one, so the certificate that
//! it sends along stays the highest it can have helped to make: with a quorum of NewRounds a leader
//! knows of every lock that an honest replica may hold. Everything unanswered is said again.

mod certify;
mod decide;
mod propose;
mod round;
mod vote;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

use crate::replica::error::Refusal;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::{Fx, Heard, Replica};
use crate::tally::Tally;

/// What is known of the round that the replica is in.
#[derive(Clone, Debug)]
pub(crate) struct RoundState {
    pub(crate) number: Round,
    /// What let us in; none in round 0.
    pub(crate) entry: Option<Certificate>,
    /// The leader's signature under its first proposal.
    pub(crate) proposed: Option<Vote>,
    /// The proposal that we will prepare when it proves valid.
    pub(crate) proposal: Option<Proposed>,
    /// As leader: whether a block is being built.
    pub(crate) building: bool,
    /// As leader: the votes.
    pub(crate) votes: BTreeMap<Phase, Tally>,
}

/// A proposal under consideration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proposed {
    pub(crate) block: BlockId,
    /// Its justify certificate, whatever is known by now: a leader says the same again.
    pub(crate) justify: Option<Certificate>,
}

/// A body that a certificate names and nobody has sent yet.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) certificate: Certificate,
    pub(crate) attempts: usize,
}

/// Messages for the next height, the last of each kind from each validator, and their bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    messages: BTreeMap<(PublicKey, u8), (Message, usize)>,
    bytes: usize,
}

impl Ahead {
    /// Keeps a message in the place of the last of its kind; false if that makes more than `max`
    /// bytes in all.
    fn keep(&mut self, key: (PublicKey, u8), message: Message, bytes: usize, max: usize) -> bool {
        let last = self.messages.get(&key).map_or(0, |(_, bytes)| *bytes);
        let total = self.bytes - last + bytes;
        if total > max {
            return false;
        }
        self.bytes = total;
        self.messages.insert(key, (message, bytes));
        true
    }
}

impl RoundState {
    pub(crate) const fn new(number: Round, entry: Option<Certificate>) -> Self {
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

impl Replica {
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: Message,
        fx: &mut Fx,
    ) -> Heard {
        match message {
            Message::NewRound(message) => self.on_new_round(now, from, *message, fx),
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, fx),
            Message::Vote(vote) => self.on_vote(now, from, vote, fx),
            Message::Certificate(certificate) => self.on_certificate(now, from, *certificate, fx),
            Message::BlockRequest(request) => {
                self.on_block_request(now, from, request, fx);
                Ok(())
            }
            Message::Block(block) => self.on_block(now, from, *block, fx),
        }
    }

    /// What we sign at this height.
    pub(crate) fn data(&self, round: Round, phase: Phase, block: BlockId) -> VoteData {
        let electorate = self.tip.validators();
        VoteData {
            protocol: Protocol::HotPokt,
            chain: self.tip.chain(),
            epoch: electorate.epoch(),
            validators: electorate.hash(),
            height: self.height(),
            round,
            phase,
            block,
        }
    }

    /// Refuses what belongs to another network or protocol.
    pub(crate) fn check_network(&self, data: &VoteData) -> Heard {
        if data.protocol != Protocol::HotPokt {
            return Err(Refusal::WrongProtocol(data.protocol));
        }
        if data.chain != self.tip.chain() {
            return Err(Refusal::WrongChain { got: data.chain, expected: self.tip.chain() });
        }
        Ok(())
    }

    /// The signer's position, for a vote of this height.
    pub(crate) fn check_signer(&self, vote: &Vote) -> Result<usize, Refusal> {
        let electorate = self.tip.validators();
        let data = &vote.data;
        if data.validators != electorate.hash() || data.epoch != electorate.epoch() {
            return Err(Refusal::WrongSet {
                got: data.validators,
                got_epoch: data.epoch,
                expected: electorate.hash(),
                expected_epoch: electorate.epoch(),
            });
        }
        electorate.position(&vote.signer).ok_or(Refusal::NotValidator(vote.signer))
    }

    /// A message for a later height. `decision` may decide ours, and then the message is for now;
    /// otherwise one for the very next height waits, and from further on we need blocks.
    pub(crate) fn later(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        height: Height,
        decision: Option<Certificate>,
        message: Message,
        fx: &mut Fx,
    ) -> Heard {
        if height != self.height().next() {
            fx.emit(Output::Behind { peer: from, height, certified: false });
            return Ok(());
        }
        if let Some(decision) = decision.filter(|decision| decision.data.phase == Phase::Commit) {
            self.on_certificate(now, from, decision, fx)?;
            if height == self.height() {
                return self.receive(now, from, message, fx);
            }
        }
        self.defer(from, message, fx);
        Ok(())
    }

    /// Keeps a message for the next height, if it comes from one of its validators and is no larger
    /// than an honest one.
    fn defer(&mut self, from: PublicKey, message: Message, fx: &mut Fx) {
        let next = self.tip.next_validators();
        let certificates = 4_096 + 2 * 72 * next.len();
        let (kind, max) = match &message {
            Message::NewRound(_) => (0, certificates),
            Message::Proposal(_) => (1, certificates + self.config.max_block_bytes),
            Message::Certificate(certificate) => (2 + certificate.data.phase as u8, certificates),
            _ => return fx.emit(Output::Dropped { peer: from, what: "early message" }),
        };
        let Some(position) = next.position(&from) else {
            return fx.emit(Output::Dropped { peer: from, what: "early message of a stranger" });
        };
        if let Message::Proposal(proposal) = &message {
            let leaders = self.schedule.leaders(next);
            let round = proposal.vote.data.round;
            let leads = leaders.leader(self.height().next(), round) == position;
            if !leads || round >= Round(EARLY_ROUNDS) {
                return fx.emit(Output::Dropped { peer: from, what: "early proposal" });
            }
        }
        let bytes = codec::encoded_len(&message);
        if bytes > max {
            return fx.emit(Output::Dropped { peer: from, what: "early message of great size" });
        }
        // Whoever sent it says it again.
        if !self.ahead.keep((from, kind), message, bytes, self.config.max_early_bytes) {
            fx.emit(Output::Dropped { peer: from, what: "early message beyond the bound" });
        }
    }

    /// Hears what was said early about the height that has just begun.
    pub(crate) fn hear_early(&mut self, now: Timestamp, fx: &mut Fx) {
        let early: Vec<_> = core::mem::take(&mut self.ahead).messages.into_iter().collect();
        for ((from, _), (message, _)) in early {
            self.deliver(now, from, message, fx);
        }
    }
}

/// Early proposals are kept for this many rounds of the next height.
const EARLY_ROUNDS: u64 = 2;
