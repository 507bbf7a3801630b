//! What somebody would send who wants to be believed without the others, or to have others blamed.

use blst::min_pk::{AggregatePublicKey, AggregateSignature, PublicKey, Signature};
use pocket_types::bls::{
    BlsAggregateError, BlsKeyError, BlsKeys, BlsPublicKey, BlsSecretKey, BlsSignature,
    BlsSignatureError, BlsVerifyingKey, ProofOfPossession, verify,
};
use pocket_types::hash::Hash;

use super::aggregates::{key, keys_of, secret};
use super::vectors::outside_g2;

const DIGEST: Hash = Hash([5; 32]);

#[test]
fn a_rogue_key_signs_for_its_victim_until_it_must_prove_possession() {
    let (victim, attacker) = (secret(1), secret(2));
    let mut rogue = raw_key(attacker.public_key());
    rogue.sub_aggregate(&raw_key(victim.public_key()));
    let rogue = BlsPublicKey(rogue.to_public_key().compress());

    // The equation alone believes that both signed, though the victim never did.
    let keys = vec![key(victim.public_key()), key(rogue)];
    let forged = attacker.sign(&DIGEST);
    let both = BlsKeys::new(keys).unwrap();
    assert_eq!(both.verify(&[0, 1], &DIGEST, &forged), Ok(()));

    // Whatever the attacker can sign, or copy, proves nothing for the rogue key.
    let copied = victim.prove_possession();
    let difference =
        sum(&[BlsSignature(attacker.prove_possession().0), minus(BlsSignature(copied.0))]);
    for proof in [
        attacker.prove_possession(),
        copied,
        ProofOfPossession(difference.0),
        ProofOfPossession(attacker.sign(&DIGEST).0),
        ProofOfPossession(identity().0),
    ] {
        let refused = Err(BlsKeyError::Possession(rogue));
        assert_eq!(rogue.validate(&proof), refused);
    }
    assert_eq!(victim.public_key().validate(&copied), Ok(()));
}

/// The message is the same, 48 bytes of key: only the suite tells what was meant.
#[test]
fn a_signature_of_the_key_is_no_proof_of_possession() {
    let key = secret(1).public_key();
    let raw = blst::min_pk::SecretKey::key_gen(&[1; 32], &[]).unwrap();
    let suite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    let signature = Signature::compress(&raw.sign(&key.0, suite, &[]));
    let suite = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    let proof = Signature::compress(&raw.sign(&key.0, suite, &[]));
    assert!(key.validate(&ProofOfPossession(signature)).is_err());
    assert_eq!(key.validate(&ProofOfPossession(proof)), Ok(()));
    assert_eq!(secret(1).prove_possession(), ProofOfPossession(proof));
}

#[test]
fn every_bit_of_a_signature_counts() {
    let (secret, verifying) = (secret(1), key(secret(1).public_key()));
    let (good, proof) = (secret.sign(&DIGEST), secret.prove_possession());
    for (byte, bit) in (0..96).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let (mut signature, mut spoilt) = (good, proof);
        signature.0[byte] ^= 1 << bit;
        spoilt.0[byte] ^= 1 << bit;
        assert!(verify(&verifying, &DIGEST, &signature).is_err(), "byte {byte}, bit {bit}");
        // A point's negation is a point; the others are almost all outside the subgroup.
        if bit == 5 {
            let refused = secret.public_key().validate(&spoilt);
            assert!(matches!(refused, Err(BlsKeyError::Possession(_))), "byte {byte}");
        }
    }
    let negated = minus(good);
    let mismatch = BlsSignatureError::Mismatch(secret.public_key());
    assert_eq!(verify(&verifying, &DIGEST, &negated), Err(mismatch));
}

