//! Proofs against a plain, recursive sparse Merkle tree: they show what the tree holds, and no
//! accepted proof shows anything else.

mod common;

use common::tree::{Tree, plain};
use pocket_types::codec::{Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::merkle::{
    EMPTY, MAX_DEPTH, Proof, ProofError, ProvenState, ProvenValue, Terminal,
};
use pocket_types::state::{Collection, StateRead};
use proptest::prelude::*;

fn entries(size: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..size).map(|n| (n.to_le_bytes().to_vec(), format!("value {n}").into_bytes())).collect()
}

fn tree(entries: &[(Vec<u8>, Vec<u8>)]) -> Tree {
    Tree::of(entries.iter().map(|(key, value)| (&key[..], &value[..])))
}

#[test]
fn the_empty_tree_holds_nothing() {
    let proof = Proof { siblings: List::empty(), terminal: Terminal::Empty };
    assert_eq!(Tree::default().prove(b"key"), proof);
    assert_eq!(proof.verify_absent(&EMPTY, b"key"), Ok(()));
    assert_eq!(proof.verify_value(&EMPTY, b"key", b""), Err(ProofError::Absent));
    let root = Tree::of([(&b"key"[..], &b"value"[..])]).root();
    let refused = ProofError::Root { got: EMPTY, expected: root };
    assert_eq!(proof.verify_absent(&root, b"key"), Err(refused));
}

#[test]
fn a_lone_leaf_is_the_root_and_proves_the_absence_of_everything_else() {
    let tree = Tree::of([(&b"key"[..], &b"value"[..])]);
    let proof = tree.prove(b"key");
    assert!(proof.siblings.is_empty());
    assert_eq!(proof.verify_value(&tree.root(), b"key", b"value"), Ok(()));
    assert_eq!(proof.verify_absent(&tree.root(), b"other"), Ok(()));
    assert_eq!(proof.verify_absent(&tree.root(), b"key"), Err(ProofError::Present));
    assert_eq!(proof.verify_value(&tree.root(), b"key", b"other"), Err(ProofError::Value));
}

#[test]
fn an_empty_value_is_not_an_absent_one() {
    let tree = Tree::of([(&b"key"[..], &b""[..])]);
    assert_eq!(tree.prove(b"key").verify_value(&tree.root(), b"key", b""), Ok(()));
    assert_ne!(tree.root(), EMPTY);
}

#[test]
fn a_leaf_elsewhere_says_nothing_about_a_key() {
    let entries = entries(64);
    let tree = tree(&entries);
    let deep = entries.iter().map(|(key, _)| key).filter(|key| tree.prove(key).siblings.len() > 3);
    for key in deep {
        let (proof, other) = (tree.prove(key), b"elsewhere");
        let first = plain(&[other]).0[0] ^ plain(&[key]).0[0];
        let expected = if first.leading_zeros() < 3 { Err(ProofError::OffPath) } else { continue };
        assert_eq!(proof.verify(&tree.root(), other), expected);
    }
}

/// A leaf off the key's path is refused for that reason at every level, and never beyond the proof's
/// depth, where leaves of a tree do differ.
#[test]
fn a_leaf_must_begin_as_the_key_s_path_does() {
    let root = Hash([9; 32]);
    for depth in [1, 2, 7, 8, 9, 255, 256] {
        for level in 0..256 {
            let mut path = plain(&[b"key"]);
            path.0[level / 8] ^= 0x80 >> (level % 8);
            let terminal = Terminal::Leaf { path, value_hash: Hash([1; 32]) };
            let siblings = List::new(vec![Hash([2; 32]); depth]).unwrap();
            let refused = Proof { siblings, terminal }.verify(&root, b"key").unwrap_err();
            assert_eq!(refused == ProofError::OffPath, level < depth, "{level} of {depth}");
        }
    }
}

#[test]
fn a_proof_has_the_tree_s_only_shape() {
    // A lone leaf pushed down one level, with the empty sibling that no tree has there.
    let tree = Tree::of([(&b"key"[..], &b"value"[..])]);
    let mut proof = tree.prove(b"key");
    proof.siblings = List::new(vec![EMPTY]).unwrap();
    assert_eq!(proof.verify(&tree.root(), b"key"), Err(ProofError::Shape));
    let empty = Proof { siblings: List::new(vec![EMPTY]).unwrap(), terminal: Terminal::Empty };
    assert_eq!(empty.verify(&EMPTY, b"key"), Err(ProofError::Shape));
}

