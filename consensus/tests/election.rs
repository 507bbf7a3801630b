//! Leaders by VRF in a network: what they cost, exactly, who leads, and what happens when they crash.

use std::collections::BTreeMap;

use crate::common::oracle::{Costs, DELTA, TIMEOUT, happy_in, lives, network, setup};
use crate::common::{Event, Net, Setup, Sim, chain, check, height, node_of, simulate};
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{ElectionConfig, HotPokt, Message, SeedRule};
use pocket_sim::cheap::CheapKeys;
use pocket_sim::{Fate, Fault, Plan};
use pocket_types::candidacy::{Election, Seed};
use pocket_types::hash::Hash;
use pocket_types::number::{Duration, Height, Round, Timestamp};
use pocket_types::scheme::Keys;
use pocket_types::sortition::CommitteeSize;

/// How long replicas listen, in delays.
const WAIT: u64 = 3;

const EVERYBODY: u16 = CommitteeSize::MAX;

/// The network of the oracles, with elections of so many units.
fn elected(n: usize, committee: u16) -> Setup {
    let mut setup = setup(n);
    setup.config.election = Some(ElectionConfig {
        committee: CommitteeSize::new(committee).unwrap(),
        wait: Duration(WAIT * DELTA),
        seed: SeedRule::Beacon { period: 10 },
    });
    setup
}

/// A network of ordinary timing.
fn ordinary(weights: &[u64]) -> Setup {
    let mut setup = Setup::cheap(weights);
    setup.config.election = Some(ElectionConfig {
        wait: Duration(20),
        seed: SeedRule::Beacon { period: 4 },
        ..ElectionConfig::default()
    });
    setup
}

/// Who runs in round 0 of a height, the best last, by what the chain below says.
fn runners(sim: &Sim, height: u64) -> Vec<usize> {
    let setup = sim.setup();
    let config = setup.config.election.unwrap();
    let electorate = setup.electorate(setup.set_at(height));
    let decided = &sim.disk(0).chain;
    let header = |height: u64| &decided[height as usize - 1].block.header;
    let seed = match config.seed {
        SeedRule::Beacon { period } => match (height - 1) / period * period {
            0 => Seed::Beacon(Hash::ZERO),
            seeded => Seed::Beacon(header(seeded).randomness),
        },
        SeedRule::LastLeaders { count } => {
            let first = height.saturating_sub(count).max(1);
            let leaders: Vec<_> = (first..height).map(|height| header(height).proposer).collect();
            Seed::last_leaders(&leaders)
        }
        _ => unreachable!(),
    };
    let committee = config.committee;
    let election = Election { chain: chain(), seed, committee, electorate: &electorate };
    let mut runners: Vec<_> = (0..setup.weights.len())
        .filter_map(|node| {
            let keys = CheapKeys(node as u64);
            let claim = election.claim(Height(height), Round::ZERO, keys.public_key())?;
            Some((keys.candidacy(claim)?.claim.priority, node))
        })
        .collect();
    runners.sort();
    runners.into_iter().map(|(_, node)| node).collect()
}

fn leader_by_turns(sim: &Sim, height: u64) -> usize {
    let electorate = sim.setup().electorate(sim.setup().set_at(height));
    let leaders = LeaderSchedule::RoundRobin.leaders(&electorate, 1);
    let position = leaders.leader(Height(height), Round::ZERO);
    node_of(&electorate.member(position).unwrap().public_key)
}

fn round_of(sim: &Sim, height: u64) -> Round {
    sim.disk(0).chain[height as usize - 1].proof.links[0].certificate.data.round
}

fn proposer(sim: &Sim, height: u64) -> usize {
    node_of(&sim.disk(0).chain[height as usize - 1].block.header.proposer)
}

#[test]
fn an_elected_leader_s_block_costs_the_wait_and_the_announcements() {
    for n in [4, 7, 10] {
        let costs = happy_in::<HotPokt>(elected(n, EVERYBODY));
        let messages = (8 + n as u64) * (n as u64 - 1);
        assert_eq!(costs, Costs { leader: 6, all: 7, period: 8 + WAIT, messages });
    }
}

