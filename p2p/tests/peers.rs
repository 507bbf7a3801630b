//! The connection policy, as scenarios.

use pocket_p2p::message::PeerAddress;
use pocket_p2p::peers::{
    CloseReason, ConnectionId, Direction, Input, ListedPeer, Output, Peers, PeersConfig, PeersError,
};
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Duration, Timestamp};
use proptest::prelude::*;

const OWN: PublicKey = PublicKey([100; 32]);
const SEED: [u8; 32] = [7; 32];

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn stranger(index: u16) -> PublicKey {
    let mut key = [200; 32];
    key[..2].copy_from_slice(&index.to_be_bytes());
    PublicKey(key)
}

fn listed(byte: u8) -> ListedPeer {
    ListedPeer { key: key(byte), address: address(byte) }
}

fn address(byte: u8) -> PeerAddress {
    PeerAddress::new(format!("node-{byte}:26656")).unwrap()
}

fn dial(byte: u8) -> Output {
    Output::Dial { peer: key(byte), address: address(byte) }
}

/// A machine with a clock and a supply of connection names.
struct Node {
    peers: Peers,
    now: Timestamp,
    next: u64,
}

impl Node {
    fn new(config: PeersConfig) -> Self {
        Self { peers: Peers::new(OWN, config, SEED), now: Timestamp(1_000_000), next: 0 }
    }

    fn handle(&mut self, input: impl Into<Input>) -> Vec<Output> {
        self.peers.handle(self.now, input.into()).unwrap().into_outputs()
    }

    fn list(&mut self, peers: impl IntoIterator<Item = u8>) -> Vec<Output> {
        self.handle(Input::Listed(peers.into_iter().map(listed).collect()))
    }

    fn wait(&mut self, duration: Duration) -> Vec<Output> {
        self.now = self.now.after(duration);
        self.handle(Tick)
    }

    /// To the machine's next deadline, which must lie ahead.
    fn wait_for_deadline(&mut self) -> (Duration, Vec<Output>) {
        let deadline = self.peers.next_deadline().expect("something is due");
        let waited = deadline.since(self.now);
        (waited, self.wait(waited))
    }

    fn connect(&mut self, peer: PublicKey, direction: Direction) -> (ConnectionId, Vec<Output>) {
        let connection = ConnectionId(self.next);
        self.next += 1;
        if direction == Direction::Inbound {
            assert_eq!(self.handle(Input::Incoming { connection }), []);
        }
        (connection, self.handle(Input::Connected { connection, peer, direction }))
    }

    fn admit(&mut self, peer: PublicKey, direction: Direction) -> ConnectionId {
        let (connection, outputs) = self.connect(peer, direction);
        assert!(outputs.contains(&Output::Admitted { connection, peer, direction }), "{outputs:?}");
        connection
    }

    fn refuse(&mut self, peer: PublicKey, direction: Direction) -> CloseReason {
        let (refused, outputs) = self.connect(peer, direction);
        match outputs[..] {
            [Output::Close { connection, reason }] if connection == refused => reason,
            _ => panic!("{outputs:?}"),
        }
    }
}

#[test]
fn the_whole_list_is_dialled_at_once_and_nobody_twice() {
    let mut node = Node::new(PeersConfig::default());
    assert_eq!(node.list([3, 1, 2, 100]), [dial(1), dial(2), dial(3)], "not ourselves");
    assert_eq!(node.handle(Tick), []);
    let connection = node.admit(key(1), Direction::Outbound);
    assert_eq!(node.peers.connection(&key(1)), Some(connection));
    assert_eq!(node.list([1, 2, 3, 4]), [dial(4)], "those who stay on the list are left alone");
}

