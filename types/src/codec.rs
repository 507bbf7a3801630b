//! The canonical wire format, and the only module that knows `bincode`.
//!
//! Integers are fixed-width little-endian, enum tags u32, lengths u64, options one byte 0 or 1,
//! structs and tuples their fields in order, arrays their elements without a length. The format is
//! pinned byte by byte by the golden files in `tests/golden`.
//!
//! Decoding is canonical: `encode(decode(b)) == b` for every accepted `b`. Trailing bytes, lengths
//! beyond a type's bound and sets out of order are errors, found before memory is allocated for
//! them: the input is capped first ([`Wire::MAX_BYTES`]), then each collection by its own type
//! ([`Bytes`], [`List`], [`SortedSet`]).
//!
//! Human-readable serde formats (JSON) write bytes as lower-case hex.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A value with a canonical encoding that may arrive from a stranger.
pub trait Wire: Serialize + DeserializeOwned {
    /// The largest encoding that [`decode`] looks at.
    const MAX_BYTES: usize;
}

/// Why bytes are not a value. The sender is at fault; nothing was allocated beyond the bounds.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input is longer than any valid encoding.
    #[error("{got} bytes where at most {max} are allowed")]
    TooLong {
        /// Length of the input.
        got: usize,
        /// The type's bound.
        max: usize,
    },
    /// Bytes remain after the value.
    #[error("{0} bytes left over after the value")]
    Trailing(usize),
    /// The bytes do not follow the format; the reason names what was found.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// The canonical encoding of a value.
///
/// # Panics
///
/// Never for the types of this workspace: writing to memory can't fail, and none of their `Serialize`
/// implementations does.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, CONFIG).expect("writing plain data to memory can't fail")
}

/// The value that these bytes, all of them, encode.
///
/// # Errors
///
/// [`DecodeError`] when they are not the canonical encoding of one.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_within(bytes, T::MAX_BYTES)
}

/// [`decode`] for a type that is only ever stored or nested, within a bound chosen by the caller.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not the canonical encoding of a value.
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { got: bytes.len(), max });
    }
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|error| DecodeError::Malformed(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(value),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

/// Length of a value's canonical encoding.
pub fn encoded_len<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    bincode::serde::encode_into_writer(value, &mut counter, CONFIG)
        .expect("counting plain data can't fail");
    counter.0
}

/// bincode's limit counts in-memory sizes, so it is a backstop only, far above every real bound.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<{ 1 << 30 }>> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<{ 1 << 30 }>();

struct Counter(usize);

impl bincode::enc::write::Writer for Counter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// At most `MAX` opaque bytes. JSON: lower-case hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

/// At most `MAX` values in an order of their own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// At most `MAX` values, strictly increasing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SortedSet<T, const MAX: usize>(Vec<T>);

/// At most `MAX` bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

/// A collection would exceed its bound, or is not what its type promises. The caller is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BoundError {
    /// More elements than allowed.
    #[error("{got} elements where at most {max} are allowed")]
    TooMany {
        /// Elements given.
        got: usize,
        /// The type's bound.
        max: usize,
    },
    /// A set holds an element twice.
    #[error("duplicate element in a set")]
    Duplicate,
    /// A text holds a control character.
    #[error("control character in a text")]
    ControlCharacter,
}

impl<const MAX: usize> Bytes<MAX> {
    /// Wraps bytes within the bound.
    ///
    /// # Errors
    ///
    /// [`BoundError::TooMany`] beyond it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BoundError> {
        let bytes = bytes.into();
        within(bytes.len(), MAX)?;
        Ok(Self(bytes))
    }

    /// The bytes themselves.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// A list without elements.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Wraps a list within the bound.
    ///
    /// # Errors
    ///
    /// [`BoundError::TooMany`] beyond it.
    pub fn new(items: Vec<T>) -> Result<Self, BoundError> {
        within(items.len(), MAX)?;
        Ok(Self(items))
    }

    /// The elements themselves.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T: Ord, const MAX: usize> SortedSet<T, MAX> {
    /// A set without members.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Sorts and wraps members within the bound.
    ///
    /// # Errors
    ///
    /// [`BoundError`] beyond the bound or when a member comes twice.
    pub fn new(mut items: Vec<T>) -> Result<Self, BoundError> {
        within(items.len(), MAX)?;
        items.sort_unstable();
        if items.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BoundError::Duplicate);
        }
        Ok(Self(items))
    }

    /// Whether the set holds this member.
    pub fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }

    /// Adds a member; false if it was there.
    ///
    /// # Errors
    ///
    /// [`BoundError::TooMany`] when the set is full.
    pub fn insert(&mut self, item: T) -> Result<bool, BoundError> {
        let Err(position) = self.0.binary_search(&item) else {
            return Ok(false);
        };
        within(self.0.len() + 1, MAX)?;
        self.0.insert(position, item);
        Ok(true)
    }

    /// Removes a member; false if it wasn't there.
    pub fn remove(&mut self, item: &T) -> bool {
        self.0.binary_search(item).map(|position| self.0.remove(position)).is_ok()
    }
}

