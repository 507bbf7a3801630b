//! Transactions that wait for a block.
//!
//! Pure: the host hands transactions and states in. Room is bounded in bytes, in number and for each
//! sender. When it is full, a transaction enters only by paying clearly more for each byte than the
//! cheapest ones that it pushes out, and every one in the pool can pay its fee together with all
//! others of its sender: pushing out costs as much as the pushed out were ready to pay.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::id::{Address, TransactionId};
use pocket_types::number::{Amount, Height};
use pocket_types::state::StateRead;
use pocket_types::transaction::Transaction;
use thiserror::Error;

use crate::ledger::{DeliverError, LedgerError, Refusal, Rehearsal};
use crate::query;

/// How much a mempool holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MempoolConfig {
    /// Most transactions.
    pub max_transactions: usize,
    /// Most bytes of encoded transactions.
    pub max_bytes: usize,
    /// Most transactions of one sender.
    pub max_per_sender: usize,
    /// How much more, in percent, a transaction must pay to push out or replace another.
    pub premium_percent: u64,
    /// Transactions that are executed anew after a block.
    pub rechecks_per_block: usize,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 20_000,
            max_bytes: 32 << 20,
            max_per_sender: 128,
            premium_percent: 10,
            rechecks_per_block: 1_000,
        }
    }
}

/// Why a transaction is not taken into the pool. Its sender is at fault unless a variant says
/// otherwise; the pool did not change.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum MempoolRefusal {
    /// In the pool already; Pocket's Go implementation numbers this 35.
    #[error("in the pool already")]
    Duplicate,
    /// The sender has another transaction with this nonce in the pool, and this one does not pay
    /// enough more to replace it.
    #[error("fee {got} does not replace the one with the same nonce, {needed} would")]
    Underpriced {
        /// The fee.
        got: Amount,
        /// The least that replaces.
        needed: Amount,
    },
    /// The sender has too many transactions waiting.
    #[error("the sender has {waiting} transactions waiting, at most {max} are taken")]
    SenderFull {
        /// Waiting already.
        waiting: usize,
        /// The limit.
        max: usize,
    },
    /// The sender could not pay all the fees that it offers.
    #[error("the sender holds {balance} and would owe {fees} in fees")]
    Unfunded {
        /// Its balance.
        balance: Amount,
        /// Fees of its transactions with this one.
        fees: Amount,
    },
    /// The pool is full of transactions that pay as much or more.
    #[error("the pool is full, and this fee pushes nobody out")]
    Full,
    /// It would fail in the next block.
    #[error(transparent)]
    Fails(#[from] Refusal),
    /// The state failed; the transaction is not at fault.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What became of the pool's transactions after a block, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// In the block.
    pub included: Vec<TransactionId>,
    /// Can't be in any later block.
    pub expired: Vec<TransactionId>,
    /// Fail on the new state.
    pub failed: Vec<(TransactionId, Refusal)>,
}

/// Fee for each byte, as a fraction with 32 bits behind the point; the better first, then the older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    /// Complement of the rate, so that the best comes first.
    cost: u128,
    arrival: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    transaction: Transaction,
    sender: Address,
    size: usize,
    rank: Rank,
}

/// Transactions that wait for a block, best paying first.
#[derive(Clone, Debug)]
pub struct Mempool {
    config: MempoolConfig,
    entries: BTreeMap<TransactionId, Entry>,
    ranked: BTreeMap<Rank, TransactionId>,
    nonces: BTreeMap<(Address, u64), TransactionId>,
    expiries: BTreeSet<(Height, TransactionId)>,
    bytes: usize,
    arrivals: u64,
    /// Where the next round of rechecks goes on.
    recheck_from: Option<TransactionId>,
}

impl Mempool {
    /// An empty pool.
    pub const fn new(config: MempoolConfig) -> Self {
        Self {
            config,
            entries: BTreeMap::new(),
            ranked: BTreeMap::new(),
            nonces: BTreeMap::new(),
            expiries: BTreeSet::new(),
            bytes: 0,
            arrivals: 0,
            recheck_from: None,
        }
    }

