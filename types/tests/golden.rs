//! The wire format and the JSON form, pinned byte by byte by the files in `golden/`.
//!
//! A change of any of them is a change of the protocol. To make one on purpose, run
//! `POCKET_GOLDEN=write cargo test -p pocket-types --test golden` and commit what changed.

mod common;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use common::*;
use pocket_types::block::Header;
use pocket_types::bls::{BlsPublicKey, BlsSignature, ProofOfPossession, ProvenKey};
use pocket_types::candidacy::VrfMisuse;
use pocket_types::codec::{self, Bytes, List, SortedSet, Text};
use pocket_types::evidence::Evidence;
use pocket_types::finality::TrustedTip;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, RelayDigest};
use pocket_types::light::{Checkpoint, Divergence, LightBlock, Trusted};
use pocket_types::list;
use pocket_types::merkle::{self, EMPTY, Proof, ProvenValue, Terminal};
use pocket_types::number::{Amount, Epoch, Height, Ppm, Timestamp};
use pocket_types::relay::{PayloadKind, RelayResponse};
use pocket_types::scheme::Scheme;
use pocket_types::session::{Index, IndexHead, SESSIONS, Seat, SessionClock, SessionProof};
use pocket_types::state::Collection;
use pocket_types::sum::{SumNode, SumProof};
use pocket_types::transaction::{ActorKind, Message, Role};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[test]
fn encodings_are_as_pinned() {
    let mut golden = Golden { names: BTreeSet::new(), rewrite: env::var("POCKET_GOLDEN").is_ok() };
    blocks(&mut golden);
    votes_and_proofs(&mut golden);
    transactions(&mut golden);
    relays_and_sessions(&mut golden);
    state_proofs(&mut golden);
    light(&mut golden);
    golden.has_no_leftovers();
}

fn blocks(golden: &mut Golden) {
    let (electorate, _) = electorate(&[1; 4]);
    let block = block();
    golden.pin("header_first", &header(&electorate));
    golden.pin("header", &block.header);
    golden.pin("block", &block);
    golden.pin("evidence_equivocation", &equivocation());
    golden.pin("offence", &equivocation().offence());
    golden.pin("candidacy", &candidacy());
    let misuse = Evidence::VrfMisuse(VrfMisuse(candidacy()));
    golden.pin("evidence_vrf_misuse", &misuse);
    golden.pin("offence_vrf_misuse", &misuse.offence());
}

fn votes_and_proofs(golden: &mut Golden) {
    let (electorate, secrets) = electorate(&[5, 1, 1, 300]);
    let phases = [
        ("vote_new_round", Phase::NewRound),
        ("vote_propose", Phase::Propose),
        ("vote_prepare", Phase::Prepare),
        ("vote_pre_commit", Phase::PreCommit),
        ("vote_commit", Phase::Commit),
    ];
    for (name, phase) in phases {
        let block = match phase {
            Phase::NewRound => BlockId::default(),
            _ => BlockId(Hash([0xb1; 32])),
        };
        golden.pin(name, &Vote::sign(vote_data(&electorate, phase, block), &secrets[0]));
    }
    let data = vote_data(&electorate, Phase::Prepare, BlockId(Hash([0xb1; 32])));
    golden.pin("certificate", &certificate(data, &electorate, &secrets, &[0, 3]));
    golden.pin("validator_set", electorate.set());
    bls(golden, electorate.set(), data);
    let proof = decided(header(&electorate), &electorate, &secrets, &[0, 3]);
    golden.pin("finality_proof", &proof);
    golden.pin("trusted_tip", &TrustedTip::of(proof.header().unwrap()));
}

/// What signing by BLS changes, with bytes that are no points.
fn bls(golden: &mut Golden, set: &ValidatorSet, data: VoteData) {
    let mut members = set.members.to_vec();
    members.iter_mut().zip(1..).for_each(|(m, n)| m.bls_key = Some(BlsPublicKey([n; 48])));
    let set = ValidatorSet::new(set.epoch, members).unwrap().signing_by(Scheme::BlsAggregate);
    golden.pin("validator_set_bls", &set);
    let (data, signature) = (VoteData { validators: set.hash(), ..data }, BlsSignature([0xb5; 96]));
    let signer = set.members[0].public_key;
    golden.pin("vote_bls", &Vote { data, signer, signature: signature.into() });
    let certificate = Certificate {
        data,
        scheme: Scheme::BlsAggregate,
        signers: Bytes::new(vec![0b1001]).unwrap(),
        highs: List::empty(),
        signatures: Bytes::new(signature.0.to_vec()).unwrap(),
    };
    golden.pin("certificate_bls", &certificate);
}

