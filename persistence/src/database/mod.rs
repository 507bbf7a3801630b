//! The driver: the only code that calls a store.

mod error;
mod log;
mod query;
mod verify;

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};
use pocket_types::block::Block;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::list::ListProof;
use pocket_types::number::Height;
use pocket_types::state::{Collection, StateChanges};
use pocket_types::transaction::Transaction;
use pocket_types::validator::{Electorate, ValidatorSet};
use serde::{Deserialize, Serialize};

use crate::overlay::Overlays;
use crate::plan;
use crate::record::{FORMAT, GENESIS, GenesisRecord, TIP};
use crate::store::{Durability, Op, Read, Sequence, Store, Table};
use crate::tree::State;

pub use crate::row::Damage;
pub use error::DatabaseError;
pub use log::{MAX_LOCAL_KEY, MAX_LOCAL_VALUE};

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
/// storage. Work that waits for the disk blocks its thread: an asynchronous host calls it on a
/// thread for blocking work. The host executes a block over [`Database::state`] of its parent, adds the changes with
/// [`Database::insert`], and, once consensus decides it, calls [`Database::commit`].
///
/// ```
/// use pocket_persistence::store::MemoryStore;
/// use pocket_persistence::{Config, Database, DatabaseError, Decided, Genesis};
/// # use pocket_types::block::{Block, Header, VERSION};
/// # use pocket_types::codec::{Bytes, List};
/// # use pocket_types::finality::FinalityProof;
/// # use pocket_types::hash::Hash;
/// # use pocket_types::id::{BlockId, ChainId};
/// # use pocket_types::key::SecretKey;
/// # use pocket_types::number::{Epoch, Height, Round, Timestamp, Weight};
/// use pocket_types::state::{Collection, Overlay, StateWrite};
/// # use pocket_types::validator::{Validator, ValidatorSet};
/// # use pocket_types::scheme::Scheme;
/// # use pocket_types::vote::{Certificate, Phase, Protocol, VoteData};
/// # use pocket_types::vrf::{VrfProof, VrfSecret};
/// # let key = SecretKey::from_seed([1; 32]).public_key();
/// # let vrf_key = VrfSecret::from_seed([1; 32]).public_key();
/// # let member = Validator { public_key: key, vrf_key, weight: Weight(1), bls_key: None };
/// # let validators = ValidatorSet::new(Epoch(0), vec![member]).expect("one member is a set");
/// # let set = validators.hash();
/// # let chain = ChainId(Hash([1; 32]));
/// # let make_block = |state_root| Block {
/// #     header: Header {
/// #         version: VERSION, chain, height: Height(1), epoch: Epoch(0), parent: BlockId::default(),
/// #         parent_certificate: None, time: Timestamp(1), proposer: key, state_root,
/// #         transactions_root: Block::transactions_root(&[]),
/// #         evidence_root: Block::evidence_root(&[]),
/// #         validators: set, next_validators: set,
/// #         randomness: Hash::ZERO, randomness_proof: VrfProof([0; 80]),
/// #     },
/// #     transactions: List::empty(),
/// #     evidence: List::empty(),
/// # };
/// # let agree = |block: &Block| {
/// #     let data = VoteData {
/// #         protocol: Protocol::HotPokt, chain, epoch: Epoch(0), validators: set, height: Height(1),
/// #         round: Round(0), phase: Phase::Commit, block: block.id(), high: None,
/// #     };
/// #     let (signers, signatures) = (Bytes::default(), Bytes::default());
/// #     let scheme = Scheme::Ed25519List;
/// #     let highs = List::empty();
/// #     let certificate = Certificate { data, scheme, signers, highs, signatures };
/// #     FinalityProof::commit(block.header.clone(), certificate)
/// # };
/// const POOLS: Collection = Collection::new("pools");
///
/// let mut begin = Overlay::new(pocket_persistence::State::empty());
/// begin.put(POOLS, b"dao".to_vec(), b"1000".to_vec());
/// let genesis = Genesis { chain, changes: begin.into_changes(), validators };
/// let database = Database::initialize(MemoryStore::new(), Config::default(), &genesis)?;
///
/// // Execute a block over its parent's state; the root goes into its header.
/// let parent = database.tip().block;
/// let state = database.state(parent)?;
/// let mut execution = Overlay::new(&state);
/// execution.put(POOLS, b"dao".to_vec(), b"900".to_vec());
/// let changes = execution.into_changes();
/// let block = make_block(state.apply(&changes)?.root());
/// database.insert(parent, block.id(), &changes)?;
///
/// // Consensus decides it.
/// let proof = agree(&block);
/// let tip = database.commit(&Decided { block, proof, next_validators: None })?;
///
/// let proven = database.prove(POOLS, b"dao", tip.height)?;
/// proven.verify(&tip.state_root).expect("the state root commits to it");
/// assert_eq!(proven.value.as_deref(), Some(&b"900"[..]));
/// assert_eq!(database.value_at(POOLS, b"dao", Height::GENESIS)?, Some(b"1000".to_vec()));
/// # Ok::<(), DatabaseError>(())
/// ```
///
/// A write that fails leaves open whether it happened, so it closes the database for writing
/// ([`DatabaseError::Closed`]); reads go on. Open it again to go on writing.
pub struct Database<S: Store> {
    store: S,
    chain: ChainId,
    config: Config,
    view: RwLock<View>,
    /// The store's last sequence as the one writer knows it; none once a write has failed.
    writer: Mutex<Option<Sequence>>,
}

