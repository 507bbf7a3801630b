//! Begin of the block: what evidence proves is punished, each offence once.

use pocket_types::bls::BlsKeyError;
use pocket_types::codec;
use pocket_types::evidence::{Evidence, EvidenceError, OffenceKind};
use pocket_types::id::Address;
use pocket_types::number::Height;
use pocket_types::state::StateRead;
use pocket_types::transaction::{ActorKind, Role};

use super::validators::Membership;
use super::{EvidenceRefusal, Ledger, LedgerError, SlashReason};
use crate::state::queue::Queue;
use crate::state::{MEMBERSHIPS, OFFENCES};

impl<S: StateRead> Ledger<S> {
    /// The verdict on one piece of evidence; the burn, if it is upheld.
    pub(super) fn punish(
        &mut self,
        evidence: &Evidence,
    ) -> Result<Result<(), EvidenceRefusal>, LedgerError> {
        let offence = evidence.offence();
        let newest = self.tip.height;
        let age = self.params.validator_max_evidence_age_in_blocks;
        let oldest = Height(newest.0.saturating_sub(age));
        if !(oldest..=newest).contains(&offence.height) {
            return Ok(Err(EvidenceRefusal::Age { offence: offence.height, oldest, newest }));
        }
        let key = codec::encode(&offence);
        if self.store.bytes(OFFENCES, &key)?.is_some() {
            return Ok(Err(EvidenceRefusal::Punished));
        }
        let memberships: Membership =
            self.store.get(MEMBERSHIPS, &codec::encode(&offence.offender))?.unwrap_or_default();
        let address = Address::of(&offence.offender);
        let validator = self.actor(ActorKind::Validator, address)?;
        let Some(validator) = validator.filter(|_| memberships.holds(offence.height)) else {
            let (offender, height) = (offence.offender, offence.height);
            return Ok(Err(EvidenceRefusal::NotValidator { offender, height }));
        };
        let bls_key = match validator.role {
            Role::Validator { bls_key, .. } => bls_key.map(|proven| proven.key),
            _ => None,
        };
        match evidence.verify_with(self.tip.chain, bls_key) {
            Ok(_) => {}
            Err(EvidenceError::BlsKey(BlsKeyError::Unavailable(error))) => return Err(error.into()),
            Err(error) => return Ok(Err(error.into())),
        }
        self.store.put(OFFENCES, key, &());
        let forgotten = Height(offence.height.0.saturating_add(age)).next();
        self.store.push(Queue::Offences, forgotten.max(newest.next()), &offence)?;
        let percentage = u128::from(self.params.double_sign_burn_percentage);
        let amount = validator.stake.mul_div_up(percentage, 100).unwrap_or(validator.stake);
        // The specification's parameters know one percentage for what validators sign.
        let reason = match offence.kind {
            OffenceKind::VrfMisuse => SlashReason::VrfMisuse(offence),
            _ => SlashReason::DoubleSign(offence),
        };
        self.slash(ActorKind::Validator, address, amount, Some(reason))?;
        Ok(Ok(()))
    }
}
