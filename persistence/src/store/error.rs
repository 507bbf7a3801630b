use thiserror::Error;

use super::Sequence;

/// Why a store could not do what was asked. None of these is a peer's fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else has written to the store since this writer last looked. Nothing changed. The
    /// host runs two writers on one store; the stale one must stop.
    #[error(
        "another writer has committed to this store: its last commit is {last}, this writer \
         expected {expected}; stop the stale writer"
    )]
    Fenced {
        /// What the writer took for the last commit.
        expected: Sequence,
        /// The last commit.
        last: Sequence,
    },
    /// The engine found its own data damaged.
    #[error("the store is damaged: {reason}")]
    Corrupt {
        /// What it found, in its own words.
        reason: String,
    },
    /// There is no room left. The commit may or may not have happened; make room and open again.
    #[error("no room left for the store: {reason}")]
    Full {
        /// The engine's own words.
        reason: String,
    },
    /// Another process has the store open. Nothing changed.
    #[error("the store is in use by another process: {reason}")]
    Locked {
        /// The engine's own words.
        reason: String,
    },
    /// The store can't be written to, or its files not be opened, with the rights of this process.
    #[error("no right to use the store: {reason}")]
    Denied {
        /// The engine's own words.
        reason: String,
    },
    /// The engine failed otherwise. A commit may or may not have happened.
    #[error("the store failed: {reason}")]
    Io {
        /// The engine's own words.
        reason: String,
    },
}