#[test]
fn a_proof_of_full_depth_is_read_to_the_end() {
    let siblings = List::new(vec![Hash([1; 32]); MAX_DEPTH]).unwrap();
    for terminal in [
        Terminal::Empty,
        Terminal::Leaf { path: Hash([0; 32]), value_hash: Hash([1; 32]) },
        Terminal::Leaf { path: plain(&[b"key"]), value_hash: Hash([1; 32]) },
    ] {
        let proof = Proof { siblings: siblings.clone(), terminal };
        assert!(proof.verify(&Hash([9; 32]), b"key").is_err());
    }
    assert!(List::<Hash, MAX_DEPTH>::new(vec![EMPTY; MAX_DEPTH + 1]).is_err());
}

/// Every small change of a proof; many are nonsense, some would be lies.
fn mutations(proof: &Proof, other: &Proof) -> Vec<Proof> {
    let siblings = proof.siblings.to_vec();
    let with = |siblings: Vec<Hash>| {
        List::new(siblings).ok().map(|siblings| Proof { siblings, ..proof.clone() })
    };
    let mut mutated = Vec::new();
    for place in 0..siblings.len() {
        let mut changed = siblings.clone();
        changed[place].0[place % 32] ^= 1;
        mutated.extend(with(changed));
        let mut changed = siblings.clone();
        changed[place] = EMPTY;
        mutated.extend(with(changed));
        let mut changed = siblings.clone();
        changed.remove(place);
        mutated.extend(with(changed));
        let mut changed = siblings.clone();
        changed.insert(place, changed[place]);
        mutated.extend(with(changed));
        let mut changed = siblings.clone();
        changed.swap(place, siblings.len() / 2);
        mutated.extend(with(changed));
        mutated.extend(with(siblings[place..].to_vec()));
        mutated.extend(with(siblings[..place].to_vec()));
    }
    let longer = |extra| [&siblings[..], &[extra]].concat();
    let deeper = |extra| [&[extra][..], &siblings].concat();
    for extra in [EMPTY, Hash([7; 32])] {
        mutated.extend(with(longer(extra)));
        mutated.extend(with(deeper(extra)));
    }
    mutated.extend(with(siblings.iter().rev().copied().collect()));
    mutated.extend(with(other.siblings.to_vec()));
    let mut terminals = vec![Terminal::Empty, other.terminal];
    if let Terminal::Leaf { path, value_hash } = proof.terminal {
        let flip = |hash: Hash, bit: usize| {
            let mut hash = hash;
            hash.0[bit / 8] ^= 0x80 >> (bit % 8);
            hash
        };
        terminals.extend(
            [0, 1, 3, 250, 255].map(|bit| Terminal::Leaf { path: flip(path, bit), value_hash }),
        );
        terminals.push(Terminal::Leaf { path, value_hash: flip(value_hash, 5) });
        terminals.push(Terminal::Leaf { path: value_hash, value_hash: path });
        // An inner node's halves in the place of a leaf's.
        if let [left, right, ..] = proof.siblings[..] {
            terminals.push(Terminal::Leaf { path: left, value_hash: right });
        }
    }
    mutated.extend(terminals.into_iter().map(|terminal| Proof { terminal, ..proof.clone() }));
    mutated
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn proofs_show_what_the_tree_holds(size in 0u16..90, asked: u16) {
        let entries = entries(size);
        let tree = tree(&entries);
        let root = tree.root();
        for (key, value) in &entries {
            prop_assert_eq!(tree.prove(key).verify_value(&root, key, value), Ok(()));
            prop_assert_eq!(tree.prove(key).verify_absent(&root, key), Err(ProofError::Present));
        }
        let absent = [&asked.to_le_bytes()[..], b"absent"].concat();
        prop_assert_eq!(tree.prove(&absent).verify_absent(&root, &absent), Ok(()));
        let refused = tree.prove(&absent).verify_value(&root, &absent, b"value");
        prop_assert_eq!(refused, Err(ProofError::Absent));
    }

    #[test]
    fn no_changed_proof_shows_a_falsehood(size in 1u16..60, place: u16, other: u16) {
        let entries = entries(size);
        let tree = tree(&entries);
        let root = tree.root();
        let absent = [&place.to_le_bytes()[..], b"absent"].concat();
        let keys = [&entries[usize::from(place % size)].0, &entries[usize::from(other % size)].0, &absent];
        for key in keys {
            let truth = entries.iter().find(|(held, _)| held == key).map(|(_, value)| plain(&[value]));
            for other in keys {
                for changed in mutations(&tree.prove(key), &tree.prove(other)) {
                    if let Ok(shown) = changed.verify(&root, key) {
                        prop_assert_eq!(shown, truth, "{:?}", changed);
                    }
                }
            }
        }
    }

    /// The root depends on the content, not on the way to it, and differs for every content.
    #[test]
    fn a_root_is_its_content(size in 1u16..40, changed: u16) {
        let mut entries = entries(size);
        let root = tree(&entries).root();
        let changed = usize::from(changed % size);
        entries[changed].1.push(b'!');
        prop_assert_ne!(tree(&entries).root(), root);
        entries.remove(changed);
        prop_assert_ne!(tree(&entries).root(), root);
    }
}

