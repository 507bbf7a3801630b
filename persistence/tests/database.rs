//! What a node may rely on: one atomic commit per block, every height provable, every refusal named.

mod common;

use common::*;
use pocket_persistence::database::MAX_LOCAL_KEY;
use pocket_persistence::overlay::OverlayError;
use pocket_persistence::store::{Direction, Durability, KeyRange, MemoryStore, Read, Store, Table};
use pocket_persistence::{Config, Database, DatabaseError, State, StoreError, Tip};
use pocket_types::block::BlockError;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId, TransactionId};
use pocket_types::number::{Epoch, Height};
use pocket_types::state::{Collection, MemoryState, StateChanges};
use pocket_types::validator::{ValidatorSet, ValidatorSetError};
use proptest::prelude::*;

fn database() -> (MemoryStore, Database<MemoryStore>) {
    let store = MemoryStore::new();
    let genesis = genesis(changes([(POOLS, "dao", Some("1000"))]));
    let database = Database::initialize(store.clone(), CONFIG, &genesis).unwrap();
    (store, database)
}

fn reopen(store: &MemoryStore) -> Database<MemoryStore> {
    Database::open(store.clone(), CONFIG, chain()).unwrap()
}

fn pay(height: u64) -> StateChanges {
    changes([
        (POOLS, "dao", Some(&(1000 + height).to_string())),
        (ACCOUNTS, &format!("account {}", height % 7), Some(&height.to_string())),
    ])
}

#[test]
fn a_chain_begins_once_and_only_its_own_genesis_opens_it() {
    let store = MemoryStore::new();
    let opened = |chain| Database::open(store.clone(), CONFIG, chain).map(|_| ());
    assert_eq!(opened(chain()), Err(DatabaseError::Uninitialized));
    let mut genesis = genesis(changes([(POOLS, "dao", Some("1000"))]));
    let validators =
        std::mem::replace(&mut genesis.validators, ValidatorSet::new(Epoch(0), vec![]).unwrap());
    let refused = Database::initialize(store.clone(), CONFIG, &genesis).map(|_| ());
    assert_eq!(refused, Err(DatabaseError::GenesisValidators(ValidatorSetError::Empty)));
    genesis.validators = validators;
    let database = Database::initialize(store.clone(), CONFIG, &genesis).unwrap();
    let root = State::empty().apply(&genesis.changes).unwrap().root();
    let tip = Tip {
        height: Height::GENESIS,
        block: BlockId::default(),
        state_root: root,
        floor: Height::GENESIS,
    };
    assert_eq!((database.chain(), database.tip()), (chain(), tip));
    assert_eq!(database.state_at(Height::GENESIS).unwrap().root(), root);
    assert_eq!(database.validators(Epoch(0)), Ok(genesis.validators.clone()));
    let again = Database::initialize(store.clone(), CONFIG, &genesis).map(|_| ());
    assert_eq!(again, Err(DatabaseError::AlreadyInitialized(chain())));
    let other = ChainId(Hash([7; 32]));
    let (stored, expected) = (chain(), other);
    assert_eq!(opened(other), Err(DatabaseError::WrongGenesis { stored, expected }));
    assert_eq!(opened(chain()), Ok(()));
    for store in [store, MemoryStore::new()] {
        let either = Database::open_or_initialize(store, CONFIG, &genesis).unwrap();
        assert_eq!(either.tip(), tip);
    }
}