#[test]
fn a_peer_that_cannot_be_reached_is_dialled_again_after_growing_delays() {
    let config = PeersConfig::default();
    let mut node = Node::new(config.clone());
    node.list([1]);
    let mut delays = Vec::new();
    for _ in 0..14 {
        assert_eq!(node.handle(Input::DialFailed { peer: key(1) }), []);
        let (waited, outputs) = node.wait_for_deadline();
        assert_eq!(outputs, [dial(1)]);
        delays.push(waited.0);
    }
    for (failures, delay) in delays.iter().enumerate() {
        let full = (config.min_backoff.0 << failures).min(config.max_backoff.0);
        assert!((full / 2..=full + full / 2).contains(delay), "{delay} after {failures} failures");
    }
    // Another seed, other delays: nobody can foresee them. The same seed, the same.
    let delay_with = |seed| {
        let mut node =
            Node { peers: Peers::new(OWN, config.clone(), seed), ..Node::new(config.clone()) };
        node.list([1]);
        node.handle(Input::DialFailed { peer: key(1) });
        node.wait_for_deadline().0.0
    };
    assert_eq!(delay_with(SEED), delays[0]);
    assert_ne!(delay_with([8; 32]), delays[0]);
}

#[test]
fn a_dial_without_an_answer_counts_as_failed() {
    let config = PeersConfig::default();
    let mut node = Node::new(config.clone());
    node.list([1]);
    let (waited, outputs) = node.wait_for_deadline();
    let abandoned = vec![Output::AbandonDial { peer: key(1) }];
    assert_eq!((waited, outputs), (config.dial_timeout, abandoned));
    assert_eq!(node.wait_for_deadline().1, [dial(1)]);
    // The host's own report may come late; it must not count twice.
    node.admit(key(1), Direction::Outbound);
    assert_eq!(node.handle(Input::DialFailed { peer: key(1) }), []);
    assert_eq!(node.peers.next_deadline(), None);
}

#[test]
fn a_lost_connection_is_dialled_again_soon_if_it_was_stable() {
    let config = PeersConfig::default();
    let mut node = Node::new(config.clone());
    node.list([1]);
    for _ in 0..6 {
        node.handle(Input::DialFailed { peer: key(1) });
        node.wait_for_deadline();
    }
    // A peer that lets us in and throws us out at once doesn't get us to hammer it.
    let connection = node.admit(key(1), Direction::Outbound);
    node.handle(Input::Disconnected { connection });
    assert!(node.wait_for_deadline().0 > Duration(8 * config.min_backoff.0));
    let connection = node.admit(key(1), Direction::Outbound);
    node.wait(config.stable_after);
    assert_eq!(node.handle(Input::Disconnected { connection }), []);
    let (waited, outputs) = node.wait_for_deadline();
    assert!(waited.0 <= 2 * config.min_backoff.0 && outputs == [dial(1)]);
}

#[test]
fn outbound_places_are_bounded_and_given_on() {
    let mut node = Node::new(PeersConfig { max_outbound: 2, ..PeersConfig::default() });
    assert_eq!(node.list([1, 2, 3]), [dial(1), dial(2)]);
    let first = node.admit(key(1), Direction::Outbound);
    assert_eq!(node.handle(Input::DialFailed { peer: key(2) }), [dial(3)]);
    node.admit(key(3), Direction::Outbound);
    // Peer 2 waits for a place, and no deadline keeps the host awake for that.
    assert_eq!(node.wait(Duration::seconds(60)), []);
    assert_eq!(node.peers.next_deadline(), None);
    assert_eq!(node.handle(Input::Disconnected { connection: first }), [dial(2)]);
    let reason = {
        node.admit(key(2), Direction::Outbound);
        node.refuse(key(9), Direction::Outbound)
    };
    assert_eq!(reason, CloseReason::OutboundFull { max: 2 });
}

#[test]
fn a_dial_that_succeeds_and_is_refused_is_over() {
    let mut node = Node::new(PeersConfig { max_outbound: 1, ..PeersConfig::default() });
    assert_eq!(node.list([1]), [dial(1)]);
    // The host connects to somebody else of its own accord meanwhile.
    let stranger = node.admit(stranger(1), Direction::Outbound);
    let full = CloseReason::OutboundFull { max: 1 };
    assert_eq!(node.refuse(key(1), Direction::Outbound), full);
    assert_eq!(node.wait(Duration::seconds(60)), [], "nothing is left to abandon");
    assert_eq!(node.handle(Input::Disconnected { connection: stranger }), [dial(1)]);
}

