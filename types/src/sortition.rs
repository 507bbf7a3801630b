//! How many units of a stake a random output selects, and what they are worth: the sortition of
//! Algorand (Gilad et al., SOSP 2017, sections 5 and 6) in integers, which consensus specification
//! 3.1.3 asks for.
//!
//! A stake is cut into units and each unit is selected with the same chance, whoever owns it. One
//! random output decides for all units of its owner at once: it is compared with the cumulative
//! binomial distribution. The owner of the unit with the highest priority leads.
//!
//! **Units.** Of a total weight W, one unit is ⌈W / 2^16⌉, so there are at most 2^16 in a set. A
//! stake has as many as fit into it; what is left over takes no part. Rounding down means that
//! nobody gains by splitting a stake over several validators, and that a member's chances depend on
//! no other member's rounding. A stake below one unit is never selected; its owner leads in the
//! round-robin only.
//!
//! **Rounding.** All machines must agree, so there are no floats. Probabilities are 64 significant
//! bits with an exponent, rounded up after every operation: the cumulative probability that an
//! output is compared with is never below the exact one and less than 2^-45 above it. So nobody
//! gets more units than the exact distribution gives, and in all but one of 2^45 draws exactly as
//! many.
//!
//! **Cost.** At most 34 multiplications for the first probability, then two multiplications and a
//! division for each unit selected, and a hash of two blocks for its priority. Of a committee of τ
//! an output selects at most τ + 15 + √(220 + 89 τ) units: the probability of more is below 2^-64
//! (Chernoff), which is the resolution of the draw. That is 91 for the default and 1,341 at most.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::{Domain, Hash};
use crate::number::Weight;
use crate::vrf::VrfOutput;

/// The most units that the weight of a set is cut into.
pub const MAX_UNITS: u64 = 1 << 16;

/// How many units are to be selected of a whole set, on average; a parameter that governance sets.
///
/// Nobody at all is selected in about one of e^τ rounds. The specification's draft says 1, where
/// the round-robin would lead every third round; the default is Algorand's 26.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct CommitteeSize(u16);

/// On what besides luck it depends how many units are selected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Odds {
    /// The stake.
    pub weight: Weight,
    /// Of all stakes together.
    pub total: Weight,
    /// Of how many units.
    pub committee: CommitteeSize,
}

/// What the best of the selected units is worth: the highest leads. Zero, the lowest, is the
/// round-robin leader's.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Priority(pub Hash);

/// Why there is no sortition. Whoever supplied the numbers is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SortitionError {
    /// Not a size that a committee may have.
    #[error("a committee of {got} where 1 to {} are allowed", CommitteeSize::MAX)]
    CommitteeSize {
        /// The size given.
        got: u16,
    },
    /// A stake that is no part of the total.
    #[error("a weight of {weight} out of a total of {total}")]
    Weight {
        /// The stake given.
        weight: Weight,
        /// The total given.
        total: Weight,
    },
}

impl CommitteeSize {
    /// The largest size.
    pub const MAX: u16 = 1_024;

    /// A size of 1 to [`CommitteeSize::MAX`].
    ///
    /// # Errors
    ///
    /// [`SortitionError::CommitteeSize`] for any other.
    pub const fn new(size: u16) -> Result<Self, SortitionError> {
        match size {
            1..=Self::MAX => Ok(Self(size)),
            got => Err(SortitionError::CommitteeSize { got }),
        }
    }
}

impl Odds {
    /// How many units an output selects. No distribution but the uniform one is assumed of the
    /// output's first eight bytes.
    ///
    /// # Errors
    ///
    /// [`SortitionError::Weight`] when the weight isn't within a positive total.
    pub fn selected(&self, output: &VrfOutput) -> Result<u32, SortitionError> {
        let Self { weight, total, committee } = *self;
        if total.0 == 0 || weight > total {
            return Err(SortitionError::Weight { weight, total });
        }
        let unit = total.0.div_ceil(MAX_UNITS);
        let units = (weight.0 / unit) as u32;
        // A unit is selected with a chance of hit / total. Neither product nor sum overflows: a unit
        // is at most 2^48.
        let hit = (u64::from(committee.0) * unit).min(total.0);
        let miss = total.0 - hit;
        if miss == 0 {
            return Ok(units);
        }
        Ok(quantile(draw(output), units, hit, miss))
    }
}

