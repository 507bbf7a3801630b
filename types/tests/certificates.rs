//! A certificate proves that a quorum of one validator set signed one thing, and nothing else passes
//! for it.

mod common;

use std::fmt;

use common::*;
use pocket_types::codec::{self, Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::{KeyError, PublicKey};
use pocket_types::number::{Epoch, Round, Weight};
use pocket_types::scheme::Scheme;
use pocket_types::validator::{
    Electorate, MAX_VALIDATORS, Validator, ValidatorSet, ValidatorSetError,
};
use pocket_types::vote::{Certificate, CertificateError, Phase, Protocol, Vote, VoteData};
use proptest::prelude::*;

const BLOCK: BlockId = BlockId(Hash([0xb1; 32]));

struct Row {
    line: usize,
    weights: Vec<u64>,
    signers: Vec<usize>,
    weighs: u64,
    quorum: bool,
    third: bool,
}

fn table() -> impl Iterator<Item = Row> {
    let lines = include_str!("tables/quorum.txt").lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(index, line)| {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [weights, signers, weighs, quorum, third] = columns[..] else {
            panic!("line {}: five columns", index + 1);
        };
        let yes = |word| match word {
            "yes" => true,
            "no" => false,
            _ => panic!("line {}: yes or no", index + 1),
        };
        let marks = signers.split_whitespace().enumerate();
        Row {
            line: index + 1,
            weights: weights.split_whitespace().map(|weight| weight.parse().unwrap()).collect(),
            signers: marks.filter(|(_, mark)| *mark == "x").map(|(place, _)| place).collect(),
            weighs: weighs.parse().unwrap(),
            quorum: yes(quorum),
            third: yes(third),
        }
    })
}

#[test]
fn quorums_are_those_of_the_table() {
    assert!(table().count() > 40);
    for Row { line, weights, signers, weighs, quorum, third } in table() {
        let (electorate, secrets) = electorate(&weights);
        assert_eq!(electorate.is_quorum(Weight(weighs)), quorum, "line {line}");
        assert_eq!(electorate.exceeds_third(Weight(weighs)), third, "line {line}");

        let data = vote_data(&electorate, Phase::Prepare, BLOCK);
        let no_quorum =
            CertificateError::NoQuorum { got: Weight(weighs), total: electorate.total() };
        let verdict = if quorum { Ok(()) } else { Err(no_quorum) };
        let by_hand = certificate(data, &electorate, &secrets, &signers);
        assert_eq!(by_hand.check_form(&electorate), verdict, "line {line}");
        assert_eq!(by_hand.verify(&electorate), verdict, "line {line}");

        let votes = votes(data, &secrets, &signers);
        let packed = Certificate::from_votes(data, &votes, &electorate);
        assert_eq!(packed, verdict.map(|()| by_hand), "line {line}");
    }
}