const ACCOUNTS: Collection = Collection::new("accounts");
const POOLS: Collection = Collection::new("pools");

/// A state of two collections, and what a full node would answer about it.
struct State {
    accounts: Tree,
    names: Tree,
    values: Vec<(Vec<u8>, Vec<u8>)>,
}

impl State {
    fn new() -> Self {
        let values = entries(20);
        let accounts = tree(&values);
        let root = accounts.root().0;
        let names = Tree::of([(&b"accounts"[..], &root[..]), (b"params", &[3; 32])]);
        Self { accounts, names, values }
    }

    fn prove(&self, collection: Collection, key: &[u8]) -> ProvenValue {
        let exists = collection == ACCOUNTS;
        let value = self.values.iter().find(|(held, _)| exists && held == key);
        ProvenValue {
            collection,
            key: Bytes::new(key).unwrap(),
            value: value.map(|(_, value)| Bytes::new(&value[..]).unwrap()),
            collection_root: if exists { self.accounts.root() } else { EMPTY },
            in_collection: exists.then(|| self.accounts.prove(key)),
            in_state: self.names.prove(collection.as_str().as_bytes()),
        }
    }
}

#[test]
fn a_value_is_proved_through_its_collection() {
    let state = State::new();
    let root = state.names.root();
    let (key, value) = &state.values[3];
    let present = state.prove(ACCOUNTS, key);
    let absent = state.prove(ACCOUNTS, b"nobody");
    let empty = state.prove(POOLS, b"nobody");
    for proven in [&present, &absent, &empty] {
        assert_eq!(proven.verify(&root), Ok(()));
        assert!(proven.verify(&EMPTY).is_err());
    }
    let proven = ProvenState::new(&root, vec![present, absent, empty]).unwrap();
    assert_eq!(proven.get(ACCOUNTS, key), Ok(Some(value.clone())));
    assert_eq!(proven.get(ACCOUNTS, b"nobody"), Ok(None));
    assert_eq!(proven.get(POOLS, b"nobody"), Ok(None));
    let unproved = proven.get(POOLS, key).unwrap_err();
    assert_eq!((unproved.collection, &unproved.key), (POOLS, key), "unproved is not absent");
}

#[test]
fn a_proven_value_can_not_be_bent() {
    let state = State::new();
    let root = state.names.root();
    let (key, _) = &state.values[3];
    let (present, absent) = (state.prove(ACCOUNTS, key), state.prove(ACCOUNTS, b"nobody"));
    let empty = state.prove(POOLS, b"nobody");
    fn bytes<const MAX: usize>(bytes: &[u8]) -> Bytes<MAX> {
        Bytes::new(bytes).unwrap()
    }
    let none = Proof { siblings: List::empty(), terminal: Terminal::Empty };
    let bent = [
        ProvenValue { value: None, ..present.clone() },
        ProvenValue { value: Some(bytes(b"more")), ..present.clone() },
        ProvenValue { key: bytes(&state.values[4].0), ..present.clone() },
        ProvenValue { collection: POOLS, ..present.clone() },
        ProvenValue { collection_root: state.names.root(), ..present.clone() },
        ProvenValue { in_collection: None, ..present.clone() },
        ProvenValue { in_collection: None, value: None, ..present.clone() },
        ProvenValue { in_collection: None, value: None, collection_root: EMPTY, ..present.clone() },
        ProvenValue {
            in_collection: Some(none),
            value: None,
            collection_root: EMPTY,
            ..present.clone()
        },
        ProvenValue { in_state: empty.in_state.clone(), ..present.clone() },
        ProvenValue { value: Some(bytes(b"gift")), ..absent.clone() },
        ProvenValue { in_collection: present.in_collection.clone(), ..absent },
        ProvenValue { value: Some(bytes(b"gift")), ..empty.clone() },
        ProvenValue { collection_root: Hash([1; 32]), ..empty.clone() },
        ProvenValue { collection: ACCOUNTS, key: bytes(key), ..empty },
    ];
    for (index, bent) in bent.into_iter().enumerate() {
        assert!(bent.verify(&root).is_err(), "{index}: {bent:?}");
        assert!(ProvenState::new(&root, vec![present.clone(), bent]).is_err());
    }
}
