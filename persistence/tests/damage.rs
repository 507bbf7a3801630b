//! Damaged bytes give an error that names the place: never a wrong answer, never an absence.

mod common;

use std::fmt::Debug;
use std::ops::ControlFlow;

use common::*;
use pocket_persistence::fault::FaultStore;
use pocket_persistence::store::{
    Direction, Durability, KeyRange, MemoryStore, Op, Read, Row, Store, Table,
};
use pocket_persistence::{Config, Database, DatabaseError};
use pocket_types::id::BlockId;
use pocket_types::number::{Epoch, Height};
use pocket_types::state::{Collection, StateChanges};

const NOTES: Collection = Collection::new("notes");
const HEIGHTS: u64 = 11;

fn fill<S: Store>(store: S) {
    let database = Database::initialize(store, CONFIG, &genesis(change(0))).unwrap();
    for height in 1..=HEIGHTS {
        extend(&database, &change(height), vec![transfer(height)]).unwrap();
    }
    let body = (BlockId::default(), vec![1, 2, 3]);
    database.append_log(Height(HEIGHTS + 1), &[vec![7; 10]], &[body]).unwrap();
    let note = (vec![1], vec![2]);
    database.put_local(NOTES, &[note], Durability::Immediate).unwrap();
}

fn change(height: u64) -> StateChanges {
    changes([(POOLS, "dao", Some(&height.to_string())), (ACCOUNTS, &height.to_string(), Some("1"))])
}

