//! Connections: what the connection policy decides, done with TCP.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use pocket_p2p::channel::Frame;
use pocket_p2p::message::MessageClass;
use pocket_p2p::peers::{ConnectionId, Input, ListedPeer, Output, Peers, PeersConfig};
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Duration, Timestamp};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Node;
use crate::network::{FrameQueue, LinkEvent, Network};

/// All connections of a node.
pub(super) struct Links {
    network: Network,
    policy: Peers,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The one connection with each peer that the policy admitted.
    admitted: BTreeMap<PublicKey, ConnectionId>,
}

struct Connection {
    task: AbortHandle,
    /// Whom we dialled, until the handshake is done.
    dialling: Option<PublicKey>,
    /// Once the handshake is done.
    frames: Option<FrameQueue>,
}

impl Links {
    pub(super) fn new(network: Network, own: PublicKey) -> Result<Self> {
        // A devnet's nodes are restarted within seconds: dial them again quickly.
        let config = PeersConfig { max_backoff: Duration::seconds(2), ..PeersConfig::default() };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            network,
            policy: Peers::new(own, config, seed),
            connections: BTreeMap::new(),
            admitted: BTreeMap::new(),
        })
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.policy.next_deadline()
    }

    pub(super) fn peers(&self) -> usize {
        self.admitted.len()
    }

    /// The peers we are connected to.
    pub(super) fn admitted(&self) -> Vec<PublicKey> {
        self.admitted.keys().copied().collect()
    }

    pub(super) fn is_connected(&self, peer: &PublicKey) -> bool {
        self.admitted.contains_key(peer)
    }

    /// Sends a frame; false if there is no connection, or it is so slow that its queue is full.
    pub(super) fn send(&self, to: &PublicKey, class: MessageClass, body: Arc<Vec<u8>>) -> bool {
        self.queue(to).is_some_and(|queue| queue.send(class, body))
    }

    /// Bytes that wait for a peer.
    pub(super) fn backlog(&self, peer: &PublicKey) -> usize {
        self.queue(peer).map_or(0, FrameQueue::backlog)
    }

    fn queue(&self, peer: &PublicKey) -> Option<&FrameQueue> {
        self.connections.get(self.admitted.get(peer)?)?.frames.as_ref()
    }

    /// Ends a connection; yields the peer that is gone with it.
    fn close(&mut self, name: ConnectionId) -> Option<PublicKey> {
        if let Some(connection) = self.connections.remove(&name) {
            connection.task.abort();
        }
        let gone = self.admitted.iter().find(|(_, admitted)| **admitted == name);
        let gone = gone.map(|(peer, _)| *peer)?;
        self.admitted.remove(&gone);
        Some(gone)
    }

    fn abandon_dial(&mut self, peer: PublicKey) {
        let dialled = |(_, connection): &(_, &Connection)| connection.dialling == Some(peer);
        if let Some((&name, _)) = self.connections.iter().find(dialled) {
            let _ = self.close(name);
        }
    }

    fn incoming(&mut self, stream: TcpStream) -> ConnectionId {
        let name = self.network.name();
        let task = self.network.accept(name, stream);
        self.connections.insert(name, Connection { task, dialling: None, frames: None });
        name
    }
}

impl Node {
    /// Says which peers we want to be connected to.
    pub(super) fn list_peers(&mut self) -> Result<()> {
        let own = self.public_key;
        let others = self.config.peers.iter().filter(|peer| peer.public_key != own);
        let listed = others
            .map(|peer| {
                let address = pocket_p2p::message::PeerAddress::new(peer.address.to_string())?;
                Ok(ListedPeer { key: peer.public_key, address })
            })
            .collect::<Result<Vec<_>>>()?;
        self.steer(Input::Listed(listed))
    }

    /// Something happened on a connection.
    pub(super) fn link(&mut self, event: LinkEvent) -> Result<Option<(PublicKey, Frame)>> {
        match event {
            LinkEvent::Incoming { stream } => {
                let connection = self.links.incoming(stream);
                self.steer(Input::Incoming { connection })?;
            }
            LinkEvent::Established { connection, peer, direction, frames } => {
                // A connection that the policy closed in the meantime is gone already.
                if let Some(known) = self.links.connections.get_mut(&connection) {
                    known.dialling = None;
                    known.frames = Some(frames);
                    self.steer(Input::Connected { connection, peer, direction })?;
                }
            }
            LinkEvent::Frame { connection, peer, frame } => {
                let admitted = self.links.admitted.get(&peer) == Some(&connection);
                return Ok(admitted.then_some((peer, frame)));
            }
            LinkEvent::Closed { connection, dialled, established, reason } => {
                if self.links.connections.contains_key(&connection) {
                    self.forget(connection)?;
                    match dialled {
                        Some(peer) if !established => self.steer(Input::DialFailed { peer })?,
                        _ => self.steer(Input::Disconnected { connection })?,
                    }
                    if established {
                        self.log(format_args!("connection {} ended: {reason}", connection.0));
                    }
                }
            }
        }
        Ok(None)
    }

    /// A peer broke the rules of some protocol.
    pub(super) fn misbehaved(&mut self, peer: PublicKey, penalty: u32, reason: &str) -> Result<()> {
        self.log(format_args!("{} misbehaved: {reason}", self.config.peer_name(&peer)));
        self.steer(Input::Misbehaved { peer, penalty })
    }

    /// Ends a connection and drops what was kept for its peer.
    fn forget(&mut self, connection: ConnectionId) -> Result<()> {
        let Some(peer) = self.links.close(connection) else { return Ok(()) };
        // Not at once: whoever comes back within a minute has no new share of messages.
        let at = self.now().after(Duration::seconds(60));
        self.departed.push_back((at, peer));
        self.gone(peer)
    }

    pub(super) fn tick_links(&mut self) -> Result<()> {
        self.steer(Tick.into())
    }

    /// Hands the connection policy an input and does what it says.
    fn steer(&mut self, input: Input) -> Result<()> {
        let now = self.now();
        for output in self.links.policy.handle(now, input)?.into_outputs() {
            match output {
                Output::Dial { peer, address } => {
                    let (name, task) = self.links.network.dial(peer, address.to_string());
                    let dialling = Some(peer);
                    let connection = Connection { task, dialling, frames: None };
                    self.links.connections.insert(name, connection);
                }
                Output::AbandonDial { peer } => self.links.abandon_dial(peer),
                Output::Admitted { connection, peer, .. } => {
                    self.links.admitted.insert(peer, connection);
                    self.connected(peer)?;
                }
                Output::Close { connection, .. } => self.forget(connection)?,
                Output::Banned { peer, until } => {
                    let name = self.config.peer_name(&peer);
                    self.log(format_args!("{name} is banned until {until}"));
                }
                other => self.log(format_args!("ignored: {other:?}")),
            }
        }
        Ok(())
    }
}
