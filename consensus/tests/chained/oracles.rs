//! Delays, messages and liveness, counted by hand from the papers' rules: δ is one network delay, T the
//! timeout from entering a round, blocks cost no time.

use std::collections::BTreeMap;

use pocket_consensus::replica::config::Config;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon, Protocol};
use pocket_sim::{Fault, Plan, Window};
use pocket_types::id::BlockId;
use pocket_types::number::{Duration, Round, Timestamp};
use pocket_types::vote::Phase;

use crate::common::{Event, Setup, Sim, check, height, node_of, simulate_by};

const DELTA: u64 = 10;
const TIMEOUT: u64 = 400;
/// How long HotStuff-2's leader waits.
const WAIT: u64 = 25;

fn setup(n: usize) -> Setup {
    Setup {
        config: Config {
            schedule: LeaderSchedule::RoundRobin,
            block_time: Duration(0),
            timeout: Duration(TIMEOUT),
            timeout_growth: 100,
            timeout_cap: Duration(TIMEOUT),
            resend: Duration(150),
            delta: Duration(WAIT),
            ..crate::common::config()
        },
        execution: Duration(0),
        ..Setup::cheap(&vec![10; n])
    }
}

fn network<P: Protocol>(setup: Setup) -> Sim<P> {
    let n = setup.weights.len();
    let delay = Fault::Delay { min: Duration(DELTA), max: Duration(DELTA), window: Window::ALWAYS };
    simulate_by::<P>(setup, n, Plan::calm(1).with(delay))
}

/// For each block: when it was proposed and in which round, and when each node decided it.
fn blocks<P: Protocol>(sim: &Sim<P>) -> BTreeMap<BlockId, (u64, Round, Vec<u64>)> {
    let mut blocks: BTreeMap<BlockId, (u64, Round, Vec<u64>)> = BTreeMap::new();
    for seen in sim.observations() {
        match &seen.event {
            Event::Signed(vote) if vote.data.phase == Phase::Propose => {
                let first = (seen.at.0, vote.data.round, vec![]);
                blocks.entry(vote.data.block).or_insert(first);
            }
            Event::Decided(_, id) => blocks.get_mut(id).unwrap().2.push(seen.at.0),
            _ => {}
        }
    }
    blocks
}

/// Delays from a block's proposal to the first decision and to everybody's, period, messages a block.
fn steady<P: Protocol>(first: u64, last: u64) {
    for n in [4, 7] {
        let mut sim = network::<P>(setup(n));
        sim.run_until(Timestamp(1_000)).unwrap();
        let before = sim.counters().kinds.clone();
        sim.run_until(Timestamp(2_000)).unwrap();
        check(&sim, n).unwrap();
        let kinds = &sim.counters().kinds;
        let sent = |kind| kinds.get(kind).unwrap_or(&0) - before.get(kind).unwrap_or(&0);
        let periods = 1_000 / (2 * DELTA);
        let others = n as u64 - 1;
        assert_eq!(sent("proposal"), periods * others, "{:?}", P::ID);
        assert_eq!(sent("vote"), periods * others);
        assert_eq!(["new round", "certificate", "body"].map(sent), [0; 3]);
        let decided: Vec<_> = blocks(&sim).into_values().filter(|b| b.2.len() == n).collect();
        assert!(decided.len() > 80);
        for (proposed, _, times) in &decided {
            assert_eq!(times.iter().min().unwrap() - proposed, first * DELTA, "{:?}", P::ID);
            assert_eq!(times.iter().max().unwrap() - proposed, last * DELTA, "{:?}", P::ID);
        }
        let mut times: Vec<_> = decided.iter().map(|block| block.0).collect();
        times.sort_unstable();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 2 * DELTA));
    }
}

#[test]
fn three_phases_take_six_delays_and_two_take_four() {
    steady::<ChainedHotStuff>(6, 7);
    steady::<HotStuff2>(4, 5);
    steady::<Jolteon>(4, 5);
    steady::<FastHotStuff>(4, 5);
}

/// Delays after T to everybody's decision of the first block after a dead leader's round, and what
/// giving that round up costs beside the proposals and votes.
fn after_a_crash<P: Protocol>(delays: u64, wait: u64, to_all: bool) {
    let n = 7;
    let mut sim = network::<P>(setup(n));
    let dead_round = 17;
    let dead = node_of(&sim.process(0).unwrap().replica().leader(Round(dead_round)));
    sim.crash(dead, None);
    sim.run_until(Timestamp(10_000)).unwrap();
    check(&sim, n).unwrap();
    let signed = |round, phase| {
        let all = sim.observations().iter();
        all.filter(move |seen| match &seen.event {
            Event::Signed(vote) => (vote.data.round, vote.data.phase) == (Round(round), phase),
            _ => false,
        })
    };
    let given_up: Vec<u64> =
        signed(dead_round + 1, Phase::NewRound).map(|seen| seen.at.0).collect();
    // All entered together, so all give up together; the next leader tells itself.
    assert!(given_up.iter().all(|at| *at == given_up[0]), "{given_up:?}");
    assert_eq!(given_up.len(), if to_all { n - 1 } else { n - 2 });
    let (proposed, _, times) =
        blocks(&sim).into_values().find(|block| block.1 == Round(dead_round + 1)).unwrap();
    assert_eq!(proposed - given_up[0], DELTA + wait, "{:?}", P::ID);
    assert_eq!(times.len(), n - 1);
    assert_eq!(times.iter().max().unwrap() - given_up[0], delays * DELTA + wait, "{:?}", P::ID);
}

