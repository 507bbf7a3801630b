//! What a servicer keeps of the sessions that it serves.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use pocket_types::codec::Bytes;
use pocket_types::id::{Address, GeoZone, RelayChain, RelayDigest};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Height, Timestamp};
use pocket_types::relay::{MAX_PAYLOAD, RelayProof, RelayRequest, RelayResponse};
use pocket_types::session::SessionHeader;
use pocket_types::state::StateRead;
use pocket_types::transaction::Message;

use super::{ClaimTree, PayloadCheck, RefusalCounts, RelayRefusal};
use crate::ledger::{LedgerError, challenge_point};
use crate::query;
use crate::session::Session;

/// What a servicer serves and how much it keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicerConfig {
    /// Its key: identity and response signatures.
    pub public_key: PublicKey,
    /// Chains that it can execute requests against.
    pub chains: BTreeSet<RelayChain>,
    /// Where it is staked.
    pub zone: GeoZone,
    /// The largest payload that it takes, in bytes.
    pub max_payload: usize,
    /// Sessions kept at once. One is kept for each application that it serves, until settled.
    pub max_sessions: usize,
    /// Relays kept for a session, about 400 bytes each.
    pub max_relays_per_session: usize,
}

impl ServicerConfig {
    /// A configuration with room for 1,000 sessions of 100,000 relays.
    pub const fn new(public_key: PublicKey, chains: BTreeSet<RelayChain>, zone: GeoZone) -> Self {
        Self {
            public_key,
            chains,
            zone,
            max_payload: MAX_PAYLOAD,
            max_sessions: 1_000,
            max_relays_per_session: 100_000,
        }
    }
}

/// A servicer's relays: who may ask, what was answered, what to claim.
///
/// For each request: [`check`](Self::check) it, execute it, then [`complete`](Self::complete) it with
/// the answer or [`abandon`](Self::abandon) it. After each block: send what [`due`](Self::due) says as
/// transactions signed by the servicer's key, and drop from storage the relays of the sessions
/// that [`forget_settled`](Self::forget_settled) names.
#[derive(Debug)]
pub struct Servicer<P> {
    config: ServicerConfig,
    address: Address,
    payloads: P,
    sessions: BTreeMap<SessionHeader, Served>,
    refusals: RefusalCounts,
}

/// A session that is served.
#[derive(Debug)]
struct Served {
    session: Session,
    relays: BTreeMap<RelayDigest, RelayProof>,
    /// Accepted and not answered yet.
    pending: BTreeSet<RelayDigest>,
    /// What was claimed, or is about to be: from then on nothing more counts.
    claimed: Option<ClaimTree>,
}

/// A request that will be answered. It holds one of its session's tokens until it is completed or
/// abandoned.
#[must_use = "complete it with an answer, or abandon it to give its token back"]
#[derive(PartialEq, Eq, Debug)]
pub struct Accepted {
    digest: RelayDigest,
    proof: RelayProof,
}

/// A request that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// What to send, once `record` is stored.
    pub response: RelayResponse,
    /// What has to survive a crash: the evidence for the claim. None when the session was claimed
    /// before the answer was ready; such a relay earns nothing.
    pub record: Option<RelayProof>,
}

/// A message that should be in one of the next blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The message, to be signed by the servicer's key.
    pub message: Message,
    /// The last height that takes it: a good expiry for the transaction.
    pub until: Height,
}

impl Accepted {
    /// The request.
    pub const fn proof(&self) -> &RelayProof {
        &self.proof
    }
}

impl<P: PayloadCheck> Servicer<P> {
    /// A servicer that has served nothing yet.
    pub fn new(config: ServicerConfig, payloads: P) -> Self {
        Self {
            address: Address::of(&config.public_key),
            config,
            payloads,
            sessions: BTreeMap::new(),
            refusals: RefusalCounts::default(),
        }
    }

