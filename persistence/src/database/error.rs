use pocket_types::block::BlockError;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::number::{Epoch, Height};
use pocket_types::validator::ValidatorSetError;
use thiserror::Error;

use crate::overlay::OverlayError;
use crate::row::Damage;
use crate::store::StoreError;
use crate::tree::LimitError;

/// Why the database could not do what was asked. Unless a variant says otherwise, the caller is at
/// fault and nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The store failed. After a write it is open whether it happened: open the database again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored bytes are damaged. The storage is at fault.
    #[error("the database is damaged at {0}")]
    Damaged(#[from] Damage),
    /// An earlier write failed, so it is open what the store holds. Open the database again.
    #[error("an earlier write failed; open the database again")]
    Closed,
    /// The store holds no chain.
    #[error("the store holds no chain; initialize it from a genesis")]
    Uninitialized,
    /// The store holds a chain already.
    #[error("the store already holds chain {0}")]
    AlreadyInitialized(ChainId),
    /// The store holds another chain.
    #[error("the store holds chain {stored}, this node's genesis is chain {expected}")]
    WrongGenesis {
        /// The chain in the store.
        stored: ChainId,
        /// The chain that was asked for.
        expected: ChainId,
    },
    /// The store was written in a format that this version does not read.
    #[error("the store has format {stored}, this version reads {supported}")]
    Format {
        /// The store's format.
        stored: u32,
        /// What this version reads.
        supported: u32,
    },
    /// There is a state at genesis, but no block.
    #[error("there is no block at height 0, only the genesis state")]
    NoBlockAtGenesis,
    /// Nothing is decided at this height yet.
    #[error("height {height} is not decided yet, the tip is {tip}")]
    Future {
        /// The height asked for.
        height: Height,
        /// The tip.
        tip: Height,
    },
    /// What was there has been pruned.
    #[error("height {height} was pruned, the lowest that is kept is {floor}")]
    Pruned {
        /// The height asked for.
        height: Height,
        /// The lowest height kept.
        floor: Height,
    },
    /// No validator set of this epoch is stored.
    #[error("no validator set of epoch {0} is stored")]
    UnknownEpoch(Epoch),
    /// No validator set with this hash is stored, or was given with the block.
    #[error("validator set {0} is not stored and was not given")]
    UnknownValidators(Hash),
    /// Another validator set than the header names.
    #[error("validator set {got} was given, the header names {expected}")]
    WrongValidators {
        /// Hash of the set given.
        got: Hash,
        /// Hash in the header.
        expected: Hash,
    },
    /// The genesis' validators can't decide anything.
    #[error("the genesis' validators can't be used: {0}")]
    GenesisValidators(#[from] ValidatorSetError),
    /// Another set of that epoch is stored.
    #[error("another validator set of epoch {0} is stored")]
    EpochTaken(Epoch),
    /// The block is not of this network.
    #[error("a block of chain {got}, this is chain {expected}")]
    WrongChain {
        /// The block's chain.
        got: ChainId,
        /// The database's.
        expected: ChainId,
    },
    /// The block is not the next one.
    #[error("block at height {got}, the next is {expected}")]
    NotNext {
        /// The block's height.
        got: Height,
        /// The height after the tip.
        expected: Height,
    },
    /// Another block was decided at this height. Consensus is at fault: this is a fork.
    #[error("block {got} can't be decided at height {height}: {stored} was")]
    Conflict {
        /// The height.
        height: Height,
        /// The block decided.
        stored: BlockId,
        /// The block given.
        got: BlockId,
    },
    /// The header names another parent than the tip.
    #[error("the block's parent is {got}, the tip is {expected}")]
    WrongParent {
        /// The parent in the header.
        got: BlockId,
        /// The tip.
        expected: BlockId,
    },
    /// The header's state root is not what the block's changes lead to.
    #[error("the header's state root is {header}, the changes lead to {computed}")]
    WrongStateRoot {
        /// The root in the header.
        header: Hash,
        /// The root of the overlay.
        computed: Hash,
    },
    /// The finality proof is about another block.
    #[error("a finality proof of another block than {0}")]
    WrongProof(BlockId),
    /// The block's body is not the header's.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The height is decided, so its log is closed.
    #[error("height {height} is decided, the tip is {tip}")]
    Decided {
        /// The height given.
        height: Height,
        /// The tip.
        tip: Height,
    },
    /// A row of the host's own is too large.
    #[error("a {part} of {got} bytes where at most {max} are allowed")]
    RowLimit {
        /// Key or value.
        part: &'static str,
        /// Its length.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Undecided blocks.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// Keys or values beyond the limits of the state.
    #[error(transparent)]
    Limit(#[from] LimitError),
}
