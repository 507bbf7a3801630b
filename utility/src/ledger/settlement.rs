//! End of the block: proven claims become volume, burns and salaries; what is over is forgotten.
//!
//! Of the relays that a session's servicers proved, those count that the application's budget holds
//! ([`shares`]) *and* its stake can pay for: each settled relay burns `app_burn_per_relay` of it, and
//! one that can't be burnt for earns nothing. So with a burn at least as high as the reward, which
//! genesis insists on, nobody gains by serving himself.
//!
//! A servicer's salary is `settled * reward * min(stake, cap) / cap`: in proportion to the volume it
//! proved, at once when its session is settled. Report cards will weigh it; without them an equal
//! share for every staked servicer would pay those who served nothing.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::evidence::Offence;
use pocket_types::id::{Address, TransactionId};
use pocket_types::number::{Amount, Height};
use pocket_types::session::SessionHeader;
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;

use super::{Event, Ledger, LedgerError, SlashReason};
use crate::session::{Budget, NoSession, Session};
use crate::state::claim::{Claim, Volume};
use crate::state::history::Expired;
use crate::state::queue::Queue;
use crate::state::treasury::Pool;
use crate::state::{
    CLAIMANTS, CLAIMS, MEMBERSHIPS, OFFENCES, SESSION_RECORDS, TRANSACTIONS, VOLUME,
};

/// Sessions of applications that one block settles; more wait for the next.
const SETTLEMENTS_PER_BLOCK: usize = 1_000;

/// Rows that a block forgets, beside two for each transaction that it holds.
const PRUNED_PER_BLOCK: usize = 1_000;

/// How much of each claim an application's budget covers, in the order of the claims.
///
/// Every servicer has the equal share `f` for sure. What others leave of theirs goes to claims beyond
/// it, in proportion to their excess, up to `multiplier` shares and never above the bucket; each
/// rounded down, so the sum stays within the budget.
pub fn shares(budget: &Budget, servicers: usize, multiplier: u64, claims: &[u64]) -> Vec<u128> {
    let f = budget.share;
    let within = |claim: &u64| u128::from(*claim).min(f);
    let beyond = |claim: &u64| u128::from(*claim).saturating_sub(f);
    let used: u128 = claims.iter().map(within).sum();
    let unused = f.saturating_mul(servicers as u128).saturating_sub(used);
    let excess: u128 = claims.iter().map(beyond).sum();
    let cap = f.saturating_mul(u128::from(multiplier)).min(budget.bucket);
    let covered = |claim: &u64| {
        let extra = Amount(unused).mul_div_down(beyond(claim), excess.max(1));
        // More unused than an u128 divided by the excess only means: enough for all of it.
        let extra = extra.map_or_else(|| beyond(claim), |extra| extra.0);
        u128::from(*claim).min(cap).min(f.saturating_add(extra))
    };
    claims.iter().map(covered).collect()
}

impl<S: StateRead> Ledger<S> {
    pub(super) fn settle_sessions(&mut self) -> Result<(), LedgerError> {
        let due = self.store.drain::<SessionHeader>(
            Queue::Settlements,
            self.tip.height,
            SETTLEMENTS_PER_BLOCK,
        )?;
        self.settlements_behind = !due.caught_up;
        for header in due.items {
            self.settle(&header)?;
        }
        Ok(())
    }

    fn settle(&mut self, header: &SessionHeader) -> Result<(), LedgerError> {
        let session = Session::load(&self.store, header).map_err(|error| match error {
            NoSession::Ledger(error) => error,
            _ => LedgerError::Damaged {
                collection: SESSION_RECORDS,
                key: codec::encode(header),
                reason: "a claimed session can't be established".into(),
            },
        })?;
        let proven = self.take_claims(&session)?;
        let claims: Vec<u64> = proven.iter().map(|(_, relays)| *relays).collect();
        let multiplier = self.params.settlement_redistribution_multiplier;
        let mut settled = shares(&session.budget, session.servicers.len(), multiplier, &claims);
        self.limit_to_stake(header.application, &mut settled)?;
        let total: u128 = settled.iter().sum();
        for (&(servicer, proven), &settled) in proven.iter().zip(&settled) {
            self.pay_salary(&session, servicer, proven, settled)?;
        }
        let cost = self.params.app_burn_per_relay.0.saturating_mul(total);
        let application = (ActorKind::Application, header.application);
        let burned = self.slash(application.0, application.1, Amount(cost), None)?;
        self.count_volume(header, claims.iter().map(|&relays| u128::from(relays)).sum(), total)?;
        self.events.push(Event::SessionSettled {
            session: *header,
            id: session.id,
            settled: u64::try_from(total).unwrap_or(u64::MAX),
            burned,
        });
        Ok(())
    }

