//! What stands in for the curve without the feature `bls`: types without values. A key, a signature
//! or a sum can't be made, so what would check one is never reached, and nothing is ever accepted.

use super::{BlsUnavailable, Fault};
use crate::hash::Hash;

pub(super) enum Secret {}

#[derive(Clone, Copy)]
pub(super) enum Key {}

#[derive(Clone, Copy)]
pub(super) enum KeySum {}

#[derive(Clone, Copy)]
pub(super) enum SignaturePoint {}

pub(super) const fn secret(_: &[u8; 32]) -> Result<Secret, BlsUnavailable> {
    Err(BlsUnavailable)
}

pub(super) const fn public_key(secret: &Secret) -> [u8; 48] {
    match *secret {}
}

pub(super) const fn sign(secret: &Secret, _: &[u8], _: &[u8]) -> [u8; 96] {
    match *secret {}
}

pub(super) const fn key(_: &[u8; 48]) -> Result<Key, Fault> {
    Err(Fault::Unavailable)
}

pub(super) const fn key_bytes(key: &Key) -> [u8; 48] {
    match *key {}
}

pub(super) const fn signature(_: &[u8; 96]) -> Result<SignaturePoint, Fault> {
    Err(Fault::Unavailable)
}

pub(super) fn sum<'k>(_: impl Iterator<Item = &'k Key>) -> Option<KeySum> {
    None
}

pub(super) fn subtract<'k>(total: &KeySum, _: impl Iterator<Item = &'k Key>) -> Option<KeySum> {
    match *total {}
}

pub(super) const fn summed_key(sum: &KeySum) -> Option<Key> {
    match *sum {}
}

pub(super) fn summed_bytes(_: impl Iterator<Item = [u8; 96]>) -> Option<[u8; 96]> {
    None
}

pub(super) const fn sum_holds(_: &[Key], _: &[&Hash], _: &[u8], point: &SignaturePoint) -> bool {
    match *point {}
}

pub(super) const fn summed_signature(_: &[SignaturePoint]) -> Option<[u8; 96]> {
    None
}

pub(super) const fn holds(key: &Key, _: &[u8], _: &[u8], _: &SignaturePoint) -> bool {
    match *key {}
}

pub(super) const fn combination_holds(
    _: &[Key],
    _: &[SignaturePoint],
    _: &[[u8; 16]],
    _: &[u8],
    _: &[u8],
) -> bool {
    false
}

pub(super) const fn batch_holds(
    _: &[&Key],
    _: &[&Hash],
    _: &[u8],
    _: &[SignaturePoint],
    _: &[[u8; 16]],
) -> bool {
    false
}
