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
pub mod light_chain;
pub mod oracle;
pub mod paper;
pub mod scenarios;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::Message;
use pocket_consensus::replica::{input, output};
use pocket_consensus::signer::{Position, position};
use pocket_consensus::sync::{self, DecidedBlock, SyncMessage, serve};
use pocket_consensus::{
    BuildRequest, HotPokt, Identity, Protocol, Record, Replica, ReplicaError, Sync, Tip, Verdict,
};
use pocket_sim::cheap::{CheapKeys, CheapVerifier};
use pocket_sim::{Context, Error, Plan, Process, Simulation, Stage};
use pocket_types::block::{Block, Header};
use pocket_types::bls::BlsSecretKey;
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::codec::List;
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::machine::{Machine, Receipt, Step, Tick};
use pocket_types::number::{Duration, Epoch, Height, Timestamp, Weight};
use pocket_types::scheme::{Keys as _, Scheme};
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
    /// The epoch from which on real ones are BLS.
    pub bls_from: Option<u64>,
    /// Nobody syncs, and Byzantine validators say what is forged in their names.
    pub soup: bool,
    /// In the soup, honest validators hear proposals and certificates, and no more than they need.
    pub terse: bool,
    /// How many validators, from the first, run a second time, in the nodes after all validators.
    pub twins: usize,
}

/// When the soup's chain begins: later than any clock there shows.
pub const SOUP_TIME: Timestamp = Timestamp(1 << 50);

pub fn chain() -> ChainId {
    ChainId(Hash([7; 32]))
}

pub fn key(node: usize) -> SecretKey {
    SecretKey::from_seed([node as u8 + 1; 32])
}

pub fn vrf(node: usize) -> VrfSecret {
    VrfSecret::from_seed([node as u8 + 101; 32])
}

/// Only with the feature `bls`.
pub fn bls(node: usize) -> BlsSecretKey {
    BlsSecretKey::from_seed([node as u8 + 201; 32]).unwrap()
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
            bls_key: None,
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
            bls_from: None,
            soup: false,
            terse: false,
            twins: 0,
        }
    }

    /// With BLS from this epoch on.
    pub fn bls(weights: &[u64], from: u64) -> Self {
        Self { bls_from: Some(from), ..Self::new(weights) }
    }

    fn signs_by_bls(&self, epoch: u64) -> bool {
        self.bls_from.is_some_and(|from| from <= epoch)
    }

    pub fn set(&self, epoch: u64, weights: &[u64]) -> ValidatorSet {
        let set = set_of(self.cheap, epoch, weights);
        if !self.signs_by_bls(epoch) {
            return set;
        }
        let mut members = set.members.into_vec();
        let key = |key: &PublicKey| Some(bls(node_of(key)).public_key());
        members.iter_mut().for_each(|member| member.bls_key = key(&member.public_key));
        ValidatorSet::new(set.epoch, members).unwrap().signing_by(Scheme::BlsAggregate)
    }

    /// With signatures that cost a hash.
    pub fn cheap(weights: &[u64]) -> Self {
        Self { cheap: true, ..Self::new(weights) }
    }

    pub fn genesis(&self) -> Tip {
        let electorate = self.electorate(self.set(0, &self.weights));
        // In the soup blocks are what they are whenever they are built: a millisecond after their parents.
        let time = if self.soup { SOUP_TIME } else { Timestamp::ZERO };
        self.seeded(Tip::genesis_of(chain(), time, Hash::ZERO, electorate), &[])
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
        self.electorate(self.set(epoch, weights))
    }

    /// The validator that a node is.
    pub fn validator(&self, node: usize) -> usize {
        let first = self.weights.len();
        if (first..first + self.twins).contains(&node) { node - first } else { node }
    }

    /// The nodes that a validator is.
    pub fn instances(&self, validator: usize) -> impl Iterator<Item = usize> + use<> {
        let twin = (validator < self.twins).then_some(self.weights.len() + validator);
        std::iter::once(validator).chain(twin)
    }

    pub fn identity(&self, node: usize) -> Identity {
        let node = self.validator(node);
        match self {
            Self { cheap: true, .. } => Identity::with_keys(CheapKeys(node as u64)),
            Self { bls_from: Some(_), .. } => Identity::with_bls(key(node), vrf(node), bls(node)),
            _ => identity(node),
        }
    }

    pub fn public(&self, node: usize) -> PublicKey {
        let node = self.validator(node);
        if self.cheap { CheapKeys(node as u64).public_key() } else { public(node) }
    }

    pub fn vote(&self, node: usize, data: VoteData) -> Vote {
        if self.cheap {
            return CheapKeys(node as u64).vote(data);
        }
        let vote = Vote::sign(data, &key(node));
        match self.signs_by_bls(data.epoch.0) {
            true => Vote { signature: bls(node).sign(&data.digest()).into(), ..vote },
            false => vote,
        }
    }

    /// Signs a claim to lead, whatever it says.
    pub fn announce(&self, node: usize, claim: Claim) -> Candidacy {
        if self.cheap { CheapKeys(node as u64).announce(claim) } else { claim.sign(&key(node)) }
    }

    /// The set that decides a height.
    pub fn set_at(&self, height: u64) -> ValidatorSet {
        let past = self.changes.iter().filter(|(at, _)| **at + 2 <= height);
        let (epoch, weights) = past.fold((0, &self.weights), |(epoch, _), (_, w)| (epoch + 1, w));
        self.set(epoch, weights)
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
#[derive(Clone)]
pub struct Both<P: Protocol> {
    pub replica: Replica<P>,
    /// None in the soup.
    pub sync: Option<Sync>,
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
        if let (Some(input), Some(sync)) = (sync, &mut self.sync) {
            let outputs = sync.handle(now, input).unwrap().into_outputs();
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
        let sync = self.sync.as_ref().and_then(Sync::next_deadline);
        [self.replica.next_deadline(), sync].into_iter().flatten().min()
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

/// What a message signs or certifies.
pub fn signed(message: &Net) -> Option<&VoteData> {
    match message {
        Net::Consensus(Message::NewRound(message)) => Some(&message.vote.data),
        Net::Consensus(Message::Proposal(proposal)) => Some(&proposal.vote.data),
        Net::Consensus(Message::Vote(vote)) => Some(&vote.data),
        Net::Consensus(Message::Certificate(certificate)) => Some(&certificate.data),
        _ => None,
    }
}

#[derive(Clone)]
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
}

/// Short, for it goes into the trace: the hash over all that happens.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(height, block) | Self::Applied(height, block) => {
                write!(f, "{height} is {block}")
            }
            Self::Signed(vote) => {
                let VoteData { height, round, phase, block, .. } = vote.data;
                write!(f, "{} {} {} {block}", height.0, round.0, phase as u8)
            }
            Self::Misbehaviour(peer, reason) => write!(f, "{peer}: {reason}"),
            Self::Evidence(evidence) => write!(f, "{:?}", evidence.id()),
            Self::Locked(height) => write!(f, "locked at {height}"),
            Self::Diverged => f.write_str("diverged"),
            Self::Poisoned => f.write_str("poisoned"),
        }
    }
}

