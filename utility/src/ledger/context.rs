//! What a block brings to the ledger, and what it leaves.

use alloc::vec::Vec;

use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::TransactionId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Height, Timestamp};
use pocket_types::state::StateChanges;
use pocket_types::transaction::Transaction;
use pocket_types::validator::ValidatorSet;
use serde::{Deserialize, Serialize};

use super::error::{EvidenceRefusal, Refusal};
use super::event::Event;
use crate::state::treasury::Supply;

/// What the ledger needs to know of a block besides its transactions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockContext {
    /// Its height: one more than the state's.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// Who made it.
    pub proposer: PublicKey,
    /// The beacon's value at this block.
    pub randomness: Hash,
    /// Its evidence section.
    pub evidence: Vec<Evidence>,
}

/// What a transaction did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The transaction.
    pub id: TransactionId,
    /// What the signer paid for it.
    pub fee: Amount,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What a block did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockOutcome {
    /// The new state, as changes to the old one.
    pub changes: StateChanges,
    /// The validator set that decides the blocks from height + 2 on, if it is another one.
    pub validator_update: Option<ValidatorSet>,
    /// One for each transaction, in order.
    pub receipts: Vec<Receipt>,
    /// What happened at the block's beginning and end, in order.
    pub events: Vec<Event>,
    /// How much exists afterwards.
    pub supply: Supply,
}

/// How much a proposer may put into a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockLimits {
    /// Most transactions.
    pub transactions: usize,
    /// Most bytes of encoded transactions.
    pub bytes: usize,
}

impl Default for BlockLimits {
    /// What fits into a block of [`pocket_types::block`].
    fn default() -> Self {
        Self { transactions: pocket_types::block::MAX_TRANSACTIONS, bytes: 2 << 20 }
    }
}

/// A block that a proposer made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltBlock {
    /// The transactions that it holds, in order of execution.
    pub transactions: Vec<Transaction>,
    /// The evidence that it holds.
    pub evidence: Vec<Evidence>,
    /// What it does.
    pub outcome: BlockOutcome,
    /// Transactions that were left out because they fail, and why. Those that merely found no room
    /// are not among them.
    pub dropped: Vec<(TransactionId, Refusal)>,
    /// Evidence that was left out, by its place among the candidates, and why.
    pub dropped_evidence: Vec<(usize, EvidenceRefusal)>,
}
