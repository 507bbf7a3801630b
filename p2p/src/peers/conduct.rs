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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_bounded_and_empty_ones_go_first() {
        let mut conduct = Conduct::new(3, 100, 10, Duration(1000));
        let penalize = |conduct: &mut Conduct, now, peer, points| {
            conduct.penalize(Timestamp(now), PublicKey([peer; 32]), points)
        };
        for (peer, points) in [(1, 50), (2, 10), (3, 60)] {
            penalize(&mut conduct, 0, peer, points);
        }
        // After a minute the second peer is forgiven; nobody else has to go.
        penalize(&mut conduct, MINUTE, 4, 99);
        let known = conduct.records.keys().map(|key| key.0[0]);
        assert!(known.eq([1, 3, 4]));
        penalize(&mut conduct, MINUTE, 5, 1);
        let known = conduct.records.keys().map(|key| key.0[0]);
        assert!(known.eq([3, 4, 5]), "the least of them");
    }

    #[test]
    fn a_ban_settles_what_led_to_it() {
        let mut conduct = Conduct::new(3, 100, 0, Duration(1000));
        let peer = PublicKey([1; 32]);
        assert_eq!(conduct.penalize(Timestamp(0), peer, 250), Some(Timestamp(1000)));
        assert_eq!(conduct.penalize(Timestamp(1), peer, 99), None, "banned already");
        assert_eq!(conduct.banned_until(Timestamp(999), &peer), Some(Timestamp(1000)));
        assert_eq!(conduct.banned_until(Timestamp(1000), &peer), None);
        let mut conduct = Conduct::new(3, 100, 0, Duration(1000));
        conduct.penalize(Timestamp(0), peer, 250);
        assert_eq!(conduct.penalize(Timestamp(1000), peer, 99), None);
        assert_eq!(conduct.penalize(Timestamp(1000), peer, 1), Some(Timestamp(2000)));
    }

    #[test]
    fn what_is_done_during_a_ban_counts_after_it_and_does_not_prolong_it() {
        let mut conduct = Conduct::new(3, 100, 0, Duration(1000));
        let peer = PublicKey([1; 32]);
        conduct.penalize(Timestamp(0), peer, 100);
        assert_eq!(conduct.penalize(Timestamp(1), peer, 150), None);
        assert_eq!(conduct.banned_until(Timestamp(999), &peer), Some(Timestamp(1000)));
        assert_eq!(conduct.penalize(Timestamp(1000), peer, 0), Some(Timestamp(2000)));
    }
}
