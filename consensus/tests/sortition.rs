//! What those gain who would bend the luck of the draw: by grinding keys, and by withholding the
//! block whose beacon value seeds an epoch.
//!
//! The sortition, the beacon and the rule for keys are the real ones; the VRF is a hash, which is
//! what it looks like to all who don't hold the key.

use pocket_types::block::beacon;
use pocket_types::hash::{Domain, Hash, Words};
use pocket_types::number::{Height, Weight};
use pocket_types::registration::{KeyRule, Registration};
use pocket_types::sortition::{CommitteeSize, Odds, Priority};
use pocket_types::vrf::{VrfOutput, VrfPublicKey};

/// All stakes together, in percent: the attacker's and ten equal honest ones.
const TOTAL: u64 = 1_000;
const HONEST: u64 = 10;

fn output(key: u64, input: Hash, height: u64) -> VrfOutput {
    let hasher = Domain::custom("test vrf").hasher().number(key);
    let mut words = hasher.fixed(&input.0).number(height).words();
    let mut bytes = [0; 64];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&words.next_word().to_le_bytes()));
    VrfOutput(bytes)
}

fn priority(key: u64, weight: u64, seed: Hash, height: u64) -> Priority {
    let committee = CommitteeSize::default();
    let odds = Odds { weight: Weight(weight), total: Weight(TOTAL), committee };
    let output = output(key, seed, height);
    Priority::of(&output, odds.selected(&output).unwrap())
}

/// The best that honest members have, at each of an epoch's heights. Their keys are 0 to 9.
fn honest(share: u64, seed: Hash, heights: u64) -> Vec<Priority> {
    let weight = (TOTAL - 10 * share) / HONEST;
    let best = |height| (0..HONEST).map(|key| priority(key, weight, seed, height)).max().unwrap();
    (0..heights).map(best).collect()
}

/// Heights of the epoch that an attacker leads with a key and a share in percent.
fn led(key: u64, share: u64, seed: Hash, rivals: &[Priority]) -> u64 {
    let led = |(height, rival): (usize, &Priority)| {
        priority(key, 10 * share, seed, height as u64) > *rival
    };
    rivals.iter().enumerate().filter(|&(height, rival)| led((height, rival))).count() as u64
}

/// The best of many new keys for a seed.
fn grind(keys: &mut u64, tries: u64, share: u64, seed: Hash, rivals: &[Priority]) -> u64 {
    let fresh = *keys..*keys + tries;
    *keys += tries;
    fresh.max_by_key(|&key| led(key, share, seed, rivals)).unwrap()
}

fn public(key: u64) -> VrfPublicKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&key.to_le_bytes());
    VrfPublicKey(bytes)
}

fn private(key: VrfPublicKey) -> u64 {
    u64::from_le_bytes(key.0[..8].try_into().unwrap())
}

fn chance(words: &mut Words, percent: u64) -> bool {
    words.below(100) < percent
}

/// Part of all heights that an attacker leads who looks for a new key for every epoch, among 16.
///
/// Epochs are 8 heights. It registers the key it found when it knows the seed: when the seed's block
/// is there, or `lead` blocks before if all proposers since then are its own.
fn rotating(share: u64, rule: Option<KeyRule>, lead: u64, epochs: u64) -> f64 {
    let mut words = Domain::custom("test rotation").hasher().number(share).number(lead).words();
    let (mut seed, mut keys, mut heights_led) = (Hash::ZERO, 100, 0);
    let mut registrations = vec![Registration { height: Height(0), key: public(50) }];
    let blocks = 100;
    for epoch in 1..=epochs {
        let seeded = epoch * blocks;
        seed = beacon::next(seed, &output(1, seed, seeded));
        let foreseen = (0..lead).all(|_| chance(&mut words, share));
        let rivals = honest(share, seed, 8);
        let found = Registration {
            height: Height(if foreseen { seeded - lead } else { seeded }),
            key: public(grind(&mut keys, 16, share, seed, &rivals)),
        };
        registrations.push(found);
        let key = match rule {
            Some(rule) => rule.usable(&registrations, Height(seeded)).unwrap(),
            None => found.key,
        };
        heights_led += led(private(key), share, seed, &rivals);
    }
    heights_led as f64 / (8 * epochs) as f64
}

#[test]
fn choosing_a_key_for_a_known_seed_pays_and_the_rule_for_keys_ends_it() {
    println!("share  no rule  lead 1  lead 2  lead 4  lead 8");
    for (share, ground) in [(10, 0.30), (20, 0.43), (33, 0.58)] {
        let honest = share as f64 / 100.0;
        let without = rotating(share, None, 8, 150);
        let leads = [1u32, 2, 4, 8];
        let with = leads.map(|lead| {
            let rule = KeyRule::new(u64::from(lead), 1_000_000).unwrap();
            rotating(share, Some(rule), u64::from(lead), 400)
        });
        let row: Vec<_> = with.iter().map(|with| format!("{with:.3}")).collect();
        println!(" {share}%    {without:.3}   {}", row.join("   "));

        assert!((without - ground).abs() < 0.03, "{share}%: {without}");
        // What is left: that all blocks of the lead are the attacker's.
        for (lead, with) in leads.into_iter().zip(with) {
            let expected = honest + honest.powi(lead as i32) * (ground - honest);
            assert!((with - expected).abs() < 0.03, "{share}% at lead {lead}: {with}");
        }
        let deviation = 4.0 * (honest * (1.0 - honest) / 3_200.0).sqrt();
        assert!((with[3] - honest).abs() < deviation, "{share}%: {with:?}");
    }
}

