//! Sorted runs: how everything that grows by many small entries is kept.
//!
//! Each block writes one run of its own entries. The commit that completes 8, 64, 512 … blocks
//! merges their runs into one, in the same atomic write, so which runs there are depends on the
//! height alone and needs no manifest. A run is cut into tiles of about 64 KiB, one row each. Every
//! tile says where the next one begins, so the tiles of a run cover all keys without a gap, and a
//! lost row is damage, never an absence.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pocket_types::codec::{Bytes, List};
use pocket_types::number::Height;
use serde::{Deserialize, Serialize};

use crate::database::DatabaseError;
use crate::row::{self, Damage};
use crate::store::{Direction, KeyRange, MAX_KEY_BYTES, MAX_VALUE_BYTES, Op, Read, Row, Table};

/// Entries of a run, by key.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A kind of entries with runs of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) table: Table,
    /// Runs of this level are not merged any further, which bounds what one commit writes.
    top: u32,
}

/// The run over the heights `index * 8^level` up to, not including, `(index + 1) * 8^level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    level: u32,
    index: u64,
}

/// Values of the current state. A run holds a key at most once, so a merged run is never larger than
/// the state, and all heights may end up in one.
pub(crate) const STATE: Family = Family { table: Table::State, top: 21 };

/// Values before they changed.
pub(crate) const HISTORY: Family = Family { table: Table::History, top: 3 };

/// Places of transactions.
pub(crate) const TRANSACTIONS: Family = Family { table: Table::Transactions, top: 4 };

const TILE_BYTES: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Tile {
    /// Where the next tile begins; none in the last.
    end: Option<Key>,
    entries: List<(Key, Value), { usize::MAX }>,
}

type Key = Bytes<MAX_KEY_BYTES>;
type Value = Bytes<MAX_VALUE_BYTES>;

impl Run {
    const fn span(level: u32) -> u64 {
        8u64.saturating_pow(level)
    }

    /// The run's first height.
    pub(crate) const fn first(self) -> Height {
        Height(self.index.saturating_mul(Self::span(self.level)))
    }

    /// The run's last height.
    pub(crate) const fn last(self) -> Height {
        Height(self.first().0.saturating_add(Self::span(self.level) - 1))
    }

    /// The rows of the run.
    fn rows(self) -> KeyRange {
        KeyRange::prefix(self.prefix())
    }

    fn prefix(self) -> Vec<u8> {
        let mut prefix = vec![self.level as u8];
        prefix.extend_from_slice(&self.index.to_be_bytes());
        prefix
    }

    fn row(self, start: &[u8]) -> Vec<u8> {
        [&self.prefix()[..], start].concat()
    }
}

impl Family {
    /// The runs that there are when `tip` is the last height, oldest first.
    pub(crate) fn live(self, tip: Height) -> impl DoubleEndedIterator<Item = Run> {
        let (mut runs, mut first) = (Vec::new(), 0);
        for level in (0..=self.top).rev() {
            let span = Run::span(level);
            let count = (tip.next().0 - first) / span;
            let from = first / span;
            runs.push((from..from + count).map(move |index| Run { level, index }));
            first += count * span;
        }
        runs.into_iter().flatten()
    }

    /// The run that the commit of a height writes.
    pub(crate) fn written_at(self, height: Height) -> Run {
        let count = height.next().0;
        let level = (0..=self.top)
            .rev()
            .find(|&level| count.is_multiple_of(Run::span(level)))
            .unwrap_or_default();
        Run { level, index: count / Run::span(level) - 1 }
    }

    /// The runs that it merges with the height's own entries, oldest first.
    pub(crate) fn merged_at(self, height: Height) -> impl Iterator<Item = Run> {
        let first = self.written_at(height).first();
        let earlier = height.previous().map(|tip| self.live(tip));
        earlier.into_iter().flatten().filter(move |run| run.first() >= first)
    }

