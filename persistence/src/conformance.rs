//! What every adapter of a storage engine must pass: the contract of [`Store`] as tests.
//!
//! ```
//! use pocket_persistence::conformance;
//! use pocket_persistence::store::MemoryStore;
//!
//! conformance::all(MemoryStore::new);
//! ```
//!
//! An adapter whose data outlives the process also runs [`reopening`]. What no test here can see is
//! whether an immediate commit survives losing power: that is the engine's word.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pocket_types::hash::{Domain, Words};

use crate::store::{
    Direction, Durability, KeyRange, MAX_KEY_BYTES, Op, Read, Row, Sequence, Store, StoreError,
    Table,
};

/// Runs everything; `fresh` gives a new, empty store on every call.
///
/// # Panics
///
/// When the store breaks its contract.
pub fn all<S: Store>(mut fresh: impl FnMut() -> S) {
    a_new_store_is_empty(&fresh());
    rows_come_back_as_they_were_put(&fresh());
    operations_take_effect_in_their_order(&fresh());
    a_commit_covers_all_tables(&fresh());
    a_stale_writer_changes_nothing(&fresh());
    snapshots_outlive_later_commits(&fresh());
    scans_respect_bounds_direction_and_limit(&fresh());
    ranges_are_deleted_whole(&fresh());
    an_empty_commit_counts(&fresh());
    for seed in 0..8 {
        any_history_agrees_with_a_plain_map(&fresh(), seed);
    }
}

/// Checks that data outlives closing; `open` opens the same place, at first empty, on every call,
/// always after the store of the call before was dropped.
///
/// # Panics
///
/// When the store breaks its contract.
pub fn reopening<S: Store>(mut open: impl FnMut() -> S) {
    let mut model = BTreeMap::new();
    let mut sequence = Sequence(0);
    for round in 0..4u8 {
        let store = open();
        assert_eq!(store.last(), Ok(sequence), "the last sequence is kept");
        assert_eq!(dump(&store), model, "what was committed is there again");
        let stale = store.commit(Sequence(u64::MAX), &[], Durability::Immediate);
        let last = sequence;
        let expected = Sequence(u64::MAX);
        assert_eq!(stale, Err(StoreError::Fenced { expected, last }));
        let ops = [
            put(Table::Blocks, &[round], &[round; 70_000]),
            put(Table::Log, &[round, 0], &[]),
            Op::DeleteRange {
                table: Table::Log,
                range: KeyRange::between([round.saturating_sub(1)], [round]),
            },
        ];
        sequence = commit(&store, &ops[..2]);
        sequence = store
            .commit(sequence, &ops[2..], Durability::Immediate)
            .expect("the sequence is the last one");
        ops.iter().for_each(|op| apply(&mut model, op));
    }
}

fn a_new_store_is_empty(store: &impl Store) {
    assert_eq!(store.last(), Ok(Sequence(0)));
    assert_eq!(snapshot(store).sequence(), Sequence(0));
    for table in Table::ALL {
        assert_eq!(get(store, table, b""), None);
        assert_eq!(scan(store, table, &KeyRange::all()), []);
    }
}

fn rows_come_back_as_they_were_put(store: &impl Store) {
    let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"\x7f", b"\x80\xfe", b"\xff\xff"];
    let long = vec![0xa5; MAX_KEY_BYTES];
    let values: [&[u8]; 3] = [b"", b"\0", &[0xee; 200_000]];
    let rows: Vec<_> =
        keys.into_iter().chain([&long[..]]).zip(values.into_iter().cycle()).collect();
    let ops: Vec<Op> = rows.iter().map(|(k, v)| put(Table::State, k, v)).collect();
    commit(store, &ops);
    for (key, value) in &rows {
        assert_eq!(get(store, Table::State, key).as_deref(), Some(*value));
        assert_eq!(get(store, Table::History, key), None);
    }
    let keys = [b"a".as_slice(), b"missing", b"", b"a"];
    let many = snapshot(store).get_many(Table::State, &keys);
    let expected = keys.map(|key| get(store, Table::State, key));
    assert_eq!(many, Ok(expected.to_vec()), "values come in the keys' order");
    assert_eq!(snapshot(store).get_many(Table::State, &[]), Ok(vec![]));
    let mut sorted: Vec<_> = rows.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    sorted.sort();
    let scanned = scan(store, Table::State, &KeyRange::all());
    assert_eq!(scanned, sorted, "rows sort by unsigned bytes");
}

