//! Vectors of the Ethereum project and of the draft's key generation; `source` in the file says where
//! they come from.

use blst::min_pk::SecretKey;
use pocket_types::bls::{
    BlsKeyError, BlsKeys, BlsPublicKey, BlsSecretKey, BlsSignature, BlsSignatureError,
    BlsVerifyingKey, verify,
};
use pocket_types::hash::Hash;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn keys_are_generated_as_the_draft_does() {
    for case in cases("keygen") {
        let secret = scalar(&case["secret"]);
        let key = BlsSecretKey::from_seed(parse::<Hash>(&case["seed"]).0).unwrap().public_key();
        assert_eq!(key, BlsPublicKey(secret.sk_to_pk().compress()), "{case}");
    }
}

#[test]
fn signatures_are_as_published() {
    let suite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    for case in cases("sign") {
        let message: Hash = parse(&case["message"]);
        let signature: BlsSignature = parse(&case["signature"]);
        let raw = scalar(&case["privkey"]).sign(message.as_bytes(), suite, &[]);
        assert_eq!(raw.compress(), signature.0);
        // A key has one signature for a message: whoever accepts it makes it.
        let key = BlsVerifyingKey::new(parse(&case["pubkey"])).unwrap();
        assert_eq!(verify(&key, &message, &signature), Ok(()));
    }
}

#[test]
fn what_is_published_as_valid_verifies_and_nothing_else() {
    for case in cases("verify") {
        let keys: Vec<BlsPublicKey> = parse(&case["pubkeys"]);
        let (message, signature) = (parse(&case["message"]), parse(&case["signature"]));
        assert_eq!(verifies(&keys, &message, &signature), case["output"] == true, "{case}");
    }
}

fn verifies(keys: &[BlsPublicKey], message: &Hash, signature: &BlsSignature) -> bool {
    let keys: Result<Vec<_>, _> = keys.iter().map(|&key| BlsVerifyingKey::new(key)).collect();
    keys.is_ok_and(|keys| {
        let signers: Vec<_> = (0..keys.len()).collect();
        BlsKeys::new(keys).is_ok_and(|keys| keys.verify(&signers, message, signature).is_ok())
    })
}

#[test]
fn aggregates_are_as_published() {
    for case in cases("aggregate") {
        let keys: Vec<BlsPublicKey> = parse(&case["pubkeys"]);
        let keys = keys.into_iter().map(|key| BlsVerifyingKey::new(key).unwrap());
        let signatures: Vec<BlsSignature> = parse(&case["signatures"]);
        let votes: Vec<_> = signatures.into_iter().enumerate().collect();
        let keys = BlsKeys::new(keys.collect()).unwrap();
        let aggregate = keys.aggregate(&parse(&case["message"]), &votes);
        assert_eq!(aggregate, Ok(parse(&case["output"])));
    }
}

#[test]
fn malformed_keys_have_a_name_each() {
    for case in cases("deserialization_G1") {
        let key: BlsPublicKey = parse(&case["input"]);
        let refused = BlsVerifyingKey::new(key).err();
        let expected = match case["name"].as_str().unwrap() {
            "correct_point" => None,
            "infinity" => Some(BlsKeyError::Identity(key)),
            "not_in_G1" => Some(BlsKeyError::Subgroup(key)),
            // x = 0 belongs to points of order three.
            "infinity_with_false_b_flag" => Some(BlsKeyError::Subgroup(key)),
            "not_in_curve" => Some(BlsKeyError::NotOnCurve(key)),
            _ => Some(BlsKeyError::Encoding(key)),
        };
        assert_eq!(refused, expected, "{case}");
    }
}

#[test]
fn malformed_signatures_have_a_name_each() {
    let secret = BlsSecretKey::from_seed([1; 32]).unwrap();
    let key = BlsVerifyingKey::new(secret.public_key()).unwrap();
    for case in cases("deserialization_G2") {
        let signature: BlsSignature = parse(&case["input"]);
        let refused = verify(&key, &Hash([1; 32]), &signature).unwrap_err();
        let expected = match case["name"].as_str().unwrap() {
            "correct_point" => BlsSignatureError::Mismatch(key.public_key()),
            "infinity" => BlsSignatureError::Identity(signature),
            "not_in_G2" => BlsSignatureError::Subgroup(signature),
            "not_in_curve" | "infinity_with_false_b_flag" => {
                BlsSignatureError::NotOnCurve(signature)
            }
            _ => BlsSignatureError::Encoding(signature),
        };
        assert_eq!(refused, expected, "{case}");
    }
}

pub(crate) fn outside_g2() -> BlsSignature {
    let outside = cases("deserialization_G2").into_iter().find(|case| case["name"] == "not_in_G2");
    parse(&outside.unwrap()["input"])
}

fn scalar(value: &Value) -> SecretKey {
    SecretKey::from_bytes(&parse::<Hash>(value).0).unwrap()
}

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../vectors/bls12_381.json")).unwrap();
    let cases = file[name].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}
