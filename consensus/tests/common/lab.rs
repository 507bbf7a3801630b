//! One real replica, and everything that a Byzantine quorum could craft around it.

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::{Message, NewRound, Proposal};
use pocket_consensus::{Input, Output, Record, Refusal, Replica, Tip, Verdict};
use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec::List;
use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

use super::{chain, config, identity, key, node_of, public, set, state_root, vrf};

pub struct Lab {
    pub replica: Replica,
    pub weights: Vec<u64>,
    pub me: usize,
    pub now: Timestamp,
    pub config: Config,
    /// Everything stored.
    pub log: Vec<Record>,
}

impl Lab {
    /// A replica that has entered the first round of height 1.
    pub fn new(weights: &[u64], me: usize) -> Self {
        Self::with(weights, me, config())
    }

    pub fn with(weights: &[u64], me: usize, config: Config) -> Self {
        let tip = genesis(weights, &config);
        let replica = Replica::recover(config, Some(identity(me)), tip, []).unwrap();
        let weights = weights.to_vec();
        let mut lab = Self { replica, weights, me, now: Timestamp(1_000), config, log: vec![] };
        lab.feed(Input::Tick);
        lab
    }

    /// A lab of four equal validators whose replica leads neither round 0 nor 1 nor 2.
    pub fn follower() -> Self {
        let probe = Self::new(&[10; 4], 0);
        let me = node_of(&probe.replica.leader(Round(3)));
        Self::new(&[10; 4], me)
    }

    /// A lab of four equal validators whose replica leads a round of height 1.
    pub fn leader(round: u64) -> Self {
        let probe = Self::new(&[10; 4], 0);
        let me = node_of(&probe.replica.leader(Round(round)));
        Self::new(&[10; 4], me)
    }

    /// Crashes and recovers from what is stored.
    pub fn restart(self) -> Self {
        self.restart_with_outputs().0
    }

    pub fn restart_with_outputs(self) -> (Self, Vec<Output>) {
        let tip = genesis(&self.weights, &self.config);
        let identity = Some(identity(self.me));
        let replica = Replica::recover(self.config, identity, tip, self.log.clone()).unwrap();
        let mut lab = Self { replica, ..self };
        let outputs = lab.feed(Input::Tick);
        (lab, outputs)
    }

