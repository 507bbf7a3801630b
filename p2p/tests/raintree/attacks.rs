//! What a member, a stranger or a stale view can't do to a broadcast.

use std::sync::Arc;

use pocket_p2p::raintree::partition::largest_share;
use pocket_p2p::raintree::{
    Envelope, EnvelopeError, Input, MessageId, Output, Payload, RainTree, RainTreeConfig,
    RainTreeError, Route, Segment, Topology, View, ViewError, ViewId,
};
use pocket_types::codec::{DecodeError, Wire, decode, encode};
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Timestamp};

use crate::network::{NOW, Network, key, payload, view};

const NODES: u32 = 30;

/// Node 0, with a view of everyone and of ten validators that it is one of.
fn victim(config: RainTreeConfig) -> RainTree {
    let mut tree = RainTree::new(key(0), config);
    for (segment, nodes) in [(Segment::Everyone, NODES), (Segment::Validators, 10)] {
        let _ = tree.handle(NOW, Input::ViewChanged(view(segment, nodes))).unwrap();
    }
    tree
}

fn envelope(bytes: &[u8], length: u32) -> Envelope {
    let segment = Segment::Everyone;
    Envelope {
        segment,
        view: view(segment, NODES).id(),
        id: MessageId::of(segment, bytes),
        route: Route::Range(length),
        payload: payload(bytes),
    }
}

fn receive(tree: &mut RainTree, from: PublicKey, envelope: Envelope) -> Vec<Output> {
    tree.handle(NOW, Input::Received { from, envelope }).unwrap().into_outputs()
}

fn refusal(outputs: Vec<Output>) -> EnvelopeError {
    match <[Output; 1]>::try_from(outputs) {
        Ok([Output::Refused { reason, .. }]) => reason,
        other => panic!("expected one refusal, got {other:?}"),
    }
}

fn delivers(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Deliver { .. }))
}

fn sends(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count()
}

#[test]
fn a_replay_costs_nothing_whatever_else_it_claims() {
    let mut tree = victim(RainTreeConfig::default());
    let first = receive(&mut tree, key(1), envelope(b"hello", 10));
    assert!(delivers(&first) && sends(&first) > 0);
    let variants = [
        envelope(b"hello", 10),
        envelope(b"hello", 1),
        Envelope { view: ViewId(Hash([9; 32])), ..envelope(b"hello", 10) },
        Envelope { payload: payload(b"other"), ..envelope(b"hello", 10) },
    ];
    for (index, replay) in variants.into_iter().enumerate() {
        assert_eq!(receive(&mut tree, key(2), replay), []);
        assert_eq!(tree.stats().duplicates, index as u64 + 1);
    }
}

/// Ranges start at their head's own place, so a larger one holds a smaller one.
#[test]
fn being_first_with_a_small_range_cuts_nobody_off() {
    let preempted = |by: Envelope| {
        let mut tree = victim(RainTreeConfig::default());
        assert!(delivers(&receive(&mut tree, key(1), by)));
        let outputs = receive(&mut tree, key(2), envelope(b"hello", 10));
        assert!(!delivers(&outputs));
        let served = outputs.iter().map(|output| match output {
            Output::Send { envelope: Envelope { route: Route::Range(length), .. }, .. } => *length,
            other => panic!("{other:?}"),
        });
        (served.sum::<u32>(), sends(&outputs))
    };
    assert_eq!(preempted(envelope(b"hello", 1)), (9, 1));
    assert_eq!(preempted(envelope(b"hello", 4)), (6, 1));
    let unknown = Envelope { view: ViewId(Hash([9; 32])), ..envelope(b"hello", 1) };
    assert_eq!(preempted(unknown), (9, 5));
}

/// The two halves of the answer to the attack above meet: nobody is served twice.
#[test]
fn asking_for_more_and_more_serves_each_node_once() {
    let mut tree = victim(RainTreeConfig::default());
    let mut served = Vec::new();
    for length in [3, 1, 4, 4, 9, 2, 10] {
        for output in receive(&mut tree, key(1), envelope(b"hello", length)) {
            if let Output::Send { to, envelope } = output {
                served.push((to, envelope.route));
            }
        }
    }
    let lengths: Vec<_> = served.iter().map(|(_, route)| *route).collect();
    assert_eq!(lengths, [1, 1, 1, 5, 1].map(Route::Range));
    let heads: std::collections::BTreeSet<_> = served.iter().map(|(to, _)| *to).collect();
    assert_eq!(heads.len(), 5);
}

