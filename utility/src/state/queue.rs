//! Work that is due at a height, done in order and a bounded amount in each block.
//!
//! A queue has a bucket for each height, and a bucket its items in the order in which they were
//! pushed. Every queue is drained in every block; what a block's budget leaves over goes first in
//! the next one, from where a cursor says.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::number::Height;
use pocket_types::state::StateRead;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::QUEUES;
use super::store::Store;
use crate::ledger::LedgerError;

/// The queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Queue {
    /// Actors that may have to join or leave a session index, by kind and address.
    Reindex,
    /// Sessions whose challenge is this block's beacon value, by first block.
    Challenges,
    /// Sessions of applications to settle, by session header.
    Settlements,
    /// Settled sessions to forget, by first block.
    Sessions,
    /// Past values that no unsettled session needs any more.
    History,
    /// Stakes to pay out, by kind and address.
    Unstaking,
    /// Punished offences that are too old to be reported again.
    Offences,
    /// Expired transactions to forget, by id.
    Transactions,
}

/// Where a drain that ran out of budget goes on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cursor {
    height: Height,
    place: u64,
}

/// What a drain took out.
pub(crate) struct Drained<T> {
    pub(crate) items: Vec<T>,
    /// Whether nothing that is due remains.
    pub(crate) caught_up: bool,
}

impl<S: StateRead> Store<S> {
    pub(crate) fn push<T: Serialize>(
        &mut self,
        queue: Queue,
        due: Height,
        item: &T,
    ) -> Result<(), LedgerError> {
        let bucket = codec::encode(&(queue, due));
        let length: u64 = self.get(QUEUES, &bucket)?.unwrap_or_default();
        self.put(QUEUES, codec::encode(&(queue, due, length)), item);
        self.put(QUEUES, bucket, &(length + 1));
        Ok(())
    }

    /// Takes out at most `budget` items that are due at `height` or were left over before. Has to
    /// be called at every height.
    pub(crate) fn drain<T: DeserializeOwned>(
        &mut self,
        queue: Queue,
        height: Height,
        budget: usize,
    ) -> Result<Drained<T>, LedgerError> {
        let cursor_key = codec::encode(&queue);
        let left_over: Option<Cursor> = self.get(QUEUES, &cursor_key)?;
        let mut cursor = left_over.unwrap_or(Cursor { height, place: 0 });
        let mut items = Vec::new();
        while cursor.height <= height {
            let bucket = codec::encode(&(queue, cursor.height));
            let length: u64 = self.get(QUEUES, &bucket)?.unwrap_or_default();
            while cursor.place < length && items.len() < budget {
                let key = codec::encode(&(queue, cursor.height, cursor.place));
                items.extend(self.get::<T>(QUEUES, &key)?);
                self.delete(QUEUES, key);
                cursor.place += 1;
            }
            if cursor.place < length {
                self.put(QUEUES, cursor_key, &cursor);
                return Ok(Drained { items, caught_up: false });
            }
            if length > 0 {
                self.delete(QUEUES, bucket);
            }
            cursor = Cursor { height: cursor.height.next(), place: 0 };
        }
        if left_over.is_some() {
            self.delete(QUEUES, cursor_key);
        }
        Ok(Drained { items, caught_up: true })
    }
}

#[cfg(test)]
mod tests {
    use pocket_types::state::MemoryState;

    use super::*;

    #[test]
    fn a_queue_gives_items_once_in_order_and_goes_on_where_the_budget_ended() {
        let mut state = MemoryState::default();
        let mut taken = Vec::new();
        for height in 1..=9u64 {
            let mut store = Store::new(&state);
            if height == 1 {
                for (due, item) in [(3, 30u64), (2, 20), (3, 31), (3, 32), (4, 40), (8, 80)] {
                    store.push(Queue::Sessions, Height(due), &item).unwrap();
                    store.push(Queue::History, Height(due), &(item + 1_000)).unwrap();
                }
            }
            let drained = store.drain::<u64>(Queue::Sessions, Height(height), 1).unwrap();
            taken.push((drained.items, drained.caught_up));
            let changes = store.into_changes();
            state.apply(&changes);
        }
        let expected: [(&[u64], bool); 9] = [
            (&[], true),
            (&[20], true),
            (&[30], false),
            (&[31], false),
            (&[32], false),
            (&[40], true),
            (&[], true),
            (&[80], true),
            (&[], true),
        ];
        let taken: Vec<_> = taken.iter().map(|(items, up)| (&items[..], *up)).collect();
        assert_eq!(taken, expected);
        // Nothing of the queue remains, and the other queue was not touched.
        let left = state.iter().filter(|(collection, ..)| *collection == QUEUES);
        assert_eq!(left.count(), 6 + 4, "six items and four buckets");
    }

    #[test]
    fn without_a_budget_everything_waits() {
        let mut state = MemoryState::default();
        let mut store = Store::new(&state);
        store.push(Queue::Unstaking, Height(1), &7u64).unwrap();
        let drained = store.drain::<u64>(Queue::Unstaking, Height(1), 0).unwrap();
        assert!(drained.items.is_empty() && !drained.caught_up);
        let changes = store.into_changes();
        state.apply(&changes);
        let mut store = Store::new(&state);
        let drained = store.drain::<u64>(Queue::Unstaking, Height(2), 9).unwrap();
        assert_eq!((drained.items.as_slice(), drained.caught_up), (&[7][..], true));
    }
}
