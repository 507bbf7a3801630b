//! A node around the real machines: real keys, real headers, and a ledger that is a chain of hashes.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::large_enum_variant,
    clippy::collapsible_match
)]

pub mod adversary;
pub mod lab;
pub mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::Message;
use pocket_consensus::replica::{input, output};
use pocket_consensus::signer::{Position, position};
use pocket_consensus::sync::{self, DecidedBlock, SyncMessage, serve};
use pocket_consensus::{
    BuildRequest, HotPokt, Identity, Protocol, Record, Replica, ReplicaError, Sync, Tip, Verdict,
};
use pocket_sim::cheap::{CheapKeys, CheapVerifier};
use pocket_sim::{Context, Error, Plan, Process, Simulation};
use pocket_types::block::{Block, Header};
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::codec::List;
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::machine::{Machine, Receipt, Step, Tick};
use pocket_types::number::{Duration, Epoch, Height, Timestamp, Weight};
use pocket_types::scheme::Keys as _;
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Phase, Vote, VoteData};
use pocket_types::vrf::VrfSecret;
use serde::{Deserialize, Serialize};

/// What all nodes of a test share.
#[derive(Clone)]
pub struct Setup {
    pub weights: Vec<u64>,
    /// Executing the block of a height yields these weights for the height two later.
    pub changes: BTreeMap<u64, Vec<u64>>,
    pub config: Config,
    pub sync: sync::Config,
    /// Validators that misbehave.
    pub byzantine: BTreeSet<usize>,
    /// How they do.
    pub mischief: Vec<Mischief>,
    /// Whether Decided is announced to all, and from whom blocks are served.
    pub gossip: bool,
    pub execution: Duration,
    /// Signatures that cost a hash, or real ones.
    pub cheap: bool,
}

pub fn chain() -> ChainId {
    ChainId(Hash([7; 32]))
}

pub fn key(node: usize) -> SecretKey {
    SecretKey::from_seed([node as u8 + 1; 32])
}

pub fn vrf(node: usize) -> VrfSecret {
    VrfSecret::from_seed([node as u8 + 101; 32])
}

pub fn identity(node: usize) -> Identity {
    Identity::new(key(node), vrf(node))
}

pub fn config() -> Config {
    Config {
        block_time: Duration(100),
        timeout: Duration(100),
        timeout_growth: 150,
        timeout_cap: Duration(1_000),
        resend: Duration(40),
        max_drift: Duration(200),
        ..Config::default()
    }
}

/// Weights by node; a node without weight is no validator.
pub fn set(epoch: u64, weights: &[u64]) -> ValidatorSet {
    set_of(false, epoch, weights)
}

fn set_of(cheap: bool, epoch: u64, weights: &[u64]) -> ValidatorSet {
    let weighty = weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
    let members = weighty.map(|(node, &weight)| match cheap {
        true => CheapKeys(node as u64).validator(weight),
        false => Validator {
            public_key: key(node).public_key(),
            vrf_key: vrf(node).public_key(),
            weight: Weight(weight),
        },
    });
    ValidatorSet::new(Epoch(epoch), members.collect()).unwrap()
}

impl Setup {
    pub fn new(weights: &[u64]) -> Self {
        Self {
            weights: weights.to_vec(),
            changes: BTreeMap::new(),
            config: config(),
            sync: sync::Config {
                timeout: Duration(100),
                cooldown: Duration(300),
                window: 32,
                per_request: 8,
                ..sync::Config::default()
            },
            byzantine: BTreeSet::new(),
            mischief: vec![Mischief::Equivocate, Mischief::VoteTwice, Mischief::LieToSync],
            gossip: true,
            execution: Duration(1),
            cheap: false,
        }
    }

    /// With signatures that cost a hash.
    pub fn cheap(weights: &[u64]) -> Self {
        Self { cheap: true, ..Self::new(weights) }
    }

    pub fn genesis(&self) -> Tip {
        let electorate = self.electorate(set_of(self.cheap, 0, &self.weights));
        self.seeded(Tip::genesis_of(chain(), Timestamp::ZERO, Hash::ZERO, electorate), &[])
    }

