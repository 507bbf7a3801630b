//! What one replica makes of the candidates that it hears of.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pocket_consensus::candidates::{Candidates, Heard};
use pocket_types::candidacy::{Candidacy, Candidate, Election, Seed};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::ChainId;
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Epoch, Height, Round, Weight};
use pocket_types::sortition::{CommitteeSize, Priority};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vrf::VrfSecret;
use proptest::prelude::*;

const HERE: (Height, Round) = (Height(5), Round(2));
const AHEAD: u64 = 3;

fn secret(n: u8) -> (SecretKey, VrfSecret) {
    (SecretKey::from_seed([n; 32]), VrfSecret::from_seed([n + 100; 32]))
}

fn fallback() -> PublicKey {
    secret(99).0.public_key()
}

/// What these members announce for a round, the best last. All of their units are selected.
fn announcements(members: u8, height: Height, round: Round) -> Vec<(Candidacy, Candidate)> {
    let member = |n| Validator {
        public_key: secret(n).0.public_key(),
        vrf_key: secret(n).1.public_key(),
        weight: Weight(1),
        bls_key: None,
    };
    let set = ValidatorSet::new(Epoch(0), (0..members).map(member).collect()).unwrap();
    let electorate = Electorate::new(set).unwrap();
    let election = Election {
        chain: ChainId::default(),
        seed: Seed::Beacon(Hash([1; 32])),
        committee: CommitteeSize::default(),
        electorate: &electorate,
    };
    let announce = |n| {
        let (key, vrf) = secret(n);
        let candidacy = election.run(height, round, &key, &vrf).unwrap();
        (candidacy, election.check(&candidacy).unwrap())
    };
    let mut all: Vec<_> = (0..members).map(announce).collect();
    all.sort_by_key(|(_, candidate)| candidate.priority());
    all
}

fn heard() -> Candidates {
    Candidates::new(HERE.0, HERE.1, AHEAD)
}

#[test]
fn the_best_candidate_leads_in_whatever_order_they_come() {
    let announced = announcements(8, HERE.0, HERE.1);
    let best = announced[7].1.key();
    for shift in 0..8 {
        let mut candidates = heard();
        let mut order = announced.clone();
        order.rotate_left(shift);
        for (candidacy, candidate) in order {
            let wanted = candidates.wants(&candidacy.claim);
            let expected = if wanted { Heard::Best } else { Heard::Beaten };
            assert_eq!(candidates.hear(candidate), expected);
            assert!(!candidates.wants(&candidacy.claim), "once is enough");
        }
        assert_eq!(candidates.leader(), None, "the wait isn't over");
        assert!(!candidates.may_lead(&best));
        assert_eq!(candidates.settle(fallback()), best);
        assert_eq!(candidates.leader(), Some(best));
        assert!(candidates.may_lead(&best));
        assert!(announced[..7].iter().all(|(_, other)| !candidates.may_lead(&other.key())));
    }
}

#[test]
fn without_a_candidate_the_round_robin_leads() {
    let mut candidates = heard();
    assert_eq!(candidates.settle(fallback()), fallback());
    assert!(candidates.may_lead(&fallback()));
    let other = secret(1).0.public_key();
    assert_eq!(candidates.settle(other), fallback(), "settled is settled");
    assert!(!candidates.may_lead(&other));
}

#[test]
fn who_comes_late_is_not_followed_and_not_held_up() {
    let announced = announcements(4, HERE.0, HERE.1);
    let mut candidates = heard();
    candidates.hear(announced[1].1);
    let leader = candidates.settle(fallback());
    assert_eq!(leader, announced[1].1.key());
    assert_eq!(candidates.hear(announced[0].1), Heard::Beaten);
    assert_eq!(candidates.hear(announced[3].1), Heard::Late);
    assert_eq!(candidates.hear(announced[3].1), Heard::Beaten, "it has been heard");
    assert!(candidates.wants(&announced[2].0.claim), "others may have settled on it");
    assert_eq!(candidates.hear(announced[2].1), Heard::Late);
    assert_eq!(candidates.settle(fallback()), leader);
    let may_lead: Vec<_> =
        announced.iter().map(|(_, one)| candidates.may_lead(&one.key())).collect();
    assert_eq!(may_lead, [false, true, true, true]);
    assert!(!candidates.may_lead(&fallback()), "it has a candidate to go by");
}

