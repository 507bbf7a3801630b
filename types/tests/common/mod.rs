//! Fixed values to test with: the same bytes in every run, with signatures that hold.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod tree;

use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::candidacy::{Candidacy, Election, Seed};
use pocket_types::codec::{Bytes, List};
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{Address, BlockId, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::number::{Amount, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::relay::{PayloadKind, RelayRequest};
use pocket_types::session::SessionHeader;
use pocket_types::sortition::CommitteeSize;
use pocket_types::transaction::{Message, Transaction, TransactionBody};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::VrfSecret;

pub const CHAIN: ChainId = ChainId(Hash([0xc1; 32]));

pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

pub fn vrf_secret(n: u8) -> VrfSecret {
    VrfSecret::from_seed([n; 32])
}

pub fn address(n: u8) -> Address {
    Address::of(&secret(n).public_key())
}

/// A set with these weights, and its members' keys, both by position.
pub fn electorate(weights: &[u64]) -> (Electorate, Vec<SecretKey>) {
    electorate_of(Epoch(3), 1, weights)
}

/// As [`electorate`], of some epoch and with keys from some seed on.
pub fn electorate_of(epoch: Epoch, seed: u8, weights: &[u64]) -> (Electorate, Vec<SecretKey>) {
    let mut secrets: Vec<_> = (seed..).take(weights.len()).map(secret).collect();
    secrets.sort_by_key(SecretKey::public_key);
    let members = secrets.iter().zip(weights).map(|(secret, &weight)| Validator {
        public_key: secret.public_key(),
        vrf_key: vrf_secret(1).public_key(),
        weight: Weight(weight),
        bls_key: None,
    });
    let set = ValidatorSet::new(epoch, members.collect()).unwrap();
    (Electorate::new(set).unwrap(), secrets)
}

/// What a set's members sign about a block.
pub fn vote_data(electorate: &Electorate, phase: Phase, block: BlockId) -> VoteData {
    VoteData {
        protocol: Protocol::HotPokt,
        chain: CHAIN,
        epoch: electorate.epoch(),
        validators: electorate.hash(),
        height: Height(7),
        round: Round(2),
        phase,
        block,
        high: None,
    }
}

/// The votes of these members, by position.
pub fn votes(data: VoteData, secrets: &[SecretKey], signers: &[usize]) -> Vec<Vote> {
    signers.iter().map(|&signer| Vote::sign(data, &secrets[signer])).collect()
}

/// A certificate of these members, whatever they weigh.
pub fn certificate(
    data: VoteData,
    electorate: &Electorate,
    secrets: &[SecretKey],
    signers: &[usize],
) -> Certificate {
    let mut bitmap = vec![0; electorate.len().div_ceil(8)];
    let mut signatures = Vec::new();
    for &signer in signers {
        bitmap[signer / 8] |= 1 << (signer % 8);
        signatures.extend(secrets[signer].sign(&data.digest()).0);
    }
    Certificate {
        data,
        scheme: pocket_types::scheme::Scheme::Ed25519List,
        signers: Bytes::new(bitmap).unwrap(),
        highs: List::empty(),
        signatures: Bytes::new(signatures).unwrap(),
    }
}

/// A header of height 7 of the set's epoch, empty but for its place in the chain.
pub fn header(electorate: &Electorate) -> Header {
    let previous = Hash([0x0b; 32]);
    let (randomness, randomness_proof) = beacon::extend(previous, Height(7), &vrf_secret(1));
    Header {
        version: VERSION,
        chain: CHAIN,
        height: Height(7),
        epoch: electorate.epoch(),
        parent: BlockId(Hash([0xaa; 32])),
        parent_certificate: None,
        time: Timestamp(1_700_000_000_000),
        proposer: electorate.member(0).unwrap().public_key,
        state_root: Hash([0x57; 32]),
        transactions_root: Block::transactions_root(&[]),
        evidence_root: Block::evidence_root(&[]),
        validators: electorate.hash(),
        next_validators: electorate.hash(),
        randomness,
        randomness_proof,
    }
}

/// A decided header.
pub fn decided(
    header: Header,
    electorate: &Electorate,
    secrets: &[SecretKey],
    signers: &[usize],
) -> FinalityProof {
    let data = VoteData {
        height: header.height,
        chain: header.chain,
        ..vote_data(electorate, Phase::Commit, header.id())
    };
    FinalityProof::commit(header, certificate(data, electorate, secrets, signers))
}

pub fn session() -> SessionHeader {
    SessionHeader {
        network: CHAIN,
        start: Height(7),
        chain: "0001".parse().unwrap(),
        zone: "EU01".parse().unwrap(),
        application: address(0x20),
    }
}

pub fn relay_request(kind: PayloadKind) -> RelayRequest {
    let payload = Bytes::new(*b"{\"jsonrpc\":\"2.0\"}").unwrap();
    RelayRequest::sign(session(), address(0x30), 9, kind, payload, &secret(0x20))
}

pub fn transaction(message: Message) -> Transaction {
    let key = secret(0x40);
    let body = TransactionBody {
        chain: CHAIN,
        nonce: 0x0102_0304_0506_0708,
        expiry: Height(99),
        fee: Amount(10_000),
        signer: key.public_key(),
        message,
    };
    body.sign(&key)
}

pub fn equivocation() -> Evidence {
    let (electorate, secrets) = electorate(&[1; 4]);
    let vote = |block| {
        let data = vote_data(&electorate, Phase::Prepare, BlockId(Hash([block; 32])));
        Vote::sign(data, &secrets[2])
    };
    Evidence::equivocation(vote(9), vote(4))
}

/// The heaviest member runs for a round.
pub fn candidacy() -> Candidacy {
    let (electorate, secrets) = electorate(&[5, 1, 1, 300]);
    let election = Election {
        chain: CHAIN,
        seed: Seed::Beacon(Hash([0xbe; 32])),
        committee: CommitteeSize::default(),
        electorate: &electorate,
    };
    election.run(Height(7), Round(2), &secrets[3], &vrf_secret(1)).unwrap()
}

pub fn block() -> Block {
    let (electorate, secrets) = electorate(&[1; 4]);
    let transactions = vec![transaction(Message::Send { to: address(5), amount: Amount::pokt(1) })];
    let evidence = vec![equivocation()];
    let parent = vote_data(&electorate, Phase::Commit, BlockId(Hash([0xaa; 32])));
    let header = Header {
        parent_certificate: Some(certificate(parent, &electorate, &secrets, &[0, 1, 3])),
        transactions_root: Block::transactions_root(&transactions),
        evidence_root: Block::evidence_root(&evidence),
        ..header(&electorate)
    };
    Block {
        header,
        transactions: List::new(transactions).unwrap(),
        evidence: List::new(evidence).unwrap(),
    }
}
