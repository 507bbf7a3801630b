//! A broadcast reaches every node exactly once, fast, and without much work for anybody.

use pocket_p2p::raintree::partition::{largest_share, levels, shares};
use pocket_p2p::raintree::permutation::Permutation;
use pocket_p2p::raintree::{Input, MessageId, Output, RainTreeConfig, Segment, Topology};
use pocket_types::hash::Hash;
use pocket_types::machine::Machine;
use proptest::prelude::*;

use crate::network::{NOW, Network, key, payload};

fn id(seed: u64) -> MessageId {
    MessageId::of(Segment::Everyone, &seed.to_le_bytes())
}

/// Walks the tree that starts at a place: whom it reaches, how often, how fast, with what work.
fn check_tree(nodes: u32, originator: u32, rank_at: impl Fn(u32) -> u32) {
    let mut reached = vec![0u32; nodes as usize];
    let mut heads = vec![(originator, nodes, 0)];
    while let Some((place, length, hop)) = heads.pop() {
        reached[rank_at(place) as usize] += 1;
        assert!(hop <= levels(nodes), "{nodes} nodes: {hop} hops");
        let before = heads.len();
        for share in shares(length) {
            assert!(share.length <= largest_share(nodes));
            heads.push(((place + share.offset) % nodes, share.length, hop + 1));
        }
        let sends = heads.len() - before;
        assert!(sends <= 2 * levels(nodes) as usize, "{nodes} nodes: {sends} sends");
    }
    assert!(
        reached.iter().all(|times| *times == 1),
        "{nodes} nodes from {originator}: {reached:?}"
    );
}

#[test]
fn every_originator_of_every_network_up_to_400_reaches_everyone_once() {
    for nodes in 1..=400 {
        // Every place is somebody's; which rank's it is doesn't change the tree.
        (0..nodes).for_each(|place| check_tree(nodes, place, |place| place));
    }
}

#[test]
fn every_size_up_to_400_and_some_large_ones_are_covered_in_their_order() {
    for nodes in (1..=400).chain([729, 1_000, 2_187, 10_000, 59_049, 59_050]) {
        let order = Permutation::new(id(7), nodes);
        check_tree(nodes, order.place_of(nodes / 2), |place| order.rank_at(place));
    }
}

#[test]
fn the_depth_is_the_logarithm_to_base_three() {
    for nodes in 1..=20_000u32 {
        let expected = (0..).find(|power| 3u32.pow(*power) >= nodes).unwrap();
        assert_eq!(levels(nodes), expected, "{nodes} nodes");
    }
    assert_eq!(levels(u32::MAX), 21);
    assert_eq!(levels(0), 0);
}

#[test]
fn the_order_of_a_message_is_a_permutation() {
    for nodes in (1..=300).chain([1_023, 1_024, 1_025, 4_096, 4_097]) {
        let order = Permutation::new(id(u64::from(nodes)), nodes);
        let mut seen = vec![false; nodes as usize];
        for place in 0..nodes {
            let rank = order.rank_at(place);
            assert!(!std::mem::replace(&mut seen[rank as usize], true), "{rank} of {nodes} twice");
            assert_eq!(order.place_of(rank), place);
        }
    }
    let order = Permutation::new(id(0), 5);
    assert_eq!((order.rank_at(5), order.place_of(u32::MAX)), (5, u32::MAX));
}

/// Nobody sits at a critical point of everyone's tree: over many messages each rank stands at each
/// place about equally often.
#[test]
fn no_rank_prefers_a_place() {
    const MESSAGES: u64 = 6_000;
    for nodes in [2, 3, 5, 9, 16, 27] {
        let mut counts = vec![0u64; (nodes * nodes) as usize];
        for message in 0..MESSAGES {
            let order = Permutation::new(id(message), nodes);
            for place in 0..nodes {
                counts[(place * nodes + order.rank_at(place)) as usize] += 1;
            }
        }
        let expected = MESSAGES as f64 / f64::from(nodes);
        let square = |count: &u64| (*count as f64 - expected).powi(2) / expected;
        let chi: f64 = counts.iter().map(square).sum();
        let freedom = f64::from((nodes - 1) * (nodes - 1));
        // Fixed messages, so this never flickers; six standard deviations leave room for none.
        assert!(chi < freedom + 6.0 * (2.0 * freedom).sqrt(), "{nodes} nodes: {chi}");
    }
}

