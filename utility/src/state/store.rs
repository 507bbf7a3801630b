//! Typed reads and writes over a state, with savepoints.

use alloc::string::ToString;
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::state::{Collection, StateChanges, StateRead};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ledger::LedgerError;

/// Changes over a state, with the means to take back the latest.
pub(crate) struct Store<S> {
    below: S,
    changes: StateChanges,
    /// What each write since the savepoint replaced, oldest first.
    undo: Vec<Replaced>,
}

/// The key of a change, and the change that it replaced, if there was one.
type Replaced = ((Collection, Vec<u8>), Option<Option<Vec<u8>>>);

/// Bound of a stored value: what we wrote ourselves, so only damage exceeds it.
const MAX_VALUE: usize = 4 << 20;

impl<S: StateRead> Store<S> {
    pub(crate) fn new(below: S) -> Self {
        Self { below, changes: StateChanges::default(), undo: Vec::new() }
    }

    pub(crate) fn into_changes(self) -> StateChanges {
        self.changes
    }

    pub(crate) fn bytes(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.changes.0.get(&(collection, key.to_vec())) {
            Some(change) => Ok(change.clone()),
            None => Ok(self.below.get(collection, key)?),
        }
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<T>, LedgerError> {
        let Some(bytes) = self.bytes(collection, key)? else { return Ok(None) };
        decode(collection, key, &bytes).map(Some)
    }

    pub(crate) fn put<T: Serialize>(&mut self, collection: Collection, key: Vec<u8>, value: &T) {
        self.set(collection, key, Some(codec::encode(value)));
    }

    pub(crate) fn delete(&mut self, collection: Collection, key: Vec<u8>) {
        self.set(collection, key, None);
    }

    pub(crate) fn set(&mut self, collection: Collection, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key = (collection, key);
        let replaced = self.changes.0.insert(key.clone(), value);
        self.undo.push((key, replaced));
    }

    /// Makes everything so far permanent within the block.
    pub(crate) fn savepoint(&mut self) {
        self.undo.clear();
    }

    /// Takes everything since the savepoint back.
    pub(crate) fn rollback(&mut self) {
        for (key, replaced) in self.undo.drain(..).rev() {
            match replaced {
                Some(change) => self.changes.0.insert(key, change),
                None => self.changes.0.remove(&key),
            };
        }
    }
}

impl<S: StateRead> StateRead for Store<S> {
    fn get(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, pocket_types::state::StateError> {
        match self.changes.0.get(&(collection, key.to_vec())) {
            Some(change) => Ok(change.clone()),
            None => self.below.get(collection, key),
        }
    }
}

/// A typed read of any state, for queries.
pub(crate) fn read<T: DeserializeOwned>(
    state: &impl StateRead,
    collection: Collection,
    key: &[u8],
) -> Result<Option<T>, LedgerError> {
    let Some(bytes) = state.get(collection, key)? else { return Ok(None) };
    decode(collection, key, &bytes).map(Some)
}

pub(crate) fn decode<T: DeserializeOwned>(
    collection: Collection,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, LedgerError> {
    codec::decode_within(bytes, MAX_VALUE).map_err(|error| LedgerError::Damaged {
        collection,
        key: key.to_vec(),
        reason: error.to_string(),
    })
}
