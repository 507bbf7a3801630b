use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;

use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Receipt, Step};
use pocket_types::number::Timestamp;

use super::conduct::Conduct;
use super::config::PeersConfig;
use super::dialling::Dialling;
use super::error::PeersError;
use super::input::{ConnectionId, Direction, Input, ListedPeer};
use super::output::{CloseReason, Output};

/// The connection policy of one node. See the [module documentation](super).
#[derive(Debug)]
pub struct Peers {
    config: PeersConfig,
    own: PublicKey,
    dialling: Dialling,
    conduct: Conduct,
    /// Inbound connections without a handshake yet, and when they must have it.
    handshakes: BTreeMap<ConnectionId, Timestamp>,
    connections: BTreeMap<ConnectionId, Connection>,
    by_peer: BTreeMap<PublicKey, ConnectionId>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    peer: PublicKey,
    direction: Direction,
    since: Timestamp,
}

impl Peers {
    /// A policy for the node of this identity, with nobody on its list yet. `seed`, from the host's
    /// generator, makes its delays unforeseeable.
    pub const fn new(own: PublicKey, config: PeersConfig, seed: [u8; 32]) -> Self {
        let c = &config;
        let dialling = Dialling::new(c.min_backoff, c.max_backoff, c.dial_timeout, seed);
        let conduct = Conduct::new(c.max_remembered, c.ban_at, c.forgiven_per_minute, c.ban_time);
        Self {
            config,
            own,
            dialling,
            conduct,
            handshakes: BTreeMap::new(),
            connections: BTreeMap::new(),
            by_peer: BTreeMap::new(),
        }
    }

