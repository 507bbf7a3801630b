//! Penalties and bans.

use alloc::collections::BTreeMap;

use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};

/// How peers have behaved of late; those who behaved well take no room.
#[derive(Debug)]
pub(super) struct Conduct {
    records: BTreeMap<PublicKey, Record>,
    max: usize,
    ban_at: u32,
    forgiven_per_minute: u32,
    ban_time: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Points times a minute in milliseconds, so that forgiving by the millisecond is exact.
    scaled: u64,
    at: Timestamp,
    banned_until: Timestamp,
}

const MINUTE: u64 = 60_000;

impl Conduct {
    pub(super) const fn new(
        max: usize,
        ban_at: u32,
        forgiven_per_minute: u32,
        ban_time: Duration,
    ) -> Self {
        Self { records: BTreeMap::new(), max, ban_at, forgiven_per_minute, ban_time }
    }

    /// When a peer's ban ends; none if it isn't banned.
    pub(super) fn banned_until(&self, now: Timestamp, peer: &PublicKey) -> Option<Timestamp> {
        let until = self.records.get(peer)?.banned_until;
        (until > now).then_some(until)
    }

    /// Adds points to a peer's record; the end of its ban if these points brought one.
    pub(super) fn penalize(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        points: u32,
    ) -> Option<Timestamp> {
        if !self.records.contains_key(&peer) && self.records.len() >= self.max {
            self.make_room(now);
        }
        let rate = u64::from(self.forgiven_per_minute);
        let fresh = Record { scaled: 0, at: now, banned_until: Timestamp::ZERO };
        let record = self.records.entry(peer).or_insert(fresh);
        record.scaled = record.left(now, rate).saturating_add(u64::from(points) * MINUTE);
        record.at = record.at.max(now);
        if record.banned_until > now || record.scaled < u64::from(self.ban_at) * MINUTE {
            return None;
        }
        record.scaled = 0;
        record.banned_until = now.after(self.ban_time);
        Some(record.banned_until)
    }

    /// Drops records with nothing in them, or else the one that matters least.
    fn make_room(&mut self, now: Timestamp) {
        let rate = u64::from(self.forgiven_per_minute);
        self.records.retain(|_, record| record.weight(now, rate) > (Timestamp::ZERO, 0));
        if self.records.len() >= self.max {
            let least = self.records.iter().min_by_key(|(_, record)| record.weight(now, rate));
            let least = least.map(|(peer, _)| *peer);
            least.map(|peer| self.records.remove(&peer));
        }
    }
}

impl Record {
    fn left(&self, now: Timestamp, rate: u64) -> u64 {
        self.scaled.saturating_sub(now.since(self.at).0.saturating_mul(rate))
    }

    fn weight(&self, now: Timestamp, rate: u64) -> (Timestamp, u64) {
        let ban = if self.banned_until > now { self.banned_until } else { Timestamp::ZERO };
        (ban, self.left(now, rate))
    }
}
