//! When to dial the peers of the list.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::hash::Domain;
use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};

use super::input::ListedPeer;
use crate::message::PeerAddress;

/// The list, and how dialling each of its peers went.
#[derive(Debug)]
pub(super) struct Dialling {
    targets: BTreeMap<PublicKey, Target>,
    min: Duration,
    max: Duration,
    timeout: Duration,
    seed: [u8; 32],
}

#[derive(Clone, Debug)]
struct Target {
    address: PeerAddress,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not before this time.
    Waiting(Timestamp),
    /// Given up at this time.
    Dialling(Timestamp),
    Connected,
}

impl Dialling {
    pub(super) const fn new(
        min: Duration,
        max: Duration,
        timeout: Duration,
        seed: [u8; 32],
    ) -> Self {
        Self { targets: BTreeMap::new(), min, max, timeout, seed }
    }

    pub(super) fn is_listed(&self, peer: &PublicKey) -> bool {
        self.targets.contains_key(peer)
    }

    /// Takes a new list; peers that stay on it keep their delays.
    pub(super) fn list(
        &mut self,
        now: Timestamp,
        peers: Vec<ListedPeer>,
        is_connected: impl Fn(&PublicKey) -> bool,
    ) {
        let mut old = core::mem::take(&mut self.targets);
        for ListedPeer { key, address } in peers {
            let state = match is_connected(&key) {
                true => State::Connected,
                false => State::Waiting(now),
            };
            let target = match old.remove(&key) {
                Some(known) if known.address == address => known,
                _ => Target { address, failures: 0, state },
            };
            self.targets.insert(key, target);
        }
    }

    /// The peers to dial now, those that waited longest first, at most so many.
    pub(super) fn due(&mut self, now: Timestamp, places: usize) -> Vec<(PublicKey, PeerAddress)> {
        let mut due: Vec<_> = self
            .targets
            .iter()
            .filter_map(|(peer, target)| match target.state {
                State::Waiting(since) if since <= now && !target.address.is_empty() => {
                    Some((since, *peer))
                }
                _ => None,
            })
            .collect();
        due.sort_unstable();
        due.truncate(places);
        let until = now.after(self.timeout);
        let dial = |(_, peer)| {
            let target = self.targets.get_mut(&peer)?;
            target.state = State::Dialling(until);
            Some((peer, target.address.clone()))
        };
        due.into_iter().filter_map(dial).collect()
    }

    pub(super) fn in_progress(&self) -> usize {
        let dialling = |target: &&Target| matches!(target.state, State::Dialling(_));
        self.targets.values().filter(dialling).count()
    }

    pub(super) fn connected(&mut self, peer: &PublicKey) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.state = State::Connected;
        }
    }

    /// A connection with the peer ended; `stable` if it lasted.
    pub(super) fn disconnected(&mut self, now: Timestamp, peer: &PublicKey, stable: bool) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.failures = if stable { 0 } else { target.failures };
            self.wait(now, peer);
        }
    }

    /// Dialling failed, unless the peer connected to us meanwhile.
    pub(super) fn failed(&mut self, now: Timestamp, peer: &PublicKey) {
        let state = self.targets.get(peer).map(|target| target.state);
        if matches!(state, Some(State::Dialling(_))) {
            self.wait(now, peer);
        }
    }

    /// No dialling of a banned peer.
    pub(super) fn postpone(&mut self, peer: &PublicKey, until: Timestamp) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.state = State::Waiting(until);
        }
    }

    /// Fails what has been dialled for too long, and says what that was.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<PublicKey> {
        let expired = |(peer, target): (&PublicKey, &Target)| match target.state {
            State::Dialling(until) if until <= now => Some(*peer),
            _ => None,
        };
        let expired: Vec<_> = self.targets.iter().filter_map(expired).collect();
        for peer in &expired {
            self.failed(now, peer);
        }
        expired
    }

    /// When something is due next; a wait counts only if a place is free.
    pub(super) fn next_deadline(&self, place_free: bool) -> Option<Timestamp> {
        let deadline = |target: &Target| match target.state {
            State::Waiting(since) => (place_free && !target.address.is_empty()).then_some(since),
            State::Dialling(until) => Some(until),
            State::Connected => None,
        };
        self.targets.values().filter_map(deadline).min()
    }

    fn wait(&mut self, now: Timestamp, peer: &PublicKey) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        let doubled = 1u64.checked_shl(target.failures).unwrap_or(u64::MAX);
        let delay = self.min.0.saturating_mul(doubled).min(self.max.0);
        // From half the delay to one and a half of it.
        let mut words =
            JITTER.hasher().fixed(&self.seed).fixed(peer.as_bytes()).number(now.0).words();
        let jittered = (delay / 2).saturating_add(words.below(delay.saturating_add(1)));
        target.failures = target.failures.saturating_add(1);
        target.state = State::Waiting(now.after(Duration(jittered)));
    }
}

const JITTER: Domain = Domain::custom("pocket v1 dial jitter");
