use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Direction, Durability, KeyRange, Op, Read, Sequence, Store, StoreError, Table, Visit};

/// A store in memory. Clones share it.
///
/// A snapshot costs nothing; a commit while snapshots live copies the lists of rows (not their
/// values) of the tables that it changes.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<RwLock<MemoryRead>>);

/// One commit of a [`MemoryStore`].
#[derive(Clone, Debug, Default)]
pub struct MemoryRead {
    sequence: Sequence,
    tables: BTreeMap<Table, Arc<Rows>>,
}

type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;

impl MemoryStore {
    /// A store in which nothing was ever committed.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    type Read = MemoryRead;

    fn snapshot(&self) -> Result<MemoryRead, StoreError> {
        Ok(self.0.read().clone())
    }

    fn commit(&self, expect: Sequence, ops: &[Op], _: Durability) -> Result<Sequence, StoreError> {
        self.0.write().commit(expect, ops)
    }

    fn last(&self) -> Result<Sequence, StoreError> {
        Ok(self.0.read().sequence)
    }
}

impl MemoryRead {
    pub(crate) fn commit(&mut self, expect: Sequence, ops: &[Op]) -> Result<Sequence, StoreError> {
        let last = self.sequence;
        if last != expect {
            return Err(StoreError::Fenced { expected: expect, last });
        }
        ops.iter().for_each(|op| self.apply(op));
        self.sequence = last.next();
        Ok(self.sequence)
    }

    fn rows(&mut self, table: Table) -> &mut Rows {
        Arc::make_mut(self.tables.entry(table).or_default())
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put { table, key, value } => {
                self.rows(*table).insert(key.clone(), value[..].into());
            }
            Op::Delete { table, key } => {
                self.rows(*table).remove(key);
            }
            Op::DeleteRange { table, range } => {
                let rows = self.rows(*table);
                let doomed: Vec<_> = between(rows, range).map(|(key, _)| key.clone()).collect();
                doomed.iter().for_each(|key| {
                    rows.remove(key);
                });
            }
        }
    }
}

impl Read for MemoryRead {
    fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let rows = self.tables.get(&table);
        let get = |key: &&[u8]| rows?.get(*key).map(|value| value.to_vec());
        Ok(keys.iter().map(get).collect())
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let Some(rows) = self.tables.get(&table) else {
            return Ok(());
        };
        let mut rows = between(rows, range);
        for _ in 0..limit {
            let row = match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.next_back(),
            };
            let Some((key, value)) = row else { break };
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn between<'r>(
    rows: &'r Rows,
    range: &KeyRange,
) -> impl DoubleEndedIterator<Item = (&'r Vec<u8>, &'r Arc<[u8]>)> {
    let (start, end) = if range.is_empty() {
        (Bound::Excluded(&[][..]), Bound::Included(&[][..]))
    } else {
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(&range.start[..]), end)
    };
    rows.range::<[u8], _>((start, end))
}
