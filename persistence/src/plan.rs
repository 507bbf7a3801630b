//! What is written, as functions from what was decided and read to a batch. Nothing here touches a
//! store.

use pocket_types::block::Block;
use pocket_types::codec::{self, Bytes};
use pocket_types::finality::FinalityProof;
use pocket_types::number::Height;
use pocket_types::validator::ValidatorSet;

use crate::database::{Genesis, Tip};
use crate::record::{
    FORMAT, GENESIS, GenesisRecord, PlaceRecord, TIP, ValueRecord, below, epoch_key, height_key,
    history_key, set_key, state_key,
};
use crate::row::{put, put_encoded};
use crate::run::{Entries, HISTORY, STATE, TRANSACTIONS};
use crate::store::{Op, Table};
use crate::tree::{Delta, State};

/// Entries of the runs that a height's commit merges, newer over older.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) state: Entries,
    pub(crate) history: Entries,
    pub(crate) transactions: Entries,
}

/// The batch that begins a chain.
pub(crate) fn genesis(genesis: &Genesis, state: &State, delta: &Delta) -> Vec<Op> {
    let tip = Tip {
        height: Height::GENESIS,
        block: pocket_types::id::BlockId::default(),
        state_root: state.root(),
        floor: Height::GENESIS,
    };
    let record = GenesisRecord {
        format: FORMAT,
        chain: genesis.chain,
        state_root: state.root(),
        validators: genesis.validators.hash(),
    };
    let mut merged = Merged::default();
    merged.change(Height::GENESIS, delta);
    let mut ops = vec![
        put_encoded(Table::Meta, GENESIS.to_vec(), &record),
        put_encoded(Table::Meta, TIP.to_vec(), &tip),
    ];
    ops.extend(validators(&genesis.validators));
    ops.extend(merged.write(Height::GENESIS));
    ops
}

/// The batch that commits a decided block.
pub(crate) fn commit(
    tip: &Tip,
    block: &Block,
    proof: &FinalityProof,
    delta: &Delta,
    next_validators: Option<&ValidatorSet>,
    mut merged: Merged,
) -> Vec<Op> {
    let height = tip.height;
    merged.change(height, delta);
    merged.include(height, block);
    let mut ops = vec![
        put_encoded(Table::Blocks, height_key(height), block),
        put_encoded(Table::Finality, height_key(height), proof),
        put_encoded(Table::BlockIds, tip.block.0.0.to_vec(), &height),
        put_encoded(Table::Meta, TIP.to_vec(), tip),
    ];
    ops.extend(next_validators.into_iter().flat_map(validators));
    ops.extend(merged.write(height));
    ops.extend(
        [Table::Log, Table::Bodies]
            .map(|table| Op::DeleteRange { table, range: below(height.next()) }),
    );
    ops
}

/// The batch that drops blocks below a floor, and the history that only values below it need. The
/// indexes by id stay, so that what is gone is still known to have been there.
pub(crate) fn prune(tip: &Tip) -> Vec<Op> {
    let mut ops = vec![put_encoded(Table::Meta, TIP.to_vec(), tip)];
    ops.extend(
        [Table::Blocks, Table::Finality]
            .map(|table| Op::DeleteRange { table, range: below(tip.floor) }),
    );
    ops.extend(HISTORY.drop_through(tip.floor));
    ops
}

fn validators(set: &ValidatorSet) -> [Op; 2] {
    let epoch = epoch_key(set.epoch);
    [
        put(Table::Validators, epoch, &codec::encode(set)),
        put_encoded(Table::Validators, set_key(set.hash()), &set.epoch),
    ]
}

impl Merged {
    fn change(&mut self, height: Height, delta: &Delta) {
        for change in delta.changes() {
            let record = |value: &Option<Vec<u8>>| {
                let value = value.as_deref().map(Bytes::new).transpose();
                codec::encode(&ValueRecord {
                    key: Bytes::new(&change.key[..]).expect("a delta is within the limits"),
                    value: value.expect("a delta is within the limits"),
                })
            };
            let key = state_key(change.collection, &change.path);
            self.state.insert(key, record(&change.after));
            // Nobody asks what was before genesis.
            if height > Height::GENESIS {
                let key = history_key(change.collection, &change.path, height);
                self.history.insert(key, record(&change.before));
            }
        }
    }

    fn include(&mut self, height: Height, block: &Block) {
        for (index, transaction) in (0..).zip(block.transactions.iter()) {
            let id = transaction.id().0.0.to_vec();
            let place = PlaceRecord { height, index };
            self.transactions.insert(id, codec::encode(&place));
        }
    }

    fn write(mut self, height: Height) -> Vec<Op> {
        // Below a run that begins at genesis there is nothing that a removal could hide.
        if STATE.written_at(height).first() == Height::GENESIS {
            self.state.retain(|_, record| !ValueRecord::is_none(record));
        }
        let mut ops = STATE.write(height, self.state);
        ops.extend(HISTORY.write(height, self.history));
        ops.extend(TRANSACTIONS.write(height, self.transactions));
        ops
    }
}
