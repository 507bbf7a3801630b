//! Questions about what is decided.

use std::collections::BTreeMap;

use pocket_types::block::{Block, Header};
use pocket_types::codec::Bytes;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, TransactionId};
use pocket_types::list;
use pocket_types::merkle::{self, ProvenValue};
use pocket_types::number::{Epoch, Height};
use pocket_types::state::Collection;
use pocket_types::transaction::Transaction;
use pocket_types::validator::ValidatorSet;
use serde::de::DeserializeOwned;

use super::{Database, DatabaseError, Decided, IncludedTransaction, Tip};
use crate::plan::Merged;
use crate::record::{
    GENESIS, GenesisRecord, PlaceRecord, TIP, ValueRecord, epoch_key, height_key, history_key,
    parse_key, set_key,
};
use crate::row::{self, Damage};
use crate::run::{HISTORY, STATE, TRANSACTIONS};
use crate::store::{Read, Store, Table};
use crate::tree::State;

impl<S: Store> Database<S> {
    /// The state after a decided block.
    ///
    /// Free for the last [`Config::recent_states`](super::Config::recent_states) heights; otherwise,
    /// as after a restart, it costs reading the history since then and O(changes since then * log
    /// size) hashes, once. The result is checked against the header's state root.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Future`], [`DatabaseError::Pruned`], or damage by its place.
    pub fn state_at(&self, height: Height) -> Result<State, DatabaseError> {
        // The view first: a snapshot that is newer than the view only knows more of the past.
        let (tip, state, found) = self.remembered(height);
        if let Some(found) = found {
            return Ok(found);
        }
        let read = self.store.snapshot()?;
        let now = self.check_height(&read, height, tip)?;
        let state = rewound(&read, &now, &state, height)?;
        let expected = state_root(&read, height)?;
        if state.root() != expected {
            let what = format!("leads to state root {}, not to {expected}", state.root());
            return Err(Damage::new(Table::History, &height_key(height), what).into());
        }
        let mut view = self.view.write();
        if height >= view.tip.floor {
            view.remember(height, state.clone(), self.config.recent_states);
        }
        Ok(state)
    }

