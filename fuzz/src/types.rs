//! The shared vocabulary: every decoder of `pocket-types`, and its verifiers.

use std::fmt::Debug;
use std::sync::OnceLock;

use pocket_types::block::{Block, Header};
use pocket_types::candidacy::{Candidacy, VrfMisuse};
use pocket_types::codec::{self, Wire};
use pocket_types::evidence::Evidence;
use pocket_types::finality::{FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::ChainId;
use pocket_types::light::{Checkpoint, Divergence, LightBlock};
use pocket_types::list::ListProof;
use pocket_types::merkle::{Proof, ProvenState, ProvenValue};
use pocket_types::relay::{RelayRequest, RelayResponse};
use pocket_types::session::{IndexHead, SessionClock, SessionProof};
use pocket_types::sum::{SumProof, SumRoot};
use pocket_types::transaction::Transaction;
use pocket_types::validator::{Electorate, ValidatorSet};
use pocket_types::vote::{Certificate, Vote, VoteData};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Headers, blocks and proofs of finality.
pub fn blocks(data: &[u8]) -> usize {
    let header = decoded::<Header>(data, |header| {
        header.id();
    });
    let block = decoded::<Block>(data, |block| {
        let _ = block.check_body();
    });
    let light = decoded::<LightBlock>(data, |_| {})
        + decoded::<Checkpoint>(data, |_| {})
        + decoded::<Divergence>(data, |_| {});
    let proof = decoded::<FinalityProof>(data, |proof| {
        for link in proof.links.iter() {
            let mut tip = TrustedTip::of(&link.header);
            let _ = pocket_types::finality::certified(&link.header, &link.certificate);
            let _ = tip.advance(proof, electorate());
        }
        if let Ok(header) = proof.verify(electorate()) {
            assert_eq!(header.id(), signed().1.block, "nobody signed this header");
        }
    });
    let tip = decoded::<TrustedTip>(data, |_| {});
    header + block + light + proof + tip
}

/// Votes, certificates, evidence, candidacies and validator sets.
pub fn votes(data: &[u8]) -> usize {
    let vote = decoded::<Vote>(data, |vote| {
        let _ = Certificate::from_votes(vote.data, [vote, vote], electorate());
    });
    let certificate = decoded::<Certificate>(data, |certificate| {
        let _ = certificate.verify(electorate());
        assert!(certificate.extended([], electorate()) == *certificate);
        // As if it were made by this set: the form and the signatures are looked at.
        let mut ours = certificate.clone();
        (ours.data.validators, ours.data.epoch) = (electorate().hash(), electorate().epoch());
        if ours.verify(electorate()).is_ok() {
            let &(prepare, commit) = signed();
            assert!([prepare, commit].contains(&ours.data), "nobody signed this");
        }
    });
    let evidence = decoded::<Evidence>(data, |evidence| {
        evidence.id();
        let _ = evidence.verify(evidence.chain());
        assert!(evidence.verify(ChainId(Hash::ZERO)).is_err() || evidence.chain().0 == Hash::ZERO);
    });
    let candidacy = decoded::<Candidacy>(data, |candidacy| {
        let misuse = VrfMisuse(*candidacy);
        assert!(misuse.verify(candidacy.claim.chain).is_err(), "nobody lied");
    });
    let set = decoded::<ValidatorSet>(data, |set| {
        if let Ok(electorate) = Electorate::new(set.clone()) {
            assert!(electorate.is_quorum(electorate.total()));
            let members = set.members.iter().enumerate();
            for (position, member) in members {
                assert_eq!(electorate.position(&member.public_key), Some(position));
            }
        }
    });
    vote + certificate + evidence + candidacy + set
}

/// Transactions of every kind.
pub fn transactions(data: &[u8]) -> usize {
    decoded::<Transaction>(data, |transaction| {
        transaction.id();
        let _ = transaction.verify();
    })
}

/// Relay requests and responses.
pub fn relays(data: &[u8]) -> usize {
    let request = decoded::<RelayRequest>(data, |request| {
        let _ = request.verify();
    });
    let response = decoded::<RelayResponse>(data, |response| {
        let mut head = some_request().proof.head.clone();
        let _ = response.verify(&head);
        head.servicer = pocket_types::id::Address::of(&response.servicer);
        let _ = RelayResponse { request: head.digest(), ..response.clone() }.verify(&head);
    });
    request + response
}

/// Session proofs and what the state holds of sessions.
pub fn sessions(data: &[u8]) -> usize {
    let proof = decoded::<SessionProof>(data, |proof| {
        let mut header = some_header().clone();
        let _ = proof.verify(&header);
        (header.chain, header.height) = (proof.session.network, proof.session.start);
        let _ = proof.verify(&header);
        if let Some(value) = proof.values.first() {
            let _ = ProvenState::new(&value.collection_root, proof.values.to_vec());
        }
    });
    proof + decoded::<SessionClock>(data, |_| {}) + decoded::<IndexHead>(data, |_| {})
}

/// Proofs against the state, lists and claims: none of them proves anything about roots that nobody
/// knows a preimage of.
pub fn proofs(data: &[u8]) -> usize {
    let nowhere = Hash([0x5a; 32]);
    let proof = decoded::<Proof>(data, |proof| {
        assert!(proof.verify(&nowhere, b"key").is_err());
    });
    let value = decoded::<ProvenValue>(data, |value| {
        assert!(value.verify(&nowhere).is_err());
    });
    let sum = decoded::<SumProof>(data, |sum| {
        let relay = some_request().proof.head.digest();
        for count in [0, 1, sum.index.saturating_add(1), u64::MAX] {
            let root = SumRoot { hash: nowhere, sum: u64::MAX, count };
            assert!(sum.verify(&root, relay, 1, 0).is_err());
        }
    });
    let list = decoded::<ListProof>(data, |list| {
        assert!(!list.verify(nowhere, Hash([1; 32])));
    });
    proof + value + sum + list
}

/// The human-readable form of what clients write: transactions and relays, and the blocks and proofs
/// that they read.
pub fn json(data: &[u8]) -> usize {
    read_json::<Transaction>(data)
        + read_json::<RelayRequest>(data)
        + read_json::<RelayResponse>(data)
        + read_json::<SessionProof>(data)
        + read_json::<ProvenValue>(data)
        + read_json::<FinalityProof>(data)
        + read_json::<Block>(data)
        + read_json::<ValidatorSet>(data)
}

pub(crate) fn decoded<T: Wire>(data: &[u8], look: impl Fn(&T)) -> usize {
    let Ok(value) = codec::decode::<T>(data) else { return 0 };
    assert_eq!(codec::encode(&value), data, "accepted, but written otherwise");
    assert_eq!(codec::encoded_len(&value), data.len());
    look(&value);
    1
}

pub(crate) fn read_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> usize {
    let Ok(value) = serde_json::from_slice::<T>(data) else { return 0 };
    let written = serde_json::to_string(&value).expect("plain data can be written");
    let read = serde_json::from_str::<T>(&written).expect("what was written can be read");
    assert_eq!(read, value);
    let bytes = codec::encode(&value);
    let read = codec::decode_within::<T>(&bytes, bytes.len());
    assert_eq!(read.expect("one value, two forms"), value);
    1
}

/// A set of four, of whose members nobody has the keys here.
fn electorate() -> &'static Electorate {
    static ELECTORATE: OnceLock<Electorate> = OnceLock::new();
    ELECTORATE.get_or_init(|| {
        let set = golden(include_str!("../../types/tests/golden/validator_set.hex"));
        Electorate::new(set).expect("a valid set")
    })
}

/// All that a quorum of [`electorate`] ever signed: what else verifies is forged.
fn signed() -> &'static (VoteData, VoteData) {
    static SIGNED: OnceLock<(VoteData, VoteData)> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let prepare: Certificate = golden(include_str!("../../types/tests/golden/certificate.hex"));
        let proof: FinalityProof =
            golden(include_str!("../../types/tests/golden/finality_proof.hex"));
        (prepare.data, proof.links[0].certificate.data)
    })
}

fn some_header() -> &'static Header {
    static HEADER: OnceLock<Header> = OnceLock::new();
    HEADER.get_or_init(|| golden(include_str!("../../types/tests/golden/header.hex")))
}

fn some_request() -> &'static RelayRequest {
    static REQUEST: OnceLock<RelayRequest> = OnceLock::new();
    REQUEST.get_or_init(|| golden(include_str!("../../types/tests/golden/relay_request_raw.hex")))
}

/// The value of a golden file of `pocket-types`.
pub(crate) fn golden<T: Wire>(hex: &str) -> T {
    let digits: String = hex.split_whitespace().collect();
    let bytes = hex::decode(digits).expect("golden files are hex");
    codec::decode(&bytes).expect("golden files are valid")
}
