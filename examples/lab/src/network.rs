//! A simulated network of validators by any protocol: the host of a replica and its sync, in memory.

use std::convert::Infallible;

use pocket_consensus::sync::{self, DecidedBlock, SyncMessage, serve};
use pocket_consensus::{
    Config, Identity, Input, Message, Output, Protocol, Record, Replica, ReplicaError, Sync, Tip,
    Verdict,
};
use pocket_sim::cheap::{CheapKeys, electorate};
use pocket_sim::{Context, Process};
use pocket_types::block::{Block, Header};
use pocket_types::codec::List;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Receipt, Step, Tick};
use pocket_types::number::{Duration, Epoch, Height, Timestamp};
use pocket_types::scheme::Keys as _;
use serde::{Deserialize, Serialize};

/// What all nodes share.
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) config: Config,
    members: Vec<PublicKey>,
}

impl Setup {
    /// A network of validators of equal weight.
    pub(crate) fn new(nodes: usize, config: Config) -> Self {
        let members = (0..nodes as u64).map(|node| CheapKeys(node).public_key()).collect();
        Self { nodes, config, members }
    }

    pub(crate) fn member(&self, node: usize) -> PublicKey {
        self.members[node]
    }

    fn node(&self, key: &PublicKey) -> Option<usize> {
        self.members.iter().position(|member| member == key)
    }

    fn genesis(&self) -> Tip {
        let electorate = electorate(Epoch(0), &vec![1; self.nodes]);
        Tip::genesis_of(ChainId::default(), Timestamp::ZERO, Hash::ZERO, electorate)
    }
}

/// What travels.
#[derive(Clone, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "most are votes")]
pub(crate) enum Net {
    Consensus(Message),
    Sync(SyncMessage),
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Proposed(Height),
    Decided(Height),
}

/// A replica and its sync as one machine.
pub(crate) struct Both<P: Protocol> {
    pub(crate) replica: Replica<P>,
    sync: Sync,
}

pub(crate) enum BothInput {
    Tick,
    Replica(Box<Input>),
    Sync(Box<sync::Input>),
}

impl From<Tick> for BothInput {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

impl From<Input> for BothInput {
    fn from(input: Input) -> Self {
        Self::Replica(Box::new(input))
    }
}

impl From<sync::Input> for BothInput {
    fn from(input: sync::Input) -> Self {
        Self::Sync(Box::new(input))
    }
}

pub(crate) enum BothOutput {
    Replica(Output),
    Sync(sync::Output),
}

type BothStep = Step<Record, BothOutput>;

impl<P: Protocol> Machine for Both<P> {
    type Input = BothInput;
    type Record = Record;
    type Output = BothOutput;
    type Error = ReplicaError;

    fn handle(&mut self, now: Timestamp, input: BothInput) -> Result<BothStep, ReplicaError> {
        match input {
            BothInput::Tick => {
                let mut step = by_replica(self.replica.handle(now, Tick.into())?);
                step.outputs.extend(by_sync(self.sync.handle(now, Tick.into())));
                Ok(step)
            }
            BothInput::Replica(input) => Ok(by_replica(self.replica.handle(now, *input)?)),
            BothInput::Sync(input) => {
                Ok(Step { records: None, outputs: by_sync(self.sync.handle(now, *input)) })
            }
        }
    }

    fn release(&mut self, now: Timestamp, receipt: Receipt) -> Result<BothStep, ReplicaError> {
        self.replica.release(now, receipt).map(by_replica)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.replica.next_deadline(), self.sync.next_deadline()].into_iter().flatten().min()
    }
}

fn by_replica(step: Step<Record, Output>) -> BothStep {
    let outputs = step.outputs.into_iter().map(BothOutput::Replica).collect();
    Step { records: step.records, outputs }
}

fn by_sync(step: Result<Step<Infallible, sync::Output>, sync::SyncError>) -> Vec<BothOutput> {
    let outputs = step.expect("blocks of this network are valid").into_outputs();
    outputs.into_iter().map(BothOutput::Sync).collect()
}

/// What survives a crash.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    log: Vec<Record>,
    pub(crate) chain: Vec<DecidedBlock>,
    tip: Option<Tip>,
}

/// A validator's host.
pub(crate) struct Node<P: Protocol>(pub(crate) Both<P>);

type Host<'a, P> = Context<'a, Node<P>>;

impl<P: Protocol> Node<P> {
    fn commit(&self, context: &mut Host<'_, P>, tip: Tip, block: DecidedBlock) {
        let height = block.block.header.height;
        context.observe(Event::Decided(height));
        let disk = context.disk();
        if disk.chain.len() as u64 + 1 == height.0 {
            disk.chain.push(block);
            disk.tip = Some(tip);
        }
    }