#[test]
fn the_126th_inbound_connection_is_refused_by_name() {
    let config = PeersConfig { reserved_inbound: 0, ..PeersConfig::default() };
    let mut node = Node::new(config);
    for index in 0..125 {
        node.admit(stranger(index), Direction::Inbound);
    }
    let reason = node.refuse(stranger(125), Direction::Inbound);
    assert_eq!(reason, CloseReason::InboundFull { max: 125 });
    assert_eq!(reason.to_string(), "all 125 inbound places are taken");
    assert_eq!(node.peers.connected().len(), 125);
}

#[test]
fn strangers_cannot_take_the_places_of_listed_peers() {
    let config = PeersConfig { max_inbound: 6, reserved_inbound: 2, ..PeersConfig::default() };
    let mut node = Node::new(config);
    node.list([1, 2, 3]);
    for index in 0..4 {
        node.admit(stranger(index), Direction::Inbound);
    }
    let full = CloseReason::InboundFull { max: 4 };
    assert_eq!(node.refuse(stranger(4), Direction::Inbound), full);
    node.admit(key(1), Direction::Inbound);
    node.admit(key(2), Direction::Inbound);
    let full = CloseReason::InboundFull { max: 6 };
    assert_eq!(node.refuse(key(3), Direction::Inbound), full);
    // We are still dialling it ourselves, and outbound places are others.
    node.admit(key(3), Direction::Outbound);
}

#[test]
fn half_open_connections_are_bounded_and_closed_in_time() {
    let config = PeersConfig { max_handshakes: 2, ..PeersConfig::default() };
    let mut node = Node::new(config.clone());
    let names = [1, 2, 3].map(ConnectionId);
    assert_eq!(node.handle(Input::Incoming { connection: names[0] }), []);
    assert_eq!(node.handle(Input::Incoming { connection: names[1] }), []);
    let reason = CloseReason::HandshakesFull { max: 2 };
    let refused = Output::Close { connection: names[2], reason };
    assert_eq!(node.handle(Input::Incoming { connection: names[2] }), [refused]);
    // One gives up by itself, the other is slow.
    node.handle(Input::Disconnected { connection: names[0] });
    let (waited, outputs) = node.wait_for_deadline();
    let reason = CloseReason::HandshakeTimeout;
    assert_eq!(waited, config.handshake_timeout);
    assert_eq!(outputs, [Output::Close { connection: names[1], reason }]);
    assert_eq!(node.peers.next_deadline(), None);
    // Its handshake completes while the host closes it: too late.
    let (connection, direction) = (names[1], Direction::Inbound);
    let late = Input::Connected { connection, peer: key(1), direction };
    assert_eq!(node.handle(late), [Output::Close { connection, reason }]);
}

#[test]
fn when_both_sides_dial_at_once_both_keep_the_same_connection() {
    // Our key is between the two.
    for (peer, stays) in [(key(1), Direction::Inbound), (key(150), Direction::Outbound)] {
        for order in
            [[Direction::Inbound, Direction::Outbound], [Direction::Outbound, Direction::Inbound]]
        {
            let mut node = Node::new(PeersConfig::default());
            node.handle(Input::Listed(vec![ListedPeer { key: peer, address: address(1) }]));
            let first = node.admit(peer, order[0]);
            let (second, outputs) = node.connect(peer, order[1]);
            if order[0] == stays {
                let reason = CloseReason::Duplicate;
                assert_eq!(outputs, [Output::Close { connection: second, reason }]);
                assert_eq!(node.peers.connection(&peer), Some(first));
            } else {
                let reason = CloseReason::Replaced;
                assert_eq!(outputs[0], Output::Close { connection: first, reason });
                assert_eq!(node.peers.connection(&peer), Some(second));
            }
            assert_eq!(node.peers.connected().len(), 1);
            assert_eq!(node.wait(Duration::seconds(60)), [], "nobody is dialled in vain");
        }
    }
}

