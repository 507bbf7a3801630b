//! blake3 with a domain for every purpose.
//!
//! Nothing in the protocol hashes a bare concatenation: each purpose has a [`Domain`], and each
//! variable-length part is length-prefixed. The one exception is the state tree
//! ([`crate::merkle`]), whose plain blake3 is kept apart by input length because ICS-23 needs it.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 32-byte blake3 digest. JSON: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the root of an empty tree, the parent of genesis.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A purpose for which something is hashed; two domains never produce the same digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain(&'static str);

impl Domain {
    /// Identifier of a block: hash of its encoded header.
    pub const BLOCK_ID: Self = Self("pocket v1 block id");
    /// Identifier of a transaction: hash of its encoded body, without the signature.
    pub const TRANSACTION_ID: Self = Self("pocket v1 transaction id");
    /// What a block commits to of a transaction: id and signature.
    pub const TRANSACTION_COMMITMENT: Self = Self("pocket v1 transaction commitment");
    /// Message that a transaction's signer signs.
    pub const TRANSACTION_SIGNATURE: Self = Self("pocket v1 transaction signature");
    /// Message that a validator's vote signs, in every phase.
    pub const VOTE_SIGNATURE: Self = Self("pocket v1 vote signature");
    /// Hash of a validator set.
    pub const VALIDATOR_SET: Self = Self("pocket v1 validator set");
    /// The beacon's next value, from the previous one and the proposer's VRF output.
    pub const RANDOMNESS: Self = Self("pocket v1 randomness");
    /// Input of the proposer's VRF.
    pub const RANDOMNESS_INPUT: Self = Self("pocket v1 randomness input");
    /// Input of a candidate's VRF, from the beacon.
    pub const LEADER_INPUT: Self = Self("pocket v1 leader input");
    /// Input of a candidate's VRF, from the last leaders.
    pub const LEADER_INPUT_OF_LEADERS: Self = Self("pocket v1 leader input of leaders");
    /// The last leaders, as a seed.
    pub const LAST_LEADERS: Self = Self("pocket v1 last leaders");
    /// Priority of a selected unit of a candidate's stake.
    pub const LEADER_PRIORITY: Self = Self("pocket v1 leader priority");
    /// Message that a candidate for a round's lead signs.
    pub const CANDIDACY_SIGNATURE: Self = Self("pocket v1 candidacy signature");
    /// Leaf of a list commitment (transactions, evidence).
    pub const LIST_LEAF: Self = Self("pocket v1 list leaf");
    /// Inner node of a list commitment.
    pub const LIST_NODE: Self = Self("pocket v1 list node");
    /// Root of a list commitment, binding the length.
    pub const LIST_ROOT: Self = Self("pocket v1 list root");
    /// Leaf of a claim's Merkle-sum tree.
    pub const SUM_LEAF: Self = Self("pocket v1 sum leaf");
    /// Inner node of a claim's Merkle-sum tree.
    pub const SUM_NODE: Self = Self("pocket v1 sum node");
    /// Root of a claim's Merkle-sum tree, binding the count.
    pub const SUM_ROOT: Self = Self("pocket v1 sum root");
    /// Seed of the challenge that a claim must answer.
    pub const CLAIM_CHALLENGE: Self = Self("pocket v1 claim challenge");
    /// Identifier of a session.
    pub const SESSION_ID: Self = Self("pocket v1 session");
    /// Draw of a session's actors.
    pub const SESSION_DRAW: Self = Self("pocket v1 session draw");
    /// Digest of a relay request, without its signature.
    pub const RELAY_REQUEST: Self = Self("pocket v1 relay request");
    /// Message that the sender of a relay request signs.
    pub const RELAY_REQUEST_SIGNATURE: Self = Self("pocket v1 relay request signature");
    /// Digest of a relay response's payload.
    pub const RELAY_RESPONSE: Self = Self("pocket v1 relay response");
    /// Message that a servicer signs over a relay's request and response.
    pub const RELAY_RESPONSE_SIGNATURE: Self = Self("pocket v1 relay response signature");
    /// Identity of a piece of evidence.
    pub const EVIDENCE_ID: Self = Self("pocket v1 evidence id");
    /// Address of a public key.
    pub const ADDRESS: Self = Self("pocket v1 address");
    /// Coefficients of a batch signature check.
    pub const BATCH_COEFFICIENTS: Self = Self("pocket v1 batch coefficients");
    /// Coefficients that combine a batch of BLS signatures.
    pub const BLS_BATCH_COEFFICIENTS: Self = Self("pocket v1 bls batch coefficients");
    /// Content hash of a gossiped message.
    pub const GOSSIP_ID: Self = Self("pocket v1 gossip id");
    /// Seed of the permutation that orders a RainTree broadcast.
    pub const GOSSIP_PERMUTATION: Self = Self("pocket v1 gossip permutation");
    /// Version of a membership view.
    pub const PEER_VIEW: Self = Self("pocket v1 peer view");
    /// Message that binds a channel's handshake to an identity.
    pub const CHANNEL_IDENTITY: Self = Self("pocket v1 channel identity");
    /// Checksum of a stored row.
    pub const STORED_ROW: Self = Self("pocket v1 stored row");
    /// Hash of a genesis.
    pub const GENESIS: Self = Self("pocket v1 genesis");

    /// A domain of an embedder's own; `context` must be unique to the purpose and fixed in code.
    pub const fn custom(context: &'static str) -> Self {
        Self(context)
    }

    /// The context string that keys the hash.
    pub const fn context(self) -> &'static str {
        self.0
    }

    /// Hash of one part that is unambiguous by itself (a canonical encoding, a fixed-size value).
    pub fn hash(self, bytes: &[u8]) -> Hash {
        self.hasher().fixed(bytes).finish()
    }

    /// A hasher over several parts.
    pub fn hasher(self) -> Hasher {
        Hasher(blake3::Hasher::new_derive_key(self.0))
    }
}

/// Feeds the parts of one domain-separated hash.
#[derive(Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// A part whose length the protocol fixes at this place.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// A part of any length, prefixed with its length as a little-endian u64.
    #[must_use]
    pub fn variable(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// A number, as eight little-endian bytes.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.fixed(&number.to_le_bytes())
    }

    /// The digest.
    pub fn finish(self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }

    /// An endless stream of pseudo-random 64-bit words keyed by everything fed so far.
    pub fn words(self) -> Words {
        Words { stream: self.0.finalize_xof(), block: [0; 64], used: 64 }
    }
}

/// Pseudo-random words from a hash, for unbiased draws that everyone can repeat.
pub struct Words {
    stream: blake3::OutputReader,
    /// One output block of blake3: reading less than that would compute it again for each word.
    block: [u8; 64],
    used: usize,
}

impl Words {
    /// The next word.
    pub fn next_word(&mut self) -> u64 {
        if self.used == self.block.len() {
            self.stream.fill(&mut self.block);
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }

    /// An unbiased number below `bound` (Lemire's multiply with rejection, arXiv 1805.10941).
    /// `bound` must not be zero; zero yields zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_word()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(core::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::codec::array::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::codec::array::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_different_lengths_never_collide() {
        let split =
            |a: &[u8], b: &[u8]| Domain::LIST_LEAF.hasher().variable(a).variable(b).finish();
        assert_ne!(split(b"ab", b"c"), split(b"a", b"bc"));
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_every_value() {
        let mut words = Domain::SESSION_DRAW.hasher().words();
        let mut seen = [0u32; 7];
        for _ in 0..700 {
            seen[usize::try_from(words.below(7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    }
}