    /// Writes the run of a height, and removes those that it was merged from.
    pub(crate) fn write(self, height: Height, entries: Entries) -> Vec<Op> {
        let table = self.table;
        let delete = |run: Run| Op::DeleteRange { table, range: run.rows() };
        let mut ops: Vec<Op> = self.merged_at(height).map(delete).collect();
        let run = self.written_at(height);
        let mut entries = entries.into_iter().peekable();
        let mut start = Vec::new();
        loop {
            let (mut tile, mut size) = (Vec::new(), 0);
            while size < TILE_BYTES
                && let Some((key, value)) = entries.next()
            {
                size += key.len() + value.len() + 16;
                let key = Key::new(key).expect("entry keys are short");
                let value = Value::new(value).expect("entry values are within the state's limits");
                tile.push((key, value));
            }
            let next = entries.peek().map(|(key, _)| key.clone());
            let end = next.clone();
            let tile = Tile {
                end: end.map(|end| Key::new(end).expect("entry keys are short")),
                entries: List::new(tile).expect("the list has no bound"),
            };
            ops.push(row::put_encoded(table, run.row(&start), &tile));
            match next {
                Some(next) => start = next,
                None => return ops,
            }
        }
    }

    /// Removes the runs that end at or below a height.
    pub(crate) fn drop_through(self, height: Height) -> impl Iterator<Item = Op> {
        (0..=self.top).map(move |level| {
            let beyond = Run { level, index: height.next().0 / Run::span(level) };
            Op::DeleteRange {
                table: self.table,
                range: KeyRange::between([level as u8], beyond.prefix()),
            }
        })
    }

    /// Hands all entries of a run to `visit`, by increasing key.
    pub(crate) fn load(
        self,
        read: &impl Read,
        run: Run,
        mut visit: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), Damage>,
    ) -> Result<(), DatabaseError> {
        let mut damage = None;
        let mut expected = Some(Vec::new());
        let mut tile = |key: &[u8], stored: &[u8]| -> Result<(), Damage> {
            let tile: Tile = row::decode(self.table, key, stored)?;
            if expected.as_deref() != Some(&key[run.prefix().len()..]) {
                return Err(self.gap(run, expected.as_deref().unwrap_or_default()));
            }
            expected = tile.end.map(Bytes::into_vec);
            for (key, value) in tile.entries.into_vec() {
                visit(key.into_vec(), value.into_vec())?;
            }
            Ok(())
        };
        read.scan(self.table, &run.rows(), Direction::Forward, usize::MAX, &mut |key, stored| {
            match tile(key, stored) {
                Ok(()) => ControlFlow::Continue(()),
                Err(found) => {
                    damage = Some(found);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        match expected {
            Some(missing) => Err(self.gap(run, &missing).into()),
            None => Ok(()),
        }
    }

    /// The first entry of a run at or after a key, in two reads at most.
    pub(crate) fn first_from(
        self,
        read: &impl Read,
        run: Run,
        key: &[u8],
    ) -> Result<Option<Row>, DatabaseError> {
        let tile = self.tile(read, run, key)?;
        let found = tile.entries.iter().find(|(found, _)| found[..] >= *key);
        if let Some((key, value)) = found {
            return Ok(Some((key.to_vec(), value.to_vec())));
        }
        let Some(end) = tile.end else {
            return Ok(None);
        };
        let next = self.tile(read, run, &end)?;
        let first = next.entries.first();
        Ok(first.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    /// The tile of a run in which a key would be.
    fn tile(self, read: &impl Read, run: Run, key: &[u8]) -> Result<Tile, DatabaseError> {
        let mut beyond = run.row(key);
        beyond.push(0);
        let range = KeyRange::between(run.prefix(), beyond);
        let mut found = None;
        read.scan(self.table, &range, Direction::Backward, 1, &mut |key, stored| {
            found = Some(row::decode::<Tile>(self.table, key, stored));
            ControlFlow::Break(())
        })?;
        let tile = found.ok_or_else(|| self.gap(run, key))??;
        if tile.end.as_ref().is_some_and(|end| end[..] <= *key) {
            return Err(self.gap(run, key).into());
        }
        Ok(tile)
    }

    fn gap(self, run: Run, key: &[u8]) -> Damage {
        let what = format!("rows of heights {} to {} are missing", run.first(), run.last());
        Damage::new(self.table, &run.row(key), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_runs_cover_every_height_once_and_follow_from_the_one_before() {
        for family in [STATE, HISTORY, TRANSACTIONS] {
            let mut runs: Vec<Run> = Vec::new();
            for height in (0..5000).map(Height) {
                let merged: Vec<Run> = family.merged_at(height).collect();
                assert!(merged.len() <= 7 * family.top as usize);
                runs.truncate(runs.len() - merged.len());
                runs.push(family.written_at(height));
                assert_eq!(family.live(height).collect::<Vec<_>>(), runs);
                let mut next = Height(0);
                for run in &runs {
                    assert_eq!(run.first(), next);
                    next = run.last().next();
                }
                assert_eq!(next, height.next());
            }
        }
    }
}
