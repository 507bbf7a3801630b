//! Messages, each known once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pocket_types::codec;
use serde::Serialize;

use super::drive::{Post, To};
use super::wide;

/// A message to one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent<M> {
    /// Who sent it, or in whose name it is forged.
    pub from: usize,
    /// Whom it is for.
    pub to: usize,
    /// What it says.
    pub message: M,
}

/// A message that somebody could say in a Byzantine node's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forged<M> {
    /// In whose name.
    pub from: usize,
    /// Whom it may reach.
    pub to: Vec<usize>,
    /// What it says.
    pub message: M,
}

struct Entry<M> {
    sent: Sent<M>,
    key: u128,
    forged: bool,
}

/// Every message that a walk, or a search, has met. Two that encode alike are one.
pub(super) struct Pool<M> {
    entries: Vec<Entry<M>>,
    numbers: HashMap<u128, u32, Plain>,
}

impl<M: Clone + Serialize> Pool<M> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), numbers: HashMap::default() }
    }

    /// Forgets all but the first ones.
    pub(super) fn truncate(&mut self, length: usize) {
        for entry in self.entries.drain(length.min(self.entries.len())..) {
            self.numbers.remove(&entry.key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, id: u32) -> &Sent<M> {
        &self.entries[id as usize].sent
    }

    pub(super) fn key(&self, id: u32) -> u128 {
        self.entries[id as usize].key
    }

    pub(super) fn forged(&self, id: u32) -> bool {
        self.entries[id as usize].forged
    }

    pub(super) fn find(&self, key: u128) -> Option<u32> {
        self.numbers.get(&key).copied()
    }

    /// Adds what a node posted, once for each receiver; calls back with each number.
    pub(super) fn post(&mut self, from: usize, nodes: usize, post: &Post<M>, each: &mut Vec<u32>) {
        let digest = blake3::hash(&codec::encode(&post.message));
        let mut add = |to: usize| {
            if to < nodes {
                each.push(self.add(digest, from, to, || post.message.clone(), false));
            }
        };
        match &post.to {
            To::One(to) => add(*to),
            To::Each(to) => to.iter().copied().for_each(add),
            To::Others => (0..nodes).filter(|&to| to != from).for_each(add),
        }
    }

    /// Adds what is forged, once for each receiver.
    pub(super) fn forge(&mut self, forged: &Forged<M>, each: &mut Vec<u32>) {
        let digest = blake3::hash(&codec::encode(&forged.message));
        for &to in &forged.to {
            each.push(self.add(digest, forged.from, to, || forged.message.clone(), true));
        }
    }

    fn add(
        &mut self,
        digest: blake3::Hash,
        from: usize,
        to: usize,
        message: impl FnOnce() -> M,
        forged: bool,
    ) -> u32 {
        let mut ends = [0; 48];
        ends[..32].copy_from_slice(digest.as_bytes());
        ends[32..40].copy_from_slice(&(from as u64).to_le_bytes());
        ends[40..].copy_from_slice(&(to as u64).to_le_bytes());
        let key = wide(&blake3::hash(&ends));
        let next = self.entries.len() as u32;
        let id = *self.numbers.entry(key).or_insert(next);
        if id == next {
            self.entries.push(Entry { sent: Sent { from, to, message: message() }, key, forged });
        }
        id
    }
}

/// Keys that are hashes already.
pub(super) type Plain = BuildHasherDefault<Identity>;

#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, number: u128) {
        self.0 ^= number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
