//! The state: new roots, proofs, a commit.
//!
//! **Updates** of 1,000 and 10,000 values of 100 bytes in a state of 100,000 keys, to the new root
//! and what must be stored. The peer is jmt, the state tree of Penumbra and others, with BLAKE3 put
//! under it so that both hash alike. Both sides hash every changed key and value, find the leaves,
//! and hash each changed leaf and every inner node above it once; both trees are binary as far as
//! hashing goes (jmt packs four levels into a node of its storage), so both compute the same number
//! of hashes, printed by the bench from the depths that proofs show, and ours one leaf more for the
//! collection. The old state stays valid on both sides. Each side reads from memory as it is
//! made to: ours follows pointers, jmt asks its `MockTreeStore`, a hash map behind a lock, for nodes
//! by path and clones them. That is most of the difference, and a database would cost jmt more; we
//! pay for it in memory, which holds the whole current state.
//!
//! **A proof** of a value that is there: some 17 siblings, and one node more on our side, since a
//! collection is proved in the state. Verifying takes that many hashes and three for key, value and
//! leaf.
//!
//! **A commit** of a decided block of 1,000 transfers and 1,000 changes to a store in memory, with
//! everything that a node commits: block, finality proof, indexes, state, history, in one batch. No
//! peer does the same work. Eight blocks in a row, because every eighth merges the entries of eight
//! into one sorted run; bigger merges (of 64 blocks, of 512) are only in criterion's mean. No
//! signature is checked: consensus has done that. Expect some 4,000 hashes per block, all of them
//! for the transactions: their ids twice (for the header's root, for the index), the root's leaves
//! and nodes. The state's hashes were computed when the block was executed.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::rc::Rc;

use jmt::mock::MockTreeStore;
use jmt::{JellyfishMerkleTree, KeyHash, SimpleHasher};
use pocket_benches::fixture::{CHAIN, Validators, key, seed, transfers};
use pocket_benches::{Comparison, Throughput, prepared, repeated};
use pocket_persistence::database::{Config, Database, Decided, Genesis};
use pocket_persistence::store::MemoryStore;
use pocket_persistence::tree::State;
use pocket_types::finality::FinalityProof;
use pocket_types::merkle::{bit, path};
use pocket_types::number::Height;
use pocket_types::state::{Collection, StateChanges};

const ACCOUNTS: Collection = Collection::new("accounts");
const KEYS: u64 = 100_000;
/// Blocks committed in a row: every eighth one merges the entries of eight.
const MERGED: u64 = 8;
/// Then the chain starts anew, so that memory stays within bounds.
const CHAIN_LENGTH: Height = Height(128);

fn main() {
    let mut comparison = Comparison::new("persistence");
    trees(&mut comparison);
    commits(&mut comparison);
    comparison.finish();
}

/// BLAKE3, for jmt.
struct Blake3(blake3::Hasher);

