//! The Merkle-sum tree of a claim, against one built by hand.

mod common;

use pocket_types::codec::List;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::RelayDigest;
use pocket_types::sum::{SumError, SumNode, SumProof, SumRoot};
use proptest::prelude::*;

type Leaf = (RelayDigest, u64);

fn digest(n: u64) -> RelayDigest {
    RelayDigest(Domain::custom("sum test").hasher().number(n).finish())
}

fn leaves(weights: &[u64]) -> Vec<Leaf> {
    let mut leaves: Vec<_> =
        weights.iter().zip(0..).map(|(&weight, n)| (digest(n), weight)).collect();
    leaves.sort_unstable();
    leaves
}

/// Hash and sum of a span of leaves: a left half of the largest power of two below the length, and
/// the rest, which is what joining level by level comes to.
fn top(leaves: &[Leaf]) -> ([u8; 32], u64) {
    let hash = |domain: &Domain, parts: &[&[u8]]| {
        *blake3::Hasher::new_derive_key(domain.context())
            .update(&parts.concat())
            .finalize()
            .as_bytes()
    };
    if let [(relay, weight)] = leaves {
        return (hash(&Domain::SUM_LEAF, &[&relay.0.0, &weight.to_le_bytes()]), *weight);
    }
    let (left, right) = leaves.split_at(left_half(leaves.len()));
    let ((left, left_sum), (right, right_sum)) = (top(left), top(right));
    let parts: [&[u8]; 4] = [&left, &left_sum.to_le_bytes(), &right, &right_sum.to_le_bytes()];
    (hash(&Domain::SUM_NODE, &parts), left_sum + right_sum)
}

fn left_half(length: usize) -> usize {
    length.next_power_of_two() / 2
}

fn root(leaves: &[Leaf]) -> SumRoot {
    let (hash, sum) = top(leaves);
    let count = leaves.len() as u64;
    let bound = blake3::Hasher::new_derive_key(Domain::SUM_ROOT.context())
        .update(&[&hash[..], &sum.to_le_bytes(), &count.to_le_bytes()].concat())
        .finalize();
    SumRoot { hash: Hash(*bound.as_bytes()), sum, count }
}

fn siblings(leaves: &[Leaf], index: usize) -> Vec<SumNode> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let half = left_half(leaves.len());
    let (left, right) = leaves.split_at(half);
    let (mut path, other) = match index < half {
        true => (siblings(left, index), top(right)),
        false => (siblings(right, index - half), top(left)),
    };
    path.push(SumNode { hash: Hash(other.0), sum: other.1 });
    path
}

fn prove(leaves: &[Leaf], index: usize) -> SumProof {
    SumProof { index: index as u64, siblings: List::new(siblings(leaves, index)).unwrap() }
}

proptest! {
    #[test]
    fn a_challenge_is_answered_by_the_leaf_that_it_hit_and_no_other(
        weights in proptest::collection::vec(0u64..9, 1..40),
    ) {
        let leaves = leaves(&weights);
        let root = root(&leaves);
        let mut low = 0;
        for (index, &(relay, weight)) in leaves.iter().enumerate() {
            let (proof, high) = (prove(&leaves, index), low + weight);
            for point in 0..=root.sum {
                let verdict = proof.verify(&root, relay, weight, point);
                if (low..high).contains(&point) {
                    prop_assert_eq!(verdict, Ok(()));
                } else {
                    prop_assert_eq!(verdict, Err(SumError::Missed { point, low, high }));
                }
            }
            low = high;
        }
        prop_assert_eq!(low, root.sum);
    }

    #[test]
    fn a_changed_proof_proves_nothing(
        weights in proptest::collection::vec(1u64..9, 2..40),
        place: usize,
        other: usize,
    ) {
        let leaves = leaves(&weights);
        let root = root(&leaves);
        let (place, other) = (place % leaves.len(), other % leaves.len());
        let (relay, weight) = leaves[place];
        let point = leaves[..place].iter().map(|leaf| leaf.1).sum();
        let proof = prove(&leaves, place);
        prop_assert_eq!(proof.verify(&root, relay, weight, point), Ok(()));

        let refused = |proof: &SumProof, root: &SumRoot, relay, weight| {
            let verdict = proof.verify(root, relay, weight, point);
            matches!(verdict, Err(SumError::Root | SumError::Shape { .. } | SumError::Overflow))
        };
        prop_assert!(refused(&proof, &root, relay, weight + 1));
        prop_assert!(refused(&proof, &root, relay, weight - 1));
        prop_assert!(refused(&proof, &root, digest(999), weight));
        if other != place {
            let moved = SumProof { index: other as u64, ..proof.clone() };
            prop_assert!(refused(&moved, &root, relay, weight));
            prop_assert!(refused(&prove(&leaves, other), &root, relay, weight));
        }
        for root in [
            SumRoot { sum: root.sum + 1, ..root },
            SumRoot { count: root.count + 1, ..root },
            SumRoot { count: root.count - 1, ..root },
            SumRoot { hash: Hash([1; 32]), ..root },
        ] {
            prop_assert!(refused(&proof, &root, relay, weight));
        }
        for level in 0..proof.siblings.len() {
            for change in 0..4 {
                let mut siblings = proof.siblings.to_vec();
                match change {
                    0 => siblings[level].sum += 1,
                    1 => siblings[level].hash.0[0] ^= 1,
                    2 => drop(siblings.remove(level)),
                    _ => siblings.insert(level, siblings[level]),
                }
                let siblings = List::new(siblings).unwrap();
                let changed = SumProof { siblings, ..proof.clone() };
                prop_assert!(refused(&changed, &root, relay, weight));
            }
        }
    }
}

