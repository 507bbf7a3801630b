//! Where bytes are kept: the contract that every storage engine's adapter fulfils.
//!
//! The rest of the crate plans; only [`crate::database::Database`] calls a store. An adapter is some
//! hundred lines; run the `conformance` suite (feature `test-utils`) over it.

mod error;
mod memory;

use std::ops::ControlFlow;

pub use error::StoreError;
pub use memory::{MemoryRead, MemoryStore};

/// The longest key that a store must take, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest value that a store must take, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 20;

/// Ordered tables of bytes with one writer and any number of readers.
///
/// # Contract
///
/// - A commit is atomic over all tables: after a crash, or a failure, it is wholly there or not at
///   all, and so are all commits before it: commits survive in order.
/// - A commit with [`Durability::Immediate`] that returned survives any crash, with every commit
///   before it. One with [`Durability::Eventual`] may be lost by a crash.
/// - Operations of one commit take effect in their order.
/// - A commit succeeds only if `expect` is the store's last sequence, and makes the next one the
///   last. Otherwise it changes nothing and fails with [`StoreError::Fenced`]: of two writers that
///   opened the same store, one learns that it is stale before it overwrites anything.
/// - A commit that fails in any other way leaves open whether it happened. Reads go on; the writer
///   opens the store again before it writes.
/// - Keys sort as unsigned bytes, a prefix first. The empty key and the empty value are legal.
/// - Damage is reported as [`StoreError::Corrupt`] where the engine notices it; rows carry checksums
///   of their own above this trait.
pub trait Store: Send + Sync {
    /// A view of exactly one commit. It does not change, whatever is committed while it lives.
    type Read: Read + Send + 'static;

    /// The newest commit as it stands now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the engine.
    fn snapshot(&self) -> Result<Self::Read, StoreError>;

    /// Applies all operations or none, if the last commit is still `expect`; returns the new last
    /// sequence, `expect` + 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] for a stale writer; nothing has changed then. Otherwise the commit may
    /// or may not have happened.
    fn commit(
        &self,
        expect: Sequence,
        ops: &[Op],
        durability: Durability,
    ) -> Result<Sequence, StoreError>;

    /// The sequence of the newest commit; zero for a new store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the engine.
    fn last(&self) -> Result<Sequence, StoreError>;
}

/// Reads of one commit.
pub trait Read {
    /// The commit that this sees.
    fn sequence(&self) -> Sequence;

    /// The values of several keys, in their order; none for a key that isn't there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the engine.
    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Visits at most `limit` rows of a range, in key order or against it, until `visit` breaks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the engine.
    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        visit: Visit<'_>,
    ) -> Result<(), StoreError>;
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Looks at a key and its value, and breaks to see no more.
pub type Visit<'v> = &'v mut (dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v);

/// Counts the commits of a store, from 0 for a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence of the next commit; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The tables of a store: each is an ordered map of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Table {
    /// Genesis and tip.
    Meta,
    /// Blocks by height.
    Blocks,
    /// Finality proofs by height.
    Finality,
    /// Heights by block id.
    BlockIds,
    /// Places of transactions by their id, in sorted runs.
    Transactions,
    /// Validator sets by epoch, and epochs by hash.
    Validators,
    /// The current state, in sorted runs.
    State,
    /// What values were before they changed, in sorted runs.
    History,
    /// Records of consensus above the tip.
    Log,
    /// Bodies of undecided blocks above the tip.
    Bodies,
    /// Datasets of the host's own.
    Local,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Blocks,
        Self::Finality,
        Self::BlockIds,
        Self::Transactions,
        Self::Validators,
        Self::State,
        Self::History,
        Self::Log,
        Self::Bodies,
        Self::Local,
    ];

    /// A short name, fit for an identifier of any engine: lower-case letters and underscores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::Finality => "finality",
            Self::BlockIds => "block_ids",
            Self::Transactions => "transactions",
            Self::Validators => "validators",
            Self::State => "state",
            Self::History => "history",
            Self::Log => "log",
            Self::Bodies => "bodies",
            Self::Local => "local",
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One change of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sets a value, over whatever was there.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a row; nothing happens if it isn't there.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every row in a range.
    DeleteRange {
        /// The table.
        table: Table,
        /// The range.
        range: KeyRange,
    },
}

/// Keys from `start` up to, not including, `end`; without an `end` to the table's last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyRange {
    /// The first key.
    pub start: Vec<u8>,
    /// The first key beyond, if there is one. An end at or before the start makes an empty range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// Keys from `start` up to, not including, `end`.
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// Keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let end = start.iter().rposition(|&byte| byte != 0xff).map(|last| {
            let mut end = start[..=last].to_vec();
            end[last] += 1;
            end
        });
        Self { start, end }
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether a key lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }
}

/// The order of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// By increasing key.
    Forward,
    /// By decreasing key.
    Backward,
}

/// What a commit that returned promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// It survives any crash, with everything before it.
    Immediate,
    /// It survives a crash once a later immediate commit has returned; until then it may be lost.
    Eventual,
}
