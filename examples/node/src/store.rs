//! The storage contract over redb: one file, one process, crash-safe by redb's own commits.
//!
//! Each table is a redb table of bytes; the sequence that fences stale writers is a row beside them,
//! in the same transactions. Copy this file to use redb in a node of your own.
//!
//! redb panics when it meets some kinds of damage within its file; here that is an error like any
//! other ([`guarded`]).

use std::cell::Cell;
use std::ops::{Bound, ControlFlow};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use pocket_persistence::store::{
    Direction, Durability, KeyRange, Op, Read, Sequence, Store, StoreError, Table, Visit,
};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

/// Bytes of the file that redb keeps in memory; the current state is held above it anyway.
const CACHE_BYTES: usize = 64 << 20;

const SEQUENCE: TableDefinition<(), u64> = TableDefinition::new("sequence");

/// A store in a file.
#[derive(Debug)]
pub(crate) struct RedbStore(Option<Database>);

/// A view of one commit: a read transaction.
pub(crate) struct RedbRead {
    transaction: ReadTransaction,
    sequence: Sequence,
}

impl RedbStore {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: in use, no right, no room, or not a whole database.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        guarded(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES);
            let store = Self(Some(builder.create(path).map_err(failed)?));
            if !store.is_set_up()? {
                store.set_up()?;
            }
            Ok(store)
        })
    }

    fn database(&self) -> &Database {
        self.0.as_ref().expect("it is taken when dropped")
    }

    fn is_set_up(&self) -> Result<bool, StoreError> {
        let transaction = self.database().begin_read().map_err(failed)?;
        match transaction.open_table(SEQUENCE) {
            Ok(_) => Ok(true),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes all tables, so that reading never finds one missing.
    fn set_up(&self) -> Result<(), StoreError> {
        let transaction = self.database().begin_write().map_err(failed)?;
        for table in Table::ALL {
            transaction.open_table(rows(table)).map_err(failed)?;
        }
        put_sequence(&transaction, Sequence(0))?;
        transaction.commit().map_err(failed)
    }
}

impl Drop for RedbStore {
    /// redb writes when it closes, and may stumble over damage there too. All commits are in the
    /// file already, so nothing is lost with the error.
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

impl Store for RedbStore {
    type Read = RedbRead;

    fn snapshot(&self) -> Result<RedbRead, StoreError> {
        guarded(|| {
            let transaction = self.database().begin_read().map_err(failed)?;
            let table = transaction.open_table(SEQUENCE).map_err(failed)?;
            let sequence = sequence(&table)?;
            Ok(RedbRead { transaction, sequence })
        })
    }

    fn commit(
        &self,
        expect: Sequence,
        ops: &[Op],
        durability: Durability,
    ) -> Result<Sequence, StoreError> {
        guarded(|| {
            let mut transaction = self.database().begin_write().map_err(failed)?;
            let durability = match durability {
                Durability::Immediate => redb::Durability::Immediate,
                Durability::Eventual => redb::Durability::None,
            };
            transaction.set_durability(durability).map_err(failed)?;
            let last = sequence(&transaction.open_table(SEQUENCE).map_err(failed)?)?;
            if last != expect {
                return Err(StoreError::Fenced { expected: expect, last });
            }
            ops.iter().try_for_each(|op| apply(&transaction, op))?;
            put_sequence(&transaction, last.next())?;
            transaction.commit().map_err(failed)?;
            Ok(last.next())
        })
    }

    fn last(&self) -> Result<Sequence, StoreError> {
        Ok(self.snapshot()?.sequence)
    }
}

impl Read for RedbRead {
    fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        guarded(|| {
            let rows = self.transaction.open_table(rows(table)).map_err(failed)?;
            let get = |key: &&[u8]| {
                let value = rows.get(*key).map_err(failed)?;
                Ok(value.map(|value| value.value().to_vec()))
            };
            keys.iter().map(get).collect()
        })
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        guarded(|| {
            let rows = self.transaction.open_table(rows(table)).map_err(failed)?;
            let mut rows = rows.range::<&[u8]>(bounds(range)).map_err(failed)?;
            for _ in 0..limit {
                let row = match direction {
                    Direction::Forward => rows.next(),
                    Direction::Backward => rows.next_back(),
                };
                let Some(row) = row else { break };
                let (key, value) = row.map_err(failed)?;
                if visit(key.value(), value.value()) == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(())
        })
    }
}

const fn rows(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn apply(transaction: &WriteTransaction, op: &Op) -> Result<(), StoreError> {
    let open = |table| transaction.open_table(rows(table)).map_err(failed);
    match op {
        Op::Put { table, key, value } => {
            let mut rows = open(*table)?;
            rows.insert(&key[..], &value[..]).map_err(failed)?;
        }
        Op::Delete { table, key } => {
            open(*table)?.remove(&key[..]).map_err(failed)?;
        }
        Op::DeleteRange { range, .. } if range.is_empty() => {}
        Op::DeleteRange { table, range } => {
            let mut rows = open(*table)?;
            rows.retain_in::<&[u8], _>(bounds(range), |_, _| false).map_err(failed)?;
        }
    }
    Ok(())
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_deref();
    (Bound::Included(&range.start), end.map_or(Bound::Unbounded, Bound::Excluded))
}

fn sequence(table: &impl ReadableTable<(), u64>) -> Result<Sequence, StoreError> {
    let stored = table.get(()).map_err(failed)?;
    let stored = stored.ok_or_else(|| StoreError::Corrupt {
        reason: "the sequence of commits is missing".into(),
    })?;
    Ok(Sequence(stored.value()))
}

fn put_sequence(transaction: &WriteTransaction, sequence: Sequence) -> Result<(), StoreError> {
    let mut table = transaction.open_table(SEQUENCE).map_err(failed)?;
    table.insert((), sequence.0).map_err(failed)?;
    Ok(())
}

/// Runs something of redb's; a panic in it is damage, reported by the error alone.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    thread_local! {
        static GUARDED: Cell<bool> = const { Cell::new(false) };
    }
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                loud(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "for no stated reason".into());
        Err(StoreError::Corrupt { reason: format!("redb stumbled over it: {text}") })
    })
}

