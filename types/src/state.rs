//! How the ledger reads and writes state, whoever keeps it: a database, a map, or the proven view of
//! a light client.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Name of a collection of the state: at most 23 lower-case ASCII letters, digits and underscores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection {
    name: [u8; Self::MAX_BYTES],
    length: u8,
}

impl Collection {
    /// Longest name.
    pub const MAX_BYTES: usize = 23;

    /// A collection by name.
    ///
    /// # Panics
    ///
    /// When the name is not valid; evaluated at compile time for constants. Use
    /// [`Collection::parse`] for names that come from outside.
    pub const fn new(name: &str) -> Self {
        match Self::parse(name) {
            Some(collection) => collection,
            None => panic!("a collection has 1 to 23 characters out of a-z, 0-9 and _"),
        }
    }

    /// A collection by a name from outside; none if it isn't valid.
    pub const fn parse(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > Self::MAX_BYTES {
            return None;
        }
        let mut fixed = [0; Self::MAX_BYTES];
        let mut i = 0;
        while i < bytes.len() {
            if !matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'_') {
                return None;
            }
            fixed[i] = bytes[i];
            i += 1;
        }
        Some(Self { name: fixed, length: bytes.len() as u8 })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.name[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Collection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Collection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl de::Visitor<'_> for Name {
            type Value = Collection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a collection")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Collection, E> {
                Collection::parse(name)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// State could not be read: storage failed, the height was pruned, or a light client was not given
/// a proof. Never the same as an absent value.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("state {collection}/{key} can't be read: {reason}", key = hex::encode(key))]
pub struct StateError {
    /// The collection.
    pub collection: Collection,
    /// The key within it.
    pub key: Vec<u8>,
    /// What went wrong, in the words of whoever keeps the state.
    pub reason: String,
}

/// Reads bytes by collection and key.
pub trait StateRead {
    /// The value, or none if there is none.
    ///
    /// # Errors
    ///
    /// [`StateError`] when nobody can say whether there is one.
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

/// Changes bytes by collection and key.
pub trait StateWrite: StateRead {
    /// Sets a value. An empty value is not the same as none.
    fn put(&mut self, collection: Collection, key: Vec<u8>, value: Vec<u8>);

    /// Removes a value, if there is one.
    fn delete(&mut self, collection: Collection, key: Vec<u8>);
}

impl<S: StateRead + ?Sized> StateRead for &S {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).get(collection, key)
    }
}

/// What a block changes, in order of collection and key: a new value, or none for a removal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct StateChanges(pub BTreeMap<(Collection, Vec<u8>), Option<Vec<u8>>>);

impl StateChanges {
    /// Applies later changes over these.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// Changes held in memory over a state that stays as it is.
#[derive(Clone, Debug)]
pub struct Overlay<S> {
    below: S,
    changes: StateChanges,
}

impl<S: StateRead> Overlay<S> {
    /// No changes yet.
    pub fn new(below: S) -> Self {
        Self { below, changes: StateChanges::default() }
    }

    /// The changes made so far.
    pub const fn changes(&self) -> &StateChanges {
        &self.changes
    }

    /// Gives up the state below and keeps the changes.
    pub fn into_changes(self) -> StateChanges {
        self.changes
    }
}

impl<S: StateRead> StateRead for Overlay<S> {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes.0.get(&(collection, key.to_vec())) {
            Some(change) => Ok(change.clone()),
            None => self.below.get(collection, key),
        }
    }
}

impl<S: StateRead> StateWrite for Overlay<S> {
    fn put(&mut self, collection: Collection, key: Vec<u8>, value: Vec<u8>) {
        self.changes.0.insert((collection, key), Some(value));
    }

    fn delete(&mut self, collection: Collection, key: Vec<u8>) {
        self.changes.0.insert((collection, key), None);
    }
}

/// A whole state in memory, for tests and small tools.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MemoryState(BTreeMap<(Collection, Vec<u8>), Vec<u8>>);

impl MemoryState {
    /// Applies a block's changes.
    pub fn apply(&mut self, changes: &StateChanges) {
        for ((collection, key), change) in &changes.0 {
            match change {
                Some(value) => self.put(*collection, key.clone(), value.clone()),
                None => self.delete(*collection, key.clone()),
            }
        }
    }

    /// Everything, in order of collection and key.
    pub fn iter(&self) -> impl Iterator<Item = (Collection, &[u8], &[u8])> {
        self.0.iter().map(|((collection, key), value)| (*collection, &key[..], &value[..]))
    }
}

impl StateRead for MemoryState {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(&(collection, key.to_vec())).cloned())
    }
}

impl StateWrite for MemoryState {
    fn put(&mut self, collection: Collection, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert((collection, key), value);
    }

    fn delete(&mut self, collection: Collection, key: Vec<u8>) {
        self.0.remove(&(collection, key));
    }
}
