//! Relays: what a servicer serves and claims, and what a gateway passes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use pocket_p2p::message::{MessageClass, Outcome, Request, RequestId, RequestKind, Response};
use pocket_persistence::store::{Direction, Durability, KeyRange};
use pocket_types::codec::{self, Bytes, Text};
use pocket_types::hash::Domain;
use pocket_types::id::{Address, RelayChain};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Duration, Height, Timestamp};
use pocket_types::relay::{PayloadKind, RelayHead, RelayProof, RelayRequest, RelayResponse};
use pocket_types::session::SessionHeader;
use pocket_types::state::Collection;
use pocket_types::transaction::{ActorKind, Message, TransactionBody};
use pocket_utility::query;
use pocket_utility::relay::{Accepted, Servicer, ServicerConfig, StandardPayloads};
use pocket_utility::session::Session;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::api::{Encoded, decode_hex, read};
use super::gossip::News;
use super::{Event, Node, PENALTY};
use crate::chain::Chain;
use crate::config::{Keys, NodeConfig};
use crate::genesis;
use crate::rpc::{Client, GatewayRelay, RpcError};

/// Evidence of answered relays, by session start and digest.
const RELAYS: Collection = Collection::new("relays");
const NONCE: Domain = Domain::custom("pocket node transaction nonce");
/// Stored relays that are read at once on opening.
const PAGE: usize = 10_000;
/// Relays that a servicer executes, or a gateway waits for, at once.
const MAX_UNDER_WAY: usize = 1_000;
/// How long a gateway waits for a servicer.
const TIMEOUT: Duration = Duration::seconds(5);
/// Servicers that a gateway asks before it gives up.
const ATTEMPTS: usize = 4;
/// A servicer that is a block behind knows the new session after a moment.
const RETRY_AFTER: Duration = Duration(150);

/// A relay chain's answer to an accepted request.
pub(crate) struct RelayDone {
    ticket: u64,
    answer: Result<Vec<u8>>,
}

/// Both ends of a relay, as far as this node is one of them.
pub(super) struct Relays {
    key: SecretKey,
    servicer: Option<Serving>,
    gateway: Gateway,
    events: mpsc::Sender<Event>,
}

struct Serving {
    servicer: Servicer<StandardPayloads>,
    chains: BTreeMap<RelayChain, Client>,
    executing: BTreeMap<u64, (Accepted, ReplyTo)>,
    next: u64,
    served: u64,
}

enum ReplyTo {
    Client(oneshot::Sender<Result<Value, RpcError>>),
    Peer(PublicKey, RequestId),
}

struct Gateway {
    applications: Vec<Address>,
    waiting: BTreeMap<RequestId, Waiting>,
    next: u64,
}

/// A payload on its way through us.
struct Waiting {
    relay: Relay,
    head: Option<(PublicKey, RelayHead)>,
    /// When the servicer has had enough time, or when to ask the next one.
    deadline: Timestamp,
}

struct Relay {
    application: Address,
    chain: RelayChain,
    payload: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, RpcError>>,
    attempts: usize,
    last_refusal: String,
}

impl Relays {
    pub(super) fn open(
        config: &NodeConfig,
        keys: &Keys,
        chain: &Chain,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
        let gateway =
            Gateway { applications: config.gateway_for.clone(), waiting: BTreeMap::new(), next: 0 };
        let servicer = match config.relay_chains.is_empty() {
            true => None,
            false => Some(Serving::restore(config, keys, chain)?),
        };
        Ok(Self { key: keys.identity(), servicer, gateway, events })
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.gateway.waiting.values().map(|waiting| waiting.deadline).min()
    }

    pub(super) fn served(&self) -> u64 {
        self.servicer.as_ref().map_or(0, |serving| serving.served)
    }

    pub(super) fn rejected(&self) -> BTreeMap<String, u64> {
        let serving = self.servicer.iter();
        let refusals = serving.flat_map(|serving| &serving.servicer.refusals().0);
        refusals.map(|(&reason, &count)| (reason.to_owned(), count)).collect()
    }
}

