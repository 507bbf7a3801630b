//! A network in memory: genesis, keys by name, one block after the other.
#![allow(dead_code, unreachable_pub, reason = "each scenario uses its own part")]

use std::collections::BTreeMap;

use pocket_types::codec::{Bytes, SortedSet, Text};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, ChainId, GeoZone, RelayChain};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Amount, Height, Timestamp};
use pocket_types::relay::{PayloadKind, RelayRequest};
use pocket_types::session::SessionHeader;
use pocket_types::state::MemoryState;
use pocket_types::transaction::{ActorKind, Message, Role, Transaction, TransactionBody};
use pocket_types::vrf::VrfSecret;
use pocket_utility::genesis::{Genesis, GenesisActor, GenesisDelegation, ParameterValue};
use pocket_utility::ledger::{
    BlockContext, BlockError, BlockOutcome, Event, Ledger, Refusal, execute_block,
};
use pocket_utility::params::{Preset, TARGET_BLOCK_TIME};
use pocket_utility::query;

pub const CALL: &[u8] = br#"{"jsonrpc":"2.0","method":"height","id":1}"#;
pub const FEE: Amount = Amount(10_000);
pub const STAKE: Amount = Amount::pokt(15_000);

/// The key of a name: the same in every test.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(Domain::custom("pocket-utility tests: key").hash(name.as_bytes()).0)
}

pub fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

pub fn address(name: &str) -> Address {
    Address::of(&public(name))
}

pub fn chain(code: &str) -> RelayChain {
    code.parse().unwrap()
}

pub fn zone(code: &str) -> GeoZone {
    code.parse().unwrap()
}

pub fn url() -> Text<255> {
    Text::new("http://127.0.0.1:8080").unwrap()
}

pub fn application(chains: &[&str]) -> Role {
    Role::Application { chains: set(chains), zone: zone("EU01") }
}

pub fn servicer(chains: &[&str]) -> Role {
    Role::Servicer { chains: set(chains), zone: zone("EU01"), service_url: url() }
}

pub fn fisherman() -> Role {
    Role::Fisherman { zone: zone("EU01"), service_url: url() }
}

pub fn validator(name: &str) -> Role {
    let seed = Domain::custom("pocket-utility tests: vrf").hash(name.as_bytes()).0;
    Role::Validator {
        vrf_key: VrfSecret::from_seed(seed).public_key(),
        bls_key: None,
        service_url: url(),
    }
}

pub fn gateway() -> Role {
    Role::Gateway { service_url: url() }
}

pub fn set(chains: &[&str]) -> SortedSet<RelayChain, 15> {
    SortedSet::new(chains.iter().map(|code| chain(code)).collect()).unwrap()
}

pub fn actor(name: &str, role: Role) -> GenesisActor {
    GenesisActor { public_key: public(name), output: address(name), stake: STAKE, role }
}

/// Four validators, two servicers, a fisherman, an application and a gateway for it; all rich.
pub fn genesis() -> Genesis {
    let mut actors: Vec<_> =
        ["val1", "val2", "val3", "val4"].map(|name| actor(name, validator(name))).into();
    actors.push(actor("serv1", servicer(&["0001"])));
    actors.push(actor("serv2", servicer(&["0001"])));
    actors.push(actor("fish", fisherman()));
    // Its relays are burnt of its stake: one with the minimum would be made to leave.
    let stake = Amount::pokt(30_000);
    actors.push(GenesisActor { stake, ..actor("app", application(&["0001"])) });
    actors.push(actor("gate", gateway()));
    let names = ["val1", "val2", "val3", "val4", "serv1", "serv2", "fish", "app", "gate"];
    let accounts: BTreeMap<_, _> = names
        .into_iter()
        .chain(["alice", "bob"])
        .map(|name| (address(name), Amount::pokt(100_000)))
        .collect();
    Genesis {
        name: Text::new("test").unwrap(),
        time: Timestamp(1_000),
        preset: Preset::Devnet,
        block_time: TARGET_BLOCK_TIME,
        parameters: BTreeMap::new(),
        accounts,
        dao: Amount::pokt(1_000),
        actors,
        delegations: vec![GenesisDelegation {
            application: address("app"),
            gateway: public("gate"),
        }],
        fishermen: Vec::new(),
        scheme: Default::default(),
    }
}

/// [`genesis`] with parameters of one's own.
pub fn genesis_with(parameters: &[(&str, u128)]) -> Genesis {
    let parameters =
        parameters.iter().map(|(name, value)| (name.to_string(), ParameterValue(*value)));
    Genesis { parameters: parameters.collect(), ..genesis() }
}

/// A chain in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    pub state: MemoryState,
    pub chain: ChainId,
    pub height: u64,
    pub events: Vec<Event>,
    nonce: u64,
}

impl Network {
    pub fn new(genesis: &Genesis) -> Self {
        let built = genesis.build().unwrap();
        let mut state = MemoryState::default();
        state.apply(&built.changes);
        Self { state, chain: built.chain, height: 0, events: Vec::new(), nonce: 0 }
    }

    pub fn devnet() -> Self {
        Self::new(&genesis())
    }

