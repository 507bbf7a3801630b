//! The beacon's random function against RFC 9381's examples, and against those who would bend it.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use pocket_types::codec;
use pocket_types::key::{KeyError, PublicKey};
use pocket_types::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey, VrfSecret};
use proptest::prelude::*;
use sha2::{Digest, Sha512};

struct Example {
    seed: [u8; 32],
    key: VrfPublicKey,
    alpha: Vec<u8>,
    h: [u8; 32],
    proof: VrfProof,
    output: VrfOutput,
}

#[test]
fn examples_of_rfc_9381() {
    for example in examples() {
        let secret = VrfSecret::from_seed(example.seed);
        assert_eq!(secret.public_key(), example.key);
        assert_eq!(example.key.validate(), Ok(()));
        assert_eq!(secret.prove(&example.alpha), (example.proof, example.output));
        assert_eq!(example.key.verify(&example.alpha, &example.proof), Ok(example.output));
    }
}

#[test]
fn every_bit_of_a_proof_counts() {
    for example in examples() {
        for (byte, bit) in (0..80).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            let mut proof = example.proof;
            proof.0[byte] ^= 1 << bit;
            let refused = example.key.verify(&example.alpha, &proof).unwrap_err();
            let named = match byte {
                0..32 => matches!(refused, VrfError::Gamma(_) | VrfError::Mismatch { .. }),
                32..48 => matches!(refused, VrfError::Mismatch { .. }),
                _ => matches!(refused, VrfError::ScalarTooLarge(_) | VrfError::Mismatch { .. }),
            };
            assert!(named, "byte {byte}, bit {bit}: {refused}");
        }
    }
}

#[test]
fn every_bit_of_a_key_counts() {
    let [example, ..] = examples();
    for (byte, bit) in (0..32).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut key = example.key;
        key.0[byte] ^= 1 << bit;
        assert!(key.verify(&example.alpha, &example.proof).is_err());
    }
}

#[test]
fn proofs_have_one_spelling() {
    let [example, ..] = examples();
    let mut large = example.proof;
    add_order(&mut large.0[48..]);
    let refused = example.key.verify(&example.alpha, &large);
    assert_eq!(refused, Err(VrfError::ScalarTooLarge(large)));

    // y = 1 + p, the identity's other encoding; y = 2 is on no point; x = 0 has no sign.
    let mut plus_p = [0xff; 32];
    (plus_p[0], plus_p[31]) = (0xee, 0x7f);
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    for gamma in [plus_p, no_point, negative_zero] {
        let mut proof = example.proof;
        proof.0[..32].copy_from_slice(&gamma);
        let refused = example.key.verify(&example.alpha, &proof);
        assert_eq!(refused, Err(VrfError::Gamma(proof)));
    }
}

/// With a key of small order, an output has proofs without a secret. Section 5.4.5 is against that.
#[test]
fn keys_of_small_order_are_refused() {
    for (index, point) in EIGHT_TORSION.iter().enumerate() {
        let key = VrfPublicKey(point.compress().to_bytes());
        let expected = match index {
            0 => KeyError::Identity(PublicKey(key.0)),
            _ => KeyError::Torsion(PublicKey(key.0)),
        };
        assert_eq!(key.validate(), Err(expected));
        for alpha in 0..32u8 {
            // x = 0: Gamma is the identity, s the nonce, and the equations hold whenever the
            // challenge wipes out the key's component.
            let proof = forge(&key, Scalar::ZERO, EIGHT_TORSION[0], &[alpha], 1);
            assert_eq!(key.verify(&[alpha], &proof), Err(VrfError::Key(expected)));
        }

        if index != 0 {
            let mixed = (ED25519_BASEPOINT_POINT + point).compress().to_bytes();
            let refused = VrfPublicKey(mixed).validate();
            assert_eq!(refused, Err(KeyError::Torsion(PublicKey(mixed))));
        }
    }
    let mut plus_p = [0xff; 32];
    (plus_p[0], plus_p[31]) = (0xee, 0x7f);
    assert!(matches!(VrfPublicKey(plus_p).validate(), Err(KeyError::NotCanonical { .. })));
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let refused = VrfPublicKey(no_point).validate();
    assert_eq!(refused, Err(KeyError::NotOnCurve(PublicKey(no_point))));
}

/// The owner of a key can make other proofs, by other nonces or by torsion in Gamma, but no other
/// output. (It also shows that `forge` forges: its proofs are good where the key is.)
#[test]
fn owners_can_vary_the_proof_but_not_the_output() {
    let seed = [3; 32];
    let secret = VrfSecret::from_seed(seed);
    let key = secret.public_key();
    let x = secret_scalar(seed);
    let (honest, output) = secret.prove(b"alpha");

    let other_nonce = forge(&key, x, EIGHT_TORSION[0], b"alpha", 1);
    assert_ne!(other_nonce, honest);
    assert_eq!(key.verify(b"alpha", &other_nonce), Ok(output));

    let with_torsion: Vec<VrfProof> =
        (0..200).map(|nonce| forge(&key, x, EIGHT_TORSION[1], b"alpha", nonce)).collect();
    let accepted: Vec<_> =
        with_torsion.iter().filter_map(|proof| key.verify(b"alpha", proof).ok()).collect();
    assert!((1..100).contains(&accepted.len()), "about one in eight, got {}", accepted.len());
    assert!(accepted.iter().all(|other| *other == output));

    // Another Gamma altogether has no proof at all.
    let other_gamma = forge(&key, x, ED25519_BASEPOINT_POINT, b"alpha", 1);
    assert!(matches!(key.verify(b"alpha", &other_gamma), Err(VrfError::Mismatch { .. })));
}

