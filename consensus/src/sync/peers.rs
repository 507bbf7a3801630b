//! The peers that blocks may come from.

use alloc::collections::BTreeMap;

use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};

/// What a peer is asked for and when we stop waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) from: Height,
    pub(crate) count: u64,
    pub(crate) deadline: Timestamp,
}

impl Asked {
    pub(crate) fn covers(&self, height: Height) -> bool {
        height >= self.from && height.0 - self.from.0 < self.count
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The last block that it says it has.
    pub(crate) height: Height,
    pub(crate) asked: Option<Asked>,
    /// Not asked before this.
    pub(crate) resting: Timestamp,
    pub(crate) failures: u64,
}

/// Peers by key, within a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(BTreeMap<PublicKey, Peer>);

impl Peers {
    /// Notes what a peer says it has. At the bound a newcomer takes the place of a peer with failures
    /// that isn't being asked, or of none.
    pub(crate) fn announce(&mut self, key: PublicKey, height: Height, max: usize) {
        if let Some(peer) = self.0.get_mut(&key) {
            peer.height = peer.height.max(height);
            return;
        }
        if self.0.len() >= max {
            let failed =
                self.0.iter().filter(|(_, peer)| peer.failures > 0 && peer.asked.is_none());
            let Some(worst) = failed.max_by_key(|(_, peer)| peer.failures).map(|(key, _)| *key)
            else {
                return;
            };
            self.0.remove(&worst);
        }
        let peer = Peer { height, asked: None, resting: Timestamp::ZERO, failures: 0 };
        self.0.insert(key, peer);
    }

    pub(crate) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Peer> {
        self.0.get_mut(key)
    }

    /// Forgets a peer, but for its failures, which make it the last to be asked when it comes back and
    /// the first to make room.
    pub(crate) fn leave(&mut self, key: &PublicKey) {
        if let Some(peer) = self.0.get_mut(key).filter(|peer| peer.failures > 0) {
            (peer.height, peer.asked) = (Height::GENESIS, None);
        } else {
            self.0.remove(key);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.0.iter()
    }

    /// Who is asked for a height next: idle, rested, has it, failed least.
    pub(crate) fn pick(&self, height: Height, now: Timestamp) -> Option<PublicKey> {
        let able = self.0.iter().filter(|(_, peer)| {
            peer.asked.is_none() && peer.height >= height && peer.resting <= now
        });
        able.min_by_key(|(key, peer)| (peer.failures, **key)).map(|(key, _)| *key)
    }
}
