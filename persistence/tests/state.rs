//! The state tree: its root is a function of the content, and its proofs hold against it.

mod common;

use std::collections::BTreeMap;

use common::{ACCOUNTS, COLLECTIONS, FLAGS, POOLS, changes};
use pocket_persistence::State;
use pocket_persistence::tree::{LimitError, MAX_KEY};
use pocket_types::codec::Bytes;
use pocket_types::hash::Hash;
use pocket_types::merkle::{EMPTY, MAX_VALUE, ProofError, bit, inner, leaf, path, value_hash};
use pocket_types::state::{Collection, MemoryState, StateChanges, StateRead};
use proptest::prelude::*;

/// The root as the definition says it, over all content.
fn naive(content: &MemoryState) -> Hash {
    let mut trees: BTreeMap<Collection, Vec<(Hash, Hash)>> = BTreeMap::new();
    for (collection, key, value) in content.iter() {
        trees.entry(collection).or_default().push((path(key), value_hash(value)));
    }
    let roots = trees.into_iter().map(|(collection, leaves)| {
        (path(collection.as_str().as_bytes()), value_hash(&naive_tree(&leaves, 0).0))
    });
    naive_tree(&roots.collect::<Vec<_>>(), 0)
}

fn naive_tree(leaves: &[(Hash, Hash)], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(path, value_hash)] => leaf(path, value_hash),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) =
                leaves.iter().copied().partition(|(path, _)| bit(path, depth));
            inner(&naive_tree(&left, depth + 1), &naive_tree(&right, depth + 1))
        }
    }
}

fn batch() -> impl Strategy<Value = StateChanges> {
    let change = (0usize..3, 0u8..40, proptest::option::weighted(0.6, 0u8..4));
    proptest::collection::vec(change, 0..40).prop_map(|list| {
        let owned = list.into_iter().map(|(collection, key, value)| {
            let value = value.map(|value| vec![value; usize::from(value)]);
            ((COLLECTIONS[collection], vec![key]), value)
        });
        StateChanges(owned.collect())
    })
}

proptest! {
    #[test]
    fn the_root_is_the_definitions_and_the_content_alone_decides_it(
        batches in proptest::collection::vec(batch(), 0..8),
    ) {
        let (mut state, mut model) = (State::empty(), MemoryState::default());
        let mut earlier = Vec::new();
        for batch in &batches {
            earlier.push((state.clone(), model.clone()));
            state = state.apply(batch).unwrap();
            model.apply(batch);
            prop_assert_eq!(state.root(), naive(&model));
        }
        for (state, model) in earlier {
            prop_assert_eq!(state.root(), naive(&model), "an earlier state stays as it was");
        }
        let content = model.iter().map(|(collection, key, value)| {
            ((collection, key.to_vec()), Some(value.to_vec()))
        });
        let at_once = State::empty().apply(&StateChanges(content.collect())).unwrap();
        prop_assert_eq!(at_once, state);
    }

    #[test]
    fn every_key_is_proved_present_or_absent_and_nothing_else_is(
        content in batch(),
        other in batch(),
    ) {
        let state = State::empty().apply(&content).unwrap();
        let root = state.root();
        let elsewhere = state.apply(&other).unwrap().root();
        for collection in COLLECTIONS {
            for key in 0..45u8 {
                let expected = content.0.get(&(collection, vec![key])).cloned().flatten();
                prop_assert_eq!(state.get(collection, &[key]).unwrap(), expected.clone());
                let proven = state.prove(collection, &[key]).unwrap();
                prop_assert_eq!(proven.value.as_deref(), expected.as_deref());
                prop_assert_eq!(proven.verify(&root), Ok(()));
                if elsewhere != root {
                    prop_assert!(proven.verify(&elsewhere).is_err());
                }
                let mut lie = proven.clone();
                lie.value = Some(Bytes::new(vec![9]).unwrap());
                prop_assert!(lie.verify(&root).is_err());
                if proven.value.is_some() {
                    lie.value = None;
                    prop_assert!(lie.verify(&root).is_err());
                }
                let mut moved = proven;
                moved.key = Bytes::new(vec![key + 1]).unwrap();
                let same = content.0.get(&(collection, vec![key + 1])).cloned().flatten();
                prop_assert!(moved.verify(&root).is_err() || same == expected);
            }
        }
    }
}

