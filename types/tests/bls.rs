//! BLS signatures: the published vectors, what attackers make of them, and what is left without the
//! feature `bls`.

use std::env;

use common::electorate;
use pocket_types::bls::{BlsPublicKey, BlsSignature, ProofOfPossession};
use pocket_types::codec;
use pocket_types::scheme::Scheme;
use pocket_types::validator::{Electorate, ValidatorSetError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

mod common;

#[cfg(feature = "bls")]
#[path = "bls/aggregates.rs"]
mod aggregates;
#[cfg(feature = "bls")]
#[path = "bls/attacks.rs"]
mod attacks;
#[cfg(feature = "bls")]
#[path = "bls/vectors.rs"]
mod vectors;

/// A change of the file is a change of the protocol. To make one on purpose, run
/// `POCKET_GOLDEN=write cargo test -p pocket-types --features bls --test bls` and commit it.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/bls_encodings.json");

#[test]
fn encodings_are_as_pinned_with_and_without_the_curve() {
    #[cfg(feature = "bls")]
    if env::var("POCKET_GOLDEN").is_ok() {
        std::fs::write(GOLDEN, serde_json::to_string_pretty(&made()).unwrap() + "\n").unwrap();
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
    #[cfg(feature = "bls")]
    assert_eq!(made(), golden);

    pinned::<BlsPublicKey, 48>(&golden["public_key"], |key| key.0);
    pinned::<BlsSignature, 96>(&golden["signature"], |signature| signature.0);
    pinned::<BlsSignature, 96>(&golden["aggregate"], |signature| signature.0);
    pinned::<ProofOfPossession, 96>(&golden["proof_of_possession"], |proof| proof.0);
}

/// On the wire the bytes as they are, in JSON their lower-case hex; nothing else decodes.
fn pinned<T: Serialize + DeserializeOwned, const N: usize>(
    golden: &Value,
    bytes: fn(T) -> [u8; N],
) {
    let hex = golden.as_str().unwrap();
    let raw: [u8; N] = hex::decode(hex).unwrap().try_into().unwrap();
    let value: T = codec::decode_within(&raw, N).unwrap();
    assert_eq!(codec::encode(&value), raw);
    assert_eq!(&serde_json::to_value(&value).unwrap(), golden);
    assert_eq!(bytes(value), raw);
    assert_eq!(bytes(serde_json::from_value(golden.clone()).unwrap()), raw);

    assert!(codec::decode_within::<T>(&raw[1..], N).is_err());
    for wrong in [hex.to_uppercase(), hex[2..].into(), format!("{hex}00"), format!("0x{hex}")] {
        assert!(serde_json::from_value::<T>(json!(wrong)).is_err());
    }
}

#[cfg(feature = "bls")]
fn made() -> Value {
    use pocket_types::bls::{BlsKeys, BlsSecretKey, BlsVerifyingKey};
    use pocket_types::hash::Hash;

    let digest = Hash([9; 32]);
    let secrets = [1, 2, 3].map(|n| BlsSecretKey::from_seed([n; 32]).unwrap());
    let keys = secrets.iter().map(|secret| BlsVerifyingKey::new(secret.public_key()).unwrap());
    let votes: Vec<_> =
        secrets.iter().enumerate().map(|(n, secret)| (n, secret.sign(&digest))).collect();
    let aggregate = BlsKeys::new(keys.collect()).unwrap().aggregate(&digest, &votes).unwrap();
    json!({
        "public_key": secrets[0].public_key(),
        "proof_of_possession": secrets[0].prove_possession(),
        "signature": votes[0].1,
        "aggregate": aggregate,
    })
}

#[cfg(not(feature = "bls"))]
#[test]
fn without_the_curve_good_keys_and_proofs_are_refused_too() {
    use pocket_types::bls::{
        BlsAggregateError, BlsKeyError, BlsKeys, BlsSecretKey, BlsUnavailable, BlsVerifyingKey,
        verify_batch,
    };

    let golden: Value = serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
    let key: BlsPublicKey = serde_json::from_value(golden["public_key"].clone()).unwrap();
    let proof = serde_json::from_value(golden["proof_of_possession"].clone()).unwrap();
    let unavailable = BlsKeyError::Unavailable(BlsUnavailable);
    assert_eq!(key.validate(&proof), Err(unavailable));
    assert_eq!(BlsVerifyingKey::new(key), Err(unavailable));
    assert_eq!(BlsSecretKey::from_seed([1; 32]).err(), Some(BlsUnavailable));
    assert_eq!(BlsKeys::new(vec![]).err(), Some(BlsAggregateError::Empty));
    assert_eq!(verify_batch(&[]), Ok(()));
    assert_eq!(unavailable.to_string(), "BLS signatures need pocket-types with the feature `bls`");
}

#[test]
fn a_member_without_a_bls_key_makes_no_set_that_signs_by_bls() {
    let (plain, _) = electorate(&[1; 4]);
    let set = plain.set().clone().signing_by(Scheme::BlsAggregate);
    let first = set.members[0].public_key;
    assert_eq!(Electorate::new(set).unwrap_err(), ValidatorSetError::NoBlsKey(first));
}

#[cfg(not(feature = "bls"))]
#[test]
fn without_the_curve_a_set_that_signs_by_bls_is_refused_by_name() {
    use pocket_types::bls::{BlsKeyError, BlsUnavailable};
    use pocket_types::number::Epoch;
    use pocket_types::validator::ValidatorSet;

    let (plain, _) = electorate(&[1]);
    let mut member = plain.set().members[0];
    member.bls_key = Some(BlsPublicKey([0xaa; 48]));
    let set = ValidatorSet::new(Epoch(3), vec![member]).unwrap();
    let refused = ValidatorSetError::BlsKey {
        validator: member.public_key,
        error: BlsKeyError::Unavailable(BlsUnavailable),
    };
    assert_eq!(Electorate::new(set.clone().signing_by(Scheme::BlsAggregate)).unwrap_err(), refused);
    assert!(Electorate::new(set).is_ok(), "a list of Ed25519 signatures needs no BLS key");
}
