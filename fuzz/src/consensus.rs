//! Consensus: its messages and records, and a replica among three validators that do anything.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pocket_consensus::fast_sync::FastSyncMessage;
use pocket_consensus::replica::message::{BlockRequest, NewRound, Proposal};
use pocket_consensus::sync::{DecidedBlock, SyncMessage};
use pocket_consensus::{
    Config, Identity, Input, Message, Output, Record, Replica, ReplicaError, Tip, Verdict,
};
use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec::{self, List};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Duration, Epoch, Round, Timestamp, Weight};
use pocket_types::validator::{Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::VrfSecret;

use crate::script::Script;
use crate::types::decoded;

/// Messages between validators and between syncing peers, and a replica's own records.
pub fn consensus(data: &[u8]) -> usize {
    decoded::<Message>(data, |_| {})
        + decoded::<NewRound>(data, |_| {})
        + decoded::<Proposal>(data, |_| {})
        + decoded::<SyncMessage>(data, |_| {})
        + decoded::<FastSyncMessage>(data, |_| {})
        + decoded::<DecidedBlock>(data, |_| {})
        + decoded::<Record>(data, |record| {
            record.height();
            let _ = recover(genesis(), [record.clone()]);
        })
}

/// One replica, and a script of what the other three of four validators send: more than the protocol
/// tolerates, so blocks may well be decided that others would not. But whatever they send, and
/// however often it crashes, the replica never signs two things for one slot, comes back from its
/// log, and goes on.
pub fn replica(data: &[u8]) -> usize {
    run(data).0
}

fn run(data: &[u8]) -> (usize, Node) {
    let mut node = Node::new();
    let mut script = Script::new(data);
    let mut lines = 0;
    while lines < MAX_LINES && node.line(&mut script).is_some() {
        lines += 1;
    }
    (lines, node)
}

const MAX_LINES: usize = 80;
const CHAIN: ChainId = ChainId(Hash([7; 32]));
const PHASES: [Phase; 5] =
    [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit, Phase::Commit];

/// Four keys by position in the set; the replica has the first.
fn keys() -> &'static [SecretKey] {
    static KEYS: OnceLock<Vec<SecretKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut keys: Vec<_> = (1..5).map(|seed| SecretKey::from_seed([seed; 32])).collect();
        keys.sort_by_key(SecretKey::public_key);
        keys
    })
}

fn vrf() -> VrfSecret {
    VrfSecret::from_seed([9; 32])
}

fn genesis() -> Tip {
    static TIP: OnceLock<Tip> = OnceLock::new();
    let make = || {
        let members = keys().iter().map(|key| Validator {
            public_key: key.public_key(),
            vrf_key: vrf().public_key(),
            weight: Weight(1),
            bls_key: None,
        });
        let set = ValidatorSet::new(Epoch(0), members.collect()).expect("four members");
        Tip::genesis(CHAIN, Timestamp(0), Hash::ZERO, set).expect("a valid set")
    };
    TIP.get_or_init(make).clone()
}

fn recover(
    tip: Tip,
    log: impl IntoIterator<Item = Record>,
) -> Result<Replica, pocket_consensus::RecoverError> {
    let config = Config { block_time: Duration(100), timeout: Duration(100), ..Config::default() };
    // The replica's own key, as secrets can't be copied: the one that sorts first.
    let key = (1..5)
        .map(|seed| SecretKey::from_seed([seed; 32]))
        .min_by_key(SecretKey::public_key)
        .expect("four keys");
    Replica::recover(config, Some(Identity::new(key, vrf())), tip, log)
}

struct Node {
    replica: Replica,
    now: Timestamp,
    tip: Tip,
    log: Vec<Record>,
    /// Everything that can be named in messages.
    blocks: Vec<Block>,
    certificates: Vec<Certificate>,
    votes: Vec<Vote>,
    heard: Vec<Message>,
    build: Option<Header>,
    check: Option<BlockId>,
    /// What the replica ever signed, by slot.
    signed: BTreeMap<VoteData, BlockId>,
}

impl Node {
    fn new() -> Self {
        Self {
            replica: recover(genesis(), []).expect("an empty log"),
            now: Timestamp(1),
            tip: genesis(),
            log: Vec::new(),
            blocks: Vec::new(),
            certificates: Vec::new(),
            votes: Vec::new(),
            heard: Vec::new(),
            build: None,
            check: None,
            signed: BTreeMap::new(),
        }
    }

