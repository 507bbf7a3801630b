//! Actors come, lose stake, and go.

use alloc::string::ToString;

use pocket_types::bls::BlsKeyError;
use pocket_types::codec;
use pocket_types::id::Address;
use pocket_types::key::PublicKey;
use pocket_types::number::{Amount, Height};
use pocket_types::scheme::Scheme;
use pocket_types::state::StateRead;
use pocket_types::transaction::{ActorKind, Role};

use super::money::{add, sub};
use super::{DeliverError, Event, Ledger, LedgerError, Refusal, SlashReason, url};
use crate::state::actor::{Actor, Status};
use crate::state::queue::Queue;
use crate::state::session::Windows;
use crate::state::treasury::Pool;
use crate::state::{ACTORS, BLS_KEYS, FISHERMAN_ACL, is_pool};

/// Stakes that one block pays out; more wait for the next.
const PAYOUTS_PER_BLOCK: usize = 1_000;

impl<S: StateRead> Ledger<S> {
    pub(super) fn actor(
        &self,
        kind: ActorKind,
        address: Address,
    ) -> Result<Option<Actor>, LedgerError> {
        self.store.get(ACTORS, &codec::encode(&(kind, address)))
    }

    /// An actor that is not leaving, for messages that need one.
    pub(super) fn staked_actor(
        &self,
        kind: ActorKind,
        address: Address,
    ) -> Result<Actor, DeliverError> {
        let actor = self.actor(kind, address)?.ok_or(Refusal::NoActor { kind, actor: address })?;
        if actor.is_staked() {
            Ok(actor)
        } else {
            Err(Refusal::Unstaking { kind, actor: address }.into())
        }
    }

    /// Replaces an actor and keeps the totals: the only code that writes one.
    fn replace_actor(
        &mut self,
        kind: ActorKind,
        old: Option<&Actor>,
        new: Option<&Actor>,
    ) -> Result<(), LedgerError> {
        let Some(address) = new.or(old).map(Actor::address) else { return Ok(()) };
        let (staked, active) =
            (&mut self.treasury.staked[kind as usize], &mut self.treasury.active[kind as usize]);
        if let Some(old) = old {
            *staked = sub(*staked, old.stake)?;
            *active = active
                .checked_sub(u64::from(old.is_staked()))
                .ok_or(LedgerError::Arithmetic("fewer actors than none"))?;
        }
        if let Some(new) = new {
            *staked = add(*staked, new.stake)?;
            *active += u64::from(new.is_staked());
        }
        self.validators_changed |= kind == ActorKind::Validator;
        let key = codec::encode(&(kind, address));
        if matches!(kind, ActorKind::Application | ActorKind::Gateway) {
            self.store.remember(ACTORS, &key, self.clock.start)?;
        }
        match new {
            Some(new) => self.store.put(ACTORS, key, new),
            None => self.store.delete(ACTORS, key),
        }
        Ok(())
    }

    pub(crate) fn check_stake(
        &self,
        operator: &PublicKey,
        output: &Address,
        role: &Role,
    ) -> Result<(), Refusal> {
        operator.validate()?;
        if let Role::Validator { vrf_key, .. } = role {
            vrf_key.validate()?;
        }
        if is_pool(output) {
            return Err(Refusal::PaysPool(*output));
        }
        match role {
            Role::Application { chains, .. } => {
                check_chains(chains.len(), self.params.app_max_chains)
            }
            Role::Servicer { chains, service_url, .. } => {
                check_chains(chains.len(), self.params.servicer_max_chains)?;
                check_url(service_url)
            }
            Role::Fisherman { service_url, .. }
            | Role::Validator { service_url, .. }
            | Role::Gateway { service_url } => check_url(service_url),
        }
    }

