//! The channel against a peer that speaks Noise perfectly and lies in what it says through it.

use pocket_p2p::channel::{ChannelError, HandshakeError, VERSION};
use pocket_p2p::message::MessageClass;
use pocket_types::hash::Hash;
use pocket_types::key::{KeyError, PublicKey, SecretKey};
use pocket_types::signature::SignatureError;

use crate::pair::{End, chain, config};
use crate::stranger::{Hello, INITIATOR, RESPONDER, Stranger, Transport, framed, proof, unframed};

fn honest() -> Hello {
    Hello { version: VERSION, chain: chain(1), listen: b"10.0.0.9:1".to_vec() }
}

fn liar() -> SecretKey {
    SecretKey::from_seed([66; 32])
}

/// Dials a listener, saying this hello and the proof made for the handshake's hash.
fn dial(hello: &[u8], proof: impl Fn(Hash) -> Vec<u8>) -> (End, Transport) {
    let mut listener = End::accept(&config(), 2, 12);
    let mut stranger = Stranger::new(INITIATOR);
    listener.receive(&stranger.write(&[]));
    let answer = unframed(&listener.take());
    stranger.read(&answer[0]);
    listener.receive(&stranger.write(hello));
    let hash = stranger.hash();
    let mut transport = stranger.into_transport();
    let sealed = transport.seal(&proof(hash));
    listener.receive(&framed(&sealed));
    (listener, transport)
}

fn dial_error(hello: &[u8], proof: impl Fn(Hash) -> Vec<u8>) -> HandshakeError {
    let (listener, _) = dial(hello, proof);
    assert!(listener.out.is_empty(), "who isn't accepted learns nothing of us");
    listener.error().expect("it must not get in").clone()
}

fn own_proof(hash: Hash) -> Vec<u8> {
    proof(&liar(), hash, chain(1), INITIATOR)
}

#[test]
fn another_implementation_of_the_description_gets_in_from_either_side() {
    let (mut listener, mut transport) = dial(&honest().bytes(), own_proof);
    assert_eq!(listener.channel().peer().key, liar().public_key());
    assert_eq!(&*listener.channel().peer().listen, "10.0.0.9:1");
    let answers = unframed(&listener.take());
    let listeners_proof = transport.open(&answers[0]);
    assert_eq!(listeners_proof[..32], listener.key.public_key().0);

    let body = vec![7; 65_520];
    let length = (body.len() as u32).to_le_bytes();
    let header = [&[MessageClass::Sync.code()][..], &length].concat();
    for part in [&header[..], &body[..65_519], &body[65_519..]] {
        let sealed = transport.seal(part);
        listener.receive(&sealed);
    }
    assert_eq!((listener.frames[0].class, &listener.frames[0].body), (MessageClass::Sync, &body));
    let wire = listener.channel().send(MessageClass::Gossip, b"yes").unwrap();
    assert_eq!(transport.open(&wire[..21]), [2, 3, 0, 0, 0]);
    assert_eq!(transport.open(&wire[21..]), b"yes");

    let mut dialler = End::dial(&config(), 1, Some(liar().public_key()), 11);
    let mut stranger = Stranger::new(RESPONDER);
    stranger.read(&unframed(&dialler.take())[0]);
    dialler.receive(&stranger.write(&honest().bytes()));
    let messages = unframed(&dialler.take());
    assert_eq!(messages.len(), 2, "hello and proof leave together");
    assert_eq!(stranger.read(&messages[0])[..36], honest().bytes()[..36]);
    let hash = stranger.hash();
    let mut transport = stranger.into_transport();
    assert_eq!(transport.open(&messages[1]), proof(&dialler.key, hash, chain(1), INITIATOR));
    let sealed = transport.seal(&proof(&liar(), hash, chain(1), RESPONDER));
    dialler.receive(&framed(&sealed));
    assert_eq!(dialler.channel().peer().key, liar().public_key());
}

#[test]
fn other_chains_and_versions_are_refused_by_name() {
    let other = Hello { chain: chain(2), ..honest() };
    let (expected, received) = (chain(1), chain(2));
    let error = dial_error(&other.bytes(), own_proof);
    assert_eq!(error, HandshakeError::WrongChain { expected, received });
    let newer = Hello { version: VERSION + 1, ..honest() };
    let error = dial_error(&newer.bytes(), own_proof);
    let (expected, received) = (VERSION, VERSION + 1);
    assert_eq!(error, HandshakeError::Version { expected, received });
}

#[test]
fn a_hello_that_is_none_is_refused() {
    let bytes = honest().bytes();
    let trailing = [&bytes[..], &[0]].concat();
    let long = Hello { listen: vec![b'a'; 257], ..honest() }.bytes();
    let control = Hello { listen: b"\x1b[2J".to_vec(), ..honest() }.bytes();
    for hello in [&[][..], &bytes[..bytes.len() - 1], &trailing, &long, &control] {
        let error = dial_error(hello, own_proof);
        assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
    }
}

