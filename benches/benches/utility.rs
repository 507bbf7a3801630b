//! The ledger: a block of transfers, a session, a relay.
//!
//! **A block** of 10,000 transfers between different accounts out of 100,000 (setting up a million
//! takes longer than measuring), executed as a replica does it, over the state that
//! `pocket-persistence` keeps: every transaction's rules, fees, receipts and events, the block's
//! beginning and end, and the check that money is conserved. `its signatures` are that block's
//! signature checks by themselves (10,000 keys checked for entering state, one batch of 10,000), and
//! the line after it is the difference: execution. No peer has the same ledger. Expect 10,000
//! signatures in one batch, as many keys checked to be of prime order (each signer is new to the
//! block), some hashes for ids, digests and addresses, and three changed values per transfer: a
//! balance, and two that keep it from being executed again.
//!
//! **A session** of 24 servicers out of 1,000, established from the state: two draws, 28 or so reads.
//!
//! **A relay** of 1 KiB: the servicer checks the request (form, session, ring, tokens, replay, payload
//! hash, signature last) and signs an answer of 1 KiB. Expect one signature checked and one made;
//! the session is known, as it is after its first relay.

use std::collections::BTreeMap;

use pocket_benches::fixture::{key, seed, transfers};
use pocket_benches::{Comparison, Throughput, prepared, repeated};
use pocket_persistence::tree::State;
use pocket_types::codec::{Bytes, SortedSet, Text};
use pocket_types::hash::Hash;
use pocket_types::id::{Address, GeoZone, RelayChain};
use pocket_types::key::{SecretKey, VerifyingKey};
use pocket_types::number::{Amount, Height, Timestamp};
use pocket_types::relay::{PayloadKind, RelayRequest};
use pocket_types::signature::verify_batch;
use pocket_types::transaction::Role;
use pocket_types::vrf::VrfSecret;
use pocket_utility::genesis::{Genesis, GenesisActor};
use pocket_utility::ledger::{BlockContext, execute_block};
use pocket_utility::params::{Preset, TARGET_BLOCK_TIME};
use pocket_utility::relay::{Servicer, ServicerConfig, StandardPayloads};
use pocket_utility::session::Session;

const ACCOUNTS: u64 = 100_000;
const TRANSFERS: u64 = 10_000;
const SERVICERS: u64 = 1_000;

fn main() {
    let mut comparison = Comparison::new("utility");
    let genesis = genesis();
    let built = genesis.build().unwrap();
    let state = State::empty().apply(&built.changes).unwrap();
    // Sessions start with the first block.
    let first = execute_block(&state, &context(&genesis, Height(1)), &[]).unwrap();
    let state = state.apply(&first.changes).unwrap();

    blocks(&mut comparison, &genesis, &state);
    relays(&mut comparison, &state);
    comparison.finish();
}

/// Numbers below [`ACCOUNTS`] belong to accounts, the following ones to actors.
fn genesis() -> Genesis {
    let chains = || SortedSet::new(vec![chain()]).unwrap();
    let service_url = || Text::new("http://127.0.0.1:8080").unwrap();
    let actor = |number, role| {
        let public_key = key(ACCOUNTS + number).public_key();
        let output = Address::of(&public_key);
        GenesisActor { public_key, output, stake: Amount::pokt(15_000), role }
    };
    let vrf_key = VrfSecret::from_seed(seed(0)).public_key();
    let validator = Role::Validator { vrf_key, bls_key: None, service_url: service_url() };
    let application = Role::Application { chains: chains(), zone: zone() };
    let servicer = || Role::Servicer { chains: chains(), zone: zone(), service_url: service_url() };
    let mut actors = vec![actor(0, validator), actor(1, application)];
    actors.extend((0..SERVICERS).map(|number| actor(2 + number, servicer())));
    // Nobody signs for most accounts, so their addresses need no keys.
    let holders = (0..TRANSFERS).map(|number| Address::of(&key(number).public_key()));
    let others = (TRANSFERS..ACCOUNTS).map(|number| {
        let [address @ .., _, _, _, _, _, _, _, _, _, _, _, _] = seed(number);
        Address(address)
    });
    Genesis {
        name: Text::new("benches").unwrap(),
        time: Timestamp(1_000),
        preset: Preset::Mainnet,
        block_time: TARGET_BLOCK_TIME,
        parameters: BTreeMap::new(),
        accounts: holders.chain(others).map(|address| (address, Amount::pokt(100))).collect(),
        dao: Amount(0),
        actors,
        delegations: Vec::new(),
        fishermen: Vec::new(),
        scheme: Default::default(),
    }
}

