//! What several protocols are put through alike.

use std::collections::BTreeSet;
use std::ops::Range;

use pocket_consensus::Protocol;
use pocket_sim::{Fault, Plan};
use pocket_types::evidence::{Evidence, OffenceKind};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::vote::Phase;

use super::{Event, Setup, check, group, lowest, simulate_by};

/// Four validators, one of which restarts after each of these effects: all have this many blocks at the end.
pub fn restarts_after_any_effect<P: Protocol>(
    setup: &Setup,
    effects: Range<u64>,
    end: Timestamp,
    least: u64,
) {
    for node in [0, 1] {
        for effect in effects.clone() {
            let fault =
                Fault::CrashAtEffect { node, effect, down: Some(Duration(effect % 7 * 20)) };
            let mut sim = simulate_by::<P>(setup.clone(), 4, Plan::calm(1).with(fault));
            sim.run_until(end).unwrap();
            let what = format!("{:?}, effect {effect} of {node}", P::ID);
            check(&sim, 4).unwrap_or_else(|reason| panic!("{what}: {reason}"));
            assert_eq!(sim.counters().crashes, 1, "{what}");
            let lowest = lowest(&sim, 0..4);
            assert!(lowest >= least, "{what}: {lowest}");
        }
    }
}

/// One of four crashes after so many effects, again and again.
pub fn crashes_again_and_again<P: Protocol>(setup: Setup, turns: Range<u64>, effects: u64) {
    let mut plan = Plan::calm(3);
    for turn in turns {
        let (effect, down) = (turn * effects, Some(Duration(9)));
        plan = plan.with(Fault::CrashAtEffect { node: 1, effect, down });
    }
    let mut sim = simulate_by::<P>(setup, 4, plan);
    sim.run_until(Timestamp(4_000)).unwrap();
    check(&sim, 4).unwrap();
    assert!(sim.counters().crashes >= 30);
    assert!(lowest(&sim, 0..4) >= 15, "{}", lowest(&sim, 0..4));
}

/// Of four and of seven validators one equivocates in both phases: it divides nobody, and its evidence goes
/// into blocks, into one each.
pub fn an_equivocator_leaves_proof<P: Protocol>() {
    for n in [4, 7] {
        let mut setup = Setup::cheap(&vec![10; n]);
        setup.byzantine = group(&[1]);
        let mut sim = simulate_by::<P>(setup, n, Plan::calm(1));
        sim.run_until(Timestamp(5_000)).unwrap();
        check(&sim, n).unwrap();
        assert!(lowest(&sim, (0..n).filter(|&node| node != 1)) >= 20);
        let phases: BTreeSet<_> = sim
            .observations()
            .iter()
            .filter_map(|seen| match &seen.event {
                Event::Evidence(evidence) => match evidence.offence().kind {
                    OffenceKind::Equivocation(phase) => Some(phase),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        assert!(phases.contains(&Phase::Prepare) && phases.contains(&Phase::Commit), "{phases:?}");
        let in_blocks = sim.disk(0).chain.iter().flat_map(|entry| entry.block.evidence.iter());
        let ids: Vec<_> = in_blocks.map(Evidence::id).collect();
        assert!(!ids.is_empty(), "evidence goes into blocks");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "and into one each");
    }
}