    pub(super) fn stake(
        &mut self,
        signer: Address,
        operator: PublicKey,
        output: Address,
        amount: Amount,
        role: &Role,
    ) -> Result<(), DeliverError> {
        let (kind, address) = (role.kind(), Address::of(&operator));
        if signer != address && signer != output {
            return Err(Refusal::Signer { signer, expected: "operator or output" }.into());
        }
        self.check_minimum(kind, amount)?;
        // The money first: what the signer really has is within the bound of the supply.
        self.account_to_pool(&signer, Pool::of(kind), amount)?;
        self.admit(&Actor {
            public_key: operator,
            output,
            stake: amount,
            role: role.clone(),
            since: self.tip.height,
            status: Status::Staked,
        })?;
        if kind == ActorKind::Fisherman
            && self.store.bytes(FISHERMAN_ACL, &codec::encode(&address))?.is_none()
        {
            return Err(Refusal::FishermanNotAdmitted(address).into());
        }
        self.events.push(Event::Staked { kind, actor: address, amount });
        Ok(())
    }

    pub(crate) fn check_minimum(&self, kind: ActorKind, got: Amount) -> Result<(), Refusal> {
        let min = self.params.minimum_stake(kind);
        if got < min { Err(Refusal::MinimumStake { got, min }) } else { Ok(()) }
    }

    /// Stores a new actor, whose stake is in the pool already.
    pub(crate) fn admit(&mut self, actor: &Actor) -> Result<(), DeliverError> {
        let (kind, address) = (actor.kind(), actor.address());
        if self.actor(kind, address)?.is_some() {
            return Err(Refusal::ActorExists { kind, actor: address }.into());
        }
        self.admit_bls_key(actor)?;
        self.replace_actor(kind, None, Some(actor))?;
        self.store.register(kind, address)?;
        self.reindex_next_session(kind, address)?;
        Ok(())
    }

    /// The key of a validator's votes, where they are signed by BLS: proven, and nobody else's.
    /// Checking the proof takes longer than all else that a transaction does, so it comes last, when
    /// the signer has paid.
    fn admit_bls_key(&mut self, actor: &Actor) -> Result<(), DeliverError> {
        let Role::Validator { bls_key, .. } = &actor.role else { return Ok(()) };
        let proven = match (self.tip.scheme, bls_key) {
            (Scheme::BlsAggregate, Some(proven)) => proven,
            (Scheme::BlsAggregate, None) => return Err(Refusal::NoBlsKey.into()),
            (_, Some(_)) => return Err(Refusal::UnusedBlsKey.into()),
            (_, None) => return Ok(()),
        };
        let key = codec::encode(&proven.key);
        if self.store.bytes(BLS_KEYS, &key)?.is_some() {
            return Err(Refusal::BlsKeyTaken(proven.key).into());
        }
        match proven.validate() {
            Ok(()) => {}
            Err(BlsKeyError::Unavailable(error)) => return Err(LedgerError::from(error).into()),
            Err(error) => return Err(Refusal::BlsKey(error).into()),
        }
        self.store.put(BLS_KEYS, key, &actor.address());
        Ok(())
    }

    pub(super) fn unstake(
        &mut self,
        signer: Address,
        kind: ActorKind,
        address: Address,
    ) -> Result<(), DeliverError> {
        let actor = self.actor(kind, address)?.ok_or(Refusal::NoActor { kind, actor: address })?;
        if signer != address && signer != actor.output {
            return Err(Refusal::Signer { signer, expected: "operator or output" }.into());
        }
        if !actor.is_staked() {
            return Err(Refusal::Unstaking { kind, actor: address }.into());
        }
        let remaining = self.treasury.active(kind).saturating_sub(1);
        let min = self.params.min_active_fisherman;
        match kind {
            ActorKind::Validator if remaining == 0 => return Err(Refusal::LastValidator.into()),
            ActorKind::Fisherman if remaining < min => {
                return Err(Refusal::TooFewFishermen { remaining, min }.into());
            }
            _ => {}
        }
        Ok(self.begin_unstaking(&actor, false)?)
    }