#[test]
fn a_certificate_names_its_signers_and_takes_more_of_them() {
    let (electorate, secrets) = electorate(&[1; 9]);
    let data = vote_data(&electorate, Phase::Commit, BLOCK);
    let votes = votes(data, &secrets, &[8, 0, 1, 3, 4, 6, 7, 2]);
    let quorum = Certificate::from_votes(data, &votes[..7], &electorate).unwrap();
    assert_eq!(quorum.positions().collect::<Vec<_>>(), [0, 1, 3, 4, 6, 7, 8]);
    let whole = quorum.extended(&votes, &electorate);
    assert_eq!(whole.positions().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(whole.verify(&electorate), Ok(()));
    assert_eq!(whole, Certificate::from_votes(data, &votes, &electorate).unwrap());
    assert_eq!(quorum.extended(&[], &electorate), quorum);
}

/// Jolteon's NewRound signatures vouch for these rounds.
fn timeouts(highs: &[Option<u64>]) -> (Electorate, Vec<Vote>, VoteData) {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = VoteData {
        protocol: Protocol::Jolteon,
        ..vote_data(&electorate, Phase::NewRound, BlockId::default())
    };
    let vote = |(high, secret): (&Option<u64>, _)| {
        Vote::sign(VoteData { high: high.map(Round), ..data }, secret)
    };
    let votes = highs.iter().zip(&secrets).map(vote).collect();
    (electorate, votes, data)
}

#[test]
fn a_timeout_certificate_says_which_certificate_each_signer_vouches_for() {
    let (electorate, votes, data) = timeouts(&[Some(3), None, Some(7), Some(3)]);
    let certificate = Certificate::from_votes(data, &votes[..3], &electorate).unwrap();
    assert_eq!(certificate.highs[..], [Some(Round(3)), None, Some(Round(7))]);
    assert_eq!(certificate.data.high, Some(Round(7)));
    assert_eq!(certificate.verify(&electorate), Ok(()));
    let whole = certificate.extended(&votes, &electorate);
    assert_eq!(whole.verify_beyond(&electorate, Some(&certificate)), Ok(()));
    assert_eq!(codec::decode(&codec::encode(&whole)), Ok(whole));
}

#[test]
fn a_timeout_certificate_can_neither_hide_nor_invent_a_round() {
    let (electorate, votes, data) = timeouts(&[Some(3), None, Some(7)]);
    let honest = Certificate::from_votes(data, &votes, &electorate).unwrap();
    let forms = CertificateError::Highs { got: 3, signers: 3 };
    let lower = VoteData { high: Some(Round(3)), ..honest.data };
    assert_eq!(Certificate { data: lower, ..honest.clone() }.verify(&electorate), Err(forms));
    let highs = List::new(vec![Some(Round(3)), None, Some(Round(3))]).unwrap();
    let forged = Certificate { data: lower, highs, ..honest.clone() };
    assert_eq!(forged.verify(&electorate), Err(CertificateError::Signatures(vec![2])));
    let none = Certificate { highs: List::empty(), ..honest };
    let got = CertificateError::Highs { got: 0, signers: 3 };
    assert_eq!(none.verify(&electorate), Err(got.clone()));
    let (electorate, secrets) = common::electorate(&[1; 3]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let plain = certificate(data, &electorate, &secrets, &[0, 1, 2]);
    let extra = List::new(vec![None; 3]).unwrap();
    let extra = Certificate { highs: extra, ..plain };
    let refused = Err(CertificateError::Highs { got: 3, signers: 3 });
    assert_eq!(extra.verify(&electorate), refused);
}

#[test]
fn packing_leaves_out_strangers_other_votes_and_repetitions() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let honest = votes(data, &secrets, &[0, 1, 2]);
    let expected = Certificate::from_votes(data, &honest, &electorate).unwrap();

    let stranger = Vote::sign(data, &secret(99));
    let other = Vote::sign(VoteData { phase: Phase::Commit, ..data }, &secrets[3]);
    let mixed = [&honest[..], &[stranger, other], &honest[..]].concat();
    assert_eq!(Certificate::from_votes(data, &mixed, &electorate), Ok(expected));

    let twice = [&honest[..2], &honest[..2], &[stranger, other]].concat();
    let refused = CertificateError::NoQuorum { got: Weight(2), total: Weight(4) };
    assert_eq!(Certificate::from_votes(data, &twice, &electorate), Err(refused));
}

#[test]
fn a_signer_counts_once_whatever_is_repeated() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let mut twice = certificate(data, &electorate, &secrets, &[0, 1]);
    // A third signature without a third bit, and the second one's bit cannot be set twice.
    let repeated = [&twice.signatures[..], &twice.signatures[64..]].concat();
    twice.signatures = Bytes::new(repeated).unwrap();
    let refused = CertificateError::NoQuorum { got: Weight(2), total: Weight(4) };
    assert_eq!(twice.verify(&electorate), Err(refused));

    // A neighbour's bit with a repeated signature: the signature is not the neighbour's.
    twice.signers = Bytes::new([0b111]).unwrap();
    assert_eq!(twice.verify(&electorate), Err(CertificateError::Signatures(vec![2])));
}

#[test]
fn the_bitmap_has_one_form() {
    for members in [1, 4, 7, 8, 9, 16, 17] {
        let (electorate, secrets) = electorate(&vec![1; members]);
        let data = vote_data(&electorate, Phase::Prepare, BLOCK);
        let all: Vec<_> = (0..members).collect();
        let valid = certificate(data, &electorate, &secrets, &all);
        assert_eq!(valid.verify(&electorate), Ok(()));

        let with_bitmap = |bitmap: Vec<u8>| {
            let bits = bitmap.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
            let mut signatures = valid.signatures.to_vec();
            signatures.resize(bits * 64, 0);
            Certificate {
                signers: Bytes::new(bitmap).unwrap(),
                signatures: Bytes::new(signatures).unwrap(),
                ..valid.clone()
            }
        };
        let bytes = valid.signers.to_vec();
        let longer = with_bitmap([&bytes[..], &[0]].concat());
        let shorter = with_bitmap(bytes[1..].to_vec());
        let strays = (members..bytes.len() * 8).map(|stray| {
            let mut bitmap = bytes.clone();
            bitmap[stray / 8] |= 1 << (stray % 8);
            with_bitmap(bitmap)
        });
        for crooked in strays.chain([longer, shorter]) {
            let refused = CertificateError::Bitmap { got: crooked.signers.len(), members };
            assert_eq!(crooked.verify(&electorate), Err(refused), "{members} members");
        }
    }
}

