//! The state tree's hashes, and proofs against a state root.
//!
//! A binary sparse Merkle tree by path = blake3(key), most significant bit first. An empty subtree
//! is 32 zero bytes; a subtree with one leaf is that leaf, wherever it stands; an inner node is
//! blake3(left ‖ right); a leaf is blake3(64-byte prefix ‖ path ‖ blake3(value)). The root depends on
//! the content alone. Inner nodes hash 64 bytes and leaves 128, which keeps them apart, and makes
//! proofs expressible in ICS-23 (ibc spec ICS-023, with prehashed keys).
//!
//! The state root is the same tree over collection name -> collection root; an empty collection is
//! absent from it. A value is proved by two chained proofs: the key in its collection, the
//! collection in the state.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{List, Wire};
use crate::hash::Hash;
use crate::state::{Collection, StateError, StateRead};

/// Root of an empty tree.
pub const EMPTY: Hash = Hash::ZERO;

/// Levels of a path.
pub const MAX_DEPTH: usize = 256;

const LEAF_PREFIX: &[u8; 64] =
    b"pocket v1 state tree leaf: prefix, path, hash of the value.\0\0\0\0\0";

/// Where a key stands in the tree.
pub fn path(key: &[u8]) -> Hash {
    Hash(*blake3::hash(key).as_bytes())
}

/// What a leaf commits to of its value.
pub fn value_hash(value: &[u8]) -> Hash {
    Hash(*blake3::hash(value).as_bytes())
}

/// Hash of a leaf.
pub fn leaf(path: &Hash, value_hash: &Hash) -> Hash {
    let mut input = [0; 128];
    input[..64].copy_from_slice(LEAF_PREFIX);
    input[64..96].copy_from_slice(&path.0);
    input[96..].copy_from_slice(&value_hash.0);
    Hash(*blake3::hash(&input).as_bytes())
}

/// Hash of an inner node.
pub fn inner(left: &Hash, right: &Hash) -> Hash {
    let mut input = [0; 64];
    input[..32].copy_from_slice(&left.0);
    input[32..].copy_from_slice(&right.0);
    Hash(*blake3::hash(&input).as_bytes())
}

/// The bit of a path at a depth: true goes right.
pub const fn bit(path: &Hash, depth: usize) -> bool {
    path.0[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// What stands where a key's path ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Terminal {
    /// Nothing.
    Empty,
    /// A leaf: the key's own, or, for an absent key, another one whose path begins alike.
    Leaf {
        /// Its path.
        path: Hash,
        /// What it commits to of its value.
        value_hash: Hash,
    },
}

/// Proof of what a tree holds, or does not hold, at a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// Sibling hashes from the terminal upward; zero where the sibling is empty.
    pub siblings: List<Hash, MAX_DEPTH>,
    /// What stands where the path ends.
    pub terminal: Terminal,
}

impl Wire for Proof {
    const MAX_BYTES: usize = 8 + 32 * MAX_DEPTH + 4 + 64;
}

/// Why a proof proves nothing. Whoever made it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It leads to another root.
    #[error("proof leads to root {got}, expected {expected}")]
    Root {
        /// Where it leads.
        got: Hash,
        /// The trusted root.
        expected: Hash,
    },
    /// The leaf at its end lies elsewhere in the tree, so it says nothing about this key.
    #[error("proof ends at a leaf that is not on the key's path")]
    OffPath,
    /// It claims a shape that no tree has: an inner node whose only content is one leaf or nothing.
    #[error("proof is not of the tree's only shape for its content")]
    Shape,
    /// It shows another value.
    #[error("the tree holds another value")]
    Value,
    /// It shows no value.
    #[error("the tree holds no value at this key")]
    Absent,
    /// It shows a value where none was expected.
    #[error("the tree holds a value at this key")]
    Present,
}

