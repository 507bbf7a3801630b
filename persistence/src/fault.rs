//! A store that fails on purpose, for testing what is built over one.
//!
//! Every commit has up to three effects: it is written, synced (if it is to be durable at once), and
//! acknowledged. [`FaultStore::crash_at`] stops the machine in place of any of them. What survives
//! is what the contract of [`Store`] promises and nothing more: all synced commits, and of those
//! only written a prefix that a seed picks.

use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use pocket_types::hash::Domain;

use crate::store::{
    Direction, Durability, KeyRange, MemoryRead, Op, Read, Sequence, Store, StoreError, Table,
    Visit,
};

/// A store in memory with a plan of failures. Clones share the disk and crash together.
#[derive(Clone, Debug)]
pub struct FaultStore {
    disk: Arc<Mutex<Disk>>,
    /// The run of the machine that this handle belongs to.
    run: u64,
}

/// A view of one commit of a [`FaultStore`].
#[derive(Debug)]
pub struct FaultRead {
    disk: Arc<Mutex<Disk>>,
    run: u64,
    read: MemoryRead,
}

#[derive(Debug)]
struct Disk {
    /// What survives any crash.
    synced: MemoryRead,
    /// What may survive one, oldest first.
    written: Vec<MemoryRead>,
    seed: u64,
    run: u64,
    effects: u64,
    crash_at: Option<u64>,
    fail_sync: bool,
    room: Option<usize>,
    rows_read: u64,
    flip_row: Option<u64>,
}

impl FaultStore {
    /// An empty disk that never fails unless told to; `seed` picks what survives crashes.
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            synced: MemoryRead::default(),
            written: Vec::new(),
            seed,
            run: 0,
            effects: 0,
            crash_at: None,
            fail_sync: false,
            room: None,
            rows_read: 0,
            flip_row: None,
        };
        Self { disk: Arc::new(Mutex::new(disk)), run: 0 }
    }

    /// Effects so far, over all runs.
    pub fn effects(&self) -> u64 {
        self.disk.lock().effects
    }

    /// Stops the machine in place of the effect with this number, counted from 0 over all runs.
    pub fn crash_at(&self, effect: u64) {
        self.disk.lock().crash_at = Some(effect);
    }

    /// Makes the next sync fail: whatever was written and not synced is gone.
    pub fn fail_next_sync(&self) {
        self.disk.lock().fail_sync = true;
    }

    /// Leaves room for so many bytes of keys and values to be put.
    pub fn set_room(&self, bytes: usize) {
        self.disk.lock().room = Some(bytes);
    }

    /// Rows read so far.
    pub fn rows_read(&self) -> u64 {
        self.disk.lock().rows_read
    }

    /// Flips a bit of the value of the row read with this number, counted from 0; the disk itself
    /// is whole. An empty value is passed over to the next row.
    pub fn flip_row(&self, row: u64) {
        self.disk.lock().flip_row = Some(row);
    }

    /// Starts the machine again, after a crash or by pulling the plug now. Earlier handles stay dead.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut disk = self.disk.lock();
        if self.run == disk.run {
            disk.crash();
        }
        disk.crash_at = None;
        Self { disk: self.disk.clone(), run: disk.run }
    }
}

impl Disk {
    fn now(&self) -> &MemoryRead {
        self.written.last().unwrap_or(&self.synced)
    }

    fn alive(&self, run: u64) -> Result<(), StoreError> {
        if self.run == run { Ok(()) } else { Err(io("the machine has crashed")) }
    }

    /// Ends the run: a prefix of what was written survives with what was synced.
    fn crash(&mut self) {
        let hasher = Domain::custom("pocket v1 fault store crash").hasher();
        let mut words = hasher.number(self.seed).number(self.effects).words();
        let survivors = words.below(self.written.len() as u64 + 1);
        if let Some(last) = survivors.checked_sub(1) {
            self.synced = self.written.swap_remove(last as usize);
        }
        self.written.clear();
        self.run += 1;
    }

    fn effect(&mut self) -> Result<(), StoreError> {
        let crash = self.crash_at == Some(self.effects);
        self.effects += 1;
        if crash {
            self.crash();
            return Err(io("the machine has crashed"));
        }
        Ok(())
    }

    fn commit(
        &mut self,
        expect: Sequence,
        ops: &[Op],
        durability: Durability,
    ) -> Result<Sequence, StoreError> {
        self.effect()?;
        if let Some(room) = self.room {
            let needed = ops.iter().map(Self::size).sum();
            let left = room.checked_sub(needed).ok_or_else(|| StoreError::Full {
                reason: format!("{needed} bytes to write, room for {room}"),
            })?;
            self.room = Some(left);
        }
        let mut next = self.now().clone();
        let sequence = next.commit(expect, ops)?;
        self.written.push(next);
        if durability == Durability::Immediate {
            self.effect()?;
            if std::mem::take(&mut self.fail_sync) {
                self.written.clear();
                return Err(io("sync failed"));
            }
            self.synced = self.now().clone();
            self.written.clear();
        }
        self.effect()?;
        Ok(sequence)
    }

    fn size(op: &Op) -> usize {
        match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { .. } | Op::DeleteRange { .. } => 0,
        }
    }

    /// Counts a row that is read; flips a bit of its value if its turn has come.
    fn damage(&mut self, value: &mut [u8]) {
        let row = self.rows_read;
        self.rows_read += 1;
        if self.flip_row.is_some_and(|flip| flip <= row) && !value.is_empty() {
            self.flip_row = None;
            let hasher = Domain::custom("pocket v1 fault store flip").hasher();
            let mut words = hasher.number(self.seed).number(row).words();
            let at = words.below(value.len() as u64) as usize;
            value[at] ^= 1 << words.below(8);
        }
    }
}

impl Store for FaultStore {
    type Read = FaultRead;

    fn snapshot(&self) -> Result<FaultRead, StoreError> {
        let disk = self.disk.lock();
        disk.alive(self.run)?;
        Ok(FaultRead { disk: self.disk.clone(), run: self.run, read: disk.now().clone() })
    }

    fn commit(
        &self,
        expect: Sequence,
        ops: &[Op],
        durability: Durability,
    ) -> Result<Sequence, StoreError> {
        let mut disk = self.disk.lock();
        disk.alive(self.run)?;
        disk.commit(expect, ops, durability)
    }

    fn last(&self) -> Result<Sequence, StoreError> {
        let disk = self.disk.lock();
        disk.alive(self.run)?;
        Ok(disk.now().sequence())
    }
}

impl Read for FaultRead {
    fn sequence(&self) -> Sequence {
        self.read.sequence()
    }

    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut disk = self.disk.lock();
        disk.alive(self.run)?;
        let mut values = self.read.get_many(table, keys)?;
        let found = values.iter_mut().flatten();
        found.for_each(|value| disk.damage(value));
        Ok(values)
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut crashed = Ok(());
        let scanned = self.read.scan(table, range, direction, limit, &mut |key, value| {
            let mut value = value.to_vec();
            let mut disk = self.disk.lock();
            crashed = disk.alive(self.run);
            if crashed.is_err() {
                return ControlFlow::Break(());
            }
            disk.damage(&mut value);
            drop(disk);
            visit(key, &value)
        });
        crashed.and(scanned)
    }
}

fn io(reason: &str) -> StoreError {
    StoreError::Io { reason: reason.into() }
}