/// What is in memory.
struct View {
    tip: Tip,
    overlays: Overlays,
    recent: BTreeMap<Height, State>,
}

impl<S: Store> Database<S> {
    /// Makes a new chain in an empty store.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::AlreadyInitialized`] if there is one in it,
    /// [`DatabaseError::GenesisValidators`], changes beyond the limits, or the store's.
    pub fn initialize(store: S, config: Config, genesis: &Genesis) -> Result<Self, DatabaseError> {
        let read = store.snapshot()?;
        if let Some(record) = query::row::<GenesisRecord>(&read, Table::Meta, GENESIS)? {
            return Err(DatabaseError::AlreadyInitialized(record.chain));
        }
        Electorate::new(genesis.validators.clone())?;
        let delta = State::empty().delta(&genesis.changes)?;
        let state = State::empty().after(&delta);
        let ops = plan::genesis(genesis, &state, &delta);
        store.commit(read.sequence(), &ops, Durability::Immediate)?;
        Self::open(store, config, genesis.chain)
    }

    /// Opens the chain in a store, or makes it if there is none yet: what a node does at its start,
    /// also after a crash between making the file and making the chain.
    ///
    /// # Errors
    ///
    /// As [`Database::open`] and [`Database::initialize`].
    pub fn open_or_initialize(
        store: S,
        config: Config,
        genesis: &Genesis,
    ) -> Result<Self, DatabaseError> {
        let begun = query::row::<Tip>(&store.snapshot()?, Table::Meta, TIP)?.is_some();
        if begun {
            Self::open(store, config, genesis.chain)
        } else {
            Self::initialize(store, config, genesis)
        }
    }

    /// Opens the chain in a store and loads its current state: time and memory are proportional to
    /// the state (times the logarithm of the height, at worst), not to the history.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Uninitialized`], [`DatabaseError::WrongGenesis`],
    /// [`DatabaseError::Format`], or damage by its place.
    pub fn open(store: S, config: Config, chain: ChainId) -> Result<Self, DatabaseError> {
        let read = store.snapshot()?;
        let Some(record) = query::row::<GenesisRecord>(&read, Table::Meta, GENESIS)? else {
            let begun = query::row::<Tip>(&read, Table::Meta, TIP)?.is_some();
            let lost = Damage::new(Table::Meta, GENESIS, "the row is missing");
            return Err(if begun { lost.into() } else { DatabaseError::Uninitialized });
        };
        if record.format != FORMAT {
            return Err(DatabaseError::Format { stored: record.format, supported: FORMAT });
        }
        if record.chain != chain {
            return Err(DatabaseError::WrongGenesis { stored: record.chain, expected: chain });
        }
        let tip = query::tip(&read)?;
        let state = query::load_state(&read, &tip)?;
        let writer = Mutex::new(Some(read.sequence()));
        let view = RwLock::new(View {
            tip,
            overlays: Overlays::new(tip.block, state, config.max_overlays),
            recent: BTreeMap::new(),
        });
        Ok(Self { store, chain, config, view, writer })
    }

    /// The network.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The newest decided block.
    pub fn tip(&self) -> Tip {
        self.view.read().tip
    }