fn operations_take_effect_in_their_order(store: &impl Store) {
    let ops = [
        put(Table::Meta, b"a", b"1"),
        put(Table::Meta, b"a", b"2"),
        put(Table::Meta, b"b", b"1"),
        delete(Table::Meta, b"b"),
        delete(Table::Meta, b"c"),
        put(Table::Meta, b"c", b"1"),
        put(Table::Meta, b"d1", b"1"),
        delete_range(Table::Meta, KeyRange::prefix("d")),
        put(Table::Meta, b"d2", b"1"),
    ];
    commit(store, &ops);
    let expected = [("a", "2"), ("c", "1"), ("d2", "1")];
    let expected = expected.map(|(key, value)| (key.into(), value.into()));
    assert_eq!(scan(store, Table::Meta, &KeyRange::all()), expected);
    commit(store, &[delete(Table::Meta, b"never there")]);
    assert_eq!(scan(store, Table::Meta, &KeyRange::all()), expected);
}

fn a_commit_covers_all_tables(store: &impl Store) {
    let ops = Table::ALL.map(|table| put(table, b"key", table.name().as_bytes()));
    let before = snapshot(store);
    commit(store, &ops);
    for table in Table::ALL {
        assert_eq!(before.get_many(table, &[b"key"]), Ok(vec![None]));
        let value = get(store, table, b"key");
        assert_eq!(value.as_deref(), Some(table.name().as_bytes()));
    }
}

fn a_stale_writer_changes_nothing(store: &impl Store) {
    let first = commit(store, &[put(Table::Meta, b"key", b"first")]);
    assert_eq!(first, Sequence(1));
    for (expected, durability) in [
        (Sequence(0), Durability::Immediate),
        (Sequence(2), Durability::Immediate),
        (Sequence(0), Durability::Eventual),
    ] {
        let ops = [put(Table::Meta, b"key", b"stale"), put(Table::Log, b"key", b"stale")];
        let last = first;
        let refused = store.commit(expected, &ops, durability);
        assert_eq!(refused, Err(StoreError::Fenced { expected, last }));
        assert_eq!(store.last(), Ok(first));
        let value = get(store, Table::Meta, b"key");
        assert_eq!(value.as_deref(), Some(&b"first"[..]));
        assert_eq!(get(store, Table::Log, b"key"), None);
    }
    let second = store.commit(first, &[], Durability::Eventual);
    assert_eq!(second, Ok(Sequence(2)), "the writer that is not stale goes on");
}

fn snapshots_outlive_later_commits(store: &impl Store) {
    commit(store, &[put(Table::State, b"key", b"1")]);
    let held = snapshot(store);
    commit(store, &[put(Table::State, b"key", b"2")]);
    commit(store, &[put(Table::State, b"later", b"3")]);
    let range = KeyRange::all();
    commit(store, &[delete_range(Table::State, range.clone())]);
    assert_eq!(scan(store, Table::State, &range), []);
    assert_eq!(held.sequence(), Sequence(1));
    let value = held.get_many(Table::State, &[b"key", b"later"]);
    assert_eq!(value, Ok(vec![Some(b"1".to_vec()), None]));
    let rows = rows(&held, Table::State, &range, Direction::Forward, usize::MAX);
    assert_eq!(rows, [(b"key".to_vec(), b"1".to_vec())]);
    let elsewhere = std::thread::spawn(move || held.get_many(Table::State, &[b"key"]));
    let value = elsewhere.join().expect("reading panics nowhere");
    assert_eq!(value, Ok(vec![Some(b"1".to_vec())]), "on any thread");
}

fn scans_respect_bounds_direction_and_limit(store: &impl Store) {
    let keys: [&[u8]; 7] = [b"", b"a", b"a\0", b"a\xff", b"b", b"ba", b"\xff"];
    let ops: Vec<Op> = keys.iter().map(|key| put(Table::Local, key, key)).collect();
    commit(store, &ops);
    let read = snapshot(store);
    let mut bounds: Vec<Option<Vec<u8>>> = keys.iter().map(|key| Some(key.to_vec())).collect();
    bounds.extend([None, Some(b"aa".to_vec()), Some(b"zzz".to_vec())]);
    for start in bounds.iter().flatten() {
        for end in &bounds {
            let range = KeyRange { start: start.clone(), end: end.clone() };
            let inside = keys.iter().filter(|key| range.contains(key));
            let expected: Vec<Row> = inside.map(|key| (key.to_vec(), key.to_vec())).collect();
            for limit in [0, 1, 3, usize::MAX] {
                let (mut forward, mut backward) = (expected.clone(), expected.clone());
                backward.reverse();
                forward.truncate(limit);
                backward.truncate(limit);
                let found = rows(&read, Table::Local, &range, Direction::Forward, limit);
                assert_eq!(found, forward, "{range:?} forward, {limit}");
                let found = rows(&read, Table::Local, &range, Direction::Backward, limit);
                assert_eq!(found, backward, "{range:?} backward, {limit}");
            }
        }
    }
    let mut seen = 0;
    let stopped =
        read.scan(Table::Local, &KeyRange::all(), Direction::Forward, usize::MAX, &mut |_, _| {
            seen += 1;
            ControlFlow::Break(())
        });
    assert_eq!((stopped, seen), (Ok(()), 1), "a visitor that breaks sees no more");
}

