//! Peer to peer: the channel's throughput, a broadcast through RainTree.
//!
//! **A frame** is sealed by one side and opened by the other. The peer is snow by itself: the same
//! handshake pattern and ciphers (`Noise_XX_25519_ChaChaPoly_BLAKE2s`), the body in the same chunks
//! of at most 65,519 bytes. Both sides encrypt and authenticate every byte once each way. Ours does
//! more: a sealed header of 21 bytes for each frame, buffers of its own for what it returns (snow
//! writes into ours, allocated once), bounds, and a new key every 64 MiB. snow brings its own
//! version of the ciphers; ours are the newer ones of the workspace. Expect 21 bytes and 16 for each
//! chunk on top of the body (printed), and 2 + chunks AEAD operations per frame.
//!
//! **A broadcast** of 1 KiB over 10,000 nodes in one process: every node's machine, one after the
//! other, without channels or encoding. No peer does the same work: gossip by random fan-out sends
//! some multiple of n messages, this one n - 1. Expect exactly 9,999 messages and deliveries, 9
//! levels, one hash of the content per node, no signature.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use pocket_benches::fixture::{CHAIN, key, seed};
use pocket_benches::{Comparison, Throughput, repeated};
use pocket_p2p::channel::{Channel, ChannelConfig, Handshake, Progress};
use pocket_p2p::message::MessageClass;
use pocket_p2p::raintree::{Input, Output, Payload, RainTree, RainTreeConfig, Segment, View};
use pocket_types::key::PublicKey;
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Timestamp};

fn main() {
    let mut comparison = Comparison::new("p2p");
    channels(&mut comparison);
    broadcasts(&mut comparison);
    comparison.finish();
}

/// Longest plaintext of one Noise message.
const CHUNK: usize = 65_535 - 16;

fn channels(comparison: &mut Comparison) {
    let (mut alice, mut bob) = channel();
    let (mut initiator, mut responder) = noise();
    let (mut sealed, mut opened) = (vec![0; 65_535], vec![0; 65_535]);
    for (name, size) in [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let body = vec![0xa5; size];
        let by_us = repeated(|| {
            let bytes = alice.send(MessageClass::Sync, black_box(&body)).unwrap();
            bob.receive(&bytes).unwrap()
        });
        let by_snow = repeated(|| {
            for chunk in black_box(&body).chunks(CHUNK) {
                let length = initiator.write_message(chunk, &mut sealed).unwrap();
                responder.read_message(&sealed[..length], &mut opened).unwrap();
            }
        });
        let throughput = Throughput::Bytes(size as u64);
        comparison.beside(format_args!("frame of {name}"), throughput, by_us, ("snow", by_snow));
        let bytes = alice.send(MessageClass::Sync, &body).unwrap();
        bob.receive(&bytes).unwrap();
        let more = bytes.len() - size;
        comparison.note(format_args!("frame of {name}: {more} bytes more on the wire"));
    }
}

/// Both ends of an established channel.
fn channel() -> (Channel, Channel) {
    let config = ChannelConfig { chain: CHAIN, listen: Default::default() };
    let (alice, bob) = (key(1), key(2));
    let (mut dialing, mut to_bob) = Handshake::dial(&config, Some(bob.public_key()), seed(3));
    let mut accepting = Handshake::accept(&config, seed(4));
    loop {
        let (next, to_alice) = match accepting.receive(&bob, &to_bob).unwrap() {
            Progress::Pending { handshake, send } => (Ok(handshake), send),
            Progress::Established { channel, send, .. } => (Err(channel), send),
        };
        match (dialing.receive(&alice, &to_alice).unwrap(), next) {
            (Progress::Pending { handshake, send }, Ok(other)) => {
                (dialing, accepting, to_bob) = (handshake, other, send);
            }
            (Progress::Established { channel, .. }, Err(other)) => return (channel, other),
            _ => unreachable!("the responder's proof completes both sides"),
        }
    }
}