    /// The tip as this network's elections need it.
    fn seeded(&self, tip: Tip, chain: &[DecidedBlock]) -> Tip {
        let Some(rule) = self.config.election.map(|election| election.seed) else { return tip };
        let header = |height| chain[height as usize - 1].block.header.clone();
        let headers: Vec<Header> = rule.reads(tip.height()).map(header).collect();
        tip.with_seed(rule, Hash::ZERO, &headers).unwrap()
    }

    pub fn electorate(&self, set: ValidatorSet) -> Electorate {
        if self.cheap {
            let verifier = Box::new(CheapVerifier::new(&set));
            return Electorate::with_verifier(set, verifier).unwrap();
        }
        Electorate::new(set).unwrap()
    }

    /// The electorate that an offender belonged to.
    fn electorate_at(&self, evidence: &Evidence) -> Electorate {
        let Epoch(epoch) = evidence.epoch();
        let mut past = self.changes.values().take(epoch as usize);
        let weights = past.next_back().filter(|_| epoch > 0).unwrap_or(&self.weights);
        self.electorate(set_of(self.cheap, epoch, weights))
    }

    pub fn identity(&self, node: usize) -> Identity {
        if self.cheap { Identity::with_keys(CheapKeys(node as u64)) } else { identity(node) }
    }

    pub fn public(&self, node: usize) -> PublicKey {
        if self.cheap { CheapKeys(node as u64).public_key() } else { public(node) }
    }

    pub fn vote(&self, node: usize, data: VoteData) -> Vote {
        if self.cheap { CheapKeys(node as u64).vote(data) } else { Vote::sign(data, &key(node)) }
    }

    /// Signs a claim to lead, whatever it says.
    pub fn announce(&self, node: usize, claim: Claim) -> Candidacy {
        if self.cheap { CheapKeys(node as u64).announce(claim) } else { claim.sign(&key(node)) }
    }

    /// The set that decides a height.
    pub fn set_at(&self, height: u64) -> ValidatorSet {
        let past = self.changes.iter().filter(|(at, _)| **at + 2 <= height);
        let (epoch, weights) = past.fold((0, &self.weights), |(epoch, _), (_, w)| (epoch + 1, w));
        set_of(self.cheap, epoch, weights)
    }

    /// What executing a height yields.
    pub fn change(&self, height: Height) -> Option<ValidatorSet> {
        self.changes.contains_key(&height.0).then(|| self.set_at(height.0 + 2))
    }

    fn tip(&self, chain: &[DecidedBlock]) -> Tip {
        let Some(last) = chain.last() else { return self.genesis() };
        let height = last.block.header.height.0;
        let sets = [0, 1, 2].map(|ahead| self.set_at(height + ahead));
        let [decided_by, validators, next_validators] = sets;
        let decided_by = self.electorate(decided_by);
        let tip = Tip::stored_of(&last.proof, decided_by, validators, next_validators).unwrap();
        self.seeded(tip, chain)
    }
}

/// A ledger whose state is its history.
pub fn state_root(parent: BlockId, height: Height) -> Hash {
    Domain::custom("test state").hasher().fixed(&parent.0.0).number(height.0).finish()
}

pub fn finish(request: &BuildRequest) -> Block {
    let mut header = request.header.clone();
    let evidence = request.evidence.clone();
    header.state_root = state_root(header.parent, header.height);
    header.transactions_root = Block::transactions_root(&[]);
    header.evidence_root = Block::evidence_root(&evidence);
    Block { header, transactions: List::empty(), evidence: List::new(evidence).unwrap() }
}

/// Both machines as one, as a host would run them.
pub struct Both<P: Protocol> {
    pub replica: Replica<P>,
    pub sync: Sync,
    /// A store failed: neither says anything more.
    pub stopped: bool,
}

pub enum BothInput {
    Tick,
    Replica(input::Input),
    Sync(sync::Input),
}