/// A record, as oracles remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Signed(VoteData),
    Body(BlockId),
    High(VoteData),
    Lock(VoteData),
    Other,
}

impl Mark {
    fn of(record: &Record) -> Self {
        match record {
            Record::Vote { vote, .. } => Self::Signed(vote.data),
            Record::Body(block) => Self::Body(block.id()),
            Record::HighQc(certificate) => Self::High(certificate.data),
            Record::Lock(certificate) => Self::Lock(certificate.data),
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Default)]
pub struct Disk {
    pub log: Vec<Record>,
    pub chain: Vec<DecidedBlock>,
    /// The ledger of everything signed; never pruned.
    pub signed: Vec<Vote>,
    /// What oracles remember of all records; never pruned.
    pub marks: Vec<Mark>,
    /// All bodies that were stored; never pruned.
    pub bodies: BTreeSet<BlockId>,
    /// Their headers, and in the soup of one those that were told.
    pub headers: BTreeMap<BlockId, Header>,
    /// In the soup of one: what others signed, as far as it was told.
    pub heard: Vec<Vote>,
    /// The ids of the chain's blocks.
    pub decided: Vec<BlockId>,
    /// A promise that this node broke.
    pub broken: Option<String>,
    pub most_records: usize,
    /// How often one proof decided several blocks.
    pub runs: usize,
    pub steps: BTreeMap<u64, usize>,
}

#[derive(Clone)]
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
        self.machine.as_ref().unwrap().sync.as_ref().unwrap()
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
        disk.decided.extend(blocks.iter().map(|decided| decided.block.id()));
        disk.chain.extend(blocks);
        Record::prune(&mut disk.log, height);
        true
    }

    fn consensus(&mut self, context: &mut Ctx<'_, P>, output: output::Output) {
        use output::Output;
        match output {
            Output::Send { to, message } => {
                self.watch(context, &message);
                self.say(context, std::iter::once(node_of(&to)), message);
            }
            Output::Broadcast { to, message } => {
                self.watch(context, &message);
                let members = to.set().members.iter().map(|member| node_of(&member.public_key));
                self.say(context, members, message);
            }
            Output::Build(mut request) => {
                // Two instances of one validator would otherwise build the same block.
                let twin = context.setup().validator(context.node()) != context.node();
                request.header.time.0 += u64::from(twin);
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
                        context.took_effect(Mischief::LieToSync.name());
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
            if let Err(what) = is_durable(context.disk(), &vote) {
                context.disk().broken.get_or_insert(what);
            }
            if context.setup().soup {
                continue;
            }
            context.observe(Event::Signed(vote));
        }
    }

    /// Says something to validators, each of which may be two nodes, but not to itself.
    fn say(&mut self, context: &mut Ctx<'_, P>, to: impl Iterator<Item = usize>, message: Message) {
        let me = context.node();
        let nodes = to.flat_map(|validator| context.setup().instances(validator));
        let nodes: Vec<usize> = nodes.filter(|&node| node != me).collect();
        let Some(adversary) = &mut self.adversary else {
            return context.send_each(nodes, Net::Consensus(message));
        };
        adversary.learn(&message);
        for to in nodes {
            let (setup, _, random) = context.parts();
            let (said, done) = adversary.twist(setup, random, to, &message);
            done.into_iter().for_each(|kind| context.took_effect(kind.name()));
            said.into_iter().for_each(|message| context.send(to, Net::Consensus(message)));
        }
    }
}

