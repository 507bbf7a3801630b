//! Identifiers. All are plain bytes, ordered, hashable, and hex or short text in JSON.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::codec;
use crate::hash::{Domain, Hash};
use crate::key::PublicKey;

/// A network: the hash of its genesis, so that two networks never share a signature.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChainId(pub Hash);

/// A block: the hash of its header.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BlockId(pub Hash);

/// A transaction: the hash of its body, without the signature.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TransactionId(pub Hash);

/// A session: the hash of its header and the beacon's value at its first block.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SessionId(pub Hash);

/// A relay request: the hash of its head.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RelayDigest(pub Hash);

macro_rules! display_hash {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

display_hash!(ChainId BlockId TransactionId SessionId RelayDigest);

/// An account: the first 20 bytes of the hash of its public key, or a pool's name padded with
/// zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// The address that a key owns.
    pub fn of(key: &PublicKey) -> Self {
        let hash = Domain::ADDRESS.hash(&key.0);
        let mut address = [0; 20];
        address.copy_from_slice(&hash.0[..20]);
        Self(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut address = [0; 20];
        hex::decode_to_slice(text, &mut address).map_err(|_| IdError::Address(text.into()))?;
        Ok(Self(address))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::array::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::array::deserialize(deserializer).map(Self)
    }
}

/// A text is not the identifier it should be. The caller is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not 40 hex digits.
    #[error("expected an address of 40 hex digits, got {0:?}")]
    Address(String),
    /// Not four characters out of 0-9, A-Z.
    #[error("expected four characters out of 0-9 and A-Z, got {0:?}")]
    Code(String),
}

macro_rules! code {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 4]);

        impl $name {
            /// The code's four ASCII characters.
            pub const fn as_bytes(&self) -> &[u8; 4] {
                &self.0
            }

            fn checked(bytes: [u8; 4]) -> Option<Self> {
                let valid = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
                bytes.into_iter().all(valid).then_some(Self(bytes))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = text.as_bytes().try_into().ok();
                bytes.and_then(Self::checked).ok_or_else(|| IdError::Code(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|&byte| write!(f, "{}", char::from(byte)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
                }
                Self::checked(<[u8; 4]>::deserialize(deserializer)?).ok_or_else(|| {
                    de::Error::custom("expected four characters out of 0-9 and A-Z")
                })
            }
        }
    };
}

code! {
    /// A chain whose data relays carry, such as `0001`, Pocket itself.
    RelayChain
}

code! {
    /// Where an actor serves, such as `EU01`: sessions match actors of one zone.
    GeoZone
}
