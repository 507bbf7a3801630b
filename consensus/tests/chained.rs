//! Chained protocols: the oracles of each variant, and what all of them promise.

mod common;

use common::{Setup, check, height, simulate_by};
use pocket_consensus::{ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon, Protocol};
use pocket_sim::Plan;
use pocket_types::number::{Duration, Timestamp};

fn quick<P: Protocol>() {
    let mut sim = simulate_by::<P>(Setup::cheap(&[10; 4]), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    check(&sim, 4).unwrap();
    let heights: Vec<_> = (0..4).map(|node| height(&sim, node)).collect();
    println!("{:?} {heights:?} {:?}", P::ID, sim.counters().kinds);
}

#[test]
fn quickly() {
    quick::<ChainedHotStuff>();
    quick::<HotStuff2>();
    quick::<Jolteon>();
    quick::<FastHotStuff>();
}
