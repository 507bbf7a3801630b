//! Rows with checksums. A checksum covers table and key too, so that a row in the wrong place is
//! damage like any other. It finds damage, not tampering.

use pocket_types::codec;
use pocket_types::hash::{Domain, Hash};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::store::{MAX_VALUE_BYTES, Op, Table};

/// Stored bytes are not what was written. The storage is at fault; nothing was changed by reading.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("table {table}, key {key}: {what}", key = hex::encode(key))]
pub struct Damage {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub what: String,
}

impl Damage {
    pub(crate) fn new(table: Table, key: &[u8], what: impl Into<String>) -> Self {
        Self { table, key: key.to_vec(), what: what.into() }
    }
}

/// Sets a row to these bytes.
pub(crate) fn put(table: Table, key: Vec<u8>, payload: &[u8]) -> Op {
    let mut value = checksum(table, &key, payload).0.to_vec();
    value.extend_from_slice(payload);
    Op::Put { table, key, value }
}

/// Sets a row to a value's encoding.
pub(crate) fn put_encoded<T: Serialize>(table: Table, key: Vec<u8>, value: &T) -> Op {
    put(table, key, &codec::encode(value))
}

/// The bytes that a row was set to.
pub(crate) fn open<'v>(table: Table, key: &[u8], stored: &'v [u8]) -> Result<&'v [u8], Damage> {
    let (sum, payload) = stored
        .split_first_chunk()
        .ok_or_else(|| Damage::new(table, key, format!("{} bytes, no checksum", stored.len())))?;
    if Hash(*sum) == checksum(table, key, payload) {
        Ok(payload)
    } else {
        Err(Damage::new(table, key, "checksum does not match"))
    }
}

/// The value that a row was set to.
pub(crate) fn decode<T: DeserializeOwned>(
    table: Table,
    key: &[u8],
    stored: &[u8],
) -> Result<T, Damage> {
    codec::decode_within(open(table, key, stored)?, MAX_VALUE_BYTES)
        .map_err(|error| Damage::new(table, key, error.to_string()))
}

fn checksum(table: Table, key: &[u8], payload: &[u8]) -> Hash {
    let hasher = Domain::STORED_ROW.hasher().variable(table.name().as_bytes());
    hasher.variable(key).variable(payload).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_whole_only_where_it_was_put() {
        let Op::Put { table, key, value } = put(Table::State, b"key".to_vec(), b"payload") else {
            panic!("a row is put");
        };
        assert_eq!(open(table, &key, &value), Ok(&b"payload"[..]));
        let elsewhere = open(Table::History, &key, &value).unwrap_err();
        assert_eq!((elsewhere.table, &elsewhere.key), (Table::History, &key));
        assert!(open(table, b"ke", &value).is_err());
        assert!(open(table, &key, &value[..31]).is_err());
    }
}
