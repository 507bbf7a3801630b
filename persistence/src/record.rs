//! Formats of stored keys and values.

use pocket_types::codec::Bytes;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::merkle::MAX_VALUE;
use pocket_types::number::{Epoch, Height};
use pocket_types::state::Collection;
use serde::{Deserialize, Serialize};

use crate::row::Damage;
use crate::store::{KeyRange, Table};
use crate::tree::MAX_KEY;

/// The format that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const GENESIS: &[u8] = b"genesis";
pub(crate) const TIP: &[u8] = b"tip";

/// What a chain began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct GenesisRecord {
    pub(crate) format: u32,
    pub(crate) chain: ChainId,
    pub(crate) state_root: Hash,
    pub(crate) validators: Hash,
}

/// An entry of [`Table::State`] (none: removed) and of [`Table::History`] (none: was not there).
#[derive(Serialize, Deserialize)]
pub(crate) struct ValueRecord {
    pub(crate) key: Bytes<MAX_KEY>,
    pub(crate) value: Option<Bytes<MAX_VALUE>>,
}

impl ValueRecord {
    /// Whether an encoded record holds no value: it ends with its key and a zero.
    pub(crate) fn is_none(encoded: &[u8]) -> bool {
        let length = encoded.first_chunk().map(|length| u64::from_le_bytes(*length));
        length.and_then(|length| length.checked_add(9)) == Some(encoded.len() as u64)
    }
}

/// An entry of [`Table::Transactions`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PlaceRecord {
    pub(crate) height: Height,
    pub(crate) index: u32,
}

pub(crate) fn height_key(height: Height) -> Vec<u8> {
    height.0.to_be_bytes().to_vec()
}

/// Rows keyed by height, below one.
pub(crate) fn below(height: Height) -> KeyRange {
    KeyRange::between([], height_key(height))
}

pub(crate) fn epoch_key(epoch: Epoch) -> Vec<u8> {
    [&b"e"[..], &epoch.0.to_be_bytes()].concat()
}

pub(crate) fn set_key(hash: Hash) -> Vec<u8> {
    [&b"h"[..], &hash.0].concat()
}

pub(crate) fn body_key(height: Height, block: BlockId) -> Vec<u8> {
    [&height.0.to_be_bytes()[..], &block.0.0].concat()
}

/// A name in front of a key: no name is a prefix of another one with its zero.
pub(crate) fn named(name: Collection, key: &[u8]) -> Vec<u8> {
    [name.as_str().as_bytes(), &[0], key].concat()
}

/// Key of an entry of [`Table::State`].
pub(crate) fn state_key(collection: Collection, path: &Hash) -> Vec<u8> {
    named(collection, &path.0)
}

/// Key of an entry of [`Table::History`]: the value before the change at `height`.
pub(crate) fn history_key(collection: Collection, path: &Hash, height: Height) -> Vec<u8> {
    [&state_key(collection, path)[..], &height.0.to_be_bytes()].concat()
}

/// What [`state_key`] was made from, and what follows it.
pub(crate) fn parse_key(table: Table, key: &[u8]) -> Result<(Collection, Hash, &[u8]), Damage> {
    let parse = || {
        let (name, rest) = key.split_at(key.iter().position(|&byte| byte == 0)?);
        let collection = Collection::parse(std::str::from_utf8(name).ok()?)?;
        let (path, rest) = rest[1..].split_first_chunk()?;
        Some((collection, Hash(*path), rest))
    };
    parse().ok_or_else(|| Damage::new(table, key, "not the key of an entry"))
}

#[cfg(test)]
mod tests {
    use pocket_types::codec::encode;

    use super::*;

    #[test]
    fn a_record_without_a_value_is_told_from_every_one_with() {
        for key in [vec![], vec![0; 9], vec![1]] {
            for value in [None, Some(vec![]), Some(vec![0]), Some(vec![0; 9])] {
                let none = value.is_none();
                let key = Bytes::new(key.clone()).unwrap();
                let value = value.map(|value| Bytes::new(value).unwrap());
                assert_eq!(ValueRecord::is_none(&encode(&ValueRecord { key, value })), none);
            }
        }
        assert!(!ValueRecord::is_none(&[]) && !ValueRecord::is_none(&[0xff; 9]));
    }

    #[test]
    fn keys_of_entries_are_read_as_they_were_written() {
        let (collection, path) = (Collection::new("a_1"), Hash([0; 32]));
        let key = history_key(collection, &path, Height(258));
        let height = 258u64.to_be_bytes();
        assert_eq!(parse_key(Table::History, &key), Ok((collection, path, &height[..])));
        for bad in [&key[..30], b"no zero", b"", b"\0", b"Upper\0"] {
            assert!(parse_key(Table::History, bad).is_err());
        }
    }
}
