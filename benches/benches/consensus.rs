//! Consensus: CPU of a decided height, by a whole network in one process.
//!
//! n replicas with real Ed25519 keys, equal weights and links without delay decide one height after
//! the other, with everybody awake. Messages are encoded once by their sender and decoded by each
//! receiver, records are encoded; blocks are empty, execution is an answer, storing is a yes. So a
//! height is what the protocol itself costs all n together: divide by n for one validator.
//!
//! No peer is measured yet. The fair one is Malachite's core (the consensus of Arc and others), driven
//! through the same loop with the same keys; that comes with the protocols that decide in as many
//! phases as it does.
//!
//! Expect, by HotPOKT with q = floor(2n/3) + 1: from each follower a NewRound and three votes to the
//! leader; from the leader a proposal and three certificates to everybody; so 8 (n - 1) messages. The
//! leader checks q - 1 signatures in one batch for each of four phases, a follower the proposer's
//! and q in one batch for each of three certificates, less those that it has seen: the certificate
//! in a header is the one that it decided by. The proposer makes a VRF proof, the others check it.
//! The bench prints messages and bytes by kind, and how many signatures arrive in them, which bounds
//! what can be checked; those that a NewRound brings beside its own (the certificate by which its
//! sender came) the leader has seen.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use pocket_benches::fixture::{CHAIN, Validators};
use pocket_benches::{Comparison, Throughput, repeated};
use pocket_consensus::{Config, Identity, Input, Message, Output, Replica, Tip, Verdict};
use pocket_types::block::{Block, Header};
use pocket_types::codec::{self, List};
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::Timestamp;
use pocket_types::vote::Certificate;

fn main() {
    let mut comparison = Comparison::new("consensus");
    for n in [4, 31] {
        let mut network = Network::new(n);
        // The first height begins before anybody has said anything.
        network.decide();
        network.sent.clear();
        network.decide();
        for (kind, count) in &network.sent {
            comparison.note(format_args!("n={n}: {kind}: {count}"));
        }
        comparison.alone(
            format_args!("a height, n={n}, all replicas"),
            Throughput::Elements(n),
            repeated(|| network.decide()),
        );
    }
    comparison.finish();
}

/// Messages of a kind, during one height.
#[derive(Default)]
struct Count {
    messages: usize,
    bytes: usize,
    signatures: usize,
}

struct Network {
    replicas: Vec<(PublicKey, Replica)>,
    inputs: VecDeque<(usize, Arriving)>,
    now: Timestamp,
    sent: BTreeMap<&'static str, Count>,
}

enum Arriving {
    Input(Box<Input>),
    Frame { from: PublicKey, bytes: Rc<Vec<u8>> },
}

impl Network {
    fn new(n: u64) -> Self {
        let Validators { keys, electorate } = Validators::new(n);
        let set = electorate.set();
        let replica = |(key, vrf)| {
            let identity = Identity::new(key, vrf);
            let public_key = identity.public_key();
            let tip = Tip::genesis(CHAIN, Timestamp::ZERO, Hash::ZERO, set.clone()).unwrap();
            let replica = Replica::recover(Config::default(), Some(identity), tip, []).unwrap();
            (public_key, replica)
        };
        Self {
            replicas: keys.into_iter().map(replica).collect(),
            inputs: VecDeque::new(),
            now: Timestamp::ZERO,
            sent: BTreeMap::new(),
        }
    }

    /// Runs until everybody has decided the next height.
    fn decide(&mut self) {
        let next = self.replicas[0].1.height();
        while self.replicas.iter().any(|(_, replica)| replica.height() <= next) {
            let Some((to, arriving)) = self.inputs.pop_front() else {
                self.wait();
                continue;
            };
            let input = match arriving {
                Arriving::Input(input) => *input,
                Arriving::Frame { from, bytes } => {
                    Input::Message { from, message: codec::decode(&bytes).unwrap() }
                }
            };
            self.handle(to, input);
        }
    }

    /// Nobody has anything to do before the next deadline.
    fn wait(&mut self) {
        let deadlines = self.replicas.iter().filter_map(|(_, replica)| replica.next_deadline());
        self.now = self.now.max(deadlines.min().expect("validators always wait for something"));
        for (place, (_, replica)) in self.replicas.iter().enumerate() {
            if replica.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.inputs.push_back((place, Arriving::Input(Box::new(Tick.into()))));
            }
        }
    }

    fn handle(&mut self, place: usize, input: Input) {
        let mut step = self.replicas[place].1.handle(self.now, input).unwrap();
        loop {
            for output in step.outputs {
                self.perform(place, output);
            }
            let Some(unstored) = step.records else { return };
            let log: Vec<_> = unstored.records().iter().map(codec::encode).collect();
            std::hint::black_box(log);
            step = self.replicas[place].1.release(self.now, unstored.stored()).unwrap();
        }
    }

    fn perform(&mut self, place: usize, output: Output) {
        let from = self.replicas[place].0;
        match output {
            Output::Send { to, message } => self.send(from, &[to], &message),
            Output::Broadcast { to, message } => {
                let others = to.set().members.iter().map(|member| member.public_key);
                let others: Vec<_> = others.filter(|other| *other != from).collect();
                self.send(from, &others, &message);
            }
            Output::Build(request) => {
                let header = Header {
                    transactions_root: Block::transactions_root(&[]),
                    evidence_root: Block::evidence_root(&[]),
                    ..request.header
                };
                let block = Box::new(Block {
                    header,
                    transactions: List::empty(),
                    evidence: List::empty(),
                });
                let input = Input::Built { block, change: None };
                self.inputs.push_back((place, Arriving::Input(Box::new(input))));
            }
            Output::Check(block) => {
                let verdict = Verdict::Valid { change: None };
                let input = Input::Checked { block: block.id(), verdict };
                self.inputs.push_back((place, Arriving::Input(Box::new(input))));
            }
            Output::Decided { .. } => {}
            other => panic!("nothing goes wrong here: {other:?}"),
        }
    }

    fn send(&mut self, from: PublicKey, to: &[PublicKey], message: &Message) {
        let bytes = Rc::new(codec::encode(message));
        let (kind, signatures) = contents(message);
        let count = self.sent.entry(kind).or_default();
        count.messages += to.len();
        count.bytes += to.len() * bytes.len();
        count.signatures += to.len() * signatures;
        for to in to {
            let place = self.replicas.binary_search_by_key(to, |(key, _)| *key).unwrap();
            self.inputs.push_back((place, Arriving::Frame { from, bytes: bytes.clone() }));
        }
    }
}

/// What a message is, and how many signatures are in it.
fn contents(message: &Message) -> (&'static str, usize) {
    let certified = |certificate: &Option<Certificate>| {
        certificate.as_ref().map_or(0, |c| c.signatures.len() / 64)
    };
    match message {
        Message::NewRound(new_round) => {
            let certificates = certified(&new_round.high_qc) + certified(&new_round.entry);
            ("NewRound", 1 + certificates + usize::from(new_round.commit.is_some()))
        }
        Message::Proposal(proposal) => {
            let certificates = certified(&proposal.justify) + certified(&proposal.entry);
            ("Proposal", 1 + certificates + certified(&proposal.block.header.parent_certificate))
        }
        Message::Vote(_) => ("Vote", 1),
        Message::Certificate(certificate) => ("Certificate", certificate.signatures.len() / 64),
        _ => ("other", 0),
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { messages, bytes, signatures } = self;
        write!(f, "{messages} messages of {bytes} bytes with {signatures} signatures")
    }
}