#[test]
fn blocks_transactions_and_proofs_are_found_again_after_a_restart() {
    let (store, database) = database();
    let mut blocks = Vec::new();
    for height in 1..=20 {
        let transactions = (0..height % 4).map(|n| transfer(100 * height + n)).collect();
        let decided = prepare(&database, &pay(height), transactions).unwrap();
        let tip = database.commit(&decided).unwrap();
        assert_eq!((tip.height, tip.block), (Height(height), decided.block.id()));
        blocks.push(decided);
    }
    for database in [database, reopen(&store)] {
        assert_eq!(database.tip().block, blocks[19].block.id());
        for decided in &blocks {
            let (height, id) = (decided.block.header.height, decided.block.id());
            assert_eq!(database.block(height).as_ref(), Ok(&decided.block));
            assert_eq!(database.header(height).as_ref(), Ok(&decided.block.header));
            assert_eq!(database.finality(height).as_ref(), Ok(&decided.proof));
            assert_eq!(database.height_of(id), Ok(Some(height)));
            assert_eq!(database.block_by_id(id).unwrap().as_ref(), Some(&decided.block));
            for (index, transaction) in decided.block.transactions.iter().enumerate() {
                let id = transaction.id();
                let found = database.transaction(id).unwrap().unwrap();
                assert_eq!((&found.transaction, found.height), (transaction, height));
                assert_eq!((found.block, found.proof.index), (decided.block.id(), index as u64));
                assert!(found.proof.verify(
                    decided.block.header.transactions_root,
                    found.transaction.commitment()
                ));
            }
        }
        let unknown = Hash([9; 32]);
        assert_eq!(database.transaction(TransactionId(unknown)), Ok(None));
        assert_eq!(database.block_by_id(BlockId(unknown)), Ok(None));
        assert_eq!(database.height_of(BlockId(unknown)), Ok(None));
        assert_eq!(database.verify(), Ok(()));
    }
}

#[test]
fn heights_that_are_not_there_are_named() {
    let (store, database) = database();
    for height in 1..=20 {
        extend(&database, &pay(height), vec![transfer(height)]).unwrap();
    }
    let future = |height, tip| DatabaseError::Future { height: Height(height), tip: Height(tip) };
    let pruned =
        |height, floor| DatabaseError::Pruned { height: Height(height), floor: Height(floor) };
    assert_eq!(database.block(Height(0)), Err(DatabaseError::NoBlockAtGenesis));
    assert_eq!(database.header(Height(21)), Err(future(21, 20)));
    assert_eq!(database.finality(Height(u64::MAX)), Err(future(u64::MAX, 20)));
    assert_eq!(database.state_at(Height(21)), Err(future(21, 20)));
    assert_eq!(database.value_at(POOLS, b"dao", Height(21)), Err(future(21, 20)));
    assert_eq!(database.prove(POOLS, b"dao", Height(21)), Err(future(21, 20)));
    assert_eq!(database.prune(Height(21)), Err(future(21, 20)));
    assert_eq!(database.validators(Epoch(1)), Err(DatabaseError::UnknownEpoch(Epoch(1))));
    let set = Hash([3; 32]);
    assert_eq!(database.validators_by_hash(set), Err(DatabaseError::UnknownValidators(set)));

    let (old, kept) = (transfer(9).id(), transfer(10).id());
    let old_block = database.header(Height(9)).unwrap().id();
    assert_eq!(database.prune(Height(10)).unwrap().floor, Height(10));
    assert_eq!(database.prune(Height(5)).unwrap().floor, Height(10), "a floor never sinks");
    for height in 21..=80 {
        extend(&database, &pay(height), vec![transfer(height)]).unwrap();
    }
    for database in [database, reopen(&store)] {
        assert_eq!(database.tip().floor, Height(10));
        assert_eq!(database.block(Height(9)), Err(pruned(9, 10)));
        assert_eq!(database.finality(Height(1)), Err(pruned(1, 10)));
        assert_eq!(database.block_by_id(old_block), Err(pruned(9, 10)));
        assert_eq!(database.transaction(old), Err(pruned(9, 10)));
        assert_eq!(database.state_at(Height(9)), Err(pruned(9, 10)));
        assert_eq!(database.value_at(POOLS, b"dao", Height(0)), Err(pruned(0, 10)));
        assert_eq!(database.prove(POOLS, b"dao", Height(9)), Err(pruned(9, 10)));
        assert_eq!(database.transaction(kept).unwrap().unwrap().height, Height(10));
        let value = database.value_at(POOLS, b"dao", Height(10));
        assert_eq!(value, Ok(Some(b"1010".to_vec())));
        assert_eq!(database.verify(), Ok(()));
    }
}

