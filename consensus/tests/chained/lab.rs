//! One real replica, and everything that a Byzantine quorum could craft around it. Node 0 is the
//! replica; it leads no round that a test speaks of unless the test says so.

use std::collections::BTreeMap;

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::{Message, NewRound, Proposal};
use pocket_consensus::schedule::LeaderSchedule;
use pocket_consensus::{Input, Output, Protocol, Record, Refusal, Replica, Tip, Verdict};
use pocket_sim::cheap::CheapKeys;
use pocket_types::block::{Block, Header, VERSION};
use pocket_types::codec::List;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Duration, Height, Round, Timestamp};
use pocket_types::scheme::Keys as _;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use crate::common::{Setup, chain, finish, node_of, state_root};

pub(crate) struct Lab<P: Protocol> {
    pub(crate) replica: Replica<P>,
    pub(crate) setup: Setup,
    pub(crate) now: Timestamp,
    /// Everything stored.
    pub(crate) log: Vec<Record>,
    pub(crate) decided: Vec<BlockId>,
    /// How many links of the chain each proof was away from its block.
    pub(crate) distances: Vec<u64>,
    electorate: Electorate,
}

impl<P: Protocol> Lab<P> {
    pub(crate) fn new() -> Self {
        let mut setup = Setup::cheap(&[10; 4]);
        setup.config = Config {
            schedule: LeaderSchedule::RoundRobin,
            // The replica leads round 0 or none before 40.
            leader_rounds: 40,
            block_time: Duration(0),
            ..setup.config
        };
        Self::with(setup, vec![])
    }

    pub(crate) fn with(setup: Setup, log: Vec<Record>) -> Self {
        let tip = setup.genesis();
        Self::at(setup, tip, log)
    }

    /// A replica that starts from a tip.
    pub(crate) fn at(setup: Setup, tip: Tip, log: Vec<Record>) -> Self {
        let electorate = setup.genesis().validators().set().clone();
        let electorate = setup.electorate(electorate);
        // Whoever doesn't lead the first rounds.
        let me = (0..4).find(|&node| {
            let tip = setup.genesis();
            let replica =
                Replica::<P>::recover(setup.config, Some(setup.identity(node)), tip, []).unwrap();
            node_of(&replica.leader(Round::ZERO)) != node
        });
        let identity = Some(setup.identity(me.unwrap()));
        let replica = Replica::recover(setup.config, identity, tip, log.clone()).unwrap();
        let now = Timestamp(1_000);
        let (decided, distances) = (vec![], vec![]);
        let mut lab = Self { replica, setup, now, log, decided, distances, electorate };
        lab.feed(Input::Tick);
        lab
    }

    pub(crate) fn restart(self, log: Vec<Record>) -> Self {
        Self::with(self.setup, log)
    }

    pub(crate) fn me(&self) -> usize {
        (0..4).find(|&node| self.leads(0) != node).unwrap()
    }

    pub(crate) fn leads(&self, round: u64) -> usize {
        node_of(&self.replica.leader(Round(round)))
    }

    pub(crate) fn others(&self) -> Vec<usize> {
        (0..4).filter(|&node| node != self.me()).collect()
    }