fn transactions(golden: &mut Golden) {
    let chains = || SortedSet::new(vec!["0021".parse().unwrap(), "0001".parse().unwrap()]).unwrap();
    let zone = || "EU01".parse().unwrap();
    let service_url = || Text::new("https://servicer.example:8443/é").unwrap();
    let roles = [
        ("stake_application", Role::Application { chains: chains(), zone: zone() }),
        (
            "stake_servicer",
            Role::Servicer { chains: chains(), zone: zone(), service_url: service_url() },
        ),
        ("stake_fisherman", Role::Fisherman { zone: zone(), service_url: service_url() }),
        (
            "stake_validator",
            Role::Validator {
                vrf_key: vrf_secret(4).public_key(),
                bls_key: None,
                service_url: service_url(),
            },
        ),
        (
            "stake_validator_bls",
            Role::Validator {
                vrf_key: vrf_secret(4).public_key(),
                bls_key: Some(ProvenKey {
                    key: BlsPublicKey([0xb1; 48]),
                    proof: ProofOfPossession([0xb2; 96]),
                }),
                service_url: service_url(),
            },
        ),
        ("stake_gateway", Role::Gateway { service_url: service_url() }),
    ];
    for (name, role) in roles {
        let stake = Message::Stake {
            operator: secret(0x41).public_key(),
            output: address(0x42),
            amount: Amount::pokt(15_000),
            role,
        };
        golden.pin(name, &transaction(stake));
    }
    for kind in ActorKind::ALL {
        let unstake = Message::Unstake { kind, actor: address(0x41) };
        golden.pin(&format!("unstake_{kind:?}").to_lowercase(), &transaction(unstake));
    }
    let top = SumNode::leaf(RelayDigest(Hash([1; 32])), 1);
    let messages = [
        ("send", Message::Send { to: address(5), amount: Amount(u128::MAX) }),
        ("delegate", Message::Delegate { gateway: secret(0x43).public_key() }),
        ("undelegate", Message::Undelegate { gateway: secret(0x43).public_key() }),
        ("claim", Message::Claim { session: session(), root: top.root(1) }),
        (
            "prove_claim",
            Message::ProveClaim {
                relay: Box::new(relay_request(PayloadKind::JsonRpc).proof),
                path: sum_proof(),
            },
        ),
    ];
    for (name, message) in messages {
        golden.pin(name, &transaction(message));
    }
}

fn relays_and_sessions(golden: &mut Golden) {
    golden.pin("relay_request_json_rpc", &relay_request(PayloadKind::JsonRpc));
    golden.pin("relay_request_rest", &relay_request(PayloadKind::Rest));
    golden.pin("relay_request_raw", &relay_request(PayloadKind::Raw));
    let request = relay_request(PayloadKind::JsonRpc).proof.head.digest();
    let answer = Bytes::new(*b"{}").unwrap();
    let time = Timestamp(1_700_000_000_123);
    golden.pin("relay_response", &RelayResponse::sign(request, answer, time, &secret(0x30)));
    golden.pin("session_clock", &SessionClock { number: 3, start: Height(7), blocks: 5 });
    golden.pin("index_head", &IndexHead { length: 1_000, draw: 24 });
    for (name, seat) in [("servicers", Seat::Servicer), ("fishermen", Seat::Fisherman)] {
        golden.pin(&format!("index_{name}"), &Index::of(&session(), seat));
        let values = List::new(vec![proven_value(), absent_value()]).unwrap();
        let proof = SessionProof { session: session(), seat, values };
        golden.pin(&format!("session_proof_{name}"), &proof);
    }
    golden.pin("sum_root", &SumNode { hash: Hash([7; 32]), sum: 12 }.root(3));
    golden.pin("sum_proof", &sum_proof());
}

fn state_proofs(golden: &mut Golden) {
    let siblings = || List::new(vec![Hash([1; 32]), EMPTY]).unwrap();
    golden.pin("proof_empty", &Proof { siblings: siblings(), terminal: Terminal::Empty });
    let terminal = Terminal::Leaf { path: Hash([2; 32]), value_hash: Hash([3; 32]) };
    golden.pin("proof_leaf", &Proof { siblings: siblings(), terminal });
    golden.pin("proven_value", &proven_value());
    golden.pin("proven_value_absent", &absent_value());
    let elements = (0..5).map(|n| Hash([n; 32]));
    golden.pin("list_proof", &list::prove(elements, 3).unwrap());
    golden.pin("collection", &Collection::new("accounts"));
}