impl From<Tick> for BothInput {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

pub enum BothOutput {
    Replica(output::Output),
    Sync(sync::Output),
}

impl<P: Protocol> Machine for Both<P> {
    type Input = BothInput;
    type Record = Record;
    type Output = BothOutput;
    type Error = ReplicaError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: BothInput,
    ) -> Result<Step<Record, BothOutput>, ReplicaError> {
        let (replica, sync) = match input {
            BothInput::Tick => (Some(input::Input::Tick), Some(sync::Input::Tick)),
            BothInput::Replica(input) => (Some(input), None),
            BothInput::Sync(input) => (None, Some(input)),
        };
        if self.stopped && replica.is_none() {
            return Ok(Step::empty());
        }
        let mut step = match replica {
            Some(input) => wrap(self.replica.handle(now, input)?),
            None => Step::empty(),
        };
        if let Some(input) = sync {
            let outputs = self.sync.handle(now, input).unwrap().into_outputs();
            step.outputs.extend(outputs.into_iter().map(BothOutput::Sync));
        }
        Ok(step)
    }

    fn release(
        &mut self,
        now: Timestamp,
        receipt: Receipt,
    ) -> Result<Step<Record, BothOutput>, ReplicaError> {
        let step = self.replica.release(now, receipt).map(wrap);
        self.stopped |= matches!(step, Err(ReplicaError::Poisoned(_)));
        step
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.stopped {
            return None;
        }
        [self.replica.next_deadline(), self.sync.next_deadline()].into_iter().flatten().min()
    }
}

fn wrap(step: Step<Record, output::Output>) -> Step<Record, BothOutput> {
    let outputs = step.outputs.into_iter().map(BothOutput::Replica).collect();
    Step { records: step.records, outputs }
}

#[derive(Clone, Serialize, Deserialize)]
pub enum Net {
    Consensus(Message),
    Sync(SyncMessage),
}

#[derive(Clone, Debug)]
pub enum Event {
    Decided(Height, BlockId),
    Applied(Height, BlockId),
    /// A signature left this node.
    Signed(Vote),
    Misbehaviour(usize, String),
    Evidence(Evidence),
    /// A lock became known to the host, after the step that recorded it.
    Locked(Height),
    Diverged,
    Poisoned,
    /// A Byzantine validator did this.
    Acted(Mischief),
}

#[derive(Clone, Default)]
pub struct Disk {
    pub log: Vec<Record>,
    pub chain: Vec<DecidedBlock>,
    /// The ledger of everything signed; never pruned.
    pub signed: Vec<Vote>,
    pub most_records: usize,
    /// How often one proof decided several blocks.
    pub runs: usize,
    pub steps: BTreeMap<u64, usize>,
}

pub struct Node<P: Protocol = HotPokt> {
    machine: Option<Both<P>>,
    tip: Tip,
    adversary: Option<Adversary>,
    /// Decided blocks whose proof is of a descendant: committed together with it.
    undivided: Vec<DecidedBlock>,
}

impl<P: Protocol> Node<P> {
    pub fn replica(&self) -> &Replica<P> {
        &self.machine.as_ref().unwrap().replica
    }
    pub fn sync(&self) -> &Sync {
        &self.machine.as_ref().unwrap().sync
    }
}

type Ctx<'a, P> = Context<'a, Node<P>>;

pub fn node_of(key: &PublicKey) -> usize {
    thread_local! {
        static NODES: BTreeMap<PublicKey, usize> =
            (0..40).flat_map(|node| {
                let cheap = CheapKeys(node as u64).public_key();
                [(self::key(node).public_key(), node), (cheap, node)]
            }).collect();
    }
    NODES.with(|nodes| nodes[key])
}

pub fn public(node: usize) -> PublicKey {
    thread_local! {
        static KEYS: Vec<PublicKey> = (0..40).map(|node| key(node).public_key()).collect();
    }
    KEYS.with(|keys| keys[node])
}

impl<P: Protocol> Node<P> {
    fn commit(&mut self, context: &mut Ctx<'_, P>, block: Block, proof: FinalityProof) -> bool {
        let height = block.header.height;
        self.undivided.retain(|entry| entry.block.header.height < height);
        let have = context.disk().chain.len() as u64;
        self.undivided.retain(|entry| entry.block.header.height.0 > have);
        if have + self.undivided.len() as u64 + 1 != height.0 {
            return false;
        }
        let direct = proof.header() == Some(&block.header);
        self.undivided.push(DecidedBlock { block, proof });
        if !direct {
            return false;
        }
        let blocks = std::mem::take(&mut self.undivided);
        self.tip = match &blocks[..] {
            [one] => self.tip.after(&one.proof, context.setup().change(height)).unwrap(),
            _ => context.setup().clone().tip(&blocks),
        };
        let disk = context.disk();
        disk.runs += usize::from(blocks.len() > 1);
        disk.chain.extend(blocks);
        Record::prune(&mut disk.log, height);
        true
    }

