//! What travels on a channel.
//!
//! A frame is a [`MessageClass`] and bytes. The class decides who reads the bytes, how long they may
//! be and how many of them a peer may send ([`crate::limit`]); the modules decide what they mean.

use core::fmt;

use pocket_types::block::{Block, Header};
use pocket_types::codec::{Bytes, Text, Wire};
use pocket_types::relay::{RelayRequest, RelayResponse};
use serde::{Deserialize, Serialize};

/// The largest message of a module: a block with a certified header beside it.
pub const MAX_MESSAGE: usize = Block::MAX_BYTES + Header::MAX_BYTES;

/// The largest frame: the largest message in its envelope.
pub const MAX_FRAME: usize = MAX_MESSAGE + 256;

/// The longest address of a peer, in bytes.
pub const MAX_ADDRESS: usize = 256;

/// Where a peer listens, in the form that the host's transport understands; empty if it doesn't.
pub type PeerAddress = Text<MAX_ADDRESS>;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum MessageClass {
    /// Proposals and votes, sent to one validator directly.
    Consensus = 0,
    /// Catching up: certificates and ranges of blocks.
    Sync = 1,
    /// A [`crate::raintree::Envelope`].
    Gossip = 2,
    /// A [`Request`].
    Request = 3,
    /// A [`Response`].
    Response = 4,
}

impl MessageClass {
    /// Every class, in the order of their codes.
    pub const ALL: [Self; 5] =
        [Self::Consensus, Self::Sync, Self::Gossip, Self::Request, Self::Response];

    /// The byte that stands for the class on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class that a byte stands for; none if it stands for none.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The longest body of a frame of this class, in bytes.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Consensus | Self::Sync => MAX_MESSAGE,
            Self::Gossip => MAX_FRAME,
            Self::Request => Request::MAX_BYTES,
            Self::Response => Response::MAX_BYTES,
        }
    }
}

impl fmt::Display for MessageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consensus => "consensus",
            Self::Sync => "sync",
            Self::Gossip => "gossip",
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// The largest body of a [`Request`].
pub const MAX_REQUEST: usize = RelayRequest::MAX_BYTES;

/// The largest body of a [`Response`].
pub const MAX_RESPONSE: usize = 2 * RelayResponse::MAX_BYTES;

/// Ties a response to its request, on one channel and in one direction.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RequestKind {
    /// Serve a relay: the body is a [`RelayRequest`], the answer a [`RelayResponse`].
    Relay,
    /// Take a transaction into the mempool: the body is a signed transaction.
    Transaction,
    /// Read something of the chain or its state; the body is the host's.
    Query,
}

/// A question to one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker; the response repeats it.
    pub id: RequestId,
    /// What is asked.
    pub kind: RequestKind,
    /// The question.
    pub body: Bytes<MAX_REQUEST>,
}

impl Wire for Request {
    const MAX_BYTES: usize = 8 + 4 + 8 + MAX_REQUEST;
}

/// The answer to a [`Request`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Response {
    /// The request's.
    pub id: RequestId,
    /// What came of it.
    pub outcome: Outcome,
}

impl Wire for Response {
    const MAX_BYTES: usize = 8 + 4 + 8 + MAX_RESPONSE;
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// The answer.
    Answered(Bytes<MAX_RESPONSE>),
    /// No answer, and why, for people.
    Refused(Text<256>),
}
