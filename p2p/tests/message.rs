//! The classes and their bodies, byte by byte.

use pocket_p2p::message::{
    MAX_REQUEST, MAX_RESPONSE, MessageClass, Outcome, Request, RequestId, RequestKind, Response,
};
use pocket_p2p::raintree::Envelope;
use pocket_types::block::Block;
use pocket_types::codec::{Bytes, Text, Wire, decode, encode};
use pocket_types::relay::{RelayRequest, RelayResponse};
use pocket_types::transaction::Transaction;
use proptest::prelude::*;

#[test]
fn classes_have_the_codes_of_the_wire() {
    let codes = MessageClass::ALL.map(MessageClass::code);
    assert_eq!(codes, [0, 1, 2, 3, 4]);
    for code in 0..=u8::MAX {
        let class = MessageClass::from_code(code);
        assert_eq!(class.map(MessageClass::code), (code < 5).then_some(code));
    }
}

#[test]
fn what_a_class_is_for_fits_into_it() {
    assert!(Block::MAX_BYTES < MessageClass::Consensus.max_bytes());
    assert!(Block::MAX_BYTES < MessageClass::Sync.max_bytes());
    assert!(Envelope::MAX_BYTES <= MessageClass::Gossip.max_bytes());
    const {
        assert!(RelayRequest::MAX_BYTES <= MAX_REQUEST && Transaction::MAX_BYTES <= MAX_REQUEST);
        assert!(RelayResponse::MAX_BYTES <= MAX_RESPONSE);
    }
    let largest = Request {
        id: RequestId(u64::MAX),
        kind: RequestKind::Relay,
        body: Bytes::new(vec![0; MAX_REQUEST]).unwrap(),
    };
    assert_eq!(encode(&largest).len(), MessageClass::Request.max_bytes());
    let outcome = Outcome::Answered(Bytes::new(vec![0; MAX_RESPONSE]).unwrap());
    let largest = Response { id: RequestId(u64::MAX), outcome };
    assert_eq!(encode(&largest).len(), MessageClass::Response.max_bytes());
}

#[test]
fn requests_and_responses_are_pinned() {
    let body = Bytes::new(*b"why").unwrap();
    let request = Request { id: RequestId(0x0807_0605), kind: RequestKind::Transaction, body };
    let expected =
        [&[5, 6, 7, 8, 0, 0, 0, 0][..], &[1, 0, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0], b"why"];
    assert_eq!(encode(&request), expected.concat());
    assert_eq!(decode(&expected.concat()), Ok(request));

    let refused = Outcome::Refused(Text::new("no").unwrap());
    let response = Response { id: RequestId(1), outcome: refused };
    let expected = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[1, 0, 0, 0], &[2, 0, 0, 0, 0, 0, 0, 0], b"no"];
    assert_eq!(encode(&response), expected.concat());
    assert_eq!(decode(&expected.concat()), Ok(response));
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        bytes in proptest::collection::vec(prop_oneof![0..3u8, any::<u8>()], 0..60),
    ) {
        if let Ok(request) = decode::<Request>(&bytes) {
            prop_assert_eq!(encode(&request), bytes.clone());
        }
        if let Ok(response) = decode::<Response>(&bytes) {
            prop_assert_eq!(encode(&response), bytes.clone());
        }
        if let Ok(envelope) = decode::<Envelope>(&bytes) {
            prop_assert_eq!(encode(&envelope), bytes);
        }
    }
}
