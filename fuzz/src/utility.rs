//! The ledger: genesis files, and transactions of people with money.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pocket_types::codec::{self, Bytes, SortedSet, Text};
use pocket_types::hash::Domain;
use pocket_types::id::{Address, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::number::{Amount, Duration, Height, Timestamp};
use pocket_types::relay::{PayloadKind, RelayRequest};
use pocket_types::session::SessionHeader;
use pocket_types::state::MemoryState;
use pocket_types::sum::SumRoot;
use pocket_types::transaction::{ActorKind, Message, Role, TransactionBody};
use pocket_types::vrf::VrfSecret;
use pocket_utility::genesis::{Genesis, GenesisActor};
use pocket_utility::ledger::{BlockContext, DeliverError, Ledger};
use pocket_utility::params::{Preset, TARGET_BLOCK_TIME};

use crate::script::Script;

/// A genesis file: it is built, or refused with a reason.
pub fn genesis(data: &[u8]) -> usize {
    let Ok(genesis) = serde_json::from_slice::<Genesis>(data) else { return 0 };
    let written = serde_json::to_string(&genesis).expect("plain data can be written");
    assert_eq!(serde_json::from_str::<Genesis>(&written).ok().as_ref(), Some(&genesis));
    let Ok(built) = genesis.build() else { return 1 };
    assert_eq!(built.chain, genesis.chain_id());
    let mut state = MemoryState::default();
    state.apply(&built.changes);
    let next = context(1);
    let time = genesis.time.after(Duration(1));
    if let Ok(ledger) = Ledger::begin_block(&state, &BlockContext { time, ..next }) {
        ledger.end_block().expect("an empty block follows every genesis");
    }
    2
}

/// A network whose actors and account holders sign whatever a script says. Each transaction is
/// accepted or refused, and every block ends with all money accounted for.
pub fn ledger(data: &[u8]) -> usize {
    run(data).len()
}

/// The transactions that were accepted.
fn run(data: &[u8]) -> Vec<Message> {
    let network = network();
    let mut accepted = Vec::new();
    let (mut state, mut height) = (network.state.clone(), 1);
    let mut script = Script::new(data);
    let mut lines = 0;
    while height < 40 {
        let context = context(height);
        let mut ledger = Ledger::begin_block(&state, &context).expect("the next block");
        let ended = loop {
            let Some(verb) = script.byte() else { break true };
            lines += 1;
            if verb % 4 == 0 || lines > 200 {
                break lines > 200;
            }
            let Some(message) = message(&mut script, verb, network.chain) else { break true };
            let Some(signer) = script.pick(NAMES.len()) else { break true };
            let body = TransactionBody {
                chain: network.chain,
                nonce: lines as u64,
                expiry: Height(height + 5),
                fee: Amount(10_000),
                signer: key(signer).public_key(),
                message,
            };
            let transaction = body.sign(&key(signer));
            match ledger.deliver(&transaction) {
                Ok(_) => accepted.push(transaction.body.message),
                Err(DeliverError::Refused(_)) => {}
                Err(error) => panic!("the ledger failed: {error}"),
            }
        };
        let outcome = ledger.end_block().expect("every block can be ended");
        state.apply(&outcome.changes);
        height += 1;
        if ended {
            break;
        }
    }
    accepted
}

const NAMES: [&str; 10] =
    ["val1", "val2", "serv1", "serv2", "fish", "app", "gate", "alice", "bob", "carol"];

fn key(place: usize) -> SecretKey {
    SecretKey::from_seed(Domain::custom("pocket fuzz key").hash(NAMES[place].as_bytes()).0)
}

fn address(place: usize) -> Address {
    Address::of(&key(place).public_key())
}

struct Network {
    state: MemoryState,
    chain: ChainId,
}

fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let built = beginning().build().expect("a valid genesis");
        let mut state = MemoryState::default();
        state.apply(&built.changes);
        Network { state, chain: built.chain }
    })
}

