use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use pocket_types::key::PublicKey;
use pocket_types::number::{Duration, Timestamp};

use super::envelope::{MessageId, Payload};
use super::view::View;

/// What we sent of late and to whom, in case a target turns out to be unreachable.
#[derive(Debug)]
pub(super) struct Repair {
    messages: BTreeMap<MessageId, Kept>,
    by_age: VecDeque<(Timestamp, MessageId)>,
    bytes: usize,
    max_bytes: usize,
    keep: Duration,
}

/// A message, and the ranges that others are to serve.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) payload: Payload,
    pub(super) ranges: BTreeMap<PublicKey, Range>,
}

/// Places of a message's permutation, around the ring.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) view: Arc<View>,
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Repair {
    pub(super) const fn new(max_bytes: usize, keep: Duration) -> Self {
        Self { messages: BTreeMap::new(), by_age: VecDeque::new(), bytes: 0, max_bytes, keep }
    }

    /// Notes that `to` is to serve a range of at least two places of a message.
    pub(super) fn keep(
        &mut self,
        now: Timestamp,
        id: MessageId,
        payload: &Payload,
        to: PublicKey,
        range: Range,
    ) {
        if let Some(kept) = self.messages.get_mut(&id) {
            if kept.ranges.len() < MAX_RANGES {
                kept.ranges.insert(to, range);
            }
            return;
        }
        let kept = Kept { payload: payload.clone(), ranges: BTreeMap::from([(to, range)]) };
        self.bytes = self.bytes.saturating_add(kept.size());
        self.messages.insert(id, kept);
        self.by_age.push_back((now, id));
        while self.bytes > self.max_bytes && !self.by_age.is_empty() {
            self.drop_oldest();
        }
    }

    pub(super) fn get_mut(&mut self, id: &MessageId) -> Option<&mut Kept> {
        self.messages.get_mut(id)
    }

    /// Lets go of what is old enough.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((since, _)) = self.by_age.front() {
            if now.since(*since) < self.keep {
                break;
            }
            self.drop_oldest();
        }
    }

    /// When the oldest message may go.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.by_age.front().map(|(since, _)| since.after(self.keep))
    }

    fn drop_oldest(&mut self) {
        let oldest = self.by_age.pop_front();
        if let Some(kept) = oldest.and_then(|(_, id)| self.messages.remove(&id)) {
            self.bytes = self.bytes.saturating_sub(kept.size());
        }
    }
}

impl Kept {
    /// Bytes that it counts for.
    fn size(&self) -> usize {
        self.payload.len().saturating_add(OVERHEAD)
    }
}

/// Two for each of the 16 levels of the largest view, and as many that were added later.
const MAX_RANGES: usize = 64;

/// What a message counts for beside its content: its ranges.
const OVERHEAD: usize = MAX_RANGES * 64;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::raintree::Segment;

    #[test]
    fn the_ranges_of_a_message_are_bounded() {
        let mut repair = Repair::new(1 << 20, Duration(100));
        let view = Arc::new(View::new(Segment::Everyone, vec![]).unwrap());
        for to in 0..=u8::MAX {
            let range = Range { view: view.clone(), start: 0, length: 2 };
            let (id, payload) = (MessageId::default(), Payload::default());
            repair.keep(Timestamp(0), id, &payload, PublicKey([to; 32]), range);
        }
        let kept = repair.get_mut(&MessageId::default()).unwrap();
        assert_eq!(kept.ranges.len(), MAX_RANGES);
        assert_eq!(repair.bytes, OVERHEAD, "what is added later is paid for already");
    }
}