#[test]
fn bytes_on_the_wire_and_hex_in_json() {
    let [example, ..] = examples();
    assert_eq!(codec::encode(&example.key), example.key.0);
    assert_eq!(codec::encode(&example.proof), example.proof.0);
    assert_eq!(codec::encode(&example.output), example.output.0);
    assert_eq!(codec::decode_within(&example.proof.0, 80), Ok(example.proof));
    let json = serde_json::to_string(&example.proof).unwrap();
    assert_eq!(json, format!("\"{}\"", example.proof));
    assert_eq!(serde_json::from_str::<VrfProof>(&json).unwrap(), example.proof);
}

#[test]
fn secrets_stay_out_of_debug() {
    let secret = VrfSecret::from_seed([0xab; 32]);
    assert_eq!(format!("{secret:?}"), format!("VrfSecret(of {})", secret.public_key()));
}

proptest! {
    #[test]
    fn proofs_are_good_for_their_key_and_input_only(
        seed: [u8; 32],
        alpha in prop::collection::vec(any::<u8>(), 0..80),
        other in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let secret = VrfSecret::from_seed(seed);
        let key = secret.public_key();
        let (proof, output) = secret.prove(&alpha);
        prop_assert_eq!(secret.prove(&alpha), (proof, output));
        prop_assert_eq!(key.validate(), Ok(()));
        prop_assert_eq!(key.verify(&alpha, &proof), Ok(output));
        if alpha != other {
            let refused = key.verify(&other, &proof);
            prop_assert_eq!(refused, Err(VrfError::Mismatch { key, proof }));
            prop_assert_ne!(secret.prove(&other).1, output);
        }
        let stranger = VrfSecret::from_seed(seed.map(|byte| !byte)).public_key();
        prop_assert!(stranger.verify(&alpha, &proof).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused(
        key: [u8; 32], gamma: [u8; 32], c: [u8; 16], s: [u8; 32], alpha: [u8; 8],
    ) {
        let mut proof = VrfProof([0; 80]);
        proof.0[..32].copy_from_slice(&gamma);
        proof.0[32..48].copy_from_slice(&c);
        proof.0[48..].copy_from_slice(&s);
        prop_assert!(VrfPublicKey(key).verify(&alpha, &proof).is_err());
        let good = VrfSecret::from_seed(key).public_key();
        prop_assert!(good.verify(&alpha, &proof).is_err());
    }
}

/// A proof with chosen nonce and with something added to Gamma, by the RFC's formulas.
fn forge(key: &VrfPublicKey, x: Scalar, plus: EdwardsPoint, alpha: &[u8], nonce: u64) -> VrfProof {
    let h = encode_to_curve(key, alpha);
    let gamma = h * x + plus;
    let k = Scalar::from_hash(Sha512::new().chain_update(nonce.to_le_bytes()));
    let mut hash = Sha512::new().chain_update([3, 2]).chain_update(key.0);
    for point in [h, gamma, EdwardsPoint::mul_base(&k), h * k] {
        hash.update(point.compress().as_bytes());
    }
    let hash = hash.chain_update([0]).finalize();
    let c: [u8; 16] = hash[..16].try_into().unwrap();
    let s = k + Scalar::from(u128::from_le_bytes(c)) * x;
    let mut proof = [0; 80];
    proof[..32].copy_from_slice(gamma.compress().as_bytes());
    proof[32..48].copy_from_slice(&c);
    proof[48..].copy_from_slice(s.as_bytes());
    VrfProof(proof)
}

fn encode_to_curve(key: &VrfPublicKey, alpha: &[u8]) -> EdwardsPoint {
    let hash = |counter: u8| {
        let hash = Sha512::new().chain_update([3, 1]).chain_update(key.0).chain_update(alpha);
        hash.chain_update([counter, 0]).finalize()
    };
    let point =
        |counter| CompressedEdwardsY::from_slice(&hash(counter)[..32]).unwrap().decompress();
    (0..=255).find_map(point).unwrap().mul_by_cofactor()
}

#[test]
fn the_test_maps_inputs_as_the_rfc_does() {
    for example in examples() {
        let h = encode_to_curve(&example.key, &example.alpha);
        assert_eq!(h.compress().to_bytes(), example.h);
    }
}

fn secret_scalar(seed: [u8; 32]) -> Scalar {
    let hashed = Sha512::digest(seed);
    Scalar::from_bytes_mod_order(clamp_integer(hashed[..32].try_into().unwrap()))
}

/// s + L, little-endian.
fn add_order(s: &mut [u8]) {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let mut carry = 0;
    for (byte, add) in s.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

fn examples() -> [Example; 3] {
    fn bytes<const N: usize>(field: &serde_json::Value) -> [u8; N] {
        hex::decode(field.as_str().unwrap()).unwrap().try_into().unwrap()
    }
    let file: serde_json::Value =
        serde_json::from_str(include_str!("vectors/rfc9381_ecvrf_edwards25519_tai.json")).unwrap();
    std::array::from_fn(|index| {
        let case = &file["cases"][index];
        Example {
            seed: bytes(&case["sk"]),
            key: VrfPublicKey(bytes(&case["pk"])),
            alpha: hex::decode(case["alpha"].as_str().unwrap()).unwrap(),
            h: bytes(&case["h"]),
            proof: VrfProof(bytes(&case["pi"])),
            output: VrfOutput(bytes(&case["beta"])),
        }
    })
}