impl<const MAX: usize> Text<MAX> {
    /// Wraps a text within the bound.
    ///
    /// # Errors
    ///
    /// [`BoundError`] beyond the bound or when it holds control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, BoundError> {
        let text = text.into();
        within(text.len(), MAX)?;
        if text.chars().any(char::is_control) {
            return Err(BoundError::ControlCharacter);
        }
        Ok(Self(text))
    }
}

const fn within(got: usize, max: usize) -> Result<(), BoundError> {
    if got > max { Err(BoundError::TooMany { got, max }) } else { Ok(()) }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Ord, const MAX: usize> Default for SortedSet<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<const MAX: usize> Deref for Bytes<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> Deref for SortedSet<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.0[..self.0.len().min(16)];
        write!(f, "{} bytes {}", self.0.len(), hex::encode(head))
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> Serialize for Bytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Bytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            within(text.len() / 2, MAX).map_err(de::Error::custom)?;
            lower_hex(&text).map(Self)
        } else {
            deserializer.deserialize_bytes(BytesVisitor::<MAX>)
        }
    }
}

/// Takes the input's own slice, so that nothing is allocated for a length that isn't there.
struct BytesVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for BytesVisitor<MAX> {
    type Value = Bytes<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Bytes::new(bytes).map_err(E::custom)
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const MAX: usize>;
        impl<const MAX: usize> Visitor<'_> for TextVisitor<MAX> {
            type Value = Text<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text of at most {MAX} bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                within(text.len(), MAX).map_err(E::custom)?;
                Text::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor::<T, MAX>(PhantomData)).map(Self)
    }
}

impl<T: Serialize, const MAX: usize> Serialize for SortedSet<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: Deserialize<'de> + Ord, const MAX: usize> Deserialize<'de> for SortedSet<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = deserializer.deserialize_seq(ListVisitor::<T, MAX>(PhantomData))?;
        if items.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(de::Error::custom("set members must be strictly increasing"));
        }
        Ok(Self(items))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        // An announced length is only a claim: room grows with the elements that really arrive.
        if let Some(hint) = seq.size_hint() {
            within(hint, MAX).map_err(de::Error::custom)?;
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            within(items.len() + 1, MAX).map_err(de::Error::custom)?;
            items.push(item);
        }
        Ok(items)
    }
}

/// Fixed-size byte arrays of any length: raw on the wire, lower-case hex in JSON. For
/// `#[serde(with = "pocket_types::codec::array")]`.
pub mod array {
    use serde::de::Error;
    use serde::ser::SerializeTuple;

    use super::*;

    /// Writes the bytes without a length.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&hex::encode(bytes));
        }
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    ///
    /// When fewer or more are given, or the hex isn't lower-case.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        if deserializer.is_human_readable() {
            let bytes = lower_hex(&String::deserialize(deserializer)?)?;
            let length = bytes.len();
            return bytes.try_into().map_err(|_| {
                D::Error::custom(format_args!("expected {N} bytes of hex, got {length}"))
            });
        }
        struct ArrayVisitor<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for ArrayVisitor<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
                let mut bytes = [0; N];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte =
                        seq.next_element()?.ok_or_else(|| Error::invalid_length(index, &self))?;
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_tuple(N, ArrayVisitor)
    }
}

/// Hex that reads back to what was written: lower case, whole bytes.
fn lower_hex<E: de::Error>(text: &str) -> Result<Vec<u8>, E> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(E::custom("hex must be lower case"));
    }
    hex::decode(text).map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn lengths_that_are_not_there_cost_nothing() {
        let lying = u64::MAX.to_le_bytes();
        assert!(decode_within::<Bytes<{ usize::MAX }>>(&lying, 100).is_err());
        assert!(decode_within::<List<u64, { usize::MAX }>>(&lying, 100).is_err());
        assert!(decode_within::<Text<{ usize::MAX }>>(&lying, 100).is_err());
    }

    #[test]
    fn bounds_and_order_are_part_of_the_format() {
        let encoded = encode(&vec![3u8, 2, 2]);
        assert!(decode_within::<List<u8, 3>>(&encoded, 100).is_ok());
        assert!(decode_within::<List<u8, 2>>(&encoded, 100).is_err());
        assert!(decode_within::<SortedSet<u8, 3>>(&encoded, 100).is_err());
        assert!(decode_within::<SortedSet<u8, 3>>(&encode(&vec![1u8, 2, 2]), 100).is_err());
        assert!(decode_within::<SortedSet<u8, 3>>(&encode(&vec![1u8, 2, 3]), 100).is_ok());
        let trailing = decode_within::<u8>(&[1, 2], 100);
        assert_eq!(trailing, Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn counting_agrees_with_encoding() {
        let value = (Bytes::<9>::new(vec![1, 2]).unwrap(), List::<u32, 4>::new(vec![7]).unwrap());
        assert_eq!(encoded_len(&value), encode(&value).len());
    }
}
