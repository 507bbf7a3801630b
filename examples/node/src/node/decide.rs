//! Consensus and sync: what the replica asks for, and what happens when a block is decided.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use pocket_consensus::sync::{self, DecidedBlock, SyncMessage};
use pocket_consensus::{
    Config, Identity, Input, Message, Output, Record, Replica, ReplicaError, Sync, Verdict,
};
use pocket_p2p::message::MessageClass;
use pocket_persistence::database::DatabaseError;
use pocket_types::block::{Block, MAX_EVIDENCE, MAX_TRANSACTIONS};
use pocket_types::codec;
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Step, Tick};
use pocket_types::number::{Duration, Timestamp};
use pocket_types::transaction::Transaction;
use pocket_types::validator::ValidatorSet;

use super::gossip::News;
use super::{Node, PENALTY};
use crate::chain::{Built, Chain};
use crate::config::{Keys, NodeConfig};
use crate::rpc::RpcError;

/// Bytes that may wait for a peer before it gets more blocks.
const MAX_RANGE_BACKLOG: usize = 1 << 20;

/// An input of one of the two machines.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Work {
    Replica(Input),
    Sync(sync::Input),
}

/// The machines that move the chain.
pub(super) struct Deciding {
    replica: Replica,
    sync: Sync,
}

impl Deciding {
    /// Takes up where the node's log ends.
    pub(super) fn recover(config: &NodeConfig, keys: &Keys, chain: &Chain) -> Result<Self> {
        let block_time = Duration(config.block_time);
        let timeout = Duration(block_time.0.saturating_mul(2).max(1_000));
        let default = Config::default();
        let timeout_cap = default.timeout_cap.max(Duration(timeout.0.saturating_mul(4)));
        let consensus = Config { block_time, timeout, timeout_cap, ..default };
        let identity = Identity::new(keys.identity(), keys.vrf());
        let log = chain.database.load_log().context("reading the consensus log")?;
        let log: Vec<Record> = log
            .iter()
            .map(|bytes| codec::decode(bytes))
            .collect::<Result<_, _>>()
            .context("the consensus log is damaged")?;
        let replica = Replica::recover(consensus, Some(identity), chain.tip().clone(), log)?;
        let sync = Sync::new(sync::Config::default(), chain.tip().clone())?;
        Ok(Self { replica, sync })
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.replica.next_deadline().into_iter().chain(self.sync.next_deadline()).min()
    }
}

impl Node {
    /// A consensus message came from a peer.
    pub(super) fn consensus(&mut self, from: PublicKey, message: Message) -> Result<()> {
        self.decide(Work::Replica(Input::Message { from, message }))
    }