impl Serving {
    /// A servicer with what it had answered before.
    fn restore(config: &NodeConfig, keys: &Keys, chain: &Chain) -> Result<Self> {
        let served = config.relay_chains.keys().copied().collect();
        let zone = genesis::ZONE.parse()?;
        let mut servicer =
            Servicer::new(ServicerConfig::new(keys.public_key(), served, zone), StandardPayloads);
        let state = chain.state()?;
        let mut range = KeyRange::all();
        loop {
            let rows = chain.database.scan_local(RELAYS, &range, Direction::Forward, PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            // The key right after the last one read.
            range.start = [&last[..], &[0]].concat();
            let records = rows.iter().map(|(_, bytes)| codec::decode_within(bytes, 4096));
            let records = records.collect::<Result<Vec<RelayProof>, _>>();
            let records = records.context("the stored relays are damaged")?;
            // Those of settled sessions go with the next block that settles one.
            let _settled = servicer.restore(records, &state)?;
        }
        let clients = config
            .relay_chains
            .iter()
            .map(|(chain, url)| Ok((*chain, Client::new(url.clone())?)))
            .collect::<Result<_>>()?;
        Ok(Self { servicer, chains: clients, executing: BTreeMap::new(), next: 0, served: 0 })
    }
}

impl Node {
    /// A relay that came by JSON-RPC.
    pub(super) fn relay_by_rpc(
        &mut self,
        params: &Value,
        reply: oneshot::Sender<Result<Value, RpcError>>,
    ) -> Result<()> {
        let request = read::<Encoded>(params.clone()).and_then(|encoded| decode_hex(&encoded.hex));
        match request {
            Ok(request) => self.serve(request, ReplyTo::Client(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
                Ok(())
            }
        }
    }

    /// A question of a peer.
    pub(super) fn request(&mut self, peer: PublicKey, request: Request) -> Result<()> {
        let Request { id, kind, body } = request;
        let reply = ReplyTo::Peer(peer, id);
        match kind {
            RequestKind::Relay => match codec::decode::<RelayRequest>(&body) {
                Ok(request) => self.serve(request, reply),
                Err(malformed) => self.misbehaved(peer, PENALTY, &malformed.to_string()),
            },
            other => {
                self.reply(reply, Err(format!("{other:?} requests are not served here")));
                Ok(())
            }
        }
    }

    /// Checks a relay and sends it to its chain.
    fn serve(&mut self, request: RelayRequest, reply: ReplyTo) -> Result<()> {
        let state = self.chain.state()?;
        let Some(serving) = &mut self.relays.servicer else {
            self.reply(reply, Err("this node is no servicer".to_owned()));
            return Ok(());
        };
        if serving.executing.len() >= MAX_UNDER_WAY {
            self.reply(reply, Err("the servicer is busy".to_owned()));
            return Ok(());
        }
        let accepted = match serving.servicer.check(&request, &state) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                self.reply(reply, Err(refusal.to_string()));
                return Ok(());
            }
        };
        let chain = accepted.proof().head.session.chain;
        let Some(client) = serving.chains.get(&chain).cloned() else {
            serving.servicer.abandon(accepted);
            self.reply(reply, Err(format!("no endpoint for chain {chain}")));
            return Ok(());
        };
        let ticket = serving.next;
        serving.next += 1;
        serving.executing.insert(ticket, (accepted, reply));
        let events = self.relays.events.clone();
        tokio::spawn(async move {
            let answer = client.post("/", request.payload.into_vec()).await;
            let _ = events.send(Event::RelayDone(RelayDone { ticket, answer })).await;
        });
        Ok(())
    }