    /// Carries out one line; none at the script's end.
    fn line(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.pick(12)? {
            0 => {
                self.now = self.now.after(Duration(u64::from(script.byte()?) * 4));
                self.input(Input::Tick);
            }
            1 => {
                let proposer = script.pick(keys().len())?;
                let time = self.replica.tip().time().after(Duration(script.byte()?.into()));
                self.propose_block(proposer, time);
            }
            2 => {
                let data = self.vote_data(script)?;
                let vote = self.vote(data, script)?;
                self.send(script, Message::Vote(vote))?;
            }
            3 => {
                let data = self.vote_data(script)?;
                let signers = [0b111, 0b1110, 0b1011, 0b1101, 0b1111, 0b110][script.pick(6)?];
                let certificate = self.certify(data, signers);
                self.send(script, Message::Certificate(Box::new(certificate)))?;
            }
            4 => {
                let data = self.vote_data(script)?;
                let high_qc = script.maybe(&self.certificates)?.cloned();
                let entry = script.maybe(&self.certificates)?.cloned();
                let commit = script.maybe(&self.votes)?.copied();
                let data = VoteData { phase: Phase::NewRound, block: BlockId::default(), ..data };
                let vote = self.vote(data, script)?;
                let new_round = NewRound { vote, high_qc, entry, commit };
                self.send(script, Message::NewRound(Box::new(new_round)))?;
            }
            5 => {
                let data = self.vote_data(script)?;
                let Some(block) = script.maybe(&self.blocks)?.cloned() else { return Some(()) };
                let justify = script.maybe(&self.certificates)?.cloned();
                let entry = script.maybe(&self.certificates)?.cloned();
                let data = VoteData { phase: Phase::Propose, block: block.id(), ..data };
                let vote = self.vote(data, script)?;
                let proposal = Proposal { vote, block, justify, entry };
                self.send(script, Message::Proposal(Box::new(proposal)))?;
            }
            6 => {
                let Some(block) = script.maybe(&self.blocks)?.cloned() else { return Some(()) };
                self.send(script, Message::Block(Box::new(block)))?;
            }
            7 => {
                let block = script.maybe(&self.blocks)?.map(Block::id).unwrap_or_default();
                let height = self.replica.height();
                let request = BlockRequest { height, block };
                self.send(script, Message::BlockRequest(request))?;
            }
            8 => {
                if let Some(header) = self.build.take() {
                    let block = Box::new(Block {
                        header: Header { state_root: Hash([1; 32]), ..header },
                        transactions: List::empty(),
                        evidence: List::empty(),
                    });
                    self.blocks.push((*block).clone());
                    self.input(Input::Built { block, change: None });
                }
            }
            9 => {
                if let Some(block) = self.check.take() {
                    let verdict = match script.pick(4)? {
                        0 => Verdict::Invalid("the script says so".into()),
                        _ => Verdict::Valid { change: None },
                    };
                    self.input(Input::Checked { block, verdict });
                }
            }
            10 => self.crash(),
            _ => {
                // What was heard before, from whoever it may be; or anything at all.
                let message = match script.maybe(&self.heard)?.cloned() {
                    Some(message) => Some(message),
                    None => codec::decode(script.chunk()?).ok(),
                };
                if let Some(message) = message {
                    self.send(script, message)?;
                }
            }
        }
        Some(())
    }

    fn vote_data(&self, script: &mut Script<'_>) -> Option<VoteData> {
        let place = script.byte()?;
        let electorate = self.replica.tip().validators();
        let block = script.maybe(&self.blocks)?.map(Block::id).unwrap_or_default();
        let round = self.replica.round().0.saturating_add(u64::from(place >> 3 & 3));
        Some(VoteData {
            protocol: Protocol::HotPokt,
            chain: CHAIN,
            epoch: electorate.epoch(),
            validators: electorate.hash(),
            height: match place >> 5 {
                0 => self.replica.tip().height(),
                1 => self.replica.height().next(),
                _ => self.replica.height(),
            },
            round: Round(round.saturating_sub(u64::from(place >> 7))),
            phase: PHASES[usize::from(place & 7) % PHASES.len()],
            block,
            high: None,
        })
    }

    fn vote(&mut self, data: VoteData, script: &mut Script<'_>) -> Option<Vote> {
        let signer = 1 + script.pick(keys().len() - 1)?;
        let vote = Vote::sign(data, &keys()[signer]);
        self.votes.push(vote);
        Some(vote)
    }

    /// A certificate of whoever; the replica's own signature in it is garbage.
    fn certify(&mut self, data: VoteData, signers: u8) -> Certificate {
        let electorate = self.replica.tip().validators();
        let votes = keys().iter().zip(0..).filter(|(_, place)| signers >> place & 1 == 1);
        let votes: Vec<_> = votes
            .map(|(key, place)| match place {
                0 => Vote { signer: key.public_key(), ..Vote::sign(data, &keys()[1]) },
                _ => Vote::sign(data, key),
            })
            .collect();
        let certificate = Certificate::from_votes(data, &votes, electorate).unwrap_or_else(|_| {
            let votes: Vec<_> = keys()[1..].iter().map(|key| Vote::sign(data, key)).collect();
            Certificate::from_votes(data, &votes, electorate).expect("three of four")
        });
        self.certificates.push(certificate.clone());
        certificate
    }