/// Whoever the sortition says, recomputed from the chain alone; and the one whose turn it is where
/// nobody runs.
#[test]
fn the_best_candidate_leads_every_height_and_turns_lead_those_without() {
    let rules = [SeedRule::Beacon { period: 10 }, SeedRule::LastLeaders { count: 3 }];
    for (rule, committee) in rules.into_iter().flat_map(|rule| [(rule, 1), (rule, 5), (rule, 26)]) {
        let mut setup = elected(7, committee);
        setup.config.election.as_mut().unwrap().seed = rule;
        let mut sim = network::<HotPokt>(setup, []);
        let heights = 60;
        sim.run_while(Timestamp(60_000), |sim| (0..7).any(|node| height(sim, node) < heights))
            .unwrap();
        check(&sim, 7).unwrap();
        let (mut ran, mut nobody) = (0, 0);
        for height in 1..=heights {
            assert_eq!(round_of(&sim, height), Round::ZERO);
            let runners = runners(&sim, height);
            ran += runners.len() as u64;
            nobody += u64::from(runners.is_empty());
            let expected = runners.last().copied();
            let expected = expected.unwrap_or_else(|| leader_by_turns(&sim, height));
            assert_eq!(proposer(&sim, height), expected, "height {height}, {runners:?} ran");
        }
        // One in e^committee: about 22 of 60, 0 or 1, and none.
        let expected = if committee == 1 { 12..33 } else { 0..3 };
        assert!(expected.contains(&nobody), "{nobody} heights without candidates");
        let announced = sim.counters().kinds["candidacy"];
        let next = runners(&sim, heights + 1).len() as u64;
        assert_eq!(announced, (ran + next) * 6, "each to the six others, the next round's too");
    }
}

#[test]
fn luck_changes_with_the_period_s_seed_only_as_the_chain_says() {
    let mut sim = network::<HotPokt>(elected(7, 26), []);
    sim.run_while(Timestamp(60_000), |sim| height(sim, 0) < 40).unwrap();
    let mut led: BTreeMap<usize, u64> = BTreeMap::new();
    (1..=40).for_each(|height| *led.entry(proposer(&sim, height)).or_default() += 1);
    assert!(led.len() >= 6, "{led:?}");
    assert!(led.values().all(|&led| led < 15), "{led:?}");
}

#[test]
fn a_leader_that_crashes_after_it_ran_costs_a_timeout_and_two_waits() {
    let mut sim = network::<HotPokt>(elected(4, EVERYBODY), []);
    // All have just chosen.
    sim.run_until(Timestamp(WAIT * DELTA)).unwrap();
    let chosen = |sim: &Sim, node| sim.process(node).unwrap().replica().protocol().leader();
    let leader = chosen(&sim, 0).expect("the wait is over");
    assert!((1..4).all(|node| chosen(&sim, node) == Some(leader)));
    sim.crash(node_of(&leader), None);
    sim.run_until(Timestamp(3 * TIMEOUT)).unwrap();
    check(&sim, 4).unwrap();
    let life = &lives(&sim)[&1];
    let last = *life.decided.values().max().unwrap();
    assert_eq!(last, TIMEOUT + (8 + 2 * WAIT) * DELTA);
}

#[test]
fn who_is_dead_does_not_run_and_costs_nothing() {
    let mut sim = network::<HotPokt>(elected(4, EVERYBODY), []);
    sim.crash(2, None);
    sim.run_while(Timestamp(60_000), |sim| height(sim, 0) < 20).unwrap();
    let proposed: Vec<u64> = lives(&sim).values().map(|life| life.proposed).collect();
    let period = (8 + WAIT) * DELTA;
    assert!(proposed.windows(2).all(|pair| pair[1] - pair[0] == period), "{proposed:?}");
    assert!((1..=20).all(|height| round_of(&sim, height) == Round::ZERO));
}

/// The best candidate's announcement of height 5 reaches only a part.
fn unheard_by(deaf: &'static [usize]) -> Sim {
    let mut sim = network::<HotPokt>(elected(4, EVERYBODY), []);
    let best = *runners(&sim, 5).last().unwrap();
    sim.filter(move |envelope| match &envelope.message {
        Net::Consensus(Message::Candidacy(candidacy))
            if candidacy.claim.height == Height(5)
                && candidacy.claim.round == Round::ZERO
                && envelope.from == best
                && deaf.contains(&((envelope.to + 4 - best) % 4)) =>
        {
            Fate::Drop
        }
        _ => Fate::Deliver,
    });
    sim.run_while(Timestamp(60_000), |sim| height(sim, 0) < 8).unwrap();
    check(&sim, 4).unwrap();
    sim
}