#[test]
fn every_bit_of_a_key_and_of_a_digest_counts() {
    let secret = secret(1);
    let (signature, proof) = (secret.sign(&DIGEST), secret.prove_possession());
    for (byte, bit) in (0..48).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut other = secret.public_key();
        other.0[byte] ^= 1 << bit;
        assert!(other.validate(&proof).is_err(), "byte {byte}, bit {bit}");
        let accepted = BlsVerifyingKey::new(other)
            .is_ok_and(|other| verify(&other, &DIGEST, &signature).is_ok());
        assert!(!accepted, "byte {byte}, bit {bit}");
    }
    for bit in 0..256 {
        let mut digest = DIGEST;
        digest.0[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&key(secret.public_key()), &digest, &signature).is_err());
    }
}

#[test]
fn identities_are_nobodys_keys_and_signatures() {
    let mut nobody = BlsPublicKey([0; 48]);
    nobody.0[0] = 0xc0;
    assert_eq!(BlsVerifyingKey::new(nobody), Err(BlsKeyError::Identity(nobody)));
    let proof = ProofOfPossession(identity().0);
    assert_eq!(nobody.validate(&proof), Err(BlsKeyError::Identity(nobody)));

    let (secret, keys) = (secret(1), keys_of(3));
    let refused = BlsSignatureError::Identity(identity());
    assert_eq!(verify(&key(secret.public_key()), &DIGEST, &identity()), Err(refused));
    assert_eq!(keys.verify(&[0, 2], &DIGEST, &identity()), Err(refused.into()));
    let votes = [(0, self::secret(0).sign(&DIGEST)), (2, identity())];
    let refused = BlsAggregateError::Refused(vec![(2, refused)]);
    assert_eq!(keys.aggregate(&DIGEST, &votes), Err(refused));
}

/// Who owns a key and its negation makes both vanish from every sum. Both sign, so nobody is
/// deceived, but neither may they stand alone.
#[test]
fn members_who_cancel_out_are_no_signers() {
    let secret = secret(1);
    let mut negated = secret.public_key();
    negated.0[0] ^= 0x20;
    let keys = [secret.public_key(), self::secret(2).public_key(), negated].map(key);
    let keys = BlsKeys::new(keys.to_vec()).unwrap();
    let good = secret.sign(&DIGEST);
    let votes = [(0, good), (2, minus(good))];
    assert_eq!(verify(keys.key(2).unwrap(), &DIGEST, &votes[1].1), Ok(()));
    assert_eq!(keys.aggregate(&DIGEST, &votes), Err(BlsAggregateError::Cancelled));
    assert_eq!(keys.sum(&[0, 2]), Err(BlsAggregateError::Cancelled));
    assert_eq!(keys.verify(&[0, 2], &DIGEST, &good), Err(BlsAggregateError::Cancelled));
    let all = [votes[0], (1, self::secret(2).sign(&DIGEST)), votes[1]];
    let aggregate = keys.aggregate(&DIGEST, &all).unwrap();
    assert_eq!(keys.verify(&[0, 1, 2], &DIGEST, &aggregate), Ok(()));
}

#[test]
fn errors_that_cancel_out_are_attributed() {
    let keys = keys_of(7);
    let mut votes: Vec<_> = (0..7).map(|n| (n, secret(n).sign(&DIGEST))).collect();
    let shift = secret(50).sign(&DIGEST);
    votes[1].1 = sum(&[votes[1].1, shift]);
    votes[4].1 = sum(&[votes[4].1, minus(shift)]);

    // The plain sum is the honest one: only looking at each of them, or combining, tells.
    let signatures: Vec<_> = votes.iter().map(|(_, signature)| *signature).collect();
    let all: Vec<_> = (0..7).collect();
    assert_eq!(keys.verify(&all, &DIGEST, &sum(&signatures)), Ok(()));
    assert_eq!(refused(&keys, &votes), [1, 4]);
}

