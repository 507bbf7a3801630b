//! Applications choose the gateways that may sign for them.
//!
//! A change takes effect with the next session because every session reads the delegations as they
//! stood when it started; delegating again in the session in which one undelegated undoes it.

use alloc::vec::Vec;

use pocket_types::codec::{self, List};
use pocket_types::id::Address;
use pocket_types::key::PublicKey;
use pocket_types::number::Amount;
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;

use super::{DeliverError, Event, Ledger, LedgerError, Refusal};
use crate::state::delegation::{Delegation, Delegations, MAX_DELEGATIONS};
use crate::state::{DELEGATIONS, DELEGATORS};

impl<S: StateRead> Ledger<S> {
    pub(crate) fn delegate(
        &mut self,
        application: Address,
        gateway: PublicKey,
    ) -> Result<(), DeliverError> {
        self.staked_actor(ActorKind::Application, application)?;
        let address = Address::of(&gateway);
        let actor = self.staked_actor(ActorKind::Gateway, address)?;
        let mut delegations = self.living_delegations(application)?;
        if delegations.iter().any(|delegation| delegation.gateway == gateway) {
            return Err(Refusal::AlreadyDelegated.into());
        }
        let got = delegations.len() as u64 + 1;
        let max = self.params.app_max_delegations.min(MAX_DELEGATIONS as u64);
        if got > max {
            return Err(Refusal::TooManyDelegations { got, max }.into());
        }
        let delegators = self.delegators(address)?.saturating_add(1);
        let min =
            Amount(self.params.stake_per_app_delegation.0.saturating_mul(u128::from(delegators)));
        if actor.stake < min {
            return Err(Refusal::MinimumStake { got: actor.stake, min }.into());
        }
        delegations.push(Delegation { gateway, since: actor.since });
        self.set_delegations(application, delegations)?;
        self.store.put(DELEGATORS, codec::encode(&address), &delegators);
        self.events.push(Event::Delegated { application, gateway: address });
        Ok(())
    }

    pub(super) fn undelegate(
        &mut self,
        application: Address,
        gateway: PublicKey,
    ) -> Result<(), DeliverError> {
        self.staked_actor(ActorKind::Application, application)?;
        let mut delegations = self.living_delegations(application)?;
        let before = delegations.len();
        delegations.retain(|delegation| delegation.gateway != gateway);
        if delegations.len() == before {
            return Err(Refusal::NotDelegated.into());
        }
        self.set_delegations(application, delegations)?;
        let address = Address::of(&gateway);
        self.release_delegator(address)?;
        self.events.push(Event::Undelegated { application, gateway: address });
        Ok(())
    }

    /// What goes with an actor that left.
    pub(super) fn drop_delegations(
        &mut self,
        kind: ActorKind,
        address: Address,
    ) -> Result<(), LedgerError> {
        match kind {
            ActorKind::Application => {
                for delegation in self.living_delegations(address)? {
                    self.release_delegator(Address::of(&delegation.gateway))?;
                }
                self.set_delegations(address, Vec::new())
            }
            ActorKind::Gateway => {
                self.store.delete(DELEGATORS, codec::encode(&address));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delegators(&self, gateway: Address) -> Result<u64, LedgerError> {
        Ok(self.store.get(DELEGATORS, &codec::encode(&gateway))?.unwrap_or_default())
    }

    fn release_delegator(&mut self, gateway: Address) -> Result<(), LedgerError> {
        let delegators = self.delegators(gateway)?.saturating_sub(1);
        let key = codec::encode(&gateway);
        if delegators == 0 {
            self.store.delete(DELEGATORS, key);
        } else {
            self.store.put(DELEGATORS, key, &delegators);
        }
        Ok(())
    }

    /// The application's delegations without those to gateways that left (and perhaps came back).
    fn living_delegations(&self, application: Address) -> Result<Vec<Delegation>, LedgerError> {
        let stored: Option<Delegations> =
            self.store.get(DELEGATIONS, &codec::encode(&application))?;
        let mut living = Vec::new();
        for delegation in stored.unwrap_or_default().into_vec() {
            let gateway = self.actor(ActorKind::Gateway, Address::of(&delegation.gateway))?;
            if gateway.is_some_and(|gateway| gateway.since == delegation.since) {
                living.push(delegation);
            }
        }
        Ok(living)
    }

    fn set_delegations(
        &mut self,
        application: Address,
        delegations: Vec<Delegation>,
    ) -> Result<(), LedgerError> {
        let key = codec::encode(&application);
        self.store.remember(DELEGATIONS, &key, self.clock.start)?;
        if delegations.is_empty() {
            self.store.delete(DELEGATIONS, key);
        } else {
            let delegations: Delegations = List::new(delegations)
                .map_err(|_| LedgerError::Arithmetic("more delegations than the bound"))?;
            self.store.put(DELEGATIONS, key, &delegations);
        }
        Ok(())
    }
}