    /// The value of a key after the block of a height, or none if there was none. It reads one or
    /// two rows for each run of history since then, until it finds a change.
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
        let (tip, state, found) = self.remembered(height);
        let value = |state: &State| state.value(collection, key).map(<[u8]>::to_vec);
        if let Some(found) = found {
            return Ok(value(&found));
        }
        let read = self.store.snapshot()?;
        let now = self.check_height(&read, height, tip)?;
        let from = history_key(collection, &merkle::path(key), height.next());
        let same = from.len() - 8;
        for run in HISTORY.live(now.height).filter(|run| run.last() > height) {
            let first = HISTORY.first_from(&read, run, &from)?;
            if let Some((found, record)) = first.filter(|(found, _)| found[..same] == from[..same])
            {
                let record = value_record(Table::History, &found, &record)?;
                return Ok(record.value.map(Bytes::into_vec));
            }
        }
        Ok(value(&state))
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
        Ok(self.state_at(height)?.prove(collection, key)?)
    }

    /// A decided block.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NoBlockAtGenesis`], [`DatabaseError::Future`], [`DatabaseError::Pruned`], or
    /// damage by its place.
    pub fn block(&self, height: Height) -> Result<Block, DatabaseError> {
        self.at_height(Table::Blocks, height)
    }

    /// Why a block is decided.
    ///
    /// # Errors
    ///
    /// As [`Database::block`].
    pub fn finality(&self, height: Height) -> Result<FinalityProof, DatabaseError> {
        self.at_height(Table::Finality, height)
    }

    /// A decided header.
    ///
    /// # Errors
    ///
    /// As [`Database::block`].
    pub fn header(&self, height: Height) -> Result<Header, DatabaseError> {
        let proof = self.finality(height)?;
        Ok(proved_header(&proof, height)?.clone())
    }

    /// The height of a decided block; none if no such block was decided.
    ///
    /// # Errors
    ///
    /// Damage by its place, or the store's.
    pub fn height_of(&self, block: BlockId) -> Result<Option<Height>, DatabaseError> {
        row(&self.store.snapshot()?, Table::BlockIds, &block.0.0)
    }

    /// A decided block by its id; none if no such block was decided.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Pruned`], damage by its place, or the store's.
    pub fn block_by_id(&self, block: BlockId) -> Result<Option<Block>, DatabaseError> {
        self.height_of(block)?.map(|height| self.block(height)).transpose()
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
        let read = self.store.snapshot()?;
        let Some(place) = place(&read, tip(&read)?.height, id)? else {
            return Ok(None);
        };
        let block = self.block(place.height)?;
        let index = place.index as usize;
        let leaves = block.transactions.iter().map(Transaction::commitment);
        let found = block.transactions.get(index).filter(|found| found.id() == id);
        let (Some(transaction), Some(proof)) = (found, list::prove(leaves, index)) else {
            let what = format!("transaction {index} is not {id}, as the index says");
            return Err(Damage::new(Table::Blocks, &height_key(place.height), what).into());
        };
        Ok(Some(IncludedTransaction {
            transaction: Transaction::clone(transaction),
            height: place.height,
            block: block.id(),
            proof,
        }))
    }

    /// The validator set of an epoch.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::UnknownEpoch`], damage by its place, or the store's.
    pub fn validators(&self, epoch: Epoch) -> Result<ValidatorSet, DatabaseError> {
        let read = self.store.snapshot()?;
        let set = row(&read, Table::Validators, &epoch_key(epoch))?;
        set.ok_or(DatabaseError::UnknownEpoch(epoch))
    }

    /// The validator set that headers name by this hash.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::UnknownValidators`], damage by its place, or the store's.
    pub fn validators_by_hash(&self, hash: Hash) -> Result<ValidatorSet, DatabaseError> {
        let epoch = row(&self.store.snapshot()?, Table::Validators, &set_key(hash))?;
        self.validators(epoch.ok_or(DatabaseError::UnknownValidators(hash))?)
    }

    /// The tip with its state, and the state of a height if that is in memory.
    fn remembered(&self, height: Height) -> (Tip, State, Option<State>) {
        let view = self.view.read();
        let state = view.overlays.committed().clone();
        let found = if height == view.tip.height {
            Some(state.clone())
        } else {
            view.recent.get(&height).cloned()
        };
        (view.tip, state, found)
    }

    /// Refuses a height above the tip in memory or below the floor in the store; the tip in the
    /// store, which may be newer.
    fn check_height(
        &self,
        read: &S::Read,
        height: Height,
        known: Tip,
    ) -> Result<Tip, DatabaseError> {
        let now = tip(read)?;
        if height > known.height {
            return Err(DatabaseError::Future { height, tip: known.height });
        }
        if height < now.floor {
            return Err(DatabaseError::Pruned { height, floor: now.floor });
        }
        Ok(now)
    }

    fn at_height<T: DeserializeOwned>(
        &self,
        table: Table,
        height: Height,
    ) -> Result<T, DatabaseError> {
        let read = self.store.snapshot()?;
        if height == Height::GENESIS {
            return Err(DatabaseError::NoBlockAtGenesis);
        }
        let now = tip(&read)?;
        self.check_height(&read, height, now)?;
        required(&read, table, &height_key(height))
    }
}

