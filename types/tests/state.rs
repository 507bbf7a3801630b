//! Changes over a state read like the state that they lead to.

use std::collections::BTreeMap;

use pocket_types::state::{Collection, MemoryState, Overlay, StateChanges, StateRead, StateWrite};
use proptest::prelude::*;

const COLLECTIONS: [Collection; 2] = [Collection::new("a"), Collection::new("a_b")];

/// Where, under which key, and the new value, or none to remove it.
type Change = (usize, u8, Option<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((0..2usize, 0..6u8, any::<Option<u8>>()), 0..30)
}

fn write(state: &mut impl StateWrite, changes: &[Change]) {
    for &(collection, key, value) in changes {
        match value {
            Some(value) => state.put(COLLECTIONS[collection], vec![key], vec![value]),
            None => state.delete(COLLECTIONS[collection], vec![key]),
        }
    }
}

/// A plain map after these changes.
fn model<'c>(changes: impl IntoIterator<Item = &'c Change>) -> BTreeMap<(usize, u8), u8> {
    let mut model = BTreeMap::new();
    for &(collection, key, value) in changes {
        match value {
            Some(value) => model.insert((collection, key), value),
            None => model.remove(&(collection, key)),
        };
    }
    model
}

fn agree(state: &impl StateRead, model: &BTreeMap<(usize, u8), u8>) -> Result<(), TestCaseError> {
    for (place, collection) in COLLECTIONS.into_iter().enumerate() {
        for key in 0..6 {
            let expected = model.get(&(place, key)).map(|&value| vec![value]);
            prop_assert_eq!(state.get(collection, &[key]), Ok(expected));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_overlay_reads_as_if_it_were_written(below in changes(), above in changes(), top in changes()) {
        let mut state = MemoryState::default();
        write(&mut state, &below);
        agree(&state, &model(&below))?;

        let mut overlay = Overlay::new(&state);
        write(&mut overlay, &above);
        agree(&overlay, &model(below.iter().chain(&above)))?;
        let mut second = Overlay::new(&overlay);
        write(&mut second, &top);
        let last = model(below.iter().chain(&above).chain(&top));
        agree(&second, &last)?;

        // The changes, one after the other or as one, lead to the same state.
        let upper = second.into_changes();
        let lower = overlay.into_changes();
        agree(&state, &model(&below))?;
        let mut joined = StateChanges::default();
        joined.extend(lower.clone());
        joined.extend(upper.clone());
        let (mut one, mut other) = (state.clone(), state);
        one.apply(&lower);
        one.apply(&upper);
        other.apply(&joined);
        prop_assert_eq!(&one, &other);
        agree(&one, &last)?;
        prop_assert_eq!(one.iter().count(), last.len());
    }
}

#[test]
fn a_collection_has_a_short_plain_name() {
    for name in ["a", "accounts", "x_9", "abcdefghijklmnopqrstuvw"] {
        assert_eq!(Collection::parse(name).unwrap().as_str(), name);
    }
    for name in ["", "Accounts", "a-b", "a b", "é", "abcdefghijklmnopqrstuvwx", "a\0"] {
        assert_eq!(Collection::parse(name), None, "{name:?}");
    }
}
