//! Whom to ask, and what is remembered of those who failed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};
use pocket_types::trap;

use super::config::Config;
use super::message::{ChunkRequest, Snapshot};

/// What makes a peer a liar, who is never asked again.
pub(super) const LIAR: u32 = u32::MAX;

#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// In order; none until it has answered.
    pub(super) offers: Option<Vec<Snapshot>>,
    pub(super) asked: Option<Asked>,
    /// How often it failed to answer; [`LIAR`] once it lied.
    pub(super) failures: u32,
    pub(super) resting: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// The chunk asked for; none if its offers were.
    pub(super) chunk: Option<ChunkRequest>,
    pub(super) deadline: Timestamp,
}

/// Peers within the bound. A full house lets somebody in who failed less often than the worst inside,
/// whose failures are remembered: so those who serve stay, and everybody has a turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    inside: BTreeMap<PublicKey, Peer>,
    /// Failures of those outside.
    remembered: BTreeMap<PublicKey, u32>,
}

impl Peer {
    /// Takes back what it offered, and leaves it alone for a while.
    pub(super) fn withdraw(
        &mut self,
        such: impl Fn(&Snapshot) -> bool,
        now: Timestamp,
        config: &Config,
    ) {
        if let Some(offers) = &mut self.offers {
            offers.retain(|offer| !such(offer));
        }
        self.fail(now, config);
    }

    /// Leaves it alone for a while, the longer the more often it failed.
    pub(super) fn fail(&mut self, now: Timestamp, config: &Config) {
        self.failures = self.failures.saturating_add(1).min(LIAR - 1);
        let often = u64::from(self.failures.min(8));
        self.resting = now.after(Duration(config.cooldown.0.saturating_mul(often)));
    }
}

impl Peers {
    /// Lets somebody in, unless there is no room; false then.
    pub(super) fn enter(&mut self, key: PublicKey, config: &Config) -> bool {
        if self.inside.contains_key(&key) {
            return true;
        }
        let failures = self.remembered.get(&key).copied().unwrap_or_default();
        if failures == LIAR && !trap!("fast_sync_forgets") {
            return false;
        }
        if self.inside.len() >= config.max_peers {
            let worst = self.inside.iter().max_by_key(|(_, peer)| peer.failures);
            let Some((worst, _)) = worst.filter(|(_, peer)| peer.failures > failures) else {
                return false;
            };
            self.leave(&worst.clone(), config);
        }
        self.remembered.remove(&key);
        self.inside.insert(key, Peer { failures, ..Peer::default() });
        true
    }

    /// Lets somebody go, and remembers its failures.
    pub(super) fn leave(&mut self, key: &PublicKey, config: &Config) {
        let peer = self.inside.remove(key).filter(|peer| peer.failures > 0);
        if let Some(peer) = peer {
            self.remember(key, peer.failures, config);
        }
    }

    /// Of too many, the fewest failures are forgotten.
    fn remember(&mut self, key: &PublicKey, failures: u32, config: &Config) {
        self.remembered.insert(*key, failures);
        if self.remembered.len() > config.max_remembered {
            let least = self.remembered.iter().min_by_key(|(_, failures)| **failures);
            if let Some(key) = least.map(|(key, _)| *key) {
                self.remembered.remove(&key);
            }
        }
    }

    /// Never asks somebody again.
    pub(super) fn banish(&mut self, key: &PublicKey, config: &Config) {
        self.inside.remove(key);
        self.remember(key, LIAR, config);
    }

    pub(super) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Peer> {
        self.inside.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.inside.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PublicKey, &mut Peer)> {
        self.inside.iter_mut()
    }

    /// Everybody that something holds of.
    pub(super) fn those(&self, such: impl Fn(&Peer) -> bool) -> Vec<PublicKey> {
        self.inside.iter().filter(|(_, peer)| such(peer)).map(|(key, _)| *key).collect()
    }

    /// How many chunks are on their way.
    pub(super) fn fetching(&self) -> usize {
        let fetches = |peer: &Peer| peer.asked.is_some_and(|asked| asked.chunk.is_some());
        self.inside.values().filter(|peer| fetches(peer)).count()
    }

    /// The peer to ask: one that is free, rested, and failed least often.
    pub(super) fn pick(
        &self,
        now: Timestamp,
        such: impl Fn(&PublicKey, &Peer) -> bool,
    ) -> Option<PublicKey> {
        let free =
            |peer: &Peer| peer.asked.is_none() && (peer.failures == 0 || peer.resting <= now);
        let those = self.inside.iter().filter(|(key, peer)| free(peer) && such(key, peer));
        those.min_by_key(|(_, peer)| peer.failures).map(|(key, _)| *key)
    }
}