    /// Takes a transaction in if there is room for it and it would succeed on top of `state`. The
    /// pool's own rules come first, the execution with its signature check last. A transaction with
    /// the sender and nonce of one in the pool replaces it. Gives the transactions that were
    /// replaced or pushed out.
    ///
    /// # Errors
    ///
    /// [`MempoolRefusal`] naming the first rule that is broken.
    pub fn insert(
        &mut self,
        transaction: Transaction,
        state: &impl StateRead,
    ) -> Result<Vec<TransactionId>, MempoolRefusal> {
        let id = transaction.id();
        if self.entries.contains_key(&id) {
            return Err(MempoolRefusal::Duplicate);
        }
        let sender = transaction.sender();
        let size = codec::encoded_len(&transaction);
        let rank = Rank { cost: !rate(transaction.body.fee, size), arrival: self.arrivals };
        let entry = Entry { transaction, sender, size, rank };
        let replaced = self.replaced(&entry)?;
        self.check_sender(&entry, replaced, state)?;
        let mut leaving = self.pushed_out(&entry, replaced)?;
        match Rehearsal::new(state)?.check(&entry.transaction) {
            Ok(()) => {}
            Err(DeliverError::Refused(refusal)) => return Err(refusal.into()),
            Err(DeliverError::Failed(error)) => return Err(error.into()),
        }
        leaving.extend(replaced);
        for id in &leaving {
            self.remove(id);
        }
        self.arrivals = self.arrivals.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
        self.ranked.insert(rank, id);
        self.nonces.insert((sender, entry.transaction.body.nonce), id);
        self.expiries.insert((entry.transaction.body.expiry, id));
        self.entries.insert(id, entry);
        Ok(leaving)
    }

    /// The transaction with the same sender and nonce, if this one pays enough to replace it.
    fn replaced(&self, entry: &Entry) -> Result<Option<TransactionId>, MempoolRefusal> {
        let slot = (entry.sender, entry.transaction.body.nonce);
        let Some(old) = self.nonces.get(&slot) else { return Ok(None) };
        let Some(standing) = self.entries.get(old) else { return Ok(None) };
        let fee = standing.transaction.body.fee;
        let needed = self.with_premium(fee.0).max(fee.0.saturating_add(1));
        let got = entry.transaction.body.fee;
        if got.0 < needed {
            return Err(MempoolRefusal::Underpriced { got, needed: Amount(needed) });
        }
        Ok(Some(*old))
    }

    fn check_sender(
        &self,
        entry: &Entry,
        replaced: Option<TransactionId>,
        state: &impl StateRead,
    ) -> Result<(), MempoolRefusal> {
        let (mut waiting, mut fees) = (0, entry.transaction.body.fee.0);
        let slots = (entry.sender, 0)..=(entry.sender, u64::MAX);
        for (_, id) in self.nonces.range(slots).filter(|(_, id)| Some(**id) != replaced) {
            waiting += 1;
            let fee = self.entries.get(id).map_or(0, |entry| entry.transaction.body.fee.0);
            fees = fees.saturating_add(fee);
        }
        let max = self.config.max_per_sender;
        if waiting >= max {
            return Err(MempoolRefusal::SenderFull { waiting, max });
        }
        let (balance, fees) = (query::balance(state, &entry.sender)?, Amount(fees));
        if balance < fees { Err(MempoolRefusal::Unfunded { balance, fees }) } else { Ok(()) }
    }

    /// The cheapest transactions that have to leave so that this one finds room.
    fn pushed_out(
        &self,
        entry: &Entry,
        replaced: Option<TransactionId>,
    ) -> Result<Vec<TransactionId>, MempoolRefusal> {
        let freed = replaced.and_then(|id| self.entries.get(&id)).map_or(0, |entry| entry.size);
        let mut bytes = (self.bytes - freed).saturating_add(entry.size);
        let mut count = self.entries.len() + 1 - usize::from(replaced.is_some());
        let mut leaving = Vec::new();
        let mut cheapest = self.ranked.iter().rev().filter(|(_, id)| Some(**id) != replaced);
        while bytes > self.config.max_bytes || count > self.config.max_transactions {
            let (rank, id) = cheapest.next().ok_or(MempoolRefusal::Full)?;
            let standing = !rank.cost;
            if !entry.rank.cost < self.with_premium(standing).max(standing.saturating_add(1)) {
                return Err(MempoolRefusal::Full);
            }
            bytes -= self.entries.get(id).map_or(0, |entry| entry.size);
            count -= 1;
            leaving.push(*id);
        }
        Ok(leaving)
    }

