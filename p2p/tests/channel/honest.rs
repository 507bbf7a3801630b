//! Two honest peers: who gets in and what comes through.

use pocket_p2p::channel::{ChannelConfig, HandshakeError, REKEY_BYTES, SendError};
use pocket_p2p::message::{MessageClass, PeerAddress};
use pocket_types::key::SecretKey;
use proptest::prelude::*;

use crate::pair::{End, Pair, chain, config};

#[test]
fn both_sides_learn_who_is_there_and_where_it_listens() {
    let listen = PeerAddress::new("10.0.0.1:26656").unwrap();
    let listening = ChannelConfig { listen: listen.clone(), ..config() };
    let dialler = End::dial(&listening, 1, None, 11);
    let mut pair = Pair::new(dialler, End::accept(&config(), 2, 12)).run(usize::MAX);
    let at_listener = pair.listener.channel().peer().clone();
    assert_eq!((at_listener.key, at_listener.listen), (pair.dialler.key.public_key(), listen));
    let at_dialler = pair.dialler.channel().peer().clone();
    assert_eq!(at_dialler.key, pair.listener.key.public_key());
    assert!(at_dialler.listen.is_empty());
}

#[test]
fn frames_of_every_size_and_class_arrive_whole_and_in_order() {
    let (mut a, mut b) = Pair::established().unwrap();
    let sizes = [0, 1, 20, 65_518, 65_519, 65_520, 131_038, 131_039, 1 << 20];
    for (sender, receiver) in [(0, 1), (1, 0)] {
        let channels = [&mut a, &mut b];
        let mut wire = Vec::new();
        let mut sent = Vec::new();
        for (class, size) in MessageClass::ALL.into_iter().cycle().zip(sizes) {
            let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
            wire.extend(channels[sender].send(class, &body).unwrap());
            sent.push((class, body));
        }
        let frames = channels[receiver].receive(&wire).unwrap();
        let frames: Vec<_> = frames.into_iter().map(|frame| (frame.class, frame.body)).collect();
        assert!(frames == sent);
    }
}

#[test]
fn the_largest_frame_of_each_class_passes_and_one_byte_more_is_refused() {
    let (mut a, mut b) = Pair::established().unwrap();
    for class in MessageClass::ALL {
        let max = class.max_bytes();
        let refused = a.send(class, &vec![0; max + 1]).unwrap_err();
        assert_eq!(refused, SendError::TooLong { class, got: max + 1, max });
        let wire = a.send(class, &vec![7; max]).unwrap();
        assert_eq!(b.receive(&wire).unwrap()[0].body.len(), max);
    }
}

#[test]
fn a_slow_peer_that_sends_byte_by_byte_gets_through() {
    let mut pair = Pair::friends().run(1);
    let wire = pair.dialler.channel().send(MessageClass::Gossip, &[5; 70_000]).unwrap();
    wire.chunks(1).for_each(|byte| pair.listener.receive(byte));
    assert_eq!(pair.listener.frames.len(), 1);
    assert_eq!(pair.listener.frames[0].body, [5; 70_000]);
}

#[test]
fn frames_right_behind_the_handshake_are_not_lost() {
    let mut pair = Pair::friends();
    loop {
        let there = pair.dialler.take();
        pair.listener.receive(&there);
        if pair.listener.is_established() {
            break;
        }
        let back = pair.listener.take();
        pair.dialler.receive(&back);
    }
    // The listener speaks before the dialler has seen its proof.
    let mut back = pair.listener.take();
    back.extend(pair.listener.channel().send(MessageClass::Sync, b"tip").unwrap());
    back.extend(pair.listener.channel().send(MessageClass::Sync, b"more").unwrap());
    pair.dialler.receive(&back);
    let bodies: Vec<_> = pair.dialler.frames.iter().map(|frame| &frame.body[..]).collect();
    assert_eq!(bodies, [&b"tip"[..], b"more"]);
}

#[test]
fn the_same_seeds_give_the_same_bytes_and_other_seeds_give_others() {
    let first = |seed| End::dial(&config(), 1, None, seed).out;
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}

#[test]
fn keys_change_with_volume_and_both_ends_keep_up() {
    let (mut a, mut b) = Pair::established().unwrap();
    let body = vec![3; 4 << 20];
    let rounds = 2 * REKEY_BYTES / body.len() as u64 + 1;
    for round in 0..rounds {
        let wire = a.send(MessageClass::Sync, &body).unwrap();
        assert_eq!(b.receive(&wire).unwrap()[0].body.len(), body.len(), "frame {round}");
    }
    // The other direction has a count and a key of its own.
    let wire = b.send(MessageClass::Sync, b"thanks").unwrap();
    assert_eq!(a.receive(&wire).unwrap()[0].body, b"thanks");
}

#[test]
fn a_peer_of_another_chain_is_refused_by_name_before_we_say_who_we_are() {
    let other = ChannelConfig { chain: chain(2), ..config() };
    let mut pair = Pair::new(End::dial(&config(), 1, None, 11), End::accept(&other, 2, 12));
    let first = pair.dialler.take();
    pair.listener.receive(&first);
    let answer = pair.listener.take();
    pair.dialler.receive(&answer);
    let (expected, received) = (chain(1), chain(2));
    assert_eq!(pair.dialler.error(), Some(&HandshakeError::WrongChain { expected, received }));
    assert!(pair.dialler.out.is_empty());
}

#[test]
fn whoever_answers_in_place_of_the_expected_peer_is_refused() {
    let expected = SecretKey::from_seed([3; 32]).public_key();
    let pair =
        Pair::new(End::dial(&config(), 1, Some(expected), 11), End::accept(&config(), 2, 12))
            .run(usize::MAX);
    let received = pair.listener.key.public_key();
    let refused = HandshakeError::UnexpectedPeer { expected, received };
    assert_eq!(pair.dialler.error(), Some(&refused));
}

#[test]
fn a_node_that_dials_itself_notices() {
    let pair =
        Pair::new(End::dial(&config(), 1, None, 11), End::accept(&config(), 1, 12)).run(usize::MAX);
    let own = pair.listener.key.public_key();
    assert_eq!(pair.listener.error(), Some(&HandshakeError::OwnIdentity(own)));
}

proptest! {
    #[test]
    fn frames_survive_any_cut_of_the_stream(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
        cuts in proptest::collection::vec(1usize..400, 1..10),
    ) {
        let (mut a, mut b) = Pair::established().unwrap();
        let mut wire = Vec::new();
        for body in &bodies {
            wire.extend(a.send(MessageClass::Request, body).unwrap());
        }
        let (mut rest, mut received) = (&wire[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            received.extend(b.receive(now).unwrap().into_iter().map(|frame| frame.body));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(received, bodies);
    }
}
