//! Commitment to an ordered list: a balanced binary tree of hashes, the length bound in the root.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{List, Wire};
use crate::hash::{Domain, Hash};

/// Deepest list that can be proved: 2^32 elements.
const MAX_DEPTH: usize = 32;

/// Proof that an element stands at a place of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListProof {
    /// The element's place, from 0.
    pub index: u64,
    /// Length of the list.
    pub length: u64,
    /// Sibling hashes from the leaf upward.
    pub siblings: List<Hash, MAX_DEPTH>,
}

impl Wire for ListProof {
    const MAX_BYTES: usize = 24 + 32 * MAX_DEPTH;
}

/// Commitment to a list. The list of no elements has a root too.
pub fn root(elements: impl Iterator<Item = Hash>) -> Hash {
    let mut level: Vec<Hash> = elements.map(leaf).collect();
    let length = level.len() as u64;
    while level.len() > 1 {
        level = fold(&level);
    }
    bind(level.first().copied().unwrap_or_default(), length)
}

/// Proof for the element at `index`; none if there is no such element.
pub fn prove(elements: impl Iterator<Item = Hash>, index: usize) -> Option<ListProof> {
    let mut level: Vec<Hash> = elements.map(leaf).collect();
    let length = level.len() as u64;
    if index >= level.len() {
        return None;
    }
    let (mut place, mut siblings) = (index, Vec::new());
    while level.len() > 1 {
        siblings.extend(level.get(place ^ 1).copied());
        level = fold(&level);
        place /= 2;
    }
    Some(ListProof { index: index as u64, length, siblings: List::new(siblings).ok()? })
}

impl ListProof {
    /// Whether `element` stands at [`ListProof::index`] of the list with this root.
    pub fn verify(&self, root: Hash, element: Hash) -> bool {
        if self.index >= self.length {
            return false;
        }
        let (mut place, mut length, mut node) = (self.index, self.length, leaf(element));
        let mut siblings = self.siblings.iter();
        while length > 1 {
            // The last node of an odd level has no sibling and moves up as it is.
            if place ^ 1 < length {
                let Some(&sibling) = siblings.next() else {
                    return false;
                };
                node = if place % 2 == 0 { join(node, sibling) } else { join(sibling, node) };
            }
            place /= 2;
            length = length.div_ceil(2);
        }
        siblings.next().is_none() && bind(node, self.length) == root
    }
}

fn fold(level: &[Hash]) -> Vec<Hash> {
    let join_pair = |pair: &[Hash]| {
        if let [left, right] = *pair { join(left, right) } else { pair[0] }
    };
    level.chunks(2).map(join_pair).collect()
}

fn leaf(element: Hash) -> Hash {
    Domain::LIST_LEAF.hash(&element.0)
}

fn join(left: Hash, right: Hash) -> Hash {
    Domain::LIST_NODE.hasher().fixed(&left.0).fixed(&right.0).finish()
}

fn bind(top: Hash, length: u64) -> Hash {
    Domain::LIST_ROOT.hasher().fixed(&top.0).number(length).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements(count: u8) -> Vec<Hash> {
        (0..count).map(|i| Hash([i; 32])).collect()
    }

    proptest! {
        #[test]
        fn an_element_is_proved_at_its_place_only(count in 1u8..70, pick: u8, other: u8) {
            let list = elements(count);
            let (index, wrong) = (usize::from(pick % count), usize::from(other % count));
            let top = root(list.iter().copied());
            let proof = prove(list.iter().copied(), index).unwrap();
            prop_assert!(proof.verify(top, list[index]));
            prop_assert_eq!(proof.verify(top, list[wrong]), wrong == index);
            let moved = ListProof { index: wrong as u64, ..proof.clone() };
            prop_assert_eq!(moved.verify(top, list[index]), wrong == index);
            let longer = ListProof { length: proof.length + 1, ..proof };
            prop_assert!(!longer.verify(top, list[index]));
        }
    }

    #[test]
    fn lists_that_repeat_their_last_element_differ() {
        let list = elements(3);
        let repeated = [list.clone(), list[2..].to_vec()].concat();
        assert_ne!(root(list.into_iter()), root(repeated.into_iter()));
        assert_eq!(prove(elements(3).into_iter(), 3), None);
    }
}