impl<P: Protocol> Process for Node<P> {
    type Machine = Both<P>;
    type Setup = Setup;
    type Message = Net;
    type Event = Event;
    type Disk = Disk;

    fn boot(context: &mut Ctx<'_, P>) -> Self {
        let (setup, disk, _) = context.parts();
        let tip = setup.tip(&disk.chain);
        let log = disk.log.clone();
        let (config, sync) = (context.setup().config, context.setup().sync);
        let identity = Some(context.setup().identity(context.node()));
        let replica = Replica::recover(config, identity, tip.clone(), log).unwrap();
        let byzantine = context.setup().byzantine.contains(&context.node());
        if context.setup().soup {
            let silent = byzantine && context.setup().twins == 0;
            let machine = (!silent).then_some(Both { replica, sync: None, stopped: false });
            return Self { machine, tip, adversary: None, undivided: vec![] };
        }
        let sync = Some(Sync::new(sync, tip.clone()).unwrap());
        // Peers learn of each other's heights when they connect.
        let height = tip.height();
        context.broadcast(Net::Sync(SyncMessage::Status { height }));
        let adversary =
            byzantine.then(|| Adversary::new(context.node(), &context.setup().mischief));
        let machine = Some(Both { replica, sync, stopped: false });
        Self { machine, tip, adversary, undivided: vec![] }
    }

    fn machine(&mut self) -> Option<&mut Both<P>> {
        self.machine.as_mut()
    }

    fn is_backlogged(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.replica.is_backlogged())
    }

    fn store(disk: &mut Disk, records: &[Record]) {
        disk.marks.extend(records.iter().map(Mark::of));
        disk.most_records = disk.most_records.max(records.len());
        *disk.steps.entry(records[0].height().0).or_default() += 1;
        for record in records {
            if let Record::Vote { vote, .. } = record {
                disk.signed.push(*vote);
            }
            if let Record::Body(block) = record {
                disk.bodies.insert(block.id());
                disk.headers.insert(block.id(), block.header.clone());
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
                context.took_effect(Mischief::Exclude.name());
                return None;
            }
        }
        // Certificates say what votes would; Tendermint's timeouts begin with votes, for no block, say.
        let told = |from: usize, message: &Net| {
            let Net::Consensus(message) = message else { return false };
            match message {
                Message::Proposal(_) | Message::Certificate(_) => true,
                Message::Vote(vote) => vote.data.block == BlockId::default() && from < 2,
                _ => false,
            }
        };
        if context.setup().terse {
            if !told(from, &message) {
                return None;
            }
            let heard = world::signatures(context.setup(), &message);
            context.disk().heard.extend(heard);
            if let Net::Consensus(Message::Proposal(proposal)) = &message {
                let header = proposal.block.header.clone();
                context.disk().headers.insert(header.id(), header);
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

    fn stage(message: &Net) -> Option<Stage> {
        let data = signed(message)?;
        Some(Stage { round: data.round.0, phase: data.phase as u8 })
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

/// The lowest height that one of these nodes has.
pub fn lowest<P: Protocol>(sim: &Sim<P>, nodes: impl IntoIterator<Item = usize>) -> u64 {
    nodes.into_iter().map(|node| height(sim, node)).min().unwrap()
}

pub fn group(nodes: &[usize]) -> BTreeSet<usize> {
    nodes.iter().copied().collect()
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
        if let Some(broken) = &sim.disk(node).broken {
            return Err(format!("node {node}: {broken}"));
        }
    }
    for seen in sim.observations() {
        match &seen.event {
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

/// Whether all that must be stored before this signature leaves is.
fn is_durable(disk: &Disk, vote: &Vote) -> Result<(), String> {
    if !disk.signed.iter().rev().any(|stored| stored == vote) {
        return Err(format!("{} left before it was stored", paper::show(&vote.data)));
    }
    let needs = matches!(vote.data.phase, Phase::Propose | Phase::Prepare);
    let body = vote.data.block;
    if needs && body != BlockId::default() && !disk.bodies.contains(&body) {
        return Err(format!("{} left before the block was stored", paper::show(&vote.data)));
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
