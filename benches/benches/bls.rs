//! What certificates of one signature cost a replica, beside lists of Ed25519 signatures: `cargo bench
//! -p pocket-benches --features bls --bench bls`.
//!
//! **What is measured.** The CPU that one follower, and the leader, of a thousand validators spend on
//! a height of HotPOKT when all goes well. A leader that stays the same and a follower run; all others
//! say what the follower says, signed with keys of their own. What both hear in a few heights is
//! recorded once and then played to fresh replicas; the first height, which has no parent to check,
//! isn't timed.
//!
//! **What to expect.** A follower signs a NewRound and three votes, and checks the proposer's signature
//! and three certificates, besides the one in the header, which has late votes: five pairing checks,
//! against three batches of 667 signatures and what is new in the fourth. A leader checks the votes
//! of four phases by themselves: BLS signatures take longer to decode than Ed25519's to check in a
//! batch, so what followers gain the one leader pays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pocket_benches::fixture::{CHAIN, Validators};
use pocket_benches::{Comparison, Throughput, Work};
use pocket_consensus::replica::message::NewRound;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{Config, Identity, Input, Message, Output, Replica, Tip, Verdict};
use pocket_types::block::{Block, Header};
use pocket_types::bls::BlsSecretKey;
use pocket_types::codec::{List, encoded_len};
use pocket_types::hash::Hash;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Height, Timestamp};
use pocket_types::scheme::Scheme;
use pocket_types::vote::Vote;

fn main() {
    let mut comparison = Comparison::new("bls");
    let n = if comparison.measures() { 1_000 } else { 7 };
    let [aggregate, list] =
        [Scheme::BlsAggregate, Scheme::Ed25519List].map(|scheme| Recording::new(scheme, n));
    for (role, name) in [(Role::Follower, "follower"), (Role::Leader, "leader")] {
        comparison.beside(
            format_args!("HotPOKT by BLS, one {name} of {n}"),
            Throughput::Elements(1),
            aggregate.replay(role),
            ("lists", list.replay(role)),
        );
    }
    for (name, recording) in [("BLS", aggregate), ("lists", list)] {
        let certificate = recording.tip.certificate().expect("decided");
        comparison.note(format_args!("certificate by {name}: {} bytes", encoded_len(certificate)));
    }
    comparison.finish();
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Leader,
    Follower,
}

/// Heights that are recorded; one fewer is timed.
const HEIGHTS: u64 = 4;

/// What a leader and a follower were told, in order.
struct Recording {
    network: Network,
    told: Vec<(Role, Timestamp, Input)>,
    /// The end of it.
    tip: Tip,
}

/// Validators, of whom two run.
struct Network {
    validators: Validators,
    bls: Option<Vec<BlsSecretKey>>,
    genesis: Tip,
}

const LEADER: usize = 0;
const FOLLOWER: usize = 1;

impl Recording {
    fn new(scheme: Scheme, n: u64) -> Self {
        let network = Network::new(scheme, n);
        let mut replicas = [Role::Leader, Role::Follower].map(|role| network.replica(role));
        let mut queue = VecDeque::new();
        let (mut told, mut now) = (Vec::new(), Timestamp(1));
        while replicas.iter().any(|replica| replica.tip().height() < Height(HEIGHTS)) {
            let Some((role, input)) = queue.pop_front() else {
                let deadlines = replicas.iter().filter_map(Replica::next_deadline);
                now = now.max(deadlines.min().expect("validators always wait for something"));
                queue.extend([Role::Leader, Role::Follower].map(|role| (role, Tick.into())));
                continue;
            };
            told.push((role, now, Input::clone(&input)));
            for output in hand(&mut replicas[role as usize], now, input) {
                network.carry(role, output, &mut queue);
            }
        }
        let tip = replicas[LEADER].tip().clone();
        Self { network, told, tip }
    }