#[test]
fn signatures_come_whole_and_one_for_each_signer() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let valid = certificate(data, &electorate, &secrets, &[0, 1, 2]);
    for length in [0, 1, 63, 128, 191, 193, 256] {
        let mut signatures = valid.signatures.to_vec();
        signatures.resize(length, 7);
        let crooked = Certificate { signatures: Bytes::new(signatures).unwrap(), ..valid.clone() };
        let refused = CertificateError::SignatureCount { got: length, signers: 3 };
        assert_eq!(crooked.verify(&electorate), Err(refused));
    }
}

#[test]
fn a_certificate_holds_for_its_set_and_epoch_only() {
    let (ours, secrets) = electorate(&[1; 4]);
    let data = vote_data(&ours, Phase::Prepare, BLOCK);
    let valid = certificate(data, &ours, &secrets, &[0, 1, 2]);
    let (next_epoch, _) = electorate_of(Epoch(4), 1, &[1; 4]);
    let (other_weights, _) = electorate(&[1, 1, 1, 2]);
    let (other_members, _) = electorate_of(Epoch(3), 2, &[1; 4]);
    for theirs in [&next_epoch, &other_weights, &other_members] {
        let refused = CertificateError::WrongSet {
            got: ours.hash(),
            got_epoch: Epoch(3),
            expected: theirs.hash(),
            expected_epoch: theirs.epoch(),
        };
        assert_eq!(valid.verify(theirs), Err(refused));
    }
    // Naming the right set under the wrong epoch does not help either.
    let forged = VoteData { epoch: Epoch(4), ..data };
    let forged = certificate(forged, &ours, &secrets, &[0, 1, 2]);
    assert!(matches!(forged.verify(&ours), Err(CertificateError::WrongSet { .. })));
}

#[test]
fn every_bad_signature_is_attributed_to_its_signer() {
    let (electorate, secrets) = electorate(&[1; 10]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let signers = [0, 2, 3, 4, 5, 7, 9];
    let valid = certificate(data, &electorate, &secrets, &signers);
    for bad in [vec![0], vec![9], vec![2, 5], signers.to_vec()] {
        let mut signatures = valid.signatures.to_vec();
        for signer in &bad {
            let place = signers.iter().position(|s| s == signer).unwrap();
            signatures[place * 64 + 40] ^= 1;
        }
        let crooked = Certificate { signatures: Bytes::new(signatures).unwrap(), ..valid.clone() };
        assert_eq!(crooked.check_form(&electorate), Ok(()));
        assert_eq!(crooked.verify(&electorate), Err(CertificateError::Signatures(bad)));
    }
}

#[test]
fn signatures_do_not_change_places() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let valid = certificate(data, &electorate, &secrets, &[0, 1, 2]);
    let mut signatures = valid.signatures.to_vec();
    signatures.rotate_left(64);
    let crooked = Certificate { signatures: Bytes::new(signatures).unwrap(), ..valid };
    assert_eq!(crooked.verify(&electorate), Err(CertificateError::Signatures(vec![0, 1, 2])));
}

#[test]
fn a_certificate_for_something_else_does_not_hold() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let data = vote_data(&electorate, Phase::Prepare, BLOCK);
    let valid = certificate(data, &electorate, &secrets, &[0, 1, 2]);
    let other = BlockId(Hash([0xb2; 32]));
    let moved = [
        VoteData { chain: pocket_types::id::ChainId(Hash([0; 32])), ..data },
        VoteData { height: data.height.next(), ..data },
        VoteData { round: data.round.next(), ..data },
        VoteData { phase: Phase::Commit, ..data },
        VoteData { block: other, ..data },
    ];
    for data in moved {
        let moved = Certificate { data, ..valid.clone() };
        assert_eq!(moved.verify(&electorate), Err(CertificateError::Signatures(vec![0, 1, 2])));
    }
}

