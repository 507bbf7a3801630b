//! The signature rule: single checks, batches and `ed25519-zebra` agree on everything, above all on
//! what only an attacker would make.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use pocket_types::codec;
use pocket_types::hash::{Domain, Hash};
use pocket_types::key::{KeyError, PublicKey, SecretKey, Signature, VerifyingKey};
use pocket_types::signature::{
    BatchError, KeySet, MAX_TABLES, SignatureError, verify, verify_batch,
};
use proptest::prelude::*;
use sha2::{Digest, Sha512};

/// What somebody sends, and whether the rule's equation holds for it by construction.
#[derive(Clone, Debug)]
struct Sent {
    key: PublicKey,
    digest: Hash,
    signature: Signature,
    valid: bool,
}

/// How a key or an R is made from a scalar.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// In the subgroup of prime order, as honest ones are.
    Prime,
    /// With one of the eight components of small order added.
    Mixed(usize),
    /// Only a component of small order, in one of all its spellings.
    Small(usize),
}

/// What is done to a valid signature.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    None,
    /// S off by one, upwards or downwards: the errors of two such signatures cancel out.
    Above,
    Below,
    /// S + L, the other spelling of the same scalar.
    LargeScalar,
    /// An R that is no point.
    NoPoint,
}

#[test]
fn vectors_of_speccheck() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("vectors/ed25519_speccheck.json")).unwrap();
    let sent: Vec<Sent> = cases["cases"].as_array().unwrap().iter().map(speccheck_case).collect();
    assert_eq!(sent.len(), 12);
    assert_eq!(sent.iter().filter(|sent| sent.valid).count(), 9);
    sent.iter().for_each(agrees_on_one);
    agrees_on_all(&sent);
}

/// The heart of ZIP-215's own test vectors: every small-order key with every small-order R.
#[test]
fn all_spellings_of_small_order() {
    let spellings = small_order_spellings();
    assert_eq!(spellings.len(), 14);
    let mut sent = Vec::new();
    for key in 0..spellings.len() {
        for r in 0..spellings.len() {
            sent.push(craft(Shape::Small(key), Shape::Small(r), 0, 0, Flaw::None));
        }
    }
    assert!(sent.iter().all(|sent| sent.valid && sent.signature.0[32..] == [0; 32]));
    sent.iter().for_each(agrees_on_one);
    agrees_on_all(&sent);
}

#[test]
fn keys_for_which_anybody_can_sign_stay_out_of_state() {
    for spelling in small_order_spellings() {
        let key = PublicKey(spelling);
        assert!(VerifyingKey::new(key).is_ok());
        assert!(key.validate().is_err(), "{key}");
    }
    for index in 1..8 {
        let sent = craft(Shape::Mixed(index), Shape::Prime, 1, 1, Flaw::None);
        assert_eq!(sent.key.validate(), Err(KeyError::Torsion(sent.key)));
    }
    // The largest y values, which no longer fit below p.
    for low in 0xed..=0xff {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        assert!(PublicKey(bytes).validate().is_err());
    }
}

#[test]
fn errors_that_cancel_out_are_both_found() {
    let mut sent: Vec<Sent> =
        (0..4).map(|nonce| craft(Shape::Prime, Shape::Prime, 1, nonce, Flaw::None)).collect();
    sent[1] = craft(Shape::Prime, Shape::Prime, 1, 1, Flaw::Above);
    sent[3] = craft(Shape::Prime, Shape::Prime, 1, 3, Flaw::Below);
    agrees_on_all(&sent);
    // Torsion that would cancel in a batch without the factor 8, and doesn't need to.
    sent[1] = craft(Shape::Mixed(1), Shape::Prime, 1, 1, Flaw::None);
    sent[3] = craft(Shape::Mixed(7), Shape::Prime, 1, 3, Flaw::None);
    agrees_on_all(&sent);
}

/// Above 190 points the multiplication underneath changes its algorithm.
#[test]
fn large_batches_with_and_without_repeated_keys() {
    for keys in [1, 7, 250] {
        let mut sent: Vec<Sent> = (0..250)
            .map(|n| {
                craft(Shape::Prime, Shape::Mixed(n % 8), n as u64 % keys, n as u64, Flaw::None)
            })
            .collect();
        agrees_on_all(&sent);
        sent[0] = craft(Shape::Prime, Shape::Prime, 0, 0, Flaw::Above);
        sent[100] = craft(Shape::Small(3), Shape::Prime, 0, 0, Flaw::LargeScalar);
        sent[249] = craft(Shape::Prime, Shape::Prime, 249 % keys, 249, Flaw::NoPoint);
        agrees_on_all(&sent);
    }
}

