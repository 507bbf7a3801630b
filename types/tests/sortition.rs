//! Sortition against the binomial distribution in exact fractions, and against those who would gain
//! by cutting their stake.

use pocket_types::hash::Domain;
use pocket_types::number::Weight;
use pocket_types::sortition::{CommitteeSize, MAX_UNITS, Odds, Priority, SortitionError};
use pocket_types::vrf::VrfOutput;
use proptest::prelude::*;

fn odds(weight: u64, total: u64, committee: u16) -> Odds {
    let committee = CommitteeSize::new(committee).unwrap();
    Odds { weight: Weight(weight), total: Weight(total), committee }
}

/// An output whose first eight bytes say this; the rest doesn't matter to the number of units.
fn output(draw: u64) -> VrfOutput {
    let mut bytes = [0xaa; 64];
    bytes[..8].copy_from_slice(&draw.to_be_bytes());
    VrfOutput(bytes)
}

fn selected(odds: &Odds, draw: u64) -> u32 {
    odds.selected(&output(draw)).unwrap()
}

/// Outputs as a random function gives them: the same in every run.
fn outputs(seed: u64) -> impl Iterator<Item = VrfOutput> {
    let mut words = Domain::custom("test outputs").hasher().number(seed).words();
    std::iter::repeat_with(move || {
        let mut bytes = [0; 64];
        bytes
            .chunks_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&words.next_word().to_le_bytes()));
        VrfOutput(bytes)
    })
}

/// A natural number, little-endian: as much arithmetic as exact fractions need.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Natural(Vec<u64>);

impl Natural {
    fn times(&self, factor: u64) -> Self {
        let mut carry = 0;
        let mut limbs: Vec<u64> = Vec::with_capacity(self.0.len() + 1);
        for &limb in &self.0 {
            carry += u128::from(limb) * u128::from(factor);
            limbs.push(carry as u64);
            carry >>= 64;
        }
        limbs.push(carry as u64);
        Self(limbs).trimmed()
    }

    fn over(&self, divisor: u64) -> Self {
        let mut rest = 0;
        let mut limbs = self.0.clone();
        for limb in limbs.iter_mut().rev() {
            rest = rest << 64 | u128::from(*limb);
            *limb = (rest / u128::from(divisor)) as u64;
            rest %= u128::from(divisor);
        }
        assert_eq!(rest, 0, "a binomial coefficient is whole");
        Self(limbs).trimmed()
    }

    fn plus(&self, other: &Self) -> Self {
        let limb = |number: &Self, at| u128::from(number.0.get(at).copied().unwrap_or(0));
        let mut carry = 0;
        let mut limbs = Vec::new();
        for at in 0..=self.0.len().max(other.0.len()) {
            carry += limb(self, at) + limb(other, at);
            limbs.push(carry as u64);
            carry >>= 64;
        }
        Self(limbs).trimmed()
    }