    /// The peers with an admitted connection, by key.
    pub fn connected(&self) -> impl ExactSizeIterator<Item = (PublicKey, ConnectionId)> + '_ {
        self.by_peer.iter().map(|(peer, connection)| (*peer, *connection))
    }

    /// The admitted connection with a peer.
    pub fn connection(&self, peer: &PublicKey) -> Option<ConnectionId> {
        self.by_peer.get(peer).copied()
    }

    fn list(&mut self, now: Timestamp, mut peers: Vec<ListedPeer>) -> Result<(), PeersError> {
        let (got, max) = (peers.len(), self.config.max_listed);
        if got > max {
            return Err(PeersError::TooManyListed { got, max });
        }
        peers.retain(|peer| peer.key != self.own);
        self.dialling.list(now, peers, |peer| self.by_peer.contains_key(peer));
        Ok(())
    }

    fn incoming(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
    ) -> Result<Option<Output>, PeersError> {
        self.check_new(connection)?;
        if self.handshakes.contains_key(&connection) {
            return Err(PeersError::ConnectionInUse(connection));
        }
        let max = self.config.max_handshakes;
        if self.handshakes.len() >= max {
            return Ok(Some(close(connection, CloseReason::HandshakesFull { max })));
        }
        self.handshakes.insert(connection, now.after(self.config.handshake_timeout));
        Ok(None)
    }

    fn connected_to(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        peer: PublicKey,
        direction: Direction,
    ) -> Result<Vec<Output>, PeersError> {
        self.check_new(connection)?;
        let known = self.handshakes.remove(&connection).is_some();
        if direction == Direction::Inbound && !known {
            return Ok([close(connection, CloseReason::HandshakeTimeout)].into());
        }
        let refusal = self.refusal(now, &peer, direction);
        let old = self.connection(&peer);
        let mut outputs = Vec::new();
        if let Some(reason) = refusal {
            if direction == Direction::Outbound && old.is_none() {
                self.dialling.failed(now, &peer);
            }
            outputs.push(close(connection, reason));
            return Ok(outputs);
        }
        if let Some(old) = old {
            self.connections.remove(&old);
            outputs.push(close(old, CloseReason::Replaced));
        }
        self.connections.insert(connection, Connection { peer, direction, since: now });
        self.by_peer.insert(peer, connection);
        self.dialling.connected(&peer);
        outputs.push(Output::Admitted { connection, peer, direction });
        Ok(outputs)
    }

    /// Why a new connection can't be admitted; none if it can, in place of an old one if there is.
    fn refusal(
        &self,
        now: Timestamp,
        peer: &PublicKey,
        direction: Direction,
    ) -> Option<CloseReason> {
        if let Some(until) = self.conduct.banned_until(now, peer) {
            return Some(CloseReason::Banned { until });
        }
        let old = self.connection(peer).and_then(|old| self.connections.get(&old));
        if let Some(old) = old {
            let at_once = now.since(old.since) < self.config.dial_timeout;
            let stays = if self.own < *peer { Direction::Outbound } else { Direction::Inbound };
            if at_once && old.direction != direction && direction != stays {
                return Some(CloseReason::Duplicate);
            }
        }
        // The place of the connection that this one replaces is free again.
        let freed = usize::from(old.is_some_and(|old| old.direction == direction));
        let taken = self.count(direction).saturating_sub(freed);
        match direction {
            Direction::Outbound => {
                let max = self.config.max_outbound;
                (taken >= max).then_some(CloseReason::OutboundFull { max })
            }
            Direction::Inbound if self.dialling.is_listed(peer) => {
                let max = self.config.max_inbound;
                (taken >= max).then_some(CloseReason::InboundFull { max })
            }
            Direction::Inbound => {
                let max = self.config.max_inbound.saturating_sub(self.config.reserved_inbound);
                let strangers = self.strangers().saturating_sub(freed);
                let full = strangers >= max || taken >= self.config.max_inbound;
                full.then_some(CloseReason::InboundFull { max })
            }
        }
    }

    fn disconnected(&mut self, now: Timestamp, connection: ConnectionId) {
        self.handshakes.remove(&connection);
        if let Some(Connection { peer, since, .. }) = self.connections.remove(&connection) {
            self.by_peer.remove(&peer);
            let stable = now.since(since) >= self.config.stable_after;
            self.dialling.disconnected(now, &peer, stable);
        }
    }

    fn misbehaved(&mut self, now: Timestamp, peer: PublicKey, penalty: u32) -> Vec<Output> {
        let Some(until) = self.conduct.penalize(now, peer, penalty) else { return Vec::new() };
        let mut outputs = Vec::from([Output::Banned { peer, until }]);
        if let Some(connection) = self.by_peer.remove(&peer) {
            self.connections.remove(&connection);
            outputs.push(close(connection, CloseReason::Banned { until }));
        }
        self.dialling.postpone(&peer, until);
        outputs
    }

    /// What time alone brings: handshakes and dials that took too long, and peers to dial.
    fn advance(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.handshakes.retain(|connection, deadline| {
            let late = *deadline <= now;
            if late {
                outputs.push(close(*connection, CloseReason::HandshakeTimeout));
            }
            !late
        });
        let late = self.dialling.expire(now).into_iter();
        outputs.extend(late.map(|peer| Output::AbandonDial { peer }));
        let due = self.dialling.due(now, self.free_outbound());
        outputs.extend(due.into_iter().map(|(peer, address)| Output::Dial { peer, address }));
    }

    fn check_new(&self, connection: ConnectionId) -> Result<(), PeersError> {
        let known = self.connections.contains_key(&connection);
        (!known).then_some(()).ok_or(PeersError::ConnectionInUse(connection))
    }

    fn free_outbound(&self) -> usize {
        let taken = self.count(Direction::Outbound) + self.dialling.in_progress();
        self.config.max_outbound.saturating_sub(taken)
    }

    fn count(&self, direction: Direction) -> usize {
        self.connections.values().filter(|open| open.direction == direction).count()
    }

    fn strangers(&self) -> usize {
        let stranger = |open: &&Connection| {
            open.direction == Direction::Inbound && !self.dialling.is_listed(&open.peer)
        };
        self.connections.values().filter(stranger).count()
    }
}

const fn close(connection: ConnectionId, reason: CloseReason) -> Output {
    Output::Close { connection, reason }
}

impl Machine for Peers {
    type Input = Input;
    type Record = Infallible;
    type Output = Output;
    type Error = PeersError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Infallible, Output>, PeersError> {
        let mut outputs = match input {
            Input::Tick => Vec::new(),
            Input::Listed(peers) => {
                self.list(now, peers)?;
                Vec::new()
            }
            Input::Incoming { connection } => self.incoming(now, connection)?.into_iter().collect(),
            Input::Connected { connection, peer, direction } => {
                self.connected_to(now, connection, peer, direction)?
            }
            Input::DialFailed { peer } => {
                self.dialling.failed(now, &peer);
                Vec::new()
            }
            Input::Disconnected { connection } => {
                self.disconnected(now, connection);
                Vec::new()
            }
            Input::Misbehaved { peer, penalty } => self.misbehaved(now, peer, penalty),
        };
        self.advance(now, &mut outputs);
        Ok(Step { records: None, outputs })
    }

    fn release(
        &mut self,
        _now: Timestamp,
        _receipt: Receipt,
    ) -> Result<Step<Infallible, Output>, PeersError> {
        Ok(Step::empty())
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let dialling = self.dialling.next_deadline(self.free_outbound() > 0);
        self.handshakes.values().copied().chain(dialling).min()
    }
}