/// Where a node's hash leaves out its children's sums, a servicer with one real relay can invent a
/// sibling of any sum: no preimage stands behind it, and the root still adds up. Here the sums are
/// part of what is hashed, so an invented sum is an invented hash.
#[test]
fn an_invented_sibling_with_a_huge_sum_is_refused() {
    let leaves = leaves(&[1, 1, 1, 1]);
    let honest = root(&leaves);
    let (relay, weight) = leaves[0];
    let mut siblings = prove(&leaves, 0).siblings.to_vec();
    siblings[1].sum = 1_000_000;
    let inflated = SumProof { index: 0, siblings: List::new(siblings).unwrap() };
    let claimed = SumRoot { sum: 1_000_002, ..honest };
    assert_eq!(inflated.verify(&claimed, relay, weight, 0), Err(SumError::Root));
    assert_eq!(inflated.verify(&honest, relay, weight, 0), Err(SumError::Root));
}

/// A claim may *commit* to an invented subtree, since nobody sees its leaves. But then the challenge,
/// which picks a point of the sum, hits the invented part as often as it is large, and there is no
/// leaf there to show.
#[test]
fn an_invented_subtree_is_hit_in_proportion_to_its_sum() {
    let (relay, weight) = leaves(&[1])[0];
    let real = SumNode::leaf(relay, weight);
    let invented = SumNode { hash: Hash([0xee; 32]), sum: 999_999 };
    let claim = SumNode::join(&real, &invented).unwrap().root(2);
    let proof = SumProof { index: 0, siblings: List::new(vec![invented]).unwrap() };
    assert_eq!(proof.verify(&claim, relay, weight, 0), Ok(()));
    for point in [1, 2, 500_000, 999_999] {
        let missed = SumError::Missed { point, low: 0, high: 1 };
        assert_eq!(proof.verify(&claim, relay, weight, point), Err(missed));
        // The real relay again, at the invented place: the root says otherwise.
        let moved = SumProof { index: 1, ..proof.clone() };
        assert_eq!(moved.verify(&claim, relay, weight, point), Err(SumError::Root));
    }
}

#[test]
fn sums_that_overflow_are_refused() {
    let (relay, _) = leaves(&[1])[0];
    let huge = SumNode { hash: Hash([1; 32]), sum: u64::MAX };
    assert_eq!(SumNode::join(&huge, &SumNode::leaf(relay, 1)), None);
    let claim = SumRoot { hash: Hash([2; 32]), sum: 0, count: 2 };
    for index in [0, 1] {
        let proof = SumProof { index, siblings: List::new(vec![huge]).unwrap() };
        assert_eq!(proof.verify(&claim, relay, 1, 0), Err(SumError::Overflow));
    }
    let claim = SumRoot { count: 4, ..claim };
    let proof = SumProof { index: 3, siblings: List::new(vec![huge, huge]).unwrap() };
    assert_eq!(proof.verify(&claim, relay, 0, 0), Err(SumError::Overflow));
}

#[test]
fn a_place_beyond_the_count_has_no_proof() {
    let (relay, weight) = leaves(&[1])[0];
    let empty = SumRoot::default();
    let proof = SumProof { index: 0, siblings: List::empty() };
    let refused = SumError::Shape { got: 0, index: 0, count: 0 };
    assert_eq!(proof.verify(&empty, relay, weight, 0), Err(refused));
    let proof = SumProof { index: u64::MAX, siblings: List::empty() };
    let refused = SumError::Shape { got: 0, index: u64::MAX, count: u64::MAX };
    let vast = SumRoot { count: u64::MAX, ..empty };
    assert_eq!(proof.verify(&vast, relay, weight, 0), Err(refused));
}

/// A leaf can't be passed off as a node, nor a tree as another of a different count.
#[test]
fn leaves_nodes_and_roots_are_kept_apart() {
    let leaf = SumNode::leaf(digest(1), 5);
    let node = SumNode::join(&leaf, &leaf).unwrap();
    assert_ne!(leaf.root(1).hash, leaf.hash);
    assert_ne!(node.root(2).hash, node.root(3).hash);
    assert_ne!(SumNode::leaf(digest(1), 6).hash, leaf.hash);
}
