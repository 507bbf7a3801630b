use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use pocket_types::number::{Duration, Timestamp};

use super::envelope::MessageId;
use super::view::ViewId;

/// The messages of late, so many and for so long, and how much of each we have passed on.
#[derive(Debug)]
pub(super) struct Seen {
    /// By message, the views by which it came and what was served in each.
    messages: BTreeMap<MessageId, Vec<(ViewId, u32)>>,
    by_age: VecDeque<(Timestamp, MessageId)>,
    max: usize,
    max_views: usize,
    remember: Duration,
}

impl Seen {
    pub(super) const fn new(max: usize, max_views: usize, remember: Duration) -> Self {
        Self { messages: BTreeMap::new(), by_age: VecDeque::new(), max, max_views, remember }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.messages.contains_key(id)
    }

    /// How much of a message was served by a view.
    pub(super) fn served(&self, id: &MessageId, view: &ViewId) -> u32 {
        let views = self.messages.get(id).into_iter().flatten();
        views.filter(|(known, _)| known == view).map(|(_, served)| *served).max().unwrap_or(0)
    }

    /// Notes how much of a remembered message is served by a view.
    pub(super) fn serve(&mut self, id: &MessageId, view: ViewId, served: u32) {
        let Some(views) = self.messages.get_mut(id) else { return };
        views.retain(|(known, _)| *known != view);
        if views.len() >= self.max_views {
            views.remove(0);
        }
        views.push((view, served));
    }

    /// Remembers a message; true if an older one had to go before its time.
    pub(super) fn insert(&mut self, now: Timestamp, id: MessageId) -> bool {
        if self.messages.insert(id, Vec::new()).is_some() {
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
            self.messages.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use pocket_types::hash::Hash;

    use super::*;

    #[test]
    fn what_was_served_is_kept_for_so_many_views() {
        let mut seen = Seen::new(10, 2, Duration(100));
        let (id, view) = (MessageId::default(), |byte| ViewId(Hash([byte; 32])));
        seen.insert(Timestamp(0), id);
        for served in [(2, 6), (1, 5), (1, 7)] {
            seen.serve(&id, view(served.0), served.1);
        }
        assert_eq!([1, 2].map(|byte| seen.served(&id, &view(byte))), [7, 6]);
        seen.serve(&id, view(3), 8);
        let served = [1, 2, 3].map(|byte| seen.served(&id, &view(byte)));
        assert_eq!(served, [7, 0, 8], "the view that was used least lately is gone");
        assert_eq!(seen.messages[&id].len(), 2);
    }
}