    /// Whether to serve a request, by the latest state. The checks are those of section 3.2 of the
    /// specification, the cheap ones first and the signature last, so that what a stranger sends
    /// costs little until it is signed by somebody who may ask.
    ///
    /// # Errors
    ///
    /// [`RelayRefusal`], naming the first check that fails, and counted.
    pub fn check(
        &mut self,
        request: &RelayRequest,
        state: &impl StateRead,
    ) -> Result<Accepted, RelayRefusal> {
        let checked = self.check_uncounted(request, state);
        if let Err(refusal) = &checked {
            self.refusals.count(refusal);
        }
        checked
    }

    fn check_uncounted(
        &mut self,
        request: &RelayRequest,
        state: &impl StateRead,
    ) -> Result<Accepted, RelayRefusal> {
        let (head, header) = (&request.proof.head, &request.proof.head.session);
        self.check_alone(request)?;
        let tip = query::tip(state)?;
        if header.network != tip.chain {
            let (got, expected) = (header.network, tip.chain);
            return Err(RelayRefusal::WrongNetwork { got, expected });
        }
        let opened = match self.sessions.get(header) {
            Some(_) => None,
            None => Some(self.open(header, state)?),
        };
        let Some(served) = opened.as_ref().or_else(|| self.sessions.get(header)) else {
            return Err(RelayRefusal::NotInSession(self.address));
        };
        let session = &served.session;
        let (height, start, last) = (tip.height, header.start, session.windows.grace);
        if !(start..=last).contains(&height) {
            return Err(RelayRefusal::Height { height, start, last });
        }
        let signer = request.proof.signer;
        if session.ring.binary_search(&signer).is_err() {
            return Err(RelayRefusal::Signer(signer));
        }
        let (used, limit) = (served.relays.len() + served.pending.len(), session.budget.bucket);
        if used as u128 >= limit {
            return Err(RelayRefusal::NoTokens { limit });
        }
        if used >= self.config.max_relays_per_session {
            return Err(RelayRefusal::Full("relays of this session"));
        }
        let digest = head.digest();
        if served.relays.contains_key(&digest) || served.pending.contains(&digest) {
            return Err(RelayRefusal::Replayed);
        }
        request.verify()?;
        if let Some(opened) = opened {
            self.sessions.insert(*header, opened);
        }
        if let Some(served) = self.sessions.get_mut(header) {
            served.pending.insert(digest);
        }
        Ok(Accepted { digest, proof: request.proof.clone() })
    }

    /// What can be said of a request without looking at the state.
    fn check_alone(&self, request: &RelayRequest) -> Result<(), RelayRefusal> {
        let head = &request.proof.head;
        let (got, max) = (request.payload.len(), self.config.max_payload);
        if got > max {
            return Err(RelayRefusal::TooLarge { got, max });
        }
        self.payloads.check(head.kind, &request.payload).map_err(RelayRefusal::Payload)?;
        if head.servicer != self.address {
            return Err(RelayRefusal::WrongServicer { got: head.servicer, expected: self.address });
        }
        let (chain, zone) = (head.session.chain, head.session.zone);
        if zone != self.config.zone || !self.config.chains.contains(&chain) {
            return Err(RelayRefusal::ChainNotServed { chain, zone });
        }
        Ok(())
    }

    /// Establishes a session that is not served yet.
    fn open(&self, header: &SessionHeader, state: &impl StateRead) -> Result<Served, RelayRefusal> {
        let session = Session::load(state, header)?;
        if !session.has_servicer(&self.address) {
            return Err(RelayRefusal::NotInSession(self.address));
        }
        if self.sessions.len() >= self.config.max_sessions {
            return Err(RelayRefusal::Full("sessions"));
        }
        Ok(Served { session, relays: BTreeMap::new(), pending: BTreeSet::new(), claimed: None })
    }

    /// Signs the answer to an accepted request and counts the relay. `key` must be the one of the
    /// configuration, `time` is the host's clock.
    pub fn complete(
        &mut self,
        accepted: Accepted,
        answer: Bytes<MAX_PAYLOAD>,
        time: Timestamp,
        key: &SecretKey,
    ) -> Answered {
        let Accepted { digest, proof } = accepted;
        let mut record = None;
        if let Some(served) = self.sessions.get_mut(&proof.head.session) {
            served.pending.remove(&digest);
            if served.claimed.is_none() {
                served.relays.insert(digest, proof.clone());
                record = Some(proof);
            }
        }
        Answered { response: RelayResponse::sign(digest, answer, time, key), record }
    }

