//! A header is trusted when a quorum decided this very header, and only as the successor of one that
//! is trusted already.

mod common;

use common::*;
use pocket_types::block::{Block, BlockError, Header, beacon};
use pocket_types::codec::{Bytes, List};
use pocket_types::finality::{FinalityError, FinalityLink, FinalityProof, TrustedTip, certified};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::Signature;
use pocket_types::number::{Epoch, Height, Round, Timestamp};
use pocket_types::transaction::{Message, Transaction};
use pocket_types::validator::Electorate;
use pocket_types::vote::{CertificateError, Phase, Protocol, VoteData};

const OTHER: Hash = Hash([0x77; 32]);

#[test]
fn a_decided_header_is_proved() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let header = header(&electorate);
    for signers in [&[0, 1, 2][..], &[0, 1, 3], &[0, 1, 2, 3]] {
        let proof = decided(header.clone(), &electorate, &secrets, signers);
        assert_eq!(proof.header(), Some(&header));
        assert_eq!(proof.verify(&electorate), Ok(&header));
    }
}

#[test]
fn too_few_or_wrong_signers_prove_nothing() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let header = header(&electorate);
    let proof = decided(header.clone(), &electorate, &secrets, &[0, 3]);
    let refused = proof.verify(&electorate).unwrap_err();
    assert!(matches!(refused, FinalityError::Certificate(CertificateError::NoQuorum { .. })));

    let strangers = [7, 8, 9, 10].map(secret);
    let proof = decided(header, &electorate, &strangers, &[0, 1, 2]);
    let refused = CertificateError::Signatures(vec![0, 1, 2]);
    assert_eq!(proof.verify(&electorate), Err(refused.into()));
}

#[test]
fn hotpokt_decides_by_one_link() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let link = decided(header(&electorate), &electorate, &secrets, &[0, 1, 2]).links[0].clone();
    for count in [0, 2, 3] {
        let links = List::<FinalityLink, 3>::new(vec![link.clone(); count]).unwrap();
        let refused = FinalityError::Links { got: count, expected: 1 };
        assert_eq!(FinalityProof { links }.verify(&electorate), Err(refused));
    }
}

#[test]
fn only_a_commit_certificate_decides() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let header = header(&electorate);
    for got in [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit] {
        let data = vote_data(&electorate, got, header.id());
        let certificate = certificate(data, &electorate, &secrets, &[0, 1, 2]);
        let proof = FinalityProof::commit(header.clone(), certificate);
        assert_eq!(proof.verify(&electorate), Err(FinalityError::Phase { got }));
    }
}

#[test]
fn header_and_certificate_agree_on_every_field_they_share() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let header = header(&electorate);
    let data = vote_data(&electorate, Phase::Commit, header.id());
    let check = |header: &Header, data: VoteData| {
        certified(header, &certificate(data, &electorate, &secrets, &[0, 1, 2]))
    };
    assert_eq!(check(&header, data), Ok(()));
    let later = VoteData { round: Round(99), ..data };
    assert_eq!(check(&header, later), Ok(()), "a header names no round");

    let disagree = |what| Err(FinalityError::Disagree(what));
    assert_eq!(check(&header, VoteData { chain: ChainId(OTHER), ..data }), disagree("chain"));
    assert_eq!(check(&header, VoteData { height: Height(8), ..data }), disagree("height"));
    assert_eq!(check(&header, VoteData { epoch: Epoch(4), ..data }), disagree("epoch"));
    assert_eq!(check(&header, VoteData { validators: OTHER, ..data }), disagree("validators"));
    let block = FinalityError::Block { got: BlockId(OTHER), expected: header.id() };
    assert_eq!(check(&header, VoteData { block: BlockId(OTHER), ..data }), Err(block));

    let future = Header { version: 2, ..header };
    let data = VoteData { block: future.id(), ..data };
    assert_eq!(check(&future, data), Err(FinalityError::Version { got: 2 }));
}

