//! Begin of the block: sessions start, and their challenges are fixed.

use alloc::collections::BTreeSet;

use pocket_types::codec;
use pocket_types::id::Address;
use pocket_types::number::Height;
use pocket_types::session::{CLOCK_KEY, SESSIONS, SessionClock};
use pocket_types::state::StateRead;
use pocket_types::transaction::ActorKind;

use super::{Event, Ledger, LedgerError};
use crate::state::SESSION_RECORDS;
use crate::state::queue::Queue;
use crate::state::session::{SessionRecord, Windows};

impl<S: StateRead> Ledger<S> {
    /// Starts a session if one is due, and challenges the claims of those whose window closed.
    pub(super) fn start_session(&mut self) -> Result<(), LedgerError> {
        let height = self.tip.height;
        let due = self.store.drain::<Height>(Queue::Challenges, height, usize::MAX)?;
        for start in due.items {
            let key = codec::encode(&start);
            if let Some(mut record) = self.store.get::<SessionRecord>(SESSION_RECORDS, &key)? {
                record.challenge = Some(self.randomness);
                self.store.put(SESSION_RECORDS, key, &record);
            }
        }
        // Drained at every height, due only where a session starts.
        let moves = self.store.drain::<(Address, ActorKind)>(Queue::Reindex, height, usize::MAX)?;
        let previous = self.clock;
        if height.0 != previous.start.0.saturating_add(previous.blocks) {
            return Ok(());
        }
        let moves: BTreeSet<_> = moves.items.into_iter().collect();
        for (address, kind) in moves {
            if let Some(actor) = self.actor(kind, address)? {
                self.store.reindex(&actor, &self.params, previous.start)?;
            }
        }
        self.clock = SessionClock {
            number: previous.number.saturating_add(1),
            start: height,
            blocks: self.params.blocks_per_session,
        };
        self.store.put(SESSIONS, CLOCK_KEY.to_vec(), &self.clock);
        let windows = Windows::of(&self.clock, &self.params);
        let record = SessionRecord {
            clock: self.clock,
            randomness: self.randomness,
            windows,
            challenge: None,
        };
        self.store.put(SESSION_RECORDS, codec::encode(&height), &record);
        self.store.push(Queue::Challenges, windows.challenge, &height)?;
        self.store.push(Queue::Sessions, windows.proof_close, &height)?;
        self.events.push(Event::SessionStarted(self.clock));
        Ok(())
    }
}
