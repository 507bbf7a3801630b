use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;

use pocket_types::codec::{BoundError, Bytes, Wire};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::RelayChain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::view::ViewId;
use crate::message::MAX_MESSAGE;

/// A part of the network that messages are for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Segment {
    /// Every node of the peer list.
    Everyone,
    /// The validators.
    Validators,
    /// The servicers of one relay chain.
    Servicers(RelayChain),
}

/// A message: the hash of its segment and content. The view and the way that it took don't count,
/// so that no change to them makes it a new message.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MessageId(pub Hash);

impl MessageId {
    /// The id of a content in a segment.
    pub fn of(segment: Segment, payload: &[u8]) -> Self {
        let segment = pocket_types::codec::encode(&segment);
        Self(Domain::GOSSIP_ID.hasher().variable(&segment).variable(payload).finish())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The content of a message, shared by all the envelopes that carry it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload(Arc<Bytes<MAX_MESSAGE>>);

impl Payload {
    /// Wraps a content of at most [`MAX_MESSAGE`] bytes.
    ///
    /// # Errors
    ///
    /// [`BoundError::TooMany`] when it is longer.
    pub fn new(bytes: impl Into<alloc::vec::Vec<u8>>) -> Result<Self, BoundError> {
        Bytes::new(bytes).map(|bytes| Self(Arc::new(bytes)))
    }
}

impl Deref for Payload {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(|bytes| Self(Arc::new(bytes)))
    }
}

/// A message on its way through the tree.
///
/// It doesn't name its originator, let alone carry its signature. What is broadcast proves itself:
/// transactions are signed, blocks certified, evidence consists of signatures; who happens to bring
/// it adds nothing to that, costs a signature check a hop, and would tell everybody where in the
/// network a transaction entered it. What each hop must know, who handed it the envelope, the
/// channel has proved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Whom it is for.
    pub segment: Segment,
    /// The view by which its sender chose the receiver.
    pub view: ViewId,
    /// [`MessageId::of`] the segment and payload.
    pub id: MessageId,
    /// What the receiver is asked to pass on.
    pub route: Route,
    /// The content.
    pub payload: Payload,
}

impl Wire for Envelope {
    const MAX_BYTES: usize = 8 + 32 + 32 + 8 + 8 + MAX_MESSAGE;
}

/// Which nodes a receiver is responsible for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Route {
    /// [`Topology::ExactPartition`](super::Topology): this many places of the message's permutation,
    /// the receiver's own the first of them.
    Range(u32),
    /// [`Topology::GoV1`](super::Topology): the targets of all levels below this one.
    Level(u32),
}

impl Route {
    /// How much is asked for: two routes of one kind ask for the same or one for more.
    pub(super) const fn amount(self) -> u32 {
        match self {
            Self::Range(amount) | Self::Level(amount) => amount,
        }
    }
}