/// How much an attacker gains who withholds the block that would seed an epoch badly, exactly.
struct Withholding {
    /// Heights led of those of an epoch: on average, when nothing is known yet.
    led: f64,
    /// Blocks withheld for it.
    withheld: f64,
    /// What withholding is worth, by how many of the last blocks before the seed are the attacker's.
    /// It withholds the first of them if it would lead fewer heights with what it knows.
    worth: Vec<f64>,
}

/// The attacker has a share a of all turns to lead, each at random, with a key of its own for each.
/// With the last k blocks before the seed its own, it knows the seed that publishing them all gives,
/// and with it the number X of heights led. Or it withholds the first, and whoever has the next
/// turn makes a new one. So M(k) = E max(X, W(k)) with W(k) = a M(k) + (1 - a) M(k-1) and M(0) = E X.
fn withholding(share: u64, heights: u64) -> Withholding {
    let a = share as f64 / 100.0;
    let mut chances = vec![(1.0 - a).powi(heights as i32)];
    for x in 0..heights {
        let ratio = (heights - x) as f64 / (x + 1) as f64 * a / (1.0 - a);
        chances.push(chances[x as usize] * ratio);
    }
    let mean = |f: &dyn Fn(f64) -> f64| -> f64 {
        chances.iter().enumerate().map(|(x, chance)| chance * f(x as f64)).sum()
    };
    let (mut best, mut cost) = (a * heights as f64, 0.0);
    let mut of_run = 1.0 - a;
    let mut whole = Withholding { led: of_run * best, withheld: 0.0, worth: vec![0.0] };
    for _ in 1..30 {
        let (before, cost_before) = (best, cost);
        let mut worth = before;
        for _ in 0..200 {
            best = mean(&|x| x.max(worth));
            worth = a * best + (1.0 - a) * before;
        }
        let refused = mean(&|x| f64::from(x < worth));
        cost = refused * (1.0 + (1.0 - a) * cost_before) / (1.0 - refused * a);
        of_run *= a;
        whole.led += of_run * best;
        whole.withheld += of_run * cost;
        whole.worth.push(worth);
    }
    whole
}

#[test]
fn withholding_the_seed_s_block_gains_little_and_less_in_long_epochs() {
    println!("share  heights an epoch  share led  bias    blocks withheld an epoch");
    for (share, bounds) in
        [(10, [0.012, 0.005, 0.002]), (20, [0.046, 0.014, 0.005]), (33, [0.12, 0.031, 0.010])]
    {
        let mut last = f64::MAX;
        for (heights, bound) in [1, 10, 100].into_iter().zip(bounds) {
            let Withholding { led, withheld, .. } = withholding(share, heights);
            let led = led / heights as f64;
            let bias = led - share as f64 / 100.0;
            println!(" {share}%   {heights:>8}          {led:.4}    {bias:+.4}   {withheld:.4}");
            assert!(bias > 0.0 && bias < bound && bias < last, "{share}% of {heights}: {bias}");
            last = bias;
        }
    }
}

/// The same attacker at work, with real draws.
#[test]
fn withholding_gains_what_was_calculated() {
    for (share, heights) in [(10, 1), (20, 4), (33, 4)] {
        let exact = withholding(share, heights);
        let mut words = Domain::custom("test withholding").hasher().number(share).words();
        let (epochs, mut keys, mut sum, mut square, mut withheld) = (1_500, 100, 0.0, 0.0, 0);
        for epoch in 0..epochs {
            let before = Hash(std::array::from_fn(|_| words.next_word() as u8));
            // Turns of the last blocks before the seed; an honest one decides all before it.
            let mut run = 0;
            while run < 20 && chance(&mut words, share) {
                run += 1;
            }
            let x = loop {
                // Whoever proposes, with whatever key: the seed it makes.
                keys += 1;
                let seed = beacon::next(before, &output(keys, before, epoch));
                let rivals = honest(share, seed, heights);
                let x = led(50, share, seed, &rivals);
                if run == 0 || x as f64 >= exact.worth[run] {
                    break x as f64;
                }
                withheld += 1;
                if !chance(&mut words, share) {
                    run -= 1;
                }
            };
            sum += x;
            square += x * x;
        }
        let mean = sum / epochs as f64;
        let deviation = ((square / epochs as f64 - mean * mean) / epochs as f64).sqrt();
        assert!((mean - exact.led).abs() < 3.5 * deviation, "{share}%: {mean}, not {}", exact.led);
        let withheld = withheld as f64 / epochs as f64;
        assert!(
            (withheld - exact.withheld).abs() < 0.2 * exact.withheld + 0.02,
            "{share}%: {withheld}"
        );
    }
}