#[test]
fn after_a_dead_leaders_timeout_the_next_block_is_decided_in_so_many_delays() {
    after_a_crash::<ChainedHotStuff>(8, 0, false);
    after_a_crash::<HotStuff2>(6, WAIT, false);
    after_a_crash::<Jolteon>(6, 0, true);
    after_a_crash::<FastHotStuff>(6, 0, false);
}

/// Runs a number of rounds with dead leaders, given by their turn; counts proposals and decided blocks.
fn turns<P: Protocol>(n: usize, dead: &[u64], leader_rounds: u64, rounds: u64) -> (u64, u64) {
    let mut setup = setup(n);
    setup.config.leader_rounds = leader_rounds;
    setup.config.timeout = Duration(60);
    setup.config.resend = Duration(30);
    setup.config.delta = Duration(10);
    let mut sim = network::<P>(setup);
    for turn in dead {
        let round = Round(turn * leader_rounds);
        let node = (0..n).find_map(|node| Some(sim.process(node)?.replica().leader(round)));
        sim.crash(node_of(&node.unwrap()), None);
    }
    let live = (0..n).find(|&node| sim.process(node).is_some()).unwrap();
    let reached = sim
        .run_while(Timestamp(u64::MAX), |sim| {
            sim.process(live).unwrap().replica().round() < Round(rounds)
        })
        .unwrap();
    assert!(reached);
    let proposed = |seen: &&pocket_sim::Observation<Event>| match &seen.event {
        Event::Signed(vote) => vote.data.phase == Phase::Propose && vote.data.round.0 < rounds,
        _ => false,
    };
    let proposals: std::collections::BTreeSet<_> = sim
        .observations()
        .iter()
        .filter(proposed)
        .filter_map(|seen| match &seen.event {
            Event::Signed(vote) => Some(vote.data.round),
            _ => None,
        })
        .collect();
    (proposals.len() as u64, height(&sim, live))
}

/// With turns in order and votes to the next leader, a block is certified if the next turn is a live
/// one, and decided once two or three such turns follow each other.
#[test]
fn so_many_proposals_are_decided_with_dead_leaders() {
    fn two_chain<P: Protocol>() {
        let near = |(proposals, decided): (u64, u64), (p, d): (u64, u64)| {
            assert!(
                proposals.abs_diff(p) <= 1 && decided.abs_diff(d) <= 2,
                "{:?}: {decided} of {proposals}",
                P::ID
            );
        };
        near(turns::<P>(7, &[3, 6], 1, 4_000), (2_858, 1_714));
        near(turns::<P>(7, &[5, 6], 1, 4_000), (2_858, 2_285));
        near(turns::<P>(4, &[2], 1, 400), (300, 200));
    }
    two_chain::<HotStuff2>();
    two_chain::<Jolteon>();
    two_chain::<FastHotStuff>();
}

#[test]
fn three_in_a_row_are_not_to_be_had_where_every_third_or_fourth_turn_is_dead() {
    let (proposals, decided) = turns::<ChainedHotStuff>(4, &[2], 1, 400);
    assert_eq!((proposals, decided), (300, 0));
    assert_eq!(turns::<ChainedHotStuff>(7, &[3, 6], 1, 400).1, 0);
}

#[test]
fn three_in_a_row_are_had_with_two_dead_side_by_side_or_leaders_of_four_rounds() {
    let (proposals, decided) = turns::<ChainedHotStuff>(7, &[5, 6], 1, 4_000);
    assert!(
        proposals.abs_diff(2_858) <= 1 && decided.abs_diff(2_286) <= 3,
        "{decided} of {proposals}"
    );
    let (proposals, decided) = turns::<ChainedHotStuff>(4, &[2], 4, 400);
    println!("{decided} of {proposals}");
    assert!(decided * 10 >= proposals * 8, "{decided} of {proposals}");
}

#[test]
fn with_time_between_blocks_headers_name_everybody_who_was_there() {
    fn names<P: Protocol>() {
        let mut setup = setup(7);
        setup.config.block_time = Duration(100);
        let mut sim = network::<P>(setup);
        sim.run_until(Timestamp(2_050)).unwrap();
        check(&sim, 7).unwrap();
        assert!(height(&sim, 0) >= 16, "{}", height(&sim, 0));
        let chain = &sim.disk(0).chain;
        for entry in &chain[1..] {
            let certificate = entry.block.header.parent_certificate.as_ref().unwrap();
            assert_eq!(certificate.positions().count(), 7);
        }
        let times: Vec<u64> = chain.iter().map(|entry| entry.block.header.time.0).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
    }
    crate::chained::each!(names());
}

#[test]
fn a_log_grows_by_few_steps_a_block() {
    fn steps<P: Protocol>() {
        let mut sim = network::<P>(setup(4));
        sim.run_until(Timestamp(2_000)).unwrap();
        for node in 0..4 {
            let disk = sim.disk(node);
            assert!(disk.steps.iter().all(|(h, &steps)| *h < 3 || steps <= 2), "{:?}", disk.steps);
            // The body and the vote; a leader's proposal besides.
            assert!(disk.most_records <= 4, "{}", disk.most_records);
            assert!(disk.log.len() < 16, "{}", disk.log.len());
        }
    }
    crate::chained::each!(steps());
}
