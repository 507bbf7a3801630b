//! The driver: the only code that calls a store.

mod error;

use pocket_types::block::{Block, Header};
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId, TransactionId};
use pocket_types::list::ListProof;
use pocket_types::merkle::ProvenValue;
use pocket_types::number::{Epoch, Height};
use pocket_types::state::{Collection, StateChanges};
use pocket_types::transaction::Transaction;
use pocket_types::validator::ValidatorSet;
use serde::{Deserialize, Serialize};

use crate::store::{Direction, Durability, KeyRange, Store};
use crate::tree::State;

pub use error::{Damage, DatabaseError};

/// Bounds of a [`Database`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The most undecided blocks held at once.
    pub max_overlays: usize,
    /// How many of the last heights keep their state in memory, so that proofs against them cost no
    /// more than at the tip. Older ones are computed from the history.
    pub recent_states: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_overlays: 64, recent_states: 64 }
    }
}

/// What a chain begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    /// The network.
    pub chain: ChainId,
    /// The state at height 0.
    pub changes: StateChanges,
    /// The validators that decide the first block.
    pub validators: ValidatorSet,
}

/// A decided block, as consensus hands it over. Its changes are those of its overlay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The block.
    pub block: Block,
    /// Why it is decided; checked for being about this block, not for its signatures.
    pub proof: FinalityProof,
    /// The validators of the next block, when the header names a set that was not stored yet.
    pub next_validators: Option<ValidatorSet>,
}

/// The newest decided block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tip {
    /// Its height; 0 at genesis.
    pub height: Height,
    /// Its id; zero at genesis.
    pub block: BlockId,
    /// The state after it.
    pub state_root: Hash,
    /// The lowest height that can still be asked about.
    pub floor: Height,
}

/// A transaction with its place, and the proof of it against the header's transactions root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IncludedTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// Height of its block.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// Its place in the block ([`ListProof::index`]) and the proof of it.
    pub proof: ListProof,
}

/// The name of a dataset of the host's own.
pub type Dataset = Collection;

/// Decided blocks, the state at every height, and the states of undecided blocks.
///
/// Shared by reference: any number of readers beside one writer, who never wait for each other's
/// storage. The host executes a block over [`Database::state`] of its parent, adds the changes with
/// [`Database::insert`], and, once consensus decides it, calls [`Database::commit`].
///
/// A write that fails leaves open whether it happened, so it closes the database for writing
/// ([`DatabaseError::Closed`]); reads go on. Open it again to go on writing.
pub struct Database<S: Store> {
    store: S,
}

impl<S: Store> Database<S> {
    /// Makes a new chain in an empty store.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::AlreadyInitialized`] if there is one in it; otherwise as [`Database::commit`].
    pub fn initialize(store: S, config: Config, genesis: &Genesis) -> Result<Self, DatabaseError> {
        todo!()
    }

    /// Opens the chain in a store and loads its current state: time and memory are proportional to
    /// the state, not to the history.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Uninitialized`], [`DatabaseError::WrongGenesis`], or damage by its place.
    pub fn open(store: S, config: Config, chain: ChainId) -> Result<Self, DatabaseError> {
        todo!()
    }

    /// The network.
    pub fn chain(&self) -> ChainId {
        todo!()
    }

    /// The newest decided block.
    pub fn tip(&self) -> Tip {
        todo!()
    }

    /// The state after the tip or an undecided block.
    ///
    /// # Errors
    ///
    /// [`crate::overlay::OverlayError::Unknown`].
    pub fn state(&self, block: BlockId) -> Result<State, DatabaseError> {
        todo!()
    }

    /// The state after a decided block.
    ///
    /// Free for the last [`Config::recent_states`] heights since the database was opened; otherwise
    /// it costs reading the history since then and O(changes since then * log size) hashes.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Future`], [`DatabaseError::Pruned`], or damage by its place.
    pub fn state_at(&self, height: Height) -> Result<State, DatabaseError> {
        todo!()
    }

    /// Adds an undecided block over its parent; returns the state root after it.
    ///
    /// # Errors
    ///
    /// [`crate::overlay::OverlayError`].
    pub fn insert(
        &self,
        parent: BlockId,
        block: BlockId,
        changes: &StateChanges,
    ) -> Result<Hash, DatabaseError> {
        todo!()
    }

    /// Gives up an undecided block and everything over it.
    pub fn discard(&self, block: BlockId) {
        todo!()
    }

    /// Makes a decided block durable, in one atomic write: its changes, itself, its finality proof
    /// and index entries; drops its siblings, and the log up to its height. Committing the same
    /// block again changes nothing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] naming what doesn't fit; nothing has changed then, unless it is
    /// [`DatabaseError::Store`].
    pub fn commit(&self, decided: &Decided) -> Result<Tip, DatabaseError> {
        todo!()
    }

