//! Messages that come early, for protocols that decide one height at a time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round};
use pocket_types::trap;
use pocket_types::vote::Protocol;

use super::Core;
use super::effects::Effects;
use crate::replica::message::Message;
use crate::replica::output::Output;

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
        if total > max && !trap!("early_flood") {
            return false;
        }
        self.bytes = total;
        self.messages.insert(key, (message, bytes));
        true
    }
}

impl Core {
    /// Takes a message for a later height: one for the very next height waits, and from further on we
    /// need blocks.
    pub(crate) fn later(
        &mut self,
        from: PublicKey,
        height: Height,
        message: Message,
        fx: &mut Effects,
    ) {
        if height == self.height().next() {
            self.defer(from, message, fx);
        } else {
            self.behind(from, height, false, fx);
        }
    }

    /// Says that a peer is deciding a later height than we can follow from here.
    pub(crate) fn behind(
        &self,
        peer: PublicKey,
        height: Height,
        certified: bool,
        fx: &mut Effects,
    ) {
        fx.emit(Output::Behind { peer, height, certified });
    }

    /// Keeps a message for the next height, if it comes from one of its validators and is no larger
    /// than an honest one.
    fn defer(&mut self, from: PublicKey, message: Message, fx: &mut Effects) {
        let next = self.tip.next_validators();
        let certificates = 4_096 + 2 * 72 * next.len();
        let (kind, max) = match &message {
            Message::NewRound(_) => (0, certificates),
            Message::Proposal(_) => (1, certificates + self.config.max_block_bytes),
            Message::Certificate(certificate) => (2 + certificate.data.phase as u8, certificates),
            Message::Candidacy(_) => (CANDIDACY, 4_096),
            Message::Vote(vote) if self.protocol == Protocol::Tendermint => {
                (16 + vote.data.phase as u8, 4_096)
            }
            _ => return fx.emit(Output::Dropped { peer: from, what: "early message" }),
        };
        let Some(position) = next.position(&from) else {
            return fx.emit(Output::Dropped { peer: from, what: "early message of a stranger" });
        };
        if let Message::Proposal(proposal) = &message {
            let leaders = self.schedule.leaders(next, self.config.leader_rounds);
            let round = proposal.vote.data.round;
            let leads = leaders.leader(self.height().next(), round) == position
                || self.config.election.is_some();
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

    /// What was said early about the height that has just begun; candidates come before what they
    /// propose.
    pub(crate) fn early(&mut self) -> Vec<(PublicKey, Message)> {
        let early = core::mem::take(&mut self.ahead).messages;
        let mut early: Vec<_> = early.into_iter().collect();
        early.sort_by_key(|((_, kind), _)| *kind != CANDIDACY);
        early.into_iter().map(|((from, _), (message, _))| (from, message)).collect()
    }
}

/// The kind of a candidacy.
const CANDIDACY: u8 = 32;

/// Early proposals are kept for this many rounds of the next height.
const EARLY_ROUNDS: u64 = 2;