#[test]
fn two_leaders_with_a_part_of_the_replicas_each_cost_a_round() {
    let sim = unheard_by(&[1, 2]);
    assert_eq!(round_of(&sim, 5), Round(1));
    let proposals = sim.observations().iter().filter(|seen| match &seen.event {
        Event::Signed(vote) => {
            vote.data.height == Height(5)
                && vote.data.round == Round::ZERO
                && vote.data.phase == pocket_types::vote::Phase::Propose
        }
        _ => false,
    });
    assert_eq!(proposals.count(), 0, "neither has a quorum");
}

#[test]
fn a_leader_that_a_quorum_heard_needs_no_more() {
    let sim = unheard_by(&[1]);
    assert_eq!(round_of(&sim, 5), Round::ZERO);
    assert_eq!(proposer(&sim, 5), *runners(&sim, 5).last().unwrap());
}

/// Only the best candidate knows of itself, so the choice of the others leads.
#[test]
fn a_candidate_whom_nobody_heard_does_not_hold_up_the_rest() {
    let sim = unheard_by(&[1, 2, 3]);
    assert_eq!(round_of(&sim, 5), Round::ZERO);
    let runners = runners(&sim, 5);
    assert_eq!(proposer(&sim, 5), runners[runners.len() - 2]);
}

#[test]
fn a_block_a_block_time_whatever_the_wait() {
    let mut sim = simulate(ordinary(&[10; 4]), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    let times: Vec<u64> = sim.disk(0).chain.iter().map(|entry| entry.block.header.time.0).collect();
    assert_eq!(times.len(), 20);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
}

#[test]
fn validator_sets_change_under_elections_and_newcomers_run() {
    let mut setup = ordinary(&[10, 10, 10, 10]);
    setup.changes.insert(3, vec![10, 10, 10, 0, 10]);
    setup.changes.insert(6, vec![0, 10, 25, 0, 10, 10]);
    let mut sim = simulate(setup, 6, Plan::calm(1));
    sim.run_until(Timestamp(4_050)).unwrap();
    check(&sim, 6).unwrap();
    assert!((0..6).all(|node| height(&sim, node) >= 38), "{}", height(&sim, 0));
    for height in 1..=38 {
        let set = sim.setup().set_at(height);
        let leads = sim.setup().public(proposer(&sim, height));
        assert!(set.members.iter().any(|member| member.public_key == leads));
    }
    let led = |node| (9..=38).any(|height| proposer(&sim, height) == node);
    assert!(led(4) && led(5) && !led(0) && !led(3));
}

#[test]
fn a_restart_after_any_effect_signs_nothing_twice_and_stops_nothing() {
    for node in [0, 1] {
        for effect in 1..60 {
            let fault =
                Fault::CrashAtEffect { node, effect, down: Some(Duration(effect % 7 * 20)) };
            let mut sim = simulate(ordinary(&[10; 4]), 4, Plan::calm(1).with(fault));
            sim.run_until(Timestamp(1_200)).unwrap();
            check(&sim, 4).unwrap_or_else(|reason| panic!("effect {effect} of {node}: {reason}"));
            assert!(sim.counters().crashes == 1);
            let lowest = (0..4).map(|node| height(&sim, node)).min().unwrap();
            assert!(lowest >= 4, "effect {effect} of {node}: {lowest}");
        }
    }
}

#[test]
fn all_crash_at_once_at_every_moment_of_a_round_and_go_on() {
    for after in 0..60 {
        let mut sim = simulate(ordinary(&[10; 4]), 4, Plan::calm(1));
        sim.run_until(Timestamp(500 + 2 * after)).unwrap();
        (0..4).for_each(|node| sim.crash(node, Some(Duration(50 + node as u64))));
        let before = (0..4).map(|node| height(&sim, node)).max().unwrap();
        sim.run_until(Timestamp(2_500)).unwrap();
        check(&sim, 4).unwrap();
        let lowest = (0..4).map(|node| height(&sim, node)).min().unwrap();
        assert!(lowest >= before + 8, "{after}: {lowest} after {before}");
    }
}

#[test]
fn a_minority_that_was_away_syncs_and_knows_the_seed() {
    let mut sim = simulate(ordinary(&[10; 4]), 5, Plan::calm(1));
    sim.crash(3, Some(Duration(1_490)));
    sim.run_until(Timestamp(4_000)).unwrap();
    check(&sim, 5).unwrap();
    assert!((0..5).all(|node| height(&sim, node) >= 35));
    assert!((25..=35).any(|height| proposer(&sim, height) == 3), "it leads again");
}