#[test]
fn keys_whose_paths_begin_alike_are_told_apart() {
    let mut by_prefix: BTreeMap<[u8; 3], Vec<u8>> = BTreeMap::new();
    let twins = (0u32..).find_map(|n| {
        let key = n.to_be_bytes().to_vec();
        let prefix = *path(&key).0.first_chunk().unwrap();
        by_prefix.insert(prefix, key.clone()).map(|other| (other, key))
    });
    let (one, other) = twins.unwrap();
    let put = |key: &[u8]| StateChanges(BTreeMap::from([((POOLS, key.to_vec()), Some(vec![1]))]));
    let lone = State::empty().apply(&put(&one)).unwrap();
    let absent = lone.prove(POOLS, &other).unwrap();
    assert_eq!(absent.value, None);
    assert_eq!(absent.verify(&lone.root()), Ok(()));
    let both = lone.apply(&put(&other)).unwrap();
    let proven = both.prove(POOLS, &one).unwrap();
    assert!(proven.in_collection.as_ref().unwrap().siblings.len() > 24);
    assert_eq!(proven.verify(&both.root()), Ok(()));
    let remove = StateChanges(BTreeMap::from([((POOLS, other), None)]));
    assert_eq!(both.apply(&remove).unwrap(), lone, "the lone leaf moves up again");
}

#[test]
fn an_empty_collection_is_absent_and_an_empty_value_is_not() {
    let empty = State::empty();
    assert_eq!(empty.root(), EMPTY);
    let state =
        empty.apply(&changes([(FLAGS, "set", Some("")), (POOLS, "dao", Some("1"))])).unwrap();
    assert_eq!(state.get(FLAGS, b"set"), Ok(Some(vec![])));
    assert_eq!(state.collections().collect::<Vec<_>>(), [FLAGS, POOLS]);
    let proven = state.prove(FLAGS, b"set").unwrap();
    assert_eq!(proven.verify(&state.root()), Ok(()));
    let without = state.apply(&changes([(FLAGS, "set", None)])).unwrap();
    assert_eq!(without.collections().collect::<Vec<_>>(), [POOLS]);
    let absent = without.prove(FLAGS, b"set").unwrap();
    assert_eq!((&absent.value, &absent.in_collection), (&None, &None));
    assert_eq!(absent.verify(&without.root()), Ok(()));
    assert!(matches!(absent.verify(&state.root()), Err(ProofError::Root { .. })));
    let nothing = without.apply(&changes([(POOLS, "dao", None)])).unwrap();
    assert_eq!(nothing, empty);
    assert_eq!(nothing.prove(POOLS, b"dao").unwrap().verify(&EMPTY), Ok(()));
}

#[test]
fn iteration_is_in_path_order_and_complete() {
    let keys: Vec<String> = (0..200).map(|n| format!("account {n}")).collect();
    let put = keys
        .iter()
        .map(|key| ((ACCOUNTS, key.clone().into_bytes()), Some(key.to_uppercase().into_bytes())));
    let state = State::empty().apply(&StateChanges(put.collect())).unwrap();
    let listed: Vec<(&[u8], &[u8])> = state.iter(ACCOUNTS).collect();
    assert_eq!(listed.len(), keys.len());
    assert!(listed.windows(2).all(|pair| path(pair[0].0) < path(pair[1].0)));
    assert!(listed.iter().all(|(key, value)| key.to_ascii_uppercase() == *value));
    assert_eq!(state.iter(POOLS).count(), 0);
}

#[test]
fn what_changes_nothing_is_no_change() {
    let state = State::empty().apply(&changes([(POOLS, "dao", Some("1"))])).unwrap();
    let idle = changes([(POOLS, "dao", Some("1")), (FLAGS, "never", None)]);
    assert!(state.delta(&idle).unwrap().changes().is_empty());
    assert_eq!(state.apply(&idle).unwrap(), state);
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused() {
    let put = |key: usize, value: usize| {
        let change = ((POOLS, vec![1; key]), Some(vec![1; value]));
        State::empty().apply(&StateChanges(BTreeMap::from([change])))
    };
    assert!(put(MAX_KEY, MAX_VALUE).is_ok());
    let collection = POOLS;
    let (key, value) = (MAX_KEY + 1, MAX_VALUE + 1);
    assert_eq!(put(key, 0), Err(LimitError::Key { collection, got: key }));
    assert_eq!(put(0, value), Err(LimitError::Value { collection, got: value }));
    let refused = State::empty().prove(POOLS, &vec![1; key]);
    assert_eq!(refused, Err(LimitError::Key { collection, got: key }));
}