#[test]
fn batches_name_what_is_wrong_with_each() {
    let good = craft(Shape::Prime, Shape::Prime, 1, 1, Flaw::None);
    let off = craft(Shape::Prime, Shape::Prime, 1, 2, Flaw::Above);
    let large = craft(Shape::Prime, Shape::Prime, 1, 3, Flaw::LargeScalar);
    let no_point = craft(Shape::Prime, Shape::Prime, 1, 4, Flaw::NoPoint);
    let error = batch(&[no_point.clone(), good.clone(), large.clone(), off.clone()]).unwrap_err();
    let expected = [
        (0, SignatureError::PointNotOnCurve(no_point.signature)),
        (2, SignatureError::ScalarTooLarge(large.signature)),
        (3, SignatureError::Mismatch { key: off.key, signature: off.signature }),
    ];
    assert_eq!(error.refused(), expected);
    assert!(error.to_string().starts_with("3 of 4 signatures refused, the first at 0: the R of"));

    // Malformed signatures don't drag the others down, and an empty batch has nothing to refuse.
    assert_eq!(batch(&[large, good]).unwrap_err().indices().collect::<Vec<_>>(), [0]);
    assert_eq!(batch(&[]), Ok(()));
}

#[test]
fn nobody_has_signed_from_beyond_the_set() {
    let good = craft(Shape::Prime, Shape::Prime, 1, 1, Flaw::None);
    let set = KeySet::new(vec![VerifyingKey::new(good.key).unwrap()]);
    let at = |position| (position, good.digest, good.signature);
    assert_eq!(set.verify_batch(&[at(0), at(0)]), Ok(()));
    let error = set.verify_batch(&[at(1), at(0), at(usize::MAX)]).unwrap_err();
    let expected = [(0, SignatureError::NoKey(1)), (2, SignatureError::NoKey(usize::MAX))];
    assert_eq!(error.refused(), expected);
    assert_eq!(KeySet::new(vec![]).verify_batch(&[]), Ok(()));
}

#[test]
fn signatures_belong_to_one_key_and_one_digest() {
    let secret = SecretKey::from_seed([1; 32]);
    let digest = Domain::custom("vote").hash(b"block");
    let signature = secret.sign(&digest);
    let check = |secret: &SecretKey, digest: &Hash| {
        verify(&VerifyingKey::new(secret.public_key()).unwrap(), digest, &signature).is_ok()
    };
    assert!(check(&secret, &digest));
    assert!(!check(&SecretKey::from_seed([2; 32]), &digest));
    assert!(!check(&secret, &Domain::custom("proposal").hash(b"block")));
}

#[test]
fn bytes_on_the_wire_and_hex_in_json() {
    let secret = SecretKey::from_seed([1; 32]);
    let (key, signature) = (secret.public_key(), secret.sign(&Hash::ZERO));
    assert_eq!(codec::encode(&key), key.0);
    assert_eq!(codec::encode(&signature), signature.0);
    assert_eq!(codec::decode_within(&signature.0, 64), Ok(signature));
    assert!(codec::decode_within::<Signature>(&signature.0[1..], 64).is_err());
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{key}\""));
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    assert!(serde_json::from_str::<Signature>(&json.to_uppercase()).is_err());
}