    /// Hands an input in, stores at once, answers the host's questions, and gives all outputs.
    pub(crate) fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = vec![];
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let step = self.replica.handle(self.now, input).unwrap();
            inputs.extend(self.finish(step, &mut outputs));
        }
        outputs
    }

    fn finish(&mut self, mut step: Step<Record, Output>, outputs: &mut Vec<Output>) -> Vec<Input> {
        let mut answers = vec![];
        loop {
            for output in step.outputs {
                match &output {
                    Output::Check(block) => {
                        let change = self.setup.change(block.header.height);
                        let verdict = Verdict::Valid { change };
                        answers.push(Input::Checked { block: block.id(), verdict });
                    }
                    Output::Build(request) => {
                        let block = Box::new(finish(request));
                        let change = self.setup.change(block.header.height);
                        answers.push(Input::Built { block, change });
                    }
                    Output::Decided { block, proof } => {
                        self.decided.push(block.id());
                        let above = proof.header().unwrap().height.0 - block.header.height.0;
                        self.distances.push(above);
                    }
                    _ => {}
                }
                outputs.push(output);
            }
            let Some(unstored) = step.records else { return answers };
            self.log.extend(unstored.records().iter().cloned());
            step = self.replica.release(self.now, unstored.stored()).unwrap();
        }
    }

    pub(crate) fn hear(&mut self, from: usize, message: Message) -> Vec<Output> {
        let from = self.setup.public(from);
        self.feed(Input::Message { from, message })
    }

    pub(crate) fn data(&self, height: u64, round: u64, phase: Phase, block: BlockId) -> VoteData {
        VoteData {
            protocol: P::ID,
            chain: chain(),
            epoch: self.electorate.epoch(),
            validators: self.electorate.hash(),
            height: Height(height),
            round: Round(round),
            phase,
            block,
            high: None,
        }
    }

    pub(crate) fn vote(&self, node: usize, data: VoteData) -> Vote {
        CheapKeys(node as u64).vote(data)
    }

    /// A certificate by everybody else.
    pub(crate) fn certificate(&self, data: VoteData) -> Certificate {
        let votes: Vec<Vote> = self.others().iter().map(|&node| self.vote(node, data)).collect();
        Certificate::from_votes(data, &votes, &self.electorate).unwrap()
    }

    pub(crate) fn qc(&self, block: &Block, round: u64) -> Certificate {
        let height = block.header.height.0;
        self.certificate(self.data(height, round, Phase::Prepare, block.id()))
    }

    /// A Timeout QC, whose signers vouch for these rounds where the protocol has them do so.
    pub(crate) fn tc(&self, round: u64, highs: [Option<u64>; 3]) -> Certificate {
        let data = self.data(0, round, Phase::NewRound, BlockId::default());
        let vote = |(&node, high): (&usize, Option<u64>)| {
            let high = high.map(Round).filter(|_| P::ID.signs_high());
            self.vote(node, VoteData { high, ..data })
        };
        let others = self.others();
        let votes: Vec<Vote> = others.iter().zip(highs).map(vote).collect();
        Certificate::from_votes(data, &votes, &self.electorate).unwrap()
    }

    /// A valid block on a parent (none for genesis) that is certified in a round; `salt` sets one apart
    /// from another.
    pub(crate) fn block(&self, proposer: usize, parent: Option<(&Block, u64)>, salt: u64) -> Block {
        let genesis = (BlockId::default(), Height(0), Timestamp(0), Hash::ZERO);
        let (id, height, time, randomness) = parent.map_or(genesis, |(block, _)| {
            let header = &block.header;
            (block.id(), header.height, header.time, header.randomness)
        });
        let height = height.next();
        let (randomness, randomness_proof) = CheapKeys(proposer as u64).beacon(randomness, height);
        let set = |height: u64| self.setup.set_at(height).hash();
        let header = Header {
            version: VERSION,
            chain: chain(),
            height,
            epoch: self.electorate.epoch(),
            parent: id,
            parent_certificate: parent.map(|(block, round)| self.qc(block, round)),
            time: Timestamp(time.0 + 1 + salt),
            proposer: self.setup.public(proposer),
            state_root: state_root(id, height),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: self.electorate.hash(),
            next_validators: set(height.0 + 1),
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }
    }

    /// What the leader of a round sends.
    pub(crate) fn proposal(
        &self,
        round: u64,
        block: &Block,
        entry: Option<Certificate>,
    ) -> Proposal {
        let data = self.data(block.header.height.0, round, Phase::Propose, block.id());
        let vote = self.vote(self.leads(round), data);
        Proposal { vote, block: block.clone(), justify: None, entry }
    }

    pub(crate) fn propose(
        &mut self,
        round: u64,
        block: &Block,
        entry: Option<Certificate>,
    ) -> Vec<Output> {
        let proposal = self.proposal(round, block, entry);
        self.hear(self.leads(round), Message::Proposal(Box::new(proposal)))
    }

    pub(crate) fn show(&mut self, certificate: Certificate) -> Vec<Output> {
        self.hear(self.others()[0], Message::Certificate(Box::new(certificate)))
    }

    pub(crate) fn new_round(
        &self,
        node: usize,
        round: u64,
        high: Option<u64>,
        high_qc: Option<Certificate>,
    ) -> Message {
        let data = self.data(0, round, Phase::NewRound, BlockId::default());
        let vote = self.vote(node, VoteData { high: high.map(Round), ..data });
        Message::NewRound(Box::new(NewRound { vote, high_qc, entry: None, commit: None }))
    }

    /// What the replica voted for, by round.
    pub(crate) fn voted(&self) -> BTreeMap<u64, BlockId> {
        let votes = self.log.iter().filter_map(|record| match record {
            Record::Vote { vote, .. } if vote.data.phase == Phase::Prepare => Some(vote.data),
            _ => None,
        });
        votes.map(|data| (data.round.0, data.block)).collect()
    }
}

/// The refusals among outputs.
pub(crate) fn refusals(outputs: &[Output]) -> Vec<Refusal> {
    let charged = outputs.iter().filter_map(|output| match output {
        Output::Misbehaviour { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    charged.collect()
}
