//! A key counts for a seed that nobody could know when it was registered, and not for ever.

use pocket_types::number::Height;
use pocket_types::registration::{KeyRule, Registration, RegistrationError};
use pocket_types::vrf::VrfSecret;
use proptest::prelude::*;

fn registration(height: u64) -> Registration {
    let seed = height.to_le_bytes()[0];
    Registration { height: Height(height), key: VrfSecret::from_seed([seed; 32]).public_key() }
}

#[test]
fn a_key_waits_for_its_lead_and_expires() {
    let rule = KeyRule::new(10, 100).unwrap();
    let registered = Height(50);
    for seed in [0, 49, 50, 59] {
        let seed = Height(seed);
        let refused = RegistrationError::TooYoung { registered, seed, usable_from: Height(60) };
        assert_eq!(rule.check(registered, seed), Err(refused));
    }
    for seed in [60, 61, 149] {
        assert_eq!(rule.check(registered, Height(seed)), Ok(()));
    }
    for seed in [150, 151, u64::MAX] {
        let seed = Height(seed);
        let refused = RegistrationError::Expired { registered, seed, expired_from: Height(150) };
        assert_eq!(rule.check(registered, seed), Err(refused));
    }
}

#[test]
fn a_refreshed_key_takes_over_when_it_may_be_used_and_not_before() {
    let rule = KeyRule::new(10, 100).unwrap();
    let [old, new, newest] = [50, 120, 155].map(registration);
    let registrations = [old, new, newest];
    let usable = |seed| rule.usable(&registrations, Height(seed));
    assert_eq!(usable(59), None);
    assert_eq!(usable(60), Some(old.key));
    assert_eq!(usable(129), Some(old.key));
    assert_eq!(usable(130), Some(new.key));
    assert_eq!(usable(164), Some(new.key));
    assert_eq!(usable(165), Some(newest.key));
    assert_eq!(usable(254), Some(newest.key));
    assert_eq!(usable(255), None, "nobody refreshed it");
    assert_eq!(rule.usable(&[old], Height(150)), None);
}

#[test]
fn of_one_block_s_registrations_the_last_counts() {
    let rule = KeyRule::new(1, 100).unwrap();
    let [first, mut second] = [50, 51].map(registration);
    second.height = first.height;
    assert_eq!(rule.usable(&[first, second], Height(60)), Some(second.key));
}

#[test]
fn a_rule_without_a_lead_or_without_a_life_is_none() {
    for (lead, lifetime) in [(0, 0), (0, 9), (9, 9), (9, 8), (u64::MAX, u64::MAX)] {
        let refused = Err(RegistrationError::Rule { lead, lifetime });
        assert_eq!(KeyRule::new(lead, lifetime), refused);
    }
}

proptest! {
    /// What is registered in the lead's blocks, after somebody may know the seed, changes nothing.
    #[test]
    fn late_registrations_have_no_say(
        mut early in prop::collection::vec(0u64..1_000, 0..5),
        late in prop::collection::vec(0u64..50, 0..5),
    ) {
        let rule = KeyRule::new(50, 600).unwrap();
        early.sort_unstable();
        let mut registrations: Vec<_> = early.iter().copied().map(registration).collect();
        let before = rule.usable(&registrations, Height(1_049));
        registrations.extend(late.iter().map(|back| registration(1_049 - back)));
        prop_assert_eq!(rule.usable(&registrations, Height(1_049)), before);
    }
}