    /// The state after the tip or an undecided block.
    ///
    /// # Errors
    ///
    /// [`crate::overlay::OverlayError::Unknown`].
    pub fn state(&self, block: BlockId) -> Result<State, DatabaseError> {
        Ok(self.view.read().overlays.state(block)?.clone())
    }

    /// Adds an undecided block over its parent; returns the state root after it. Adding the same
    /// block again changes nothing.
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
        Ok(self.view.write().overlays.insert(parent, block, changes)?)
    }

    /// Gives up an undecided block and everything over it.
    pub fn discard(&self, block: BlockId) {
        self.view.write().overlays.discard(block);
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
        let mut writer = self.writer.lock();
        let header = &decided.block.header;
        let block = header.id();
        let (tip, overlay) = {
            let view = self.view.read();
            if header.height <= view.tip.height {
                let tip = view.tip;
                drop(view);
                return self.committed_before(header.height, block).map(|()| tip);
            }
            (view.tip, view.overlays.next(block).cloned())
        };
        self.check(&tip, decided)?;
        let overlay = overlay?;
        let computed = overlay.state.root();
        if computed != header.state_root {
            return Err(DatabaseError::WrongStateRoot { header: header.state_root, computed });
        }
        let next = Tip { height: header.height, block, state_root: computed, floor: tip.floor };
        let read = self.store.snapshot()?;
        let next_validators = query::unstored_validators(&read, decided)?;
        let merged = query::merged(&read, &next)?;
        let ops = plan::commit(
            &next,
            &decided.block,
            &decided.proof,
            &overlay.delta,
            next_validators,
            merged,
        );
        self.write(&mut writer, &ops, Durability::Immediate)?;
        let mut view = self.view.write();
        let before = view.overlays.committed().clone();
        view.overlays.decide(block)?;
        view.tip = next;
        view.remember(tip.height, before, self.config.recent_states);
        Ok(next)
    }

    /// Drops blocks below `floor`, and the history that only heights below it need, as far as whole
    /// runs of it lie below. Indexes by id stay, so that what is gone is [`DatabaseError::Pruned`]
    /// rather than unknown. A floor at or below the present one changes nothing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Future`] for a floor above the tip; otherwise the store's.
    pub fn prune(&self, floor: Height) -> Result<Tip, DatabaseError> {
        let mut writer = self.writer.lock();
        let mut tip = self.tip();
        if floor > tip.height {
            return Err(DatabaseError::Future { height: floor, tip: tip.height });
        }
        if floor > tip.floor {
            tip.floor = floor;
            self.write(&mut writer, &plan::prune(&tip), Durability::Immediate)?;
            let mut view = self.view.write();
            view.tip = tip;
            view.recent = view.recent.split_off(&floor);
        }
        Ok(tip)
    }

    /// Everything about a decided block that can be said without the store.
    fn check(&self, tip: &Tip, decided: &Decided) -> Result<(), DatabaseError> {
        let header = &decided.block.header;
        if header.chain != self.chain {
            return Err(DatabaseError::WrongChain { got: header.chain, expected: self.chain });
        }
        if header.height != tip.height.next() {
            return Err(DatabaseError::NotNext { got: header.height, expected: tip.height.next() });
        }
        if header.parent != tip.block {
            return Err(DatabaseError::WrongParent { got: header.parent, expected: tip.block });
        }
        if decided.proof.header() != Some(header) {
            return Err(DatabaseError::WrongProof(header.id()));
        }
        Ok(decided.block.check_body()?)
    }

    /// Whether this very block was decided at a height that is.
    fn committed_before(&self, height: Height, got: BlockId) -> Result<(), DatabaseError> {
        if self.height_of(got)? == Some(height) {
            return Ok(());
        }
        let stored = self.header(height)?.id();
        Err(DatabaseError::Conflict { height, stored, got })
    }

    fn write(
        &self,
        writer: &mut Option<Sequence>,
        ops: &[Op],
        durability: Durability,
    ) -> Result<(), DatabaseError> {
        // Taken first: whatever happens in the store, nothing follows a write that failed.
        let expect = writer.take().ok_or(DatabaseError::Closed)?;
        *writer = Some(self.store.commit(expect, ops, durability)?);
        Ok(())
    }
}

impl View {
    /// Keeps the state of a height, as long as it is among the newest kept.
    fn remember(&mut self, height: Height, state: State, limit: usize) {
        self.recent.insert(height, state);
        while self.recent.len() > limit {
            self.recent.pop_first();
        }
    }
}
