//! A small chain with real keys, blocks and certificates.
#![allow(dead_code, reason = "each test file uses its part")]

use pocket_persistence::store::Store;
use pocket_persistence::{Config, Database, DatabaseError, Decided, Genesis, Tip};
use pocket_types::block::{Block, Header, VERSION};
use pocket_types::codec::{Bytes, List};
use pocket_types::finality::FinalityProof;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::number::{Amount, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::state::{Collection, StateChanges};
use pocket_types::transaction::{Message, Transaction, TransactionBody};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::{VrfProof, VrfSecret};

pub(crate) const ACCOUNTS: Collection = Collection::new("accounts");
pub(crate) const POOLS: Collection = Collection::new("pools");
pub(crate) const FLAGS: Collection = Collection::new("flags");

pub(crate) const COLLECTIONS: [Collection; 3] = [ACCOUNTS, POOLS, FLAGS];

/// Keep two heights in memory only, so that most questions go to the history.
pub(crate) const CONFIG: Config = Config { max_overlays: 8, recent_states: 2 };

pub(crate) fn chain() -> ChainId {
    ChainId(Domain::GENESIS.hash(b"a test"))
}

pub(crate) fn keys(epoch: Epoch) -> Vec<SecretKey> {
    (0..4).map(|i| SecretKey::from_seed([i + 1 + 8 * epoch.0 as u8; 32])).collect()
}

/// Every epoch has four validators of its own.
pub(crate) fn validators(epoch: Epoch) -> ValidatorSet {
    let members = keys(epoch).into_iter().map(|key| Validator {
        public_key: key.public_key(),
        vrf_key: VrfSecret::from_seed([9; 32]).public_key(),
        weight: Weight(10),
        bls_key: None,
    });
    ValidatorSet::new(epoch, members.collect()).unwrap()
}

pub(crate) fn genesis(changes: StateChanges) -> Genesis {
    Genesis { chain: chain(), changes, validators: validators(Epoch(0)) }
}

/// Changes in one collection: a value, or none for a removal.
pub(crate) fn changes<const N: usize>(list: [(Collection, &str, Option<&str>); N]) -> StateChanges {
    let owned = list.into_iter().map(|(collection, key, value)| {
        ((collection, key.as_bytes().to_vec()), value.map(|value| value.as_bytes().to_vec()))
    });
    StateChanges(owned.collect())
}

pub(crate) fn transfer(nonce: u64) -> Transaction {
    let key = SecretKey::from_seed([77; 32]);
    let body = TransactionBody {
        chain: chain(),
        nonce,
        expiry: Height(1_000_000),
        fee: Amount(10_000),
        signer: key.public_key(),
        message: Message::Send { to: Address([5; 20]), amount: Amount(1) },
    };
    body.sign(&key)
}

/// The block after a tip: validators of `epoch` decide it, those of `next` the one after it.
pub(crate) fn block(
    tip: &Tip,
    state_root: Hash,
    transactions: Vec<Transaction>,
    epoch: Epoch,
    next: Epoch,
) -> Block {
    Block {
        header: Header {
            version: VERSION,
            chain: chain(),
            height: tip.height.next(),
            epoch,
            parent: tip.block,
            parent_certificate: None,
            time: Timestamp(1000 * tip.height.next().0),
            proposer: keys(epoch)[0].public_key(),
            state_root,
            transactions_root: Block::transactions_root(&transactions),
            evidence_root: Block::evidence_root(&[]),
            validators: validators(epoch).hash(),
            next_validators: validators(next).hash(),
            randomness: Hash::ZERO,
            randomness_proof: VrfProof([0; 80]),
        },
        transactions: List::new(transactions).unwrap(),
        evidence: List::empty(),
    }
}

/// What three of the four validators decide.
pub(crate) fn decided(block: Block) -> Decided {
    let header = &block.header;
    let electorate = Electorate::new(validators(header.epoch)).unwrap();
    let data = VoteData {
        protocol: Protocol::HotPokt,
        chain: header.chain,
        epoch: header.epoch,
        validators: header.validators,
        height: header.height,
        round: Round(0),
        phase: Phase::Commit,
        block: header.id(),
        high: None,
    };
    let votes: Vec<Vote> =
        keys(header.epoch)[..3].iter().map(|key| Vote::sign(data, key)).collect();
    let certificate = Certificate::from_votes(data, &votes, &electorate).unwrap();
    let proof = FinalityProof::commit(header.clone(), certificate);
    Decided { block, proof, next_validators: None }
}

/// A decided block over the tip, with its overlay in place.
pub(crate) fn prepare<S: Store>(
    database: &Database<S>,
    changes: &StateChanges,
    transactions: Vec<Transaction>,
) -> Result<Decided, DatabaseError> {
    let tip = database.tip();
    let root = database.state(tip.block)?.apply(changes)?.root();
    let block = block(&tip, root, transactions, Epoch(0), Epoch(0));
    database.insert(tip.block, block.id(), changes)?;
    Ok(decided(block))
}

/// Builds, executes and commits the next block.
pub(crate) fn extend<S: Store>(
    database: &Database<S>,
    changes: &StateChanges,
    transactions: Vec<Transaction>,
) -> Result<Tip, DatabaseError> {
    database.commit(&prepare(database, changes, transactions)?)
}

pub(crate) fn bytes<const MAX: usize>(text: &str) -> Bytes<MAX> {
    Bytes::new(text.as_bytes()).unwrap()
}
