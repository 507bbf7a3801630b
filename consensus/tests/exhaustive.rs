//! One replica through two rounds, in every order in which it can hear proposals and certificates, or
//! not hear them, or give up: among three validators who sign whatever they like.
//!
//! That is more than it can meet where one validator of four is Byzantine: certificates that
//! contradict each other are among them. Whatever it signs must be allowed by its paper
//! (`common/paper`) on the strength of what it has heard; agreement follows from there, as the papers
//! prove. The soup looks at four replicas together, by chance.
//!
//! `POCKET_STATES=70000 cargo test --release -p pocket-consensus exhaustive::` visits all states
//! of the chained protocols. HotPOKT, Tendermint and Simplex have more, of which that many are visited,
//! the nearest first.

use crate::common::world::{ALONE, Soup, Subject};
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Simplex, Tendermint,
};
use pocket_sim::soup::{Bounds, exhaust};

const ROUNDS: u64 = 2;

/// States of an ordinary run, and how many are enough for all of a chained protocol.
const FEW: u64 = 3_000;
const ALL_OF_A_CHAIN: u64 = 100_000;

/// Both where a liar leads every round, and where the replica itself does.
fn visit<P: Subject>(name: &str) {
    let states = std::env::var("POCKET_STATES").map_or(FEW, |text| {
        text.parse().unwrap_or_else(|_| panic!("POCKET_STATES is `{text}`, expected a number"))
    });
    for (leader, who) in [(0, "a liar leads"), (ALONE, "it leads")] {
        let world = Soup::<P>::alone(leader, 1, ROUNDS);
        let explored = exhaust(&world, &Bounds { states, crashes: false });
        let explored = explored.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let all = if explored.complete { "all" } else { "the nearest" };
        println!("{name}, {who}: {all} {} states, {} steps", explored.states, explored.steps);
        let is_chain = P::ID.links() > 1;
        assert!(explored.complete || !is_chain || states < ALL_OF_A_CHAIN, "{name}: {explored:?}");
    }
}

macro_rules! searches {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            visit::<$protocol>(stringify!($name));
        }
    )*};
}

searches! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}
