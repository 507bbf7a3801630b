//! The hash over everything that happened.

use std::fmt;

use pocket_types::hash::Hash;
use pocket_types::number::Timestamp;

/// Events are written one behind the other and hashed by the block: link = H(link before, events of
/// the block). What a block holds doesn't depend on when somebody looks.
pub(super) struct Trace {
    link: Hash,
    block: Vec<u8>,
    at: Timestamp,
}

/// Bytes from which a block is closed.
const BLOCK: usize = 4096;

/// What happened; its number opens its entry.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    Input = 1,
    Crash,
    Boot,
    Answer,
    Message,
    Stored,
    StoreFailed,
    Tick,
    Refused,
    Output,
    Send,
    Observed,
}

impl Trace {
    pub(super) const fn new() -> Self {
        Self { link: Hash::ZERO, block: Vec::new(), at: Timestamp::ZERO }
    }

    /// Opens an entry: kind, node, and the time since the entry before.
    pub(super) fn record(&mut self, entry: Entry, node: usize, now: Timestamp) -> &mut Self {
        if self.block.len() >= BLOCK {
            self.link = self.hash();
            self.block.clear();
        }
        self.block.push(entry as u8);
        let since = now.since(self.at).0;
        self.at = now;
        self.number(node as u64).number(since)
    }

    /// Seven bits a byte, the lowest first; the last byte has its highest bit clear.
    pub(super) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.block.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.block.push(number as u8);
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.block.extend_from_slice(bytes);
    }

    /// The `Debug` form of something, ended by a byte that no text has.
    pub(super) fn debug(&mut self, value: &impl fmt::Debug) {
        // Writing here can't fail; a `Debug` that gives up is traced as far as it came.
        let _ = fmt::Write::write_fmt(self, format_args!("{value:?}"));
        self.block.push(0xff);
    }

    pub(super) fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.link.0);
        hasher.update(&self.block);
        Hash(*hasher.finalize().as_bytes())
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.block.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
