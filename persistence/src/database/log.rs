//! What is not decided: the log of consensus, bodies of undecided blocks, datasets of the host's own.

use std::ops::ControlFlow;

use pocket_types::id::BlockId;
use pocket_types::number::Height;

use super::{Database, DatabaseError, Dataset};
use crate::record::{body_key, height_key, named};
use crate::row::{self, Damage};
use crate::store::{Direction, Durability, KeyRange, Op, Read, Row, Store, Table};

/// The longest key of a dataset of the host's own, in bytes.
pub const MAX_LOCAL_KEY: usize = 512;

/// The longest record, body or value of a dataset of the host's own, in bytes.
pub const MAX_LOCAL_VALUE: usize = 16 << 20;

impl<S: Store> Database<S> {
    /// Makes records of consensus, and bodies of undecided blocks, durable in one atomic write.
    /// `height` is the greatest of the heights that they are about; a commit of that height drops
    /// them. With a smaller one, a step that ends one height and begins the next would lose what it
    /// signed for the next.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Decided`] for a height that is decided, [`DatabaseError::RowLimit`], or the
    /// store's.
    pub fn append_log(
        &self,
        height: Height,
        records: &[Vec<u8>],
        bodies: &[(BlockId, Vec<u8>)],
    ) -> Result<(), DatabaseError> {
        let mut writer = self.writer.lock();
        let tip = self.tip().height;
        if height <= tip {
            return Err(DatabaseError::Decided { height, tip });
        }
        let sequence = writer.ok_or(DatabaseError::Closed)?.next();
        let mut ops = Vec::with_capacity(records.len() + bodies.len());
        for (index, record) in (0u32..).zip(records) {
            within("log record", record, MAX_LOCAL_VALUE)?;
            let mut key = height_key(height);
            key.extend_from_slice(&sequence.0.to_be_bytes());
            key.extend_from_slice(&index.to_be_bytes());
            ops.push(row::put(Table::Log, key, record));
        }
        for (block, body) in bodies {
            within("block body", body, MAX_LOCAL_VALUE)?;
            ops.push(row::put(Table::Bodies, body_key(height, *block), body));
        }
        self.write(&mut writer, &ops, Durability::Immediate)
    }

    /// The records above the tip: by height, and in the order in which they were appended.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn load_log(&self) -> Result<Vec<Vec<u8>>, DatabaseError> {
        let read = self.store.snapshot()?;
        let all = KeyRange::all();
        let rows = opened(&read, Table::Log, &all, Direction::Forward, usize::MAX)?;
        Ok(rows.into_iter().map(|(_, record)| record).collect())
    }

    /// The body of an undecided block that was stored for this height, or none.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn body(&self, height: Height, block: BlockId) -> Result<Option<Vec<u8>>, DatabaseError> {
        let key = body_key(height, block);
        let stored = self.store.snapshot()?.get_many(Table::Bodies, &[&key])?;
        let stored = stored.into_iter().next().flatten();
        let opened =
            stored.map(|stored| row::open(Table::Bodies, &key, &stored).map(<[u8]>::to_vec));
        Ok(opened.transpose()?)
    }

    /// Sets rows of a dataset of the host's own, all or none.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::RowLimit`] for keys or values beyond the limits, or the store's.
    pub fn put_local(
        &self,
        dataset: Dataset,
        rows: &[Row],
        durability: Durability,
    ) -> Result<(), DatabaseError> {
        let mut ops = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            within("key", key, MAX_LOCAL_KEY)?;
            within("value", value, MAX_LOCAL_VALUE)?;
            ops.push(row::put(Table::Local, named(dataset, key), value));
        }
        self.write(&mut self.writer.lock(), &ops, durability)
    }

    /// At most `limit` rows of a range of a dataset, in key order or against it.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn scan_local(
        &self,
        dataset: Dataset,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, DatabaseError> {
        let read = self.store.snapshot()?;
        let mut rows =
            opened(&read, Table::Local, &within_dataset(dataset, range), direction, limit)?;
        let name = named(dataset, &[]).len();
        rows.iter_mut().for_each(|(key, _)| {
            key.drain(..name);
        });
        Ok(rows)
    }

    /// Removes the rows of a range of a dataset.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn delete_local(
        &self,
        dataset: Dataset,
        range: &KeyRange,
        durability: Durability,
    ) -> Result<(), DatabaseError> {
        let delete = Op::DeleteRange { table: Table::Local, range: within_dataset(dataset, range) };
        self.write(&mut self.writer.lock(), &[delete], durability)
    }
}

/// Opened rows of a range.
fn opened(
    read: &impl Read,
    table: Table,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Row>, DatabaseError> {
    let mut rows = Vec::new();
    let mut damage: Option<Damage> = None;
    read.scan(table, range, direction, limit, &mut |key, stored| {
        match row::open(table, key, stored) {
            Ok(payload) => rows.push((key.to_vec(), payload.to_vec())),
            Err(found) => damage = Some(found),
        }
        if damage.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    damage.map_or(Ok(rows), |damage| Err(damage.into()))
}

fn within_dataset(dataset: Dataset, range: &KeyRange) -> KeyRange {
    let all = KeyRange::prefix(named(dataset, &[]));
    KeyRange {
        start: named(dataset, &range.start),
        end: range.end.as_ref().map_or(all.end, |end| Some(named(dataset, end))),
    }
}

const fn within(part: &'static str, bytes: &[u8], max: usize) -> Result<(), DatabaseError> {
    let got = bytes.len();
    if got > max { Err(DatabaseError::RowLimit { part, got, max }) } else { Ok(()) }
}
