//! How long a block takes and how many messages, in network delays, asserted exactly.

use crate::common::oracle::{Costs, DELTA, TIMEOUT, happy, lives, network, setup};
use pocket_consensus::HotPokt;
use pocket_types::number::{Round, Timestamp};

#[test]
fn hotpokt_decides_in_six_delays_with_eight_messages_a_replica() {
    for n in [4, 7, 10] {
        let costs = happy::<HotPokt>(n);
        assert_eq!(costs, Costs { leader: 6, all: 7, period: 8, messages: 8 * (n as u64 - 1) });
    }
}

#[test]
fn hotpokt_decides_eight_delays_after_a_crashed_leader_s_timeout() {
    let mut sim = network::<HotPokt>(setup(4), []);
    let dead = crate::common::node_of(&sim.process(0).unwrap().replica().leader(Round(0)));
    sim.crash(dead, None);
    sim.run_until(Timestamp(2 * TIMEOUT)).unwrap();
    let life = &lives(&sim)[&1];
    let last = *life.decided.values().max().unwrap();
    assert_eq!(last, TIMEOUT + 8 * DELTA);
}
