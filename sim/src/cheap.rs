//! Signatures that cost a hash and protect nothing, for simulating millions of heights.
//!
//! A signature is the hash of the signer's *public* key and the message: anybody can make it, so an
//! adversary of a simulation must be one who doesn't. A scheme that nothing can forge by accident is
//! all that a test of a protocol's rules needs; what rests on the cryptography itself is tested with
//! real keys.

use std::sync::LazyLock;

use blake3::Hasher;
use pocket_types::block::beacon;
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::hash::Hash;
use pocket_types::key::{PublicKey, Signature};
use pocket_types::number::{Epoch, Height, Weight};
use pocket_types::scheme::{Keys, Packed, Scheme, Signed, Verifier, VoteSignature, list};
use pocket_types::validator::{Electorate, Validator, ValidatorSet, ValidatorSetError};
use pocket_types::vote::{CertificateError, Vote, VoteData};
use pocket_types::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey};

/// The keys of a simulated validator, told apart by a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheapKeys(pub u64);

impl CheapKeys {
    /// A member of a set, with these keys.
    pub fn validator(self, weight: u64) -> Validator {
        Validator {
            public_key: self.public_key(),
            vrf_key: self.vrf_key(),
            weight: Weight(weight),
            bls_key: None,
        }
    }

    /// Signs a vote.
    pub fn vote(self, data: VoteData) -> Vote {
        Vote {
            data,
            signer: self.public_key(),
            signature: sign(&self.public_key(), &data.digest()),
        }
    }

    /// Signs a claim, whatever it says.
    pub fn announce(self, claim: Claim) -> Candidacy {
        Candidacy { claim, signature: signature(&self.public_key(), &claim.digest()) }
    }
}

impl Keys for CheapKeys {
    fn public_key(&self) -> PublicKey {
        usize::try_from(self.0)
            .ok()
            .and_then(|number| PUBLIC.get(number))
            .map_or_else(|| public_key(self.0), |key| *key)
    }

    fn vrf_key(&self) -> VrfPublicKey {
        VrfPublicKey(hash(b"vrf key", &[&self.0.to_le_bytes()]))
    }

    fn sign(&self, data: &VoteData, _: Scheme) -> Option<VoteSignature> {
        Some(sign(&self.public_key(), &data.digest()))
    }

    fn beacon(&self, previous: Hash, height: Height) -> (Hash, VrfProof) {
        let (proof, output) = evaluate(&self.vrf_key(), &beacon::input(previous, height).0);
        (beacon::next(previous, &output), proof)
    }

    fn candidacy(&self, claim: Claim) -> Option<Candidacy> {
        let (proof, output) = evaluate(&self.vrf_key(), &claim.input().0);
        Some(self.announce(claim.proved(proof, &output)?))
    }
}

/// Checks what [`CheapKeys`] sign.
#[derive(Clone, Debug)]
pub struct CheapVerifier {
    members: Vec<PublicKey>,
}

impl CheapVerifier {
    /// The verifier of a set.
    pub fn new(set: &ValidatorSet) -> Self {
        Self { members: set.members.iter().map(|member| member.public_key).collect() }
    }

    fn holds(&self, position: usize, digest: &Hash, signature: &VoteSignature) -> bool {
        self.members.get(position).is_some_and(|key| sign(key, digest) == *signature)
    }
}

impl Verifier for CheapVerifier {
    fn verify(&self, signed: &[Signed]) -> Result<(), Vec<usize>> {
        let holds = |s: &Signed| self.holds(s.position, &s.digest, &s.signature);
        let bad: Vec<_> = (0..signed.len()).filter(|&i| !holds(&signed[i])).collect();
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        list::pack(packed, more)
    }

    fn verify_packed(
        &self,
        packed: Packed<'_>,
        known: Option<Packed<'_>>,
    ) -> Result<(), CertificateError> {
        let mut bad = list::unknown(packed, known)?;
        bad.retain(|(position, digest, s)| !self.holds(*position, digest, &(*s).into()));
        if bad.is_empty() {
            return Ok(());
        }
        Err(CertificateError::Signatures(bad.iter().map(|(position, ..)| *position).collect()))
    }

    fn vrf(
        &self,
        key: &VrfPublicKey,
        input: &[u8],
        proof: &VrfProof,
    ) -> Result<VrfOutput, VrfError> {
        let (expected, output) = evaluate(key, input);
        let mismatch = VrfError::Mismatch { key: *key, proof: *proof };
        if expected == *proof { Ok(output) } else { Err(mismatch) }
    }

    fn signed_by(&self, key: &PublicKey, digest: &Hash, given: &Signature) -> bool {
        signature(key, digest) == *given
    }

    fn succeed(&self, set: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
        Ok(Box::new(Self::new(set)))
    }
}

/// The electorate of validators 0, 1, 2, ... with these weights; one without weight is left out.
///
/// # Panics
///
/// When no weight is positive, or all together overflow.
pub fn electorate(epoch: Epoch, weights: &[u64]) -> Electorate {
    let members = weights.iter().zip(0..).filter(|(weight, _)| **weight > 0);
    let members = members.map(|(&weight, number)| CheapKeys(number).validator(weight)).collect();
    let set = ValidatorSet::new(epoch, members).expect("few members");
    let verifier = Box::new(CheapVerifier::new(&set));
    Electorate::with_verifier(set, verifier).expect("weights make a set")
}

/// The keys that small simulations ask for again and again.
static PUBLIC: LazyLock<[PublicKey; 64]> =
    LazyLock::new(|| std::array::from_fn(|number| public_key(number as u64)));

fn public_key(number: u64) -> PublicKey {
    PublicKey(hash(b"public key", &[&number.to_le_bytes()]))
}

fn sign(key: &PublicKey, digest: &Hash) -> VoteSignature {
    signature(key, digest).into()
}

fn signature(key: &PublicKey, digest: &Hash) -> Signature {
    let half = hash(b"signature", &[&key.0, &digest.0]);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half);
    Signature(signature)
}

fn evaluate(key: &VrfPublicKey, input: &[u8]) -> (VrfProof, VrfOutput) {
    let half = hash(b"vrf", &[&key.0, input]);
    let (mut proof, mut output) = ([0; 80], [0; 64]);
    proof[..32].copy_from_slice(&half);
    output[..32].copy_from_slice(&half);
    (VrfProof(proof), VrfOutput(output))
}

/// Parts are of fixed length for each purpose but the last.
fn hash(purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(purpose).update(&[0]);
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    *hasher.finalize().as_bytes()
}
