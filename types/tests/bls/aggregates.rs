//! Aggregates and batches accept exactly when every signature in them is valid.

use pocket_types::bls::{
    BlsAggregateError, BlsKeys, BlsPublicKey, BlsSecretKey, BlsSignature, BlsVerifyingKey, verify,
    verify_batch,
};
use pocket_types::hash::Hash;
use proptest::prelude::*;

#[test]
fn sums_are_the_same_by_adding_signers_and_by_subtracting_the_absent() {
    let keys = keys_of(5);
    for subset in 1u32..32 {
        let signers: Vec<_> = (0..5).filter(|n| subset >> n & 1 == 1).collect();
        let alone: Vec<_> = signers.iter().map(|&n| *keys.key(n).unwrap()).collect();
        let all: Vec<_> = (0..signers.len()).collect();
        let sum = keys.sum(&signers).unwrap();
        assert_eq!(sum, BlsKeys::new(alone).unwrap().sum(&all).unwrap(), "{signers:?}");

        let votes: Vec<_> = signers.iter().map(|&n| (n, secret(n).sign(&DIGEST))).collect();
        let aggregate = keys.aggregate(&DIGEST, &votes).unwrap();
        for other in 1u32..32 {
            let claimed: Vec<_> = (0..5).filter(|n| other >> n & 1 == 1).collect();
            let accepted = keys.verify(&claimed, &DIGEST, &aggregate).is_ok();
            assert_eq!(accepted, subset == other, "{signers:?} as {claimed:?}");
        }
    }
}

#[test]
fn an_aggregate_of_one_is_its_signature() {
    let (keys, good) = (keys_of(3), secret(1).sign(&DIGEST));
    assert_eq!(keys.aggregate(&DIGEST, &[(1, good)]), Ok(good));
    assert_eq!(keys.sum(&[1]).as_ref(), Ok(keys.key(1).unwrap()));
}

#[test]
fn one_key_at_two_positions_signs_twice() {
    let twice = BlsKeys::new([1, 2, 1].map(|n| key(secret(n).public_key())).to_vec()).unwrap();
    let votes = [0, 1, 2].map(|n| (n, secret([1, 2, 1][n]).sign(&DIGEST)));
    for votes in [&votes[..], &[votes[0], votes[2]], &votes[..2]] {
        let signers: Vec<_> = votes.iter().map(|(position, _)| *position).collect();
        let aggregate = twice.aggregate(&DIGEST, votes).unwrap();
        assert_eq!(twice.verify(&signers, &DIGEST, &aggregate), Ok(()));
    }
    let aggregate = twice.aggregate(&DIGEST, &votes).unwrap();
    assert!(twice.verify(&[0, 1], &DIGEST, &aggregate).is_err());
}

/// More invalid ones than halving is worth, then all.
#[test]
fn many_bad_signatures_are_all_found() {
    let keys = keys_of(200);
    let good: Vec<_> = (0..200).map(|n| (n, secret(n).sign(&DIGEST))).collect();
    for step in [1, 2, 3, 7, 199] {
        let mut votes = good.clone();
        let bad: Vec<_> = (0..200).step_by(step).collect();
        for &n in &bad {
            votes[n].1 = good[(n + 1) % 200].1;
        }
        let refused = refused(keys.aggregate(&DIGEST, &votes).unwrap_err());
        assert_eq!(refused, bad, "every {step}th");
    }
}

#[derive(Clone, Copy, Debug)]
enum Flaw {
    None,
    OtherKey,
    OtherDigest,
    /// Together they cancel out.
    Shifted(bool),
    Bit(usize),
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        12 => Just(Flaw::None),
        1 => Just(Flaw::OtherKey),
        1 => Just(Flaw::OtherDigest),
        2 => any::<bool>().prop_map(Flaw::Shifted),
        1 => (0usize..768).prop_map(Flaw::Bit),
    ]
}

