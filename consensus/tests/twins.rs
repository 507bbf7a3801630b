//! Twins (arXiv 2004.10617): validators that run as two instances with one key, under every schedule
//! of leaders and partitions of three rounds.
//!
//! `POCKET_SEEDS=262144 POCKET_THREADS=2 cargo test --release -p pocket-consensus twins::` runs
//! all schedules of each protocol; an ordinary run takes some, evenly spread.

use crate::common::{Setup, Sim, check, config, height, node_of, signed, simulate_by};
use pocket_consensus::replica::config::Config;
use pocket_consensus::schedule::{LeaderSchedule, Order};
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Protocol, Simplex, Tendermint,
};
use pocket_sim::twins::{Schedule, Twins};
use pocket_sim::{Campaign, Fate, Plan, Total};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::vote::{self, Phase, VoteData};

const VALIDATORS: usize = 4;
const ROUNDS: usize = 3;
/// Honest validators are done here.
const HEIGHTS: u64 = 3;
const END: Timestamp = Timestamp(1_500);

/// Schedules in an ordinary run.
const FEW: u64 = if cfg!(debug_assertions) { 512 } else { 4_096 };

/// Height and round together say whose turn it is, for a height begins with the leader after the one
/// that the height before began with; the first round is turn 0.
const fn turn(data: &VoteData) -> u64 {
    if data.protocol.is_chained() { data.round.0 } else { data.height.0 - 1 + data.round.0 }
}

/// The network of a schedule: the leaders that it names, then all in turn.
fn setup<P: Protocol>(size: &Twins, schedule: &Schedule) -> Setup {
    let mut setup = Setup::cheap(&[10; VALIDATORS]);
    let set = setup.set_at(1);
    let seats: Vec<usize> = set.members.iter().map(|member| node_of(&member.public_key)).collect();
    let seat = |leader: usize| seats.iter().position(|&node| node == leader).unwrap();
    let first = usize::from(!P::ID.is_chained());
    let leaders = (0..16).map(|place: usize| {
        let round = place.checked_sub(first).and_then(|turn| schedule.round(turn));
        round.map_or(place % VALIDATORS, |round| seat(round.leader))
    });
    setup.config = Config {
        schedule: LeaderSchedule::Listed(Order::new(leaders).unwrap()),
        block_time: Duration(10),
        timeout: Duration(100),
        timeout_growth: 100,
        resend: Duration(300),
        max_drift: Duration(1 << 60),
        ..config()
    };
    setup.twins = size.instances() - VALIDATORS;
    setup.byzantine = (0..setup.twins).flat_map(|twin| [twin, VALIDATORS + twin]).collect();
    (setup.soup, setup.gossip, setup.execution) = (true, false, Duration(0));
    setup
}

/// How late somebody hears of a message whom the schedule keeps it from; never, if it is none of those
/// by which rounds are given up: without them most schedules would end in their first round.
fn late(data: &VoteData) -> Option<Duration> {
    match data.phase {
        Phase::NewRound => Some(Duration(30)),
        Phase::Prepare | Phase::Commit if data.protocol == vote::Protocol::Tendermint => {
            Some(Duration(150))
        }
        _ => None,
    }
}

fn run<P: Protocol>(size: &Twins, index: u64) -> Result<Sim<P>, String> {
    let schedule = size.schedule(index);
    let setup = setup::<P>(size, &schedule);
    let mut sim: Sim<P> = simulate_by(setup, size.instances(), Plan::calm(index));
    let told = schedule.clone();
    sim.filter(move |envelope| {
        let Some(data) = signed(&envelope.message) else { return Fate::Deliver };
        match usize::try_from(turn(data)).ok().and_then(|turn| schedule.round(turn)) {
            Some(round) if !round.hears(envelope.from, envelope.to) => {
                late(data).map_or(Fate::Drop, Fate::Delay)
            }
            _ => Fate::Deliver,
        }
    });
    let lags = |sim: &Sim<P>| {
        let honest = (0..size.instances()).filter(|node| !sim.setup().byzantine.contains(node));
        honest.into_iter().any(|node| height(sim, node) < HEIGHTS)
    };
    sim.run_while(END, lags).map_err(|error| format!("{error}\n{told}"))?;
    check(&sim, size.instances()).map_err(|reason| format!("{reason}\n{told}"))?;
    Ok(sim)
}

/// Every schedule, or so many of them, evenly spread.
fn twins<P: Protocol>(name: &'static str) {
    let size = Twins::new(VALIDATORS, 1, ROUNDS).unwrap();
    let campaign = Campaign::new(name, 0..FEW);
    let count = campaign.seeds().end - campaign.seeds().start;
    let stride = (size.count() / count.max(1)).max(1);
    // An odd stride meets every leader and split of every round.
    let stride = if stride > 1 { stride - 1 } else { 1 };
    let total: Schedules = campaign.run(|seed| {
        let sim = run::<P>(&size, seed * stride % size.count())?;
        let heard = sim.counters();
        let decided = u64::from((1..VALIDATORS).any(|node| height(&sim, node) > 0));
        Ok::<_, String>(Schedules { unheard: heard.filtered, late: heard.delayed, decided })
    });
    println!("{name}: {total:?}");
}

/// Two twinned validators of four are too many: with each half of them beside another honest one, all
/// the time, there is a fork, or else the schedules are not what they seem.
fn finds_a_fork<P: Protocol>(name: &str) {
    const LONG: usize = 2 * ROUNDS;
    let ways = Twins::new(VALIDATORS, 2, 1).unwrap().count();
    let size = Twins::new(VALIDATORS, 2, LONG).unwrap();
    let fork = (0..ways).find_map(|way| {
        let alike = (0..LONG).fold(0, |index, _| index * ways + way);
        let failure = run::<P>(&size, alike).err()?;
        failure.contains("fork").then_some((way, failure))
    });
    let (tried, fork) = fork.expect("two twinned validators fork the chain");
    println!("{name}: after {tried} schedules, {fork}");
}

/// What schedules add up to.
#[derive(Default, Debug)]
struct Schedules {
    unheard: u64,
    late: u64,
    decided: u64,
}

impl Total for Schedules {
    fn add(&mut self, other: &Self) {
        self.unheard += other.unheard;
        self.late += other.late;
        self.decided += other.decided;
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        vec![("partition", self.unheard), ("delay", self.late), ("decision", self.decided)]
    }
}

macro_rules! twin_campaigns {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn one_twinned_validator_of_four_harms_nobody() {
                twins::<$protocol>(concat!(stringify!($name), " twins"));
            }

            #[test]
            fn two_twinned_validators_of_four_fork_the_chain() {
                finds_a_fork::<$protocol>(stringify!($name));
            }
        }
    )*};
}

twin_campaigns! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}
