//! An attacker on the wire, who changes, repeats, reorders, cuts and makes up bytes.

use pocket_p2p::channel::{ChannelError, HandshakeError, MAX_HANDSHAKE_MESSAGE, SendError};
use pocket_p2p::message::MessageClass;
use pocket_types::key::SecretKey;
use proptest::prelude::*;

use crate::pair::{End, Pair, config};

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
                }
                let victim = if index % 2 == 0 { &pair.listener } else { &pair.dialler };
                assert!(!victim.is_established(), "byte {position} of message {index}");
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
}