proptest! {
    #[test]
    fn signing_is_rfc_8032(seed: [u8; 32], digest: [u8; 32]) {
        let (ours, zebra) = (SecretKey::from_seed(seed), ed25519_zebra::SigningKey::from(seed));
        let key: [u8; 32] = ed25519_zebra::VerificationKey::from(&zebra).into();
        prop_assert_eq!(ours.public_key(), PublicKey(key));
        prop_assert_eq!(ours.public_key().validate(), Ok(()));
        let signature = ours.sign(&Hash(digest));
        prop_assert_eq!(signature, Signature(zebra.sign(&digest).to_bytes()));
        let key = VerifyingKey::new(ours.public_key()).unwrap();
        prop_assert_eq!(verify(&key, &Hash(digest), &signature), Ok(()));
    }

    #[test]
    fn batches_accept_exactly_what_single_checks_accept(
        sent in prop::collection::vec(sent(), 0..12),
    ) {
        sent.iter().for_each(agrees_on_one);
        agrees_on_all(&sent);
    }

    #[test]
    fn any_changed_bit_is_found(sent in sent(), byte in 0usize..64, bit in 0u8..8) {
        let mut changed = sent.clone();
        changed.signature.0[byte] ^= 1 << bit;
        // Keys of small order accept what they should; what counts is that everybody agrees.
        changed.valid = single(&changed).is_ok();
        if sent.key.validate().is_ok() && sent.valid {
            prop_assert!(!changed.valid);
        }
        agrees_on_one(&changed);
        agrees_on_all(&[sent, changed]);
    }

    #[test]
    fn arbitrary_bytes_are_treated_alike(
        key: [u8; 32], digest: [u8; 32], r: [u8; 32], s: [u8; 32],
    ) {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        let sent = Sent {
            key: PublicKey(key),
            digest: Hash(digest),
            signature: Signature(bytes),
            valid: false,
        };
        match VerifyingKey::new(sent.key) {
            Ok(_) => agrees_on_one(&sent),
            Err(error) => prop_assert_eq!(error, KeyError::NotOnCurve(sent.key)),
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    // Few keys, so that batches repeat them.
    (shape(), shape(), 0u64..3, any::<u64>(), flaw())
        .prop_map(|(key, r, secret, nonce, flaw)| craft(key, r, secret, nonce, flaw))
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => Just(Shape::Prime),
        1 => (0usize..8).prop_map(Shape::Mixed),
        1 => (0usize..14).prop_map(Shape::Small),
    ]
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        6 => Just(Flaw::None),
        1 => Just(Flaw::Above),
        1 => Just(Flaw::Below),
        1 => Just(Flaw::LargeScalar),
        1 => Just(Flaw::NoPoint),
    ]
}

/// A signature whose equation holds, by somebody who chooses key and R freely; then the flaw.
fn craft(key: Shape, r: Shape, secret: u64, nonce: u64, flaw: Flaw) -> Sent {
    let (a, key) = shaped(key, secret + 1);
    let (r, mut r_bytes) = shaped(r, nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    if matches!(flaw, Flaw::NoPoint) {
        r_bytes = [0; 32];
        r_bytes[0] = 2;
    }
    let digest = Domain::custom("test").hash(&nonce.to_le_bytes());
    let k = Scalar::from_hash(
        Sha512::new().chain_update(r_bytes).chain_update(key).chain_update(digest.as_bytes()),
    );
    let s = r + k * a;
    let s = match flaw {
        Flaw::None | Flaw::NoPoint => s.to_bytes(),
        Flaw::Above => (s + Scalar::ONE).to_bytes(),
        Flaw::Below => (s - Scalar::ONE).to_bytes(),
        Flaw::LargeScalar => plus_order(s.to_bytes()),
    };
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r_bytes);
    signature[32..].copy_from_slice(&s);
    Sent {
        key: PublicKey(key),
        digest,
        signature: Signature(signature),
        valid: matches!(flaw, Flaw::None),
    }
}

/// The part of a point that counts after multiplying by 8, and the point's bytes.
fn shaped(shape: Shape, number: u64) -> (Scalar, [u8; 32]) {
    let scalar = Scalar::from_hash(Sha512::new().chain_update(number.to_le_bytes()));
    let point = EdwardsPoint::mul_base(&scalar);
    match shape {
        Shape::Prime => (scalar, point.compress().to_bytes()),
        Shape::Mixed(index) => (scalar, (point + EIGHT_TORSION[index]).compress().to_bytes()),
        Shape::Small(index) => (Scalar::ZERO, small_order_spellings()[index]),
    }
}

