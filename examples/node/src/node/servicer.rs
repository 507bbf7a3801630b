//! A servicer: checks relays, has their chain answer them, and claims what it served.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use pocket_p2p::message::{MessageClass, Outcome, Request, RequestId, RequestKind, Response};
use pocket_persistence::store::{Direction, Durability, KeyRange};
use pocket_types::codec::{self, Bytes, Text};
use pocket_types::hash::Domain;
use pocket_types::id::RelayChain;
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::relay::{RelayProof, RelayRequest, RelayResponse};
use pocket_types::session::SessionHeader;
use pocket_types::state::Collection;
use pocket_types::transaction::TransactionBody;
use pocket_utility::relay::{Accepted, Due, Servicer, ServicerConfig, StandardPayloads};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::api::{Encoded, decode_hex, read};
use super::gossip::News;
use super::{Event, MAX_RELAYS_UNDER_WAY, Node, PENALTY};
use crate::chain::Chain;
use crate::config::{Keys, NodeConfig};
use crate::genesis;
use crate::rpc::{Client, RpcError};

/// Evidence of answered relays, by session and digest.
const RELAYS: Collection = Collection::new("relays");
/// Stored relays that are read at once on opening.
const PAGE: usize = 10_000;
const NONCE: Domain = Domain::custom("pocket node transaction nonce");

/// A relay chain's answer to an accepted request.
pub(crate) struct RelayDone {
    ticket: u64,
    answer: Result<Vec<u8>>,
}

/// What a servicer is about.
pub(super) struct Serving {
    servicer: Servicer<StandardPayloads>,
    key: SecretKey,
    chains: BTreeMap<RelayChain, Client>,
    executing: BTreeMap<u64, (Accepted, ReplyTo)>,
    events: mpsc::Sender<Event>,
    next: u64,
    served: u64,
}

enum ReplyTo {
    Client(oneshot::Sender<Result<Value, RpcError>>),
    Peer(PublicKey, RequestId),
}

impl Serving {
    /// A servicer, if the configuration names chains to serve, with what it had answered before.
    pub(super) fn open(
        config: &NodeConfig,
        keys: &Keys,
        chain: &Chain,
        events: mpsc::Sender<Event>,
    ) -> Result<Option<Self>> {
        let serves = !config.relay_chains.is_empty();
        serves.then(|| Self::restore(config, keys, chain, events)).transpose()
    }

    /// Relays answered since the node started.
    pub(super) const fn served(&self) -> u64 {
        self.served
    }

    /// Relays refused since the node started, by reason.
    pub(super) fn rejected(&self) -> BTreeMap<String, u64> {
        let refusals = self.servicer.refusals().0.iter();
        refusals.map(|(&reason, &count)| (reason.to_owned(), count)).collect()
    }

    /// A servicer with what it had answered before.
    fn restore(
        config: &NodeConfig,
        keys: &Keys,
        chain: &Chain,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
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
            for settled in servicer.restore(records, &state)? {
                let range = KeyRange::prefix(relay_key(&settled));
                chain.database.delete_local(RELAYS, &range, Durability::Eventual)?;
            }
        }
        let clients = config
            .relay_chains
            .iter()
            .map(|(chain, url)| Ok((*chain, Client::new(url.clone())?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            servicer,
            key: keys.identity(),
            chains: clients,
            executing: BTreeMap::new(),
            events,
            next: 0,
            served: 0,
        })
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
        let Some(serving) = &mut self.serving else {
            self.reply(reply, Err("this node is no servicer".to_owned()));
            return Ok(());
        };
        if serving.executing.len() >= MAX_RELAYS_UNDER_WAY {
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
        let events = serving.events.clone();
        tokio::spawn(async move {
            let answer = client.post("/", request.payload.into_vec()).await;
            let _ = events.send(Event::RelayDone(RelayDone { ticket, answer })).await;
        });
        Ok(())
    }

    /// A relay chain has answered: sign, keep the evidence, reply.
    pub(super) fn relay_done(&mut self, done: RelayDone) -> Result<()> {
        let now = self.now();
        let Some(serving) = &mut self.serving else { return Ok(()) };
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
        let answered = serving.servicer.complete(accepted, answer, now, &serving.key);
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
        let Some(serving) = &mut self.serving else { return Ok(()) };
        let due = serving.servicer.due(&state)?;
        let settled = serving.servicer.forget_settled(&state)?;
        for session in settled {
            let range = KeyRange::prefix(session_key(&session));
            self.chain.database.delete_local(RELAYS, &range, Durability::Eventual)?;
        }
        let (chain, signer) = (self.chain.chain_id(), self.public_key);
        let sign = |due: Due| {
            // The nonce follows from the message: what is due in every block until one holds it is
            // the same transaction each time.
            let nonce = NONCE.hasher().fixed(&codec::encode(&due.message)).words().next_word();
            let (expiry, message) = (due.until, due.message);
            TransactionBody { chain, nonce, expiry, fee: genesis::FEE, signer, message }
                .sign(&serving.key)
        };
        for transaction in due.into_iter().map(sign).collect::<Vec<_>>() {
            if self.admit(transaction.clone()).is_ok() {
                self.broadcast(&News::Transaction(Box::new(transaction)))?;
            }
        }
        Ok(())
    }
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
    let mut fitting = String::new();
    for character in reason.chars().filter(|c| !c.is_control()) {
        if fitting.len() + character.len_utf8() > 256 {
            break;
        }
        fitting.push(character);
    }
    Text::new(fitting).unwrap_or_default()
}