    /// A decided block.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NoBlockAtGenesis`], [`DatabaseError::Future`], [`DatabaseError::Pruned`], or
    /// damage by its place.
    pub fn block(&self, height: Height) -> Result<Block, DatabaseError> {
        todo!()
    }

    /// A decided header.
    ///
    /// # Errors
    ///
    /// As [`Database::block`].
    pub fn header(&self, height: Height) -> Result<Header, DatabaseError> {
        todo!()
    }

    /// Why a block is decided.
    ///
    /// # Errors
    ///
    /// As [`Database::block`].
    pub fn finality(&self, height: Height) -> Result<FinalityProof, DatabaseError> {
        todo!()
    }

    /// The height of a decided block; none if no such block was decided.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn height_of(&self, block: BlockId) -> Result<Option<Height>, DatabaseError> {
        todo!()
    }

    /// A decided block by its id; none if no such block was decided.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Pruned`], damage by its place, or the store's.
    pub fn block_by_id(&self, block: BlockId) -> Result<Option<Block>, DatabaseError> {
        todo!()
    }

    /// A decided transaction with the proof of its place; none if no decided block has it.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Pruned`], damage by its place, or the store's.
    pub fn transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<IncludedTransaction>, DatabaseError> {
        todo!()
    }

    /// The validator set of an epoch.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::UnknownEpoch`], damage by its place, or the store's.
    pub fn validators(&self, epoch: Epoch) -> Result<ValidatorSet, DatabaseError> {
        todo!()
    }

    /// The validator set that headers name by this hash.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::UnknownValidators`], damage by its place, or the store's.
    pub fn validators_by_hash(&self, hash: Hash) -> Result<ValidatorSet, DatabaseError> {
        todo!()
    }

    /// The value of a key after the block of a height, or none if there was none.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Future`], [`DatabaseError::Pruned`], or damage by its place: never none when
    /// nobody can say.
    pub fn value_at(
        &self,
        collection: Collection,
        key: &[u8],
        height: Height,
    ) -> Result<Option<Vec<u8>>, DatabaseError> {
        todo!()
    }

    /// The value of a key after the block of a height, or its absence, with the proof against the
    /// state root in that block's header. Costs what [`Database::state_at`] costs.
    ///
    /// # Errors
    ///
    /// As [`Database::state_at`].
    pub fn prove(
        &self,
        collection: Collection,
        key: &[u8],
        height: Height,
    ) -> Result<ProvenValue, DatabaseError> {
        todo!()
    }

    /// Makes records of consensus, and bodies of undecided blocks, durable in one atomic write.
    /// `height` is the one they are about; a commit of that height drops them.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Decided`] for a height that is decided; otherwise as [`Database::commit`].
    pub fn append_log(
        &self,
        height: Height,
        records: &[Vec<u8>],
        bodies: &[(BlockId, Vec<u8>)],
    ) -> Result<(), DatabaseError> {
        todo!()
    }

    /// The records above the tip, in the order in which they were appended.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn load_log(&self) -> Result<Vec<Vec<u8>>, DatabaseError> {
        todo!()
    }

    /// The body of an undecided block that was stored for this height, or none.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn body(&self, height: Height, block: BlockId) -> Result<Option<Vec<u8>>, DatabaseError> {
        todo!()
    }

    /// Sets rows of a dataset of the host's own, all or none.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::RowLimit`] for keys or values beyond the limits; otherwise as
    /// [`Database::commit`].
    pub fn put_local(
        &self,
        dataset: Dataset,
        rows: &[(Vec<u8>, Vec<u8>)],
        durability: Durability,
    ) -> Result<(), DatabaseError> {
        todo!()
    }

    /// At most `limit` rows of a range of a dataset, in key order or against it.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn scan_local(
        &self,
        dataset: Dataset,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, DatabaseError> {
        todo!()
    }

    /// Removes the rows of a range of a dataset.
    ///
    /// # Errors
    ///
    /// As [`Database::commit`].
    pub fn delete_local(
        &self,
        dataset: Dataset,
        range: &KeyRange,
        durability: Durability,
    ) -> Result<(), DatabaseError> {
        todo!()
    }

    /// Drops the history below `floor`, as far as whole runs of it lie below.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Future`] for a floor above the tip; otherwise as [`Database::commit`].
    pub fn prune(&self, floor: Height) -> Result<Tip, DatabaseError> {
        todo!()
    }

    /// Walks everything, recomputes every state root and checks every checksum: the first damage,
    /// if there is any.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Damaged`] naming the place.
    pub fn verify(&self) -> Result<(), DatabaseError> {
        todo!()
    }
}
