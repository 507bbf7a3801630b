//! A gateway: takes an application's payload to a servicer of its session, and checks the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use pocket_p2p::message::{MessageClass, Outcome, Request, RequestId, RequestKind, Response};
use pocket_types::codec::{self, Bytes};
use pocket_types::id::{Address, RelayChain};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::relay::{MAX_PAYLOAD, PayloadKind, RelayHead, RelayRequest, RelayResponse};
use pocket_types::session::SessionHeader;
use pocket_types::transaction::ActorKind;
use pocket_utility::query;
use pocket_utility::session::Session;
use tokio::sync::oneshot;

use super::{MAX_RELAYS_UNDER_WAY, Node, PENALTY};
use crate::config::{Keys, NodeConfig};
use crate::rpc::{GatewayRelay, RpcError};

/// How long a gateway waits for a servicer.
const TIMEOUT: Duration = Duration::seconds(5);
/// Servicers that a gateway asks before it gives up.
const ATTEMPTS: usize = 4;
/// A servicer that is a block behind knows the new session after a moment.
const RETRY_AFTER: Duration = Duration(150);

/// What a gateway waits for.
pub(super) struct Gateway {
    key: SecretKey,
    applications: Vec<Address>,
    waiting: BTreeMap<RequestId, Waiting>,
    next: u64,
}

/// A payload on its way through us.
struct Waiting {
    relay: Relay,
    /// The servicer that was asked, and for what.
    head: Option<(PublicKey, RelayHead)>,
    /// When the servicer has had enough time, or when to ask the next one.
    deadline: Timestamp,
}

struct Relay {
    application: Address,
    chain: RelayChain,
    payload: Bytes<MAX_PAYLOAD>,
    reply: oneshot::Sender<Result<Vec<u8>, RpcError>>,
    attempts: usize,
    last_refusal: String,
}

impl Gateway {
    pub(super) fn new(config: &NodeConfig, keys: &Keys) -> Self {
        let applications = config.gateway_for.clone();
        Self { key: keys.identity(), applications, waiting: BTreeMap::new(), next: 0 }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    fn name(&mut self) -> RequestId {
        self.next += 1;
        RequestId(self.next)
    }
}

impl Node {
    /// An application wants a payload relayed.
    pub(super) fn gateway_relay(&mut self, relay: GatewayRelay) -> Result<()> {
        let GatewayRelay { application, chain, payload, reply } = relay;
        let (Ok(application), Ok(chain)) = (application.parse::<Address>(), chain.parse()) else {
            let _ = reply.send(Err(RpcError::params("expected /relay/APPLICATION/CHAIN")));
            return Ok(());
        };
        if !self.gateway.applications.contains(&application) {
            let refusal = format!("this gateway does not relay for {application}");
            let _ = reply.send(Err(RpcError::refused(refusal)));
            return Ok(());
        }
        let Ok(payload) = Bytes::new(payload) else {
            let refusal = format!("a payload has at most {MAX_PAYLOAD} bytes");
            let _ = reply.send(Err(RpcError::params(refusal)));
            return Ok(());
        };
        if self.gateway.waiting.len() >= MAX_RELAYS_UNDER_WAY {
            let _ = reply.send(Err(RpcError::refused("the gateway is busy")));
            return Ok(());
        }
        let last_refusal = "no servicer of the session is connected".to_owned();
        self.ask_servicer(Relay { application, chain, payload, reply, attempts: 0, last_refusal })
    }

    /// Sends a payload to the next servicer of the running session.
    fn ask_servicer(&mut self, mut relay: Relay) -> Result<()> {
        if relay.attempts >= ATTEMPTS {
            let _ = relay.reply.send(Err(RpcError::refused(relay.last_refusal)));
            return Ok(());
        }
        relay.attempts += 1;
        let now = self.now();
        let id = self.gateway.name();
        let mut waiting = Waiting { relay, head: None, deadline: now.after(RETRY_AFTER) };
        match self.session_for(waiting.relay.application, waiting.relay.chain) {
            Ok(session) => {
                let turn = usize::try_from(id.0).unwrap_or_default();
                if let Some(peer) = self.servicer_of(&session, turn) {
                    let request =
                        self.sign_relay(&session.header, Address::of(&peer), &waiting.relay)?;
                    let head = request.proof.head.clone();
                    let body = Bytes::new(codec::encode(&request))?;
                    let request = Request { id, kind: RequestKind::Relay, body };
                    let body = Arc::new(codec::encode(&request));
                    if self.links.send(&peer, MessageClass::Request, body) {
                        waiting.head = Some((peer, head));
                        waiting.deadline = now.after(TIMEOUT);
                    }
                }
            }
            Err(error) => waiting.relay.last_refusal = format!("{error:#}"),
        }
        self.gateway.waiting.insert(id, waiting);
        Ok(())
    }