/// Whatever is changed in a header, its certificate is for another block.
#[test]
fn a_header_is_certified_as_a_whole() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let header = header(&electorate);
    let proof = decided(header.clone(), &electorate, &secrets, &[0, 1, 2]);
    let certificate = &proof.links[0].certificate;
    let base = || header.clone();
    let changed = [
        Header { chain: ChainId(OTHER), ..base() },
        Header { height: Height(8), ..base() },
        Header { epoch: Epoch(4), ..base() },
        Header { parent: BlockId(OTHER), ..base() },
        Header { parent_certificate: Some(certificate.clone()), ..base() },
        Header { time: Timestamp(1), ..base() },
        Header { proposer: secret(99).public_key(), ..base() },
        Header { state_root: OTHER, ..base() },
        Header { transactions_root: OTHER, ..base() },
        Header { evidence_root: OTHER, ..base() },
        Header { validators: OTHER, ..base() },
        Header { next_validators: OTHER, ..base() },
        Header { randomness: OTHER, ..base() },
        Header { randomness_proof: pocket_types::vrf::VrfProof([7; 80]), ..base() },
    ];
    for header in changed {
        let expected = header.id();
        let got = certificate.data.block;
        assert_eq!(certified(&header, certificate), Err(FinalityError::Block { got, expected }));
    }
}

/// A tip at height 6 and the header of height 7 that follows it.
fn tip_and_next(electorate: &Electorate) -> (TrustedTip, Header) {
    let next = header(electorate);
    let tip = TrustedTip {
        chain: CHAIN,
        height: Height(6),
        block: next.parent,
        time: Timestamp(next.time.0 - 1),
        next_validators: electorate.hash(),
    };
    (tip, next)
}

#[test]
fn trust_moves_from_header_to_header_across_validator_sets() {
    let (first, first_secrets) = electorate(&[1; 4]);
    let (second, second_secrets) = electorate_of(Epoch(4), 11, &[5, 6, 7]);
    let (mut tip, next) = tip_and_next(&first);
    let change = Header { next_validators: second.hash(), ..next };
    let proof = decided(change.clone(), &first, &first_secrets, &[1, 2, 3]);
    assert_eq!(tip.advance(&proof, &first), Ok(&change));
    assert_eq!(tip, TrustedTip::of(&change));

    let after = Header {
        height: Height(8),
        parent: change.id(),
        time: Timestamp(change.time.0 + 1),
        ..header(&second)
    };
    let proof = decided(after.clone(), &second, &second_secrets, &[0, 1, 2]);
    let before = tip;
    assert_eq!(
        tip.advance(&proof, &first),
        Err(FinalityError::Validators { got: first.hash(), expected: second.hash() })
    );
    assert_eq!(tip, before);
    assert_eq!(tip.advance(&proof, &second), Ok(&after));
    assert_eq!(tip.height, Height(8));
}

#[test]
fn a_header_that_breaks_a_rule_of_the_chain_does_not_move_the_tip() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let (tip, next) = tip_and_next(&electorate);
    let base = || next.clone();
    let broken = [
        (Header { chain: ChainId(OTHER), ..base() }, "another network"),
        (Header { height: Height(6), ..base() }, "not the next height"),
        (Header { height: Height(8), ..base() }, "not the next height"),
        (Header { parent: BlockId(OTHER), ..base() }, "another parent"),
        (Header { time: tip.time, ..base() }, "not later than its parent"),
        (Header { time: Timestamp(0), ..base() }, "not later than its parent"),
        (Header { validators: OTHER, ..base() }, "another validator set"),
    ];
    for (header, what) in broken {
        let mut moved = tip;
        let proof = decided(header, &electorate, &secrets, &[0, 1, 2]);
        assert_eq!(moved.advance(&proof, &electorate), Err(FinalityError::Chain { what }));
        assert_eq!(moved, tip);
    }
}

