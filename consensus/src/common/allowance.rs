//! How often a peer may have something large of us.

use alloc::collections::BTreeMap;

use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};

use crate::tip::Tip;

/// What each voter was last given, and when: the same again only after a resending interval. At most
/// one entry for each voter.
#[derive(Clone, Debug)]
pub(crate) struct Allowance<T = ()>(BTreeMap<PublicKey, (T, Timestamp)>);

impl<T> Default for Allowance<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: PartialEq> Allowance<T> {
    /// Whether a peer may be given something now; notes that it is.
    pub(crate) fn allows(
        &mut self,
        now: Timestamp,
        peer: PublicKey,
        what: T,
        interval: Duration,
        tip: &Tip,
    ) -> bool {
        let soon =
            |(given, at): &(T, Timestamp)| *given == what && *at <= now && now < at.after(interval);
        let allows = tip.is_voter(&peer) && !self.0.get(&peer).is_some_and(soon);
        if allows {
            self.0.insert(peer, (what, now));
        }
        allows
    }

    /// Forgets who votes no more.
    pub(crate) fn retain(&mut self, tip: &Tip) {
        self.0.retain(|peer, _| tip.is_voter(peer));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