/// The value of a row, or none if it isn't there.
pub(super) fn row<T: DeserializeOwned>(
    read: &impl Read,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, DatabaseError> {
    let stored = read.get_many(table, &[key])?.pop().flatten();
    let decoded = stored.map(|stored| row::decode(table, key, &stored));
    Ok(decoded.transpose()?)
}

/// The value of a row that must be there.
pub(super) fn required<T: DeserializeOwned>(
    read: &impl Read,
    table: Table,
    key: &[u8],
) -> Result<T, DatabaseError> {
    row(read, table, key)?.ok_or_else(|| Damage::new(table, key, "the row is missing").into())
}

/// The newest decided block.
pub(super) fn tip(read: &impl Read) -> Result<Tip, DatabaseError> {
    required(read, Table::Meta, TIP)
}

/// The header that a stored finality proof decides.
pub(super) fn proved_header(proof: &FinalityProof, height: Height) -> Result<&Header, Damage> {
    let header = proof.header().filter(|header| header.height == height);
    header.ok_or_else(|| {
        Damage::new(Table::Finality, &height_key(height), "no proof of a header of this height")
    })
}

/// The state root that the header of a height, or the genesis, commits to.
pub(super) fn state_root(read: &impl Read, height: Height) -> Result<Hash, DatabaseError> {
    if height == Height::GENESIS {
        return Ok(required::<GenesisRecord>(read, Table::Meta, GENESIS)?.state_root);
    }
    let proof: FinalityProof = required(read, Table::Finality, &height_key(height))?;
    Ok(proved_header(&proof, height)?.state_root)
}

/// The state at the tip, rebuilt from its runs.
pub(super) fn load_state(read: &impl Read, tip: &Tip) -> Result<State, DatabaseError> {
    let mut newest: BTreeMap<(Collection, Hash), ValueRecord> = BTreeMap::new();
    for run in STATE.live(tip.height) {
        STATE.load(read, run, |key, record| {
            let (collection, path, _) = parse_key(Table::State, &key)?;
            let record = value_record(Table::State, &key, &record)?;
            if merkle::path(&record.key) != path {
                return Err(Damage::new(Table::State, &key, "a value of another key"));
            }
            newest.insert((collection, path), record);
            Ok(())
        })?;
    }
    let state = State::empty().replaced(&newest);
    if state.root() == tip.state_root {
        Ok(state)
    } else {
        let what = format!(
            "the stored values have root {}, the tip says {}",
            state.root(),
            tip.state_root
        );
        Err(Damage::new(Table::State, &[], what).into())
    }
}

/// What a commit merges with its own entries.
pub(super) fn merged(read: &impl Read, next: &Tip) -> Result<Merged, DatabaseError> {
    let mut merged = Merged::default();
    let families = [
        (STATE, &mut merged.state),
        (HISTORY, &mut merged.history),
        (TRANSACTIONS, &mut merged.transactions),
    ];
    for (family, entries) in families {
        for run in family.merged_at(next.height) {
            if family.table == Table::History && run.last() <= next.floor {
                continue;
            }
            family.load(read, run, |key, value| {
                entries.insert(key, value);
                Ok(())
            })?;
        }
    }
    Ok(merged)
}

/// The set that a block brings along, if it must be stored: afterwards both sets that the header
/// names are.
pub(super) fn unstored_validators<'d>(
    read: &impl Read,
    decided: &'d Decided,
) -> Result<Option<&'d ValidatorSet>, DatabaseError> {
    let header = &decided.block.header;
    let epoch_of = |hash| row::<Epoch>(read, Table::Validators, &set_key(hash));
    if epoch_of(header.validators)?.is_none() {
        return Err(DatabaseError::UnknownValidators(header.validators));
    }
    let expected = header.next_validators;
    let given = decided.next_validators.as_ref();
    if let Some(set) = given
        && set.hash() != expected
    {
        return Err(DatabaseError::WrongValidators { got: set.hash(), expected });
    }
    if epoch_of(expected)?.is_some() {
        return Ok(None);
    }
    let set = given.ok_or(DatabaseError::UnknownValidators(expected))?;
    let key = epoch_key(set.epoch);
    if row::<ValidatorSet>(read, Table::Validators, &key)?.is_some() {
        return Err(DatabaseError::EpochTaken(set.epoch));
    }
    Ok(Some(set))
}

/// Where a transaction is, newest runs first.
pub(super) fn place(
    read: &impl Read,
    tip: Height,
    id: TransactionId,
) -> Result<Option<PlaceRecord>, DatabaseError> {
    for run in TRANSACTIONS.live(tip).rev() {
        let found = TRANSACTIONS.first_from(read, run, &id.0.0)?;
        if let Some((key, place)) = found.filter(|(key, _)| key[..] == id.0.0) {
            let place = pocket_types::codec::decode_within(&place, 12);
            let place =
                place.map_err(|error| Damage::new(Table::Transactions, &key, error.to_string()))?;
            return Ok(Some(place));
        }
    }
    Ok(None)
}

pub(super) fn value_record(table: Table, key: &[u8], record: &[u8]) -> Result<ValueRecord, Damage> {
    pocket_types::codec::decode_within(record, usize::MAX)
        .map_err(|error| Damage::new(table, key, error.to_string()))
}

/// A state taken back to an earlier height: every key gets the value before its first change after
/// that height.
fn rewound(
    read: &impl Read,
    tip: &Tip,
    state: &State,
    height: Height,
) -> Result<State, DatabaseError> {
    let mut before: BTreeMap<(Collection, Hash), ValueRecord> = BTreeMap::new();
    for run in HISTORY.live(tip.height).filter(|run| run.last() > height) {
        HISTORY.load(read, run, |key, record| {
            let (collection, path, changed) = parse_key(Table::History, &key)?;
            if changed > &height.0.to_be_bytes()[..] && !before.contains_key(&(collection, path)) {
                let record = value_record(Table::History, &key, &record)?;
                before.insert((collection, path), record);
            }
            Ok(())
        })?;
    }
    Ok(state.replaced(&before))
}