    /// By a number of 64-bit limbs.
    fn shifted(&self, limbs: usize) -> Self {
        Self([vec![0; limbs], self.0.clone()].concat())
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn below(&self, other: &Self) -> bool {
        let key =
            |number: &Self| (number.0.len(), number.0.iter().rev().copied().collect::<Vec<_>>());
        key(self) < key(other)
    }
}

/// The cumulative binomial distribution of n trials with odds of `hit` to `miss`, up to `most`
/// successes, as fractions of one denominator.
fn distribution(trials: u64, hit: u64, miss: u64, most: u64) -> (Vec<Natural>, Natural) {
    let mut term = power(miss, trials);
    let mut cumulative = vec![term.clone()];
    for k in 0..most {
        // In this order every intermediate number is whole.
        term = term.times(hit).times(trials - k).over(k + 1).over(miss);
        cumulative.push(cumulative[k as usize].plus(&term));
    }
    (cumulative, power(hit + miss, trials))
}

fn power(base: u64, mut times: u64) -> Natural {
    let mut power = Natural(vec![1]);
    while times > 0 {
        // As many factors at once as fit into a limb.
        let (mut factor, mut count) = (base, 1);
        while let Some(more) = factor.checked_mul(base).filter(|_| count < times) {
            (factor, count) = (more, count + 1);
        }
        power = power.times(factor);
        times -= count;
    }
    power
}

/// The units that exact arithmetic selects: the first number whose cumulative probability exceeds
/// draw / 2^64.
fn exactly_selected(distribution: &(Vec<Natural>, Natural), draw: u64) -> usize {
    let (cumulative, whole) = distribution;
    let draw = whole.times(draw);
    cumulative.iter().position(|chance| draw.below(&chance.shifted(1))).unwrap()
}

/// Units, and the odds of each, by the rule's words.
fn by_the_rule(weight: u64, total: u64, committee: u16) -> (u64, u64, u64) {
    let unit = total / MAX_UNITS + u64::from(!total.is_multiple_of(MAX_UNITS));
    let hit = (unit * u64::from(committee)).min(total);
    (weight / unit, hit, total - hit)
}

#[test]
fn small_stakes_select_what_exact_fractions_say() {
    let mut compared = 0;
    for (weight, total, committee) in [
        (1, 1, 1),
        (1, 2, 1),
        (1, 4, 3),
        (3, 4, 3),
        (10, 10, 5),
        (33, 33, 32),
        (40, 1_000, 26),
        (60, 100, 64),
        (100, 101, 100),
        (90, 65_536, 1_024),
        (120, 500, 26),
        (150, 3_000_000, 700),
        (u64::MAX / 700, u64::MAX, 26),
    ] {
        let odds = odds(weight, total, committee);
        let (units, hit, miss) = by_the_rule(weight, total, committee);
        if miss == 0 {
            assert_eq!([0, u64::MAX].map(|draw| selected(&odds, draw)), [units as u32; 2]);
            continue;
        }
        let exact = distribution(units, hit, miss, units);
        let drawn = outputs(weight)
            .take(500)
            .map(|output| u64::from_be_bytes(output.0[..8].try_into().unwrap()));
        for draw in [0, 1, (1 << 63) - 1, 1 << 63].into_iter().chain(drawn) {
            let expected = exactly_selected(&exact, draw) as u32;
            assert_eq!(selected(&odds, draw), expected, "{odds:?} {draw}");
            compared += 1;
        }
        // Up there rounding shows, and never in the candidate's favour.
        for draw in [u64::MAX - 1, u64::MAX] {
            assert!(selected(&odds, draw) <= exactly_selected(&exact, draw) as u32, "{odds:?}");
        }
    }
    assert!(compared > 5_000);
}

/// The smallest draw that selects more than so many units: 2^64 times the cumulative probability
/// that is really compared with, rounded up. None if all draws select at most as many.
fn threshold(odds: &Odds, units: u32) -> Option<u64> {
    let (mut low, mut high) = (0, u64::MAX);
    if selected(odds, high) <= units {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if selected(odds, middle) > units { high = middle } else { low = middle + 1 }
    }
    Some(high)
}

#[test]
fn probabilities_are_rounded_up_and_by_less_than_two_to_the_minus_45() {
    for (weight, total, committee) in [
        (7, 10, 3),
        (90, 100, 64),
        (500, 1_000, 26),
        (1_000, 1_000, 500),
        (3_000, 3_000, 1_024),
        (65_536, 65_536, 26),
        (65_536, 65_536, 1_024),
        (u64::MAX / 30, u64::MAX, 1_024),
    ] {
        let odds = odds(weight, total, committee);
        let (units, hit, miss) = by_the_rule(weight, total, committee);
        let mean = (u128::from(units) * u128::from(hit) / u128::from(hit + miss)) as u64;
        let most = selected(&odds, u64::MAX);
        let exact = distribution(units, hit, miss, u64::from(most));
        for units in [0, mean / 2, mean, mean + 5, u64::from(most) - 1] {
            let Some(threshold) = threshold(&odds, units as u32) else { continue };
            let (chance, whole) = (exact.0[units as usize].shifted(1), &exact.1);
            // The draw before it still selects as many: threshold - 1 < 2^64 · what is compared with.
            assert!(!whole.times(threshold).below(&chance), "{odds:?} {units}: rounded down");
            let above = threshold.saturating_sub((1 << 19) + 1);
            assert!(whole.times(above).below(&chance), "{odds:?} {units}: rounded up too far");
        }
    }
}

/// τ + 15 + √(220 + 89 τ), as the module says.
fn most_selected(committee: u16) -> u32 {
    let committee = u32::from(committee);
    committee + 15 + (220 + 89 * committee).isqrt()
}

#[test]
fn no_draw_selects_more_than_the_stated_bound() {
    assert_eq!(most_selected(u16::from(CommitteeSize::default())), 91);
    assert_eq!(most_selected(CommitteeSize::MAX), 1_341);
    let totals = [1, 2, 7, 64, 1_000, 1_025, 65_536, 65_537, 1 << 40, u64::MAX - 1, u64::MAX];
    for committee in [1, 2, 5, 26, 64, 500, 1_023, 1_024] {
        for total in totals {
            for part in [1, 2, 3, 1_000] {
                let odds = odds(total / part, total, committee);
                let most = selected(&odds, u64::MAX);
                assert!(most <= most_selected(committee), "{odds:?} selects {most}");
            }
        }
    }
}

proptest! {
    #[test]
    fn more_luck_more_stake_and_a_larger_committee_never_select_less(
        total in prop_oneof![1u64..100, 1u64..1_000_000, 1u64..],
        weights: [u64; 2],
        committees in [1u16..=1_024, 1u16..=1_024],
        draws: [u64; 2],
    ) {
        let sorted = |pair: [u64; 2]| (pair[0].min(pair[1]), pair[0].max(pair[1]));
        let share = |weight: u64| ((u128::from(weight) * u128::from(total)) >> 64) as u64;
        let (less, more) = sorted(weights.map(share));
        let (small, large) = (committees[0].min(committees[1]), committees[0].max(committees[1]));
        let (low, high) = sorted(draws);
        let base = selected(&odds(less, total, small), low);
        prop_assert!(selected(&odds(less, total, small), high) >= base);
        prop_assert!(selected(&odds(more, total, small), low) >= base);
        prop_assert!(selected(&odds(less, total, large), low) >= base);
        let units = less / total.div_ceil(MAX_UNITS);
        prop_assert!(u64::from(base) <= units);
        prop_assert!(selected(&odds(less, total, small), high) <= most_selected(small));
    }

    #[test]
    fn splitting_a_stake_gains_no_unit(
        total in 1u64.., part in 0u64.., cut in 0u64..,
    ) {
        let weight = part % total;
        let (one, other) = (cut % (weight + 1), weight - cut % (weight + 1));
        // With a committee of all units, all of one's units are selected.
        let units = |weight| weight / total.div_ceil(MAX_UNITS);
        prop_assert!(units(one) + units(other) <= units(weight));
        prop_assert!(units(total) <= MAX_UNITS);
        prop_assert!(units(total) > MAX_UNITS / 2 - 1 || total < MAX_UNITS);
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    for got in [0, 1_025, u16::MAX] {
        assert_eq!(CommitteeSize::new(got), Err(SortitionError::CommitteeSize { got }));
    }
    for (weight, total) in [(0, 0), (1, 0), (2, 1), (u64::MAX, u64::MAX - 1)] {
        let (weight, total) = (Weight(weight), Weight(total));
        let odds = Odds { weight, total, committee: CommitteeSize::default() };
        let refused = SortitionError::Weight { weight, total };
        assert_eq!(odds.selected(&output(5)), Err(refused));
    }
    assert_eq!(selected(&odds(0, 10, 26), u64::MAX), 0);
}

/// The sum of (seen - expected)² / expected over the classes.
fn chi_square(seen: &[u64], expected: &[f64]) -> f64 {
    assert_eq!(seen.len(), expected.len());
    let deviation = |(&seen, expected): (&u64, &f64)| (seen as f64 - expected).powi(2) / expected;
    seen.iter().zip(expected).map(deviation).sum()
}

/// 99.99% quantiles of the chi-square distribution, by degrees of freedom.
fn quantile(degrees: usize) -> f64 {
    // Wilson and Hilferty's approximation; 3.719 is the normal distribution's.
    let spread = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - spread + 3.719 * spread.sqrt()).powi(3)
}

#[test]
fn over_many_outputs_the_units_follow_the_binomial_distribution() {
    for (seed, (weight, total, committee)) in
        [(1_000, 10_000, 26), (5_000, 10_000, 26), (3, 10, 2), (1 << 60, 1 << 62, 40)]
            .into_iter()
            .enumerate()
    {
        let odds = odds(weight, total, committee);
        let (units, hit, miss) = by_the_rule(weight, total, committee);
        let chance = hit as f64 / (hit + miss) as f64;
        let draws = 40_000;
        let mut term = (1.0 - chance).powi(units as i32);
        let mut expected = vec![term * draws as f64];
        for k in 0..units.min(200) {
            term *= (units - k) as f64 / (k + 1) as f64 * chance / (1.0 - chance);
            expected.push(term * draws as f64);
        }
        let mut seen = vec![0; expected.len()];
        for output in outputs(100 + seed as u64).take(draws) {
            seen[odds.selected(&output).unwrap() as usize] += 1;
        }
        let (seen, expected) = classes(&seen, &expected);
        let deviation = chi_square(&seen, &expected);
        assert!(deviation < quantile(seen.len() - 1), "{deviation} for {odds:?}: {seen:?}");
    }
}

/// Joins neighbours until at least ten are expected in each class.
fn classes(seen: &[u64], expected: &[f64]) -> (Vec<u64>, Vec<f64>) {
    let (mut joined, mut open) = ((vec![], vec![]), (0, 0.0));
    for (seen, expected) in seen.iter().zip(expected) {
        open = (open.0 + seen, open.1 + expected);
        if open.1 >= 10.0 {
            joined.0.push(open.0);
            joined.1.push(open.1);
            open = (0, 0.0);
        }
    }
    *joined.0.last_mut().unwrap() += open.0;
    *joined.1.last_mut().unwrap() += open.1;
    joined
}

/// Wins of members with these weights, each with an output of its own every time; the last count is
/// of elections without a candidate.
fn wins(
    weights: &[u64],
    committee: u16,
    elections: u64,
    by: fn(&VrfOutput, u32) -> Priority,
) -> Vec<u64> {
    let total = weights.iter().sum();
    let mut outputs = outputs(7);
    let mut wins = vec![0; weights.len() + 1];
    for _ in 0..elections {
        let priorities = weights.iter().zip(&mut outputs).map(|(&weight, output)| {
            let selected = odds(weight, total, committee).selected(&output).unwrap();
            if selected == 0 { Priority::FALLBACK } else { by(&output, selected) }
        });
        let best = priorities.enumerate().max_by_key(|(_, priority)| *priority).unwrap();
        wins[if best.1 == Priority::FALLBACK { weights.len() } else { best.0 }] += 1;
    }
    wins
}

#[test]
fn members_lead_as_often_as_their_stake_says() {
    let weights = [5_000, 3_000, 1_500, 490, 10];
    let elections = 10_000;
    let wins = wins(&weights, 26, elections, Priority::of);
    assert_eq!(wins[5], 0, "nobody is selected in one of 2^37 elections");
    let expected = weights.map(|weight| weight as f64 / 10_000.0 * elections as f64);
    let deviation = chi_square(&wins[..5], &expected);
    assert!(deviation < quantile(4), "{deviation}: {wins:?}");
}

#[test]
fn the_highest_output_as_such_would_not_follow_the_stake() {
    let plain = |output: &VrfOutput, _| {
        Priority(pocket_types::hash::Hash(output.0[32..].try_into().unwrap()))
    };
    let wins = wins(&[7_000, 1_000, 1_000, 1_000], 26, 10_000, plain);
    assert!(wins[0] < 3_500, "70% of the stake leads like everybody: {wins:?}");
}

#[test]
fn a_committee_of_one_leaves_a_third_of_the_rounds_to_the_round_robin() {
    let wins = wins(&[2_500; 4], 1, 10_000, Priority::of);
    let nobody = wins[4];
    assert!((3_500..3_860).contains(&nobody), "1/e of 10,000 are 3,679: {nobody}");
}

#[test]
fn priorities_are_the_best_of_the_selected_units() {
    for output in outputs(3).take(50) {
        let unit = |unit: u64| {
            let mut hasher = blake3::Hasher::new_derive_key("pocket v1 leader priority");
            *hasher.update(&output.0).update(&unit.to_le_bytes()).finalize().as_bytes()
        };
        assert_eq!(Priority::of(&output, 0), Priority::FALLBACK);
        let mut best = [0; 32];
        for selected in 1..20 {
            best = best.max(unit(u64::from(selected) - 1));
            assert_eq!(Priority::of(&output, selected).0.0, best);
        }
    }
}