    pub fn context(&self) -> BlockContext {
        let height = self.height + 1;
        BlockContext {
            height: Height(height),
            time: Timestamp(1_000 + height * 1_000),
            proposer: public("val1"),
            randomness: beacon(height),
            evidence: Vec::new(),
        }
    }

    pub fn sign(&mut self, name: &str, message: Message) -> Transaction {
        self.nonce += 1;
        let body = TransactionBody {
            chain: self.chain,
            nonce: self.nonce,
            expiry: Height(self.height + 10),
            fee: FEE,
            signer: public(name),
            message,
        };
        body.sign(&key(name))
    }

    /// The next block. All of its transactions must succeed.
    pub fn block(&mut self, transactions: &[Transaction]) -> BlockOutcome {
        let context = self.context();
        let outcome = execute_block(&self.state, &context, transactions)
            .unwrap_or_else(|error| panic!("height {}: {error}", context.height));
        self.commit(&outcome);
        outcome
    }

    pub fn commit(&mut self, outcome: &BlockOutcome) {
        self.state.apply(&outcome.changes);
        self.height += 1;
        self.events.extend(outcome.events.iter().cloned());
        let receipts = outcome.receipts.iter().flat_map(|receipt| receipt.events.iter().cloned());
        self.events.extend(receipts);
        assert_recount(&self.state);
    }

    /// Empty blocks up to and including a height.
    pub fn advance_to(&mut self, height: u64) {
        while self.height < height {
            self.block(&[]);
        }
    }

    /// One message in a block of its own.
    pub fn run(&mut self, name: &str, message: Message) -> BlockOutcome {
        let transaction = self.sign(name, message);
        self.block(&[transaction])
    }

    /// Why the next block can't hold this message.
    pub fn refusal(&mut self, name: &str, message: Message) -> Refusal {
        let transaction = self.sign(name, message);
        self.refusal_of(&transaction)
    }

    pub fn refusal_of(&self, transaction: &Transaction) -> Refusal {
        let before = self.state.clone();
        let refused =
            execute_block(&self.state, &self.context(), std::slice::from_ref(transaction));
        assert_eq!(self.state, before);
        match refused {
            Err(BlockError::Transaction { index: 0, refusal, .. }) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    pub fn balance(&self, name: &str) -> Amount {
        query::balance(&self.state, &address(name)).unwrap()
    }

    pub fn header(&self) -> SessionHeader {
        SessionHeader {
            network: self.chain,
            start: pocket_utility::session::clock(&self.state).unwrap().start,
            chain: chain("0001"),
            zone: zone("EU01"),
            application: address("app"),
        }
    }

    pub fn stake_of(&self, kind: ActorKind, name: &str) -> Amount {
        query::actor(&self.state, kind, &address(name)).unwrap().map_or(Amount(0), |a| a.stake)
    }

    /// A request of the running session, signed by `signer`.
    pub fn request(&self, signer: &str, servicer: &str, nonce: u64) -> RelayRequest {
        let payload = Bytes::new(CALL).unwrap();
        let (session, to) = (self.header(), address(servicer));
        RelayRequest::sign(session, to, nonce, PayloadKind::JsonRpc, payload, &key(signer))
    }

    /// Begins the next block by hand.
    pub fn begin(&self) -> Ledger<&MemoryState> {
        Ledger::begin_block(&self.state, &self.context()).unwrap()
    }
}

pub fn beacon(height: u64) -> Hash {
    Domain::custom("pocket-utility tests: beacon").hasher().number(height).finish()
}

/// Counts everything anew, by reading the whole state, and compares with the running totals. It
/// knows the collections but shares no code with the ledger's own sums.
pub fn assert_recount(state: &MemoryState) {
    use pocket_types::codec::decode_within;
    use pocket_utility::state::actor::Actor;
    use pocket_utility::state::treasury::Pool;

    let treasury = query::treasury(state).unwrap();
    let (mut accounts, mut stakes) = (0u128, BTreeMap::new());
    for (collection, key, value) in state.iter() {
        match collection.as_str() {
            "accounts" => {
                let balance: Amount = decode_within(value, 16).unwrap();
                assert_ne!(balance.0, 0, "an empty account is stored");
                accounts += balance.0;
            }
            "actors" => {
                let (kind, at): (ActorKind, Address) = decode_within(key, 24).unwrap();
                let actor: Actor = decode_within(value, 4096).unwrap();
                assert_eq!((kind, at), (actor.kind(), actor.address()));
                let sums: &mut (u128, u64) = stakes.entry(kind).or_default();
                sums.0 += actor.stake.0;
                sums.1 += u64::from(actor.is_staked());
            }
            _ => {}
        }
    }
    assert_eq!(treasury.accounts.0, accounts);
    let mut pools = 0;
    for pool in Pool::ALL {
        pools += treasury.pool(pool).0;
    }
    assert_eq!(treasury.supply.total.0, accounts + pools);
    for kind in ActorKind::ALL {
        let (stake, active) = stakes.get(&kind).copied().unwrap_or_default();
        assert_eq!(treasury.pool(Pool::of(kind)).0, stake, "{kind:?}");
        assert_eq!(treasury.active(kind), active, "{kind:?}");
    }
}