#[test]
fn only_rounds_near_its_own_are_heard_of() {
    let near = |height, round| {
        let mut candidates = heard();
        let (candidacy, candidate) = announcements(1, Height(height), Round(round))[0];
        let wanted = candidates.wants(&candidacy.claim);
        let heard = candidates.hear(candidate);
        assert_eq!(wanted, heard == Heard::Best);
        assert!(wanted || heard == Heard::Elsewhere);
        wanted
    };
    let rounds = |height| (0..8).filter(|&round| near(height, round)).collect::<Vec<_>>();
    assert_eq!(rounds(5), [2, 3, 4]);
    assert_eq!(rounds(6), [0, 1, 2]);
    assert!(rounds(4).is_empty() && rounds(7).is_empty());
    assert!(!near(u64::MAX, u64::MAX) && !near(5, u64::MAX) && !near(0, 0));
}

#[test]
fn what_was_heard_ahead_of_time_is_there_when_its_round_comes() {
    let [early, next] = [(5, 4), (6, 0)].map(|(h, r)| announcements(2, Height(h), Round(r)));
    let mut candidates = heard();
    assert_eq!(candidates.hear(early[1].1), Heard::Best);
    assert_eq!(candidates.hear(next[1].1), Heard::Best);
    assert_eq!(candidates.settle(fallback()), fallback());
    candidates.enter(Height(5), Round(4));
    assert_eq!(candidates.leader(), None);
    assert_eq!(candidates.settle(fallback()), early[1].1.key());
    candidates.enter(Height(6), Round(0));
    candidates.enter(Height(5), Round(4));
    assert_eq!(candidates.settle(fallback()), next[1].1.key(), "it doesn't go back");
    assert_eq!(candidates.hear(early[0].1), Heard::Elsewhere);
}

#[test]
fn who_lies_is_not_checked_again_in_that_round() {
    let announced = announcements(3, HERE.0, HERE.1);
    let later = announcements(3, HERE.0, Round(3));
    let mut candidates = heard();
    let mut lie = announced[0].0.claim;
    lie.priority = Priority(Hash([0xff; 32]));
    assert!(candidates.wants(&lie));
    candidates.refuse(&lie);
    lie.priority = Priority(Hash([0xfe; 32]));
    assert!(!candidates.wants(&lie));
    assert!(candidates.wants(&announced[1].0.claim));
    assert!(later.iter().all(|(candidacy, _)| candidates.wants(&candidacy.claim)));
}

#[test]
fn of_many_candidates_few_need_a_check() {
    let announced = announcements(26, HERE.0, HERE.1);
    let (mut checks, orders) = (0, 200);
    for order in 0..orders {
        let mut shuffled = announced.clone();
        let mut words = Domain::custom("test order").hasher().number(order).words();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, words.below(at as u64 + 1) as usize);
        }
        let mut candidates = heard();
        for (candidacy, candidate) in shuffled {
            if candidates.wants(&candidacy.claim) {
                checks += 1;
                candidates.hear(candidate);
            }
        }
    }
    // The 26th harmonic number is 3.85.
    assert!((730..=810).contains(&checks), "{checks} checks for {orders} rounds");
}

proptest! {
    /// Against a plain list of what happened.
    #[test]
    fn it_leads_whom_a_list_says(
        events in prop::collection::vec((0u8..9, 0usize..6), 0..40),
    ) {
        static ANNOUNCED: LazyLock<BTreeMap<u64, Vec<(Candidacy, Candidate)>>> = LazyLock::new(|| {
            (2..=8).map(|round| (round, announcements(6, HERE.0, Round(round)))).collect()
        });
        let (mut candidates, mut round, mut list, mut leader) = (heard(), 2, Vec::new(), None);
        for (event, who) in events {
            match event {
                0 if round < 8 => {
                    round += 1;
                    leader = None;
                    candidates.enter(Height(5), Round(round));
                }
                1 => {
                    let best = list.iter().filter(|(at, _)| *at == round).max();
                    let best = best.map_or_else(fallback, |(at, who): &(u64, usize)| {
                        ANNOUNCED[at][*who].1.key()
                    });
                    leader = leader.or(Some(best));
                    prop_assert_eq!(candidates.settle(fallback()), leader.unwrap());
                }
                _ => {
                    let at = round + u64::from(event % 5);
                    let Some(all) = ANNOUNCED.get(&at) else { continue };
                    candidates.hear(all[who].1);
                    if at < round + AHEAD {
                        list.push((at, who));
                    }
                }
            }
            prop_assert_eq!(candidates.leader(), leader);
        }
    }
}
