//! The soup: every message ever sent stays deliverable, in any order, any number of times, to real
//! replicas that crash wherever they can, beside a Byzantine one that signs what it likes.
//!
//! Every step is judged by oracles that share no code with the replicas (`common/paper.rs`): what is
//! signed is signed once, in order, stored first, and allowed by the paper; each round and phase has
//! one certificate; certificates are counted again; what is stored only moves forward; and all agree.
//!
//! `POCKET_SEEDS=60000 cargo test --release -p pocket-consensus soup::` takes so many walks of
//! each protocol.

use crate::common::world::{Soup, Subject};
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotPokt, HotStuff2, Jolteon, Simplex, Tendermint,
};
use pocket_sim::Campaign;
use pocket_sim::soup::{Walks, walk};

/// Seeds in an ordinary run.
const FEW: u64 = if cfg!(debug_assertions) { 40 } else { 400 };

/// Walks of a seed, all in one world: booting it costs more than a walk.
const WALKS: u64 = 20;

/// Random walks through worlds of one protocol: with each place among the leaders Byzantine, or none;
/// short ones and long ones.
fn walks<P: Subject + Sync>(name: &'static str) {
    // Three phases in three blocks take three rounds.
    let more = if P::ID.is_chained() { 2 } else { 0 };
    let worlds: Vec<Soup<P>> =
        [(&[0][..], 1, 4), (&[1], 1, 4), (&[2], 2, 3), (&[3], 1, 5), (&[2], 1, 3), (&[], 2, 3)]
            .map(|(byzantine, heights, rounds)| Soup::new(4, byzantine, heights, rounds + more))
            .into();
    let depths = [60, 100, 160];
    Campaign::new(name, 0..FEW).run(|seed| {
        let world = &worlds[(seed % worlds.len() as u64) as usize];
        let depth = depths[(seed / worlds.len() as u64 % depths.len() as u64) as usize];
        walk(world, seed * WALKS..(seed + 1) * WALKS, &Walks::new(depth))
    });
}

/// With two Byzantine validators of four, nothing is safe: the soup that finds nothing finds nothing.
fn finds_a_fork<P: Subject>() {
    let world = Soup::<P>::new(4, &[0, 2], 1, if P::ID.is_chained() { 6 } else { 4 });
    let found = walk(&world, 0..2_000, &Walks::new(100)).err();
    println!("{}", found.expect("two liars of four do harm"));
}

macro_rules! soups {
    ($($name:ident: $protocol:ty),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn keeps_its_promises_in_the_soup() {
                walks::<$protocol>(concat!(stringify!($name), " soup"));
            }

            #[test]
            fn breaks_with_two_byzantine_validators_of_four() {
                finds_a_fork::<$protocol>();
            }
        }
    )*};
}

soups! {
    hotpokt: HotPokt,
    tendermint: Tendermint,
    simplex: Simplex,
    chained_hotstuff: ChainedHotStuff,
    hotstuff2: HotStuff2,
    jolteon: Jolteon,
    fast_hotstuff: FastHotStuff,
}