#[test]
fn undecided_blocks_fork_and_deciding_one_drops_the_others() {
    let (_, database) = database();
    let tip = database.tip();
    let built = |parent: &Tip, value: &str| {
        let changes = changes([(POOLS, "dao", Some(value))]);
        let root = database.state(parent.block).unwrap().apply(&changes).unwrap().root();
        let block = block(parent, root, vec![], Epoch(0), Epoch(0));
        assert_eq!(database.insert(parent.block, block.id(), &changes), Ok(root));
        let tip = Tip { height: block.header.height, block: block.id(), ..*parent };
        (decided(block), tip)
    };
    let (a, a_tip) = built(&tip, "a");
    let (b, b_tip) = built(&tip, "b");
    let (a2, a2_tip) = built(&a_tip, "a2");
    let (_, b2_tip) = built(&b_tip, "b2");
    let value = |block| database.state(block).unwrap().value(POOLS, b"dao").map(<[u8]>::to_vec);
    assert_eq!(value(a_tip.block), Some(b"a".to_vec()));
    assert_eq!(value(b2_tip.block), Some(b"b2".to_vec()));
    assert_eq!(value(tip.block), Some(b"1000".to_vec()));
    let changed = changes([(POOLS, "dao", Some("another"))]);
    let differs = database.insert(tip.block, a_tip.block, &changed);
    assert_eq!(differs, Err(OverlayError::Differs(a_tip.block).into()));
    let again = database.insert(tip.block, a_tip.block, &changes([(POOLS, "dao", Some("a"))]));
    assert_eq!(again, Ok(a.block.header.state_root));

    assert!(matches!(
        database.commit(&a2),
        Err(DatabaseError::Overlay(OverlayError::NotNext { .. }))
            | Err(DatabaseError::NotNext { .. })
    ));
    database.commit(&a).unwrap();
    for gone in [b_tip.block, b2_tip.block] {
        let unknown = OverlayError::Unknown(gone);
        assert_eq!(database.state(gone), Err(unknown.into()));
    }
    assert_eq!(value(a2_tip.block), Some(b"a2".to_vec()), "what follows the decided block stays");
    let (height, stored, got) = (Height(1), a.block.id(), b.block.id());
    assert_eq!(database.commit(&b), Err(DatabaseError::Conflict { height, stored, got }));
    assert_eq!(database.commit(&a), Ok(database.tip()), "the same block again changes nothing");
    database.commit(&a2).unwrap();
    assert_eq!(database.commit(&a).map(|tip| tip.height), Ok(Height(2)));

    let limit = CONFIG.max_overlays;
    for n in 0..limit {
        built(&database.tip(), &n.to_string());
    }
    let tip = database.tip().block;
    let full = database.insert(tip, BlockId(Hash([1; 32])), &changed);
    assert_eq!(full, Err(OverlayError::Full { limit }.into()));
    let (c, _) = (BlockId(Hash([2; 32])), ());
    let orphan = database.insert(c, BlockId(Hash([1; 32])), &changed);
    assert_eq!(orphan, Err(OverlayError::Unknown(c).into()));
}

#[test]
fn discarding_a_proposal_makes_room_for_all_that_stood_over_it() {
    let (_, database) = database();
    let ids: Vec<BlockId> = (1..=8).map(|n| BlockId(Hash([n; 32]))).collect();
    let mut parent = database.tip().block;
    for id in &ids {
        database.insert(parent, *id, &changes([(FLAGS, &id.to_string(), Some(""))])).unwrap();
        parent = *id;
    }
    database.discard(ids[1]);
    assert!(database.state(ids[0]).is_ok());
    for gone in &ids[1..] {
        assert!(database.state(*gone).is_err());
        database.insert(ids[0], *gone, &StateChanges::default()).unwrap();
    }
}

