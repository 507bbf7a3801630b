//! What clients can ask a node: the methods of its JSON-RPC.
//!
//! | method | parameters | answer |
//! |---|---|---|
//! | `pocket_chain` | | the network's id |
//! | `pocket_height` | | height of the last decided block |
//! | `pocket_status` | | [`Status`] |
//! | `pocket_block` | `height` | [`BlockView`] |
//! | `pocket_finality` | `height` | a `FinalityProof` in hex |
//! | `pocket_validators` | `height` | the `ValidatorSet` that decides the height, in hex |
//! | `pocket_transaction` | `id` | height, index and the transaction in hex; null if unknown |
//! | `pocket_sendTransaction` | `hex` | the transaction's id |
//! | `pocket_balance` | `address`, `height`? | uPOKT |
//! | `pocket_supply` | `height`? | total, minted and burned uPOKT |
//! | `pocket_actor` | `kind`, `address` | the actor; null if there is none |
//! | `pocket_params` | | the governance parameters |
//! | `pocket_session` | `application`, `chain` | the running session: header and actors |
//! | `pocket_sessionProof` | `session`, `seat` | a `SessionProof` in hex |
//! | `pocket_prove` | `collection`, `key`, `height`? | a `ProvenValue` in hex |
//! | `pocket_relay` | `hex` | servicers only: a `RelayResponse` in hex |

use anyhow::Result;
use pocket_types::codec::{self, List};
use pocket_types::hash::Hash;
use pocket_types::id::{Address, RelayChain, TransactionId};
use pocket_types::number::Height;
use pocket_types::session::{SESSIONS, Seat, SessionHeader, SessionProof};
use pocket_types::state::Collection;
use pocket_types::transaction::{ActorKind, Message, Transaction};
use pocket_utility::query;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::gossip::News;
use super::servicer::Serving;
use super::{Node, Status};
use crate::report::{BlockView, EventView, SupplyView, TransactionView};
use crate::rpc::{Call, RpcError};

type Answer = Result<Value, RpcError>;

impl Node {
    /// Answers a client, at once or, for a relay, when its chain has answered.
    pub(super) fn call(&mut self, call: Call) -> Result<()> {
        let Call { method, params, reply } = call;
        if method == "pocket_relay" {
            return self.relay_by_rpc(&params, reply);
        }
        let answer = self.answer(&method, params);
        // A client that has gone away misses its answer.
        let _ = reply.send(answer);
        Ok(())
    }

    fn answer(&mut self, method: &str, params: Value) -> Answer {
        match method {
            "pocket_chain" => to_json(self.chain.chain_id()),
            "pocket_height" => to_json(self.height()),
            "pocket_status" => self.status(),
            "pocket_block" => self.block(read::<AtHeight>(params)?.height),
            "pocket_finality" => {
                let height = read::<AtHeight>(params)?.height;
                encoded(&self.chain.database.finality(height).map_err(RpcError::refused)?)
            }
            "pocket_validators" => {
                let height = read::<AtHeight>(params)?.height;
                if height > self.height().next().next() {
                    return Err(RpcError::refused(
                        "the validators of that height are not known yet",
                    ));
                }
                encoded(&self.chain.validators(height).map_err(RpcError::refused)?)
            }
            "pocket_transaction" => self.transaction(read::<ById>(params)?.id),
            "pocket_sendTransaction" => self.send_transaction(&read::<Encoded>(params)?.hex),
            "pocket_balance" => self.balance(read(params)?),
            "pocket_supply" => self.supply(read::<MaybeHeight>(params)?.height),
            "pocket_actor" => self.actor(read(params)?),
            "pocket_params" => self.params(),
            "pocket_session" => self.session(read(params)?),
            "pocket_sessionProof" => self.session_proof(read(params)?),
            "pocket_prove" => self.prove(read(params)?),
            _ => Err(RpcError::no_method(method)),
        }
    }

    pub(super) fn height(&self) -> Height {
        self.chain.tip().height()
    }

    fn status(&self) -> Answer {
        let tip = self.chain.tip();
        to_json(Status {
            name: self.config.name.clone(),
            address: self.address,
            chain: self.chain.chain_id(),
            height: tip.height().0,
            state_root: self.chain.database.tip().state_root,
            validator: tip.validators().position(&self.public_key).is_some(),
            peers: self.links.peers(),
            mempool: self.mempool.len(),
            relays_served: self.serving.as_ref().map_or(0, Serving::served),
            relays_rejected: self.serving.as_ref().map(Serving::rejected).unwrap_or_default(),
        })
    }

    fn block(&self, height: Height) -> Answer {
        let block = self.chain.database.block(height).map_err(RpcError::refused)?;
        let events = self.chain.events(height).map_err(RpcError::internal)?;
        let transactions = block.transactions.iter().map(|transaction| TransactionView {
            id: transaction.id().0,
            kind: kind(&transaction.body.message).to_owned(),
        });
        to_json(BlockView {
            height: height.0,
            id: block.id().0,
            time: block.header.time.0,
            proposer: Address::of(&block.header.proposer),
            state_root: block.header.state_root,
            transactions: transactions.collect(),
            events: events.iter().filter_map(EventView::of).collect(),
        })
    }