/// The smallest number of successes, of `trials` with odds of `hit` to `miss`, whose cumulative
/// probability exceeds `draw / 2^64`.
fn quantile(draw: u64, trials: u32, hit: u64, miss: u64) -> u32 {
    let ratio = Scaled::new(hit).over(miss);
    let mut chance = Scaled::new(miss).over(hit + miss).power(trials);
    let mut cumulative = chance.fixed();
    let draw = u128::from(draw) << (FIXED_BITS - 64);
    let mut successes = 0;
    // Rounded up, all probabilities together are one at least, which is above every draw.
    while cumulative <= draw && successes < trials {
        let (left, next) = (u64::from(trials - successes), u64::from(successes) + 1);
        chance = chance.times(Scaled::new(left)).times(ratio).over(next);
        cumulative += chance.fixed();
        successes += 1;
    }
    successes
}

fn draw(output: &VrfOutput) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&output.0[..8]);
    u64::from_be_bytes(first)
}

impl Priority {
    /// Of the round-robin leader, who always runs.
    pub const FALLBACK: Self = Self(Hash::ZERO);

    /// The best of an output's first `selected` units, each of which has a hash of its own. Equal
    /// units have equal chances, which the highest output as such would not give them.
    pub fn of(output: &VrfOutput, selected: u32) -> Self {
        let hasher = Domain::LEADER_PRIORITY.hasher().fixed(&output.0);
        let units = (0..selected).map(|unit| hasher.clone().number(u64::from(unit)).finish());
        Self(units.max().unwrap_or_default())
    }
}

/// A positive number, `mantissa · 2^exponent`, the mantissa's highest bit set. Fixed point would lose
/// all precision for small probabilities, and (1 - p)^n is one. Every operation rounds up.
#[derive(Clone, Copy)]
struct Scaled {
    mantissa: u64,
    exponent: i32,
}

impl Scaled {
    /// A number that isn't zero, exactly.
    const fn new(number: u64) -> Self {
        let shift = number.leading_zeros();
        Self { mantissa: number << shift, exponent: -(shift as i32) }
    }

    /// `wide · 2^exponent`, for a wide number of at least 64 significant bits.
    const fn round(wide: u128, exponent: i32) -> Self {
        let shift = 64 - wide.leading_zeros();
        let mantissa = wide.div_ceil(1 << shift);
        let exponent = exponent + shift as i32;
        match mantissa >> 64 {
            0 => Self { mantissa: mantissa as u64, exponent },
            // Rounded up to the next power of two.
            _ => Self { mantissa: 1 << 63, exponent: exponent + 1 },
        }
    }

    fn times(self, other: Self) -> Self {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        Self::round(product, self.exponent + other.exponent)
    }

    fn over(self, divisor: u64) -> Self {
        let quotient = (u128::from(self.mantissa) << 64).div_ceil(u128::from(divisor));
        Self::round(quotient, self.exponent - 64)
    }

    fn power(self, mut exponent: u32) -> Self {
        let (mut power, mut square) = (Self::new(1), self);
        while exponent > 0 {
            if exponent % 2 == 1 {
                power = power.times(square);
            }
            square = square.times(square);
            exponent /= 2;
        }
        power
    }

    /// In units of 2^-96. Probabilities only: the number is one at most, up to rounding.
    const fn fixed(self) -> u128 {
        let (wide, shift) = (self.mantissa as u128, self.exponent + FIXED_BITS as i32);
        match shift {
            0.. => wide << shift,
            -64..0 => wide.div_ceil(1 << -shift),
            _ => 1,
        }
    }
}

/// Bits behind the point of a cumulative probability: room above for sums of slightly more than one.
const FIXED_BITS: u32 = 96;

impl Default for CommitteeSize {
    /// 26, as Algorand has it: nobody is selected in one of 2^37 rounds.
    fn default() -> Self {
        Self(26)
    }
}

impl TryFrom<u16> for CommitteeSize {
    type Error = SortitionError;
    fn try_from(size: u16) -> Result<Self, SortitionError> {
        Self::new(size)
    }
}

impl From<CommitteeSize> for u16 {
    fn from(size: CommitteeSize) -> Self {
        size.0
    }
}

impl fmt::Display for CommitteeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Too rare for draws to meet.
    #[test]
    fn rounding_up_may_reach_the_next_power_of_two() {
        for bits in [65, 100, 128] {
            let below = Scaled::round(u128::MAX >> (128 - bits), -bits);
            assert_eq!((below.mantissa, below.exponent), (1 << 63, -63), "one");
        }
        assert_eq!(Scaled::new(1).fixed(), 1 << FIXED_BITS);
    }
}
