//! Every schedule of a size has one number, and says who leads and who hears whom.

use std::collections::{BTreeMap, BTreeSet};

use pocket_sim::twins::{TwinRound, Twins};

#[test]
fn one_twin_among_four_has_262_144_schedules_of_three_rounds_and_each_is_another() {
    let size = Twins::new(4, 1, 3).unwrap();
    assert_eq!((size.instances(), size.count()), (5, 262_144));
    let all: BTreeSet<Vec<(usize, u64)>> = size
        .all()
        .map(|schedule| schedule.rounds.iter().map(|r| (r.leader, r.side)).collect())
        .collect();
    assert_eq!(all.len(), 262_144);
}

#[test]
fn each_round_meets_every_leader_with_every_split_once() {
    let size = Twins::new(4, 1, 1).unwrap();
    let mut splits: BTreeMap<usize, BTreeSet<BTreeSet<(usize, usize)>>> = BTreeMap::new();
    for schedule in size.all() {
        let round = schedule.round(0).unwrap();
        let pairs = (0..5).flat_map(|a| (0..5).map(move |b| (a, b)));
        let heard: BTreeSet<_> = pairs.filter(|&(a, b)| round.hears(a, b)).collect();
        assert!((0..5).all(|a| heard.contains(&(a, a))));
        assert!(heard.iter().all(|&(a, b)| heard.contains(&(b, a))));
        assert!(splits.entry(round.leader).or_default().insert(heard), "{schedule}");
        assert_eq!(schedule.round(1), None);
    }
    assert_eq!(splits.len(), 4);
    assert!(splits.values().all(|splits| splits.len() == 16));
}

#[test]
fn a_twin_is_an_instance_of_its_validator() {
    let size = Twins::new(4, 2, 2).unwrap();
    let validators: Vec<_> = (0..size.instances()).map(|i| size.validator(i)).collect();
    assert_eq!(validators, [0, 1, 2, 3, 0, 1]);
}

#[test]
fn a_schedule_prints_who_leads_and_who_hears_whom() {
    let schedule = Twins::new(4, 1, 3).unwrap().schedule(0b001001_000010_110111);
    assert_eq!(
        schedule.to_string(),
        "\
schedule 37047
  round 0: 3 leads, {0, 2} {1, 3, 0'}
  round 1: 2 leads, {0, 1, 2, 3, 0'}
  round 2: 1 leads, {0, 1, 3, 0'} {2}
"
    );
    assert_eq!(schedule.round(0), Some(TwinRound { leader: 3, side: 0b11010 }));
}

#[test]
fn larger_sizes_are_sampled_and_impossible_ones_refused() {
    let size = Twins::new(7, 2, 4).unwrap();
    assert_eq!(size.count(), (7 * 256_u64).pow(4));
    let drawn: BTreeSet<u64> = (0..1_000).map(|seed| size.sample(seed).index).collect();
    assert!(drawn.len() > 990 && drawn.iter().all(|&index| index < size.count()));
    assert_eq!(size.sample(5), size.sample(5));
    assert_eq!(Twins::new(0, 0, 1), None);
    assert_eq!(Twins::new(64, 1, 1), None);
    assert_eq!(Twins::new(10, 1, 20), None);
    assert_eq!(Twins::new(4, 9, 1).unwrap().instances(), 8);
}
