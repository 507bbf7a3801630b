//! Every wire type reads back what it wrote, and accepts one spelling of each value only.

mod common;

use std::fmt::Debug;

use common::*;
use pocket_types::block::{Block, Header};
use pocket_types::bls::{BlsPublicKey, BlsSignature, ProofOfPossession, ProvenKey};
use pocket_types::candidacy::{Candidacy, Claim, Seed, VrfMisuse};
use pocket_types::codec::{Bytes, DecodeError, List, SortedSet, Text, Wire, decode, encode};
use pocket_types::evidence::Evidence;
use pocket_types::finality::{FinalityLink, FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::{Address, BlockId, ChainId, GeoZone, RelayChain, RelayDigest};
use pocket_types::key::{PublicKey, Signature};
use pocket_types::list::ListProof;
use pocket_types::merkle::{Proof, ProvenValue, Terminal};
use pocket_types::number::{Amount, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::relay::{PayloadKind, RelayHead, RelayProof, RelayRequest, RelayResponse};
use pocket_types::scheme::{Scheme, VoteSignature};
use pocket_types::session::{IndexHead, SESSIONS, Seat, SessionClock, SessionHeader, SessionProof};
use pocket_types::sortition::{CommitteeSize, Odds, Priority};
use pocket_types::sum::{SumNode, SumProof, SumRoot};
use pocket_types::transaction::{ActorKind, Message, Role, Transaction, TransactionBody};
use pocket_types::validator::{Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::{VrfProof, VrfPublicKey};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Checks one random value of a type, and what becomes of its bytes when they are damaged.
fn check<T: Wire + PartialEq + Debug>(draw: &mut Draw, value: &T) -> Result<(), TestCaseError> {
    let bytes = encode(value);
    prop_assert!(bytes.len() <= T::MAX_BYTES, "{} bytes", bytes.len());
    let read = decode::<T>(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));

    let longer = [&bytes[..], &[0]].concat();
    let refused = match longer.len() > T::MAX_BYTES {
        true => DecodeError::TooLong { got: longer.len(), max: T::MAX_BYTES },
        false => DecodeError::Trailing(1),
    };
    prop_assert_eq!(decode::<T>(&longer), Err(refused));
    let cut = draw.below(bytes.len() as u64) as usize;
    prop_assert!(decode::<T>(&bytes[..cut]).is_err(), "accepted when cut to {}", cut);
    for _ in 0..40 {
        one_spelling::<T>(&draw.damage(&bytes))?;
    }
    one_spelling::<T>(&draw.bytes(300))
}

fn one_spelling<T: Wire>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decode::<T>(bytes) {
        prop_assert_eq!(&encode(&value)[..], bytes);
    }
    Ok(())
}

macro_rules! every_type_has_one_spelling {
    ($($test:ident: $draw:ident)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(256))]
            $(#[test]
            fn $test(seed: [u8; 32]) {
                let mut draw = Draw::new(seed);
                let value = draw.$draw();
                check(&mut draw, &value)?;
            })*
        }
    };
}

every_type_has_one_spelling! {
    headers: header
    blocks: block
    transactions: transaction
    votes: vote
    certificates: certificate
    evidence: evidence
    candidacies: candidacy
    vrf_misuses: vrf_misuse
    finality_proofs: finality_proof
    trusted_tips: trusted_tip
    validator_sets: validator_set
    relay_requests: relay_request
    relay_responses: relay_response
    session_clocks: session_clock
    index_heads: index_head
    session_proofs: session_proof
    proofs: proof
    proven_values: proven_value
    sum_proofs: sum_proof
    list_proofs: list_proof
}

proptest! {
    /// Small alphabets hit tags, lengths and options far more often than uniform bytes.
    #[test]
    fn bytes_from_nowhere_have_one_spelling(
        bytes in prop_oneof![
            proptest::collection::vec(0u8..3, 0..700),
            proptest::collection::vec(any::<u8>(), 0..700),
        ]
    ) {
        one_spelling::<Header>(&bytes)?;
        one_spelling::<Block>(&bytes)?;
        one_spelling::<Transaction>(&bytes)?;
        one_spelling::<Vote>(&bytes)?;
        one_spelling::<Certificate>(&bytes)?;
        one_spelling::<Evidence>(&bytes)?;
        one_spelling::<Candidacy>(&bytes)?;
        one_spelling::<VrfMisuse>(&bytes)?;
        one_spelling::<FinalityProof>(&bytes)?;
        one_spelling::<TrustedTip>(&bytes)?;
        one_spelling::<ValidatorSet>(&bytes)?;
        one_spelling::<RelayRequest>(&bytes)?;
        one_spelling::<RelayResponse>(&bytes)?;
        one_spelling::<SessionClock>(&bytes)?;
        one_spelling::<IndexHead>(&bytes)?;
        one_spelling::<SessionProof>(&bytes)?;
        one_spelling::<Proof>(&bytes)?;
        one_spelling::<ProvenValue>(&bytes)?;
        one_spelling::<SumProof>(&bytes)?;
        one_spelling::<ListProof>(&bytes)?;
    }
}

