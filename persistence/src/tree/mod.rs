//! The state as a value: collections of keys and values under one root.
//!
//! A [`State`] never changes. Applying a block's changes makes a new one that shares all untouched
//! nodes with the old one, at a cost of O(changes * log size); both stay valid, so undecided blocks
//! and past heights are states like any other. The root follows `pocket_types::merkle` and depends
//! on the content alone.

mod node;

use std::collections::BTreeMap;
use std::sync::Arc;

use pocket_types::codec::Bytes;
use pocket_types::hash::Hash;
use pocket_types::merkle::{EMPTY, MAX_VALUE, ProvenValue, path};
use pocket_types::state::{Collection, StateChanges, StateError, StateRead};
use thiserror::Error;

use crate::record::ValueRecord;
use node::{Edit, Leaf, Tree, Work};

/// The longest key of the state, in bytes.
pub const MAX_KEY: usize = 4096;

/// A whole state: an immutable value, cheap to clone, with its root.
#[derive(Clone, Debug, Default)]
pub struct State {
    collections: Arc<BTreeMap<Collection, Tree>>,
    /// The tree over collection name -> collection root.
    top: Tree,
}

/// Changes that no state can take. Whoever made them is at fault; nothing was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A key is too long.
    #[error("a key of {got} bytes in {collection} where at most {MAX_KEY} are allowed")]
    Key {
        /// The collection.
        collection: Collection,
        /// The key's length.
        got: usize,
    },
    /// A value is too long.
    #[error("a value of {got} bytes in {collection} where at most {MAX_VALUE} are allowed")]
    Value {
        /// The collection.
        collection: Collection,
        /// The value's length.
        got: usize,
    },
}

/// One key that a block really changes: `before` and `after` differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The collection.
    pub collection: Collection,
    /// Where the key stands in the collection's tree.
    pub path: Hash,
    /// The key.
    pub key: Vec<u8>,
    /// The value before the block, or none.
    pub before: Option<Vec<u8>>,
    /// The value after it, or none.
    pub after: Option<Vec<u8>>,
}

/// What a block really changes, by collection and path: writes that change nothing are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delta(Vec<Change>);

impl Delta {
    /// The changes, by increasing collection and path.
    pub fn changes(&self) -> &[Change] {
        &self.0
    }
}

impl State {
    /// The state in which there is nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What headers commit to.
    pub fn root(&self) -> Hash {
        self.top.root()
    }

    /// The value at a key, or none.
    pub fn value(&self, collection: Collection, key: &[u8]) -> Option<&[u8]> {
        let leaf = self.collections.get(&collection)?.get(&path(key))?;
        Some(&leaf.value)
    }

    /// The collections that are not empty, by name.
    pub fn collections(&self) -> impl Iterator<Item = Collection> {
        self.collections.keys().copied()
    }

    /// Keys and values of a collection in the order of the tree, which is that of the keys' hashes.
    pub fn iter(&self, collection: Collection) -> impl Iterator<Item = (&[u8], &[u8])> {
        let tree = self.collections.get(&collection);
        let leaves = tree.into_iter().flat_map(Tree::iter);
        leaves.map(|leaf| (&leaf.key[..], &leaf.value[..]))
    }

    /// What these changes would really change.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for keys or values beyond the limits.
    pub fn delta(&self, changes: &StateChanges) -> Result<Delta, LimitError> {
        let mut delta = Vec::with_capacity(changes.0.len());
        for ((collection, key), after) in &changes.0 {
            let (collection, got) = (*collection, key.len());
            if got > MAX_KEY {
                return Err(LimitError::Key { collection, got });
            }
            let got = after.as_ref().map_or(0, Vec::len);
            if got > MAX_VALUE {
                return Err(LimitError::Value { collection, got });
            }
            let path = path(key);
            let tree = self.collections.get(&collection);
            let before = tree.and_then(|tree| tree.get(&path));
            if before.map(|leaf| &leaf.value[..]) != after.as_deref() {
                delta.push(Change {
                    collection,
                    path,
                    key: key.clone(),
                    before: before.map(|leaf| leaf.value.to_vec()),
                    after: after.clone(),
                });
            }
        }
        delta.sort_unstable_by_key(|change| (change.collection, change.path));
        Ok(Delta(delta))
    }

    /// The state after these changes. This one stays as it is.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for keys or values beyond the limits.
    pub fn apply(&self, changes: &StateChanges) -> Result<Self, LimitError> {
        Ok(self.after(&self.delta(changes)?))
    }

    /// The state after a delta that was computed over this one.
    #[must_use]
    pub fn after(&self, delta: &Delta) -> Self {
        let edits = delta.0.iter().map(|change| {
            (change.collection, change.path, &change.key[..], change.after.as_deref())
        });
        self.edited(edits, &mut Work::default())
    }

    /// The state in which these keys have these values.
    pub(crate) fn replaced(&self, values: &BTreeMap<(Collection, Hash), ValueRecord>) -> Self {
        let edits = values.iter().map(|((collection, path), record)| {
            (*collection, *path, &record.key[..], record.value.as_deref())
        });
        self.edited(edits, &mut Work::default())
    }

    /// Applies edits that come by strictly increasing collection and path.
    fn edited<'e>(
        &self,
        edits: impl Iterator<Item = (Collection, Hash, &'e [u8], Option<&'e [u8]>)>,
        work: &mut Work,
    ) -> Self {
        let mut by_collection: BTreeMap<Collection, Vec<Edit>> = BTreeMap::new();
        for (collection, path, key, after) in edits {
            let leaf = after.map(|value| Leaf::new(path, key, value, work));
            let edits = by_collection.entry(collection).or_default();
            edits.push(Edit { path, leaf });
        }
        if by_collection.is_empty() {
            return self.clone();
        }
        let mut collections = BTreeMap::clone(&self.collections);
        let mut top = Vec::with_capacity(by_collection.len());
        for (collection, edits) in by_collection {
            let tree = collections.entry(collection).or_default();
            *tree = tree.edited(&edits, work);
            let root = tree.root();
            if root == EMPTY {
                collections.remove(&collection);
            }
            let name = collection.as_str().as_bytes();
            let path = path(name);
            let leaf = (root != EMPTY).then(|| Leaf::new(path, name, &root.0, work));
            top.push(Edit { path, leaf });
        }
        top.sort_unstable_by_key(|edit| edit.path);
        Self { collections: Arc::new(collections), top: self.top.edited(&top, work) }
    }

    /// The value at a key, or its absence, with the proof against [`State::root`].
    ///
    /// # Errors
    ///
    /// [`LimitError::Key`] for a key that no state can hold.
    pub fn prove(&self, collection: Collection, key: &[u8]) -> Result<ProvenValue, LimitError> {
        let too_long = LimitError::Key { collection, got: key.len() };
        let bounded = Bytes::new(key).map_err(|_| too_long)?;
        let tree = self.collections.get(&collection);
        let in_collection = tree.map(|tree| tree.prove(&path(key)));
        let value = self.value(collection, key);
        let value = value.map(|value| Bytes::new(value).expect("values are within MAX_VALUE"));
        Ok(ProvenValue {
            collection,
            key: bounded,
            value,
            collection_root: tree.map_or(EMPTY, Tree::root),
            in_collection,
            in_state: self.top.prove(&path(collection.as_str().as_bytes())),
        })
    }
}

impl PartialEq for State {
    /// Equal roots are equal contents.
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for State {}

impl StateRead for State {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.value(collection, key).map(<[u8]>::to_vec))
    }
}
