//! Servicers commit to the relays that they served, then answer a challenge.
//!
//! The challenge is a point of the claimed sum, from the beacon's value at the block after the last
//! one that takes claims: nobody could know it when committing. The relay whose interval holds the
//! point has to be shown, signed by somebody who could ask for the application. A claim in which a
//! share of the relays is invented survives with the chance of the rest.
//!
//! One challenge is the simplest form. It does not show that the tree's digests strictly increase, so
//! a relay that stands in the tree several times goes unnoticed: proofs of neighbours and several
//! challenges come with the full economy of relays. Until then a claim is bounded by what its
//! application's stake can be burnt for, and burning costs more than it earns.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, SessionId};
use pocket_types::relay::RelayProof;
use pocket_types::session::SessionHeader;
use pocket_types::state::StateRead;
use pocket_types::sum::{SumProof, SumRoot};
use pocket_types::transaction::ActorKind;

use super::{DeliverError, Event, Ledger, Refusal};
use crate::session::{NoSession, Session};
use crate::state::actor::Status;
use crate::state::claim::Claim;
use crate::state::queue::Queue;
use crate::state::session::SessionRecord;
use crate::state::{CLAIMANTS, CLAIMS, SESSION_RECORDS};

/// What a relay weighs in a claim.
pub const RELAY_WEIGHT: u64 = 1;

/// The point of a claim's sum that it has to prove.
pub fn challenge_point(
    session: SessionId,
    servicer: &Address,
    root: &SumRoot,
    challenge: Hash,
) -> u64 {
    let seed = Domain::CLAIM_CHALLENGE
        .hasher()
        .fixed(&session.0.0)
        .fixed(&servicer.0)
        .fixed(&root.hash.0)
        .fixed(&challenge.0);
    seed.words().below(root.sum)
}

impl<S: StateRead> Ledger<S> {
    pub(super) fn claim(
        &mut self,
        servicer: Address,
        header: &SessionHeader,
        root: SumRoot,
    ) -> Result<(), DeliverError> {
        if root.count == 0 || root.sum != root.count * RELAY_WEIGHT {
            return Err(Refusal::ClaimShape { count: root.count, sum: root.sum }.into());
        }
        let kind = ActorKind::Servicer;
        let actor =
            self.actor(kind, servicer)?.ok_or(Refusal::NoActor { kind, actor: servicer })?;
        let windows = self.session_record(header)?.windows;
        let (open, close, height) = (windows.claim_open, windows.claim_close, self.tip.height);
        if !(open..=close).contains(&height) {
            return Err(Refusal::ClaimWindow { open, close, height }.into());
        }
        if let Status::Unstaking { since, .. } = actor.status
            && since <= windows.end
        {
            return Err(Refusal::LeftSession(servicer).into());
        }
        let key = codec::encode(&(header, servicer));
        if self.store.bytes(CLAIMS, &key)?.is_some() {
            return Err(Refusal::ClaimExists.into());
        }
        let session = self.session(header)?;
        if !session.has_servicer(&servicer) {
            return Err(Refusal::NotInSession(servicer).into());
        }
        self.store.put(CLAIMS, key, &Claim { root, height, proven: None });
        self.add_claimant(&session, servicer)?;
        self.events.push(Event::Claimed { session: *header, servicer, relays: root.count });
        Ok(())
    }

    fn add_claimant(&mut self, session: &Session, servicer: Address) -> Result<(), DeliverError> {
        let key = codec::encode(&session.header);
        let stored: Option<Vec<Address>> = self.store.get(CLAIMANTS, &key)?;
        if stored.is_none() {
            self.store.push(Queue::Settlements, session.windows.proof_close, &session.header)?;
        }
        let mut claimants = stored.unwrap_or_default();
        claimants.push(servicer);
        claimants.sort_unstable();
        self.store.put(CLAIMANTS, key, &claimants);
        Ok(())
    }

    pub(super) fn prove_claim(
        &mut self,
        servicer: Address,
        relay: &RelayProof,
        path: &SumProof,
    ) -> Result<(), DeliverError> {
        let header = &relay.head.session;
        let record = self.session_record(header)?;
        let key = codec::encode(&(header, servicer));
        let claim: Claim = self.store.get(CLAIMS, &key)?.ok_or(Refusal::NoClaim)?;
        if claim.proven.is_some() {
            return Err(Refusal::AlreadyProven.into());
        }
        let (open, close) = (record.windows.proof_open, record.windows.proof_close);
        let height = self.tip.height;
        let window = Refusal::ProofWindow { open, close, height };
        let Some(challenge) = record.challenge.filter(|_| (open..=close).contains(&height)) else {
            return Err(window.into());
        };
        if relay.head.servicer != servicer {
            let got = relay.head.servicer;
            return Err(Refusal::RelayServicer { got, expected: servicer }.into());
        }
        let session = self.session(header)?;
        if session.ring.binary_search(&relay.signer).is_err() {
            return Err(Refusal::RelaySigner(relay.signer).into());
        }
        let point = challenge_point(session.id, &servicer, &claim.root, challenge);
        path.verify(&claim.root, relay.head.digest(), RELAY_WEIGHT, point).map_err(Refusal::Sum)?;
        relay.verify().map_err(Refusal::Relay)?;
        self.store.put(CLAIMS, key, &Claim { proven: Some(height), ..claim });
        self.events.push(Event::ClaimProven { session: *header, servicer });
        Ok(())
    }

    fn session_record(&self, header: &SessionHeader) -> Result<SessionRecord, DeliverError> {
        if header.network != self.tip.chain {
            let (got, expected) = (header.network, self.tip.chain);
            return Err(Refusal::WrongNetwork { got, expected }.into());
        }
        let record = self.store.get(SESSION_RECORDS, &codec::encode(&header.start))?;
        Ok(record.ok_or(Refusal::NoSession(header.start))?)
    }

    fn session(&self, header: &SessionHeader) -> Result<Session, DeliverError> {
        Session::load(&self.store, header).map_err(|error| match error {
            NoSession::NotStaked { application, chain, .. } => {
                Refusal::NoApplicationSession { application, chain }.into()
            }
            NoSession::Ledger(error) => error.into(),
            _ => Refusal::NoSession(header.start).into(),
        })
    }
}