fn rows(store: &MemoryStore, table: Table) -> Vec<Row> {
    let mut rows = Vec::new();
    let read = store.snapshot().unwrap();
    read.scan(table, &KeyRange::all(), Direction::Forward, usize::MAX, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

fn change_row(store: &MemoryStore, op: Op) {
    store.commit(store.last().unwrap(), &[op], Durability::Immediate).unwrap();
}

/// Opens and walks everything, as a node's start and its operator would.
fn inspect(store: &MemoryStore) -> Result<(), DatabaseError> {
    Database::open(store.clone(), CONFIG, chain())?.verify()
}

#[test]
fn every_flipped_bit_of_every_row_is_found_and_its_row_is_named() {
    let store = MemoryStore::new();
    fill(store.clone());
    assert_eq!(inspect(&store), Ok(()));
    for table in Table::ALL {
        let rows = rows(&store, table);
        assert!(!rows.is_empty(), "{table} has rows to damage");
        for (key, value) in rows {
            let places = [0, 31, 32, value.len() / 2, value.len() - 1];
            for place in places {
                let mut flipped = value.clone();
                flipped[place] ^= 1 << (place % 8);
                change_row(&store, Op::Put { table, key: key.clone(), value: flipped });
                let Err(DatabaseError::Damaged(damage)) = inspect(&store) else {
                    panic!("byte {place} of {table} {key:?} is damaged");
                };
                assert_eq!((damage.table, &damage.key), (table, &key), "{damage}");
            }
            for short in [vec![], value[..31].to_vec(), value[..value.len() - 1].to_vec()] {
                change_row(&store, Op::Put { table, key: key.clone(), value: short });
                let Err(DatabaseError::Damaged(damage)) = inspect(&store) else {
                    panic!("{table} {key:?} is cut short");
                };
                assert_eq!((damage.table, &damage.key), (table, &key), "{damage}");
            }
            change_row(&store, Op::Put { table, key, value });
        }
    }
    assert_eq!(inspect(&store), Ok(()));
}

#[test]
fn every_lost_or_misplaced_row_of_the_chain_is_found() {
    let store = MemoryStore::new();
    fill(store.clone());
    let of_the_chain = |table: &Table| !matches!(table, Table::Log | Table::Bodies | Table::Local);
    for table in Table::ALL.into_iter().filter(of_the_chain) {
        let rows = rows(&store, table);
        for (n, (key, value)) in rows.iter().enumerate() {
            change_row(&store, Op::Delete { table, key: key.clone() });
            let damaged = inspect(&store);
            assert!(
                matches!(damaged, Err(DatabaseError::Damaged(_))),
                "{table} {key:?}: {damaged:?}"
            );
            let (_, other) = &rows[(n + 1) % rows.len()];
            if other != value {
                change_row(&store, Op::Put { table, key: key.clone(), value: other.clone() });
                let damaged = inspect(&store);
                assert!(matches!(damaged, Err(DatabaseError::Damaged(_))), "{table} {key:?}");
            }
            change_row(&store, Op::Put { table, key: key.clone(), value: value.clone() });
        }
    }
    assert_eq!(inspect(&store), Ok(()));
}

#[test]
fn a_lost_part_of_a_large_run_is_damage_wherever_it_is_needed() {
    let all = |value: &str| {
        let value = value.repeat(1000).into_bytes();
        let put = (0..300u32).map(|n| ((ACCOUNTS, n.to_be_bytes().to_vec()), Some(value.clone())));
        StateChanges(put.collect())
    };
    let store = MemoryStore::new();
    let config = Config { recent_states: 0, ..CONFIG };
    let database = Database::initialize(store.clone(), config, &genesis(all("0"))).unwrap();
    extend(&database, &all("1"), vec![]).unwrap();
    extend(&database, &all("2"), vec![]).unwrap();
    let value_at = |n: u32, height| database.value_at(ACCOUNTS, &n.to_be_bytes(), Height(height));
    for n in 0..300 {
        assert_eq!(value_at(n, 0), Ok(Some(vec![b'0'; 1000])), "across all tiles");
        assert_eq!(value_at(n, 1), Ok(Some(vec![b'1'; 1000])));
    }
    for (table, tiles) in [(Table::State, 15), (Table::History, 11)] {
        let rows = rows(&store, table);
        assert_eq!(rows.len(), tiles, "{table}");
        for (key, value) in rows {
            change_row(&store, Op::Delete { table, key: key.clone() });
            let damaged = inspect(&store);
            assert!(matches!(damaged, Err(DatabaseError::Damaged(_))), "{damaged:?}");
            let mut lost = 0;
            for n in 0..300 {
                for height in 0..2 {
                    match value_at(n, height) {
                        Ok(value) => assert_eq!(value, Some(vec![b'0' + height as u8; 1000])),
                        Err(error) => {
                            self::damaged(&error);
                            lost += 1;
                        }
                    }
                }
            }
            // The present is in memory, and nobody asks what was before genesis (run 0).
            let needed = table == Table::History && key[8] > 0;
            assert_eq!(lost > 0, needed, "{lost} values are lost with {table} {key:?}");
            change_row(&store, Op::Put { table, key, value });
        }
    }
}

/// Asks everything that can be asked; the answers, or what went wrong, in words.
fn questions(store: &FaultStore) -> Result<Vec<Result<String, DatabaseError>>, DatabaseError> {
    fn said<T: Debug>(answer: Result<T, DatabaseError>) -> Result<String, DatabaseError> {
        answer.map(|answer| format!("{answer:?}"))
    }
    let database = Database::open(store.clone(), CONFIG, chain())?;
    let mut answers = vec![said(database.load_log())];
    answers.push(said(database.body(Height(HEIGHTS + 1), BlockId::default())));
    answers.push(said(database.scan_local(NOTES, &KeyRange::all(), Direction::Forward, 9)));
    answers.push(said(database.validators(Epoch(0))));
    answers.push(said(database.validators_by_hash(validators(Epoch(0)).hash())));
    for height in (0..=HEIGHTS).map(Height) {
        answers.push(said(database.value_at(POOLS, b"dao", height)));
        answers.push(said(database.value_at(ACCOUNTS, b"5", height)));
        answers.push(said(database.prove(POOLS, b"dao", height)));
        if height > Height::GENESIS {
            let block = database.block(height);
            answers.push(said(database.header(height)));
            if let Ok(block) = &block {
                answers.push(said(database.block_by_id(block.id())));
                answers.push(said(database.transaction(block.transactions[0].id())));
            }
            answers.push(said(block));
        }
    }
    answers.push(said(database.verify()));
    Ok(answers)
}

#[test]
fn a_bit_flipped_on_the_way_from_the_disk_is_an_error_and_never_another_answer() {
    let store = FaultStore::new(5);
    fill(store.clone());
    let before = store.rows_read();
    let truth: Vec<String> = questions(&store).unwrap().into_iter().map(Result::unwrap).collect();
    let rows = store.rows_read() - before;
    assert!(rows > 200, "{rows} rows are read");
    for row in 0..rows {
        store.flip_row(store.rows_read() + row);
        let Ok(answers) = questions(&store).map_err(|error| damaged(&error)) else { continue };
        let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
        errors.for_each(damaged);
        let wrong = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(wrong, 1, "row {row}: one answer is refused");
        let mut expected = truth.iter();
        for answer in answers.iter().flatten() {
            assert!(expected.any(|truth| truth == answer), "row {row}: {answer}");
        }
    }
}

fn damaged(error: &DatabaseError) {
    assert!(matches!(error, DatabaseError::Damaged(_)), "{error}");
}
