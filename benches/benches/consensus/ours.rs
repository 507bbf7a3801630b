//! A validator made of [`Replica`], and its host: blocks are empty, execution is an answer, storing
//! is a yes.

use std::hint::black_box;

use pocket_benches::fixture::CHAIN;
use pocket_consensus::replica::message::NewRound;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{
    Config, Identity, Input, Message, Output as Said, Protocol, Replica, Tip, Verdict,
};
use pocket_types::block::{Block, Header};
use pocket_types::codec::{self, List};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Step, Tick};
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote};

use crate::free::{FreeKeys, FreeVerifier};
use crate::network::{Carriage, Crypto, Kind, Node, Output, Setup};

/// A validator that runs a protocol.
pub(crate) struct Ours<P: Protocol> {
    replica: Replica<P>,
    carriage: Carriage,
}

/// A message on its way.
#[expect(clippy::large_enum_variant, reason = "a run has messages of one kind")]
pub(crate) enum Carried {
    Memory(Message),
    Wire(Vec<u8>),
}

/// What the host was asked.
pub(crate) enum Question {
    Build(Box<Block>),
    Check(BlockId),
}

impl<P: Protocol> Ours<P> {
    fn at(setup: &Setup, place: usize, tip: Tip) -> Self {
        let (key, vrf) = setup.validators.pair(place);
        let identity = match setup.crypto {
            Crypto::Ed25519 => Identity::new(key, vrf),
            Crypto::Off => Identity::with_keys(FreeKeys {
                public_key: key.public_key(),
                vrf_key: vrf.public_key(),
            }),
        };
        let replica = Replica::recover(Config::default(), Some(identity), tip, []);
        Self { replica: replica.expect("a tip that fits"), carriage: setup.carriage }
    }

    fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output<Self>> {
        let mut outputs = Vec::new();
        let mut step = self.replica.handle(now, input).expect("nothing goes wrong here");
        loop {
            let Step { records, outputs: said } = step;
            outputs.extend(said.into_iter().filter_map(|output| self.perform(output)));
            let Some(unstored) = records else { return outputs };
            if self.carriage == Carriage::Wire {
                let log: Vec<_> = unstored.records().iter().map(codec::encode).collect();
                black_box(log);
            }
            step = self.replica.release(now, unstored.stored()).expect("nothing goes wrong here");
        }
    }

    fn perform(&self, output: Said) -> Option<Output<Self>> {
        Some(match output {
            Said::Send { to, message } => {
                Output::Say { to: Some(self.place(&to)), message: self.carry(message) }
            }
            Said::Broadcast { message, .. } => {
                Output::Say { to: None, message: self.carry(message) }
            }
            Said::Build(request) => {
                let header = Header {
                    transactions_root: Block::transactions_root(&[]),
                    evidence_root: Block::evidence_root(&[]),
                    ..request.header
                };
                let (transactions, evidence) = (List::empty(), List::empty());
                let block = Block { header, transactions, evidence };
                Output::Ask(Question::Build(Box::new(block)))
            }
            Said::Check(block) => Output::Ask(Question::Check(block.id())),
            Said::Decided { .. } => return None,
            other => panic!("nothing goes wrong here: {other:?}"),
        })
    }

    fn place(&self, key: &PublicKey) -> usize {
        self.replica.tip().validators().position(key).expect("validators talk among themselves")
    }

    fn carry(&self, message: Message) -> Carried {
        match self.carriage {
            Carriage::Memory => Carried::Memory(message),
            Carriage::Wire => Carried::Wire(codec::encode(&message)),
        }
    }
}

impl Carried {
    /// The receiver's own.
    fn message(&self) -> Message {
        match self {
            Self::Memory(message) => message.clone(),
            Self::Wire(bytes) => codec::decode(bytes).expect("what was encoded"),
        }
    }
}

impl<P: Protocol> Node for Ours<P> {
    type Message = Carried;
    type Question = Question;

    fn new(setup: &Setup, place: usize) -> Self {
        let set = setup.validators.electorate.set().clone();
        let electorate = match setup.crypto {
            Crypto::Ed25519 => Electorate::new(set),
            Crypto::Off => Electorate::with_verifier(set, Box::new(FreeVerifier)),
        };
        let electorate = electorate.expect("a valid set");
        Self::at(setup, place, Tip::genesis_of(CHAIN, Timestamp::ZERO, Hash::ZERO, electorate))
    }

    fn join(&self, setup: &Setup, place: usize) -> Self {
        Self::at(setup, place, self.replica.tip().clone())
    }

    fn height(&self) -> u64 {
        self.replica.height().0
    }

    fn leader(&self, height: u64) -> usize {
        let leaders = LeaderSchedule::default().leaders(self.replica.tip().validators(), 1);
        leaders.leader(Height(height), Round::ZERO)
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.replica.next_deadline()
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Output<Self>> {
        self.handle(now, Tick.into())
    }

    fn answer(&mut self, now: Timestamp, question: Question) -> Vec<Output<Self>> {
        self.handle(
            now,
            match question {
                Question::Build(block) => Input::Built { block, change: None },
                Question::Check(block) => {
                    Input::Checked { block, verdict: Verdict::Valid { change: None } }
                }
            },
        )
    }

    fn hear(&mut self, now: Timestamp, from: usize, message: &Carried) -> Vec<Output<Self>> {
        let from = self.replica.tip().validators().member(from).expect("a position").public_key;
        self.handle(now, Input::Message { from, message: message.message() })
    }

    fn echo(setup: &Setup, place: usize, message: &Carried) -> Carried {
        let again = |vote| again(setup, place, vote);
        let echo = match message.message() {
            Message::Vote(vote) => Message::Vote(again(vote)),
            Message::NewRound(said) => Message::NewRound(Box::new(NewRound {
                vote: again(said.vote),
                commit: said.commit.map(again),
                ..*said
            })),
            other => panic!("followers vote: {other:?}"),
        };
        match message {
            Carried::Memory(_) => Carried::Memory(echo),
            Carried::Wire(_) => Carried::Wire(codec::encode(&echo)),
        }
    }

    fn kind(message: &Carried) -> Kind {
        let message = message.message();
        let (name, signatures) = contents(&message);
        Kind { name, bytes: Some(codec::encoded_len(&message)), signatures }
    }
}

/// Another validator's signature of the same.
fn again(setup: &Setup, place: usize, vote: Vote) -> Vote {
    let (key, _) = &setup.validators.keys[place];
    let signature = setup.crypto.sign(key, || vote.data.digest()).into();
    Vote { data: vote.data, signer: key.public_key(), signature }
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