fn sent(signer: usize, digest: &Hash, flaw: Flaw) -> BlsSignature {
    let mut signature = secret(signer).sign(digest);
    match flaw {
        Flaw::None => {}
        Flaw::OtherKey => signature = secret(signer + 1).sign(digest),
        Flaw::OtherDigest => signature = secret(signer).sign(&Hash([77; 32])),
        Flaw::Shifted(up) => {
            let mut shift = secret(99).sign(digest);
            shift.0[0] ^= if up { 0 } else { 0x20 };
            signature = raw_sum(&signature, &shift);
        }
        Flaw::Bit(bit) => signature.0[bit / 8] ^= 1 << (bit % 8),
    }
    signature
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn aggregating_agrees_with_checking_every_signature(
        flaws in prop::collection::vec(prop::option::of(flaw()), 1..24),
    ) {
        let keys = keys_of(flaws.len());
        let votes: Vec<_> = flaws
            .iter()
            .enumerate()
            .filter_map(|(n, flaw)| Some((n, sent(n, &DIGEST, (*flaw)?))))
            .collect();
        let single = |(n, signature): &(usize, BlsSignature)| {
            let reason = verify(keys.key(*n).unwrap(), &DIGEST, signature).err()?;
            Some((*n, reason))
        };
        let bad: Vec<_> = votes.iter().filter_map(single).collect();
        match keys.aggregate(&DIGEST, &votes) {
            Err(BlsAggregateError::Empty) => prop_assert!(votes.is_empty()),
            Err(error) => {
                prop_assert_eq!(error, BlsAggregateError::Refused(bad.clone()));
                prop_assert!(!bad.is_empty());
            }
            Ok(aggregate) => {
                prop_assert!(bad.is_empty());
                let signers: Vec<_> = votes.iter().map(|(n, _)| *n).collect();
                prop_assert_eq!(keys.verify(&signers, &DIGEST, &aggregate), Ok(()));
                prop_assert!(keys.verify(&signers, &Hash([6; 32]), &aggregate).is_err());
                let all: Vec<_> = (0..keys.len()).collect();
                prop_assert_eq!(keys.verify(&all, &DIGEST, &aggregate).is_ok(), all == signers);
            }
        }
    }

    #[test]
    fn batches_agree_with_single_checks(
        items in prop::collection::vec((0usize..6, 0u8..3, flaw()), 0..12),
    ) {
        let keys: Vec<_> = (0..6).map(|n| key(secret(n).public_key())).collect();
        let items: Vec<_> = items
            .into_iter()
            .map(|(n, digest, flaw)| (&keys[n], Hash([digest; 32]), sent(n, &Hash([digest; 32]), flaw)))
            .collect();
        let checked = items.iter().enumerate().map(|(place, (key, digest, signature))| {
            Some((place, verify(key, digest, signature).err()?))
        });
        let bad: Vec<_> = checked.flatten().collect();
        let expected =
            if bad.is_empty() { Ok(()) } else { Err(BlsAggregateError::Refused(bad)) };
        prop_assert_eq!(verify_batch(&items), expected);
    }
}

#[test]
fn batches_hold_aggregates_and_notice_swapped_ones() {
    let keys = keys_of(6);
    let sums = [&[0, 1, 2, 3][..], &[2, 3, 4, 5], &[5]].map(|signers| keys.sum(signers).unwrap());
    let digests = [1, 2, 3].map(|n| Hash([n; 32]));
    let signed = |signers: &[usize], digest| {
        let votes: Vec<_> = signers.iter().map(|&n| (n, secret(n).sign(digest))).collect();
        keys.aggregate(digest, &votes).unwrap()
    };
    let mut batch = [
        (&sums[0], digests[0], signed(&[0, 1, 2, 3], &digests[0])),
        (&sums[1], digests[1], signed(&[2, 3, 4, 5], &digests[1])),
        (&sums[2], digests[2], signed(&[5], &digests[2])),
    ];
    assert_eq!(verify_batch(&batch), Ok(()));
    // The signatures' sum stays what it was.
    (batch[0].2, batch[1].2) = (batch[1].2, batch[0].2);
    assert_eq!(refused(verify_batch(&batch).unwrap_err()), [0, 1]);
}

const DIGEST: Hash = Hash([5; 32]);

pub(crate) fn secret(number: usize) -> BlsSecretKey {
    BlsSecretKey::from_seed([u8::try_from(number).unwrap(); 32]).unwrap()
}

pub(crate) fn key(key: BlsPublicKey) -> BlsVerifyingKey {
    BlsVerifyingKey::new(key).unwrap()
}

pub(crate) fn keys_of(count: usize) -> BlsKeys {
    BlsKeys::new((0..count).map(|n| key(secret(n).public_key())).collect()).unwrap()
}

fn refused(error: BlsAggregateError) -> Vec<usize> {
    error.refused().iter().map(|(position, _)| *position).collect()
}

fn raw_sum(a: &BlsSignature, b: &BlsSignature) -> BlsSignature {
    use blst::min_pk::{AggregateSignature, Signature};
    let points = [a, b].map(|signature| Signature::uncompress(&signature.0).unwrap());
    let sum = AggregateSignature::aggregate(&[&points[0], &points[1]], false).unwrap();
    BlsSignature(sum.to_signature().compress())
}