    /// The stake stays where it can be burnt for the parameter's blocks, and for as long as a burn can
    /// still come: until the running session, the last that the actor has a part in, is settled; for
    /// a validator, which votes on until the next block, until evidence of that is too old.
    fn begin_unstaking(&mut self, actor: &Actor, forced: bool) -> Result<(), LedgerError> {
        let (kind, since) = (actor.kind(), self.tip.height);
        let unbonded = Height(since.0.saturating_add(self.params.unstaking_blocks(kind)));
        let liable = match kind {
            ActorKind::Fisherman => since.next(),
            ActorKind::Validator => Height(
                since.next().0.saturating_add(self.params.validator_max_evidence_age_in_blocks),
            ),
            _ => Windows::of(&self.clock, &self.params).proof_close,
        };
        // A later block in any case: this one may have paid out already.
        let due = unbonded.max(liable).max(since.next());
        let leaving = Actor { status: Status::Unstaking { since, due }, ..actor.clone() };
        self.replace_actor(kind, Some(actor), Some(&leaving))?;
        let address = actor.address();
        self.store.push(Queue::Unstaking, due, &(kind, address))?;
        self.reindex_next_session(kind, address)?;
        self.events.push(Event::UnstakingBegan { kind, actor: address, due, forced });
        Ok(())
    }

    fn reindex_next_session(
        &mut self,
        kind: ActorKind,
        address: Address,
    ) -> Result<(), LedgerError> {
        if !matches!(kind, ActorKind::Servicer | ActorKind::Fisherman) {
            return Ok(());
        }
        let next = Height(self.clock.start.0.saturating_add(self.clock.blocks));
        self.store.push(Queue::Reindex, next, &(address, kind))
    }

    /// Burns stake of an actor, leaving or not, at most what it has; says how much. One whose stake
    /// falls below the minimum begins to leave, once.
    pub(super) fn slash(
        &mut self,
        kind: ActorKind,
        address: Address,
        amount: Amount,
        reason: Option<SlashReason>,
    ) -> Result<Amount, LedgerError> {
        let Some(actor) = self.actor(kind, address)? else { return Ok(Amount::ZERO) };
        let amount = amount.min(actor.stake);
        let poorer = Actor { stake: sub(actor.stake, amount)?, ..actor.clone() };
        self.replace_actor(kind, Some(&actor), Some(&poorer))?;
        self.burn(Pool::of(kind), amount)?;
        if let Some(reason) = reason {
            self.events.push(Event::Slashed { kind, actor: address, amount, reason });
        }
        let last = kind == ActorKind::Validator && self.treasury.active(kind) <= 1;
        if poorer.is_staked() && poorer.stake < self.params.minimum_stake(kind) && !last {
            self.begin_unstaking(&poorer, true)?;
        }
        Ok(amount)
    }

    /// End of the block: stakes that are due go to their output. They wait while settlements that
    /// could still burn them are behind.
    pub(super) fn pay_unstaked(&mut self) -> Result<(), LedgerError> {
        let budget = if self.settlements_behind { 0 } else { PAYOUTS_PER_BLOCK };
        let due =
            self.store.drain::<(ActorKind, Address)>(Queue::Unstaking, self.tip.height, budget)?;
        for (kind, address) in due.items {
            let Some(actor) = self.actor(kind, address)? else { continue };
            self.pool_to_account(Pool::of(kind), &actor.output, actor.stake)?;
            self.replace_actor(kind, Some(&actor), None)?;
            self.store.deregister(kind, address)?;
            self.drop_delegations(kind, address)?;
            if let Role::Validator { bls_key, .. } = actor.role {
                self.drop_membership(&actor.public_key);
                if let Some(proven) = bls_key {
                    self.store.delete(BLS_KEYS, codec::encode(&proven.key));
                }
            }
            let (output, amount) = (actor.output, actor.stake);
            self.events.push(Event::Unstaked { kind, actor: address, output, amount });
        }
        Ok(())
    }
}

fn check_chains(got: usize, max: u64) -> Result<(), Refusal> {
    match got {
        0 => Err(Refusal::NoChains),
        _ if got as u64 > max => Err(Refusal::TooManyChains { got, max }),
        _ => Ok(()),
    }
}

fn check_url(service_url: &str) -> Result<(), Refusal> {
    url::check(service_url)
        .map_err(|reason| Refusal::ServiceUrl { url: service_url.to_string(), reason })
}