fn light(golden: &mut Golden) {
    let (electorate, secrets) = electorate(&[1; 4]);
    let (next, _) = electorate_of(Epoch(4), 11, &[2, 3]);
    let decided_block = |state: u8, signers: &[usize]| {
        let header = Header {
            state_root: Hash([state; 32]),
            next_validators: next.hash(),
            ..header(&electorate)
        };
        let proof = decided(header, &electorate, &secrets, signers);
        LightBlock::new(proof, electorate.set().clone(), next.set().clone())
    };
    let block = decided_block(1, &[0, 1, 3]);
    golden.pin("light_block", &block);
    let unchanged = decided(header(&electorate), &electorate, &secrets, &[0, 1, 2]);
    let set = || electorate.set().clone();
    golden.pin("light_block_same_set", &LightBlock::new(unchanged, set(), set()));
    let header = block.header().unwrap();
    let checkpoint = Checkpoint { chain: CHAIN, height: header.height, block: header.id() };
    golden.pin("light_checkpoint", &checkpoint);
    let tip = TrustedTip {
        chain: CHAIN,
        height: Height(3),
        block: BlockId(Hash([0xb1; 32])),
        time: Timestamp(1_600_000_000_000),
        next_validators: electorate.hash(),
    };
    let trusted = Trusted::new(tip, electorate.set().clone()).unwrap();
    let sides = (vec![block], vec![decided_block(2, &[1, 2, 3])]);
    let fork = Divergence::between(&trusted, sides.0, sides.1).unwrap();
    assert!(fork.verify(|_| Some(tip)).is_ok());
    golden.pin("light_divergence", &fork);
}

/// A collection of one value, in a state of one collection.
fn proven_value() -> ProvenValue {
    let leaf = |key: &[u8], value: &[u8]| {
        let terminal =
            Terminal::Leaf { path: merkle::path(key), value_hash: merkle::value_hash(value) };
        Proof { siblings: List::empty(), terminal }
    };
    let value = codec::encode(&SessionClock { number: 3, start: Height(7), blocks: 5 });
    let collection_root = merkle::leaf(&merkle::path(b"clock"), &merkle::value_hash(&value));
    ProvenValue {
        collection: SESSIONS,
        key: Bytes::new(*b"clock").unwrap(),
        in_collection: Some(leaf(b"clock", &value)),
        value: Some(Bytes::new(value).unwrap()),
        collection_root,
        in_state: leaf(b"sessions", &collection_root.0),
    }
}

/// A value of a collection without content.
fn absent_value() -> ProvenValue {
    ProvenValue {
        collection: Collection::new("void"),
        key: Bytes::new(*b"key").unwrap(),
        value: None,
        collection_root: EMPTY,
        in_collection: None,
        in_state: Proof { siblings: List::empty(), terminal: Terminal::Empty },
    }
}

fn sum_proof() -> SumProof {
    let node = |n| SumNode { hash: Hash([n; 32]), sum: u64::from(n) };
    SumProof { index: 2, siblings: List::new(vec![node(1), node(2)]).unwrap() }
}

struct Golden {
    names: BTreeSet<PathBuf>,
    rewrite: bool,
}

impl Golden {
    fn pin<T>(&mut self, name: &str, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let encoded = codec::encode(value);
        self.compare(&format!("{name}.hex"), &hex_lines(&encoded));
        assert_eq!(codec::decode_within::<T>(&encoded, 1 << 20).as_ref(), Ok(value), "{name}");
        assert_eq!(codec::encoded_len(value), encoded.len(), "{name}");

        let json = serde_json::to_string_pretty(value).unwrap() + "\n";
        self.compare(&format!("{name}.json"), &json);
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), *value, "{name}");
    }

    fn compare(&mut self, file: &str, content: &str) {
        let path = folder().join(file);
        if self.rewrite {
            fs::write(&path, content).unwrap();
        }
        let pinned = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(
            content, pinned,
            "{file} is pinned; its module says how to change it on purpose"
        );
        assert!(self.names.insert(path), "{file} is pinned twice");
    }

    fn has_no_leftovers(&self) {
        let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(files.collect::<BTreeSet<_>>(), self.names);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text + "\n"
    })
}