#[test]
fn an_input_beyond_the_bound_is_not_looked_at() {
    let long = vec![0; Vote::MAX_BYTES + 1];
    let refused = DecodeError::TooLong { got: long.len(), max: Vote::MAX_BYTES };
    assert_eq!(decode::<Vote>(&long), Err(refused));
    let nobodys = Vote::MAX_BYTES - (VoteSignature::MAX_BYTES - 68) - 8;
    assert!(decode::<Vote>(&long[..nobodys]).is_ok(), "zeros are a vote of nobody");
}

#[test]
fn unknown_tags_and_crooked_values_are_malformed() {
    let transaction = encode(&transaction(Message::Delegate { gateway: PublicKey([9; 32]) }));
    let with = |position: usize, byte: u8| {
        let mut bytes = transaction.clone();
        bytes[position] = byte;
        decode::<Transaction>(&bytes)
    };
    // Chain, nonce, expiry, fee, signer; then the message's tag.
    let tag = 32 + 8 + 8 + 16 + 32;
    assert!(with(tag, 3).is_ok() && with(tag, 4).is_ok());
    assert!(matches!(with(tag, 200), Err(DecodeError::Malformed(_))));
    assert!(matches!(with(tag + 3, 1), Err(DecodeError::Malformed(_))));

    let first = header(&electorate(&[1]).0);
    let mut bytes = encode(&first);
    let option = 4 + 32 + 8 + 8 + 32;
    assert_eq!(bytes[option], 0);
    bytes[option] = 2;
    assert!(matches!(decode::<Header>(&bytes), Err(DecodeError::Malformed(_))));
}

/// Draws random values; the seed replays them.
struct Draw(TestRng);

impl Draw {
    fn new(seed: [u8; 32]) -> Self {
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.u64().checked_rem(bound).unwrap_or_default()
    }

    fn u64(&mut self) -> u64 {
        // Boundaries come up often.
        match self.0.next_u32() % 6 {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(self.0.next_u32() % 8),
            _ => self.0.next_u64(),
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.0.next_u32() as u8).collect()
    }

    fn list<T, const MAX: usize>(
        &mut self,
        most: u64,
        mut item: impl FnMut(&mut Self) -> T,
    ) -> List<T, MAX> {
        let length = self.below(most + 1);
        List::new((0..length).map(|_| item(self)).collect()).unwrap()
    }

    /// One to three small damages: flipped and replaced bytes, swapped, doubled and removed spans.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() as u64) as usize;
            let span = at..(at + 1 + self.below(8) as usize).min(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => bytes.push(0),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(4) as u8,
                2 => bytes[at] = self.0.next_u32() as u8,
                3 => {
                    let other = self.below(bytes.len() as u64) as usize;
                    bytes.swap(at, other);
                }
                4 => {
                    let copy = bytes[span.clone()].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => drop(bytes.drain(span)),
            }
        }
        bytes
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    fn hash(&mut self) -> Hash {
        Hash(self.array())
    }

    fn key(&mut self) -> PublicKey {
        PublicKey(self.array())
    }

    fn amount(&mut self) -> Amount {
        Amount(u128::from(self.u64()) << 64 | u128::from(self.u64()))
    }

    fn address(&mut self) -> Address {
        Address(self.array())
    }

    fn zone(&mut self) -> GeoZone {
        self.pick(&["EU01", "US00", "ZZZZ"]).parse().unwrap()
    }

    fn text<const MAX: usize>(&mut self) -> Text<MAX> {
        Text::new(self.pick(&["", "https://a.example", "żółw"])).unwrap()
    }