    fn with_premium(&self, amount: u128) -> u128 {
        let percent = u128::from(self.config.premium_percent).saturating_add(100);
        Amount(amount).mul_div_up(percent, 100).map_or(u128::MAX, |amount| amount.0)
    }

    /// Drops what a block included, what expired, and, by executing at most as many as configured
    /// anew, what fails on the new state.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read; what was found until then is dropped.
    pub fn update<'t>(
        &mut self,
        included: impl IntoIterator<Item = &'t TransactionId>,
        state: &impl StateRead,
    ) -> Result<Update, LedgerError> {
        let mut update = Update::default();
        for id in included {
            if self.remove(id).is_some() {
                update.included.push(*id);
            }
        }
        let next = query::tip(state)?.height.next();
        while let Some(&(expiry, id)) = self.expiries.first()
            && expiry < next
        {
            self.remove(&id);
            update.expired.push(id);
        }
        let mut rehearsal = Rehearsal::new(state)?;
        for id in self.next_rechecks() {
            let Some(entry) = self.entries.get(&id) else { continue };
            match rehearsal.check_signed(&entry.transaction) {
                Ok(()) => {}
                Err(DeliverError::Refused(refusal)) if refusal.not_before().is_some() => {}
                Err(DeliverError::Refused(refusal)) => {
                    self.remove(&id);
                    update.failed.push((id, refusal));
                }
                Err(DeliverError::Failed(error)) => return Err(error),
            }
        }
        Ok(update)
    }

    /// The next transactions to execute anew, in order of id and around.
    fn next_rechecks(&mut self) -> Vec<TransactionId> {
        let from = self.recheck_from.take().unwrap_or_default();
        let around = self.entries.range(from..).chain(self.entries.range(..from));
        let mut ids: Vec<_> = around
            .map(|(id, _)| *id)
            .take(self.config.rechecks_per_block.saturating_add(1))
            .collect();
        if ids.len() > self.config.rechecks_per_block {
            self.recheck_from = ids.pop();
        }
        ids
    }

    /// Drops transactions that a proposer found to fail; those that merely came too early stay.
    pub fn drop_failed<'t>(
        &mut self,
        failed: impl IntoIterator<Item = &'t (TransactionId, Refusal)>,
    ) {
        for (id, refusal) in failed {
            if refusal.not_before().is_none() {
                self.remove(id);
            }
        }
    }

    /// The best paying transactions, at most so many and so many bytes; they stay in the pool.
    pub fn reap(&self, max_bytes: usize, max_transactions: usize) -> Vec<Transaction> {
        let mut bytes = 0usize;
        let mut reaped = Vec::new();
        for id in self.ranked.values() {
            if reaped.len() >= max_transactions {
                break;
            }
            let Some(entry) = self.entries.get(id) else { continue };
            if bytes.saturating_add(entry.size) > max_bytes {
                continue;
            }
            bytes += entry.size;
            reaped.push(entry.transaction.clone());
        }
        reaped
    }

    /// A waiting transaction.
    pub fn transaction(&self, id: &TransactionId) -> Option<&Transaction> {
        self.entries.get(id).map(|entry| &entry.transaction)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all that wait.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, id: &TransactionId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.ranked.remove(&entry.rank);
        self.nonces.remove(&(entry.sender, entry.transaction.body.nonce));
        self.expiries.remove(&(entry.transaction.body.expiry, *id));
        self.bytes -= entry.size;
        Some(entry)
    }
}

/// Fee for each byte, with 32 bits behind the point.
fn rate(fee: Amount, size: usize) -> u128 {
    let rate = fee.mul_div_down(1 << 32, size.max(1) as u128);
    rate.map_or(u128::MAX, |rate| rate.0)
}