/// The format by hand, as an implementation in another language would write it.
#[test]
fn a_certificate_byte_by_byte() {
    let (electorate, secrets) = electorate(&[5, 1, 1, 300]);
    let data = vote_data(&electorate, Phase::Prepare, BlockId(Hash([0xb1; 32])));
    let [zero, three] = [0, 3].map(|signer: usize| secrets[signer].sign(&data.digest()).0);
    let expected = [
        // Tags are u32, numbers fixed-width, both little-endian; arrays have no length.
        &[0, 0, 0, 0][..],                 // protocol: HotPokt
        &[0xc1; 32],                       // chain
        &[3, 0, 0, 0, 0, 0, 0, 0],         // epoch
        &electorate.hash().0,              // validators
        &[7, 0, 0, 0, 0, 0, 0, 0],         // height
        &[2, 0, 0, 0, 0, 0, 0, 0],         // round
        &[2, 0, 0, 0],                     // phase: Prepare
        &[0xb1; 32],                       // block
        &[0],                              // high: none
        &[0, 0, 0, 0],                     // scheme: Ed25519List
        &[1, 0, 0, 0, 0, 0, 0, 0, 0b1001], // signers: length, bits
        &[0; 8],                           // highs: no round
        &[128, 0, 0, 0, 0, 0, 0, 0],       // signatures: length
        &zero,
        &three,
    ];
    let certificate = certificate(data, &electorate, &secrets, &[0, 3]);
    assert_eq!(codec::encode(&certificate), expected.concat());
}

#[test]
fn a_transaction_byte_by_byte() {
    let chains = SortedSet::new(vec!["0021".parse().unwrap(), "0001".parse().unwrap()]).unwrap();
    let role = Role::Application { chains, zone: "EU01".parse().unwrap() };
    let stake = transaction(Message::Stake {
        operator: secret(0x41).public_key(),
        output: address(0x42),
        amount: Amount(258),
        role,
    });
    let expected = [
        &[0xc1; 32][..],                                         // chain
        &[8, 7, 6, 5, 4, 3, 2, 1],                               // nonce
        &[99, 0, 0, 0, 0, 0, 0, 0],                              // expiry
        &[0x10, 0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // fee, 128 bits
        &secret(0x40).public_key().0,                            // signer
        &[1, 0, 0, 0],                                           // message: Stake
        &secret(0x41).public_key().0,                            // operator
        &address(0x42).0,                                        // output
        &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],       // amount
        &[0, 0, 0, 0],                                           // role: Application
        &[2, 0, 0, 0, 0, 0, 0, 0],                               // chains: length, sorted
        b"0001",
        b"0021",
        b"EU01", // zone
        &stake.signature.0,
    ];
    assert_eq!(codec::encode(&stake), expected.concat());
    let option = [codec::encode(&None::<u8>), codec::encode(&Some(7u8))];
    assert_eq!(option, [vec![0], vec![1, 7]]);
    let text: Text<9> = Text::new("é").unwrap();
    assert_eq!(codec::encode(&text), [2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9]);
}

#[test]
fn json_writes_ids_as_hex_and_amounts_as_decimal_strings() {
    assert_eq!(json(&Amount(u128::MAX)), "\"340282366920938463463374607431768211455\"");
    assert_eq!(json(&Amount::ZERO), "\"0\"");
    assert_eq!(json(&Height(7)), "7");
    assert_eq!(json(&Ppm(5)), "5");
    assert_eq!(json(&BlockId(Hash([0xab; 32]))), format!("\"{}\"", "ab".repeat(32)));
    assert_eq!(json(&Bytes::<4>::new(vec![0, 0xff]).unwrap()), "\"00ff\"");
    assert_eq!(json(&session().chain), "\"0001\"");
}

#[test]
fn json_has_one_spelling_for_each_id_and_amount() {
    let amount = |text: &str| serde_json::from_str::<Amount>(text).is_ok();
    assert!(amount("\"0\"") && amount("\"17\""));
    let refused = ["17", "\"017\"", "\"+17\"", "\"-0\"", "\"\"", "\"1e3\"", "\" 17\"", "\"1_0\""];
    assert!(refused.into_iter().all(|text| !amount(text)));
    assert!(!amount("\"340282366920938463463374607431768211456\""));

    let hash = |digits: String| serde_json::from_str::<Hash>(&format!("{digits:?}")).is_ok();
    assert!(hash("ab".repeat(32)));
    assert!(!hash("AB".repeat(32)) && !hash("ab".repeat(31)) && !hash("ab".repeat(33)));
    assert!(!hash(format!("0x{}", "ab".repeat(31))) && !hash("a".repeat(63)));
    let bytes = |digits: &str| serde_json::from_str::<Bytes<2>>(&format!("{digits:?}")).is_ok();
    assert!(bytes("") && bytes("00ff") && !bytes("0") && !bytes("000000") && !bytes("00FF"));
    let chain = |text: &str| serde_json::from_str::<pocket_types::id::RelayChain>(text).is_ok();
    assert!(chain("\"00A1\"") && !chain("\"00a1\"") && !chain("\"00A\"") && !chain("\"00A1 \""));
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