fn ranges_are_deleted_whole(store: &impl Store) {
    let keys: Vec<Vec<u8>> = (0..=255u8).map(|key| vec![key / 16, key % 16]).collect();
    let mut model = BTreeMap::new();
    let fill: Vec<Op> = keys.iter().map(|key| put(Table::Log, key, key)).collect();
    let ranges = [
        KeyRange::between([3, 2], [3, 2]),
        KeyRange::between([9], [4]),
        KeyRange::between([3, 2], [3, 4]),
        KeyRange::prefix([5]),
        KeyRange::between([0], [0, 1]),
        KeyRange { start: vec![14], end: None },
        KeyRange::between([100], [200]),
        KeyRange::all(),
    ];
    let mut ops = fill;
    for range in ranges {
        commit(store, &ops);
        ops.iter().for_each(|op| apply(&mut model, op));
        assert_eq!(dump(store), model);
        ops = vec![delete_range(Table::Log, range)];
    }
    commit(store, &ops);
    assert_eq!(dump(store), BTreeMap::new());
}

fn an_empty_commit_counts(store: &impl Store) {
    let read = snapshot(store);
    assert_eq!(commit(store, &[]), Sequence(1));
    assert_eq!(read.sequence(), Sequence(0));
    assert_eq!(snapshot(store).sequence(), Sequence(1));
}

fn any_history_agrees_with_a_plain_map(store: &impl Store, seed: u64) {
    let domain = Domain::custom("pocket v1 store conformance");
    let mut words = domain.hasher().number(seed).words();
    let mut model = BTreeMap::new();
    let mut held = Vec::new();
    for _ in 0..24 {
        let ops: Vec<Op> = (0..words.below(12)).map(|_| random_op(&mut words)).collect();
        commit(store, &ops);
        ops.iter().for_each(|op| apply(&mut model, op));
        assert_eq!(dump(store), model, "seed {seed}");
        held.push((snapshot(store), model.clone()));
    }
    for (read, then) in held.into_iter().step_by(5) {
        assert_eq!(dump_read(&read), then, "seed {seed}, an old snapshot");
    }
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn random_op(words: &mut Words) -> Op {
    let table = Table::ALL[words.below(3) as usize];
    let mut key = || -> Vec<u8> {
        let length = words.below(4);
        (0..length).map(|_| [0, 1, 0xff][words.below(3) as usize]).collect()
    };
    let (key, other) = (key(), key());
    match words.below(8) {
        0 => delete(table, &key),
        1 => delete_range(table, KeyRange::between(key, other)),
        2 => delete_range(table, KeyRange::prefix(key)),
        _ => put(table, &key, &words.next_word().to_be_bytes()[..words.below(9) as usize]),
    }
}

fn apply(model: &mut Model, op: &Op) {
    match op {
        Op::Put { table, key, value } => {
            model.insert((*table, key.clone()), value.clone());
        }
        Op::Delete { table, key } => {
            model.remove(&(*table, key.clone()));
        }
        Op::DeleteRange { table, range } => {
            model.retain(|(other, key), _| other != table || !range.contains(key));
        }
    }
}

fn dump(store: &impl Store) -> Model {
    dump_read(&snapshot(store))
}

fn dump_read(read: &impl Read) -> Model {
    let all = Table::ALL.into_iter().flat_map(|table| {
        let rows = rows(read, table, &KeyRange::all(), Direction::Forward, usize::MAX);
        rows.into_iter().map(move |(key, value)| ((table, key), value))
    });
    all.collect()
}

fn snapshot<S: Store>(store: &S) -> S::Read {
    store.snapshot().expect("a store can be read")
}

fn commit(store: &impl Store, ops: &[Op]) -> Sequence {
    let last = store.last().expect("a store knows its last sequence");
    let next = store.commit(last, ops, Durability::Immediate);
    assert_eq!(next, Ok(Sequence(last.0 + 1)));
    assert_eq!(store.last(), Ok(Sequence(last.0 + 1)));
    Sequence(last.0 + 1)
}

fn get(store: &impl Store, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let mut values = snapshot(store).get_many(table, &[key]).expect("a store can be read");
    assert_eq!(values.len(), 1, "one answer for each key");
    values.remove(0)
}

fn scan(store: &impl Store, table: Table, range: &KeyRange) -> Vec<Row> {
    rows(&snapshot(store), table, range, Direction::Forward, usize::MAX)
}

fn rows(
    read: &impl Read,
    table: Table,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let scanned = read.scan(table, range, direction, limit, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    assert_eq!(scanned, Ok(()));
    rows
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Op {
    Op::Put { table, key: key.to_vec(), value: value.to_vec() }
}

fn delete(table: Table, key: &[u8]) -> Op {
    Op::Delete { table, key: key.to_vec() }
}

const fn delete_range(table: Table, range: KeyRange) -> Op {
    Op::DeleteRange { table, range }
}