fn chain() -> RelayChain {
    "0001".parse().unwrap()
}

fn zone() -> GeoZone {
    "EU01".parse().unwrap()
}

fn context(genesis: &Genesis, height: Height) -> BlockContext {
    BlockContext {
        height,
        time: Timestamp(genesis.time.0 + height.0 * 1_000),
        proposer: genesis.actors[0].public_key,
        randomness: Hash(seed(height.0)),
        evidence: Vec::new(),
    }
}

fn blocks(comparison: &mut Comparison, genesis: &Genesis, state: &State) {
    let holders: Vec<_> = (0..TRANSFERS).map(key).collect();
    let transactions = transfers(genesis.chain_id(), &holders, Height(10));
    let context = context(genesis, Height(2));
    let count = || Throughput::Elements(TRANSFERS);
    let outcome = execute_block(state, &context, &transactions).unwrap();
    comparison.note(format_args!(
        "a block of {TRANSFERS} transfers changes {} keys",
        outcome.changes.0.len()
    ));

    let whole = comparison.alone(
        format_args!("a block of {TRANSFERS} transfers"),
        count(),
        prepared(|| (), |()| execute_block(state, &context, &transactions).unwrap()),
    );
    let signatures = comparison.alone(
        "its signatures",
        count(),
        repeated(|| {
            let signers = transactions.iter().map(|transaction| transaction.body.signer);
            let keys: Vec<_> = signers
                .map(|signer| {
                    signer.validate().unwrap();
                    VerifyingKey::new(signer).unwrap()
                })
                .collect();
            let batch = transactions.iter().zip(&keys).map(|(transaction, key)| {
                (key, transaction.body.signing_digest(), transaction.signature)
            });
            verify_batch(&batch.collect::<Vec<_>>()).unwrap();
        }),
    );
    if let (Some(whole), Some(signatures)) = (whole, signatures) {
        let each = whole.saturating_sub(signatures) / TRANSFERS as u32;
        comparison.note(format_args!("without signatures: {each:.2?} a transfer"));
    }
}

fn relays(comparison: &mut Comparison, state: &State) {
    let application = key(ACCOUNTS + 1);
    let address = Address::of(&application.public_key());
    let header = Session::current_header(state, address, chain(), zone()).unwrap();
    let session = Session::load(state, &header).unwrap();
    assert_eq!(session.servicers.len(), 24);
    comparison.alone(
        "establish a session of 24",
        Throughput::Elements(1),
        repeated(|| Session::load(state, &header).unwrap()),
    );

    let servicer: SecretKey = (0..SERVICERS)
        .map(|number| key(ACCOUNTS + 2 + number))
        .find(|key| session.has_servicer(&Address::of(&key.public_key())))
        .unwrap();
    let mut config = ServicerConfig::new(servicer.public_key(), [chain()].into(), zone());
    config.max_relays_per_session = usize::MAX;
    let mut relays = Servicer::new(config, StandardPayloads);
    let payload = format!(r#"{{"jsonrpc":"2.0","method":"query","id":1,"params":["{:0940}"]}}"#, 0);
    let payload = Bytes::new(payload).unwrap();
    let answer = Bytes::new(vec![b'x'; 1_024]).unwrap();
    let mut nonce = 0;
    let request = || {
        nonce += 1;
        let (to, kind) = (Address::of(&servicer.public_key()), PayloadKind::JsonRpc);
        let request = RelayRequest::sign(header, to, nonce, kind, payload.clone(), &application);
        (request, answer.clone())
    };
    comparison.alone(
        "check and answer a relay",
        Throughput::Elements(1),
        prepared(request, |(request, answer)| {
            let accepted = relays.check(&request, state).unwrap();
            relays.complete(accepted, answer, Timestamp(2_000), &servicer)
        }),
    );
}