fn role(place: usize) -> Role {
    let zone = "EU01".parse().expect("a zone");
    let service_url = Text::new("http://127.0.0.1:8080").expect("a short text");
    let chains = SortedSet::new(vec!["0001".parse().expect("a chain")]).expect("one chain");
    match place {
        0 | 1 => Role::Validator {
            vrf_key: VrfSecret::from_seed([place as u8; 32]).public_key(),
            bls_key: None,
            service_url,
        },
        2 | 3 => Role::Servicer { chains, zone, service_url },
        4 => Role::Fisherman { zone, service_url },
        5 => Role::Application { chains, zone },
        _ => Role::Gateway { service_url },
    }
}

/// The genesis of the ledger's target: two validators, two servicers, a fisherman, an application, a
/// gateway, and three people without a role.
pub(crate) fn beginning() -> Genesis {
    let actor = |place| GenesisActor {
        public_key: key(place).public_key(),
        output: address(place),
        stake: Amount::pokt(30_000),
        role: role(place),
    };
    Genesis {
        name: Text::new("fuzz").expect("a short text"),
        time: Timestamp(1_000),
        preset: Preset::Devnet,
        block_time: TARGET_BLOCK_TIME,
        parameters: BTreeMap::new(),
        accounts: (0..NAMES.len()).map(|place| (address(place), Amount::pokt(100_000))).collect(),
        dao: Amount::pokt(1_000),
        actors: (0..7).map(actor).collect(),
        delegations: Vec::new(),
        fishermen: vec![address(7)],
        scheme: Default::default(),
    }
}

fn context(height: u64) -> BlockContext {
    BlockContext {
        height: Height(height),
        time: Timestamp(1_000 + height * 1_000),
        proposer: key(0).public_key(),
        randomness: Domain::custom("pocket fuzz beacon").hasher().number(height).finish(),
        evidence: Vec::new(),
    }
}

/// A message out of a few bytes, or spelled out in full.
fn message(script: &mut Script<'_>, verb: u8, chain: ChainId) -> Option<Message> {
    let amount = |byte: u8| match byte {
        0 => Amount::ZERO,
        255 => Amount(u128::MAX),
        254 => Amount(1),
        _ => Amount::pokt(u64::from(byte) * 500),
    };
    let session = |start: u8| SessionHeader {
        network: chain,
        start: Height(start.into()),
        chain: "0001".parse().expect("a chain"),
        zone: "EU01".parse().expect("a zone"),
        application: address(5),
    };
    let person = |script: &mut Script<'_>| script.pick(NAMES.len());
    Some(match verb / 4 % 8 {
        0 => Message::Send { to: address(person(script)?), amount: amount(script.byte()?) },
        1 => Message::Stake {
            operator: key(person(script)?).public_key(),
            output: address(person(script)?),
            amount: amount(script.byte()?),
            role: role(script.pick(7)?),
        },
        2 => Message::Unstake {
            kind: ActorKind::ALL[script.pick(5)?],
            actor: address(person(script)?),
        },
        3 => Message::Delegate { gateway: key(person(script)?).public_key() },
        4 => Message::Undelegate { gateway: key(person(script)?).public_key() },
        5 => {
            let session = session(script.byte()?);
            let (sum, count) = (u64::from(script.byte()?), u64::from(script.byte()?));
            let hash = Domain::SUM_ROOT.hasher().number(sum).number(count).finish();
            Message::Claim { session, root: SumRoot { hash, sum, count } }
        }
        6 => {
            let session = session(script.byte()?);
            let servicer = address(person(script)?);
            let payload = Bytes::new(*b"{}").expect("short");
            let signer = key(person(script)?);
            let kind = PayloadKind::JsonRpc;
            let request = RelayRequest::sign(session, servicer, 1, kind, payload, &signer);
            let path = codec::decode(script.chunk()?).ok()?;
            Message::ProveClaim { relay: Box::new(request.proof), path }
        }
        _ => codec::decode_within(script.chunk()?, 4096).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seed_of_the_ledger_moves_money_and_actors() {
        let seeds = crate::seeds::seeds();
        let (_, _, script) = seeds.iter().find(|seed| seed.0 == "ledger").expect("a seed");
        let kind = |message: &Message| codec::encode(message)[0];
        let kinds: BTreeSet<_> = run(script).iter().map(kind).collect();
        assert_eq!(kinds, (0..6).collect(), "everything but the proof of a claim");
    }
}