proptest! {
    /// An independent tally: bits and weights by hand, one signature after the other.
    #[test]
    fn certificates_agree_with_a_plain_tally(
        weights in proptest::collection::vec(1u64..20, 1..12),
        signs: u16,
        damaged in proptest::option::weighted(0.3, 0usize..12),
    ) {
        let (electorate, secrets) = electorate(&weights);
        let signers: Vec<_> = (0..weights.len()).filter(|p| signs >> p & 1 == 1).collect();
        let data = vote_data(&electorate, Phase::Prepare, BLOCK);
        let mut certificate = certificate(data, &electorate, &secrets, &signers);
        let damaged = damaged.and_then(|place| signers.get(place));
        if let Some(signer) = damaged {
            let place = signers.iter().position(|s| s == signer).unwrap();
            let mut signatures = certificate.signatures.to_vec();
            signatures[place * 64] ^= 0x80;
            certificate.signatures = Bytes::new(signatures).unwrap();
        }
        let weight: u64 = signers.iter().map(|&signer| weights[signer]).sum();
        let enough = weight * 3 > weights.iter().sum::<u64>() * 2;
        prop_assert_eq!(certificate.verify(&electorate).is_ok(), enough && damaged.is_none());
    }
}

fn validator(key: PublicKey, weight: u64) -> Validator {
    Validator {
        public_key: key,
        vrf_key: vrf_secret(1).public_key(),
        weight: Weight(weight),
        bls_key: None,
    }
}

/// A set as it may be decoded: nothing sorts or checks it.
fn raw_set(members: Vec<Validator>) -> ValidatorSet {
    ValidatorSet {
        epoch: Epoch(0),
        scheme: Scheme::default(),
        members: List::new(members).unwrap(),
    }
}

#[test]
fn a_set_that_breaks_a_rule_is_no_electorate() {
    let mut keys = [1, 2, 3].map(|n| secret(n).public_key());
    keys.sort_unstable();
    let [a, b, c] = keys;
    let refused = |members: &[(PublicKey, u64)]| {
        let members = members.iter().map(|&(key, weight)| validator(key, weight)).collect();
        Electorate::new(raw_set(members)).unwrap_err()
    };
    assert_eq!(refused(&[]), ValidatorSetError::Empty);
    assert_eq!(refused(&[(b, 1), (a, 1)]), ValidatorSetError::Order(a));
    assert_eq!(refused(&[(a, 1), (c, 1), (c, 1)]), ValidatorSetError::Order(c));
    assert_eq!(refused(&[(a, 1), (b, 0)]), ValidatorSetError::Weightless(b));
    assert_eq!(refused(&[(a, u64::MAX), (b, 1)]), ValidatorSetError::Overflow);
    let mut identity = PublicKey([0; 32]);
    identity.0[0] = 1;
    let expected = ValidatorSetError::Key { key: identity, error: KeyError::Identity(identity) };
    assert_eq!(refused(&[(identity, 1)]), expected);

    let crowd = vec![validator(a, 1); MAX_VALIDATORS + 1];
    let got = MAX_VALIDATORS + 1;
    assert_eq!(ValidatorSet::new(Epoch(0), crowd), Err(ValidatorSetError::TooMany { got }));
}

#[test]
fn a_set_sorts_its_members_and_finds_them() {
    let keys = [5, 1, 9, 3].map(|n| secret(n).public_key());
    let members = keys.iter().map(|&key| validator(key, 2)).collect();
    let electorate = Electorate::new(ValidatorSet::new(Epoch(0), members).unwrap()).unwrap();
    assert_eq!((electorate.len(), electorate.is_empty()), (4, false));
    for key in keys {
        let position = electorate.position(&key).unwrap();
        assert_eq!(electorate.member(position).unwrap().public_key, key);
    }
    assert_eq!(electorate.position(&secret(2).public_key()), None);
    assert!(electorate.member(4).is_none());
}

#[test]
fn errors_say_what_was_found_and_what_was_expected() {
    let shown = |error: &dyn fmt::Display| error.to_string();
    let no_quorum = CertificateError::NoQuorum { got: Weight(2), total: Weight(4) };
    assert_eq!(shown(&no_quorum), "signers weigh 2 of 4, which is no quorum");
    let bad = CertificateError::Signatures(vec![1, 3]);
    assert_eq!(shown(&bad), "invalid signatures at positions [1, 3]");
}
