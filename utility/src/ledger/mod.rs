//! The transition from one block's state to the next.
//!
//! Functions, not a machine: nothing is waited for and nothing is sent. A [`Ledger`] is a block in
//! the making over a state that somebody else keeps; [`execute_block`] and [`build_block`] are the
//! two ways a node uses it, a replica's and a proposer's, over one and the same path.
//!
//! A transaction that fails leaves no trace, and a block that contains one is invalid: the proposer
//! leaves it out.

mod block;
mod claim;
mod context;
mod delegation;
mod error;
mod event;
mod evidence;
mod money;
mod rehearsal;
mod session;
mod settlement;
mod stake;
mod transaction;
mod url;
mod validators;

use alloc::vec::Vec;

use pocket_types::hash::Hash;
use pocket_types::id::ChainId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::scheme::Scheme;
use pocket_types::session::{CLOCK_KEY, SESSIONS, SessionClock};
use pocket_types::state::StateRead;
use pocket_types::transaction::Transaction;

pub use block::{build_block, execute_block};
pub use claim::{RELAY_WEIGHT, challenge_point};
pub use context::{BlockContext, BlockLimits, BlockOutcome, BuiltBlock, Receipt};
pub use error::{BlockError, DeliverError, EvidenceRefusal, LedgerError, Refusal};
pub use event::{Event, SlashReason};
pub use rehearsal::Rehearsal;
pub use settlement::shares;

use self::transaction::Signatures;
use crate::params::Params;
use crate::state::store::{Store, read};
use crate::state::tip::Tip;
use crate::state::treasury::Treasury;
use crate::state::{CHAIN, ONLY, PARAMS, TREASURY};

/// Whether a piece of evidence was upheld.
type Verdict = Result<(), EvidenceRefusal>;

/// A block in the making.
///
/// The order is: [`begin_block`](Self::begin_block), [`deliver`](Self::deliver) for each
/// transaction, [`end_block`](Self::end_block). Nothing is written to the state below: the changes
/// are part of the outcome.
pub struct Ledger<S> {
    pub(crate) store: Store<S>,
    pub(crate) params: Params,
    pub(crate) treasury: Treasury,
    pub(crate) tip: Tip,
    pub(crate) proposer: PublicKey,
    pub(crate) randomness: Hash,
    pub(crate) events: Vec<Event>,
    receipts: Vec<Receipt>,
    /// How many of the events belong to the block's beginning; a transaction's come after them.
    block_events: usize,
    /// The running session.
    pub(crate) clock: SessionClock,
    /// Whether sessions that are due could not all be settled in this block.
    settlements_behind: bool,
    /// Whether a validator's stake or status changed, so that the set must be made anew.
    pub(crate) validators_changed: bool,
}

impl<S: StateRead> Ledger<S> {
    /// Begins a block: promotes what its height brings, punishes what its evidence proves.
    ///
    /// # Errors
    ///
    /// [`BlockError`] when the block does not follow the state's, or its evidence is refused.
    pub fn begin_block(state: S, context: &BlockContext) -> Result<Self, BlockError> {
        let (ledger, verdicts) = Self::begin(state, context)?;
        for (index, verdict) in verdicts.into_iter().enumerate() {
            verdict.map_err(|refusal| BlockError::Evidence { index, refusal })?;
        }
        Ok(ledger)
    }

    /// Begins a block, with the verdict on each piece of its evidence.
    fn begin(state: S, context: &BlockContext) -> Result<(Self, Vec<Verdict>), LedgerError> {
        let mut ledger = Self::open(state, context)?;
        let verdicts = context.evidence.iter().map(|evidence| ledger.punish(evidence));
        let verdicts = verdicts.collect::<Result<_, _>>()?;
        ledger.start_session()?;
        ledger.store.savepoint();
        ledger.block_events = ledger.events.len();
        Ok((ledger, verdicts))
    }

    pub(crate) fn open(state: S, context: &BlockContext) -> Result<Self, LedgerError> {
        let tip: Tip = read(&state, CHAIN, ONLY)?.ok_or(LedgerError::NoGenesis)?;
        let expected = tip.height.next();
        if context.height != expected {
            return Err(LedgerError::Height { got: context.height, expected });
        }
        Ok(Self {
            params: read(&state, PARAMS, ONLY)?.ok_or(LedgerError::NoGenesis)?,
            treasury: read(&state, TREASURY, ONLY)?.ok_or(LedgerError::NoGenesis)?,
            tip: Tip { height: context.height, time: context.time, ..tip },
            proposer: context.proposer,
            randomness: context.randomness,
            events: Vec::new(),
            receipts: Vec::new(),
            block_events: 0,
            clock: read(&state, SESSIONS, CLOCK_KEY)?.ok_or(LedgerError::NoGenesis)?,
            store: Store::new(state),
            settlements_behind: false,
            validators_changed: false,
        })
    }

    /// A ledger without anything, for genesis to fill.
    pub(crate) fn empty(
        state: S,
        chain: ChainId,
        time: Timestamp,
        scheme: Scheme,
        params: Params,
    ) -> Self {
        Self {
            params,
            treasury: Treasury::default(),
            tip: Tip { chain, height: Height::GENESIS, time, scheme },
            proposer: PublicKey([0; 32]),
            randomness: chain.0,
            events: Vec::new(),
            receipts: Vec::new(),
            block_events: 0,
            clock: SessionClock { number: 0, start: Height::GENESIS, blocks: 1 },
            store: Store::new(state),
            settlements_behind: false,
            validators_changed: false,
        }
    }

    /// Executes a transaction, signature check included.
    ///
    /// # Errors
    ///
    /// [`DeliverError::Refused`] when it fails: it left no trace, and the block can go on without
    /// it. [`DeliverError::Failed`] when the ledger does: drop the whole block.
    pub fn deliver(&mut self, transaction: &Transaction) -> Result<Receipt, DeliverError> {
        self.deliver_with(transaction, Signatures::Check).cloned()
    }

    fn deliver_with(
        &mut self,
        transaction: &Transaction,
        signatures: Signatures,
    ) -> Result<&Receipt, DeliverError> {
        self.attempt(transaction, signatures)?;
        let receipt = self.receipt(transaction);
        Ok(self.receipts.push_mut(receipt))
    }

    /// Ends the block: settles, pays, prunes, and checks that money is conserved.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; drop the block.
    pub fn end_block(mut self) -> Result<BlockOutcome, LedgerError> {
        self.settle_sessions()?;
        self.share_fees()?;
        self.pay_unstaked()?;
        self.prune()?;
        let validator_update = self.update_validators()?;
        let height = self.tip.height;
        self.treasury.check().map_err(|error| LedgerError::NotConserved { height, error })?;
        self.store.put(TREASURY, ONLY.to_vec(), &self.treasury);
        self.store.put(CHAIN, ONLY.to_vec(), &self.tip);
        Ok(BlockOutcome {
            changes: self.store.into_changes(),
            validator_update,
            receipts: self.receipts,
            events: self.events,
            supply: self.treasury.supply,
        })
    }
}
