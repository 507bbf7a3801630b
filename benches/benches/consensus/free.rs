//! Keys and a verifier that do nothing, for what a protocol costs besides cryptography: signatures and
//! proofs are zeros, and hold.

use pocket_types::block::beacon;
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::hash::Hash;
use pocket_types::key::{PublicKey, Signature};
use pocket_types::number::Height;
use pocket_types::scheme::{Keys, Packed, Scheme, Signed, Verifier, VoteSignature, list};
use pocket_types::validator::{ValidatorSet, ValidatorSetError};
use pocket_types::vote::{CertificateError, VoteData};
use pocket_types::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey};

/// Keys that sign nothing.
#[derive(Debug)]
pub(crate) struct FreeKeys {
    pub(crate) public_key: PublicKey,
    pub(crate) vrf_key: VrfPublicKey,
}

impl Keys for FreeKeys {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn vrf_key(&self) -> VrfPublicKey {
        self.vrf_key
    }

    fn sign(&self, _: &VoteData, _: Scheme) -> Option<VoteSignature> {
        Some(Signature([0; 64]).into())
    }

    fn beacon(&self, previous: Hash, _: Height) -> (Hash, VrfProof) {
        (beacon::next(previous, &VrfOutput([0; 64])), VrfProof([0; 80]))
    }

    /// Leaders take turns here.
    fn candidacy(&self, _: Claim) -> Option<Candidacy> {
        None
    }
}

/// Checks nothing.
#[derive(Debug)]
pub(crate) struct FreeVerifier;

impl Verifier for FreeVerifier {
    fn verify(&self, _: &[Signed]) -> Result<(), Vec<usize>> {
        Ok(())
    }

    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        list::pack(packed, more)
    }

    fn verify_packed(&self, _: Packed<'_>, _: Option<Packed<'_>>) -> Result<(), CertificateError> {
        Ok(())
    }

    fn vrf(&self, _: &VrfPublicKey, _: &[u8], _: &VrfProof) -> Result<VrfOutput, VrfError> {
        Ok(VrfOutput([0; 64]))
    }

    fn succeed(&self, _: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
        Ok(Box::new(Self))
    }
}