#[test]
fn a_block_that_does_not_fit_is_refused_and_changes_nothing() {
    let (store, database) = database();
    extend(&database, &pay(1), vec![]).unwrap();
    let (tip, last) = (database.tip(), store_last(&store));
    let good = prepare(&database, &pay(2), vec![transfer(1)]).unwrap();
    let refused = |change: &dyn Fn(&mut pocket_types::block::Header)| {
        let mut block = good.block.clone();
        change(&mut block.header);
        // Overlays are keyed by id, so the changed block needs its own.
        database.insert(tip.block, block.id(), &pay(2)).unwrap();
        let error = database.commit(&decided_by(block.clone(), &good)).unwrap_err();
        database.discard(block.id());
        assert_eq!((database.tip(), store_last(&store)), (tip, last));
        error
    };
    let other = Hash([5; 32]);
    let error = refused(&|header| header.chain = ChainId(other));
    let (got, expected) = (ChainId(other), chain());
    assert_eq!(error, DatabaseError::WrongChain { got, expected });
    let error = refused(&|header| header.height = Height(3));
    let (got, expected) = (Height(3), Height(2));
    assert_eq!(error, DatabaseError::NotNext { got, expected });
    let error = refused(&|header| header.parent = BlockId(other));
    let (got, expected) = (BlockId(other), tip.block);
    assert_eq!(error, DatabaseError::WrongParent { got, expected });
    let error = refused(&|header| header.state_root = other);
    let (header, computed) = (other, good.block.header.state_root);
    assert_eq!(error, DatabaseError::WrongStateRoot { header, computed });
    let error = refused(&|header| header.transactions_root = other);
    let (got, expected) = (good.block.header.transactions_root, other);
    assert_eq!(error, BlockError::TransactionsRoot { got, expected }.into());
    let error = refused(&|header| header.validators = other);
    assert_eq!(error, DatabaseError::UnknownValidators(other));
    let error = refused(&|header| header.next_validators = other);
    assert_eq!(error, DatabaseError::UnknownValidators(other));

    let mut wrong_proof = good.clone();
    wrong_proof.proof = database.finality(Height(1)).unwrap();
    assert_eq!(database.commit(&wrong_proof), Err(DatabaseError::WrongProof(good.block.id())));
    database.discard(good.block.id());
    let unknown = OverlayError::Unknown(good.block.id());
    assert_eq!(database.commit(&good), Err(unknown.into()), "its changes are not known");
    database.insert(tip.block, good.block.id(), &pay(2)).unwrap();
    assert_eq!(database.commit(&good).map(|tip| tip.height), Ok(Height(2)));
}

fn store_last(store: &MemoryStore) -> u64 {
    store.last().unwrap().0
}

fn decided_by(
    block: pocket_types::block::Block,
    like: &pocket_persistence::Decided,
) -> pocket_persistence::Decided {
    let mut proof = like.proof.clone();
    let mut links = proof.links.into_vec();
    links[0].header = block.header.clone();
    proof.links = pocket_types::codec::List::new(links).unwrap();
    pocket_persistence::Decided { block, proof, next_validators: None }
}

#[test]
fn a_new_validator_set_comes_with_the_block_that_names_it() {
    let (store, database) = database();
    let step = |epoch: u64, next: u64, given: Option<u64>| {
        let tip = database.tip();
        let block = block(&tip, tip.state_root, vec![], Epoch(epoch), Epoch(next));
        database.insert(tip.block, block.id(), &StateChanges::default()).unwrap();
        let mut decided = decided(block);
        decided.next_validators = given.map(|epoch| validators(Epoch(epoch)));
        database.commit(&decided)
    };
    let hash = |epoch| validators(Epoch(epoch)).hash();
    assert_eq!(step(0, 1, None), Err(DatabaseError::UnknownValidators(hash(1))));
    let (got, expected) = (hash(2), hash(1));
    assert_eq!(step(0, 1, Some(2)), Err(DatabaseError::WrongValidators { got, expected }));
    step(0, 1, Some(1)).unwrap();
    step(1, 1, None).unwrap();
    step(1, 2, Some(2)).unwrap();
    for database in [&database, &reopen(&store)] {
        for epoch in 0..=2 {
            let set = validators(Epoch(epoch));
            assert_eq!(database.validators_by_hash(set.hash()).as_ref(), Ok(&set));
            assert_eq!(database.validators(Epoch(epoch)), Ok(set));
        }
        assert_eq!(database.verify(), Ok(()));
    }
}

