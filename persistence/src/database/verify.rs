//! The walk over everything that is stored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pocket_types::block::Block;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::number::{Epoch, Height};
use pocket_types::state::Collection;
use pocket_types::validator::{Electorate, ValidatorSet};

use super::query::{load_state, place, proved_header, required, state_root, tip, value_record};
use super::{Database, DatabaseError, Tip};
use crate::record::{ValueRecord, epoch_key, height_key, parse_key, set_key};
use crate::row::{self, Damage};
use crate::run::HISTORY;
use crate::store::{Direction, KeyRange, Read, Store, Table};
use crate::tree::State;

impl<S: Store> Database<S> {
    /// Walks everything that is stored: checks every checksum, every block against its header, every
    /// header against its parent and its finality proof with all signatures, every transaction's
    /// index entry, and recomputes the state root of every height against the certified header.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Damaged`] naming the first damage.
    pub fn verify(&self) -> Result<(), DatabaseError> {
        let read = self.store.snapshot()?;
        let tip = tip(&read)?;
        for table in Table::ALL {
            checksums(&read, table)?;
        }
        blocks(&read, &tip)?;
        states(&read, &tip)
    }
}

fn checksums(read: &impl Read, table: Table) -> Result<(), DatabaseError> {
    let mut damage = None;
    let range = KeyRange::all();
    read.scan(table, &range, Direction::Forward, usize::MAX, &mut |key, stored| match row::open(
        table, key, stored,
    ) {
        Ok(_) => ControlFlow::Continue(()),
        Err(found) => {
            damage = Some(found);
            ControlFlow::Break(())
        }
    })?;
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn blocks(read: &impl Read, tip: &Tip) -> Result<(), DatabaseError> {
    let mut parent: Option<BlockId> = (tip.floor == Height::GENESIS).then(BlockId::default);
    let mut electorate: Option<Electorate> = None;
    for height in (tip.floor.0.max(1)..=tip.height.0).map(Height) {
        let key = height_key(height);
        let damaged = |table, what: &str| DatabaseError::from(Damage::new(table, &key, what));
        let proof: FinalityProof = required(read, Table::Finality, &key)?;
        let header = proved_header(&proof, height)?;
        let hash = header.validators;
        if electorate.as_ref().is_none_or(|known| known.hash() != hash) {
            electorate = Some(validators(read, hash)?);
        }
        if header.next_validators != hash {
            validators(read, header.next_validators)?;
        }
        if let Some(electorate) = &electorate {
            let checked = proof.verify(electorate);
            checked.map_err(|error| damaged(Table::Finality, &error.to_string()))?;
        }
        if parent.is_some_and(|parent| parent != header.parent) {
            return Err(damaged(Table::Finality, "does not follow the header before"));
        }
        let block: Block = required(read, Table::Blocks, &key)?;
        if block.header != *header {
            return Err(damaged(Table::Blocks, "is not the block that was decided"));
        }
        let checked = block.check_body();
        checked.map_err(|error| damaged(Table::Blocks, &error.to_string()))?;
        let id = block.id();
        if required::<Height>(read, Table::BlockIds, &id.0.0)? != height {
            return Err(Damage::new(Table::BlockIds, &id.0.0, "names another height").into());
        }
        for (index, transaction) in (0..).zip(block.transactions.iter()) {
            let id = transaction.id();
            let found = place(read, tip.height, id)?;
            if found.is_none_or(|place| (place.height, place.index) != (height, index)) {
                let what = format!("transaction {index} of height {height} is not found here");
                return Err(Damage::new(Table::Transactions, &id.0.0, what).into());
            }
        }
        parent = Some(id);
    }
    if parent.is_some_and(|last| last != tip.block) {
        return Err(Damage::new(Table::Meta, crate::record::TIP, "is not the last block").into());
    }
    Ok(())
}

fn validators(read: &impl Read, hash: Hash) -> Result<Electorate, DatabaseError> {
    let epoch: Epoch = required(read, Table::Validators, &set_key(hash))?;
    let key = epoch_key(epoch);
    let set: ValidatorSet = required(read, Table::Validators, &key)?;
    let checked = Electorate::new(set).map_err(|error| error.to_string()).and_then(|set| {
        if set.hash() == hash { Ok(set) } else { Err(format!("is set {}, not {hash}", set.hash())) }
    });
    checked.map_err(|what| Damage::new(Table::Validators, &key, what).into())
}

/// Takes the state back block by block, a run of history at a time.
fn states(read: &impl Read, tip: &Tip) -> Result<(), DatabaseError> {
    let mut state: State = load_state(read, tip)?;
    check_root(read, &state, tip.height)?;
    let kept = |run: &crate::run::Run| tip.floor == Height::GENESIS || run.last() > tip.floor;
    for run in HISTORY.live(tip.height).rev().filter(kept) {
        let mut changes: BTreeMap<Height, BTreeMap<(Collection, Hash), ValueRecord>> =
            BTreeMap::new();
        HISTORY.load(read, run, |key, record| {
            let (collection, path, height) = parse_key(Table::History, &key)?;
            let height = height.try_into().map(u64::from_be_bytes).map(Height);
            let height = height
                .ok()
                .filter(|height| (run.first()..=run.last()).contains(height))
                .ok_or_else(|| {
                Damage::new(Table::History, &key, "not of this run's heights")
            })?;
            let record = value_record(Table::History, &key, &record)?;
            let of_height = changes.entry(height).or_default();
            of_height.insert((collection, path), record);
            Ok(())
        })?;
        let oldest = run.first().max(tip.floor.next());
        for height in (oldest.0..=run.last().min(tip.height).0).rev() {
            let before = changes.remove(&Height(height)).unwrap_or_default();
            state = state.replaced(&before);
            check_root(read, &state, Height(height - 1))?;
        }
    }
    Ok(())
}

fn check_root(read: &impl Read, state: &State, height: Height) -> Result<(), DatabaseError> {
    let expected = state_root(read, height)?;
    if state.root() == expected {
        return Ok(());
    }
    let what = format!("leads to state root {}, not to {expected}", state.root());
    Err(Damage::new(Table::History, &height_key(height), what).into())
}
