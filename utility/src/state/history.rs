//! What values were when a session started, for as long as that session is unsettled.
//!
//! Claims are checked against the index, the application and its gateways *as they stood when the
//! session started*, blocks after these changed. So a change of such a value first writes the old
//! one down, once for each session: a read as of a session's start takes the oldest note that is
//! still good for it, or the value itself. A note costs one write when something changes, nothing
//! when nothing does, and is dropped when its session is settled.

use alloc::string::ToString;
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::number::Height;
use pocket_types::session::{CLOCK_KEY, SESSIONS};
use pocket_types::state::{Collection, StateError, StateRead};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::queue::Queue;
use super::session::SessionRecord;
use super::store::{Store, read};
use super::{ACTORS, DELEGATIONS, HISTORY, SESSION_RECORDS};
use crate::ledger::LedgerError;

/// A value that was replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Past {
    /// Start of the last session for which it stood.
    until: Height,
    /// The value; none if there was none.
    value: Option<Vec<u8>>,
}

/// A note to drop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Expired {
    key: Vec<u8>,
    until: Height,
}

impl<S: StateRead> Store<S> {
    /// Writes the value down as the one that stood until the session that started at `until`; call
    /// before each change.
    pub(crate) fn remember(
        &mut self,
        collection: Collection,
        key: &[u8],
        until: Height,
    ) -> Result<(), LedgerError> {
        let Some(session) = self.get::<SessionRecord>(SESSION_RECORDS, &codec::encode(&until))?
        else {
            return Ok(()); // before the first session
        };
        let note = note_key(collection, key);
        let mut past: Vec<Past> = self.get(HISTORY, &note)?.unwrap_or_default();
        if past.last().is_some_and(|last| last.until >= until) {
            return Ok(());
        }
        past.push(Past { until, value: self.bytes(collection, key)? });
        self.put(HISTORY, note.clone(), &past);
        let expired = Expired { key: note, until };
        self.push(Queue::History, session.windows.proof_close, &expired)
    }

    pub(crate) fn forget(&mut self, expired: Expired) -> Result<(), LedgerError> {
        let mut past: Vec<Past> = self.get(HISTORY, &expired.key)?.unwrap_or_default();
        past.retain(|past| past.until > expired.until);
        if past.is_empty() {
            self.delete(HISTORY, expired.key);
        } else {
            self.put(HISTORY, expired.key, &past);
        }
        Ok(())
    }
}

/// A state as it stood when an unsettled session started. Only the collections that sessions are
/// checked against go back in time.
pub(crate) struct AsOf<'s, S> {
    pub(crate) state: &'s S,
    pub(crate) start: Height,
}

impl<S: StateRead> AsOf<'_, S> {
    fn stored<T: DeserializeOwned>(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<T>, StateError> {
        read(self.state, collection, key).map_err(|error| match error {
            LedgerError::State(error) => error,
            damaged => StateError { collection, key: key.to_vec(), reason: damaged.to_string() },
        })
    }
}

impl<S: StateRead> StateRead for AsOf<'_, S> {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if (collection, key) == (SESSIONS, CLOCK_KEY) {
            let record: Option<SessionRecord> =
                self.stored(SESSION_RECORDS, &codec::encode(&self.start))?;
            return Ok(record.map(|record| codec::encode(&record.clock)));
        }
        if [SESSIONS, ACTORS, DELEGATIONS].contains(&collection) {
            let past: Option<Vec<Past>> = self.stored(HISTORY, &note_key(collection, key))?;
            let mut past = past.unwrap_or_default().into_iter();
            if let Some(past) = past.find(|past| past.until >= self.start) {
                return Ok(past.value);
            }
        }
        self.state.get(collection, key)
    }
}

fn note_key(collection: Collection, key: &[u8]) -> Vec<u8> {
    codec::encode(&(collection, key))
}
