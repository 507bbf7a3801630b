use alloc::vec::Vec;
use core::fmt;

use pocket_types::hash::{Domain, Hash};
use pocket_types::key::PublicKey;
use serde::{Deserialize, Serialize};

use super::envelope::Segment;
use super::error::ViewError;

/// The most members of a view.
pub const MAX_MEMBERS: usize = 1 << 24;

/// A version of a segment's membership: the hash of its members. Two nodes that have the same list
/// have the same id, whatever led them to it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ViewId(pub Hash);

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The members of a segment as one node knows them. A member's place in the order of the keys is its
/// rank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    id: ViewId,
    segment: Segment,
    members: Vec<PublicKey>,
}

impl View {
    /// Sorts nodes into a view.
    ///
    /// # Errors
    ///
    /// [`ViewError`]: too many, or one of them twice.
    pub fn new(segment: Segment, mut members: Vec<PublicKey>) -> Result<Self, ViewError> {
        let (got, max) = (members.len(), MAX_MEMBERS);
        if got > max {
            return Err(ViewError::TooMany { got, max });
        }
        members.sort_unstable();
        if let Some(pair) = members.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ViewError::Duplicate(pair[0]));
        }
        let mut hasher = Domain::PEER_VIEW
            .hasher()
            .variable(&pocket_types::codec::encode(&segment))
            .number(members.len() as u64);
        for member in &members {
            hasher = hasher.fixed(member.as_bytes());
        }
        Ok(Self { id: ViewId(hasher.finish()), segment, members })
    }

    /// The version.
    pub const fn id(&self) -> ViewId {
        self.id
    }

    /// Whose members these are.
    pub const fn segment(&self) -> Segment {
        self.segment
    }

    /// Number of members.
    pub fn len(&self) -> u32 {
        u32::try_from(self.members.len()).expect("at most MAX_MEMBERS, checked when made")
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members by rank.
    pub fn members(&self) -> &[PublicKey] {
        &self.members
    }

    /// The member of a rank.
    pub fn member(&self, rank: u32) -> Option<PublicKey> {
        self.members.get(usize::try_from(rank).ok()?).copied()
    }

    /// A member's rank; none if it isn't one.
    pub fn rank(&self, member: &PublicKey) -> Option<u32> {
        let rank = self.members.binary_search(member).ok()?;
        u32::try_from(rank).ok()
    }
}
