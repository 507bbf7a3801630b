//! Token buckets: what a peer may send, and when it may again.

use std::collections::BTreeMap;

use pocket_p2p::limit::{Rate, RateConfig, RateError, RateLimiter};
use pocket_p2p::message::{MAX_FRAME, MessageClass};
use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};
use proptest::prelude::*;

const A: PublicKey = PublicKey([1; 32]);
const B: PublicKey = PublicKey([2; 32]);
const GOSSIP: MessageClass = MessageClass::Gossip;

fn limiter() -> RateLimiter {
    let rate = Rate { messages: 10, message_burst: 5, bytes: 1_000, byte_burst: 2_000 };
    RateLimiter::new(RateConfig { rates: BTreeMap::from([(GOSSIP, rate)]), max_peers: 2 })
}

fn exceeded(retry_after: u64) -> Result<(), RateError> {
    let retry_after = Duration(retry_after);
    Err(RateError::Exceeded { peer: A, class: GOSSIP, retry_after })
}

#[test]
fn a_burst_passes_and_the_next_message_waits_exactly_as_long_as_it_is_told() {
    let mut limiter = limiter();
    for _ in 0..5 {
        assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 10), Ok(()));
    }
    assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 10), exceeded(100));
    assert_eq!(limiter.admit(Timestamp(99), A, GOSSIP, 10), exceeded(1));
    assert_eq!(limiter.admit(Timestamp(100), A, GOSSIP, 10), Ok(()));
}

#[test]
fn bytes_are_counted_beside_messages() {
    let mut limiter = limiter();
    assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 2_000), Ok(()));
    assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 500), exceeded(500));
    // What was refused has cost nothing.
    assert_eq!(limiter.admit(Timestamp(500), A, GOSSIP, 500), Ok(()));
}

#[test]
fn peers_do_not_share_and_are_bounded() {
    let mut limiter = limiter();
    assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 2_000), Ok(()));
    assert_eq!(limiter.admit(Timestamp(0), B, GOSSIP, 2_000), Ok(()));
    let third = PublicKey([3; 32]);
    let refused = Err(RateError::TooManyPeers { max: 2 });
    assert_eq!(limiter.admit(Timestamp(0), third, GOSSIP, 1), refused);
    limiter.forget(&B);
    assert_eq!(limiter.admit(Timestamp(0), third, GOSSIP, 1), Ok(()));
}

#[test]
fn what_never_fits_says_so() {
    let mut limiter = limiter();
    let refused = Err(RateError::NeverFits { class: GOSSIP, got: 2_001, max: 2_000 });
    assert_eq!(limiter.admit(Timestamp(0), A, GOSSIP, 2_001), refused);
    let class = MessageClass::Sync;
    let refused = Err(RateError::NeverFits { class, got: 1, max: 0 });
    assert_eq!(limiter.admit(Timestamp(0), A, class, 1), refused);
}

#[test]
fn the_default_never_refuses_a_first_frame_of_any_class() {
    let mut limiter = RateLimiter::new(RateConfig::default());
    for class in MessageClass::ALL {
        assert_eq!(limiter.admit(Timestamp(0), A, class, class.max_bytes()), Ok(()));
        assert!(class.max_bytes() <= MAX_FRAME);
    }
}

proptest! {
    /// Over any time, no more passes than the burst and what the rate brings.
    #[test]
    fn no_more_passes_than_the_limit(
        steps in proptest::collection::vec((0u64..300, 0usize..400), 1..200),
    ) {
        let mut limiter = limiter();
        let (mut now, mut messages, mut bytes) = (0, 0, 0);
        for (wait, size) in steps {
            now += wait;
            if limiter.admit(Timestamp(now), A, GOSSIP, size).is_ok() {
                messages += 1;
                bytes += size as u64;
            }
        }
        prop_assert!(messages * 1000 <= 5_000 + now * 10);
        prop_assert!(bytes * 1000 <= 2_000_000 + now * 1_000);
    }
}