    /// Tells a replica the same again; what it spends on each height but the first.
    fn replay(&self, role: Role) -> impl Work {
        move |times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let mut replica = self.network.replica(role);
                for (_, now, input) in self.told.iter().filter(|(to, ..)| *to == role) {
                    let (counts, input) = (replica.height() > Height(1), input.clone());
                    let start = Instant::now();
                    let outputs = hand(&mut replica, *now, input);
                    spent += if counts { start.elapsed() } else { Duration::ZERO };
                    drop(outputs);
                }
                assert!(replica.tip().height() >= Height(HEIGHTS - 1), "it decides once more");
            }
            spent / (HEIGHTS - 1) as u32
        }
    }
}

/// Everything is stored at once.
fn hand(replica: &mut Replica, now: Timestamp, input: Input) -> Vec<Output> {
    let mut step = replica.handle(now, input).expect("nothing goes wrong here");
    let mut outputs = Vec::new();
    loop {
        outputs.extend(step.outputs);
        let Some(unstored) = step.records else { return outputs };
        step = replica.release(now, unstored.stored()).expect("nothing goes wrong here");
    }
}

impl Network {
    fn new(scheme: Scheme, n: u64) -> Self {
        let validators = Validators::signing_by(scheme, n);
        let bls = scheme == Scheme::BlsAggregate;
        let bls = bls.then(|| (0..n as usize).map(|place| validators.bls_key(place)).collect());
        let set = validators.electorate.set().clone();
        let genesis = Tip::genesis(CHAIN, Timestamp::ZERO, Hash::ZERO, set).expect("a valid set");
        Self { validators, bls, genesis }
    }

    fn replica(&self, role: Role) -> Replica {
        let place = role as usize;
        let (key, vrf) = self.validators.pair(place);
        let identity = match &self.bls {
            Some(_) => Identity::with_bls(key, vrf, self.validators.bls_key(place)),
            None => Identity::new(key, vrf),
        };
        let leader = self.validators.keys[LEADER].0.public_key();
        let config = Config { schedule: LeaderSchedule::Fixed(leader), ..Config::default() };
        let replica = Replica::recover(config, Some(identity), self.genesis.clone(), []);
        replica.expect("a tip that fits")
    }

    /// What one wants done, with what all others say when the follower says something.
    fn carry(&self, from: Role, output: Output, queue: &mut VecDeque<(Role, Input)>) {
        let answer = match output {
            Output::Send { message, .. } if from == Role::Follower => {
                let echoes = (FOLLOWER + 1..self.validators.keys.len())
                    .map(|place| (place, self.echo(place, &message)));
                for (place, message) in [(FOLLOWER, message.clone())].into_iter().chain(echoes) {
                    let from = self.validators.keys[place].0.public_key();
                    queue.push_back((Role::Leader, Input::Message { from, message }));
                }
                return;
            }
            Output::Broadcast { message, .. } if from == Role::Leader => {
                let from = self.validators.keys[LEADER].0.public_key();
                queue.push_back((Role::Follower, Input::Message { from, message }));
                return;
            }
            Output::Build(request) => {
                let header = Header {
                    transactions_root: Block::transactions_root(&[]),
                    evidence_root: Block::evidence_root(&[]),
                    ..request.header
                };
                let (transactions, evidence) = (List::empty(), List::empty());
                let block = Box::new(Block { header, transactions, evidence });
                Input::Built { block, change: None }
            }
            Output::Check(block) => {
                Input::Checked { block: block.id(), verdict: Verdict::Valid { change: None } }
            }
            Output::Decided { .. } => return,
            other => panic!("nothing goes wrong here: {other:?}"),
        };
        queue.push_back((from, answer));
    }

    fn echo(&self, place: usize, message: &Message) -> Message {
        match message {
            Message::Vote(vote) => Message::Vote(self.again(place, vote)),
            Message::NewRound(said) => Message::NewRound(Box::new(NewRound {
                vote: self.again(place, &said.vote),
                commit: said.commit.map(|vote| self.again(place, &vote)),
                ..NewRound::clone(said)
            })),
            other => panic!("followers vote: {other:?}"),
        }
    }

    fn again(&self, place: usize, vote: &Vote) -> Vote {
        let (key, digest) = (&self.validators.keys[place].0, vote.data.digest());
        let signature = match &self.bls {
            Some(keys) => keys[place].sign(&digest).into(),
            None => key.sign(&digest).into(),
        };
        Vote { data: vote.data, signer: key.public_key(), signature }
    }
}
