//! A node: one event loop that owns every machine of the protocol and does what they ask.
//!
//! Nothing here is shared and nothing runs beside it but sockets: an event comes in (bytes from a
//! peer, a client's call, the clock), the machine that it concerns takes it as an input, and its
//! outputs are carried out before the next event. [`Node::run`] is the whole of it; the files beside
//! this one carry out the outputs, one concern each.

mod api;
mod decide;
mod gateway;
mod gossip;
mod links;
mod servicer;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use pocket_p2p::channel::{ChannelConfig, Frame};
use pocket_p2p::limit::{RateConfig, RateLimiter};
use pocket_p2p::message::{MessageClass, PeerAddress};
use pocket_types::codec;
use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::{Address, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_utility::genesis::Genesis;
use pocket_utility::mempool::{Mempool, MempoolConfig};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::chain::Chain;
use crate::config::{Keys, NodeConfig, read_json};
use crate::network::{LinkEvent, Network};
use crate::rpc::{self, Call, GatewayRelay};
use decide::Deciding;
use gateway::Gateway;
use gossip::Gossip;
use links::Links;
use servicer::{RelayDone, Serving};

/// Events of connections that wait for the node; beyond them, peers wait.
const QUEUED_EVENTS: usize = 1024;
/// Calls that wait for the node; beyond them, clients are told to come back.
const QUEUED_CALLS: usize = 256;
/// Relays that a servicer executes, or a gateway waits for, at once.
const MAX_RELAYS_UNDER_WAY: usize = 1_000;
/// Points for a message that no honest peer sends.
const PENALTY: u32 = 25;

/// What happens to a node.
pub(crate) enum Event {
    /// Something on a connection.
    Link(LinkEvent),
    /// A client's call.
    Call(Call),
    /// An application's payload for a relay chain.
    GatewayRelay(GatewayRelay),
    /// A relay chain answered, or didn't.
    RelayDone(RelayDone),
}

/// What a node says of itself: the answer to `pocket_status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub name: String,
    pub address: Address,
    pub chain: ChainId,
    pub height: u64,
    pub state_root: Hash,
    pub validator: bool,
    pub peers: usize,
    pub mempool: usize,
    pub relays_served: u64,
    pub relays_rejected: BTreeMap<String, u64>,
}

/// Runs the node of a directory until Ctrl-C, or until standard input ends if that is asked for.
pub(crate) fn run(directory: &Path, stop_with_stdin: bool) -> Result<()> {
    let (stop, stopped) = watch::channel(false);
    if stop_with_stdin {
        std::thread::spawn(move || {
            // Nothing is ever written: the read returns when the supervisor is gone.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = stop.send(true);
        });
        return run_until(directory, stopped);
    }
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(tokio::signal::ctrl_c());
        }
        let _ = stop.send(true);
    });
    run_until(directory, stopped)
}

/// Runs the node of a directory until it is told to stop.
pub(crate) fn run_until(directory: &Path, stopped: watch::Receiver<bool>) -> Result<()> {
    let config = NodeConfig::load(directory)?;
    let keys = Keys::load(directory)?;
    let genesis: Genesis = read_json(&config.genesis)?;
    let chain = Chain::open(directory, &genesis)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = bind(config.listen).await?;
        let rpc = bind(config.rpc).await?;
        let (events, queue) = mpsc::channel(QUEUED_EVENTS);
        let (calls, called) = mpsc::channel(QUEUED_CALLS);
        let listening = tokio::spawn(Network::listen(listener, events.clone()));
        let serving = tokio::spawn(rpc::serve(rpc, calls));
        let mut node = Node::new(config, &keys, chain, events)?;
        let result = node.run(queue, called, stopped).await;
        listening.abort();
        serving.abort();
        result
    })
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener> {
    // A node that was killed a moment ago may still hold its port.
    for _ in 0..20 {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            bound => return bound.with_context(|| format!("listening on {address}")),
        }
    }
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

/// Everything a node is.
pub(crate) struct Node {
    config: NodeConfig,
    public_key: PublicKey,
    address: Address,
    chain: Chain,
    mempool: Mempool,
    /// Evidence that no decided block holds yet, by offender.
    evidence: BTreeMap<PublicKey, Evidence>,
    /// The latest time that was read: it never goes back, even where the system's does.
    latest: Cell<Timestamp>,
    deciding: Deciding,
    gossip: Gossip,
    links: Links,
    limits: RateLimiter,
    /// Peers that are gone, and when their share may be forgotten.
    departed: VecDeque<(Timestamp, PublicKey)>,
    serving: Option<Serving>,
    gateway: Gateway,
}

