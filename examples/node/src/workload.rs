//! What people do on a devnet: a client that sends transactions, an application that asks for data
//! through its gateway, and a stranger who tries to be served for free.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use pocket_types::codec::{self, Bytes, SortedSet};
use pocket_types::id::{Address, ChainId};
use pocket_types::number::{Amount, Height};
use pocket_types::relay::{PayloadKind, RelayRequest};
use pocket_types::session::SessionHeader;
use pocket_types::transaction::{ActorKind, Message, Role, TransactionBody};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Keys;
use crate::devnet::POCKET_CHAIN;
use crate::genesis;
use crate::rpc::Client;

/// Blocks after which a transaction of the client expires.
const EXPIRY: u64 = 20;
const RELAY_PAUSE: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(100);

/// What was sent, for the report.
#[derive(Default)]
pub(crate) struct Work {
    pub transactions_sent: u64,
    pub transactions_refused: u64,
    pub relays_sent: u64,
    pub relays_answered: u64,
    pub relays_failed: u64,
}

#[derive(Default)]
struct Counters {
    transactions_sent: AtomicU64,
    transactions_refused: AtomicU64,
    relays_sent: AtomicU64,
    relays_answered: AtomicU64,
    relays_failed: AtomicU64,
}

/// The running clients.
pub(crate) struct Workload {
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

type Clients = BTreeMap<String, Client>;

impl Workload {
    /// Starts the clients against nodes that answer.
    pub(crate) fn start(clients: Clients, first: u64) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = watch::channel(false);
        let node = |name: &str| clients.get(name).cloned().with_context(|| format!("no {name}"));
        let tasks = vec![
            tokio::spawn(transact(node("fisherman-1")?, first, counters.clone(), stopped.clone())),
            tokio::spawn(apply(node("gateway-1")?, counters.clone(), stopped.clone())),
            tokio::spawn(intrude(node("gateway-1")?, clients, stopped)),
        ];
        Ok(Self { counters, stop, tasks })
    }

    /// Transactions sent and relays answered so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.counters.transactions_sent), read(&self.counters.relays_answered))
    }

    /// Stops the clients.
    pub(crate) async fn stop(self) -> Work {
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Ok(Err(error)) = task.await {
                eprintln!("a client of the devnet gave up: {error:#}");
            }
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Work {
            transactions_sent: read(&self.counters.transactions_sent),
            transactions_refused: read(&self.counters.transactions_refused),
            relays_sent: read(&self.counters.relays_sent),
            relays_answered: read(&self.counters.relays_answered),
            relays_failed: read(&self.counters.relays_failed),
        }
    }
}

/// Sends money around in every block; once in a while stakes an application and unstakes it again.
async fn transact(
    node: Client,
    first: u64,
    counters: Arc<Counters>,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let keys = Keys::devnet(genesis::CLIENT);
    let chain: ChainId = node.call("pocket_chain", json!({})).await?;
    let (mut seen, mut staked) = (first, Vec::new());
    while !*stopped.borrow() {
        tokio::time::sleep(POLL).await;
        let Ok(height) = node.call::<u64>("pocket_height", json!({})).await else { continue };
        if height <= seen {
            continue;
        }
        seen = height;
        let mut messages: Vec<Message> = (0..3u8)
            .map(|i| Message::Send {
                to: Keys::devnet(&format!("friend-{i}")).address(),
                amount: Amount::pokt(1 + u64::from(i)),
            })
            .collect();
        if (height - first) % 10 == 1 {
            let operator = Keys::devnet(&format!("short-lived application {height}"));
            staked.push((height, operator.address()));
            messages.push(Message::Stake {
                operator: operator.public_key(),
                output: keys.address(),
                amount: Amount::pokt(20_000),
                role: Role::Application {
                    chains: SortedSet::new(vec![POCKET_CHAIN.parse()?])?,
                    zone: genesis::ZONE.parse()?,
                },
            });
        }
        if let Some(position) = staked.iter().position(|&(at, _)| at + 3 <= height) {
            let (_, actor) = staked.remove(position);
            messages.push(Message::Unstake { kind: ActorKind::Application, actor });
        }
        for (index, message) in messages.into_iter().enumerate() {
            let body = TransactionBody {
                chain,
                nonce: height << 8 | index as u64,
                expiry: Height(height + EXPIRY),
                fee: genesis::FEE,
                signer: keys.public_key(),
                message,
            };
            let bytes = hex::encode(codec::encode(&body.sign(&keys.identity())));
            let sent = node.call::<Value>("pocket_sendTransaction", json!({ "hex": bytes })).await;
            let counter = match &sent {
                Ok(_) => &counters.transactions_sent,
                Err(error) => {
                    eprintln!("transaction refused: {error:#}");
                    &counters.transactions_refused
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Asks Pocket for its height, through the gateway, again and again.
async fn apply(
    gateway: Client,
    counters: Arc<Counters>,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let application = Keys::devnet("application-1").address();
    let mut id = 0u64;
    while !*stopped.borrow() {
        id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "pocket_height" });
        counters.relays_sent.fetch_add(1, Ordering::Relaxed);
        let path = format!("/relay/{application}/{POCKET_CHAIN}");
        let answer = gateway.post(&path, serde_json::to_vec(&request)?).await;
        let answered = answer.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let good = answered.is_some_and(|value| value["id"] == id && value["result"].is_u64());
        let counter = if good { &counters.relays_answered } else { &counters.relays_failed };
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RELAY_PAUSE).await;
    }
    Ok(())
}

/// Asks the servicers directly, in the application's name but without its key.
async fn intrude(node: Client, clients: Clients, stopped: watch::Receiver<bool>) -> Result<()> {
    let stranger = Keys::devnet("stranger");
    let application = Keys::devnet("application-1").address();
    let mut last = None;
    while !*stopped.borrow() {
        tokio::time::sleep(POLL).await;
        let params = json!({ "application": application, "chain": POCKET_CHAIN });
        let Ok(session) = node.call::<Session>("pocket_session", params).await else { continue };
        if last.replace(session.header.start) == Some(session.header.start) {
            continue;
        }
        for (name, client) in &clients {
            let servicer = Keys::devnet(name).address();
            if !session.servicers.contains(&servicer) {
                continue;
            }
            let payload =
                Bytes::new(br#"{"jsonrpc":"2.0","id":1,"method":"pocket_height"}"#.to_vec())?;
            let key = stranger.identity();
            let request = RelayRequest::sign(
                session.header,
                servicer,
                1,
                PayloadKind::JsonRpc,
                payload,
                &key,
            );
            let bytes = hex::encode(codec::encode(&request));
            // The servicer counts the refusal; the report shows it.
            let _ = client.call::<Value>("pocket_relay", json!({ "hex": bytes })).await;
        }
    }
    Ok(())
}

/// What `pocket_session` answers.
#[derive(Deserialize)]
struct Session {
    header: SessionHeader,
    servicers: Vec<Address>,
}
