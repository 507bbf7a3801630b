//! A pseudo-random order of a view's ranks, computed place by place.
//!
//! A balanced Feistel network over the smallest even number of bits that holds all ranks, with
//! blake3 as its round function, walked until it falls on a rank (format-preserving encryption by
//! cycle walking: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). The domain is
//! less than four times the view, so that takes fewer than four steps on average; nothing is stored.

use pocket_types::hash::{Domain, Hasher};

use super::envelope::MessageId;

/// A permutation of the ranks `0..size`, its own for every message.
#[derive(Clone)]
pub struct Permutation {
    size: u32,
    /// Bits in each half of the network; both halves fit a u32.
    half: u32,
    key: Hasher,
}

impl Permutation {
    /// The order in which a message visits a view of `size` members.
    pub fn new(id: MessageId, size: u32) -> Self {
        let bits = u32::BITS - size.saturating_sub(1).leading_zeros();
        let key = Domain::GOSSIP_PERMUTATION.hasher().fixed(id.0.as_bytes());
        Self { size, half: bits.div_ceil(2).max(1), key }
    }

    /// The rank that stands at a place. What isn't a place is returned as it is.
    pub fn rank_at(&self, place: u32) -> u32 {
        self.walk(place, |(left, right)| {
            (0..ROUNDS).fold((left, right), |(left, right), round| {
                (right, left ^ self.scramble(round, right))
            })
        })
    }

    /// The place at which a rank stands. What isn't a rank is returned as it is.
    pub fn place_of(&self, rank: u32) -> u32 {
        self.walk(rank, |(left, right)| {
            (0..ROUNDS).rev().fold((left, right), |(left, right), round| {
                (right ^ self.scramble(round, left), left)
            })
        })
    }

    /// Follows a permutation of the network's domain from a number below `size` to the next one.
    /// It ends: the cycle comes back to where it started, if nowhere else.
    fn walk(&self, start: u32, step: impl Fn((u32, u32)) -> (u32, u32)) -> u32 {
        if start >= self.size {
            return start;
        }
        let mask = (1u64 << self.half) - 1;
        let mut at = u64::from(start);
        loop {
            let (left, right) = step(((at >> self.half) as u32, (at & mask) as u32));
            at = (u64::from(left) << self.half) | u64::from(right);
            if at < u64::from(self.size) {
                return at as u32;
            }
        }
    }

    fn scramble(&self, round: u32, half: u32) -> u32 {
        let hash = self.key.clone().fixed(&round.to_le_bytes()).fixed(&half.to_le_bytes()).finish();
        let [a, b, c, d, ..] = hash.0;
        u32::from_le_bytes([a, b, c, d]) & ((1u64 << self.half) - 1) as u32
    }
}

/// More than the four that make a Feistel network pseudo-random (Luby and Rackoff), since the halves
/// of small views have few bits.
const ROUNDS: u32 = 8;