#[test]
fn a_peer_that_restarts_gets_in_before_its_old_connection_has_timed_out() {
    let config = PeersConfig::default();
    for peer in [key(1), key(150)] {
        let mut node = Node::new(config.clone());
        let old = node.admit(peer, Direction::Outbound);
        node.wait(config.dial_timeout);
        let new = node.admit(peer, Direction::Inbound);
        assert_eq!(node.peers.connection(&peer), Some(new));
        // What the host says of the old one afterwards is no news.
        assert_eq!(node.handle(Input::Disconnected { connection: old }), []);
        assert_eq!(node.peers.connection(&peer), Some(new));
    }
}

#[test]
fn a_reconnecting_peer_takes_its_own_place_even_when_all_are_taken() {
    let config = PeersConfig { max_inbound: 1, reserved_inbound: 0, ..PeersConfig::default() };
    let mut node = Node::new(config);
    node.admit(key(1), Direction::Inbound);
    node.admit(key(1), Direction::Inbound);
    assert_eq!(node.peers.connected().len(), 1);
}

#[test]
fn penalties_add_up_to_a_ban_that_ends() {
    let config = PeersConfig::default();
    let mut node = Node::new(config.clone());
    node.list([1]);
    let connection = node.admit(key(1), Direction::Outbound);
    let misbehaved = |penalty| Input::Misbehaved { peer: key(1), penalty };
    assert_eq!(node.handle(misbehaved(60)), []);
    let until = node.now.after(config.ban_time);
    let reason = CloseReason::Banned { until };
    assert_eq!(
        node.handle(misbehaved(40)),
        [Output::Banned { peer: key(1), until }, Output::Close { connection, reason }]
    );
    assert_eq!(node.refuse(key(1), Direction::Inbound), reason);
    assert_eq!(node.refuse(key(1), Direction::Outbound), reason);
    assert_eq!(node.wait(Duration(config.ban_time.0 - 1)), []);
    assert_eq!(node.wait(Duration(1)), [dial(1)], "the list is the operator's word");
    node.admit(key(1), Direction::Outbound);
}

#[test]
fn old_penalties_are_forgiven() {
    let mut node = Node::new(PeersConfig::default());
    for _ in 0..10 {
        assert_eq!(node.handle(Input::Misbehaved { peer: key(1), penalty: 50 }), []);
        assert_eq!(node.wait(Duration::seconds(5 * 60)), []);
    }
    assert_eq!(node.handle(Input::Misbehaved { peer: key(1), penalty: 99 }), []);
    assert_eq!(node.handle(Input::Misbehaved { peer: key(1), penalty: 1 }).len(), 1);
}

#[test]
fn a_crowd_of_identities_neither_fills_the_memory_nor_lifts_a_ban() {
    let config = PeersConfig { max_remembered: 100, ..PeersConfig::default() };
    let mut node = Node::new(config);
    node.handle(Input::Misbehaved { peer: key(1), penalty: 100 });
    for index in 0..1_000 {
        node.handle(Input::Misbehaved { peer: stranger(index), penalty: 99 });
    }
    assert!(matches!(node.refuse(key(1), Direction::Inbound), CloseReason::Banned { .. }));
}

#[test]
fn a_host_that_mixes_up_connections_is_told() {
    let mut node = Node::new(PeersConfig::default());
    let connection = node.admit(key(1), Direction::Outbound);
    let in_use = PeersError::ConnectionInUse(connection);
    let again = Input::Connected { connection, peer: key(2), direction: Direction::Outbound };
    for input in [Input::Incoming { connection }, again] {
        assert_eq!(node.peers.handle(node.now, input).unwrap_err(), in_use);
    }
    let half_open = ConnectionId(77);
    node.handle(Input::Incoming { connection: half_open });
    let again = Input::Incoming { connection: half_open };
    let in_use = PeersError::ConnectionInUse(half_open);
    assert_eq!(node.peers.handle(node.now, again).unwrap_err(), in_use);
    let many = Input::Listed(vec![listed(1); 16_385]);
    let too_many = PeersError::TooManyListed { got: 16_385, max: 16_384 };
    assert_eq!(node.peers.handle(node.now, many).unwrap_err(), too_many);
}