    /// A relay chain has answered: sign, keep the evidence, reply.
    pub(super) fn relay_done(&mut self, done: RelayDone) -> Result<()> {
        let now = self.now();
        let Some(serving) = &mut self.relays.servicer else { return Ok(()) };
        let Some((accepted, reply)) = serving.executing.remove(&done.ticket) else { return Ok(()) };
        let answer = done.answer.and_then(|answer| Ok(Bytes::new(answer)?));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                serving.servicer.abandon(accepted);
                self.reply(reply, Err(format!("the relay chain failed: {error:#}")));
                return Ok(());
            }
        };
        let answered = serving.servicer.complete(accepted, answer, now, &self.relays.key);
        serving.served += 1;
        // Durable with the next block: a crash before it costs this servicer the pay for a few
        // relays and nobody else anything, while a write to disk for each would cost far more.
        if let Some(record) = &answered.record {
            let row = (relay_key(record), codec::encode(record));
            self.chain.database.put_local(RELAYS, &[row], Durability::Eventual)?;
        }
        self.reply(reply, Ok(answered.response));
        Ok(())
    }

    fn reply(&self, to: ReplyTo, answer: Result<RelayResponse, String>) {
        match to {
            ReplyTo::Client(reply) => {
                let answer =
                    answer.map(|response| Value::String(hex::encode(codec::encode(&response))));
                let _ = reply.send(answer.map_err(RpcError::refused));
            }
            ReplyTo::Peer(peer, id) => {
                let answer = answer.and_then(|response| {
                    Bytes::new(codec::encode(&response)).map_err(|error| error.to_string())
                });
                let outcome = match answer {
                    Ok(bytes) => Outcome::Answered(bytes),
                    Err(reason) => Outcome::Refused(short(&reason)),
                };
                let body = Arc::new(codec::encode(&Response { id, outcome }));
                self.links.send(&peer, MessageClass::Response, body);
            }
        }
    }

    /// After each block: claim what was served, prove what is challenged, forget what is settled.
    pub(super) fn claim_relays(&mut self) -> Result<()> {
        let state = self.chain.state()?;
        let Some(serving) = &mut self.relays.servicer else { return Ok(()) };
        let due = serving.servicer.due(&state)?;
        let settled = serving.servicer.forget_settled(&state)?;
        for session in settled {
            let range = KeyRange::prefix(session_key(&session));
            self.chain.database.delete_local(RELAYS, &range, Durability::Eventual)?;
        }
        for due in due {
            self.send_own(due.message, due.until)?;
        }
        Ok(())
    }

    /// Signs and sends a transaction of this node's own.
    fn send_own(&mut self, message: Message, expiry: Height) -> Result<()> {
        // The nonce follows from the message: asking again makes the same transaction again.
        let nonce = NONCE.hasher().fixed(&codec::encode(&message)).words().next_word();
        let body = TransactionBody {
            chain: self.chain.chain_id(),
            nonce,
            expiry,
            fee: genesis::FEE,
            signer: self.public_key,
            message,
        };
        let transaction = body.sign(&self.relays.key);
        // The same claim is due in every block until one holds it.
        if self.admit(transaction.clone()).is_ok() {
            self.broadcast(&News::Transaction(Box::new(transaction)))?;
        }
        Ok(())
    }

    /// An application wants a payload relayed.
    pub(super) fn gateway_relay(&mut self, relay: GatewayRelay) -> Result<()> {
        let GatewayRelay { application, chain, payload, reply } = relay;
        let (Ok(application), Ok(chain)) = (application.parse::<Address>(), chain.parse()) else {
            let _ = reply.send(Err(RpcError::params("expected /relay/APPLICATION/CHAIN")));
            return Ok(());
        };
        if !self.relays.gateway.applications.contains(&application) {
            let refusal = format!("this gateway does not relay for {application}");
            let _ = reply.send(Err(RpcError::refused(refusal)));
            return Ok(());
        }
        if self.relays.gateway.waiting.len() >= MAX_UNDER_WAY {
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
        let id = RequestId(self.relays.gateway.next);
        self.relays.gateway.next += 1;
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
        self.relays.gateway.waiting.insert(id, waiting);
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
        let payload = Bytes::new(relay.payload.clone())?;
        let nonce = getrandom::u64()?;
        let kind = PayloadKind::JsonRpc;
        Ok(RelayRequest::sign(*session, servicer, nonce, kind, payload, &self.relays.key))
    }

    /// A servicer has answered.
    pub(super) fn response(&mut self, peer: PublicKey, response: Response) -> Result<()> {
        let waiting = &mut self.relays.gateway.waiting;
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
        let id = RequestId(self.relays.gateway.next);
        self.relays.gateway.next += 1;
        self.relays.gateway.waiting.insert(id, waiting);
        Ok(())
    }

    /// Asks other servicers where one did not answer in time.
    pub(super) fn tick_relays(&mut self) -> Result<()> {
        let now = self.now();
        let due = |waiting: &Waiting| waiting.deadline <= now;
        let late: Vec<RequestId> = self
            .relays
            .gateway
            .waiting
            .iter()
            .filter_map(|(id, waiting)| due(waiting).then_some(*id))
            .collect();
        for id in late {
            if let Some(mut waiting) = self.relays.gateway.waiting.remove(&id) {
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

fn session_key(session: &SessionHeader) -> Vec<u8> {
    let mut key = session.start.0.to_be_bytes().to_vec();
    key.extend(codec::encode(session));
    key
}

fn relay_key(record: &RelayProof) -> Vec<u8> {
    let mut key = session_key(&record.head.session);
    key.extend(record.head.digest().0.0);
    key
}

/// A reason for people that fits into a response.
fn short(reason: &str) -> Text<256> {
    let fitting: String = reason.chars().filter(|c| !c.is_control()).take(60).collect();
    Text::new(fitting).unwrap_or_default()
}
