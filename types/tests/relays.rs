//! A relay is what was signed: each party can show what the other asked or answered, and no more.

mod common;

use common::*;
use pocket_types::codec::Bytes;
use pocket_types::hash::Hash;
use pocket_types::id::{Address, ChainId};
use pocket_types::key::{PublicKey, Signature};
use pocket_types::number::{Height, Timestamp};
use pocket_types::relay::{
    PayloadKind, RelayError, RelayHead, RelayProof, RelayRequest, RelayResponse, payload_hash, ring,
};
use pocket_types::session::SessionHeader;

const TIME: Timestamp = Timestamp(1_700_000_000_000);

fn response() -> (RelayHead, RelayResponse) {
    let head = relay_request(PayloadKind::JsonRpc).proof.head;
    let payload = Bytes::new(*b"{\"result\":1}").unwrap();
    (head.clone(), RelayResponse::sign(head.digest(), payload, TIME, &secret(0x30)))
}

#[test]
fn a_request_and_its_answer_hold() {
    let request = relay_request(PayloadKind::JsonRpc);
    assert_eq!(request.verify(), Ok(()));
    assert_eq!(request.proof.verify(), Ok(()));
    let (head, response) = response();
    assert_eq!(response.verify(&head), Ok(()));
}

#[test]
fn a_request_carries_the_payload_that_was_signed() {
    let request = relay_request(PayloadKind::JsonRpc);
    let payload = Bytes::new(*b"something else").unwrap();
    let refused =
        RelayError::Payload { got: payload_hash(&payload), expected: request.proof.head.payload };
    assert_eq!(RelayRequest { payload, ..request }.verify(), Err(refused));
}

#[test]
fn a_request_is_signed_as_a_whole() {
    let RelayRequest { proof, .. } = relay_request(PayloadKind::JsonRpc);
    let head = || proof.head.clone();
    let of = |session: SessionHeader| RelayHead { session, ..head() };
    let changed = [
        of(SessionHeader { network: ChainId(Hash([1; 32])), ..session() }),
        of(SessionHeader { start: Height(8), ..session() }),
        of(SessionHeader { chain: "0002".parse().unwrap(), ..session() }),
        of(SessionHeader { zone: "US01".parse().unwrap(), ..session() }),
        of(SessionHeader { application: address(1), ..session() }),
        RelayHead { servicer: address(0x31), ..head() },
        RelayHead { nonce: 10, ..head() },
        RelayHead { kind: PayloadKind::Rest, ..head() },
        RelayHead { payload: payload_hash(b"other"), ..head() },
    ];
    for head in changed {
        assert_ne!(head.digest(), proof.head.digest());
        let changed = RelayProof { head, ..proof.clone() };
        assert_eq!(changed.verify(), Err(RelayError::Signature));
    }
    let claimed = RelayProof { signer: secret(0x21).public_key(), ..proof.clone() };
    assert_eq!(claimed.verify(), Err(RelayError::Signature));
    let nobody = RelayProof { signer: PublicKey([2; 32]), ..proof.clone() };
    assert_eq!(nobody.verify(), Err(RelayError::Signature));
    let garbled = RelayProof { signature: Signature([7; 64]), ..proof };
    assert_eq!(garbled.verify(), Err(RelayError::Signature));
}

/// One request, however it is signed: a servicer can't count it twice.
#[test]
fn a_request_is_the_same_whoever_signs_it() {
    let sign = |signer| {
        let payload = Bytes::new(*b"ask").unwrap();
        RelayRequest::sign(session(), address(0x30), 1, PayloadKind::Raw, payload, &secret(signer))
    };
    assert_ne!(sign(1).proof.signature, sign(2).proof.signature);
    assert_eq!(sign(1).proof.head.digest(), sign(2).proof.head.digest());
}

#[test]
fn an_answer_belongs_to_its_request() {
    let (head, response) = response();
    let other = RelayHead { nonce: 10, ..head.clone() };
    let refused = RelayError::Request { got: head.digest(), expected: other.digest() };
    assert_eq!(response.verify(&other), Err(refused));
    let moved = RelayResponse { request: other.digest(), ..response };
    assert_eq!(moved.verify(&other), Err(RelayError::Signature));
}

#[test]
fn an_answer_comes_from_the_servicer_that_was_asked() {
    let (head, response) = response();
    let other = secret(0x31);
    let refused =
        RelayError::Signer { got: Address::of(&other.public_key()), expected: head.servicer };
    let payload = response.payload.clone();
    let foreign = RelayResponse::sign(head.digest(), payload, TIME, &other);
    assert_eq!(foreign.verify(&head), Err(refused));
    let claimed = RelayResponse { servicer: other.public_key(), ..response };
    assert_eq!(claimed.verify(&head), Err(refused));
}

#[test]
fn an_answer_is_signed_as_a_whole() {
    let (head, response) = response();
    let payload = Bytes::new(*b"{\"result\":2}").unwrap();
    let changed = [
        RelayResponse { payload, ..response.clone() },
        RelayResponse { time: Timestamp(TIME.0 + 1), ..response.clone() },
        RelayResponse { signature: Signature([7; 64]), ..response },
    ];
    for changed in changed {
        assert_eq!(changed.verify(&head), Err(RelayError::Signature));
    }
}

/// The same key signs requests and answers; neither passes for the other.
#[test]
fn requests_and_answers_are_signed_apart() {
    // A servicer asks itself, and gives the request's signature out as the answer's.
    let key = secret(0x30);
    let servicer = Address::of(&key.public_key());
    let payload = Bytes::new(*b"ask").unwrap();
    let request =
        RelayRequest::sign(session(), servicer, 1, PayloadKind::Raw, payload.clone(), &key);
    let RelayProof { head, signer, signature } = request.proof;
    let answer =
        RelayResponse { request: head.digest(), payload, time: TIME, servicer: signer, signature };
    assert_eq!(answer.verify(&head), Err(RelayError::Signature));
}

#[test]
fn a_ring_is_the_application_and_its_gateways_once_each() {
    let [a, b, c] = [1, 2, 3].map(|n| secret(n).public_key());
    let expected = {
        let mut keys = vec![a, b, c];
        keys.sort_unstable();
        keys
    };
    assert_eq!(ring(a, &[b, c]), expected);
    assert_eq!(ring(a, &[c, a, b, c]), expected);
    assert_eq!(ring(a, &[]), [a]);
}