    pub(super) fn tick_deciding(&mut self) -> Result<()> {
        let now = self.now();
        if self.deciding.sync.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.decide(Work::Sync(Tick.into()))?;
        }
        // What a replica tells itself is due at once.
        while self.deciding.replica.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.decide(Work::Replica(Tick.into()))?;
        }
        Ok(())
    }

    /// Hands an input to its machine and does what it says, until nothing is left to do. What one
    /// machine learns from the other waits its turn.
    fn decide(&mut self, work: Work) -> Result<()> {
        let mut queue = VecDeque::from([work]);
        while let Some(work) = queue.pop_front() {
            let now = self.now();
            match work {
                Work::Replica(input) => match self.deciding.replica.handle(now, input) {
                    Ok(step) => self.carry_out(step, &mut queue)?,
                    // Our block was refused: the round passes, the next leader proposes.
                    Err(ReplicaError::Built(refusal)) => {
                        self.log(format_args!("our own block was refused: {refusal}"));
                    }
                    Err(error) => return Err(error).context("consensus stopped"),
                },
                Work::Sync(input) => {
                    let step = self.deciding.sync.handle(now, input);
                    for output in step.context("following the chain")?.into_outputs() {
                        self.follow(output, &mut queue)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Stores what a step records, and only then sends what waited for it.
    fn carry_out(
        &mut self,
        mut step: Step<Record, Output>,
        queue: &mut VecDeque<Work>,
    ) -> Result<()> {
        loop {
            for output in step.outputs {
                self.perform(output, queue)?;
            }
            let Some(unstored) = step.records else { return Ok(()) };
            // A step may hold the end of one height and the beginning of the next: keep it for both.
            let height = unstored.records().iter().map(Record::height).max().unwrap_or_default();
            let rows: Vec<Vec<u8>> = unstored.records().iter().map(codec::encode).collect();
            // Sync may have decided this height in the meantime: nothing is signed for it again.
            let stored = match height > self.height() {
                true => self.chain.database.append_log(height, &rows, &[]),
                false => Ok(()),
            };
            let receipt = if stored.is_ok() { unstored.stored() } else { unstored.failed() };
            let now = self.now();
            let released = self.deciding.replica.release(now, receipt);
            stored.context("storing the consensus log")?;
            step = released.context("consensus stopped")?;
        }
    }

    fn perform(&mut self, output: Output, queue: &mut VecDeque<Work>) -> Result<()> {
        let tip = self.chain.tip().block();
        match output {
            Output::Send { to, message } => {
                self.links.send(&to, MessageClass::Consensus, Arc::new(codec::encode(&message)));
            }
            Output::Broadcast { to, message } => {
                let body = Arc::new(codec::encode(&message));
                for member in to.set().members.iter().filter(|m| m.public_key != self.public_key) {
                    self.links.send(&member.public_key, MessageClass::Consensus, body.clone());
                }
            }
            // Sync may have decided this height in the meantime: the replica is about to hear of it.
            Output::Build(request) if request.header.parent != tip => {}
            Output::Check(block) if block.header.parent != tip => {}
            Output::Decided { block, .. } if block.header.parent != tip => {}
            Output::Build(mut request) => {
                let found: Vec<_> = request.evidence.iter().map(Evidence::id).collect();
                let pool =
                    self.evidence.values().filter(|evidence| !found.contains(&evidence.id()));
                request.evidence.extend(pool);
                request.evidence.truncate(MAX_EVIDENCE);
                let candidates = self.mempool.reap(request.max_bytes, MAX_TRANSACTIONS);
                let built = self.chain.build(*request, candidates)?;
                let Built { block, change, dropped, refused } = built;
                self.mempool.drop_failed(&dropped);
                self.evidence.retain(|_, evidence| !refused.contains(&evidence.id()));
                let built = Input::Built { block: Box::new(block), change };
                queue.push_back(Work::Replica(built));
            }
            Output::Check(block) => {
                let verdict = self.chain.check(&block)?;
                if let Verdict::Invalid(reason) = &verdict {
                    self.log(format_args!("block {} is invalid: {reason}", block.header.height));
                }
                let checked = Input::Checked { block: block.id(), verdict };
                queue.push_back(Work::Replica(checked));
            }
            Output::Decided { block, proof } => {
                let own = block.header.proposer == self.public_key;
                self.commit(*block.clone(), *proof.clone())?;
                let tip = Box::new(self.chain.tip().clone());
                queue.push_back(Work::Sync(sync::Input::Advance(tip)));
                if own {
                    self.broadcast(&News::Decided(block, proof))?;
                }
            }
            Output::Misbehaviour { peer, reason } => {
                self.misbehaved(peer, PENALTY, &reason.to_string())?;
            }
            Output::Evidence(evidence) => {
                self.keep_evidence(*evidence);
                self.broadcast(&News::Evidence(evidence))?;
            }
            Output::Behind { peer, height, .. } => {
                let height = height.previous().unwrap_or_default();
                queue.push_back(Work::Sync(sync::Input::Announced { peer, height }));
            }
            Output::Diverged { block, reason } => {
                bail!("block {block} is decided but does not execute here: {reason}")
            }
            other => self.log(format_args!("{other:?}")),
        }
        Ok(())
    }

    fn follow(&mut self, output: sync::Output, queue: &mut VecDeque<Work>) -> Result<()> {
        match output {
            sync::Output::Send { to, message } => {
                self.links.send(&to, MessageClass::Sync, Arc::new(codec::encode(&message)));
            }
            sync::Output::Serve { to, request } => self.serve_range(to, &request),
            sync::Output::Apply(decided) => {
                let DecidedBlock { block, proof } = *decided;
                let id = block.id();
                // The replica beside us may have decided it in the meantime.
                if block.header.parent == self.chain.tip().block() {
                    let change = self.commit(block, proof)?;
                    queue.push_back(Work::Sync(sync::Input::Applied { block: id, change }));
                }
                let tip = Box::new(self.chain.tip().clone());
                queue.push_front(Work::Replica(Input::Advance(tip.clone())));
                queue.push_back(Work::Sync(sync::Input::Advance(tip)));
            }
            sync::Output::Misbehaviour { peer, reason } => {
                self.misbehaved(peer, PENALTY, &reason.to_string())?;
            }
            other => self.log(format_args!("{other:?}")),
        }
        Ok(())
    }

    /// Commits a decided block and tells everything that follows the chain.
    fn commit(&mut self, block: Block, proof: FinalityProof) -> Result<Option<ValidatorSet>> {
        let included: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
        for evidence in block.evidence.iter() {
            self.evidence.remove(&evidence.offence().offender);
        }
        let change = self.chain.commit(block, proof).context("committing a decided block")?;
        self.mempool.update(&included, &self.chain.state()?)?;
        self.claim_relays()?;
        // A peer that missed the broadcast learns that there is something to ask for.
        for peer in self.links.admitted() {
            self.announce(peer)?;
        }
        Ok(change)
    }

    /// Keeps evidence that holds until a block has it: one piece for each validator, so that nobody
    /// can fill the pool with offences of keys that he made up.
    pub(super) fn keep_evidence(&mut self, evidence: Evidence) {
        let offender = evidence.offence().offender;
        let tip = self.chain.tip();
        let sets = [tip.validators(), tip.next_validators()];
        let votes = sets.iter().any(|set| set.position(&offender).is_some());
        let new = votes && !self.evidence.contains_key(&offender);
        if new && evidence.verify(self.chain.chain_id()).is_ok() {
            self.log(format_args!("evidence against {offender}"));
            self.evidence.insert(offender, evidence);
        }
    }

    /// Takes a transaction into the mempool.
    pub(super) fn admit(&mut self, transaction: Transaction) -> Result<(), RpcError> {
        let state = self.chain.state().map_err(RpcError::internal)?;
        self.mempool.insert(transaction, &state).map(|_replaced| ()).map_err(RpcError::refused)
    }
}

impl Node {
    /// A sync message came from a peer.
    pub(super) fn sync(&mut self, from: PublicKey, message: SyncMessage) -> Result<()> {
        self.decide(Work::Sync(sync::Input::Message { from, message }))
    }

    /// A decided block came by broadcast. Whoever passed it on has not checked it either, so a block
    /// that doesn't hold is nobody's fault whom we know.
    pub(super) fn decided_elsewhere(
        &mut self,
        from: PublicKey,
        block: Block,
        proof: FinalityProof,
    ) -> Result<()> {
        let height = block.header.height;
        if height <= self.height() {
            return Ok(());
        }
        let holds = proof.header() == Some(&block.header)
            && block.check_body().is_ok()
            && self.chain.tip().after(&proof, None).is_ok();
        if height == self.height().next() && holds {
            let decided = Box::new(DecidedBlock { block, proof });
            return self.sync(from, SyncMessage::Decided(decided));
        }
        self.decide(Work::Sync(sync::Input::Announced { peer: from, height }))
    }

    /// A peer is gone: others must be asked.
    pub(super) fn gone(&mut self, peer: PublicKey) -> Result<()> {
        self.decide(Work::Sync(sync::Input::Gone { peer }))
    }

    /// Tells a peer how far we are.
    pub(super) fn announce(&mut self, peer: PublicKey) -> Result<()> {
        let status = SyncMessage::Status { height: self.height() };
        self.links.send(&peer, MessageClass::Sync, Arc::new(codec::encode(&status)));
        Ok(())
    }

    /// Answers a peer that asks for blocks, unless it has not even taken the last answers.
    fn serve_range(&mut self, to: PublicKey, request: &sync::RangeRequest) {
        if self.links.backlog(&to) > MAX_RANGE_BACKLOG {
            return;
        }
        let tip = self.height();
        let range = sync::serve::respond(request, |height| -> Result<_> {
            if height > tip {
                return Ok(None);
            }
            let database = &self.chain.database;
            let read = database.block(height).and_then(|b| Ok((b, database.finality(height)?)));
            match read {
                Ok((block, proof)) => Ok(Some(DecidedBlock { block, proof })),
                // Others still have it.
                Err(DatabaseError::Pruned { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        match range {
            Ok(range) => {
                let body = Arc::new(codec::encode(&SyncMessage::Range(range)));
                self.links.send(&to, MessageClass::Sync, body);
            }
            // A damaged old block must not stop a node that has no need of it.
            Err(error) => self.log(format_args!("blocks can't be served: {error:#}")),
        }
    }
}
