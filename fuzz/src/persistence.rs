//! Storage: rows that are not what was written.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use pocket_persistence::store::{
    Direction, Durability, KeyRange, MemoryStore, Op, Read, Store, Table,
};
use pocket_persistence::{Config, Database, Decided, Genesis};
use pocket_types::block::{Block, Header, VERSION};
use pocket_types::codec::List;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, BlockId, ChainId, TransactionId};
use pocket_types::key::SecretKey;
use pocket_types::number::{Amount, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::state::{Collection, StateChanges};
use pocket_types::transaction::{Message, Transaction, TransactionBody};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::{VrfProof, VrfSecret};

use crate::script::Script;

/// A small database, one of whose rows a script replaces, with a checksum that fits: opening it and
/// asking it everything gives answers or errors, and neither panics nor runs for ever.
pub fn rows(data: &[u8]) -> usize {
    let mut script = Script::new(data);
    let mut ops = chain_rows().to_vec();
    let Some(choice) = script.byte().zip(script.byte()) else { return 0 };
    let choice = usize::from(u16::from_le_bytes([choice.0, choice.1])) % ops.len();
    let Op::Put { table, key, value } = &mut ops[choice] else { return 0 };
    let payload = script.rest();
    let hasher = Domain::STORED_ROW.hasher().variable(table.name().as_bytes());
    let sum = hasher.variable(key).variable(payload).finish();
    *value = [&sum.0[..], payload].concat();
    let store = MemoryStore::new();
    store
        .commit(store.last().unwrap_or_default(), &ops, Durability::Immediate)
        .expect("a store in memory takes rows");
    let Ok(database) = Database::open(store, Config::default(), CHAIN) else { return 1 };
    ask(&database);
    2
}

fn ask<S: Store>(database: &Database<S>) {
    let _ = database.verify();
    let _ = database.load_log();
    let _ = database.body(Height(HEIGHTS + 1), BlockId::default());
    let _ = database.scan_local(ACCOUNTS, &KeyRange::all(), Direction::Forward, 10);
    let _ = database.validators(Epoch(0));
    let _ = database.transaction(TransactionId::default());
    for height in 0..=HEIGHTS + 1 {
        let height = Height(height);
        let _ = database.state_at(height);
        let _ = database.value_at(ACCOUNTS, b"a", height);
        let _ = database.prove(ACCOUNTS, b"a", height);
        let _ = database.prove(ACCOUNTS, b"absent", height);
        let _ = database.finality(height);
        if let Ok(block) = database.block(height) {
            let _ = database.block_by_id(block.id());
            for transaction in block.transactions.iter() {
                let _ = database.transaction(transaction.id());
            }
        }
    }
    let _ = database.prune(Height(HEIGHTS));
}

const CHAIN: ChainId = ChainId(Hash([7; 32]));
const ACCOUNTS: Collection = Collection::new("accounts");
const HEIGHTS: u64 = 3;

/// Every row of a chain of three blocks.
pub(crate) fn chain_rows() -> &'static [Op] {
    static ROWS: OnceLock<Vec<Op>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let store = MemoryStore::new();
        fill(store.clone());
        let read = store.snapshot().expect("a store in memory");
        let mut ops = Vec::new();
        for table in Table::ALL {
            let mut take = |key: &[u8], value: &[u8]| {
                ops.push(Op::Put { table, key: key.to_vec(), value: value.to_vec() });
                ControlFlow::Continue(())
            };
            read.scan(table, &KeyRange::all(), Direction::Forward, usize::MAX, &mut take)
                .expect("a store in memory");
        }
        ops
    })
}

fn validators() -> ValidatorSet {
    let member = Validator {
        public_key: SecretKey::from_seed([1; 32]).public_key(),
        vrf_key: VrfSecret::from_seed([1; 32]).public_key(),
        weight: Weight(1),
        bls_key: None,
    };
    ValidatorSet::new(Epoch(0), vec![member]).expect("one member")
}

fn changes(height: u64) -> StateChanges {
    let set = |key: &[u8], value: String| ((ACCOUNTS, key.to_vec()), Some(value.into_bytes()));
    let own = format!("b{height}");
    StateChanges([set(b"a", height.to_string()), set(own.as_bytes(), "x".into())].into())
}

fn fill(store: MemoryStore) {
    let genesis = Genesis { chain: CHAIN, changes: changes(0), validators: validators() };
    let database = Database::initialize(store, Config::default(), &genesis).expect("a new chain");
    for height in 1..=HEIGHTS {
        let tip = database.tip();
        let state = database.state(tip.block).expect("the tip's state");
        let state_root = state.apply(&changes(height)).expect("small changes").root();
        let block = block(height, tip.block, state_root);
        database.insert(tip.block, block.id(), &changes(height)).expect("the tip's child");
        database.commit(&decided(block)).expect("a decided block");
    }
    let body = (BlockId::default(), vec![1, 2, 3]);
    database.append_log(Height(HEIGHTS + 1), &[vec![7; 10]], &[body]).expect("a log");
    let note = (vec![1], vec![2]);
    database.put_local(ACCOUNTS, &[note], Durability::Immediate).expect("a note");
}

fn block(height: u64, parent: BlockId, state_root: Hash) -> Block {
    let transactions = vec![transfer(height)];
    let header = Header {
        version: VERSION,
        chain: CHAIN,
        height: Height(height),
        epoch: Epoch(0),
        parent,
        parent_certificate: None,
        time: Timestamp(height),
        proposer: validators().members[0].public_key,
        state_root,
        transactions_root: Block::transactions_root(&transactions),
        evidence_root: Block::evidence_root(&[]),
        validators: validators().hash(),
        next_validators: validators().hash(),
        randomness: Hash::ZERO,
        randomness_proof: VrfProof([0; 80]),
    };
    let transactions = List::new(transactions).expect("one transaction");
    Block { header, transactions, evidence: List::empty() }
}

fn transfer(nonce: u64) -> Transaction {
    let key = SecretKey::from_seed([2; 32]);
    let body = TransactionBody {
        chain: CHAIN,
        nonce,
        expiry: Height(100),
        fee: Amount(1),
        signer: key.public_key(),
        message: Message::Send { to: Address([5; 20]), amount: Amount(1) },
    };
    body.sign(&key)
}

fn decided(block: Block) -> Decided {
    let electorate = Electorate::new(validators()).expect("a valid set");
    let data = VoteData {
        protocol: Protocol::HotPokt,
        chain: CHAIN,
        epoch: Epoch(0),
        validators: electorate.hash(),
        height: block.header.height,
        round: Round(0),
        phase: Phase::Commit,
        block: block.id(),
        high: None,
    };
    let vote = Vote::sign(data, &SecretKey::from_seed([1; 32]));
    let certificate = Certificate::from_votes(data, [&vote], &electorate).expect("all of one");
    let proof = FinalityProof::commit(block.header.clone(), certificate);
    Decided { block, proof, next_validators: None }
}
