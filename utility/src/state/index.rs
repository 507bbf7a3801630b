//! Who stands in the dense indexes from which sessions draw.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::id::Address;
use pocket_types::number::Height;
use pocket_types::session::{Index, IndexHead, SESSIONS};
use pocket_types::state::StateRead;
use pocket_types::transaction::Role;

use super::PLACES;
use super::actor::Actor;
use super::store::Store;
use crate::ledger::LedgerError;
use crate::params::Params;

/// The indexes that an actor belongs into.
fn indexes(actor: &Actor) -> Vec<Index> {
    match &actor.role {
        Role::Servicer { chains, zone, .. } => {
            chains.iter().map(|&chain| Index::Servicers { chain, zone: *zone }).collect()
        }
        Role::Fisherman { zone, .. } => alloc::vec![Index::Fishermen { zone: *zone }],
        _ => Vec::new(),
    }
}

impl<S: StateRead> Store<S> {
    /// Lets a staked actor into its indexes and takes a leaving one out, whatever happened to it
    /// since the last session started, at `until`.
    pub(crate) fn reindex(
        &mut self,
        actor: &Actor,
        params: &Params,
        until: Height,
    ) -> Result<(), LedgerError> {
        let address = actor.address();
        for index in indexes(actor) {
            let place: Option<u64> = self.get(PLACES, &codec::encode(&(index, address)))?;
            match (place, actor.is_staked()) {
                (None, true) => self.append(index, address, params, until)?,
                (Some(place), false) => self.swap_remove(index, address, place, params, until)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        index: Index,
        address: Address,
        params: &Params,
        until: Height,
    ) -> Result<(), LedgerError> {
        let length = self.length(index)?;
        self.set_entry(index, length, Some(address), until)?;
        self.set_length(index, length + 1, params, until)
    }

    fn swap_remove(
        &mut self,
        index: Index,
        address: Address,
        place: u64,
        params: &Params,
        until: Height,
    ) -> Result<(), LedgerError> {
        let damaged = || LedgerError::Damaged {
            collection: SESSIONS,
            key: index.head_key(),
            reason: "the index misses its last entry".into(),
        };
        let last = self.length(index)?.checked_sub(1).ok_or_else(damaged)?;
        if place != last {
            let moved = self.get(SESSIONS, &index.entry_key(last))?.ok_or_else(damaged)?;
            self.set_entry(index, place, Some(moved), until)?;
        }
        self.set_entry(index, last, None, until)?;
        self.delete(PLACES, codec::encode(&(index, address)));
        self.set_length(index, last, params, until)
    }

    fn length(&self, index: Index) -> Result<u64, LedgerError> {
        let head: Option<IndexHead> = self.get(SESSIONS, &index.head_key())?;
        Ok(head.unwrap_or_default().length)
    }

    fn set_length(
        &mut self,
        index: Index,
        length: u64,
        params: &Params,
        until: Height,
    ) -> Result<(), LedgerError> {
        let draw = match index {
            Index::Servicers { .. } => params.servicers_per_session,
            Index::Fishermen { .. } => params.fisherman_per_session,
        };
        let key = index.head_key();
        self.remember(SESSIONS, &key, until)?;
        self.put(SESSIONS, key, &IndexHead { length, draw });
        Ok(())
    }

    fn set_entry(
        &mut self,
        index: Index,
        place: u64,
        entry: Option<Address>,
        until: Height,
    ) -> Result<(), LedgerError> {
        let key = index.entry_key(place);
        self.remember(SESSIONS, &key, until)?;
        match entry {
            Some(address) => {
                self.put(SESSIONS, key, &address);
                self.put(PLACES, codec::encode(&(index, address)), &place);
            }
            None => self.delete(SESSIONS, key),
        }
        Ok(())
    }
}
