//! An element of a list is proved at its place and nowhere else, whatever is claimed of the list.

use pocket_types::codec::List;
use pocket_types::hash::Hash;
use pocket_types::list::{ListProof, prove, root};

fn elements(count: u8) -> Vec<Hash> {
    (1..=count).map(|n| Hash([n; 32])).collect()
}

#[test]
fn every_place_of_every_short_list() {
    for count in 1..=17u8 {
        let list = elements(count);
        let top = root(list.iter().copied());
        for (place, &element) in list.iter().enumerate() {
            let proof = prove(list.iter().copied(), place).unwrap();
            for index in 0..2 * u64::from(count) + 2 {
                let moved = ListProof { index, ..proof.clone() };
                assert_eq!(moved.verify(top, element), index == place as u64, "{index} of {count}");
            }
            for length in 0..2 * u64::from(count) + 2 {
                let claimed = ListProof { length, ..proof.clone() };
                let right = length == u64::from(count);
                assert_eq!(claimed.verify(top, element), right, "{count} as {length}");
            }
            assert!(list.iter().all(|&other| proof.verify(top, other) == (other == element)));
        }
        assert_eq!(prove(list.iter().copied(), list.len()), None);
    }
}

#[test]
fn a_proof_with_more_less_or_other_siblings_proves_nothing() {
    let list = elements(11);
    let top = root(list.iter().copied());
    for (place, &element) in list.iter().enumerate() {
        let proof = prove(list.iter().copied(), place).unwrap();
        let siblings = proof.siblings.to_vec();
        let refused = |siblings: Vec<Hash>| {
            let siblings = List::new(siblings).unwrap();
            !ListProof { siblings, ..proof.clone() }.verify(top, element)
        };
        assert!(refused([&siblings[..], &[Hash::ZERO]].concat()));
        assert!(refused(siblings[1..].to_vec()) && refused(vec![]));
        for level in 0..siblings.len() {
            let mut changed = siblings.clone();
            changed[level].0[31] ^= 1;
            assert!(refused(changed));
        }
    }
}

#[test]
fn an_inner_node_is_no_element() {
    // The list of the two halves of a list of four is another list than the four.
    let list = elements(4);
    let proof = prove(list.iter().copied(), 0).unwrap();
    let half = root(list[..2].iter().copied());
    let short = ListProof {
        length: 2,
        siblings: List::new(proof.siblings[1..].to_vec()).unwrap(),
        ..proof
    };
    assert!(!short.verify(root(list.iter().copied()), half));
}

#[test]
fn absurd_lengths_are_refused_at_once() {
    let siblings = List::new(vec![Hash::ZERO; 32]).unwrap();
    for (index, length) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (u64::MAX, 0), (0, 0)] {
        let proof = ListProof { index, length, siblings: siblings.clone() };
        assert!(!proof.verify(Hash::ZERO, Hash::ZERO));
    }
}