    fn consensus(&mut self, context: &mut Ctx<'_, P>, output: output::Output) {
        use output::Output;
        match output {
            Output::Send { to, message } => {
                self.watch(context, &message);
                self.say(context, node_of(&to), message);
            }
            Output::Broadcast { to, message } => {
                self.watch(context, &message);
                let members = to.set().members.iter().map(|member| node_of(&member.public_key));
                for node in members.filter(|&node| node != context.node()).collect::<Vec<_>>() {
                    self.say(context, node, message.clone());
                }
            }
            Output::Build(request) => {
                let height = request.header.height;
                let change = context.setup().change(height);
                let block = Box::new(finish(&request));
                let built = input::Input::Built { block, change };
                context.answer(context.setup().execution, BothInput::Replica(built));
            }
            Output::Check(block) => {
                let height = block.header.height;
                let verdict = if block.header.state_root == state_root(block.header.parent, height)
                {
                    Verdict::Valid { change: context.setup().change(height) }
                } else {
                    Verdict::Invalid("state root".into())
                };
                let checked = input::Input::Checked { block: block.id(), verdict };
                context.answer(context.setup().execution, BothInput::Replica(checked));
            }
            Output::Decided { block, proof } => {
                context.observe(Event::Decided(block.header.height, block.id()));
                let decided = DecidedBlock { block: *block, proof: *proof };
                if context.setup().gossip {
                    let next = context.setup().set_at(decided.block.header.height.0 + 1);
                    let decides: Vec<usize> =
                        next.members.iter().map(|member| node_of(&member.public_key)).collect();
                    for node in (0..context.nodes()).filter(|node| !decides.contains(node)) {
                        let message = SyncMessage::Decided(Box::new(decided.clone()));
                        context.send(node, Net::Sync(message));
                    }
                }
                if self.commit(context, decided.block, decided.proof) {
                    let tip = Box::new(self.tip.clone());
                    context.answer(Duration(0), BothInput::Sync(sync::Input::Advance(tip)));
                }
            }
            Output::Misbehaviour { peer, reason } => {
                context.observe(Event::Misbehaviour(node_of(&peer), reason.to_string()));
            }
            Output::Evidence(evidence) => context.observe(Event::Evidence(*evidence)),
            Output::Behind { peer, height, .. } => {
                let height = height.previous().unwrap();
                let input = sync::Input::Announced { peer, height };
                context.answer(Duration(0), BothInput::Sync(input));
            }
            Output::Diverged { .. } => context.observe(Event::Diverged),
            _ => {}
        }
    }

    fn sync_output(&mut self, context: &mut Ctx<'_, P>, output: sync::Output) {
        use sync::Output;
        match output {
            Output::Send { to, message } => context.send(node_of(&to), Net::Sync(message)),
            Output::Serve { to, request } => {
                let chain = &context.disk().chain;
                let read = |height: Height| -> Result<_, serve::RequestError> {
                    Ok(chain.get(height.0 as usize - 1).cloned())
                };
                let mut range = serve::respond(&request, read).unwrap();
                let lies = |adversary: &Adversary| adversary.kinds.contains(&Mischief::LieToSync);
                if self.adversary.as_ref().is_some_and(lies) {
                    let mut blocks = range.blocks.into_vec();
                    if let Some(block) = blocks.last_mut() {
                        context.observe(Event::Acted(Mischief::LieToSync));
                        block.block.header.state_root = Hash([9; 32]);
                        let mut links = block.proof.links.clone().into_vec();
                        links[0].header = block.block.header.clone();
                        links[0].certificate.data.block = block.block.id();
                        block.proof.links = List::new(links).unwrap();
                    }
                    range.blocks = List::new(blocks).unwrap();
                }
                context.send(node_of(&to), Net::Sync(SyncMessage::Range(range)));
            }
            Output::Apply(decided) => {
                let DecidedBlock { block, proof } = *decided;
                let (id, height) = (block.id(), block.header.height);
                assert_eq!(block.header.state_root, state_root(block.header.parent, height));
                if self.commit(context, block, proof) {
                    context.observe(Event::Applied(height, id));
                    let tip = Box::new(self.tip.clone());
                    context.answer(Duration(0), BothInput::Replica(input::Input::Advance(tip)));
                }
                let change = context.setup().change(height);
                let applied = sync::Input::Applied { block: id, change };
                context.answer(Duration(0), BothInput::Sync(applied));
            }
            Output::Misbehaviour { peer, reason } => {
                context.observe(Event::Misbehaviour(node_of(&peer), reason.to_string()));
            }
            _ => {}
        }
    }