impl Proof {
    /// What the tree with this root commits to at `key`: the hash of its value, or none.
    ///
    /// # Errors
    ///
    /// [`ProofError`] when the proof does not say.
    pub fn verify(&self, root: &Hash, key: &[u8]) -> Result<Option<Hash>, ProofError> {
        let path = path(key);
        let depth = self.siblings.len();
        let (mut node, found) = match &self.terminal {
            Terminal::Empty => (EMPTY, None),
            Terminal::Leaf { path: stands, value_hash } if *stands == path => {
                (leaf(&path, value_hash), Some(*value_hash))
            }
            Terminal::Leaf { path: stands, value_hash } => {
                if (0..depth).any(|level| bit(stands, level) != bit(&path, level)) {
                    return Err(ProofError::OffPath);
                }
                (leaf(stands, value_hash), None)
            }
        };
        // A lone leaf moves up until it has company, and an empty subtree is empty as a whole.
        if self.siblings.first() == Some(&EMPTY) {
            return Err(ProofError::Shape);
        }
        for (level, sibling) in (0..depth).rev().zip(self.siblings.iter()) {
            node = if bit(&path, level) { inner(sibling, &node) } else { inner(&node, sibling) };
        }
        if node == *root { Ok(found) } else { Err(ProofError::Root { got: node, expected: *root }) }
    }

    /// Checks that the tree holds this value at this key.
    ///
    /// # Errors
    ///
    /// [`ProofError`] when it does not, or the proof does not say.
    pub fn verify_value(&self, root: &Hash, key: &[u8], value: &[u8]) -> Result<(), ProofError> {
        match self.verify(root, key)? {
            Some(found) if found == value_hash(value) => Ok(()),
            Some(_) => Err(ProofError::Value),
            None => Err(ProofError::Absent),
        }
    }

    /// Checks that the tree holds nothing at this key.
    ///
    /// # Errors
    ///
    /// [`ProofError`] when it does, or the proof does not say.
    pub fn verify_absent(&self, root: &Hash, key: &[u8]) -> Result<(), ProofError> {
        match self.verify(root, key)? {
            Some(_) => Err(ProofError::Present),
            None => Ok(()),
        }
    }
}

/// Longest value of the state.
pub const MAX_VALUE: usize = 1 << 20;

/// A value of the state, or its absence, with the proof of it: what a full node answers a light
/// client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProvenValue {
    /// The collection.
    pub collection: Collection,
    /// The key within it.
    pub key: crate::codec::Bytes<4096>,
    /// The value, or none.
    pub value: Option<crate::codec::Bytes<MAX_VALUE>>,
    /// Root of the collection; zero if it is empty.
    pub collection_root: Hash,
    /// The key in the collection; none if the collection is empty.
    pub in_collection: Option<Proof>,
    /// The collection in the state.
    pub in_state: Proof,
}

impl Wire for ProvenValue {
    const MAX_BYTES: usize = 32 + 4104 + 9 + MAX_VALUE + 32 + 1 + 2 * Proof::MAX_BYTES;
}

impl ProvenValue {
    /// Checks value or absence against a trusted state root.
    ///
    /// # Errors
    ///
    /// [`ProofError`] naming the first violation.
    pub fn verify(&self, state_root: &Hash) -> Result<(), ProofError> {
        let name = self.collection.as_str().as_bytes();
        let Some(in_collection) = &self.in_collection else {
            if self.value.is_some() || self.collection_root != EMPTY {
                return Err(ProofError::Absent);
            }
            return self.in_state.verify_absent(state_root, name);
        };
        self.in_state.verify_value(state_root, name, &self.collection_root.0)?;
        match &self.value {
            Some(value) => in_collection.verify_value(&self.collection_root, &self.key, value),
            None => in_collection.verify_absent(&self.collection_root, &self.key),
        }
    }
}

/// Proven values as a state: what was not proved can't be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProvenState(Vec<ProvenValue>);

impl ProvenState {
    /// Checks every value against a trusted state root.
    ///
    /// # Errors
    ///
    /// [`ProofError`] of the first that fails.
    pub fn new(state_root: &Hash, values: Vec<ProvenValue>) -> Result<Self, ProofError> {
        values.iter().try_for_each(|value| value.verify(state_root))?;
        Ok(Self(values))
    }
}

impl StateRead for ProvenState {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let found = self.0.iter().find(|v| v.collection == collection && v.key[..] == *key);
        found.map(|proven| proven.value.as_ref().map(|value| value.to_vec())).ok_or_else(|| {
            StateError { collection, key: key.to_vec(), reason: "no proof was given for it".into() }
        })
    }
}