#[test]
fn the_log_of_a_height_lives_until_that_height_is_decided() {
    let (store, database) = database();
    let record = |n: u8| vec![n; 3];
    let body = BlockId(Hash([4; 32]));
    database.append_log(Height(1), &[record(1), record(2)], &[(body, b"body".to_vec())]).unwrap();
    database.append_log(Height(1), &[record(3)], &[]).unwrap();
    database.append_log(Height(2), &[record(4)], &[(body, b"next".to_vec())]).unwrap();
    database.append_log(Height(1), &[vec![]], &[]).unwrap();
    let all = [record(1), record(2), record(3), vec![], record(4)];
    assert_eq!(reopen(&store).load_log().unwrap(), all);
    assert_eq!(reopen(&store).body(Height(1), body), Ok(Some(b"body".to_vec())));
    extend(&database, &pay(1), vec![]).unwrap();
    assert_eq!(database.load_log().unwrap(), [record(4)]);
    assert_eq!(database.body(Height(1), body), Ok(None));
    assert_eq!(database.body(Height(2), body), Ok(Some(b"next".to_vec())));
    let (height, tip) = (Height(1), Height(1));
    let late = database.append_log(height, &[record(5)], &[]);
    assert_eq!(late, Err(DatabaseError::Decided { height, tip }));
    assert_eq!(reopen(&store).load_log().unwrap(), [record(4)]);
}

#[test]
fn datasets_of_the_host_are_kept_apart() {
    let (store, database) = database();
    let (relays, mempool) = (Collection::new("relays"), Collection::new("mempool"));
    let nested = Collection::new("relays_2");
    let row = |key: u8| (vec![key], vec![key, key]);
    let rows: Vec<_> = (0..=255).map(row).collect();
    database.put_local(relays, &rows, Durability::Immediate).unwrap();
    database.put_local(mempool, &[row(9)], Durability::Eventual).unwrap();
    database.put_local(nested, &[row(8)], Durability::Immediate).unwrap();
    let (forward, backward) = (Direction::Forward, Direction::Backward);
    let all = KeyRange::all();
    for database in [&database, &reopen(&store)] {
        assert_eq!(database.scan_local(relays, &all, forward, usize::MAX).unwrap(), rows);
        assert_eq!(database.scan_local(relays, &all, backward, 2).unwrap(), [row(255), row(254)]);
        let some = database.scan_local(relays, &KeyRange::between([3], [5]), forward, 9).unwrap();
        assert_eq!(some, [row(3), row(4)]);
        assert_eq!(database.scan_local(mempool, &all, forward, 9).unwrap(), [row(9)]);
    }
    database.delete_local(relays, &KeyRange::between([1], [255]), Durability::Immediate).unwrap();
    assert_eq!(database.scan_local(relays, &all, forward, 9).unwrap(), [row(0), row(255)]);
    database.delete_local(relays, &all, Durability::Immediate).unwrap();
    assert_eq!(database.scan_local(relays, &all, forward, 9).unwrap(), []);
    assert_eq!(database.scan_local(nested, &all, forward, 9).unwrap(), [row(8)]);
    let (part, got, max) = ("key", MAX_LOCAL_KEY + 1, MAX_LOCAL_KEY);
    let long = database.put_local(relays, &[(vec![0; got], vec![])], Durability::Immediate);
    assert_eq!(long, Err(DatabaseError::RowLimit { part, got, max }));
}