    fn consensus(&mut self, context: &mut Host<'_, P>, output: Output) {
        match output {
            Output::Send { to, message } => {
                if let Some(to) = context.setup().node(&to) {
                    context.send(to, Net::Consensus(message));
                }
            }
            Output::Broadcast { message, .. } => {
                if let Message::Proposal(proposal) = &message {
                    context.observe(Event::Proposed(proposal.block.header.height));
                }
                context.broadcast(Net::Consensus(message));
            }
            Output::Build(request) => {
                let block = Box::new(finish(request.header));
                context.answer(Duration(0), Input::Built { block, change: None }.into());
            }
            Output::Check(block) => {
                let checked =
                    Input::Checked { block: block.id(), verdict: Verdict::Valid { change: None } };
                context.answer(Duration(0), checked.into());
            }
            Output::Decided { block, proof } => {
                let tip = self.0.replica.tip().clone();
                self.commit(context, tip.clone(), DecidedBlock { block: *block, proof: *proof });
                let advance = sync::Input::Advance(Box::new(tip));
                context.answer(Duration(0), advance.into());
            }
            Output::Behind { peer, height, .. } => {
                if let Some(height) = height.previous() {
                    let announced = sync::Input::Announced { peer, height };
                    context.answer(Duration(0), announced.into());
                }
            }
            _ => {}
        }
    }

    fn sync(&mut self, context: &mut Host<'_, P>, output: sync::Output) {
        match output {
            sync::Output::Send { to, message } => {
                if let Some(to) = context.setup().node(&to) {
                    context.send(to, Net::Sync(message));
                }
            }
            sync::Output::Serve { to, request } => {
                let chain = &context.disk().chain;
                let read = |height: Height| -> Result<_, serve::RequestError> {
                    Ok(chain.get(height.0 as usize - 1).cloned())
                };
                let range = serve::respond(&request, read);
                if let (Ok(range), Some(to)) = (range, context.setup().node(&to)) {
                    context.send(to, Net::Sync(SyncMessage::Range(range)));
                }
            }
            sync::Output::Apply(decided) => {
                let block = decided.block.id();
                let tip = self.0.sync.tip().clone();
                if let Ok(tip) = tip.after(&decided.proof, None) {
                    self.commit(context, tip.clone(), *decided);
                    context.answer(Duration(0), Input::Advance(Box::new(tip)).into());
                }
                context.answer(Duration(0), sync::Input::Applied { block, change: None }.into());
            }
            _ => {}
        }
    }
}

impl<P: Protocol> Process for Node<P> {
    type Machine = Both<P>;
    type Setup = Setup;
    type Message = Net;
    type Event = Event;
    type Disk = Disk;

    fn boot(context: &mut Host<'_, P>) -> Self {
        let tip = context.disk().tip.clone().unwrap_or_else(|| context.setup().genesis());
        let log = context.disk().log.clone();
        let identity = Identity::with_keys(CheapKeys(context.node() as u64));
        let config = context.setup().config;
        let replica = Replica::recover(config, Some(identity), tip.clone(), log);
        let sync = Sync::new(sync::Config::default(), tip);
        Self(Both {
            replica: replica.expect("its own log fits"),
            sync: sync.expect("the defaults make sense"),
        })
    }

    fn machine(&mut self) -> Option<&mut Both<P>> {
        Some(&mut self.0)
    }

    fn store(disk: &mut Disk, records: &[Record]) {
        let decided = Height(disk.chain.len() as u64);
        disk.log.retain(|record| record.height() > decided);
        disk.log.extend(records.iter().cloned());
    }

    fn receive(
        &mut self,
        context: &mut Host<'_, P>,
        from: usize,
        message: Net,
    ) -> Option<BothInput> {
        let from = context.setup().members[from];
        Some(match message {
            Net::Consensus(message) => Input::Message { from, message }.into(),
            Net::Sync(message) => sync::Input::Message { from, message }.into(),
        })
    }

    fn perform(&mut self, context: &mut Host<'_, P>, output: BothOutput) {
        match output {
            BothOutput::Replica(output) => self.consensus(context, output),
            BothOutput::Sync(output) => self.sync(context, output),
        }
    }

    fn kind(message: &Net) -> &'static str {
        match message {
            Net::Consensus(Message::NewRound(_)) => "new round",
            Net::Consensus(Message::Proposal(_)) => "proposal",
            Net::Consensus(Message::Vote(_)) => "vote",
            Net::Consensus(Message::Certificate(_)) => "certificate",
            Net::Consensus(_) => "body",
            Net::Sync(_) => "sync",
        }
    }
}

/// An empty block; the state of this ledger is its history.
fn finish(header: Header) -> Block {
    let state_root = state_root(header.parent, header.height);
    let header = Header {
        state_root,
        transactions_root: Block::transactions_root(&[]),
        evidence_root: Block::evidence_root(&[]),
        ..header
    };
    Block { header, transactions: List::empty(), evidence: List::empty() }
}

fn state_root(parent: BlockId, height: Height) -> Hash {
    Domain::custom("pocket lab state").hasher().fixed(&parent.0.0).number(height.0).finish()
}