#[derive(Clone, Debug)]
enum Event {
    Incoming,
    Connected(u8, bool),
    Disconnected(u64),
    DialFailed(u8),
    Misbehaved(u8, u32),
    Wait(u64),
    List(Vec<u8>),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        Just(Event::Incoming),
        (0..12u8, any::<bool>()).prop_map(|(peer, inbound)| Event::Connected(peer, inbound)),
        (0..40u64).prop_map(Event::Disconnected),
        (0..12u8).prop_map(Event::DialFailed),
        (0..12u8, 0..120u32).prop_map(|(peer, penalty)| Event::Misbehaved(peer, penalty)),
        (0..30_000u64).prop_map(Event::Wait),
        proptest::collection::vec(0..12u8, 0..8).prop_map(Event::List),
    ];
    proptest::collection::vec(event, 1..120)
}

proptest! {
    /// Whatever happens, what the outputs say is consistent: an oracle that knows only them.
    #[test]
    fn bounds_hold_and_outputs_agree_with_each_other(events in events()) {
        let config = PeersConfig {
            max_inbound: 4,
            max_outbound: 3,
            reserved_inbound: 1,
            max_handshakes: 2,
            ..PeersConfig::default()
        };
        let mut node = Node::new(config);
        let mut open = std::collections::BTreeMap::new();
        let mut half_open = std::collections::BTreeSet::new();
        for event in events {
            let connection = ConnectionId(node.next);
            let input = match event {
                Event::Incoming => {
                    node.next += 1;
                    half_open.insert(connection);
                    Input::Incoming { connection }
                }
                Event::Connected(peer, true) => {
                    let Some(connection) = half_open.pop_first() else { continue };
                    Input::Connected { connection, peer: key(peer), direction: Direction::Inbound }
                }
                Event::Connected(peer, false) => {
                    node.next += 1;
                    Input::Connected { connection, peer: key(peer), direction: Direction::Outbound }
                }
                Event::Disconnected(name) => {
                    let connection = ConnectionId(name);
                    open.remove(&connection);
                    half_open.remove(&connection);
                    Input::Disconnected { connection }
                }
                Event::DialFailed(peer) => Input::DialFailed { peer: key(peer) },
                Event::Misbehaved(peer, penalty) => Input::Misbehaved { peer: key(peer), penalty },
                Event::Wait(time) => {
                    node.now = node.now.after(Duration(time));
                    Input::Tick
                }
                Event::List(peers) => Input::Listed(peers.into_iter().map(listed).collect()),
            };
            for output in node.handle(input) {
                match output {
                    Output::Admitted { connection, peer, direction } => {
                        prop_assert!(open.insert(connection, (peer, direction)).is_none());
                    }
                    Output::Close { connection, .. } => {
                        open.remove(&connection);
                        half_open.remove(&connection);
                    }
                    Output::Dial { peer, .. } => {
                        prop_assert!(open.values().all(|(connected, _)| *connected != peer));
                    }
                    Output::Banned { peer, .. } => prop_assert!(node.peers.connection(&peer).is_none()),
                    _ => {}
                }
            }
            let count = |wanted| open.values().filter(|(_, direction)| *direction == wanted).count();
            prop_assert!(count(Direction::Inbound) <= 4 && count(Direction::Outbound) <= 3);
            prop_assert!(half_open.len() <= 2);
            let claimed: std::collections::BTreeMap<_, _> =
                node.peers.connected().map(|(peer, connection)| (connection, peer)).collect();
            let observed = open.iter().map(|(connection, (peer, _))| (*connection, *peer)).collect();
            prop_assert_eq!(claimed, observed, "one connection a peer, as the outputs said");
            if let Some(deadline) = node.peers.next_deadline() {
                prop_assert!(deadline > node.now, "nothing due is left undone");
            }
        }
    }
}
