//! The peers that headers may come from, and what each of them is being asked.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};

use super::message::LightRequest;

/// Why a peer is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// For the block of the checkpoint.
    Anchor,
    /// For a header to verify.
    Header,
    /// Whether it knows the header that is verified.
    Opinion,
    /// To show the block that it claims instead.
    Proof(BlockId),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) request: LightRequest,
    pub(crate) purpose: Purpose,
    pub(crate) deadline: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    /// The last block that it says it has.
    height: Height,
    asked: Option<Asked>,
    /// Not asked before this; never if it lied.
    resting: Timestamp,
    failures: u64,
    /// When it was last asked, by our own count.
    turn: u64,
}

/// Peers by key, within a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    known: BTreeMap<PublicKey, Peer>,
    turns: u64,
}

impl Peers {
    /// Notes what a peer says it has. At the bound a newcomer takes the place of a peer with failures
    /// that isn't being asked, or of none.
    pub(crate) fn announce(&mut self, key: PublicKey, height: Height, max: usize) {
        if let Some(peer) = self.known.get_mut(&key) {
            peer.height = peer.height.max(height);
            return;
        }
        if self.known.len() >= max {
            let failed = self.known.iter().filter(|(_, p)| p.failures > 0 && p.asked.is_none());
            let Some(worst) = failed.max_by_key(|(_, peer)| peer.failures).map(|(key, _)| *key)
            else {
                return;
            };
            self.known.remove(&worst);
        }
        let resting = Timestamp::ZERO;
        self.known.insert(key, Peer { height, asked: None, resting, failures: 0, turn: 0 });
    }

    pub(crate) fn remove(&mut self, key: &PublicKey) {
        self.known.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Peers that are not resting.
    pub(crate) fn rested(&self, now: Timestamp) -> usize {
        self.known.values().filter(|peer| peer.resting <= now).count()
    }

    /// The greatest height that this many rested peers say they have: one alone can't lift it.
    pub(crate) fn height_of(&self, count: usize, now: Timestamp) -> Option<Height> {
        let rested = self.known.values().filter(|peer| peer.resting <= now);
        let mut heights: Vec<Height> = rested.map(|peer| peer.height).collect();
        heights.sort_unstable();
        heights.into_iter().rev().nth(count.checked_sub(1)?)
    }

    /// Who is asked for a height next: idle, rested, has it; preferred if possible, else failed least,
    /// else asked longest ago, so that everybody is heard in turn.
    pub(crate) fn pick(
        &self,
        height: Height,
        now: Timestamp,
        preferred: Option<PublicKey>,
        allowed: impl Fn(&PublicKey) -> bool,
    ) -> Option<PublicKey> {
        let able = self.known.iter().filter(|(key, peer)| {
            peer.asked.is_none() && peer.height >= height && peer.resting <= now && allowed(key)
        });
        let order = |(key, peer): &(&PublicKey, &Peer)| {
            (preferred != Some(**key), peer.failures, peer.turn, **key)
        };
        able.min_by_key(order).map(|(key, _)| *key)
    }

    pub(crate) fn ask(&mut self, key: &PublicKey, asked: Asked) {
        self.turns = self.turns.saturating_add(1);
        if let Some(peer) = self.known.get_mut(key) {
            peer.asked = Some(asked);
            peer.turn = self.turns;
        }
    }

    /// What a peer is being asked, if this answers it.
    pub(crate) fn answered(&mut self, key: &PublicKey, request: LightRequest) -> Option<Purpose> {
        let asked = &mut self.known.get_mut(key)?.asked;
        Some(asked.take_if(|asked| asked.request == request)?.purpose)
    }

    pub(crate) fn is_asked(&self, key: &PublicKey) -> bool {
        self.known.get(key).is_some_and(|peer| peer.asked.is_some())
    }

    /// How many peers are being asked.
    pub(crate) fn in_flight(&self) -> usize {
        self.known.values().filter(|peer| peer.asked.is_some()).count()
    }

    /// Gives up on all answers.
    pub(crate) fn forget_requests(&mut self) {
        self.known.values_mut().for_each(|peer| peer.asked = None);
    }

    /// Leaves a peer alone until a time.
    pub(crate) fn rest(&mut self, key: &PublicKey, until: Timestamp) {
        if let Some(peer) = self.known.get_mut(key) {
            peer.asked = None;
            peer.failures = peer.failures.saturating_add(1);
            peer.resting = peer.resting.max(until);
        }
    }

    /// A peer lacks what it announced, and must announce anew.
    pub(crate) fn lacks(&mut self, key: &PublicKey) {
        if let Some(peer) = self.known.get_mut(key) {
            peer.height = Height::GENESIS;
        }
    }

    /// Peers whose answer is late.
    pub(crate) fn late(&self, now: Timestamp) -> Vec<PublicKey> {
        let is_late = |peer: &Peer| peer.asked.is_some_and(|asked| asked.deadline <= now);
        self.known.iter().filter(|(_, peer)| is_late(peer)).map(|(key, _)| *key).collect()
    }

    /// When the next answer is late.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.known.values().filter_map(|peer| Some(peer.asked?.deadline)).min()
    }

    /// When, after `now`, the next peer that has more than this height has rested.
    pub(crate) fn rested_at(&self, height: Height, now: Timestamp) -> Option<Timestamp> {
        let able = self.known.values().filter(|peer| peer.height > height);
        let ends = able.map(|peer| peer.resting);
        ends.filter(|end| *end > now && *end < NEVER).min()
    }
}

/// Until when a liar rests.
pub(crate) const NEVER: Timestamp = Timestamp(u64::MAX);
