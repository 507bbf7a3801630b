//! What fast sync asks of its host.

use pocket_types::codec::Bytes;
use pocket_types::key::PublicKey;
use pocket_types::number::Height;

use super::error::FastSyncRefusal;
use super::message::{ChunkRequest, FastSyncMessage, MAX_CHUNK_BYTES, Snapshot};

/// An output of [`FastSync`](super::FastSync).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send to a peer.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: FastSyncMessage,
    },
    /// A peer asks for our snapshots: send [`FastSyncMessage::Offers`]. How much of its bandwidth it
    /// gives to whom, here and with chunks, is the host's decision: requests are checked, not counted.
    ServeOffers {
        /// The peer.
        to: PublicKey,
    },
    /// A peer asks for a chunk: send [`FastSyncMessage::Chunk`].
    ServeChunk {
        /// The peer.
        to: PublicKey,
        /// What it asks for.
        request: ChunkRequest,
    },
    /// Have a light client certify the header of this height, and answer
    /// [`Input::Trusted`](super::Input::Trusted). The next question may be for a lower height, and a
    /// light client moves forward only: start one from the checkpoint for each question.
    Trust {
        /// The height.
        height: Height,
    },
    /// Check a chunk against the snapshot's root and store it, then answer
    /// [`Input::Restored`](super::Input::Restored).
    Restore {
        /// The snapshot.
        snapshot: Snapshot,
        /// Which chunk.
        index: u32,
        /// The chunk.
        bytes: Bytes<MAX_CHUNK_BYTES>,
    },
    /// All chunks are restored: answer [`Input::Finished`](super::Input::Finished).
    Finish {
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// Drop all that was restored of this snapshot.
    Discard {
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// The state is whole, and is what the certified header names. The machine has nothing more to do.
    Done {
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// A peer sent what no honest one sends; it is asked for nothing more.
    Misbehaviour {
        /// The peer.
        peer: PublicKey,
        /// What was wrong.
        reason: FastSyncRefusal,
    },
    /// A message was left out though nothing was wrong with it.
    Dropped {
        /// Who sent it.
        peer: PublicKey,
        /// Why.
        what: &'static str,
    },
    /// A peer did not answer in time.
    Unanswered {
        /// The peer.
        peer: PublicKey,
    },
}