    pub(super) fn session_for(&self, application: Address, chain: RelayChain) -> Result<Session> {
        let state = self.chain.state()?;
        let actor = query::actor(&state, ActorKind::Application, &application)?;
        let zone = actor.and_then(|actor| actor.zone());
        let zone = zone.with_context(|| format!("{application} is no application"))?;
        let header = Session::current_header(&state, application, chain, zone)?;
        Ok(Session::load(&state, &header)?)
    }

    /// A connected servicer of a session, another one each turn.
    fn servicer_of(&self, session: &Session, turn: usize) -> Option<PublicKey> {
        let peers = self.config.peers.iter().map(|peer| peer.public_key);
        let reachable: Vec<PublicKey> = peers
            .filter(|key| session.has_servicer(&Address::of(key)) && self.links.is_connected(key))
            .collect();
        reachable.get(turn.checked_rem(reachable.len())?).copied()
    }

    fn sign_relay(
        &self,
        session: &SessionHeader,
        servicer: Address,
        relay: &Relay,
    ) -> Result<RelayRequest> {
        let payload = relay.payload.clone();
        let nonce = getrandom::u64()?;
        let kind = PayloadKind::JsonRpc;
        Ok(RelayRequest::sign(*session, servicer, nonce, kind, payload, &self.gateway.key))
    }

    /// A servicer has answered.
    pub(super) fn response(&mut self, peer: PublicKey, response: Response) -> Result<()> {
        let waiting = &mut self.gateway.waiting;
        // An answer that comes too late was asked for once.
        let Some(asked) = waiting.get(&response.id).map(|waiting| waiting.head.as_ref()) else {
            return Ok(());
        };
        if asked.is_none_or(|(servicer, _)| *servicer != peer) {
            return self.misbehaved(peer, PENALTY, "answered a request that it was not asked");
        }
        let Some(waiting) = waiting.remove(&response.id) else { return Ok(()) };
        let Some((servicer, head)) = &waiting.head else { return Ok(()) };
        let servicer = *servicer;
        match checked(response.outcome, head) {
            Ok(answer) => {
                let _ = waiting.relay.reply.send(Ok(answer));
                Ok(())
            }
            Err(Answer::Refused(reason)) => self.retry(waiting, reason),
            Err(Answer::Wrong(reason)) => {
                self.misbehaved(servicer, PENALTY, &reason)?;
                self.retry(waiting, reason)
            }
        }
    }

    fn retry(&mut self, mut waiting: Waiting, reason: String) -> Result<()> {
        waiting.relay.last_refusal = reason;
        waiting.head = None;
        waiting.deadline = self.now().after(RETRY_AFTER);
        let id = self.gateway.name();
        self.gateway.waiting.insert(id, waiting);
        Ok(())
    }

    /// Asks other servicers where one did not answer in time.
    pub(super) fn tick_gateway(&mut self) -> Result<()> {
        let now = self.now();
        let due = |waiting: &Waiting| waiting.deadline <= now;
        let late: Vec<RequestId> = self
            .gateway
            .waiting
            .iter()
            .filter_map(|(id, waiting)| due(waiting).then_some(*id))
            .collect();
        for id in late {
            if let Some(mut waiting) = self.gateway.waiting.remove(&id) {
                if waiting.head.is_some() {
                    waiting.relay.last_refusal = "the servicer did not answer in time".to_owned();
                }
                self.ask_servicer(waiting.relay)?;
            }
        }
        Ok(())
    }
}

enum Answer {
    /// The servicer declined.
    Refused(String),
    /// The servicer lied.
    Wrong(String),
}

/// The payload of an answer that holds.
fn checked(outcome: Outcome, head: &RelayHead) -> Result<Vec<u8>, Answer> {
    let bytes = match outcome {
        Outcome::Answered(bytes) => bytes,
        Outcome::Refused(reason) => return Err(Answer::Refused(reason.to_string())),
    };
    let response: RelayResponse =
        codec::decode(&bytes).map_err(|error| Answer::Wrong(error.to_string()))?;
    response.verify(head).map_err(|error| Answer::Wrong(error.to_string()))?;
    Ok(response.payload.into_vec())
}