/// Every string that decodes to a point of small order: y or y + p, either sign.
fn small_order_spellings() -> Vec<[u8; 32]> {
    let mut spellings = Vec::new();
    for point in EIGHT_TORSION {
        let mut canonical = point.compress().to_bytes();
        canonical[31] &= 0x7f;
        spellings.push(canonical);
        // Only y = 0 and y = 1 leave room for p below 2^255.
        if canonical[0] <= 1 && canonical[1..] == [0; 31] {
            let mut plus_p = [0xff; 32];
            (plus_p[0], plus_p[31]) = (0xed + canonical[0], 0x7f);
            spellings.push(plus_p);
        }
    }
    for index in 0..spellings.len() {
        let mut negative = spellings[index];
        negative[31] |= 0x80;
        spellings.push(negative);
    }
    spellings.sort_unstable();
    spellings.dedup();
    for spelling in &spellings {
        let point = CompressedEdwardsY(*spelling).decompress().unwrap();
        assert!(point.mul_by_cofactor().is_identity());
    }
    spellings
}

/// s + L as 256-bit numbers.
fn plus_order(mut s: [u8; 32]) -> [u8; 32] {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let mut carry = 0;
    for (byte, add) in s.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    s
}

fn speccheck_case(case: &serde_json::Value) -> Sent {
    fn bytes<const N: usize>(field: &serde_json::Value) -> [u8; N] {
        hex::decode(field.as_str().unwrap()).unwrap().try_into().unwrap()
    }
    Sent {
        key: PublicKey(bytes(&case["pub_key"])),
        digest: Hash(bytes(&case["msg"])),
        signature: Signature(bytes(&case["sig"])),
        valid: case["results"]["zebra5.verify"].as_bool().unwrap(),
    }
}

/// A single check, a batch of one, a batch of two alike, and zebra.
fn agrees_on_one(sent: &Sent) {
    let zebra = ed25519_zebra::VerificationKey::try_from(sent.key.0).unwrap();
    let zebra_signature = ed25519_zebra::Signature::from_bytes(&sent.signature.0);
    let zebra = zebra.verify(&zebra_signature, sent.digest.as_bytes());
    assert_eq!(zebra.is_ok(), sent.valid, "zebra, {sent:?}");
    assert_eq!(single(sent).is_ok(), sent.valid, "single, {sent:?}");
    assert_eq!(batch(std::slice::from_ref(sent)).is_ok(), sent.valid, "batch, {sent:?}");
    assert_eq!(batch(&[sent.clone(), sent.clone()]).is_ok(), sent.valid, "twice, {sent:?}");
}

/// The batch refuses exactly the invalid ones, for the same reason, in either order.
fn agrees_on_all(sent: &[Sent]) {
    let mut sent = sent.to_vec();
    for _ in 0..2 {
        let expected: Vec<_> = (0..).zip(&sent).filter_map(reason).collect();
        let refused = batch(&sent).err().map_or(Vec::new(), |error| error.refused().to_vec());
        assert_eq!(refused, expected);
        let invalid: Vec<usize> =
            (0..).zip(&sent).filter(|(_, sent)| !sent.valid).map(|(index, _)| index).collect();
        assert_eq!(refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), invalid);
        sent.reverse();
    }
}

fn reason((index, sent): (usize, &Sent)) -> Option<(usize, SignatureError)> {
    single(sent).err().map(|reason| (index, reason))
}

fn single(sent: &Sent) -> Result<(), SignatureError> {
    verify(&VerifyingKey::new(sent.key).unwrap(), &sent.digest, &sent.signature)
}

/// The verdict of a batch, which must be the same in a set that holds each key once and a stranger's, with
/// tables where it is small enough, and in one too large for them.
fn batch(sent: &[Sent]) -> Result<(), BatchError> {
    let keys: Vec<VerifyingKey> =
        sent.iter().map(|sent| VerifyingKey::new(sent.key).unwrap()).collect();
    let items: Vec<_> =
        keys.iter().zip(sent).map(|(key, sent)| (key, sent.digest, sent.signature)).collect();
    let verdict = verify_batch(&items);
    let mut members = vec![VerifyingKey::new(SecretKey::from_seed([99; 32]).public_key()).unwrap()];
    for key in &keys {
        if !members.contains(key) {
            members.push(*key);
        }
    }
    let position = |key| members.iter().position(|member| member == key).unwrap();
    let items: Vec<_> = keys
        .iter()
        .zip(sent)
        .map(|(key, sent)| (position(key), sent.digest, sent.signature))
        .collect();
    assert_eq!(KeySet::new(members.clone()).verify_batch(&items), verdict);
    members.resize(members.len() + MAX_TABLES, members[0]);
    assert_eq!(KeySet::new(members).verify_batch(&items), verdict);
    verdict
}
