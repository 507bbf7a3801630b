//! Certificates of one signature: [`Scheme::BlsAggregate`](crate::scheme::Scheme::BlsAggregate).

use alloc::boxed::Box;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::vec::Vec;

use super::{BlsKeys, BlsPublicKey, BlsSignature, BlsVerifyingKey, verify};
use crate::hash::Hash;
use crate::scheme::{self, Packed, Scheme, Signed, Verifier, VoteSignature};
use crate::validator::{Validator, ValidatorSet, ValidatorSetError};
use crate::vote::CertificateError;

/// Checks BLS signatures under the keys of a set.
#[derive(Debug)]
pub(crate) struct BlsAggregate {
    keys: BlsKeys,
}

impl BlsAggregate {
    /// The verifier of a set; keys that `known` has are not decompressed again.
    pub(crate) fn new(set: &ValidatorSet, known: &[&BlsKeys]) -> Result<Self, ValidatorSetError> {
        let known = known.iter().flat_map(|keys| (0..keys.len()).filter_map(|at| keys.key(at)));
        let known: BTreeMap<BlsPublicKey, BlsVerifyingKey> =
            known.map(|key| (key.public_key(), *key)).collect();
        let mut keys = Vec::with_capacity(set.members.len());
        let mut owners = BTreeMap::new();
        for Validator { public_key, bls_key, .. } in set.members.iter() {
            public_key.validate().map_err(|error| {
                let key = *public_key;
                ValidatorSetError::Key { key, error }
            })?;
            let bls_key = bls_key.ok_or(ValidatorSetError::NoBlsKey(*public_key))?;
            if let Some(owner) = owners.insert(bls_key, *public_key) {
                return Err(ValidatorSetError::SharedBlsKey { owner, other: *public_key });
            }
            let checked = match known.get(&bls_key) {
                Some(key) => Ok(*key),
                None => BlsVerifyingKey::new(bls_key),
            };
            let refused = |error| ValidatorSetError::BlsKey { validator: *public_key, error };
            keys.push(checked.map_err(refused)?);
        }
        let keys = BlsKeys::new(keys).map_err(|_| ValidatorSetError::Empty)?;
        Ok(Self { keys })
    }

    /// Position and signature of the votes for each digest, with their places in the batch; and the
    /// places of those that can't be anybody's.
    fn groups(&self, signed: &[Signed]) -> (BTreeMap<Hash, Group>, Vec<usize>) {
        let mut groups: BTreeMap<Hash, Group> = BTreeMap::new();
        let mut bad = Vec::new();
        for (place, &Signed { position, digest, signature }) in signed.iter().enumerate() {
            let (VoteSignature::Bls(signature), Some(key)) = (signature, self.keys.key(position))
            else {
                bad.push(place);
                continue;
            };
            let vacant = match groups.entry(digest).or_default().entry(position) {
                Entry::Vacant(vacant) => vacant,
                // Twice in one batch: the second by itself.
                Entry::Occupied(_) => {
                    let holds = verify(key, &digest, &signature).is_ok();
                    bad.extend((!holds).then_some(place));
                    continue;
                }
            };
            vacant.insert((place, signature));
        }
        (groups, bad)
    }
}

/// Place in the batch and signature, by position.
type Group = BTreeMap<usize, (usize, BlsSignature)>;

impl Verifier for BlsAggregate {
    fn verify(&self, signed: &[Signed]) -> Result<(), Vec<usize>> {
        let (groups, mut bad) = self.groups(signed);
        for (digest, group) in groups {
            let votes: Vec<_> =
                group.iter().map(|(&at, &(_, signature))| (at, signature)).collect();
            if let Err(error) = self.keys.verify_each(&digest, &votes) {
                bad.extend(error.refused().iter().map(|(position, _)| group[position].0));
            }
        }
        bad.sort_unstable();
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        let known = packed.bytes.try_into().ok().map(BlsSignature);
        let more = more.iter().filter_map(|(_, signature)| match signature {
            VoteSignature::Bls(signature) => Some(*signature),
            VoteSignature::Ed25519(_) => None,
        });
        // Checked signatures of a quorum don't cancel out: somebody honest is among the signers.
        BlsSignature::sum(known.into_iter().chain(more)).map_or_else(Vec::new, |sum| sum.0.to_vec())
    }

    /// What is known can't be told from what is new: the whole is checked.
    fn verify_packed(
        &self,
        packed: Packed<'_>,
        _: Option<Packed<'_>>,
    ) -> Result<(), CertificateError> {
        let (got, signers) = (packed.bytes.len(), packed.signers.len());
        let bytes = packed.bytes.try_into();
        let bytes = bytes.map_err(|_| CertificateError::SignatureCount { got, signers })?;
        let mut parts: BTreeMap<Hash, Vec<usize>> = BTreeMap::new();
        for &(position, digest) in packed.signers {
            parts.entry(digest).or_default().push(position);
        }
        let parts: Vec<_> = parts.into_iter().collect();
        Ok(self.keys.verify_parts(&parts, &BlsSignature(bytes))?)
    }

    fn succeed(&self, set: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
        match set.scheme {
            Scheme::BlsAggregate => Ok(Box::new(Self::new(set, &[&self.keys])?)),
            _ => scheme::verifier(set),
        }
    }
}