    /// The proven claims of a session, by address; those without proof are void and cost a penalty.
    fn take_claims(&mut self, session: &Session) -> Result<Vec<(Address, u64)>, LedgerError> {
        let key = codec::encode(&session.header);
        let claimants: Vec<Address> = self.store.get(CLAIMANTS, &key)?.unwrap_or_default();
        self.store.delete(CLAIMANTS, key);
        let mut proven = Vec::new();
        for servicer in claimants {
            let key = codec::encode(&(session.header, servicer));
            let Some(claim) = self.store.get::<Claim>(CLAIMS, &key)? else { continue };
            self.store.delete(CLAIMS, key);
            if claim.proven.is_some() {
                proven.push((servicer, claim.root.sum));
                continue;
            }
            self.events.push(Event::ClaimVoid { session: session.header, servicer });
            let penalty = self.params.claim_missing_proof_penalty;
            let reason = Some(SlashReason::MissingProof);
            self.slash(ActorKind::Servicer, servicer, penalty, reason)?;
        }
        Ok(proven)
    }

    /// Scales relays down to what the application's stake can be burnt for.
    fn limit_to_stake(
        &self,
        application: Address,
        settled: &mut [u128],
    ) -> Result<(), LedgerError> {
        let burn = self.params.app_burn_per_relay.0;
        if burn == 0 {
            return Ok(());
        }
        let actor = self.actor(ActorKind::Application, application)?;
        let payable = actor.map_or(0, |actor| actor.stake.0 / burn);
        let total: u128 = settled.iter().sum();
        if total > payable {
            for relays in settled {
                *relays = Amount(*relays).mul_div_down(payable, total).unwrap_or_default().0;
            }
        }
        Ok(())
    }

    fn pay_salary(
        &mut self,
        session: &Session,
        servicer: Address,
        proven: u64,
        settled: u128,
    ) -> Result<(), LedgerError> {
        let Some(actor) = self.actor(ActorKind::Servicer, servicer)? else { return Ok(()) };
        let cap = self.params.servicer_stake_cap;
        let salary = Amount(settled)
            .mul_div_down(
                u128::from(self.params.usage_to_reward_numerator),
                u128::from(self.params.usage_to_reward_denominator),
            )
            .and_then(|full| full.mul_div_down(actor.stake.min(cap).0, cap.0))
            .ok_or(LedgerError::Arithmetic("a salary overflows"))?;
        let salary = self.mint(Pool::SalaryPool, salary)?;
        self.pool_to_account(Pool::SalaryPool, &actor.output, salary)?;
        self.events.push(Event::ClaimSettled {
            session: session.header,
            servicer,
            proven,
            settled: u64::try_from(settled).unwrap_or(u64::MAX),
            salary,
            output: actor.output,
        });
        Ok(())
    }

    fn count_volume(
        &mut self,
        header: &SessionHeader,
        proven: u128,
        settled: u128,
    ) -> Result<(), LedgerError> {
        let key = codec::encode(&(header.chain, header.zone));
        let mut volume: Volume = self.store.get(VOLUME, &key)?.unwrap_or_default();
        volume.proven = volume.proven.saturating_add(proven);
        volume.settled = volume.settled.saturating_add(settled);
        self.store.put(VOLUME, key, &volume);
        Ok(())
    }

    /// Forgets what can't matter any more, an amount that keeps up with what blocks add.
    pub(super) fn prune(&mut self) -> Result<(), LedgerError> {
        let height = self.tip.height;
        let budget = PRUNED_PER_BLOCK.saturating_add(self.receipts.len().saturating_mul(2));
        for id in self.store.drain::<TransactionId>(Queue::Transactions, height, budget)?.items {
            self.store.delete(TRANSACTIONS, codec::encode(&id));
        }
        for offence in self.store.drain::<Offence>(Queue::Offences, height, budget)?.items {
            self.store.delete(OFFENCES, codec::encode(&offence));
        }
        // Unsettled sessions still need their records and what they remember.
        let budget = if self.settlements_behind { 0 } else { budget };
        for start in self.store.drain::<Height>(Queue::Sessions, height, budget)?.items {
            self.store.delete(SESSION_RECORDS, codec::encode(&start));
        }
        for expired in self.store.drain::<Expired>(Queue::History, height, budget)?.items {
            self.store.forget(expired)?;
        }
        Ok(())
    }

    /// What goes with a validator that left.
    pub(super) fn drop_membership(&mut self, validator: &pocket_types::key::PublicKey) {
        self.store.delete(MEMBERSHIPS, codec::encode(validator));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(share: u128, bucket: u128) -> Budget {
        Budget { total: share * 4, share, bucket }
    }

    /// Claims of up to four servicers with a share of 100 each, and what they settle.
    #[test]
    fn shares_table() {
        let table: &[(&[u64], u64, u128, &[u128])] = &[
            (&[50, 60], 2, 1_000, &[50, 60]),
            (&[100, 100, 100, 100], 2, 1_000, &[100, 100, 100, 100]),
            (&[500, 100, 100, 100], 2, 1_000, &[100, 100, 100, 100]),
            (&[500], 2, 1_000, &[200]),
            (&[500], 9, 1_000, &[400]),
            (&[500], 9, 120, &[120]),
            (&[150, 250, 50], 2, 1_000, &[137, 200, 50]),
            (&[], 2, 1_000, &[]),
        ];
        for (claims, multiplier, bucket, settled) in table {
            assert_eq!(
                shares(&budget(100, *bucket), 4, *multiplier, claims),
                *settled,
                "claims {claims:?}, multiplier {multiplier}, bucket {bucket}"
            );
        }
    }
}