    fn vote_data(&mut self) -> VoteData {
        use Phase::*;
        VoteData {
            protocol: self.pick(&[Protocol::HotPokt, Protocol::Jolteon, Protocol::Simplex]),
            chain: ChainId(self.hash()),
            epoch: Epoch(self.u64()),
            validators: self.hash(),
            height: Height(self.u64()),
            round: Round(self.u64()),
            phase: self.pick(&[NewRound, Propose, Prepare, PreCommit, Commit]),
            block: BlockId(self.hash()),
            high: self.high(),
        }
    }

    fn high(&mut self) -> Option<Round> {
        (self.below(2) == 0).then(|| Round(self.u64()))
    }

    fn vote(&mut self) -> Vote {
        Vote {
            data: self.vote_data(),
            signer: self.key(),
            signature: match self.below(2) {
                0 => Signature(self.array()).into(),
                _ => BlsSignature(self.array()).into(),
            },
        }
    }

    fn certificate(&mut self) -> Certificate {
        Certificate {
            data: self.vote_data(),
            scheme: self.pick(&[Scheme::Ed25519List, Scheme::BlsAggregate]),
            signers: Bytes::new(self.bytes(20)).unwrap(),
            highs: self.list(3, Self::high),
            signatures: Bytes::new(self.bytes(300)).unwrap(),
        }
    }

    fn header(&mut self) -> Header {
        Header {
            version: self.u64() as u32,
            chain: ChainId(self.hash()),
            height: Height(self.u64()),
            epoch: Epoch(self.u64()),
            parent: BlockId(self.hash()),
            parent_certificate: (self.below(2) == 0).then(|| self.certificate()),
            time: Timestamp(self.u64()),
            proposer: self.key(),
            state_root: self.hash(),
            transactions_root: self.hash(),
            evidence_root: self.hash(),
            validators: self.hash(),
            next_validators: self.hash(),
            randomness: self.hash(),
            randomness_proof: VrfProof(self.array()),
        }
    }

    fn evidence(&mut self) -> Evidence {
        match self.below(2) {
            0 => Evidence::Equivocation { first: self.vote(), second: self.vote() },
            _ => Evidence::VrfMisuse(VrfMisuse(self.candidacy())),
        }
    }

    fn candidacy(&mut self) -> Candidacy {
        let seed = self.hash();
        let committee = CommitteeSize::new(1 + self.below(1_024) as u16).unwrap();
        let claim = Claim {
            chain: ChainId(self.hash()),
            epoch: Epoch(self.u64()),
            validators: self.hash(),
            height: Height(self.u64()),
            round: Round(self.u64()),
            seed: self.pick(&[Seed::Beacon(seed), Seed::LastLeaders(seed)]),
            candidate: self.key(),
            vrf_key: VrfPublicKey(self.array()),
            odds: Odds { weight: Weight(self.u64()), total: Weight(self.u64()), committee },
            proof: VrfProof(self.array()),
            selected: self.u64() as u32,
            priority: Priority(self.hash()),
        };
        Candidacy { claim, signature: Signature(self.array()) }
    }

    fn vrf_misuse(&mut self) -> VrfMisuse {
        VrfMisuse(self.candidacy())
    }

    fn block(&mut self) -> Block {
        Block {
            header: self.header(),
            transactions: self.list(4, Self::transaction),
            evidence: self.list(2, Self::evidence),
        }
    }

    fn finality_proof(&mut self) -> FinalityProof {
        let link = |draw: &mut Self| FinalityLink {
            header: draw.header(),
            certificate: draw.certificate(),
        };
        FinalityProof { links: self.list(3, link) }
    }

    fn trusted_tip(&mut self) -> TrustedTip {
        TrustedTip::of(&self.header())
    }

    fn validator_set(&mut self) -> ValidatorSet {
        let member = |draw: &mut Self| Validator {
            public_key: draw.key(),
            vrf_key: VrfPublicKey(draw.array()),
            weight: Weight(draw.u64()),
            bls_key: (draw.below(2) == 0).then(|| BlsPublicKey(draw.array())),
        };
        ValidatorSet {
            epoch: Epoch(self.u64()),
            scheme: self.pick(&[Scheme::Ed25519List, Scheme::BlsAggregate]),
            members: self.list(9, member),
        }
    }

    fn session_header(&mut self) -> SessionHeader {
        SessionHeader {
            network: ChainId(self.hash()),
            start: Height(self.u64()),
            chain: self.pick(&["0001", "A9ZZ"]).parse().unwrap(),
            zone: self.zone(),
            application: self.address(),
        }
    }

