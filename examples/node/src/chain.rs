//! Where the modules meet: consensus asks to build and check blocks, utility executes them over the
//! state that persistence keeps, and a decided block becomes durable in one write.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use pocket_consensus::{BuildRequest, Tip, Verdict};
use pocket_persistence::database::{Config, Database, Decided};
use pocket_persistence::store::{Direction, Durability, KeyRange};
use pocket_persistence::tree::State;
use pocket_types::block::{Block, Header};
use pocket_types::codec::{self, List};
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId, TransactionId};
use pocket_types::number::Height;
use pocket_types::state::{Collection, StateError, StateRead};
use pocket_types::transaction::Transaction;
use pocket_types::validator::ValidatorSet;
use pocket_utility::genesis::Genesis;
use pocket_utility::ledger::{
    BlockContext, BlockLimits, BlockOutcome, Event, Refusal, build_block, execute_block,
};
use pocket_utility::state::{ONLY, VALIDATORS};

use crate::store::RedbStore;

/// Events of each block, kept beside the chain for reports: a dataset of this program's own.
const EVENTS: Collection = Collection::new("events");
/// Undecided blocks whose execution is remembered.
const MAX_EXECUTED: usize = 16;

/// The chain, its states, and what executing undecided blocks showed.
pub(crate) struct Chain {
    pub(crate) database: Database<RedbStore>,
    tip: Tip,
    executed: VecDeque<(BlockId, Executed)>,
}

/// A block of our own.
pub(crate) struct Built {
    pub block: Block,
    /// The validators from two heights later on, if the block changes them.
    pub change: Option<ValidatorSet>,
    /// Candidates that failed.
    pub dropped: Vec<(TransactionId, Refusal)>,
    /// Evidence that no block takes.
    pub refused: Vec<Hash>,
}

struct Executed {
    events: Vec<Event>,
    change: Option<ValidatorSet>,
}