/// redb's many errors as what an operator can act on.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    use std::io::ErrorKind;

    let error = error.into();
    let reason = error.to_string();
    match &error {
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked { reason },
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableDoesNotExist(_) => StoreError::Corrupt { reason },
        redb::Error::Io(error) => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::Full { reason }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StoreError::Denied { reason }
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreError::Corrupt { reason },
            _ => StoreError::Io { reason },
        },
        _ => StoreError::Io { reason },
    }
}

#[cfg(test)]
mod tests {
    use pocket_persistence::conformance;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a temporary folder can be made")
    }

    #[test]
    fn redb_keeps_the_contract() {
        let folders = folder();
        let mut count = 0;
        conformance::all(|| {
            count += 1;
            RedbStore::open(&folders.path().join(format!("{count}.redb"))).unwrap()
        });
        let path = folders.path().join("reopened.redb");
        conformance::reopening(|| RedbStore::open(&path).unwrap());
    }

    #[test]
    fn a_database_in_use_and_one_that_is_none_are_named() {
        let folder = folder();
        let path = folder.path().join("node.redb");
        let store = RedbStore::open(&path).unwrap();
        let again = RedbStore::open(&path).unwrap_err();
        assert!(matches!(again, StoreError::Locked { .. }), "{again}");
        drop(store);
        std::fs::write(&path, [0xa5; 10_000]).unwrap();
        let garbage = RedbStore::open(&path).unwrap_err();
        assert!(matches!(garbage, StoreError::Corrupt { .. }), "{garbage}");
        let nowhere = RedbStore::open(&folder.path().join("no/such/folder")).unwrap_err();
        assert!(matches!(nowhere, StoreError::Io { .. }), "{nowhere}");
    }

    #[test]
    fn damage_in_the_file_is_an_error_and_never_a_panic() {
        let folder = folder();
        let path = folder.path().join("node.redb");
        let ops: Vec<Op> = (0..200u8)
            .map(|n| Op::Put { table: Table::Log, key: vec![n; 20], value: vec![n; 500] })
            .collect();
        let store = RedbStore::open(&path).unwrap();
        store.commit(Sequence(0), &ops, Durability::Immediate).unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let mut found = 0;
        for place in (0..320).step_by(9).chain((320..whole.len()).step_by(8191)) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            std::fs::write(&path, &damaged).unwrap();
            let read = RedbStore::open(&path).and_then(|store| {
                let read = store.snapshot()?;
                let (all, limit) = (KeyRange::all(), usize::MAX);
                read.scan(Table::Log, &all, Direction::Forward, limit, &mut |_, _| {
                    ControlFlow::Continue(())
                })
            });
            match read {
                Ok(()) => {}
                Err(StoreError::Corrupt { .. }) => found += 1,
                Err(other) => panic!("byte {place}: {other}"),
            }
        }
        assert!(found > 5, "{found} damages are noticed by redb itself");
    }
}
