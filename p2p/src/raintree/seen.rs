use alloc::collections::{BTreeSet, VecDeque};

use pocket_types::number::{Duration, Timestamp};

use super::envelope::MessageId;

/// The messages of late, so many and for so long.
#[derive(Debug)]
pub(super) struct Seen {
    ids: BTreeSet<MessageId>,
    by_age: VecDeque<(Timestamp, MessageId)>,
    max: usize,
    remember: Duration,
}

impl Seen {
    pub(super) const fn new(max: usize, remember: Duration) -> Self {
        Self { ids: BTreeSet::new(), by_age: VecDeque::new(), max, remember }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Remembers a message that isn't there yet; true if an older one had to go before its time.
    pub(super) fn insert(&mut self, now: Timestamp, id: MessageId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.by_age.push_back((now, id));
        let full = self.by_age.len() > self.max;
        if full {
            self.forget_oldest();
        }
        full
    }

    /// Forgets what is old enough.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((since, _)) = self.by_age.front() {
            if now.since(*since) < self.remember {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.pop_front() {
            self.ids.remove(&id);
        }
    }
}