#[test]
fn an_undecided_successor_does_not_move_the_tip() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let (tip, next) = tip_and_next(&electorate);
    let mut moved = tip;
    let empty = FinalityProof { links: List::empty() };
    let refused = FinalityError::Links { got: 0, expected: 1 };
    assert_eq!(moved.advance(&empty, &electorate), Err(refused));
    let undecided = decided(next, &electorate, &secrets, &[0, 1]);
    assert!(matches!(moved.advance(&undecided, &electorate), Err(FinalityError::Certificate(_))));
    assert_eq!(moved, tip);
}

#[test]
fn a_block_is_the_one_that_its_header_commits_to() {
    let block = block();
    assert_eq!(block.check_body(), Ok(()));
    assert_eq!(block.id(), block.header.id());

    let delegate = transaction(Message::Delegate { gateway: secret(1).public_key() });
    let more = [&block.transactions[..], &[delegate]].concat();
    let got = Block::transactions_root(&more);
    let expected = block.header.transactions_root;
    let changed = Block { transactions: List::new(more).unwrap(), ..block.clone() };
    assert_eq!(changed.check_body(), Err(BlockError::TransactionsRoot { got, expected }));

    // A spoiled signature leaves a transaction's id as it is, but not the block's commitment to it:
    // else anybody could pass on a decided block that no longer executes.
    let mut spoiled = block.transactions.to_vec();
    spoiled[0].signature.0[0] ^= 1;
    assert_eq!(spoiled[0].id(), block.transactions[0].id());
    let got = Block::transactions_root(&spoiled);
    assert_ne!(got, expected);
    let changed = Block { transactions: List::new(spoiled).unwrap(), ..block.clone() };
    assert_eq!(changed.check_body(), Err(BlockError::TransactionsRoot { got, expected }));

    let spoiled = Transaction { signature: Signature([7; 64]), ..block.transactions[0].clone() };
    let transactions = List::new(vec![spoiled]).unwrap();
    let changed = Block { transactions, ..block.clone() };
    assert!(matches!(changed.check_body(), Err(BlockError::TransactionsRoot { .. })));

    let got = Block::evidence_root(&[]);
    let expected = block.header.evidence_root;
    let changed = Block { evidence: List::empty(), ..block };
    assert_eq!(changed.check_body(), Err(BlockError::EvidenceRoot { got, expected }));
}

#[test]
fn the_beacon_has_one_next_value() {
    let (electorate, _) = electorate(&[1; 4]);
    let previous = Hash([0x0b; 32]);
    let honest = header(&electorate);
    assert!(beacon::verify(&honest, previous, &electorate));

    assert!(!beacon::verify(&honest, OTHER, &electorate), "another predecessor");
    let stranger = Header { proposer: secret(99).public_key(), ..honest.clone() };
    assert!(!beacon::verify(&stranger, previous, &electorate), "no member");
    let moved = Header { height: Height(8), ..honest.clone() };
    assert!(!beacon::verify(&moved, previous, &electorate), "another height");
    let chosen = Header { randomness: OTHER, ..honest.clone() };
    assert!(!beacon::verify(&chosen, previous, &electorate), "a chosen value");
    let (randomness, randomness_proof) = beacon::extend(previous, Height(7), &vrf_secret(2));
    let foreign = Header { randomness, randomness_proof, ..honest };
    assert!(!beacon::verify(&foreign, previous, &electorate), "somebody else's value");
}

/// A chain of headers, each certified in the round that its number says.
fn chain(protocol: Protocol, rounds: &[u64]) -> (Electorate, FinalityProof) {
    let (electorate, secrets) = electorate(&[1; 4]);
    let mut header = header(&electorate);
    let mut links = Vec::new();
    for &round in rounds {
        let data = VoteData {
            protocol,
            height: header.height,
            round: Round(round),
            ..vote_data(&electorate, Phase::Prepare, header.id())
        };
        let certificate = certificate(data, &electorate, &secrets, &[0, 1, 3]);
        links.push(FinalityLink { header: header.clone(), certificate: certificate.clone() });
        header.parent = header.id();
        header.height = header.height.next();
        header.parent_certificate = Some(certificate);
    }
    (electorate, FinalityProof { links: List::new(links).unwrap() })
}