#[test]
fn a_seen_message_is_checked_again_before_more_is_served() {
    let mut tree = victim(RainTreeConfig::default());
    let _ = receive(&mut tree, key(1), envelope(b"hello", 1));
    let forged = Envelope { payload: payload(b"noise"), ..envelope(b"hello", 10) };
    let reason = refusal(receive(&mut tree, key(1), forged));
    assert!(matches!(reason, EnvelopeError::ContentHash { .. }));
    let reason = refusal(receive(&mut tree, key(NODES), envelope(b"hello", 10)));
    assert!(matches!(reason, EnvelopeError::NotMember { .. }));
    let reason = refusal(receive(&mut tree, key(1), envelope(b"hello", 11)));
    assert_eq!(reason, EnvelopeError::Range { got: 11, max: 10 });
}

#[test]
fn our_own_broadcast_is_a_replay_when_it_comes_back() {
    let mut tree = victim(RainTreeConfig::default());
    let broadcast = || Input::Broadcast { segment: Segment::Everyone, payload: payload(b"hello") };
    assert!(!tree.handle(NOW, broadcast()).unwrap().into_outputs().is_empty());
    assert_eq!(receive(&mut tree, key(1), envelope(b"hello", 10)), []);
    assert_eq!(tree.handle(NOW, broadcast()).unwrap().into_outputs(), []);
}

#[test]
fn an_id_that_is_not_the_contents_hash_is_refused_and_does_not_censor_the_real_message() {
    let mut tree = victim(RainTreeConfig::default());
    let real = envelope(b"payment", 10);
    let forged = Envelope { payload: payload(b"noise"), ..real.clone() };
    let actual = MessageId::of(Segment::Everyone, b"noise");
    let reason = refusal(receive(&mut tree, key(1), forged));
    assert_eq!(reason, EnvelopeError::ContentHash { claimed: real.id, actual });
    assert!(delivers(&receive(&mut tree, key(2), real)));
}

#[test]
fn a_message_of_one_segment_is_another_in_the_other() {
    let [everyone, validators] =
        [Segment::Everyone, Segment::Validators].map(|s| MessageId::of(s, b"vote"));
    assert_ne!(everyone, validators);
    let mut tree = victim(RainTreeConfig::default());
    let moved = Envelope {
        segment: Segment::Validators,
        view: view(Segment::Validators, 10).id(),
        ..envelope(b"vote", 1)
    };
    let reason = refusal(receive(&mut tree, key(1), moved));
    assert_eq!(reason, EnvelopeError::ContentHash { claimed: everyone, actual: validators });
}

#[test]
fn a_range_that_no_sender_can_have_left_for_us_is_refused() {
    let max = largest_share(NODES);
    for got in [0, max + 1, NODES, u32::MAX] {
        let mut tree = victim(RainTreeConfig::default());
        let reason = refusal(receive(&mut tree, key(1), envelope(b"hello", got)));
        assert_eq!(reason, EnvelopeError::Range { got, max });
        // The message isn't lost by it.
        assert!(delivers(&receive(&mut tree, key(1), envelope(b"hello", max))));
    }
}

#[test]
fn a_level_that_the_view_does_not_have_is_refused() {
    let config = RainTreeConfig { topology: Topology::GoV1, ..RainTreeConfig::default() };
    for got in [5, 1 << 20, u32::MAX] {
        let mut tree = victim(config.clone());
        let high = Envelope { route: Route::Level(got), ..envelope(b"hello", 1) };
        let reason = refusal(receive(&mut tree, key(1), high));
        assert_eq!(reason, EnvelopeError::Level { got, max: 4 });
    }
    let mut tree = victim(config.clone());
    let top = Envelope { route: Route::Level(4), ..envelope(b"hello", 1) };
    assert_eq!(sends(&receive(&mut tree, key(1), top)), 6);
    let mut tree = victim(config);
    let reason = refusal(receive(&mut tree, key(1), envelope(b"hello", 1)));
    assert_eq!(reason, EnvelopeError::Topology);
}

