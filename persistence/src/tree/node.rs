//! The sparse Merkle tree of one collection, as shared immutable nodes.

use std::sync::Arc;

use pocket_types::codec::List;
use pocket_types::hash::Hash;
use pocket_types::merkle::{self, EMPTY, Proof, Terminal, bit};

/// A tree; clones share all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(Option<Node>);

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: Hash,
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
    value_hash: Hash,
    hash: Hash,
}

/// At least two leaves, in whatever part below.
#[derive(Debug)]
struct Inner {
    left: Tree,
    right: Tree,
    hash: Hash,
}

/// A new leaf at a path, or none to remove what is there.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) path: Hash,
    pub(crate) leaf: Option<Arc<Leaf>>,
}

/// Hashes computed, the measure of what an edit costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Work {
    pub(crate) leaves: usize,
    pub(crate) inner: usize,
}

impl Leaf {
    pub(crate) fn new(path: Hash, key: &[u8], value: &[u8], work: &mut Work) -> Arc<Self> {
        work.leaves += 1;
        let value_hash = merkle::value_hash(value);
        Arc::new(Self {
            path,
            key: key.into(),
            value: value.into(),
            value_hash,
            hash: merkle::leaf(&path, &value_hash),
        })
    }
}

impl Tree {
    pub(crate) fn root(&self) -> Hash {
        match &self.0 {
            None => EMPTY,
            Some(Node::Leaf(leaf)) => leaf.hash,
            Some(Node::Inner(inner)) => inner.hash,
        }
    }

    pub(crate) fn get(&self, path: &Hash) -> Option<&Leaf> {
        let end = self.descend(path, |_| ());
        end.filter(|leaf| leaf.path == *path)
    }

    pub(crate) fn prove(&self, path: &Hash) -> Proof {
        let mut siblings = Vec::new();
        let end = self.descend(path, |sibling| siblings.push(sibling.root()));
        siblings.reverse();
        let terminal = end.map_or(Terminal::Empty, |leaf| Terminal::Leaf {
            path: leaf.path,
            value_hash: leaf.value_hash,
        });
        Proof { siblings: List::new(siblings).expect("no deeper than a path has bits"), terminal }
    }

    /// The leaf at which a path ends, if any; tells the subtrees beside the path on the way down.
    fn descend(&self, path: &Hash, mut beside: impl FnMut(&Self)) -> Option<&Leaf> {
        let (mut tree, mut depth) = (self, 0);
        loop {
            match &tree.0 {
                None => return None,
                Some(Node::Leaf(leaf)) => return Some(leaf),
                Some(Node::Inner(inner)) => {
                    let (next, sibling) = if bit(path, depth) {
                        (&inner.right, &inner.left)
                    } else {
                        (&inner.left, &inner.right)
                    };
                    beside(sibling);
                    (tree, depth) = (next, depth + 1);
                }
            }
        }
    }

    /// Leaves by increasing path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Leaf> {
        let mut open = vec![self];
        std::iter::from_fn(move || {
            loop {
                match &open.pop()?.0 {
                    None => {}
                    Some(Node::Leaf(leaf)) => return Some(&**leaf),
                    Some(Node::Inner(inner)) => open.extend([&inner.right, &inner.left]),
                }
            }
        })
    }

    /// The tree after edits that come by strictly increasing path.
    pub(crate) fn edited(&self, edits: &[Edit], work: &mut Work) -> Self {
        self.edited_below(0, edits, work)
    }

    fn edited_below(&self, depth: usize, edits: &[Edit], work: &mut Work) -> Self {
        if edits.is_empty() {
            return self.clone();
        }
        let Some(Node::Inner(inner)) = &self.0 else {
            return Self::built(depth, &self.leaves_after(edits), work);
        };
        let (left, right) = edits.split_at(edits.partition_point(|edit| !bit(&edit.path, depth)));
        let left = inner.left.edited_below(depth + 1, left, work);
        let right = inner.right.edited_below(depth + 1, right, work);
        Self::joined(left, right, work)
    }

    /// What the edits leave of a tree that is empty or one leaf, by increasing path.
    fn leaves_after(&self, edits: &[Edit]) -> Vec<Arc<Leaf>> {
        let mut leaves: Vec<_> = edits.iter().filter_map(|edit| edit.leaf.clone()).collect();
        if let Some(Node::Leaf(old)) = &self.0
            && edits.binary_search_by_key(&old.path, |edit| edit.path).is_err()
        {
            leaves.insert(leaves.partition_point(|leaf| leaf.path < old.path), old.clone());
        }
        leaves
    }

    fn built(depth: usize, leaves: &[Arc<Leaf>], work: &mut Work) -> Self {
        match leaves {
            [] => Self(None),
            [leaf] => Self(Some(Node::Leaf(leaf.clone()))),
            _ => {
                let middle = leaves.partition_point(|leaf| !bit(&leaf.path, depth));
                let (left, right) = leaves.split_at(middle);
                let left = Self::built(depth + 1, left, work);
                let right = Self::built(depth + 1, right, work);
                Self::joined(left, right, work)
            }
        }
    }

    /// A lone leaf moves up until it has company; everything else gets a node of its own.
    fn joined(left: Self, right: Self, work: &mut Work) -> Self {
        match (&left.0, &right.0) {
            (None, None | Some(Node::Leaf(_))) => return right,
            (Some(Node::Leaf(_)), None) => return left,
            _ => {}
        }
        work.inner += 1;
        let hash = merkle::inner(&left.root(), &right.root());
        Self(Some(Node::Inner(Arc::new(Inner { left, right, hash }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(numbers: impl Iterator<Item = u32>, value: u8, work: &mut Work) -> Vec<Edit> {
        let mut edits: Vec<Edit> = numbers
            .map(|number| {
                let key = number.to_be_bytes();
                let path = merkle::path(&key);
                Edit { path, leaf: Some(Leaf::new(path, &key, &[value], work)) }
            })
            .collect();
        edits.sort_unstable_by_key(|edit| edit.path);
        edits
    }

    #[test]
    fn a_block_costs_its_changes_times_the_depth_below_what_they_share() {
        let (keys, updates) = (1u32 << 15, 1usize << 8);
        let mut work = Work::default();
        let tree = Tree::default().edited(&put(0..keys, 1, &mut work), &mut Work::default());
        let mut work = Work::default();
        let edits = put((0..keys).step_by(keys as usize / updates), 2, &mut work);
        let edited = tree.edited(&edits, &mut work);
        assert_eq!(work.leaves, updates);
        // Each update has a path of its own below the level at which they part: 15 - 8 levels and,
        // at both ends, the fraction by which random paths are unbalanced.
        assert!(work.inner > updates * 7 && work.inner < updates * 11, "{work:?}");
        let undo = put((0..keys).step_by(keys as usize / updates), 1, &mut work);
        assert_eq!(edited.edited(&undo, &mut work).root(), tree.root());
    }
}
