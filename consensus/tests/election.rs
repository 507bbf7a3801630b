//! Leaders by VRF: what it costs, exactly, and what it does when leaders crash, candidates lie, and
//! messages are late.

mod common;

use common::oracle::{Costs, DELTA, TIMEOUT, happy_in, lives, network, setup};
use common::{Event, Setup, Sim, check, height, simulate};
use pocket_consensus::{ElectionConfig, HotPokt, SeedRule};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::sortition::CommitteeSize;

/// How long replicas listen, in delays.
const WAIT: u64 = 3;

/// The network of the oracles, where everybody runs in every round.
fn elected(n: usize) -> Setup {
    let mut setup = setup(n);
    setup.config.election = Some(ElectionConfig {
        committee: CommitteeSize::new(CommitteeSize::MAX).unwrap(),
        wait: Duration(WAIT * DELTA),
        seed: SeedRule::Beacon { period: 10 },
    });
    setup
}

#[test]
fn an_elected_leader_s_block_costs_the_wait_and_the_announcements() {
    for n in [4, 7, 10] {
        let costs = happy_in::<HotPokt>(elected(n));
        let messages = (8 + n as u64) * (n as u64 - 1);
        assert_eq!(costs, Costs { leader: 6, all: 7, period: 8 + WAIT, messages });
    }
}
