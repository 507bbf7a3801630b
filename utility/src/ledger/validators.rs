//! End of the block: who decides the blocks from the next but one on.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::codec::{self, List};
use pocket_types::id::Address;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Weight};
use pocket_types::state::StateRead;
use pocket_types::transaction::{ActorKind, Role};
use pocket_types::validator::{Validator, ValidatorSet};
use serde::{Deserialize, Serialize};

use super::{Event, Ledger, LedgerError};
use crate::state::actor::Actor;
use crate::state::{MEMBERSHIPS, ONLY, VALIDATORS, registry};

/// The heights at which a validator votes or voted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Membership(List<Span, MAX_SPANS>);

/// Beyond this many, the two oldest spans become one: a gap is then judged as membership, but a
/// gap is harmless to those who did not sign in it.
const MAX_SPANS: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Span {
    from: Height,
    /// Last height; none while it lasts.
    until: Option<Height>,
}

impl Membership {
    pub(super) fn holds(&self, height: Height) -> bool {
        self.0
            .iter()
            .any(|span| span.from <= height && span.until.is_none_or(|until| height <= until))
    }

    fn join(&mut self, from: Height) {
        let mut spans = core::mem::take(&mut self.0).into_vec();
        if spans.len() == MAX_SPANS {
            let oldest = spans.remove(0);
            spans[0].from = oldest.from;
        }
        spans.push(Span { from, until: None });
        self.0 = List::new(spans).unwrap_or_default();
    }

    fn leave(&mut self, until: Height) {
        let mut spans = core::mem::take(&mut self.0).into_vec();
        if let Some(last) = spans.last_mut() {
            last.until = Some(until);
        }
        self.0 = List::new(spans).unwrap_or_default();
    }
}

impl<S: StateRead> Ledger<S> {
    /// The next set, if the one that was made last is not it: the validators with the most stake,
    /// the smaller address first among equals, each weighing its stake in uPOKT. Costs nothing in
    /// blocks that touch no validator's stake.
    pub(crate) fn update_validators(&mut self) -> Result<Option<ValidatorSet>, LedgerError> {
        if !self.validators_changed {
            return Ok(None);
        }
        let members = self.heaviest_validators()?;
        if members.is_empty() {
            return Ok(None); // the set that is there goes on rather than halting the chain
        }
        let current: Option<ValidatorSet> = self.store.get(VALIDATORS, ONLY)?;
        let epoch = current.as_ref().map(|set| set.epoch.next()).unwrap_or_default();
        let next = ValidatorSet::new(epoch, members)?.signing_by(self.tip.scheme);
        if current.as_ref().is_some_and(|set| set.members == next.members) {
            return Ok(None);
        }
        let from = match self.tip.height {
            Height::GENESIS => Height(1),
            height => height.next().next(),
        };
        self.note_memberships(current.as_ref(), &next, from)?;
        self.store.put(VALIDATORS, ONLY.to_vec(), &next);
        self.events.push(Event::ValidatorsChanged { epoch, from });
        Ok(Some(next))
    }

    fn heaviest_validators(&self) -> Result<Vec<Validator>, LedgerError> {
        let mut ranked: Vec<(u64, Address, Actor)> = Vec::new();
        for place in 0..registry::count(&self.store, ActorKind::Validator)? {
            let Some(address) = registry::entry(&self.store, ActorKind::Validator, place)? else {
                continue;
            };
            let Some(actor) = self.actor(ActorKind::Validator, address)? else { continue };
            let stake = u64::try_from(actor.stake.0)
                .map_err(|_| LedgerError::Arithmetic("a stake exceeds the supply's bound"))?;
            if actor.is_staked() && stake > 0 {
                ranked.push((stake, address, actor));
            }
        }
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let max = usize::try_from(self.params.max_validators).unwrap_or(usize::MAX);
        let members = ranked.into_iter().take(max).filter_map(|(stake, _, actor)| {
            let Role::Validator { vrf_key, bls_key, .. } = actor.role else { return None };
            let bls_key = bls_key.map(|proven| proven.key);
            Some(Validator {
                public_key: actor.public_key,
                vrf_key,
                weight: Weight(stake),
                bls_key,
            })
        });
        Ok(members.collect())
    }

    fn note_memberships(
        &mut self,
        current: Option<&ValidatorSet>,
        next: &ValidatorSet,
        from: Height,
    ) -> Result<(), LedgerError> {
        let keys = |set: &ValidatorSet| -> BTreeMap<PublicKey, ()> {
            set.members.iter().map(|member| (member.public_key, ())).collect()
        };
        let (old, new) = (current.map(keys).unwrap_or_default(), keys(next));
        let last = Height(from.0.saturating_sub(1));
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            self.change_membership(key, |membership| membership.leave(last))?;
        }
        for key in new.keys().filter(|key| !old.contains_key(key)) {
            self.change_membership(key, |membership| membership.join(from))?;
        }
        Ok(())
    }

    fn change_membership(
        &mut self,
        key: &PublicKey,
        change: impl FnOnce(&mut Membership),
    ) -> Result<(), LedgerError> {
        let row = codec::encode(key);
        let mut membership: Membership = self.store.get(MEMBERSHIPS, &row)?.unwrap_or_default();
        change(&mut membership);
        self.store.put(MEMBERSHIPS, row, &membership);
        Ok(())
    }

    /// Where the proposer's share goes; none if it is no actor any more.
    pub(super) fn proposer_output(&self) -> Result<Option<Address>, LedgerError> {
        let actor = self.actor(ActorKind::Validator, Address::of(&self.proposer))?;
        Ok(actor.map(|actor| actor.output))
    }
}
