//! Newtypes for the numbers that must not be mixed up, with checked arithmetic.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Position of a block in the chain; genesis is 0, the first block 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Height(pub u64);

/// Attempt at deciding one height, from 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Round(pub u64);

/// Counts the validator sets of a chain, from 0 at genesis: one set, one epoch.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Milliseconds since the Unix epoch, or since any fixed instant in a simulation. The host's clock
/// brings it in; no protocol reads one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// Milliseconds between two timestamps.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Duration(pub u64);

/// Voting weight of a validator: its stake in uPOKT.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Weight(pub u64);

/// A ratio in parts per million.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Ppm(pub u32);

/// An amount in uPOKT (10⁻⁶ POKT). JSON: a decimal string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount(pub u128);

impl Height {
    /// Height of the genesis state.
    pub const GENESIS: Self = Self(0);

    /// The next height; saturates at the end of time.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The height before, or none below genesis.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(height) => Some(Self(height)),
            None => None,
        }
    }
}

impl Round {
    /// The first attempt.
    pub const ZERO: Self = Self(0);

    /// The next attempt; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Epoch {
    /// The next epoch; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Timestamp {
    /// The beginning of time.
    pub const ZERO: Self = Self(0);

    /// This instant and a duration later; saturates.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }

    /// Time since an earlier instant; zero if that lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// A number of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl Ppm {
    /// One whole.
    pub const ONE: Self = Self(1_000_000);
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// A number of whole POKT.
    pub const fn pokt(pokt: u64) -> Self {
        Self(pokt as u128 * 1_000_000)
    }

    /// The sum, unless it overflows.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, unless it is negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// `self * numerator / denominator` rounded down, exact in 256 bits; none when the denominator
    /// is zero or the result does not fit.
    pub fn mul_div_down(self, numerator: u128, denominator: u128) -> Option<Self> {
        mul_div(self.0, numerator, denominator).map(|(quotient, _)| Self(quotient))
    }

    /// `self * numerator / denominator` rounded up, exact in 256 bits; none when the denominator is
    /// zero or the result does not fit.
    pub fn mul_div_up(self, numerator: u128, denominator: u128) -> Option<Self> {
        let (quotient, remainder) = mul_div(self.0, numerator, denominator)?;
        quotient.checked_add(u128::from(remainder != 0)).map(Self)
    }

    /// The share `ratio` of this amount, rounded down: for payments.
    pub fn share_down(self, ratio: Ppm) -> Option<Self> {
        self.mul_div_down(u128::from(ratio.0), u128::from(Ppm::ONE.0))
    }

    /// The share `ratio` of this amount, rounded up: for charges.
    pub fn share_up(self, ratio: Ppm) -> Option<Self> {
        self.mul_div_up(u128::from(ratio.0), u128::from(Ppm::ONE.0))
    }
}

/// Quotient and remainder of `a * b / divisor` with a 256-bit product.
fn mul_div(a: u128, b: u128, divisor: u128) -> Option<(u128, u128)> {
    if divisor == 0 {
        return None;
    }
    if let Some(product) = a.checked_mul(b) {
        return Some((product / divisor, product % divisor));
    }
    let (high, low) = wide_mul(a, b);
    if high >= divisor {
        return None;
    }
    let (mut remainder, mut quotient) = (high, 0u128);
    for bit in (0..128).rev() {
        let carry = remainder >> 127;
        remainder = (remainder << 1) | ((low >> bit) & 1);
        quotient <<= 1;
        if carry == 1 || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    Some((quotient, remainder))
}

/// High and low half of a 256-bit product, by schoolbook multiplication of 64-bit limbs.
const fn wide_mul(a: u128, b: u128) -> (u128, u128) {
    const MASK: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & MASK, b >> 64, b & MASK);
    let (low, cross1, cross2, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let middle = (low >> 64) + (cross1 & MASK) + (cross2 & MASK);
    (high + (cross1 >> 64) + (cross2 >> 64) + (middle >> 64), (middle << 64) | (low & MASK))
}

macro_rules! display_number {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

display_number!(Height Round Epoch Timestamp Duration Weight Ppm Amount);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let canonical = text == "0" || !text.starts_with(['0', '+', '-']);
            let parsed = text.parse().ok().filter(|_| canonical);
            parsed.map(Self).ok_or_else(|| {
                de::Error::custom(format_args!("expected uPOKT as a decimal string, got {text:?}"))
            })
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_exact_and_split_the_whole(amount: u128, ratio in 0u32..=1_000_000) {
            let down = Amount(amount).share_down(Ppm(ratio)).unwrap().0;
            let rest = Amount(amount).share_up(Ppm(1_000_000 - ratio)).unwrap().0;
            prop_assert_eq!(down + rest, amount);
        }

        #[test]
        fn wide_division_agrees_with_narrow(a: u64, b: u64, divisor in 1u64..) {
            let product = u128::from(a) * u128::from(b);
            let wide = Amount(u128::from(a)).mul_div_down(u128::from(b), u128::from(divisor));
            prop_assert_eq!(wide, Some(Amount(product / u128::from(divisor))));
        }

        #[test]
        fn multiplying_and_dividing_by_the_same_number_changes_nothing(a: u128, b in 1u128..) {
            prop_assert_eq!(Amount(a).mul_div_down(b, b), Some(Amount(a)));
            prop_assert_eq!(Amount(a).mul_div_up(b, b), Some(Amount(a)));
        }
    }

    #[test]
    fn impossible_quotients_are_refused() {
        assert_eq!(Amount(1).mul_div_down(1, 0), None);
        assert_eq!(Amount(u128::MAX).mul_div_down(2, 1), None);
        assert_eq!(Amount(u128::MAX).mul_div_up(u128::MAX, u128::MAX - 1), None);
    }
}
