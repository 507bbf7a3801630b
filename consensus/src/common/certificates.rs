//! Certificates that have been checked, so that no signature is checked twice.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use pocket_types::number::Round;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, CertificateError, Phase};

/// A certificate that holds: only this module makes one, and only such a one moves a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Checked(Arc<Certificate>);

impl Checked {
    pub(crate) fn into_inner(self) -> Certificate {
        Arc::unwrap_or_clone(self.0)
    }
}

impl core::ops::Deref for Checked {
    type Target = Certificate;
    fn deref(&self) -> &Certificate {
        &self.0
    }
}

/// The checked certificates of one height, the newest round of each phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    known: BTreeMap<(Phase, Round), Checked>,
}

impl Certificates {
    /// Checks a certificate in full, but skips the signatures that an earlier one of the same data
    /// brought along.
    pub(crate) fn verify(
        &mut self,
        certificate: &Certificate,
        electorate: &Electorate,
    ) -> Result<Checked, CertificateError> {
        let key = (certificate.data.phase, certificate.data.round);
        let known = self.known.get(&key);
        if let Some(known) = known.filter(|known| ***known == *certificate) {
            return Ok(known.clone());
        }
        certificate.verify_beyond(electorate, known.map(|known| &**known))?;
        Ok(self.trust(certificate.clone()))
    }

    /// Takes over a certificate that was made of checked votes, or comes from our own log.
    pub(crate) fn trust(&mut self, certificate: Certificate) -> Checked {
        let phase = certificate.data.phase;
        let certificate = Checked(Arc::new(certificate));
        self.known.insert((phase, certificate.data.round), certificate.clone());
        while self.known.range((phase, Round::ZERO)..=(phase, Round(u64::MAX))).count() > KEPT {
            let oldest = self.known.range((phase, Round::ZERO)..).next().map(|(key, _)| *key);
            oldest.map(|key| self.known.remove(&key));
        }
        certificate
    }
}

/// Certificates kept of each phase: those that may still be sent around.
const KEPT: usize = 2;