    fn transaction(&self, id: Hash) -> Answer {
        let found =
            self.chain.database.transaction(TransactionId(id)).map_err(RpcError::refused)?;
        let Some(found) = found else { return Ok(Value::Null) };
        Ok(json!({
            "height": found.height,
            "block": found.block,
            "index": found.proof.index,
            "proof": hex::encode(codec::encode(&found.proof)),
            "hex": hex::encode(codec::encode(&found.transaction)),
        }))
    }

    fn send_transaction(&mut self, hex: &str) -> Answer {
        let transaction: Transaction = decode_hex(hex)?;
        let id = transaction.id();
        self.admit(transaction.clone())?;
        self.broadcast(&News::Transaction(Box::new(transaction))).map_err(RpcError::internal)?;
        to_json(id)
    }

    fn balance(&self, asked: Balance) -> Answer {
        let height = asked.height.unwrap_or_else(|| self.height());
        let balance = query::balance(&self.chain.at(height), &asked.address);
        to_json(balance.map_err(RpcError::refused)?)
    }

    fn supply(&self, height: Option<Height>) -> Answer {
        let height = height.unwrap_or_else(|| self.height());
        let supply = query::supply(&self.chain.at(height)).map_err(RpcError::refused)?;
        to_json(SupplyView { total: supply.total, minted: supply.minted, burned: supply.burned })
    }

    fn actor(&self, asked: ActorAt) -> Answer {
        let state = self.chain.state().map_err(RpcError::internal)?;
        let actor = query::actor(&state, asked.kind, &asked.address);
        let Some(actor) = actor.map_err(RpcError::internal)? else { return Ok(Value::Null) };
        let mut view = to_json(&actor)?;
        view["service_url"] = json!(actor.service_url().map(|url| url.to_string()));
        Ok(view)
    }

    fn params(&self) -> Answer {
        let state = self.chain.state().map_err(RpcError::internal)?;
        to_json(query::params(&state).map_err(RpcError::internal)?)
    }

    fn session(&self, asked: SessionOf) -> Answer {
        let session = self
            .session_for(asked.application, asked.chain)
            .map_err(|error| RpcError::refused(format_args!("{error:#}")))?;
        Ok(json!({
            "header": session.header,
            "id": session.id,
            "number": session.number,
            "servicers": session.servicers,
            "fishermen": session.fishermen,
        }))
    }

    /// The beacon's value at a height.
    pub(super) fn beacon(&self, height: Height) -> Result<Hash, RpcError> {
        let header = self.chain.database.header(height).map_err(RpcError::refused)?;
        Ok(header.randomness)
    }

    fn session_proof(&self, asked: ProofOf) -> Answer {
        let ProofOf { session, seat } = asked;
        let database = &self.chain.database;
        let state = database.state_at(session.start).map_err(RpcError::refused)?;
        let randomness = self.beacon(session.start)?;
        let keys =
            SessionProof::keys(&session, seat, randomness, &state).map_err(RpcError::refused)?;
        let values = keys.iter().map(|key| state.prove(SESSIONS, key));
        let values = values.collect::<Result<_, _>>().map_err(RpcError::internal)?;
        let values = List::new(values).map_err(RpcError::internal)?;
        encoded(&SessionProof { session, seat, values })
    }

    fn prove(&self, asked: Prove) -> Answer {
        let collection = Collection::parse(&asked.collection)
            .ok_or_else(|| RpcError::params("no such collection"))?;
        let key = hex::decode(&asked.key).map_err(RpcError::params)?;
        let height = asked.height.unwrap_or_else(|| self.height());
        let proven = self.chain.database.prove(collection, &key, height);
        encoded(&proven.map_err(RpcError::refused)?)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtHeight {
    height: Height,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeHeight {
    height: Option<Height>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Hash,
}

/// A canonical encoding as hex.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Encoded {
    pub(super) hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Balance {
    address: Address,
    height: Option<Height>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActorAt {
    kind: ActorKind,
    address: Address,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionOf {
    application: Address,
    chain: RelayChain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofOf {
    session: SessionHeader,
    seat: Seat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prove {
    collection: String,
    key: String,
    height: Option<Height>,
}

/// The parameters of a call; an absent object is an empty one.
pub(super) fn read<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    let params = if params.is_null() { json!({}) } else { params };
    serde_json::from_value(params).map_err(RpcError::params)
}

pub(super) fn decode_hex<T: codec::Wire>(hex: &str) -> Result<T, RpcError> {
    if hex.len() / 2 > T::MAX_BYTES {
        return Err(RpcError::params(format_args!("more than {} bytes", T::MAX_BYTES)));
    }
    let bytes = hex::decode(hex).map_err(RpcError::params)?;
    codec::decode(&bytes).map_err(RpcError::params)
}

fn to_json(value: impl serde::Serialize) -> Answer {
    serde_json::to_value(value).map_err(RpcError::internal)
}

fn encoded(value: &impl serde::Serialize) -> Answer {
    Ok(Value::String(hex::encode(codec::encode(value))))
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Send { .. } => "send",
        Message::Stake { .. } => "stake",
        Message::Unstake { .. } => "unstake",
        Message::Delegate { .. } => "delegate",
        Message::Undelegate { .. } => "undelegate",
        Message::Claim { .. } => "claim",
        Message::ProveClaim { .. } => "prove_claim",
        _ => "other",
    }
}
