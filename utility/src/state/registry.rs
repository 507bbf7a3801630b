//! A dense list of the actors of each kind, leaving ones included, so that they can be listed
//! without iterating over state.

use pocket_types::codec;
use pocket_types::id::Address;
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;

use super::REGISTRY;
use super::store::{Store, read};
use crate::ledger::LedgerError;

/// How many actors of a kind are stored.
pub(crate) fn count(state: &impl StateRead, kind: ActorKind) -> Result<u64, LedgerError> {
    Ok(read(state, REGISTRY, &codec::encode(&kind))?.unwrap_or_default())
}

/// The address at a place.
pub(crate) fn entry(
    state: &impl StateRead,
    kind: ActorKind,
    place: u64,
) -> Result<Option<Address>, LedgerError> {
    read(state, REGISTRY, &codec::encode(&(kind, place)))
}

impl<S: StateRead> Store<S> {
    pub(crate) fn register(&mut self, kind: ActorKind, actor: Address) -> Result<(), LedgerError> {
        let place = count(self, kind)?;
        self.put(REGISTRY, codec::encode(&(kind, place)), &actor);
        self.put(REGISTRY, codec::encode(&(kind, actor)), &place);
        self.put(REGISTRY, codec::encode(&kind), &(place + 1));
        Ok(())
    }

    pub(crate) fn deregister(
        &mut self,
        kind: ActorKind,
        actor: Address,
    ) -> Result<(), LedgerError> {
        let place_key = codec::encode(&(kind, actor));
        let damaged = || LedgerError::Damaged {
            collection: REGISTRY,
            key: codec::encode(&(kind, actor)),
            reason: "an actor is not in the registry".into(),
        };
        let place: u64 = self.get(REGISTRY, &place_key)?.ok_or_else(damaged)?;
        let last = count(self, kind)?.checked_sub(1).ok_or_else(damaged)?;
        let moved = entry(self, kind, last)?.ok_or_else(damaged)?;
        self.put(REGISTRY, codec::encode(&(kind, place)), &moved);
        self.put(REGISTRY, codec::encode(&(kind, moved)), &place);
        self.delete(REGISTRY, codec::encode(&(kind, last)));
        self.delete(REGISTRY, place_key);
        self.put(REGISTRY, codec::encode(&kind), &last);
        Ok(())
    }
}