impl Chain {
    /// Opens the database in a node's directory, or makes one from the genesis.
    pub(crate) fn open(directory: &Path, genesis: &Genesis) -> Result<Self> {
        let built = genesis.build().context("the genesis is not valid")?;
        let path = directory.join("chain.redb");
        if std::fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            // Truncated, or never written: only its owner knows whether this validator has voted.
            bail!("database {} is empty; delete it if this node never ran", path.display());
        }
        let store =
            RedbStore::open(&path).with_context(|| format!("database {}", path.display()))?;
        let begin = pocket_persistence::database::Genesis {
            chain: built.chain,
            changes: built.changes,
            validators: built.validators.clone(),
        };
        let database = Database::open_or_initialize(store, Config::default(), &begin);
        let database = database.with_context(|| format!("database {}", path.display()))?;
        let mut chain = Self {
            tip: Tip::genesis(built.chain, genesis.time, built.randomness, built.validators)?,
            database,
            executed: VecDeque::new(),
        };
        let height = chain.database.tip().height;
        if height > Height::GENESIS {
            chain.tip = chain.stored_tip(height)?;
        }
        Ok(chain)
    }

    fn stored_tip(&self, height: Height) -> Result<Tip> {
        let [decided_by, validators] =
            [height, height.next()].map(|height| self.validators(height));
        let next = self.validators(height.next().next())?;
        Ok(Tip::stored(&self.database.finality(height)?, decided_by?, validators?, next)?)
    }

    /// The last decided block with the validators around it.
    pub(crate) const fn tip(&self) -> &Tip {
        &self.tip
    }

    pub(crate) const fn chain_id(&self) -> ChainId {
        self.tip.chain()
    }

    /// The state after the last decided block.
    pub(crate) fn state(&self) -> Result<State> {
        Ok(self.database.state(self.tip.block())?)
    }

    /// The state after a decided block, read value by value: cheap at any height.
    pub(crate) const fn at(&self, height: Height) -> PastState<'_> {
        PastState { database: &self.database, height }
    }

    /// The validator set that decides a height: the state two heights before holds it.
    pub(crate) fn validators(&self, height: Height) -> Result<ValidatorSet> {
        let at = Height(height.0.saturating_sub(2));
        let bytes = self.database.value_at(VALIDATORS, ONLY, at)?;
        let bytes = bytes.with_context(|| format!("no validator set in the state of {at}"))?;
        Ok(codec::decode(&bytes)?)
    }

    /// Makes a block over the last decided one out of candidate transactions.
    pub(crate) fn build(
        &mut self,
        request: BuildRequest,
        candidates: Vec<Transaction>,
    ) -> Result<Built> {
        let BuildRequest { header, evidence, max_bytes } = request;
        let state = self.database.state(header.parent)?;
        let room = max_bytes.saturating_sub(codec::encoded_len(&header) + 4096);
        let default = BlockLimits::default();
        let limits = BlockLimits { bytes: default.bytes.min(room), ..default };
        let offered: Vec<Hash> = evidence.iter().map(Evidence::id).collect();
        let built = build_block(&state, &context(&header, evidence), candidates, &limits)?;
        let root = state.apply(&built.outcome.changes)?.root();
        let block = Block {
            header: Header {
                state_root: root,
                transactions_root: Block::transactions_root(&built.transactions),
                evidence_root: Block::evidence_root(&built.evidence),
                ..header
            },
            transactions: List::new(built.transactions)?,
            evidence: List::new(built.evidence)?,
        };
        let change = self.remember(&block, built.outcome)?;
        let refused = built.dropped_evidence.iter().filter_map(|(place, _)| offered.get(*place));
        Ok(Built { block, change, dropped: built.dropped, refused: refused.copied().collect() })
    }

    /// Executes a proposed block and compares the state root.
    pub(crate) fn check(&mut self, block: &Block) -> Result<Verdict> {
        let id = block.id();
        if let Some((_, executed)) = self.executed.iter().find(|(known, _)| *known == id) {
            return Ok(Verdict::Valid { change: executed.change.clone() });
        }
        let state = self.database.state(block.header.parent)?;
        let context = context(&block.header, block.evidence.to_vec());
        let outcome = match execute_block(&state, &context, &block.transactions) {
            Ok(outcome) => outcome,
            Err(error) => return Ok(Verdict::Invalid(error.to_string())),
        };
        let got = state.apply(&outcome.changes)?.root();
        let expected = block.header.state_root;
        if got != expected {
            return Ok(Verdict::Invalid(format!("state root {got}, the header says {expected}")));
        }
        Ok(Verdict::Valid { change: self.remember(block, outcome)? })
    }

    /// Makes a decided block durable. Its execution is repeated if it isn't known any more.
    pub(crate) fn commit(
        &mut self,
        block: Block,
        proof: FinalityProof,
    ) -> Result<Option<ValidatorSet>> {
        let change = match self.check(&block)? {
            Verdict::Valid { change } => change,
            Verdict::Invalid(reason) => {
                bail!(
                    "block {} is decided but does not execute here: {reason}",
                    block.header.height
                )
            }
        };
        let tip = self.tip.after(&proof, change.clone())?;
        let (height, id) = (block.header.height, block.id());
        let known = self.executed.iter().find(|(known, _)| *known == id);
        let events = known.map(|(_, executed)| codec::encode(&executed.events)).unwrap_or_default();
        // Before the block: a block that is there has its events.
        let row = (height.0.to_be_bytes().to_vec(), events);
        self.database.put_local(EVENTS, &[row], Durability::Eventual)?;
        let next_validators = (block.header.next_validators != block.header.validators)
            .then(|| tip.validators().set().clone());
        self.database.commit(&Decided { block, proof, next_validators })?;
        self.executed.clear();
        self.tip = tip;
        Ok(change)
    }

    /// What a decided block did by itself and by its transactions.
    pub(crate) fn events(&self, height: Height) -> Result<Vec<Event>> {
        let key = height.0.to_be_bytes();
        let range = KeyRange::prefix(key);
        let rows = self.database.scan_local(EVENTS, &range, Direction::Forward, 1)?;
        let Some((_, bytes)) = rows.into_iter().next() else { return Ok(Vec::new()) };
        Ok(codec::decode_within(&bytes, 1 << 30)?)
    }

    fn remember(&mut self, block: &Block, outcome: BlockOutcome) -> Result<Option<ValidatorSet>> {
        if self.executed.len() >= MAX_EXECUTED
            && let Some((oldest, _)) = self.executed.pop_front()
        {
            self.database.discard(oldest);
        }
        let id = block.id();
        let root = self.database.insert(block.header.parent, id, &outcome.changes)?;
        ensure!(root == block.header.state_root, "the state root changed while executing");
        let change = outcome.validator_update.clone();
        let receipts = outcome.receipts.into_iter().flat_map(|receipt| receipt.events);
        let events = receipts.chain(outcome.events).collect();
        self.executed.push_back((id, Executed { events, change: change.clone() }));
        Ok(change)
    }
}

/// The state after a decided block.
pub(crate) struct PastState<'a> {
    database: &'a Database<RedbStore>,
    height: Height,
}

impl StateRead for PastState<'_> {
    fn get(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.database.value_at(collection, key, self.height).map_err(|error| StateError {
            collection,
            key: key.to_vec(),
            reason: error.to_string(),
        })
    }
}

fn context(header: &Header, evidence: Vec<Evidence>) -> BlockContext {
    BlockContext {
        height: header.height,
        time: header.time,
        proposer: header.proposer,
        randomness: header.randomness,
        evidence,
    }
}
