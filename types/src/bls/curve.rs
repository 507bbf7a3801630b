//! The curve as `blst` computes it. Everything that leaves this module has been checked.

use alloc::vec::Vec;

use blst::min_pk::{AggregatePublicKey, AggregateSignature, PublicKey, SecretKey, Signature};
use blst::{BLST_ERROR, MultiPoint, blst_scalar};

use super::{BlsUnavailable, Fault};
use crate::hash::Hash;

pub(super) type Secret = SecretKey;
/// A point of the subgroup, not the identity.
pub(super) type Key = PublicKey;
pub(super) type KeySum = AggregatePublicKey;
/// A point of the subgroup, not the identity.
pub(super) type SignaturePoint = Signature;

/// Section 2.3 of the draft, with an empty key_info.
pub(super) fn secret(seed: &[u8; 32]) -> Result<Secret, BlsUnavailable> {
    Ok(SecretKey::key_gen(seed, &[]).expect("32 bytes are as many as key generation asks for"))
}

pub(super) fn public_key(secret: &Secret) -> [u8; 48] {
    secret.sk_to_pk().compress()
}

pub(super) fn sign(secret: &Secret, message: &[u8], suite: &[u8]) -> [u8; 96] {
    secret.sign(message, suite, &[]).compress()
}

/// Section 2.5 of the draft: KeyValidate.
pub(super) fn key(bytes: &[u8; 48]) -> Result<Key, Fault> {
    let key = PublicKey::uncompress(bytes).map_err(fault)?;
    key.validate().map_err(fault)?;
    if key.compress() == *bytes { Ok(key) } else { Err(Fault::Encoding) }
}

pub(super) fn key_bytes(key: &Key) -> [u8; 48] {
    key.compress()
}

pub(super) fn signature(bytes: &[u8; 96]) -> Result<SignaturePoint, Fault> {
    let signature = Signature::uncompress(bytes).map_err(fault)?;
    signature.validate(true).map_err(fault)?;
    if signature.compress() == *bytes { Ok(signature) } else { Err(Fault::Encoding) }
}

/// None without keys.
pub(super) fn sum<'k>(mut keys: impl Iterator<Item = &'k Key>) -> Option<KeySum> {
    let mut sum = AggregatePublicKey::from_public_key(keys.next()?);
    for key in keys {
        sum.add_public_key(key, false).ok()?;
    }
    Some(sum)
}

pub(super) fn subtract<'k>(total: &KeySum, keys: impl Iterator<Item = &'k Key>) -> Option<KeySum> {
    let mut rest = *total;
    if let Some(part) = sum(keys) {
        rest.sub_aggregate(&part);
    }
    Some(rest)
}

/// None for the identity.
pub(super) fn summed_key(sum: &KeySum) -> Option<Key> {
    let key = sum.to_public_key();
    (key.compress()[0] & IDENTITY == 0).then_some(key)
}

/// As [`summed_signature`], of bytes that were checked before: whether the points lie in the subgroup
/// isn't asked again. None, too, for bytes that are no points.
pub(super) fn summed_bytes(signatures: impl Iterator<Item = [u8; 96]>) -> Option<[u8; 96]> {
    let decoded = signatures.map(|bytes| Signature::uncompress(&bytes).ok());
    summed_signature(&decoded.collect::<Option<Vec<_>>>()?)
}

/// None without signatures, or when they cancel out.
pub(super) fn summed_signature(signatures: &[SignaturePoint]) -> Option<[u8; 96]> {
    let signatures: Vec<_> = signatures.iter().collect();
    let sum = AggregateSignature::aggregate(&signatures, false).ok()?;
    let bytes = sum.to_signature().compress();
    (bytes[0] & IDENTITY == 0).then_some(bytes)
}

pub(super) fn holds(key: &Key, message: &[u8], suite: &[u8], signature: &SignaturePoint) -> bool {
    signature.verify(false, message, suite, &[], key, false) == BLST_ERROR::BLST_SUCCESS
}

/// Whether the signature is the sum of each key's signature of its message (section 2.9 of the draft).
pub(super) fn sum_holds(
    keys: &[Key],
    messages: &[&Hash],
    suite: &[u8],
    signature: &SignaturePoint,
) -> bool {
    let keys: Vec<_> = keys.iter().collect();
    let messages: Vec<_> = messages.iter().map(|message| message.as_bytes().as_slice()).collect();
    let result = signature.aggregate_verify(false, &messages, suite, &keys, false);
    result == BLST_ERROR::BLST_SUCCESS
}

/// Whether the keys' combination signed the message by the signatures' combination. Coefficients are
/// 16 little-endian bytes each, one for each key and its signature.
///
/// A combination of keys may be the identity, of which `blst` makes an error, not a signature that
/// holds.
pub(super) fn combination_holds(
    keys: &[Key],
    signatures: &[SignaturePoint],
    coefficients: &[[u8; 16]],
    message: &[u8],
    suite: &[u8],
) -> bool {
    if keys.is_empty() {
        return true;
    }
    let scalars = coefficients.as_flattened();
    let key = keys.mult(scalars, 128).to_public_key();
    holds(&key, message, suite, &signatures.mult(scalars, 128).to_signature())
}

/// Whether a combination of independent equations holds.
pub(super) fn batch_holds(
    keys: &[&Key],
    messages: &[&Hash],
    suite: &[u8],
    signatures: &[SignaturePoint],
    coefficients: &[[u8; 16]],
) -> bool {
    if keys.is_empty() {
        return true;
    }
    let messages: Vec<_> = messages.iter().map(|message| message.as_bytes().as_slice()).collect();
    let signatures: Vec<_> = signatures.iter().collect();
    let scalars: Vec<_> = coefficients
        .iter()
        .map(|coefficient| {
            let mut scalar = blst_scalar::default();
            scalar.b[..16].copy_from_slice(coefficient);
            scalar
        })
        .collect();
    let result = Signature::verify_multiple_aggregate_signatures(
        &messages,
        suite,
        keys,
        false,
        &signatures,
        false,
        &scalars,
        128,
    );
    result == BLST_ERROR::BLST_SUCCESS
}

fn fault(error: BLST_ERROR) -> Fault {
    match error {
        BLST_ERROR::BLST_POINT_NOT_ON_CURVE => Fault::NotOnCurve,
        BLST_ERROR::BLST_PK_IS_INFINITY => Fault::Identity,
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Fault::Subgroup,
        _ => Fault::Encoding,
    }
}

/// The bit that marks the identity in an encoding's first byte.
const IDENTITY: u8 = 0x40;