    /// Gives an accepted request up: its execution failed.
    pub fn abandon(&mut self, accepted: Accepted) {
        if let Some(served) = self.sessions.get_mut(&accepted.proof.head.session) {
            served.pending.remove(&accepted.digest);
        }
    }

    /// Takes stored relays back after a restart; gives back those of sessions that were settled
    /// meanwhile, which the host can delete.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read.
    pub fn restore(
        &mut self,
        records: impl IntoIterator<Item = RelayProof>,
        state: &impl StateRead,
    ) -> Result<Vec<RelayProof>, LedgerError> {
        let mut stale = Vec::new();
        for record in records {
            let header = record.head.session;
            if !self.sessions.contains_key(&header) {
                match self.open(&header, state) {
                    Ok(served) => drop(self.sessions.insert(header, served)),
                    Err(RelayRefusal::Session(crate::session::NoSession::Ledger(error))) => {
                        return Err(error);
                    }
                    Err(_) => {
                        stale.push(record);
                        continue;
                    }
                }
            }
            if let Some(served) = self.sessions.get_mut(&header) {
                served.relays.insert(record.head.digest(), record);
            }
        }
        Ok(stale)
    }

    /// The claims and proofs that a block on top of this state would take, and that are not on
    /// chain yet. Asking again gives the same until they are. A session that is claimed counts no
    /// more relays, so every record has to be stored before this is called: a claim that can't be
    /// proven after a crash costs stake.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read.
    pub fn due(&mut self, state: &impl StateRead) -> Result<Vec<Due>, LedgerError> {
        let next = query::tip(state)?.height.next();
        let mut due = Vec::new();
        for (header, served) in &mut self.sessions {
            let windows = served.session.windows;
            if next < windows.claim_open || served.relays.is_empty() {
                continue;
            }
            if served.claimed.is_none() {
                served.claimed = ClaimTree::new(served.relays.keys().copied());
            }
            let claim = query::claim(state, header, &self.address)?;
            if (windows.claim_open..=windows.claim_close).contains(&next) && claim.is_none() {
                due.extend(served.claim());
            }
            let unproven = claim.filter(|claim| claim.proven.is_none());
            if (windows.proof_open..=windows.proof_close).contains(&next)
                && let Some(claim) = unproven
                && let Some(record) = query::session_record(state, header.start)?
                && let Some(challenge) = record.challenge
            {
                let point =
                    challenge_point(served.session.id, &self.address, &claim.root, challenge);
                due.extend(served.prove(point));
            }
        }
        Ok(due)
    }

    /// Forgets the sessions that are settled in this state, and names them: their stored relays can
    /// be deleted.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read.
    pub fn forget_settled(
        &mut self,
        state: &impl StateRead,
    ) -> Result<Vec<SessionHeader>, LedgerError> {
        let mut settled = Vec::new();
        for header in self.sessions.keys() {
            if query::session_record(state, header.start)?.is_none() {
                settled.push(*header);
            }
        }
        for header in &settled {
            self.sessions.remove(header);
        }
        Ok(settled)
    }

    /// Relays answered in the sessions that are kept, by session.
    pub fn served(&self) -> impl Iterator<Item = (&SessionHeader, usize)> {
        self.sessions.iter().map(|(header, served)| (header, served.relays.len()))
    }

    /// Refused relays by reason.
    pub const fn refusals(&self) -> &RefusalCounts {
        &self.refusals
    }

    /// The servicer's address.
    pub const fn address(&self) -> Address {
        self.address
    }
}

impl Served {
    fn claim(&self) -> Option<Due> {
        let (session, root) = (self.session.header, self.claimed.as_ref()?.root());
        let message = Message::Claim { session, root };
        Some(Due { message, until: self.session.windows.claim_close })
    }

    fn prove(&self, point: u64) -> Option<Due> {
        let (digest, path) = self.claimed.as_ref()?.prove(point)?;
        let relay = Box::new(self.relays.get(&digest)?.clone());
        let message = Message::ProveClaim { relay, path };
        Some(Due { message, until: self.session.windows.proof_close })
    }
}