#[test]
fn chained_protocols_decide_by_certified_headers_in_a_row() {
    for (protocol, rounds) in [
        (Protocol::ChainedHotStuff, &[5, 6, 7][..]),
        (Protocol::HotStuff2, &[5, 6]),
        (Protocol::Jolteon, &[0, 1]),
        (Protocol::FastHotStuff, &[9, 10]),
    ] {
        let (electorate, proof) = chain(protocol, rounds);
        assert_eq!(proof.verify(&electorate), Ok(&proof.links[0].header), "{protocol:?}");
        let [first, rest @ ..] = &proof.links[..] else { panic!() };
        let shorter = FinalityProof { links: List::new(rest.to_vec()).unwrap() };
        let (got, expected) = (rest.len(), protocol.links());
        let refused = Err(FinalityError::Links { got, expected });
        assert_eq!(shorter.verify(&electorate), refused, "{protocol:?} without {first:?}");
    }
}

#[test]
fn a_gap_in_rounds_or_parents_decides_nothing() {
    let broken =
        |proof: &FinalityProof, electorate: &Electorate| proof.verify(electorate).unwrap_err();
    for rounds in [[5, 7, 8], [5, 6, 8], [5, 6, 6], [u64::MAX - 1, u64::MAX, 0]] {
        let (electorate, proof) = chain(Protocol::ChainedHotStuff, &rounds);
        assert_eq!(broken(&proof, &electorate), FinalityError::Broken("round"), "{rounds:?}");
    }
    let (electorate, proof) = chain(Protocol::ChainedHotStuff, &[5, 6, 7]);
    let (_, sibling) = chain(Protocol::ChainedHotStuff, &[4, 6, 7]);
    let mut links = proof.links.to_vec();
    links[1] = sibling.links[1].clone();
    let mixed = FinalityProof { links: List::new(links).unwrap() };
    assert_eq!(broken(&mixed, &electorate), FinalityError::Broken("justify"));
    let mut links = proof.links.to_vec();
    links[2] = sibling.links[2].clone();
    let mixed = FinalityProof { links: List::new(links).unwrap() };
    assert_eq!(broken(&mixed, &electorate), FinalityError::Broken("parent"));
    let (_, other) = chain(Protocol::Jolteon, &[5, 6, 7]);
    let links = vec![proof.links[0].clone(), other.links[1].clone(), other.links[2].clone()];
    let mixed = FinalityProof { links: List::new(links).unwrap() };
    assert!(matches!(broken(&mixed, &electorate), FinalityError::Broken(_)));
    let mut links = proof.links.to_vec();
    links[2].certificate.signatures = Bytes::new(vec![7; 192]).unwrap();
    let forged = FinalityProof { links: List::new(links).unwrap() };
    assert!(matches!(broken(&forged, &electorate), FinalityError::Certificate(_)));
}

/// A block may be certified in two rounds. Who voted for its child knew only of the one that the child
/// carries: the other decides nothing.
#[test]
fn a_child_of_an_earlier_certificate_decides_nothing() {
    let (electorate, early) = chain(Protocol::Jolteon, &[3, 9]);
    let (_, late) = chain(Protocol::Jolteon, &[8, 9]);
    assert_eq!(late.verify(&electorate), Ok(&late.links[0].header));
    let links = vec![late.links[0].clone(), early.links[1].clone()];
    let mixed = FinalityProof { links: List::new(links).unwrap() };
    assert_eq!(mixed.verify(&electorate), Err(FinalityError::Broken("justify")));
}