#[test]
fn the_order_of_a_message_is_part_of_the_protocol() {
    let order = Permutation::new(MessageId(Hash([7; 32])), 10);
    let ranks: Vec<_> = (0..10).map(|place| order.rank_at(place)).collect();
    assert_eq!(ranks, [9, 2, 7, 1, 0, 3, 5, 4, 6, 8]);
}

#[test]
fn machines_deliver_to_everyone_but_the_originator_once() {
    for nodes in [1, 2, 3, 4, 5, 9, 10, 27, 28, 100] {
        let mut network = Network::new(nodes, &RainTreeConfig::default());
        for message in 0..3u32 {
            let from = key(message % nodes);
            let report = network.broadcast(from, &message.to_le_bytes());
            assert_eq!(report.deliveries.len() as u32, nodes - 1);
            assert!(!report.deliveries.contains_key(&from));
            for hops in report.deliveries.values() {
                assert!(hops.len() == 1 && hops[0] <= levels(nodes));
            }
            let sends: u32 = report.sends.values().sum();
            assert_eq!(sends, nodes - 1, "exactly one copy each");
            assert!(report.sends.values().all(|sends| *sends <= 2 * levels(nodes)));
            assert!(report.refused.is_empty());
        }
    }
}

#[test]
fn machines_follow_the_go_codes_tree_when_told_to() {
    let config = RainTreeConfig { topology: Topology::GoV1, ..RainTreeConfig::default() };
    let mut network = Network::new(27, &config);
    let report = network.broadcast(key(5), b"hello");
    assert_eq!(report.deliveries.len(), 26);
    assert!(report.deliveries.values().all(|hops| hops.len() == 1));
    assert_eq!((report.sends.values().sum::<u32>(), report.refused.len()), (26, 0));
}

proptest! {
    #[test]
    fn any_tree_is_exact(nodes in 1u32..5_000, pick: u32, message: u64) {
        let order = Permutation::new(id(message), nodes);
        check_tree(nodes, order.place_of(pick % nodes), |place| order.rank_at(place));
    }

    /// Whoever is dead, the living all hear of it once, as long as senders notice whom they can't
    /// reach.
    #[test]
    fn the_living_are_reached_whoever_is_dead(
        nodes in 2u32..120,
        dead in proptest::collection::btree_set(0u32..120, 0..100),
        message: u64,
    ) {
        let mut network = Network::new(nodes, &RainTreeConfig::default());
        network.dead = dead.iter().filter(|index| **index < nodes).map(|i| key(*i)).collect();
        let alive: Vec<_> = (0..nodes).map(key).filter(|k| !network.dead.contains(k)).collect();
        prop_assume!(!alive.is_empty());
        let report = network.broadcast(alive[0], &message.to_le_bytes());
        prop_assert_eq!(report.deliveries.len(), alive.len() - 1);
        prop_assert!(report.deliveries.values().all(|hops| hops.len() == 1));
        prop_assert!(report.refused.is_empty(), "{:?}", report.refused);
        let sends: u32 = report.sends.values().sum();
        prop_assert!(sends < nodes, "each node, dead or alive, is tried once");
    }
}

#[test]
fn repair_is_let_go_after_a_while() {
    let config = RainTreeConfig::default();
    let mut network = Network::new(27, &config);
    let own = key(0);
    let tree = network.nodes.get_mut(&own).unwrap();
    let input = Input::Broadcast { segment: Segment::Everyone, payload: payload(b"late") };
    let outputs = tree.handle(NOW, input).unwrap().into_outputs();
    let Output::Send { to, envelope } = &outputs[0] else { panic!("{outputs:?}") };
    let unreachable = Input::Unreachable { peer: *to, id: envelope.id };
    let late = NOW.after(config.repair);
    assert_eq!(tree.next_deadline(), Some(late));
    assert_eq!(tree.handle(late, unreachable).unwrap().into_outputs(), []);
    assert_eq!(tree.next_deadline(), None);
}