    pub fn others(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&node| node != self.me).collect()
    }

    pub fn everybody(&self) -> Vec<usize> {
        (0..self.weights.len()).collect()
    }

    pub fn electorate(&self) -> Electorate {
        Electorate::new(set(0, &self.weights)).unwrap()
    }

    pub fn leads(&self, round: u64) -> usize {
        node_of(&self.replica.leader(Round(round)))
    }

    /// Hands an input in, stores at once, answers checks truthfully, and gives all outputs.
    pub fn feed(&mut self, input: Input) -> Vec<Output> {
        let step = self.replica.handle(self.now, input).unwrap();
        let mut outputs = vec![];
        let mut questions = self.finish(step, &mut outputs);
        while let Some(block) = questions.pop() {
            let verdict = Verdict::Valid { change: None };
            let input = Input::Checked { block: block.id(), verdict };
            let step = self.replica.handle(self.now, input).unwrap();
            questions.extend(self.finish(step, &mut outputs));
        }
        outputs
    }

    fn finish(&mut self, mut step: Step<Record, Output>, outputs: &mut Vec<Output>) -> Vec<Block> {
        let mut questions = vec![];
        loop {
            for output in step.outputs {
                if let Output::Check(block) = &output {
                    questions.push((**block).clone());
                }
                outputs.push(output);
            }
            let Some(unstored) = step.records else { return questions };
            self.log.extend(unstored.records().iter().cloned());
            step = self.replica.release(self.now, unstored.stored()).unwrap();
        }
    }

    pub fn hear(&mut self, from: usize, message: Message) -> Vec<Output> {
        self.feed(Input::Message { from: public(from), message })
    }

    pub fn hear_certificate(&mut self, certificate: &Certificate) -> Vec<Output> {
        let from = self.others()[0];
        self.hear(from, Message::Certificate(Box::new(certificate.clone())))
    }

    pub fn data(&self, round: u64, phase: Phase, block: BlockId) -> VoteData {
        let electorate = self.electorate();
        VoteData {
            protocol: Protocol::HotPokt,
            chain: chain(),
            epoch: electorate.epoch(),
            validators: electorate.hash(),
            height: Height(1),
            round: Round(round),
            phase,
            block,
            high: None,
        }
    }

    pub fn vote(&self, node: usize, round: u64, phase: Phase, block: BlockId) -> Vote {
        Vote::sign(self.data(round, phase, block), &key(node))
    }

    /// A certificate by the first members that make a quorum, whoever they are.
    pub fn qc(&self, round: u64, phase: Phase, block: BlockId) -> Certificate {
        self.qc_of(self.data(round, phase, block))
    }

    pub fn qc_of(&self, data: VoteData) -> Certificate {
        let votes: Vec<Vote> =
            self.others().iter().map(|&node| Vote::sign(data, &key(node))).collect();
        let electorate = self.electorate();
        Certificate::from_votes(data, &votes, &electorate).unwrap()
    }

    pub fn tc(&self, round: u64) -> Certificate {
        self.qc(round, Phase::NewRound, BlockId::default())
    }

    /// A valid block for height 1; `salt` sets one apart from another.
    pub fn block(&self, proposer: usize, salt: u64) -> Block {
        let electorate = self.electorate();
        let (randomness, randomness_proof) = beacon::extend(Hash::ZERO, Height(1), &vrf(proposer));
        let header = Header {
            version: VERSION,
            chain: chain(),
            height: Height(1),
            epoch: electorate.epoch(),
            parent: BlockId::default(),
            parent_certificate: None,
            time: Timestamp(900 + salt),
            proposer: public(proposer),
            state_root: state_root(BlockId::default(), Height(1)),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: electorate.hash(),
            next_validators: electorate.hash(),
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }
    }

    /// What the leader of a round sends.
    pub fn proposal(
        &self,
        round: u64,
        block: &Block,
        justify: Option<Certificate>,
    ) -> (usize, Proposal) {
        let leader = self.leads(round);
        let vote = self.vote(leader, round, Phase::Propose, block.id());
        let entry = (round > 0).then(|| self.tc(round));
        (leader, Proposal { vote, block: block.clone(), justify, entry })
    }

    pub fn propose(
        &mut self,
        round: u64,
        block: &Block,
        justify: Option<Certificate>,
    ) -> Vec<Output> {
        let (leader, proposal) = self.proposal(round, block, justify);
        self.hear(leader, Message::Proposal(Box::new(proposal)))
    }

    /// What an elected leader sends in round 0.
    pub fn propose_by(&mut self, leader: usize, block: &Block) -> Vec<Output> {
        let vote = self.vote(leader, 0, Phase::Propose, block.id());
        let proposal = Proposal { vote, block: block.clone(), justify: None, entry: None };
        self.hear(leader, Message::Proposal(Box::new(proposal)))
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: u64) -> Vec<Output> {
        self.now.0 += time;
        self.feed(Input::Tick)
    }

    pub fn new_round(&self, node: usize, round: u64, high_qc: Option<Certificate>) -> Message {
        let vote = self.vote(node, round, Phase::NewRound, BlockId::default());
        let entry = (round > 1).then(|| self.tc(round - 1));
        Message::NewRound(Box::new(NewRound { vote, high_qc, entry, commit: None }))
    }

    /// Locks the replica on a block in a round, as honest messages would.
    pub fn lock(&mut self, round: u64, block: &Block, justify: Option<Certificate>) {
        self.propose(round, block, justify);
        self.hear_certificate(&self.qc(round, Phase::Prepare, block.id()));
        self.hear_certificate(&self.qc(round, Phase::PreCommit, block.id()));
        assert_eq!(self.locked(), Some(block.id()));
    }

    pub fn locked(&self) -> Option<BlockId> {
        self.replica.protocol().lock().map(|lock| lock.data.block)
    }
}

fn genesis(weights: &[u64], config: &Config) -> Tip {
    let tip = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set(0, weights)).unwrap();
    match config.election {
        Some(election) => tip.with_seed(election.seed, Hash::ZERO, &[]).unwrap(),
        None => tip,
    }
}

/// The votes of a phase among outputs.
pub fn votes(outputs: &[Output], phase: Phase) -> Vec<Vote> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { message: Message::Vote(vote), .. } => Some(*vote),
        _ => None,
    });
    sent.filter(|vote| vote.data.phase == phase).collect()
}

/// The blocks prepared among outputs.
pub fn prepared(outputs: &[Output]) -> Vec<BlockId> {
    votes(outputs, Phase::Prepare).iter().map(|vote| vote.data.block).collect()
}

/// The refusals among outputs, with whom they are charged to.
pub fn refusals(outputs: &[Output]) -> Vec<(usize, Refusal)> {
    let charged = outputs.iter().filter_map(|output| match output {
        Output::Misbehaviour { peer, reason } => Some((node_of(peer), reason.clone())),
        _ => None,
    });
    charged.collect()
}

/// The evidence among outputs.
pub fn evidence(outputs: &[Output]) -> Vec<Evidence> {
    let found = outputs.iter().filter_map(|output| match output {
        Output::Evidence(evidence) => Some(**evidence),
        _ => None,
    });
    found.collect()
}

/// The certificates broadcast among outputs.
pub fn certificates(outputs: &[Output]) -> Vec<Certificate> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Certificate(certificate), .. } => {
            Some((**certificate).clone())
        }
        _ => None,
    });
    sent.collect()
}

/// The proposals broadcast among outputs.
pub fn proposals(outputs: &[Output]) -> Vec<Proposal> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Proposal(proposal), .. } => {
            Some((**proposal).clone())
        }
        _ => None,
    });
    sent.collect()
}
