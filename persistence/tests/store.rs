//! Both stores of this crate keep the contract.

use pocket_persistence::conformance;
use pocket_persistence::fault::FaultStore;
use pocket_persistence::store::{Durability, MemoryStore, Op, Read, Sequence, Store, Table};

#[test]
fn the_store_in_memory_keeps_the_contract() {
    conformance::all(MemoryStore::new);
    let store = MemoryStore::new();
    conformance::reopening(|| store.clone());
}

#[test]
fn the_failing_store_keeps_the_contract_and_what_was_synced_survives() {
    conformance::all(|| FaultStore::new(1));
    let mut store = FaultStore::new(2);
    conformance::reopening(move || {
        store = store.restart();
        store.clone()
    });
}

#[test]
fn what_was_only_written_survives_a_crash_as_a_prefix() {
    let mut seen = [0; 4];
    for seed in 0..64 {
        let store = FaultStore::new(seed);
        for n in 0..3 {
            let (table, key) = (Table::Meta, vec![n]);
            let value = vec![];
            let put = Op::Put { table, key, value };
            let last = Sequence(u64::from(n));
            store.commit(last, &[put], Durability::Eventual).unwrap();
        }
        let store = store.restart();
        let survivors = store.last().unwrap().0;
        let read = store.snapshot().unwrap();
        let rows = read.get_many(Table::Meta, &[&[0], &[1], &[2]]).unwrap();
        let present = rows.iter().take_while(|row| row.is_some()).count();
        assert_eq!(present as u64, survivors);
        assert_eq!(rows.iter().flatten().count(), present);
        seen[present] += 1;
    }
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}
