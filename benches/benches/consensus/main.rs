//! Consensus: CPU of a decided height, beside malachite's core.
mod malachite;
mod network;
mod ours;

use std::time::Duration;

use pocket_benches::{Comparison, Throughput, Work, repeated};

use malachite::Malachite;
use network::{Carriage, Crypto, Network, Node, Setup, Spent};
use ours::Ours;

fn main() {
    let mut comparison = Comparison::new("consensus");
    for n in [4, 31] {
        count::<Ours>(&mut comparison, "HotPOKT", n);
        count::<Malachite>(&mut comparison, "malachite", n);
    }
    for n in sizes(&comparison) {
        let memory = |crypto| Setup::new(n, crypto, Carriage::Memory);
        comparison.beside(
            format_args!("HotPOKT, n={n}"),
            Throughput::Elements(n),
            heights::<Ours>(memory(Crypto::Ed25519)),
            ("malachite", heights::<Malachite>(memory(Crypto::Ed25519))),
        );
        comparison.alone(
            format_args!("malachite, n={n}, no signatures"),
            Throughput::Elements(n),
            heights::<Malachite>(memory(Crypto::Off)),
        );
        comparison.alone(
            format_args!("HotPOKT, n={n}, with encoding"),
            Throughput::Elements(n),
            heights::<Ours>(Setup::new(n, Crypto::Ed25519, Carriage::Wire)),
        );
    }
    let n = if comparison.measures() { 1_000 } else { 7 };
    for (role, spent) in ROLES {
        let memory = |crypto| Setup::new(n, crypto, Carriage::Memory);
        comparison.beside(
            format_args!("HotPOKT, one {role} of {n}"),
            Throughput::Elements(1),
            one::<Ours>(memory(Crypto::Ed25519), spent),
            ("malachite", one::<Malachite>(memory(Crypto::Ed25519), spent)),
        );
        comparison.alone(
            format_args!("malachite, one {role} of {n}, no signatures"),
            Throughput::Elements(1),
            one::<Malachite>(memory(Crypto::Off), spent),
        );
    }
    comparison.finish();
}

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