#[test]
fn errors_outside_the_subgroup_are_attributed() {
    let keys = keys_of(5);
    let mut votes: Vec<_> = (0..5).map(|n| (n, secret(n).sign(&DIGEST))).collect();
    votes[0].1 = sum(&[votes[0].1, outside_g2()]);
    votes[3].1 = sum(&[votes[3].1, minus(outside_g2())]);
    let signatures: Vec<_> = votes.iter().map(|(_, signature)| *signature).collect();
    assert_eq!(keys.verify(&[0, 1, 2, 3, 4], &DIGEST, &sum(&signatures)), Ok(()));

    let expected = [0, 3].map(|n| (n, BlsSignatureError::Subgroup(votes[n].1)));
    let error = BlsAggregateError::Refused(expected.to_vec());
    assert_eq!(keys.aggregate(&DIGEST, &votes), Err(error));
}

#[test]
fn copies_of_anothers_vote_are_attributed_to_the_copier() {
    let keys = keys_of(4);
    let mut votes: Vec<_> = (0..4).map(|n| (n, secret(n).sign(&DIGEST))).collect();
    votes[2].1 = votes[0].1;
    assert_eq!(refused(&keys, &votes), [2]);
    votes.swap(0, 2);
    (votes[0].0, votes[2].0) = (0, 2);
    votes[1].1 = secret(1).sign(&Hash([6; 32]));
    assert_eq!(refused(&keys, &votes), [1, 2]);
}

#[test]
fn lists_of_signers_are_increasing_and_within_the_set() {
    let keys = keys_of(3);
    let good = secret(0).sign(&DIGEST);
    let cases: [(&[usize], BlsAggregateError); 5] = [
        (&[], BlsAggregateError::Empty),
        (&[0, 0], BlsAggregateError::Order(0)),
        (&[2, 1], BlsAggregateError::Order(1)),
        (&[0, 3], BlsAggregateError::Position { position: 3, members: 3 }),
        (&[usize::MAX], BlsAggregateError::Position { position: usize::MAX, members: 3 }),
    ];
    for (signers, error) in cases {
        let votes: Vec<_> = signers.iter().map(|&position| (position, good)).collect();
        assert_eq!(keys.sum(signers), Err(error.clone()));
        assert_eq!(keys.verify(signers, &DIGEST, &good), Err(error.clone()));
        assert_eq!(keys.aggregate(&DIGEST, &votes), Err(error));
    }
}

#[test]
fn secrets_stay_out_of_debug() {
    let secret = BlsSecretKey::from_seed([0xab; 32]).unwrap();
    let scalar = blst::min_pk::SecretKey::key_gen(&[0xab; 32], &[]).unwrap().to_bytes();
    let shown = format!("{secret:?}");
    assert_eq!(shown, format!("BlsSecretKey(of {})", secret.public_key()));
    assert!(!shown.contains(&hex::encode(scalar)) && !shown.contains("abab"));
}

fn refused(keys: &BlsKeys, votes: &[(usize, BlsSignature)]) -> Vec<usize> {
    let error = keys.aggregate(&DIGEST, votes).unwrap_err();
    error.refused().iter().map(|(position, _)| *position).collect()
}

fn identity() -> BlsSignature {
    let mut identity = BlsSignature([0; 96]);
    identity.0[0] = 0xc0;
    identity
}

/// The sign of y is one bit of the encoding.
fn minus(mut signature: BlsSignature) -> BlsSignature {
    signature.0[0] ^= 0x20;
    signature
}

/// What an attacker adds up, without any check.
fn sum(signatures: &[BlsSignature]) -> BlsSignature {
    let points: Vec<_> = signatures.iter().map(|s| Signature::uncompress(&s.0).unwrap()).collect();
    let points: Vec<_> = points.iter().collect();
    let sum = AggregateSignature::aggregate(&points, false).unwrap();
    BlsSignature(sum.to_signature().compress())
}

fn raw_key(key: BlsPublicKey) -> AggregatePublicKey {
    AggregatePublicKey::from_public_key(&PublicKey::uncompress(&key.0).unwrap())
}