#[test]
fn a_second_writer_fences_the_first() {
    let (store, first) = database();
    let second = reopen(&store);
    extend(&second, &pay(1), vec![]).unwrap();
    let stale = extend(&first, &pay(1), vec![]);
    assert!(matches!(stale, Err(DatabaseError::Store(StoreError::Fenced { .. }))), "{stale:?}");
    let closed = first.append_log(Height(1), &[vec![1]], &[]);
    assert_eq!(closed, Err(DatabaseError::Closed));
    assert_eq!(first.state(BlockId::default()).unwrap().value(POOLS, b"dao"), Some(&b"1000"[..]));
    extend(&second, &pay(2), vec![]).unwrap();
    assert_eq!(reopen(&store).tip().height, Height(2));
}

fn batch() -> impl Strategy<Value = StateChanges> {
    let change = (0usize..3, 0u8..12, proptest::option::weighted(0.6, 0u8..4));
    proptest::collection::vec(change, 0..8).prop_map(|list| {
        let owned = list.into_iter().map(|(collection, key, value)| {
            let value = value.map(|value| vec![value; usize::from(value)]);
            ((COLLECTIONS[collection], vec![key]), value)
        });
        StateChanges(owned.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_value_of_every_height_is_the_one_of_a_plain_map_and_proved(
        batches in proptest::collection::vec(batch(), 1..90),
        restart in 0usize..90,
    ) {
        let store = MemoryStore::new();
        let first = genesis(batches[0].clone());
        let mut database = Database::initialize(store.clone(), CONFIG, &first).unwrap();
        let mut model = MemoryState::default();
        model.apply(&batches[0]);
        let mut models = vec![model.clone()];
        for (height, batch) in batches.iter().enumerate().skip(1) {
            extend(&database, batch, vec![]).unwrap();
            model.apply(batch);
            models.push(model.clone());
            if height == restart {
                database = reopen(&store);
            }
        }
        let fresh = reopen(&store);
        for (height, model) in models.iter().enumerate() {
            let height = Height(height as u64);
            let root = match height {
                Height::GENESIS => first_root(&first.changes),
                _ => database.header(height).unwrap().state_root,
            };
            let state = fresh.state_at(height).unwrap();
            prop_assert_eq!(state.root(), root);
            for collection in COLLECTIONS {
                let mut listed: Vec<_> =
                    state.iter(collection).map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
                listed.sort();
                let of = model.iter().filter(|(other, ..)| *other == collection);
                let expected: Vec<_> = of.map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect();
                prop_assert_eq!(&listed, &expected);
                for key in 0..13u8 {
                    use pocket_types::state::StateRead;
                    let expected = model.get(collection, &[key]).unwrap();
                    prop_assert_eq!(&database.value_at(collection, &[key], height).unwrap(), &expected);
                    prop_assert_eq!(&fresh.value_at(collection, &[key], height).unwrap(), &expected);
                }
                let proven = database.prove(collection, &[3], height).unwrap();
                prop_assert_eq!(proven.verify(&root), Ok(()));
            }
        }
        prop_assert_eq!(database.verify(), Ok(()));
    }
}

#[test]
fn a_change_is_found_in_whichever_tile_of_a_merged_run_it_stands() {
    let all = |value: u8| {
        let put = (0..300u32).map(|n| ((ACCOUNTS, n.to_be_bytes().to_vec()), vec![value; 1000]));
        StateChanges(put.map(|(key, value)| (key, Some(value))).collect())
    };
    let config = Config { recent_states: 0, ..CONFIG };
    let database = Database::initialize(MemoryStore::new(), config, &genesis(all(0))).unwrap();
    for height in 1..=8 {
        let changes = if height % 3 == 0 { all(height) } else { StateChanges::default() };
        extend(&database, &changes, vec![]).unwrap();
    }
    for height in 0..=8u8 {
        for n in 0..300u32 {
            let value = database.value_at(ACCOUNTS, &n.to_be_bytes(), Height(height.into()));
            assert_eq!(value, Ok(Some(vec![height / 3 * 3; 1000])), "key {n} at {height}");
        }
    }
}

#[test]
fn what_is_kept_of_the_present_follows_the_state_and_not_the_past() {
    let (store, database) = database();
    let stored = |table| {
        let read = store.snapshot().unwrap();
        let (mut rows, mut bytes) = (0, 0);
        read.scan(table, &KeyRange::all(), Direction::Forward, usize::MAX, &mut |key, value| {
            rows += 1;
            bytes += key.len() + value.len();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        (rows, bytes)
    };
    let value = "v".repeat(1000);
    let mut most = 0;
    for height in 1..=520u64 {
        let (new, old) = (height.to_string(), (height - 1).to_string());
        let moved = changes([(ACCOUNTS, &new, Some(&value)), (ACCOUNTS, &old, None)]);
        extend(&database, &moved, vec![]).unwrap();
        most = most.max(stored(Table::State).1);
        if height == 511 {
            assert!(stored(Table::State).1 < 2000, "removed keys are gone from the oldest run");
        }
    }
    // At most 7 runs of 1, 8 and 64 blocks each, and a merged run keeps one value of them.
    assert!(most < 24_000 + 7 * (1 + 8 + 64) * 200, "{most} bytes");
    assert_eq!(database.state(database.tip().block).unwrap().iter(ACCOUNTS).count(), 1);
    assert!(stored(Table::State).0 <= 3 * 7 + 1);
    assert!(stored(Table::History).0 < 3 * 7 + 1 + 16);

    let (blocks, history) = (stored(Table::Blocks), stored(Table::History));
    assert_eq!(blocks.0, 520);
    database.prune(Height(515)).unwrap();
    assert_eq!((stored(Table::Blocks).0, stored(Table::Finality).0), (6, 6));
    let kept = stored(Table::History);
    assert!(kept.1 * 20 < history.1, "{kept:?} of {history:?}");
    assert_eq!(database.verify(), Ok(()));

    // A floor in the middle of runs that are merged later.
    for height in 521..=540 {
        extend(&database, &pay(height), vec![]).unwrap();
        if height == 524 {
            database.prune(Height(522)).unwrap();
        }
    }
    for height in 522..=540 {
        let value = database.value_at(POOLS, b"dao", Height(height));
        assert_eq!(value, Ok(Some((1000 + height).to_string().into_bytes())));
    }
    assert_eq!(reopen(&store).verify(), Ok(()));

    database.prune(Height(540)).unwrap();
    let pruned = DatabaseError::Pruned { height: Height(539), floor: Height(540) };
    assert_eq!(database.state_at(Height(539)), Err(pruned), "though it was in memory");
}

fn first_root(changes: &StateChanges) -> Hash {
    State::empty().apply(changes).unwrap().root()
}

#[test]
fn history_is_whole_across_every_level_of_merging() {
    let store = MemoryStore::new();
    let config = Config { recent_states: 0, ..CONFIG };
    let database = Database::initialize(store.clone(), config, &genesis(pay(0))).unwrap();
    let heights = 1100;
    for height in 1..=heights {
        extend(&database, &pay(height), vec![]).unwrap();
    }
    let fresh = reopen(&store);
    for height in (0..=heights).step_by(37).chain([0, 1, 511, 512, 513, 1023, 1024, heights]) {
        let value = fresh.value_at(POOLS, b"dao", Height(height));
        assert_eq!(value, Ok(Some((1000 + height).to_string().into_bytes())));
        let state = fresh.state_at(Height(height)).unwrap();
        assert_eq!(state.value(POOLS, b"dao"), value.unwrap().as_deref());
    }
    assert_eq!(fresh.verify(), Ok(()));
}