/// Both ends of a transport by snow alone.
fn noise() -> (snow::TransportState, snow::TransportState) {
    let builder = || snow::Builder::new("Noise_XX_25519_ChaChaPoly_BLAKE2s".parse().unwrap());
    let secrets = [builder().generate_keypair().unwrap(), builder().generate_keypair().unwrap()];
    let mut initiator =
        builder().local_private_key(&secrets[0].private).unwrap().build_initiator().unwrap();
    let mut responder =
        builder().local_private_key(&secrets[1].private).unwrap().build_responder().unwrap();
    let (mut sent, mut read) = ([0; 1024], [0; 1024]);
    for message in 0..3 {
        let (from, to) = match message {
            1 => (&mut responder, &mut initiator),
            _ => (&mut initiator, &mut responder),
        };
        let length = from.write_message(&[], &mut sent).unwrap();
        to.read_message(&sent[..length], &mut read).unwrap();
    }
    (initiator.into_transport_mode().unwrap(), responder.into_transport_mode().unwrap())
}

/// A network whose links take no time.
struct Network {
    view: Arc<View>,
    /// By rank.
    nodes: Vec<RainTree>,
    now: Timestamp,
    broadcasts: u64,
}

/// What a broadcast took.
#[derive(PartialEq, Debug)]
struct Counts {
    messages: u64,
    delivered: u64,
    hops: u32,
    most_sent_by_one: u64,
}

impl Network {
    fn new(nodes: u64) -> Self {
        let keys = (0..nodes).map(|node| PublicKey(seed(node)));
        let view = Arc::new(View::new(Segment::Everyone, keys.collect()).unwrap());
        let node = |key: &PublicKey| {
            let mut node = RainTree::new(*key, RainTreeConfig::default());
            let _ = node.handle(Timestamp::default(), Input::ViewChanged(view.clone())).unwrap();
            node
        };
        let nodes = view.members().iter().map(node).collect();
        Self { view, nodes, now: Timestamp::default(), broadcasts: 0 }
    }

    /// One message to everybody, from another node each time.
    fn broadcast(&mut self) -> Counts {
        // Later than all that nodes remember, so that their memory doesn't grow.
        self.now = self.now.after(Duration::seconds(3_600));
        self.broadcasts += 1;
        let payload = Payload::new(seed(self.broadcasts).repeat(32)).unwrap();
        let origin = (self.broadcasts as usize * 7_919) % self.nodes.len();
        let input = Input::Broadcast { segment: Segment::Everyone, payload };
        let mut inputs = VecDeque::from([(origin, input, 0)]);
        let mut counts = Counts { messages: 0, delivered: 0, hops: 0, most_sent_by_one: 0 };
        while let Some((node, input, hops)) = inputs.pop_front() {
            let from = self.view.members()[node];
            let mut sent = 0;
            for output in self.nodes[node].handle(self.now, input).unwrap().into_outputs() {
                match output {
                    Output::Send { to, envelope } => {
                        let to = self.view.rank(&to).unwrap() as usize;
                        inputs.push_back((to, Input::Received { from, envelope }, hops + 1));
                        sent += 1;
                    }
                    Output::Deliver { .. } => counts.delivered += 1,
                    other => unreachable!("nobody breaks the rules here: {other:?}"),
                }
            }
            counts.messages += sent;
            counts.hops = counts.hops.max(hops);
            counts.most_sent_by_one = counts.most_sent_by_one.max(sent);
        }
        counts
    }
}

fn broadcasts(comparison: &mut Comparison) {
    const NODES: u64 = 10_000;
    let mut network = Network::new(NODES);
    let counts = network.broadcast();
    assert_eq!((counts.messages, counts.delivered), (NODES - 1, NODES - 1));
    comparison.note(format_args!("broadcast over {NODES} nodes: {counts:?}"));
    comparison.alone(
        format_args!("broadcast over {NODES} nodes"),
        Throughput::Elements(NODES - 1),
        repeated(|| network.broadcast()),
    );
}