impl SimpleHasher for Blake3 {
    fn new() -> Self {
        Self(blake3::Hasher::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn hash(data: impl AsRef<[u8]>) -> [u8; 32] {
        blake3::hash(data.as_ref()).into()
    }
}

/// Every `step`th key, with its value of a version.
fn values(step: u64, version: u64) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    (0..KEYS).step_by(step as usize).map(move |number| {
        let value = [seed(number ^ version << 32), seed(version), seed(number), seed(0)].concat();
        (seed(number)[..20].to_vec(), value[..100].to_vec())
    })
}

fn changes(step: u64, version: u64) -> StateChanges {
    StateChanges(values(step, version).map(|(key, value)| ((ACCOUNTS, key), Some(value))).collect())
}

fn trees(comparison: &mut Comparison) {
    let state = State::empty().apply(&changes(1, 0)).unwrap();
    let store = MockTreeStore::default();
    let tree = JellyfishMerkleTree::<_, Blake3>::new(&store);
    let initial = values(1, 0).map(|(key, value)| (KeyHash::with::<Blake3>(key), Some(value)));
    let (root, batch) = tree.put_value_set(initial, 0).unwrap();
    store.write_tree_update_batch(batch).unwrap();

    for step in [100, 10] {
        let updates = changes(step, 1);
        let count = KEYS / step;
        comparison.note(format_args!(
            "{count} updates: {} keys and {} values, {} inner nodes hashed",
            count,
            count,
            inner_nodes(&state, &updates)
        ));
        let pairs: Vec<_> = values(step, 1).collect();
        let hashed = |(key, value)| (KeyHash::with::<Blake3>(key), Some(value));
        let by_jmt = prepared(
            || pairs.clone(),
            |pairs| tree.put_value_set(pairs.into_iter().map(hashed), 1).unwrap(),
        );
        comparison.beside(
            format_args!("root of {count} updates"),
            Throughput::Elements(count),
            prepared(|| (), |()| state.apply(black_box(&updates)).unwrap()),
            ("jmt", by_jmt),
        );
    }

    let (key, value) = values(1, 0).nth(4_711).unwrap();
    let one = || Throughput::Elements(1);
    comparison.beside(
        "prove a value",
        one(),
        repeated(|| state.prove(ACCOUNTS, black_box(&key)).unwrap()),
        ("jmt", repeated(|| tree.get_with_proof(KeyHash::with::<Blake3>(&key), 0).unwrap())),
    );
    let ours = state.prove(ACCOUNTS, &key).unwrap();
    let (_, theirs) = tree.get_with_proof(KeyHash::with::<Blake3>(&key), 0).unwrap();
    comparison.note(format_args!(
        "a proof: {} siblings in the collection, {} in the state",
        ours.in_collection.as_ref().unwrap().siblings.len(),
        ours.in_state.siblings.len()
    ));
    let state_root = state.root();
    comparison.beside(
        "verify a proof",
        one(),
        repeated(|| black_box(&ours).verify(&state_root).unwrap()),
        (
            "jmt",
            repeated(|| {
                let hashed = KeyHash::with::<Blake3>(&key);
                black_box(&theirs).verify_existence(root, hashed, &value).unwrap();
            }),
        ),
    );
}

/// Inner nodes above any of the changed keys: one hash each.
fn inner_nodes(state: &State, changes: &StateChanges) -> usize {
    let above = changes.0.keys().flat_map(|(collection, key)| {
        let proof = state.prove(*collection, key).unwrap().in_collection.unwrap();
        let path = path(key);
        (0..proof.siblings.len())
            .map(move |depth| (0..depth).map(|level| bit(&path, level)).collect::<Vec<_>>())
    });
    above.collect::<BTreeSet<_>>().len()
}

fn commits(comparison: &mut Comparison) {
    let validators = Validators::new(4);
    let genesis = Genesis {
        chain: CHAIN,
        changes: changes(1, 0),
        validators: validators.electorate.set().clone(),
    };
    let new =
        || Rc::new(Database::initialize(MemoryStore::new(), Config::default(), &genesis).unwrap());
    let holders: Vec<_> = (0..1_000).map(key).collect();
    let transactions = transfers(CHAIN, &holders, Height(1 << 20));

    let (mut database, mut last): (_, Option<FinalityProof>) = (new(), None);
    let prepare = || {
        if database.tip().height >= CHAIN_LENGTH {
            (database, last) = (new(), None);
        }
        let mut parent = database.tip();
        let mut blocks = Vec::new();
        for _ in 0..MERGED {
            parent.height = parent.height.next();
            let updates = changes(100, parent.height.0);
            let state = database.state(parent.block).unwrap().apply(&updates).unwrap();
            // Signatures are not checked here, but every transaction of a chain is another one.
            let mut transactions = transactions.clone();
            transactions.iter_mut().for_each(|t| t.body.nonce += parent.height.0 << 32);
            let block = validators.block(last.as_ref(), state.root(), transactions);
            let proof = validators.decide(block.header.clone());
            database.insert(parent.block, block.id(), &updates).unwrap();
            parent.block = block.id();
            last = Some(proof.clone());
            blocks.push(Decided { block, proof, next_validators: None });
        }
        (database.clone(), blocks)
    };
    let commit = |(database, blocks): (Rc<Database<MemoryStore>>, Vec<Decided>)| {
        blocks.iter().for_each(|decided| {
            database.commit(decided).unwrap();
        });
    };
    let name = "commit blocks of 1,000 transfers";
    comparison.alone(name, Throughput::Elements(MERGED), prepared(prepare, commit));
}
