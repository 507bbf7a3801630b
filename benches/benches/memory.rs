//! What a replica holds in memory: the bytes on the heap that are free once it is dropped.
//!
//! One follower and one leader among a thousand validators, as in the bench of consensus, after a few
//! heights, when the votes of the last are in. What all replicas of a process may share (the validator
//! set with its decompressed keys) is counted apart. Counts, not times: they are the same in each run.
//!
//! **The bound.** What peers can make a replica keep is bounded by its `Config` and the set: votes of
//! `round_window` rounds ahead of its own and as many behind, one slot a validator and phase; messages
//! for the next height up to `max_early_bytes`; `max_bodies` blocks that nobody certified, of at most
//! `max_block_bytes`; `max_evidence` pieces of evidence. The bench prints what that comes to.
//!
//! The counting allocator is `dhat`'s; it makes everything slow, so nothing here is timed.

#[path = "consensus/free.rs"]
mod free;
#[expect(dead_code, reason = "the bench of consensus measures more")]
#[path = "consensus/network.rs"]
mod network;
#[path = "consensus/ours.rs"]
mod ours;

use pocket_consensus::{Config, HotPokt, Tendermint};

use network::{Carriage, Crypto, Network, Node, Setup};
use ours::Ours;

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

fn main() {
    let _counting = dhat::Profiler::builder().testing().build();
    let n = if std::env::args().any(|argument| argument == "--bench") { 1_000 } else { 7 };
    println!("\nmemory of one replica of {n}, in KiB");
    weigh::<Ours<HotPokt>>("HotPOKT", n);
    weigh::<Ours<Tendermint>>("Tendermint", n);
    let Config { round_window, max_early_bytes, max_bodies, max_block_bytes, .. } =
        Config::default();
    // A slot is a signature, a place and two flags; a phase has one for each validator.
    let slot = 64 + 32;
    let votes = (2 * round_window + 1) * 4 * n * slot;
    let bodies = (max_bodies * max_block_bytes) as u64;
    println!(
        "  most that peers can add: votes {}, the next height's messages {}, blocks that nobody \
         certified {}",
        votes >> 10,
        max_early_bytes >> 10,
        bodies >> 10,
    );
}

fn held() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// What becomes free when something is dropped.
fn freed(drop: impl FnOnce()) -> usize {
    let before = held();
    drop();
    before.saturating_sub(held())
}

fn weigh<N: Node>(name: &str, n: u64) {
    let setup = Setup::new(n, Crypto::Ed25519, Carriage::Memory);
    let before = held();
    let first = N::new(&setup, 0);
    let shared = held() - before;
    let second = freed(|| drop(N::join(&first, &setup, 1)));
    drop(first);
    let mut network = Network::<N>::few(setup);
    for _ in 0..3 {
        network.decide_by_few();
    }
    let (leader, follower) = leader_and_follower(&mut network);
    let leader = freed(|| drop(leader));
    let follower = freed(|| drop(follower));
    println!(
        "  {name}: set and keys, shared {}, a replica that has begun {}, the next leader with the \
         votes of a height {}, a follower {}",
        shared >> 10,
        second >> 10,
        leader >> 10,
        follower >> 10,
    );
}

/// The leader of the height that begins, and a follower: they leave.
fn leader_and_follower<N: Node>(network: &mut Network<N>) -> (Option<N>, Option<N>) {
    let place = network.follower.expect("a network of few");
    let follower = network.nodes[place].as_ref().expect("the follower runs");
    let leader = follower.leader(follower.height());
    (network.nodes[leader].take(), network.nodes[place].take())
}