#[test]
fn an_identity_is_proved_by_its_own_key_over_this_handshake_chain_and_side() {
    let victim = SecretKey::from_seed([5; 32]);
    let claim_of_victim =
        |signature: Vec<u8>| [&victim.public_key().0[..], &signature[32..]].concat();
    let lies: [&dyn Fn(Hash) -> Vec<u8>; 4] = [
        // Somebody else's identity over our signature.
        &|hash| claim_of_victim(own_proof(hash)),
        // A proof from another handshake.
        &|_| own_proof(Hash([9; 32])),
        // A proof for another chain.
        &|hash| proof(&liar(), hash, chain(2), INITIATOR),
        // A proof of the other side: what a reflected one would be.
        &|hash| proof(&liar(), hash, chain(1), RESPONDER),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let error = dial_error(&honest().bytes(), lie);
        let mismatch = matches!(error, HandshakeError::Identity(SignatureError::Mismatch { .. }));
        assert!(mismatch, "lie {index}: {error}");
    }
}

#[test]
fn a_key_for_which_anybody_can_sign_is_no_identity() {
    // Under the identity element, R = S B verifies for every message.
    let mut identity = PublicKey([0; 32]);
    identity.0[0] = 1;
    let forged = |_| [&identity.0[..], &identity.0, &[0; 32]].concat();
    let error = dial_error(&honest().bytes(), forged);
    assert_eq!(error, HandshakeError::Key(KeyError::Identity(identity)));
}

#[test]
fn a_man_in_the_middle_cannot_pass_a_proof_on() {
    // He runs a handshake with each side and forwards the dialler's proof to the listener.
    let mut dialler = End::dial(&config(), 1, None, 11);
    let mut to_dialler = Stranger::new(RESPONDER);
    to_dialler.read(&unframed(&dialler.take())[0]);
    dialler.receive(&to_dialler.write(&honest().bytes()));
    let messages = unframed(&dialler.take());
    to_dialler.read(&messages[0]);
    let stolen = to_dialler.into_transport().open(&messages[1]);
    let error = dial_error(&honest().bytes(), |_| stolen.clone());
    assert!(matches!(error, HandshakeError::Identity(SignatureError::Mismatch { .. })), "{error}");
}

#[test]
fn the_first_message_carries_nothing() {
    let mut listener = End::accept(&config(), 2, 12);
    let mut stranger = Stranger::new(INITIATOR);
    listener.receive(&stranger.write(b"early"));
    assert_eq!(listener.error(), Some(&HandshakeError::Authentication));
}

#[test]
fn proofs_of_the_wrong_size_are_refused() {
    for proof in [&[][..], &[0; 95], &[0; 97]] {
        let error = dial_error(&honest().bytes(), |_| proof.to_vec());
        assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
    }
}

#[test]
fn an_authenticated_peer_is_held_to_the_bounds_too() {
    let header = |code: u8, length: u32| [&[code][..], &length.to_le_bytes()].concat();
    for class in MessageClass::ALL {
        for got in [class.max_bytes() as u32 + 1, u32::MAX] {
            let (mut listener, mut transport) = dial(&honest().bytes(), own_proof);
            let sealed = transport.seal(&header(class.code(), got));
            let max = class.max_bytes();
            let refused = Err(ChannelError::TooLong { class, got, max });
            assert_eq!(listener.channel().receive(&sealed), refused);
        }
    }
    let (mut listener, mut transport) = dial(&honest().bytes(), own_proof);
    let sealed = transport.seal(&header(5, 0));
    let refused = Err(ChannelError::UnknownClass(5));
    assert_eq!(listener.channel().receive(&sealed), refused);
}

#[test]
fn a_frame_cut_differently_than_the_protocol_says_is_refused() {
    // A header in two pieces, a body in pieces of the sender's choice.
    let (mut listener, mut transport) = dial(&honest().bytes(), own_proof);
    let pieces = [transport.seal(&[1, 4]), transport.seal(&[0, 0, 0])].concat();
    assert_eq!(listener.channel().receive(&pieces), Err(ChannelError::Authentication));
    let (mut listener, mut transport) = dial(&honest().bytes(), own_proof);
    let header = transport.seal(&[1, 4, 0, 0, 0]);
    assert_eq!(listener.channel().receive(&header), Ok(vec![]));
    let body = [transport.seal(b"ab"), transport.seal(b"cd")].concat();
    assert_eq!(listener.channel().receive(&body), Err(ChannelError::Authentication));
}