    /// Tells the oracles what this node signed.
    fn watch(&self, context: &mut Ctx<'_, P>, message: &Message) {
        let votes = match message {
            Message::NewRound(message) => vec![Some(message.vote), message.commit],
            Message::Proposal(proposal) => vec![Some(proposal.vote)],
            Message::Vote(vote) => vec![Some(*vote)],
            _ => vec![],
        };
        for vote in votes.into_iter().flatten() {
            context.observe(Event::Signed(vote));
        }
    }

    fn say(&mut self, context: &mut Ctx<'_, P>, to: usize, message: Message) {
        let Some(adversary) = &mut self.adversary else {
            return context.send(to, Net::Consensus(message));
        };
        adversary.learn(&message);
        let setup = context.setup().clone();
        let (said, done) = adversary.twist(&setup, context.random(), to, &message);
        done.into_iter().for_each(|kind| context.observe(Event::Acted(kind)));
        said.into_iter().for_each(|message| context.send(to, Net::Consensus(message)));
    }
}

impl<P: Protocol> Process for Node<P> {
    type Machine = Both<P>;
    type Setup = Setup;
    type Message = Net;
    type Event = Event;
    type Disk = Disk;

    fn boot(context: &mut Ctx<'_, P>) -> Self {
        let tip = context.setup().clone().tip(&context.disk().chain);
        let log = context.disk().log.clone();
        let (config, sync) = (context.setup().config, context.setup().sync);
        let identity = Some(context.setup().identity(context.node()));
        let replica = Replica::recover(config, identity, tip.clone(), log).unwrap();
        let sync = Sync::new(sync, tip.clone()).unwrap();
        // Peers learn of each other's heights when they connect.
        let height = tip.height();
        context.broadcast(Net::Sync(SyncMessage::Status { height }));
        let byzantine = context.setup().byzantine.contains(&context.node());
        let adversary =
            byzantine.then(|| Adversary::new(context.node(), &context.setup().mischief));
        let machine = Some(Both { replica, sync, stopped: false });
        Self { machine, tip, adversary, undivided: vec![] }
    }

    fn machine(&mut self) -> Option<&mut Both<P>> {
        self.machine.as_mut()
    }

    fn store(disk: &mut Disk, records: &[Record]) {
        disk.most_records = disk.most_records.max(records.len());
        *disk.steps.entry(records[0].height().0).or_default() += 1;
        for record in records {
            if let Record::Vote(vote) | Record::Timeout { vote, .. } = record {
                disk.signed.push(*vote);
            }
            disk.log.push(record.clone());
        }
    }

    fn receive(
        &mut self,
        context: &mut Ctx<'_, P>,
        from: usize,
        message: Net,
    ) -> Option<BothInput> {
        if let (Some(adversary), Net::Consensus(message)) = (&mut self.adversary, &message) {
            adversary.learn(message);
            if adversary.ignores(from, context.nodes()) {
                context.observe(Event::Acted(Mischief::Exclude));
                return None;
            }
        }
        let from = context.setup().public(from);
        Some(match message {
            Net::Consensus(message) => BothInput::Replica(input::Input::Message { from, message }),
            Net::Sync(message) => BothInput::Sync(sync::Input::Message { from, message }),
        })
    }

    fn perform(&mut self, context: &mut Ctx<'_, P>, output: BothOutput) {
        match output {
            BothOutput::Replica(output) => {
                if let output::Output::Send { message: Message::Vote(vote), .. }
                | output::Output::Broadcast { message: Message::Vote(vote), .. } = &output
                    && vote.data.phase == Phase::Commit
                    && vote.data.block != BlockId::default()
                {
                    context.observe(Event::Locked(vote.data.height));
                }
                self.consensus(context, output);
            }
            BothOutput::Sync(output) => self.sync_output(context, output),
        }
    }