impl Node {
    fn new(
        config: NodeConfig,
        keys: &Keys,
        chain: Chain,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
        let public_key = keys.public_key();
        let channel = ChannelConfig {
            chain: chain.chain_id(),
            listen: PeerAddress::new(config.listen.to_string())?,
        };
        let network = Network::new(keys.identity(), channel, events.clone());
        let mut node = Self {
            deciding: Deciding::recover(&config, keys, &chain)?,
            gossip: Gossip::new(&config, public_key)?,
            links: Links::new(network, public_key)?,
            limits: RateLimiter::new(RateConfig::default()),
            serving: Serving::open(&config, keys, &chain, events)?,
            gateway: Gateway::new(&config, keys),
            mempool: Mempool::new(MempoolConfig::default()),
            evidence: BTreeMap::new(),
            latest: Cell::new(Timestamp::ZERO),
            departed: VecDeque::new(),
            address: keys.address(),
            public_key,
            config,
            chain,
        };
        node.list_peers()?;
        Ok(node)
    }

    /// The event loop: one event, or the next deadline, at a time.
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        mut calls: mpsc::Receiver<Event>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<()> {
        loop {
            let wait = Duration::from_millis(self.next_deadline().since(self.now()).0);
            tokio::select! {
                // Peers before clients: whoever floods a node with calls must not slow consensus.
                biased;
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
                Some(event) = events.recv() => self.handle(event)?,
                Some(call) = calls.recv() => self.handle(call)?,
                () = tokio::time::sleep(wait) => {}
            }
            self.tick()?;
        }
    }

    /// One event, carried out to the end.
    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Link(event) => match self.link(event)? {
                Some((peer, frame)) => self.frame(peer, frame),
                None => Ok(()),
            },
            Event::Call(call) => self.call(call),
            Event::GatewayRelay(relay) => self.gateway_relay(relay),
            Event::RelayDone(done) => self.relay_done(done),
        }
    }

    /// A message from a peer goes to the protocol of its class, within what a peer may send.
    fn frame(&mut self, peer: PublicKey, frame: Frame) -> Result<()> {
        let now = self.now();
        let Frame { class, body } = frame;
        if let Err(error) = self.limits.admit(now, peer, class, body.len()) {
            // What a peer passes on by broadcast is not its own: too much of it is dropped, no more.
            let penalty = u32::from(class != MessageClass::Gossip);
            return self.misbehaved(peer, penalty, &error.to_string());
        }
        let result = match class {
            MessageClass::Consensus => codec::decode(&body).map(|m| self.consensus(peer, m)),
            MessageClass::Sync => codec::decode(&body).map(|m| self.sync(peer, m)),
            MessageClass::Gossip => codec::decode(&body).map(|m| self.gossiped(peer, m)),
            MessageClass::Request => codec::decode(&body).map(|m| self.request(peer, m)),
            MessageClass::Response => codec::decode(&body).map(|m| self.response(peer, m)),
            _ => Ok(Ok(())),
        };
        match result {
            Ok(done) => done,
            Err(malformed) => self.misbehaved(peer, PENALTY, &malformed.to_string()),
        }
    }

    /// Hands the time to every machine whose deadline has come.
    fn tick(&mut self) -> Result<()> {
        let now = self.now();
        let due = |deadline: Option<Timestamp>| deadline.is_some_and(|deadline| deadline <= now);
        while let Some((_, peer)) = self.departed.pop_front_if(|(at, _)| *at <= now) {
            if !self.links.is_connected(&peer) {
                self.limits.forget(&peer);
            }
        }
        if due(self.links.next_deadline()) {
            self.tick_links()?;
        }
        if due(self.gossip.next_deadline()) {
            self.tick_gossip()?;
        }
        if due(self.gateway.next_deadline()) {
            self.tick_gateway()?;
        }
        self.tick_deciding()
    }

    fn next_deadline(&self) -> Timestamp {
        let deadlines = [
            self.links.next_deadline(),
            self.gossip.next_deadline(),
            self.gateway.next_deadline(),
            self.deciding.next_deadline(),
        ];
        let idle = self.now().after(pocket_types::number::Duration::seconds(1));
        deadlines.into_iter().flatten().min().map_or(idle, |deadline| deadline.min(idle))
    }

    /// A connection with a peer is there: tell it what it may have missed.
    fn connected(&mut self, peer: PublicKey) -> Result<()> {
        self.announce(peer)
    }

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.latest.set(self.latest.get().max(now));
        self.latest.get()
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        // In a devnet of threads nobody reads this; each process of `--processes` has its own file.
        if std::thread::current().name() == Some("main") {
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "{} {}: {line}", self.height(), self.config.name);
        }
    }
}
