//! How much a peer may send: a token bucket per peer and [`MessageClass`], for messages and for
//! bytes.
//!
//! A bucket holds up to a burst and refills at a rate. What isn't covered is refused with the time
//! after which it would be: the host drops the message, or stops reading from that peer until then.

use alloc::collections::BTreeMap;

use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};
use thiserror::Error;

use crate::message::{MAX_FRAME, MessageClass};

/// What one peer may send of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Messages a second.
    pub messages: u32,
    /// The most messages at once.
    pub message_burst: u32,
    /// Bytes a second.
    pub bytes: u32,
    /// The most bytes at once; less than the class's largest frame would refuse such frames for ever.
    pub byte_burst: u32,
}

/// What one peer may send, by class, and how many peers are counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateConfig {
    /// By [`MessageClass`]; a class that isn't here is refused altogether.
    pub rates: BTreeMap<MessageClass, Rate>,
    /// The most peers to keep buckets for. Peers beyond it are refused: keep it above the number of
    /// connections, and [forget](RateLimiter::forget) who disconnects.
    pub max_peers: usize,
}

impl Default for RateConfig {
    /// Generous for consensus and sync, whose senders are few and known, tight for the rest; 512
    /// peers.
    fn default() -> Self {
        let rate = |messages, bytes| Rate {
            messages,
            message_burst: 2 * messages,
            bytes,
            byte_burst: bytes.max(2 * MAX_FRAME as u32),
        };
        let rates = MessageClass::ALL.into_iter().map(|class| {
            let rate = match class {
                MessageClass::Consensus => rate(2000, 32 << 20),
                MessageClass::Sync => rate(200, 64 << 20),
                MessageClass::Gossip => rate(2000, 16 << 20),
                MessageClass::Request | MessageClass::Response => rate(500, 8 << 20),
            };
            (class, rate)
        });
        Self { rates: rates.collect(), max_peers: 512 }
    }
}

/// Why a message is over the limit; nothing was taken from any bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RateError {
    /// The peer sends too much. It is at fault, unless the limit is set too low for its role.
    #[error("{peer} exceeds its rate of {class} messages; wait {retry_after} ms")]
    Exceeded {
        /// The peer.
        peer: PublicKey,
        /// The class.
        class: MessageClass,
        /// Until its buckets would cover the message.
        retry_after: Duration,
    },
    /// The message exceeds the burst, or its rate is zero, so no wait would do.
    #[error("a {class} message of {got} bytes never fits the limit of {max}")]
    NeverFits {
        /// The class.
        class: MessageClass,
        /// Bytes of the message.
        got: usize,
        /// The byte burst; 0 for a class without a rate.
        max: u32,
    },
    /// All buckets are in use by other peers. The host is at fault.
    #[error("{max} peers have buckets and one more asks for them")]
    TooManyPeers {
        /// [`RateConfig::max_peers`].
        max: usize,
    },
}

/// Counts what peers send.
///
/// ```
/// use pocket_p2p::limit::{RateConfig, RateLimiter};
/// use pocket_p2p::message::MessageClass;
/// use pocket_types::{key::PublicKey, number::Timestamp};
///
/// let mut limiter = RateLimiter::new(RateConfig::default());
/// let peer = PublicKey([1; 32]);
/// assert_eq!(limiter.admit(Timestamp(0), peer, MessageClass::Gossip, 300), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiter {
    config: RateConfig,
    peers: BTreeMap<PublicKey, BTreeMap<MessageClass, Buckets>>,
}

#[derive(Clone, Copy, Debug)]
struct Buckets {
    messages: Bucket,
    bytes: Bucket,
}

/// Tokens in thousandths, so that a millisecond's refill is a whole number.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    milli: u64,
    per_second: u32,
    burst: u32,
    at: Timestamp,
}

impl RateLimiter {
    /// A limiter whose buckets are all full.
    pub const fn new(config: RateConfig) -> Self {
        Self { config, peers: BTreeMap::new() }
    }

    /// Takes one message of so many bytes from a peer's buckets.
    ///
    /// # Errors
    ///
    /// [`RateError`] when they don't cover it; nothing is taken then.
    pub fn admit(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        class: MessageClass,
        bytes: usize,
    ) -> Result<(), RateError> {
        let rate = self.config.rates.get(&class).copied();
        let never = |max| RateError::NeverFits { class, got: bytes, max };
        let rate = rate.ok_or_else(|| never(0))?;
        let amount = u32::try_from(bytes).map_err(|_| never(rate.byte_burst))?;
        let max = self.config.max_peers;
        if !self.peers.contains_key(&peer) && self.peers.len() >= max {
            return Err(RateError::TooManyPeers { max });
        }
        let buckets = self.peers.entry(peer).or_default();
        let buckets = buckets.entry(class).or_insert_with(|| Buckets {
            messages: Bucket::full(now, rate.messages, rate.message_burst),
            bytes: Bucket::full(now, rate.bytes, rate.byte_burst),
        });
        buckets.messages.refill(now);
        buckets.bytes.refill(now);
        let waits = (buckets.messages.wait_for(1), buckets.bytes.wait_for(amount));
        let (Some(messages), Some(bytes)) = waits else { return Err(never(rate.byte_burst)) };
        let retry_after = messages.max(bytes);
        if retry_after > Duration(0) {
            return Err(RateError::Exceeded { peer, class, retry_after });
        }
        buckets.messages.take(1);
        buckets.bytes.take(amount);
        Ok(())
    }

    /// Drops the buckets of a peer. It starts with full ones when it comes back, so a peer that
    /// reconnects for that is for [`crate::peers`] to slow down.
    pub fn forget(&mut self, peer: &PublicKey) {
        self.peers.remove(peer);
    }
}

impl Bucket {
    fn full(at: Timestamp, per_second: u32, burst: u32) -> Self {
        Self { milli: u64::from(burst) * 1000, per_second, burst, at }
    }

    fn refill(&mut self, now: Timestamp) {
        // A tokens per second are a thousandths per millisecond.
        let gained = now.since(self.at).0.saturating_mul(u64::from(self.per_second));
        self.milli = self.milli.saturating_add(gained).min(u64::from(self.burst) * 1000);
        self.at = self.at.max(now);
    }

    /// How long until the bucket covers this; none if it never will.
    fn wait_for(&self, tokens: u32) -> Option<Duration> {
        if tokens > self.burst {
            return None;
        }
        let missing = (u64::from(tokens) * 1000).saturating_sub(self.milli);
        match (missing, self.per_second) {
            (0, _) => Some(Duration(0)),
            (_, 0) => None,
            (_, rate) => Some(Duration(missing.div_ceil(u64::from(rate)))),
        }
    }

    fn take(&mut self, tokens: u32) {
        self.milli = self.milli.saturating_sub(u64::from(tokens) * 1000);
    }
}