    fn refused(&mut self, context: &mut Ctx<'_, P>, error: Error<Self>) {
        if matches!(error, ReplicaError::Poisoned(_)) {
            context.observe(Event::Poisoned);
        } else {
            panic!("{error}");
        }
    }

    fn kind(message: &Net) -> &'static str {
        match message {
            Net::Consensus(Message::NewRound(_)) => "new round",
            Net::Consensus(Message::Proposal(_)) => "proposal",
            Net::Consensus(Message::Vote(_)) => "vote",
            Net::Consensus(Message::Certificate(_)) => "certificate",
            Net::Consensus(Message::Candidacy(_)) => "candidacy",
            Net::Consensus(_) => "body",
            Net::Sync(_) => "sync",
        }
    }
}

use adversary::{Adversary, Mischief};

pub type Sim<P = HotPokt> = Simulation<Node<P>>;

pub fn simulate(setup: Setup, nodes: usize, plan: Plan) -> Sim {
    Simulation::new(setup, nodes, plan)
}

/// The same network by another protocol.
pub fn simulate_by<P: Protocol>(setup: Setup, nodes: usize, plan: Plan) -> Sim<P> {
    Simulation::new(setup, nodes, plan)
}

/// Height of a node's chain.
pub fn height<P: Protocol>(sim: &Sim<P>, node: usize) -> u64 {
    sim.disk(node).chain.len() as u64
}

/// Nobody honest disagrees, signs twice, signs before storing, or finds honest peers at fault.
pub fn check<P: Protocol>(sim: &Sim<P>, nodes: usize) -> Result<(), String> {
    let byzantine = &sim.setup().byzantine;
    let honest: Vec<usize> = (0..nodes).filter(|node| !byzantine.contains(node)).collect();
    let mut decided: BTreeMap<u64, BlockId> = BTreeMap::new();
    for &node in &honest {
        for (position, entry) in sim.disk(node).chain.iter().enumerate() {
            let (height, id) = (position as u64 + 1, entry.block.id());
            if entry.block.header.height.0 != height {
                return Err(format!("node {node} has a gap at {height}"));
            }
            if *decided.entry(height).or_insert(id) != id {
                return Err(format!("node {node} forks at height {height}"));
            }
        }
        check_ledger(node, &sim.disk(node).signed)?;
    }
    for seen in sim.observations() {
        match &seen.event {
            Event::Signed(vote) if honest.contains(&seen.node) => {
                if vote.signer == sim.setup().public(seen.node)
                    && !sim.disk(seen.node).signed.contains(vote)
                {
                    return Err(format!("node {} sent {vote:?} before storing it", seen.node));
                }
            }
            Event::Decided(height, id) if honest.contains(&seen.node) => {
                if *decided.entry(height.0).or_insert(*id) != *id {
                    return Err(format!("node {} decided a fork at {height}", seen.node));
                }
            }
            Event::Misbehaviour(peer, reason) if honest.contains(&seen.node) => {
                if honest.contains(peer) {
                    return Err(format!("node {} charges honest {peer}: {reason}", seen.node));
                }
            }
            Event::Evidence(evidence) => {
                let electorate = sim.setup().electorate_at(evidence);
                let offence = evidence.verify_by(chain(), &electorate);
                let offence = offence.map_err(|error| error.to_string())?;
                if honest.contains(&node_of(&offence.offender)) {
                    return Err(format!("evidence against honest {}", offence.offender));
                }
            }
            Event::Diverged => return Err(format!("node {} diverged", seen.node)),
            _ => {}
        }
    }
    Ok(())
}

/// One signature for each place, and each later than the one before.
fn check_ledger(node: usize, signed: &[Vote]) -> Result<(), String> {
    let place = |vote: &Vote| position(&vote.data);
    let mut said: BTreeMap<Position, VoteData> = BTreeMap::new();
    let mut last = None;
    for vote in signed {
        if *said.entry(place(vote)).or_insert(vote.data) != vote.data {
            return Err(format!("node {node} signed twice at {:?}", place(vote)));
        }
        if last.is_some_and(|last| last > place(vote)) {
            return Err(format!("node {node} went back to {:?}", place(vote)));
        }
        last = Some(place(vote));
    }
    Ok(())
}