    fn chains(&mut self) -> SortedSet<RelayChain, 15> {
        let mut chains = vec!["0001", "0002", "ZZZZ"];
        chains.truncate(self.below(4) as usize);
        SortedSet::new(chains.into_iter().map(|chain| chain.parse().unwrap()).collect()).unwrap()
    }

    fn role(&mut self) -> Role {
        let (chains, zone, service_url) = (self.chains(), self.zone(), self.text());
        match self.below(5) {
            0 => Role::Application { chains, zone },
            1 => Role::Servicer { chains, zone, service_url },
            2 => Role::Fisherman { zone, service_url },
            3 => {
                let vrf_key = VrfPublicKey(self.array());
                let (key, proof) = (BlsPublicKey(self.array()), ProofOfPossession(self.array()));
                let bls_key = (self.below(2) == 0).then_some(ProvenKey { key, proof });
                Role::Validator { vrf_key, bls_key, service_url }
            }
            _ => Role::Gateway { service_url },
        }
    }

    fn message(&mut self) -> Message {
        match self.below(7) {
            0 => Message::Send { to: self.address(), amount: self.amount() },
            1 => Message::Stake {
                operator: self.key(),
                output: self.address(),
                amount: self.amount(),
                role: self.role(),
            },
            2 => Message::Unstake { kind: self.pick(&ActorKind::ALL), actor: self.address() },
            3 => Message::Delegate { gateway: self.key() },
            4 => Message::Undelegate { gateway: self.key() },
            5 => Message::Claim {
                session: self.session_header(),
                root: SumRoot { hash: self.hash(), sum: self.u64(), count: self.u64() },
            },
            _ => Message::ProveClaim {
                relay: Box::new(self.relay_request().proof),
                path: self.sum_proof(),
            },
        }
    }

    fn transaction(&mut self) -> Transaction {
        let body = TransactionBody {
            chain: ChainId(self.hash()),
            nonce: self.u64(),
            expiry: Height(self.u64()),
            fee: self.amount(),
            signer: self.key(),
            message: self.message(),
        };
        Transaction { body, signature: Signature(self.array()) }
    }

    fn relay_request(&mut self) -> RelayRequest {
        use PayloadKind::*;
        let head = RelayHead {
            session: self.session_header(),
            servicer: self.address(),
            nonce: self.u64(),
            kind: self.pick(&[JsonRpc, Rest, Raw]),
            payload: self.hash(),
        };
        let proof = RelayProof { head, signer: self.key(), signature: Signature(self.array()) };
        RelayRequest { proof, payload: Bytes::new(self.bytes(100)).unwrap() }
    }

    fn relay_response(&mut self) -> RelayResponse {
        RelayResponse {
            request: RelayDigest(self.hash()),
            payload: Bytes::new(self.bytes(100)).unwrap(),
            time: Timestamp(self.u64()),
            servicer: self.key(),
            signature: Signature(self.array()),
        }
    }

    fn session_clock(&mut self) -> SessionClock {
        SessionClock { number: self.u64(), start: Height(self.u64()), blocks: self.u64() }
    }

    fn index_head(&mut self) -> IndexHead {
        IndexHead { length: self.u64(), draw: self.u64() }
    }

    fn session_proof(&mut self) -> SessionProof {
        SessionProof {
            session: self.session_header(),
            seat: self.pick(&[Seat::Servicer, Seat::Fisherman]),
            values: self.list(3, Self::proven_value),
        }
    }

    fn proof(&mut self) -> Proof {
        let leaf = Terminal::Leaf { path: self.hash(), value_hash: self.hash() };
        let terminal = self.pick(&[Terminal::Empty, leaf]);
        Proof { siblings: self.list(6, Self::hash), terminal }
    }

    fn proven_value(&mut self) -> ProvenValue {
        ProvenValue {
            collection: SESSIONS,
            key: Bytes::new(self.bytes(40)).unwrap(),
            value: (self.below(2) == 0).then(|| Bytes::new(self.bytes(40)).unwrap()),
            collection_root: self.hash(),
            in_collection: (self.below(2) == 0).then(|| self.proof()),
            in_state: self.proof(),
        }
    }

    fn sum_proof(&mut self) -> SumProof {
        let node = |draw: &mut Self| SumNode { hash: draw.hash(), sum: draw.u64() };
        SumProof { index: self.u64(), siblings: self.list(6, node) }
    }

    fn list_proof(&mut self) -> ListProof {
        ListProof { index: self.u64(), length: self.u64(), siblings: self.list(6, Self::hash) }
    }
}