#[test]
fn a_stranger_gets_nothing_into_a_segment() {
    let mut tree = victim(RainTreeConfig::default());
    // Not in the network at all; in the network and not a validator; by a view that nobody has.
    let staked = Envelope {
        segment: Segment::Validators,
        view: view(Segment::Validators, 10).id(),
        id: MessageId::of(Segment::Validators, b"vote"),
        ..envelope(b"vote", 1)
    };
    let unknown = Envelope { view: ViewId(Hash([9; 32])), ..staked.clone() };
    for (sender, envelope) in
        [(key(NODES), envelope(b"hello", 1)), (key(10), staked.clone()), (key(10), unknown.clone())]
    {
        let segment = envelope.segment;
        let reason = refusal(receive(&mut tree, sender, envelope));
        assert_eq!(reason, EnvelopeError::NotMember { sender, segment });
    }
    assert!(delivers(&receive(&mut tree, key(9), staked)));
}

#[test]
fn segments_that_we_are_not_in_are_not_served() {
    let mut tree = victim(RainTreeConfig::default());
    let segment = Segment::Servicers("0001".parse().unwrap());
    let foreign = Envelope { segment, ..envelope(b"hello", 1) };
    let reason = refusal(receive(&mut tree, key(1), foreign));
    assert_eq!(reason, EnvelopeError::UnknownSegment(segment));
    let input = Input::Broadcast { segment, payload: payload(b"hello") };
    assert_eq!(tree.handle(NOW, input).unwrap_err(), RainTreeError::NoView(segment));

    // We may know a segment's members without being one.
    let others = View::new(segment, (1..5).map(key).collect()).unwrap();
    let misdirected = Envelope {
        segment,
        view: others.id(),
        id: MessageId::of(segment, b"hello"),
        ..envelope(b"hello", 1)
    };
    let _ = tree.handle(NOW, Input::ViewChanged(Arc::new(others))).unwrap();
    let reason = refusal(receive(&mut tree, key(1), misdirected));
    assert_eq!(reason, EnvelopeError::Misdirected(segment));
    let input = Input::Broadcast { segment, payload: payload(b"hello") };
    assert_eq!(tree.handle(NOW, input).unwrap_err(), RainTreeError::NotMember(segment));
}

#[test]
fn a_message_by_an_unknown_view_is_delivered_and_not_passed_on() {
    let mut tree = victim(RainTreeConfig::default());
    let unknown = view(Segment::Everyone, NODES + 1).id();
    let outputs = receive(&mut tree, key(1), Envelope { view: unknown, ..envelope(b"hello", 9) });
    let segment = Segment::Everyone;
    let missing = Output::UnknownView { peer: key(1), segment, view: unknown };
    assert!(outputs.contains(&missing) && delivers(&outputs));
    assert_eq!(sends(&outputs), 0);
}

#[test]
fn a_message_under_way_outlives_a_change_of_view_but_not_many() {
    let config = RainTreeConfig::default();
    let mut tree = victim(config.clone());
    for change in 1..=config.max_views as u32 {
        let next = view(Segment::Everyone, NODES + change);
        let _ = tree.handle(NOW, Input::ViewChanged(next)).unwrap();
        let outputs = receive(&mut tree, key(1), envelope(&change.to_le_bytes(), 9));
        assert!(delivers(&outputs));
        let known = change < config.max_views as u32;
        assert_eq!(sends(&outputs) > 0, known, "after {change} changes");
    }
}

#[test]
fn saying_again_what_the_view_is_pushes_no_other_out() {
    let mut tree = victim(RainTreeConfig::default());
    for _ in 0..10 {
        let _ = tree.handle(NOW, Input::ViewChanged(view(Segment::Everyone, 40))).unwrap();
    }
    assert!(sends(&receive(&mut tree, key(1), envelope(b"hello", 9))) > 0);
}

#[test]
fn memory_is_bounded_in_number_and_time() {
    let config =
        RainTreeConfig { max_remembered: 10, remember: Duration(100), ..RainTreeConfig::default() };
    let mut tree = victim(config);
    for message in 0..15u8 {
        assert!(delivers(&receive(&mut tree, key(1), envelope(&[message], 1))));
    }
    assert_eq!(tree.stats().forgotten_early, 5);
    // The newest ten are known, the rest forgotten.
    assert_eq!(receive(&mut tree, key(1), envelope(&[14], 1)), []);
    assert!(delivers(&receive(&mut tree, key(1), envelope(&[0], 1))));
    // Time makes all of them new.
    let received = Input::Received { from: key(1), envelope: envelope(&[14], 1) };
    assert!(delivers(&tree.handle(Timestamp(NOW.0 + 100), received).unwrap().into_outputs()));
}

