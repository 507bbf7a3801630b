//! Consensus: CPU of a decided height, beside malachite's core.
//!
//! **What is measured.** n validators of equal weight with links without delay decide one height
//! after the other in one thread, everybody awake. A height of all of them is what the protocol costs
//! all n together: divide by n for one validator. Of a network of a thousand, one follower and one
//! leader are measured by themselves; what they hear from others is made outside the clock.
//!
//! **Why both sides do the same.** The peer is the consensus core of malachite
//! (`arc-malachitebft-core-consensus`), which is Tendermint, and like ours a machine without I/O.
//!
//! - One loop drives both ([`network`]): one queue, first in, first out; each receiver of a broadcast
//!   clones the message, which stays in memory, since malachite's core has no encoding. That ours
//!   encodes and decodes besides is measured in rows of its own, by itself.
//! - Both sign and verify with the same keys and the same code, [`pocket_types::signature`], which
//!   checks ZIP-215 on curve25519-dalek with the vector instructions that it finds; keys are
//!   decompressed beforehand. (Malachite's own `signing-ed25519` uses another curve library, which
//!   has no vector code: it would be slower.) Ours checks in batches where the protocol lets it, and
//!   malachite's core asks for one signature after the other: that is a difference of the designs.
//!   Without signatures, neither side signs or checks anything, nor proves randomness or checks it.
//! - Both decide an empty block that the leader's host gives at once, everybody's host finds valid, and
//!   nobody stores. Both logs are dropped where they come out: what it takes to make their entries is
//!   in, writing them is not. Both begin the next height as soon as one is final, and drop late
//!   votes without checking them, except that ours keeps late ones for the next header.
//! - All validators of a side share one set with its decompressed keys (and our tables of them): a
//!   validator has a cache to itself, and a hundred in one process don't.
//! - Malachite's host is made the cheap way: addresses are found by binary search, votes are `Copy`, no timers, no metrics, no tracing subscriber. The decision's certificate is
//!   verified by malachite's own `VerifierExt`, as its core asks.
//! - Ours does more per height: headers carry the parent's certificate and a VRF proof, which the
//!   proposer makes and all others check; signatures bind chain, epoch and set.
//!
//! **What to expect.** Of malachite, from everybody to everybody a prevote and a precommit, and from
//! the proposer a proposal: (2 n + 1)(n - 1) messages. Everybody checks the proposal, n prevotes, and
//! precommits until it decides by q = floor(2n/3) + 1 of them, which it then checks again, as a
//! certificate: n (n + 2 q + 1) checks, each by itself. Of HotPOKT, from
//! each follower a NewRound and three votes to the leader, from the leader a proposal and three
//! certificates to everybody: 8 (n - 1) messages. The leader checks q - 1 signatures in one batch for
//! each of four phases; a follower the proposer's, and q in one batch for each of three certificates,
//! less those that it has seen: of the certificate in a header it checks what it did not decide by.
//! The bench prints messages, bytes and signatures by kind; those bound what can be checked.

mod free;
mod malachite;
mod network;
mod ours;

use std::time::Duration;

use pocket_benches::{Comparison, Throughput, Work, repeated};
use pocket_consensus::{HotPokt, Tendermint};

use malachite::Malachite;
use network::{Carriage, Crypto, Network, Node, Setup, Spent};
use ours::Ours;

fn main() {
    let mut comparison = Comparison::new("consensus");
    for n in [4, 31] {
        count::<Malachite>(&mut comparison, "malachite", n);
    }
    compare::<Ours<HotPokt>>(&mut comparison, "HotPOKT");
    compare::<Ours<Tendermint>>(&mut comparison, "Tendermint");
    comparison.finish();
}

/// One of our protocols beside malachite.
fn compare<N: Node>(comparison: &mut Comparison, name: &str) {
    for n in [4, 31] {
        count::<N>(comparison, name, n);
    }
    for n in sizes(comparison) {
        for (crypto, what) in CRYPTO {
            let memory = || Setup::new(n, crypto, Carriage::Memory);
            comparison.beside(
                format_args!("{name}, n={n}{what}"),
                Throughput::Elements(n),
                heights::<N>(memory()),
                ("malachite", heights::<Malachite>(memory())),
            );
        }
        comparison.alone(
            format_args!("{name}, n={n}, with encoding"),
            Throughput::Elements(n),
            heights::<N>(Setup::new(n, Crypto::Ed25519, Carriage::Wire)),
        );
    }
    let n = if comparison.measures() { 1_000 } else { 7 };
    for (role, spent) in ROLES {
        for (crypto, what) in CRYPTO {
            let memory = || Setup::new(n, crypto, Carriage::Memory);
            comparison.beside(
                format_args!("{name}, one {role} of {n}{what}"),
                Throughput::Elements(1),
                one::<N>(memory(), spent),
                ("malachite", one::<Malachite>(memory(), spent)),
            );
        }
    }
}

const CRYPTO: [(Crypto, &str); 2] = [(Crypto::Ed25519, ""), (Crypto::Off, ", no signatures")];

type Role = fn(Spent) -> Duration;

/// What one validator spends, by its role at a height.
const ROLES: [(&str, Role); 2] =
    [("follower", |spent| spent.follower), ("leader", |spent| spent.leader)];

fn sizes(comparison: &Comparison) -> Vec<u64> {
    if comparison.measures() { vec![4, 31, 100] } else { vec![4] }
}

/// All nodes decide a height.
fn heights<N: Node>(setup: Setup) -> impl Work {
    let mut network = Network::<N>::whole(setup);
    // The first height begins before anybody has said anything.
    network.decide();
    repeated(move || network.decide())
}

/// One node of many decides a height.
fn one<N: Node>(setup: Setup, spent: Role) -> impl Work {
    let mut network = Network::<N>::few(setup);
    network.decide_by_few();
    network.decide_by_few();
    move |times| (0..times).map(|_| spent(network.decide_by_few())).sum()
}

fn count<N: Node>(comparison: &mut Comparison, name: &str, n: u64) {
    let mut network = Network::<N>::whole(Setup::new(n, Crypto::Ed25519, Carriage::Memory));
    network.decide();
    network.sent = Some(Default::default());
    network.decide();
    for (kind, count) in network.sent.iter().flatten() {
        comparison.note(format_args!("{name}, n={n}: {kind}: {count}"));
    }
}