    /// A block on the tip that every check of its header passes, unless its time is wrong.
    fn propose_block(&mut self, proposer: usize, time: Timestamp) {
        let tip = self.replica.tip();
        let height = self.replica.height();
        let (randomness, randomness_proof) = beacon::extend(tip.randomness(), height, &vrf());
        let header = Header {
            version: VERSION,
            chain: CHAIN,
            height,
            epoch: tip.validators().epoch(),
            parent: tip.block(),
            parent_certificate: tip.certificate().cloned(),
            time,
            proposer: keys()[proposer].public_key(),
            state_root: Hash([1; 32]),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: tip.validators().hash(),
            next_validators: tip.next_validators().hash(),
            randomness,
            randomness_proof,
        };
        let block = Block { header, transactions: List::empty(), evidence: List::empty() };
        self.blocks.push(block);
    }

    fn send(&mut self, script: &mut Script<'_>, message: Message) -> Option<()> {
        let from = keys()[1 + script.pick(keys().len() - 1)?].public_key();
        self.input(Input::Message { from, message });
        Some(())
    }

    fn crash(&mut self) {
        let log = self.log.iter().filter(|record| record.height() > self.tip.height()).cloned();
        self.replica = recover(self.tip.clone(), log).expect("it wrote this log itself");
        (self.build, self.check) = (None, None);
    }

    fn input(&mut self, input: Input) {
        let mut result = self.replica.handle(self.now, input);
        loop {
            let Step { records, outputs } = match result {
                Ok(step) => step,
                // It found that a quorum contradicts it, or that its host erred: both can be here.
                Err(ReplicaError::Diverged { .. }) => return,
                Err(error) => {
                    assert!(!matches!(error, ReplicaError::Poisoned(_)), "{error}");
                    return;
                }
            };
            outputs.into_iter().for_each(|output| self.perform(output));
            let Some(unstored) = records else { return };
            self.log.extend(unstored.records().iter().cloned());
            result = self.replica.release(self.now, unstored.stored());
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { message, .. } | Output::Broadcast { message, .. } => {
                self.signed(&message);
                self.heard.push(message);
            }
            Output::Build(request) => self.build = Some(request.header),
            Output::Check(block) => self.check = Some(block.id()),
            Output::Decided { block, proof } => {
                assert_eq!(block.header.parent, self.tip.block());
                self.tip = self.tip.after(&proof, None).expect("a decision is proved");
                assert_eq!(self.tip.block(), block.id());
            }
            Output::Evidence(evidence) => {
                let offence = evidence.verify(CHAIN).expect("evidence holds");
                assert_ne!(offence.offender, keys()[0].public_key(), "it accuses itself");
            }
            _ => {}
        }
    }

    fn signed(&mut self, message: &Message) {
        let votes = match message {
            Message::NewRound(new_round) => vec![Some(new_round.vote), new_round.commit],
            Message::Proposal(proposal) => vec![Some(proposal.vote)],
            Message::Vote(vote) => vec![Some(*vote)],
            _ => vec![],
        };
        let own = keys()[0].public_key();
        for vote in votes.into_iter().flatten().filter(|vote| vote.signer == own) {
            let block = *self.signed.entry(vote.data.slot()).or_insert(vote.data.block);
            assert_eq!(block, vote.data.block, "two votes in a slot: {vote:?}");
            let is = |record: &Record| matches!(record, Record::Vote { vote: v, .. } if *v == vote);
            assert!(self.log.iter().any(is), "it sends what it hasn't stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Node {
        let seeds = crate::seeds::seeds();
        let seed = seeds.iter().find(|seed| (seed.0, &seed.1[..]) == ("replica", name));
        let (lines, node) = run(&seed.expect("a seed of this name").2);
        assert!(lines > 10, "only {lines} lines");
        node
    }

    #[test]
    fn the_seed_that_decides_does() {
        let node = seed("decides");
        assert_eq!(node.tip.height().0, 1);
        assert!(node.signed.keys().any(|slot| slot.phase == Phase::Commit));
    }

    #[test]
    fn the_seed_that_changes_rounds_locks_before() {
        let node = seed("changes_rounds");
        assert!(node.replica.protocol().lock().is_some() && node.replica.round() > Round(0));
    }
}