#[test]
fn what_is_kept_for_repair_is_bounded_in_bytes() {
    let config = RainTreeConfig { max_repair_bytes: 20_000, ..RainTreeConfig::default() };
    let mut tree = victim(config);
    let mut targets = Vec::new();
    for message in 0..4u8 {
        let payload = payload(&[message; 4_000]);
        let input = Input::Broadcast { segment: Segment::Everyone, payload };
        let outputs = tree.handle(NOW, input).unwrap().into_outputs();
        let Output::Send { to, envelope } = &outputs[0] else { panic!("{outputs:?}") };
        targets.push((*to, envelope.id));
    }
    let repaired = targets.into_iter().map(|(peer, id)| {
        tree.handle(NOW, Input::Unreachable { peer, id }).unwrap().into_outputs().len()
    });
    // 8 KiB each with the overhead: only the last two fit.
    assert_eq!(repaired.collect::<Vec<_>>(), [0, 0, 1, 1]);
}

#[test]
fn a_failure_that_concerns_nobody_changes_nothing() {
    let mut network = Network::new(NODES, &RainTreeConfig::default());
    network.broadcast(key(0), b"hello");
    let tree = network.nodes.get_mut(&key(0)).unwrap();
    let id = MessageId::of(Segment::Everyone, b"hello");
    let nobody = Input::Unreachable { peer: key(NODES), id };
    assert_eq!(tree.handle(NOW, nobody).unwrap().into_outputs(), []);
    let nothing = Input::Unreachable { peer: key(1), id: MessageId(Hash([1; 32])) };
    assert_eq!(tree.handle(NOW, nothing).unwrap().into_outputs(), []);
}

#[test]
fn segments_are_bounded() {
    let mut tree = RainTree::new(key(0), RainTreeConfig { max_segments: 1, ..Default::default() });
    let _ = tree.handle(NOW, Input::ViewChanged(view(Segment::Everyone, 3))).unwrap();
    let _ = tree.handle(NOW, Input::ViewChanged(view(Segment::Everyone, 4))).unwrap();
    let error = tree.handle(NOW, Input::ViewChanged(view(Segment::Validators, 3))).unwrap_err();
    let segment = Segment::Validators;
    assert_eq!(error, RainTreeError::TooManySegments { segment, max: 1 });
    assert_eq!(tree.view(Segment::Everyone).unwrap().len(), 4);
}

#[test]
fn views_are_what_their_members_are() {
    let shuffled = View::new(Segment::Everyone, vec![key(2), key(0), key(1)]).unwrap();
    assert_eq!(shuffled, *view(Segment::Everyone, 3));
    assert_ne!(shuffled.id(), view(Segment::Everyone, 4).id());
    assert_ne!(shuffled.id(), view(Segment::Validators, 3).id());
    let twice = View::new(Segment::Everyone, vec![key(2), key(0), key(2)]);
    assert_eq!(twice, Err(ViewError::Duplicate(key(2))));
    for (rank, member) in (0u32..).zip(shuffled.members()) {
        assert_eq!((shuffled.rank(member), shuffled.member(rank)), (Some(rank), Some(*member)));
    }
    assert_eq!((shuffled.rank(&key(3)), shuffled.member(3)), (None, None));
}

#[test]
fn an_envelope_has_one_encoding_and_a_bound() {
    let sent = Envelope {
        segment: Segment::Servicers("0001".parse().unwrap()),
        view: ViewId(Hash([2; 32])),
        id: MessageId(Hash([3; 32])),
        route: Route::Range(0x0102_0304),
        payload: payload(b"abc"),
    };
    let bytes = encode(&sent);
    let expected = [
        &[2, 0, 0, 0][..],
        b"0001",
        &[2; 32],
        &[3; 32],
        &[0, 0, 0, 0, 4, 3, 2, 1],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        b"abc",
    ];
    assert_eq!(bytes, expected.concat());
    assert_eq!(decode::<Envelope>(&bytes), Ok(sent));

    let trailing = [&bytes[..], &[0]].concat();
    assert_eq!(decode::<Envelope>(&trailing), Err(DecodeError::Trailing(1)));
    // A length that isn't there.
    let mut endless = bytes;
    endless[80..88].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(decode::<Envelope>(&endless), Err(DecodeError::Malformed(_))));
    let giant = vec![0; Envelope::MAX_BYTES + 1];
    assert!(matches!(decode::<Envelope>(&giant), Err(DecodeError::TooLong { .. })));
    assert!(Payload::new(vec![0; pocket_p2p::message::MAX_MESSAGE + 1]).is_err());
}
