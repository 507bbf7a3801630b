//! The secure channel: who gets in, what comes through, and what an attacker can do about it.

mod harness;

use harness::{End, Pair, chain, config};
use pocket_p2p::channel::{
    ChannelConfig, ChannelError, HandshakeError, MAX_HANDSHAKE_MESSAGE, REKEY_BYTES, SendError,
};
use pocket_p2p::message::{MessageClass, PeerAddress};
use pocket_types::key::{KeyError, SecretKey};
use proptest::prelude::*;

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
fn a_dialler_of_another_chain_is_refused_by_name_too() {
    // A dialler that ignores what the listener says of its chain, as an attacker's may.
    let other = ChannelConfig { chain: chain(2), ..config() };
    let mut honest = Pair::new(End::dial(&other, 1, None, 11), End::accept(&other, 2, 12));
    let first = honest.dialler.take();
    honest.listener.receive(&first);
    // The listener under test shares the secrets of the honest one, and with them its handshake up
    // to the hello, which differs: the dialler's answer fits one of the two only.
    let mut listener = End::accept(&config(), 2, 12);
    listener.receive(&first);
    let answer = honest.listener.take();
    assert_ne!(listener.take(), answer);
    honest.dialler.receive(&answer);
    let third = honest.dialler.take();
    listener.receive(&third);
    assert_eq!(listener.error(), Some(&HandshakeError::Authentication));
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

#[test]
fn an_echo_of_our_own_messages_is_no_peer() {
    let mut dialler = End::dial(&config(), 1, None, 11);
    let first = dialler.take();
    dialler.receive(&first);
    assert_eq!(dialler.error(), Some(&HandshakeError::Authentication));
}

#[test]
fn two_diallers_or_two_listeners_get_nowhere() {
    let diallers =
        Pair::new(End::dial(&config(), 1, None, 11), End::dial(&config(), 2, None, 12)).run(9);
    assert_eq!(diallers.dialler.error(), Some(&HandshakeError::Authentication));
    assert_eq!(diallers.listener.error(), Some(&HandshakeError::Authentication));
    let listeners = Pair::new(End::accept(&config(), 1, 11), End::accept(&config(), 2, 12)).run(9);
    assert!(!listeners.dialler.is_established() && !listeners.listener.is_established());
}

/// Everything that each side of an honest handshake sends, message by message.
fn transcript() -> [Vec<u8>; 4] {
    let mut pair = Pair::friends();
    let first = pair.dialler.take();
    pair.listener.receive(&first);
    let second = pair.listener.take();
    pair.dialler.receive(&second);
    let third = pair.dialler.take();
    pair.listener.receive(&third);
    let fourth = pair.listener.take();
    [first, second, third, fourth]
}

#[test]
fn a_recorded_handshake_convinces_nobody() {
    let [first, second, third, fourth] = transcript();
    // Against a listener with a fresh seed.
    let mut listener = End::accept(&config(), 2, 99);
    listener.receive(&first);
    listener.receive(&third);
    assert_eq!(listener.error(), Some(&HandshakeError::Authentication));
    // Against a dialler with a fresh seed.
    let mut dialler = End::dial(&config(), 1, None, 99);
    dialler.receive(&second);
    dialler.receive(&fourth);
    assert_eq!(dialler.error(), Some(&HandshakeError::Authentication));
}

#[test]
fn every_changed_byte_of_a_handshake_is_noticed() {
    let messages = transcript();
    for (index, message) in messages.iter().enumerate() {
        for position in 0..message.len() {
            for bit in [0x01, 0x80] {
                let mut pair = Pair::friends();
                for (at, honest) in messages.iter().enumerate() {
                    let mut bytes = honest.clone();
                    if at == index {
                        bytes[position] ^= bit;
                    }
                    let end = if at % 2 == 0 { &mut pair.listener } else { &mut pair.dialler };
                    end.receive(&bytes);
                    // The victim's own answer may differ from the recorded one from here on.
                }
                let established = (pair.dialler.is_established(), pair.listener.is_established());
                // X25519 ignores a key's highest bit (RFC 7748, 5), the transcript doesn't.
                assert_ne!(established, (true, true), "byte {position} of message {index}");
            }
        }
    }
}

#[test]
fn a_handshake_cut_short_never_completes() {
    let messages = transcript();
    for (index, message) in messages.iter().enumerate() {
        for length in 0..message.len() {
            let mut pair = Pair::friends();
            for (at, honest) in messages[..index].iter().enumerate() {
                let end = if at % 2 == 0 { &mut pair.listener } else { &mut pair.dialler };
                end.receive(honest);
            }
            let end = if index % 2 == 0 { &mut pair.listener } else { &mut pair.dialler };
            end.receive(&message[..length]);
            assert!(!end.is_established() && end.error().is_none());
        }
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    // The points of small order on Curve25519, and their spellings beyond the field's order
    // (RFC 7748, 7; https://cr.yp.to/ecdh.html, "validate").
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in points {
        let point: Vec<u8> =
            (0..32).map(|i| u8::from_str_radix(&point[2 * i..2 * i + 2], 16).unwrap()).collect();
        for high_bit in [0, 0x80] {
            let mut first = 32u32.to_le_bytes().to_vec();
            first.extend(&point);
            *first.last_mut().unwrap() |= high_bit;
            let mut listener = End::accept(&config(), 2, 12);
            listener.receive(&first);
            assert_eq!(listener.error(), Some(&HandshakeError::LowOrderPoint));
            assert!(listener.out.is_empty());
        }
    }
}

#[test]
fn a_giant_handshake_message_is_refused_on_its_length_alone() {
    for got in [MAX_HANDSHAKE_MESSAGE + 1, u32::MAX] {
        let mut listener = End::accept(&config(), 2, 12);
        listener.receive(&got.to_le_bytes());
        let max = MAX_HANDSHAKE_MESSAGE;
        assert_eq!(listener.error(), Some(&HandshakeError::TooLong { got, max }));
    }
}

#[test]
fn any_change_to_any_part_of_a_frame_closes_the_channel_for_good() {
    let (mut a, _) = Pair::established().unwrap();
    let frame = a.send(MessageClass::Consensus, &[9; 66_000]).unwrap();
    // Sealed header, its tag; first chunk, its tag; second chunk, its tag.
    let chunk = 21 + 65_519 + 16;
    let last = frame.len() - 1;
    for position in [0, 1, 4, 5, 20, 21, 1000, chunk - 17, chunk - 16, chunk - 1, chunk, last] {
        let (_, mut b) = Pair::established().unwrap();
        let mut wire = frame.clone();
        wire[position] ^= 1;
        assert_eq!(b.receive(&wire), Err(ChannelError::Authentication), "byte {position}");
        // Not even the true bytes come through any more, nor does anything leave.
        assert_eq!(b.receive(&frame), Err(ChannelError::Authentication));
        let closed = SendError::Closed(ChannelError::Authentication);
        assert_eq!(b.send(MessageClass::Sync, b"hello"), Err(closed));
    }
}

#[test]
fn replayed_reordered_dropped_and_reflected_frames_close_the_channel() {
    let frames = || {
        let (mut a, b) = Pair::established().unwrap();
        let first = a.send(MessageClass::Consensus, b"first").unwrap();
        let second = a.send(MessageClass::Consensus, b"second").unwrap();
        (a, b, first, second)
    };
    let refused = Err(ChannelError::Authentication);

    let (_, mut b, first, _) = frames();
    b.receive(&first).unwrap();
    assert_eq!(b.receive(&first), refused, "replayed");

    let (_, mut b, _, second) = frames();
    assert_eq!(b.receive(&second), refused, "reordered, or the first dropped");

    let (mut a, _, first, _) = frames();
    assert_eq!(a.receive(&first), refused, "reflected");

    let (_, mut b, first, second) = frames();
    let truncated = [&first[..first.len() - 1], &second].concat();
    assert_eq!(b.receive(&truncated), refused, "truncated");
}

#[test]
fn a_frame_of_one_channel_means_nothing_on_another() {
    let (mut a, _) = Pair::established().unwrap();
    let frame = a.send(MessageClass::Sync, b"block").unwrap();
    let expected = SecretKey::from_seed([2; 32]).public_key();
    let dialler = End::dial(&config(), 1, Some(expected), 21);
    let mut other = Pair::new(dialler, End::accept(&config(), 2, 22)).run(usize::MAX);
    let refused = Err(ChannelError::Authentication);
    assert_eq!(other.listener.channel().receive(&frame), refused);
}

#[test]
fn an_identity_of_small_order_is_a_key_error_of_its_own() {
    // The rule that channels apply to identities is the one for keys that enter state.
    let mut identity = pocket_types::key::PublicKey([0; 32]);
    identity.0[0] = 1;
    assert_eq!(identity.validate(), Err(KeyError::Identity(identity)));
    let error = HandshakeError::from(KeyError::Identity(identity));
    assert!(error.to_string().contains("is the identity"));
}

proptest! {
    #[test]
    fn garbage_never_panics_nor_establishes(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        piece in 1usize..100,
        dials: bool,
    ) {
        let mut end = match dials {
            true => End::dial(&config(), 1, None, 11),
            false => End::accept(&config(), 2, 12),
        };
        bytes.chunks(piece).for_each(|bytes| end.receive(bytes));
        prop_assert!(!end.is_established());
    }

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
