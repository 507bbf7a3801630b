//! The candidates for leading, as one replica hears of them: consensus specification 3.1.3, with what
//! it leaves open made precise.
//!
//! Who is selected keeps it to itself until it says so, and that nobody is selected can't be seen.
//! So a replica that enters a round waits a while for announcements and then settles on the best
//! candidate it has heard of, or on the round-robin leader. What comes later doesn't change its
//! mind. Replicas that heard different things settle on different leaders; then no leader has a
//! quorum, and the next round draws again.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use pocket_types::candidacy::{Candidate, Claim};
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round};
use pocket_types::sortition::Priority;
use pocket_types::trap;

/// The candidates of the rounds around a replica's own.
///
/// For each announcement: [`wants`](Self::wants), then
/// [`Election::check`](pocket_types::candidacy::Election::check), then [`hear`](Self::hear), or
/// [`refuse`](Self::refuse) if the claim contradicts itself. So of k candidates who come in any
/// order only those are checked that are better than all before, about ln k of them, and each
/// validator costs at most one VRF check a round.
///
/// Bounded by twice as many rounds as were allowed ahead, each with one entry per validator at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidates {
    height: Height,
    round: Round,
    ahead: u64,
    races: BTreeMap<(Height, Round), Race>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Race {
    /// Those who were better than everybody before them, or than the leader and late.
    heard: BTreeMap<PublicKey, Priority>,
    /// Those whose claim contradicted itself.
    refused: BTreeSet<PublicKey>,
    settled: Option<Entry>,
}

/// The greatest leads: of equal priorities, which only the round-robin leader's could be, the smaller
/// key's.
type Entry = (Priority, Reverse<PublicKey>);

/// What became of a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The best so far.
    Best,
    /// Better than the leader that the replica has settled on, and too late.
    Late,
    /// Somebody better was there before, or the candidate itself.
    Beaten,
    /// Of a round that is over or too far ahead.
    Elsewhere,
}

impl Candidates {
    /// Nobody yet, for a replica at this height and round that listens `ahead` rounds ahead, in its
    /// height and in the next.
    pub const fn new(height: Height, round: Round, ahead: u64) -> Self {
        Self { height, round, ahead, races: BTreeMap::new() }
    }

    /// Goes on to a later round and forgets those before. What was heard ahead of time is kept;
    /// going back does nothing.
    pub fn enter(&mut self, height: Height, round: Round) {
        if (height, round) > (self.height, self.round) {
            (self.height, self.round) = (height, round);
            self.races = self.races.split_off(&(height, round));
        }
    }

    /// Whether checking a claim could change anything. Asking costs no cryptography.
    pub fn wants(&self, claim: &Claim) -> bool {
        let Claim { height, round, candidate, priority, .. } = *claim;
        self.listens(height, round)
            && self.races.get(&(height, round)).is_none_or(|race| {
                !race.refused.contains(&candidate) && race.has_room_for(candidate, priority)
            })
    }

    /// Takes a candidate whose claim was checked.
    pub fn hear(&mut self, candidate: Candidate) -> Heard {
        let (mut height, mut round) = (candidate.height(), candidate.round());
        if trap!("vrf_other_height") {
            (height, round) = (self.height, self.round);
        }
        if !self.listens(height, round) {
            return Heard::Elsewhere;
        }
        let race = self.races.entry((height, round)).or_default();
        if !race.has_room_for(candidate.key(), candidate.priority()) {
            return Heard::Beaten;
        }
        race.heard.insert(candidate.key(), candidate.priority());
        if race.settled.is_some() { Heard::Late } else { Heard::Best }
    }

    /// Takes note that a candidate has signed a claim that contradicts itself: no more of its claims
    /// are wanted in this round.
    pub fn refuse(&mut self, claim: &Claim) {
        if self.listens(claim.height, claim.round) {
            let race = self.races.entry((claim.height, claim.round)).or_default();
            race.refused.insert(claim.candidate);
        }
    }

    /// The wait is over: the leader of the replica's round, from now on. That is the best candidate
    /// that was heard, or the round-robin leader, who runs with priority zero.
    pub fn settle(&mut self, fallback: PublicKey) -> PublicKey {
        let race = self.races.entry((self.height, self.round)).or_default();
        let best = race.best().unwrap_or((Priority::FALLBACK, Reverse(fallback)));
        race.settled.get_or_insert(best).1.0
    }

    /// The leader of the replica's round, once it has settled on one.
    pub fn leader(&self) -> Option<PublicKey> {
        self.race().and_then(|race| race.settled).map(|(_, Reverse(key))| key)
    }

    /// Whether a validator may lead the replica's round: the leader, or a candidate that is better
    /// and came too late. If others heard it in time, it has their quorum, and a replica that holds
    /// out against it helps nobody.
    pub fn may_lead(&self, key: &PublicKey) -> bool {
        self.race().is_some_and(|race| {
            race.settled.is_some_and(|settled| {
                let heard = race.heard.get(key).map(|&priority| (priority, Reverse(*key)));
                settled.1.0 == *key || heard.is_some_and(|heard| heard > settled)
            })
        })
    }

    /// What a candidate of the replica's round is worth.
    pub fn priority(&self, key: &PublicKey) -> Option<Priority> {
        self.race().and_then(|race| race.heard.get(key).copied())
    }

    fn race(&self) -> Option<&Race> {
        self.races.get(&(self.height, self.round))
    }

    fn listens(&self, height: Height, round: Round) -> bool {
        if trap!("vrf_other_height") {
            return true;
        }
        let first = if height == self.height {
            self.round
        } else if Some(self.height) == height.previous() {
            Round::ZERO
        } else {
            return false;
        };
        round.0.checked_sub(first.0).is_some_and(|ahead| ahead < self.ahead)
    }
}

impl Race {
    fn best(&self) -> Option<Entry> {
        self.heard.iter().map(|(&key, &priority)| (priority, Reverse(key))).max()
    }

    /// Whether a candidate is new and beats those that count: the leader once there is one, the best
    /// so far before.
    fn has_room_for(&self, key: PublicKey, priority: Priority) -> bool {
        let rival = self.settled.or_else(|| self.best());
        !self.heard.contains_key(&key) && rival.is_none_or(|rival| (priority, Reverse(key)) > rival)
    }
}
