//! The one generator that everything random in a simulation comes from.

use pocket_types::number::{Duration, Ppm};

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small,
/// fast, and the same on every machine. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero if `bound` is zero. The bias of at most `bound` / 2⁶⁴ doesn't
    /// matter to a simulation.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.word() as u128 * bound as u128) >> 64) as u64
    }

    /// A number from `min` to `max`, both included; `min` if `max` is less.
    pub const fn within(&mut self, min: u64, max: u64) -> u64 {
        let Some(span) = max.saturating_sub(min).checked_add(1) else {
            return self.word();
        };
        min + self.below(span)
    }

    /// A duration from `min` to `max`, both included.
    pub const fn duration(&mut self, min: Duration, max: Duration) -> Duration {
        Duration(self.within(min.0, max.0))
    }

    /// True with this probability.
    pub const fn chance(&mut self, probability: Ppm) -> bool {
        self.below(Ppm::ONE.0 as u64) < probability.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_of_seed_1234567() {
        let mut random = Random::new(1_234_567);
        let words = [random.word(), random.word(), random.word()];
        assert_eq!(
            words,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn ranges_are_kept_and_reached() {
        let mut random = Random::new(1);
        let draws: Vec<_> = (0..200).map(|_| random.within(3, 5)).collect();
        assert!((3..=5).all(|n| draws.contains(&n)) && draws.iter().all(|n| (3..=5).contains(n)));
        assert_eq!(random.within(7, 2), 7);
        assert!((0..100).all(|_| random.chance(Ppm::ONE) && !random.chance(Ppm(0))));
        random.within(0, u64::MAX);
    }
}
