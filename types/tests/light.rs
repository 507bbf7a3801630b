//! A header far ahead is trusted when enough of those whom we trust signed it, and while their word
//! counts.

mod common;

use common::*;
use pocket_types::block::Header;
use pocket_types::codec::{Bytes, List, decode, encode};
use pocket_types::finality::{FinalityError, FinalityLink, FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::light::{
    Checkpoint, LightBlock, LightError, Rules, Trusted, TrustingPeriod, TrustingPeriodError,
};
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::scheme::Scheme;
use pocket_types::validator::{Electorate, Validator, ValidatorSet, ValidatorSetError};
use pocket_types::vote::{CertificateError, Phase, Protocol, VoteData};
use proptest::prelude::*;

const OTHER: Hash = Hash([0x77; 32]);
const HOUR: Duration = Duration::seconds(3_600);
const START: Timestamp = Timestamp(1_700_000_000_000);

fn rules() -> Rules {
    let period = TrustingPeriod::new(HOUR, Duration(HOUR.0 + 1), Duration(HOUR.0 + 1)).unwrap();
    Rules { period, max_drift: Duration(500) }
}

/// Members by number, with weights: the number is the key.
fn set(epoch: u64, members: &[(u8, u64)]) -> (ValidatorSet, Vec<SecretKey>) {
    let mut secrets: Vec<_> = members.iter().map(|(n, weight)| (secret(*n), *weight)).collect();
    secrets.sort_by_key(|(secret, _)| secret.public_key());
    let members = secrets.iter().map(|(secret, weight)| Validator {
        public_key: secret.public_key(),
        vrf_key: vrf_secret(1).public_key(),
        weight: Weight(*weight),
        bls_key: None,
    });
    let set = ValidatorSet::new(Epoch(epoch), members.collect()).unwrap();
    (set, secrets.into_iter().map(|(secret, _)| secret).collect())
}

/// Trust in a header of height 100, whose next block this set decides.
fn trusting(next: &ValidatorSet) -> Trusted {
    let tip = TrustedTip {
        chain: CHAIN,
        height: Height(100),
        block: BlockId(Hash([0xaa; 32])),
        time: START,
        next_validators: next.hash(),
    };
    Trusted::new(tip, next.clone()).unwrap()
}

/// A header of height 150 that this set decides, and the next block's too.
fn later(set: &ValidatorSet) -> Header {
    let some = header(&electorate(&[1]).0);
    Header {
        height: Height(150),
        epoch: set.epoch,
        time: Timestamp(START.0 + 50_000),
        proposer: set.members[0].public_key,
        validators: set.hash(),
        next_validators: set.hash(),
        ..some
    }
}

/// Signed by the members with these numbers, whatever they weigh.
fn signed(header: Header, set: &ValidatorSet, signers: &[u8]) -> LightBlock {
    let keys: Vec<_> = signers.iter().map(|&n| secret(n).public_key()).collect();
    let members = set.members.iter().enumerate();
    let places = members.filter(|(_, member)| keys.contains(&member.public_key));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    let find = |member: &Validator| {
        (0..=255).map(secret).find(|secret| secret.public_key() == member.public_key)
    };
    let secrets: Vec<SecretKey> = set.members.iter().map(|member| find(member).unwrap()).collect();
    // A certificate is packed by place, which needs no electorate that passes.
    let sound = Electorate::new(set.clone());
    let proof = match &sound {
        Ok(electorate) => decided(header, electorate, &secrets, &places),
        Err(_) => decided_by_raw_set(header, set, &secrets, &places),
    };
    LightBlock::new(proof, set.clone(), set.clone())
}

/// As `decided`, by a set that is no electorate.
fn decided_by_raw_set(
    header: Header,
    set: &ValidatorSet,
    secrets: &[SecretKey],
    places: &[usize],
) -> FinalityProof {
    let (some, _) = electorate_of(set.epoch, 1, &vec![1; set.members.len()]);
    let mut data = decided(header.clone(), &some, secrets, &[]).links[0].certificate.data;
    data.validators = set.hash();
    FinalityProof::commit(header, certificate(data, &some, secrets, places))
}

fn now() -> Timestamp {
    Timestamp(START.0 + 60_000)
}

fn letters(text: &str) -> Vec<(u8, u64)> {
    let member = |word: &str| (word.as_bytes()[0], word[1..].parse().unwrap());
    text.split_whitespace().map(member).collect()
}

#[test]
fn skips_are_those_of_the_table() {
    let lines = include_str!("tables/skipping.txt").lines().enumerate();
    let rows: Vec<_> = lines.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')).collect();
    assert!(rows.len() > 25);
    for (index, row) in rows {
        let line = index + 1;
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        let [trusted, new, signers, weighs, verdict] = columns[..] else {
            panic!("line {line}: five columns")
        };
        let is_same = trusted == new;
        let (trusted, _) = set(3, &letters(trusted));
        let (new, _) = set(if is_same { 3 } else { 5 }, &letters(new));
        let signers: Vec<u8> = signers.split_whitespace().map(|word| word.as_bytes()[0]).collect();
        let block = signed(later(&new), &new, &signers);
        let (got, total) = weighs.split_once(" of ").unwrap();
        let (got, total) = (Weight(got.parse().unwrap()), Weight(total.parse().unwrap()));

        let trusted = trusting(&trusted);
        assert_eq!((trusted.overlap(&block), trusted.next().total()), (got, total), "line {line}");
        let verified = trusted.verify(&block, now(), &rules());
        match verdict {
            "skip" => assert_eq!(
                *verified.unwrap_or_else(|error| panic!("line {line}: {error}")).tip(),
                TrustedTip::of(block.header().unwrap()),
            ),
            "halve" => assert_eq!(verified.unwrap_err(), LightError::Overlap { got, total }),
            "undecided" => assert!(
                matches!(
                    verified.unwrap_err(),
                    LightError::Finality(FinalityError::Certificate(
                        CertificateError::NoQuorum { .. }
                    ))
                ),
                "line {line}"
            ),
            _ => panic!("line {line}: skip, halve or undecided"),
        }
    }
}

#[test]
fn what_was_skipped_to_vouches_for_the_next_skip() {
    let (first, _) = set(1, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let (second, _) = set(2, &[(3, 1), (4, 1), (5, 1), (6, 1)]);
    let (third, _) = set(3, &[(5, 1), (6, 1), (7, 1), (8, 1)]);
    let change = Header { next_validators: third.hash(), ..later(&second) };
    let mut block = signed(change, &second, &[3, 4, 5, 6]);
    block.next_validators = Some(third.clone());
    let last = Header { height: Height(400), ..later(&third) };
    let last =
        signed(Header { time: Timestamp(last.time.0 + 1_000), ..last }, &third, &[5, 6, 7, 8]);

    let trusted = trusting(&first);
    let refused = trusted.verify(&last, now(), &rules()).unwrap_err();
    assert_eq!(refused, LightError::Overlap { got: Weight(0), total: Weight(4) });
    let trusted = trusted.verify(&block, now(), &rules()).unwrap();
    assert_eq!(trusted.next().set(), &third);
    // Who decided the trusted header has no say any more: those who decide the next one do.
    assert_eq!(trusted.overlap(&last), Weight(4));
    assert_eq!(trusted.verify(&last, now(), &rules()).unwrap().tip().height, Height(400));
}

#[test]
fn trust_lasts_through_the_period_and_not_a_millisecond_longer() {
    let (set, _) = set(3, &[(1, 1)]);
    let block = signed(later(&set), &set, &[1]);
    let (trusted, last) = (trusting(&set), START.after(HOUR));
    assert!(trusted.verify(&block, last, &rules()).is_ok());
    let over = Timestamp(last.0 + 1);
    let refused = LightError::Expired { trusted: START, now: over, period: HOUR };
    assert_eq!(trusted.verify(&block, over, &rules()).unwrap_err(), refused);
    assert!(refused.to_string().contains("too old"));
    // The next height is no exception.
    let next = Header { height: Height(101), parent: trusted.tip().block, ..later(&set) };
    let next = signed(next, &set, &[1]);
    assert!(trusted.verify(&next, last, &rules()).is_ok());
    assert_eq!(trusted.verify(&next, over, &rules()).unwrap_err(), refused);
    // A clock that is behind the trusted header doesn't make it old.
    let refused = trusted.verify(&block, Timestamp(0), &rules()).unwrap_err();
    assert!(matches!(refused, LightError::Ahead { .. }));
}

#[test]
fn a_header_may_be_ahead_of_the_clock_by_the_drift() {
    let (set, _) = set(3, &[(1, 1)]);
    let block = signed(later(&set), &set, &[1]);
    let got = block.header().unwrap().time;
    let verify = |now| trusting(&set).verify(&block, Timestamp(now), &rules()).map(|_| ());
    assert_eq!(verify(got.0 - 500), Ok(()));
    let latest = Timestamp(got.0 - 1);
    assert_eq!(verify(got.0 - 501), Err(LightError::Ahead { got, latest }));
}

#[test]
fn every_block_takes_a_millisecond_at_least() {
    let (set, _) = set(3, &[(1, 1)]);
    let at = |height: u64, time: u64| {
        let header = Header {
            height: Height(height),
            time: Timestamp(time),
            parent: trusting(&set).tip().block,
            ..later(&set)
        };
        let block = signed(header, &set, &[1]);
        trusting(&set).verify(&block, now(), &rules()).map(|_| ())
    };
    for height in [101, 102, 150] {
        let earliest = Timestamp(START.0 + height - 100);
        assert_eq!(at(height, earliest.0), Ok(()));
        for got in [earliest.0 - 1, START.0, 0] {
            let refused = LightError::Early { got: Timestamp(got), earliest };
            assert_eq!(at(height, got), Err(refused));
        }
    }
}

#[test]
fn a_header_that_breaks_a_rule_is_refused_by_name() {
    let (set, _) = set(3, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let verify = |block: &LightBlock| {
        trusting(&set).verify(block, now(), &rules()).map(|trusted| *trusted.tip())
    };
    let with = |header: Header| verify(&signed(header, &set, &[1, 2, 3]));
    let base = || later(&set);
    assert_eq!(with(base()), Ok(TrustedTip::of(&base())));

    let chain = LightError::Chain { got: ChainId(OTHER), expected: CHAIN };
    assert_eq!(with(Header { chain: ChainId(OTHER), ..base() }), Err(chain));
    let version = FinalityError::Version { got: 2 };
    assert_eq!(with(Header { version: 2, ..base() }), Err(version.into()));
    // Of a version that isn't ours nothing else is worth looking at, such as a header in between.
    let (strangers, _) = self::set(4, &[(9, 1)]);
    let block = signed(Header { version: 2, ..later(&strangers) }, &strangers, &[9]);
    assert_eq!(verify(&block), Err(FinalityError::Version { got: 2 }.into()));
    for got in [Height(100), Height(99), Height(0)] {
        let refused = LightError::Height { got, trusted: Height(100) };
        assert_eq!(with(Header { height: got, ..base() }), Err(refused));
    }
    let refused = LightError::Validators { got: set.hash(), expected: OTHER };
    assert_eq!(with(Header { validators: OTHER, ..base() }), Err(refused));
    let refused = LightError::NextValidators { got: set.hash(), expected: OTHER };
    assert_eq!(with(Header { next_validators: OTHER, ..base() }), Err(refused));
    let empty = FinalityProof { links: List::empty() };
    let refused = FinalityError::Links { got: 0, expected: 1 };
    let block = LightBlock::new(empty, set.clone(), set.clone());
    assert_eq!(verify(&block), Err(refused.into()));
    // A header of the true set under another epoch's name.
    let disagree = with(Header { epoch: Epoch(4), ..base() }).unwrap_err();
    assert!(matches!(disagree, LightError::Finality(FinalityError::Disagree("epoch"))));
}

#[test]
fn a_set_that_stays_is_not_sent_twice_and_one_that_changes_is_sent() {
    let (ours, _) = set(3, &[(1, 1)]);
    let (theirs, _) = set(4, &[(2, 1)]);
    let verify = |block: &LightBlock| {
        trusting(&ours).verify(block, now(), &rules()).map(|trusted| trusted.next().hash())
    };
    let stays = signed(later(&ours), &ours, &[1]);
    assert_eq!(stays.next_validators, None);
    assert_eq!(verify(&stays), Ok(ours.hash()));
    let twice = LightBlock { next_validators: Some(ours.clone()), ..stays };
    let same = LightError::NextValidators { got: ours.hash(), expected: ours.hash() };
    assert_eq!(verify(&twice), Err(same));

    let changes = Header { next_validators: theirs.hash(), ..later(&ours) };
    let mut changes = signed(changes, &ours, &[1]);
    let missing = LightError::NextValidators { got: ours.hash(), expected: theirs.hash() };
    assert_eq!(verify(&changes), Err(missing));
    changes.next_validators = Some(theirs.clone());
    assert_eq!(verify(&changes), Ok(theirs.hash()));
}

#[test]
fn the_next_height_follows_its_parent_by_the_promised_set() {
    let (ours, _) = set(3, &[(1, 1), (2, 1)]);
    let (theirs, _) = set(4, &[(1, 1), (2, 1)]);
    let trusted = trusting(&ours);
    let parent = trusted.tip().block;
    let verify = |header: Header, set: &ValidatorSet| {
        let block = signed(Header { height: Height(101), ..header }, set, &[1, 2]);
        trusted.verify(&block, now(), &rules()).map(|_| ())
    };
    assert_eq!(verify(Header { parent, ..later(&ours) }, &ours), Ok(()));
    let other = Header { parent: BlockId(OTHER), ..later(&ours) };
    let refused = FinalityError::Chain { what: "another parent" };
    assert_eq!(verify(other, &ours), Err(refused.into()));
    // A full overlap doesn't help a set that the parent didn't promise.
    let refused = FinalityError::Chain { what: "another validator set" };
    assert_eq!(verify(Header { parent, ..later(&theirs) }, &theirs), Err(refused.into()));
}

#[test]
fn another_set_needs_a_later_epoch() {
    let (ours, _) = set(3, &[(1, 1), (2, 1)]);
    for (epoch, verdict) in [(2, false), (3, false), (4, true), (50, true)] {
        // With other weights, or the very same members: an epoch is part of its set.
        for weight in [5, 1] {
            let (theirs, _) = set(epoch, &[(1, 1), (2, weight)]);
            let block = signed(later(&theirs), &theirs, &[1, 2]);
            let verified = trusting(&ours).verify(&block, now(), &rules()).map(|_| ());
            let refused = LightError::Epoch { got: Epoch(epoch), trusted: Epoch(3) };
            let is_ours = theirs.hash() == ours.hash();
            assert_eq!(verified, if verdict || is_ours { Ok(()) } else { Err(refused) });
        }
    }
}

#[test]
fn forged_signatures_are_found_however_good_the_overlap_looks() {
    let (set, _) = set(3, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let mut block = signed(later(&set), &set, &[1, 2, 3]);
    let mut links = block.proof.links.to_vec();
    let mut signatures = links[0].certificate.signatures.to_vec();
    signatures[64] ^= 1;
    links[0].certificate.signatures = Bytes::new(signatures).unwrap();
    block.proof.links = List::new(links).unwrap();
    let trusted = trusting(&set);
    assert_eq!(trusted.overlap(&block), Weight(3));
    let refused = trusted.verify(&block, now(), &rules()).unwrap_err();
    let LightError::Finality(FinalityError::Certificate(CertificateError::Signatures(bad))) =
        refused
    else {
        panic!("{refused}")
    };
    assert_eq!(bad.len(), 1);
}

#[test]
fn a_member_that_is_listed_twice_counts_once_and_its_set_is_refused() {
    let (ours, _) = set(3, &[(1, 2), (2, 2), (3, 2), (4, 2)]);
    let member = |n| Validator { weight: Weight(1), ..set(0, &[(n, 1)]).0.members[0] };
    let raw = |members: Vec<Validator>| ValidatorSet {
        epoch: Epoch(4),
        scheme: Scheme::default(),
        members: List::new(members).unwrap(),
    };
    let verify = |set: &ValidatorSet| {
        let block = signed(later(set), set, &[1, 2, 3, 4]);
        let trusted = trusting(&ours);
        (trusted.overlap(&block), trusted.verify(&block, now(), &rules()).map(|_| ()))
    };
    let twice = raw(vec![member(1), member(1), member(1)]);
    assert_eq!(
        verify(&twice),
        (Weight(2), Err(LightError::Overlap { got: Weight(2), total: Weight(8) }))
    );
    // Enough of them, but out of order, which would let a member hide twice.
    let mut members: Vec<_> = [1, 2, 3].map(member).into();
    members.sort_by_key(|member| core::cmp::Reverse(member.public_key));
    let (overlap, verdict) = verify(&raw(members));
    assert_eq!(overlap, Weight(6));
    assert!(matches!(verdict, Err(LightError::Set(ValidatorSetError::Order(_)))), "{verdict:?}");
}

#[test]
fn a_set_in_another_order_is_another_set() {
    let (ours, _) = set(3, &[(1, 1), (2, 1), (3, 1)]);
    let mut block = signed(later(&ours), &ours, &[1, 2, 3]);
    let mut members = ours.members.to_vec();
    members.reverse();
    block.validators.members = List::new(members).unwrap();
    let refused = trusting(&ours).verify(&block, now(), &rules()).unwrap_err();
    assert!(matches!(refused, LightError::Validators { expected, .. } if expected == ours.hash()));
}

#[test]
fn trust_starts_with_the_set_that_the_tip_names() {
    let (ours, _) = set(3, &[(1, 1)]);
    let (theirs, _) = set(4, &[(1, 1)]);
    let tip = *trusting(&ours).tip();
    let refused = LightError::NextValidators { got: theirs.hash(), expected: ours.hash() };
    assert_eq!(Trusted::new(tip, theirs).unwrap_err(), refused);
    let none = ValidatorSet { epoch: Epoch(0), scheme: Scheme::default(), members: List::empty() };
    let tip = TrustedTip { next_validators: none.hash(), ..tip };
    assert_eq!(Trusted::new(tip, none).unwrap_err(), ValidatorSetError::Empty.into());
}

#[test]
fn a_checkpoint_is_the_block_it_names_decided_and_young_enough() {
    let (ours, _) = set(3, &[(1, 1), (2, 1), (3, 1)]);
    let block = signed(later(&ours), &ours, &[1, 2, 3]);
    let header = block.header().unwrap().clone();
    let checkpoint = Checkpoint { chain: CHAIN, height: Height(150), block: header.id() };
    let anchor = |checkpoint: &Checkpoint, block: &LightBlock, now: u64| {
        Trusted::anchor(checkpoint, block, Timestamp(now), &rules()).map(|trusted| *trusted.tip())
    };
    let (first, last) = (header.time.0 - 500, header.time.0 + HOUR.0);
    for now in [first, header.time.0, last] {
        assert_eq!(anchor(&checkpoint, &block, now), Ok(TrustedTip::of(&header)));
    }
    let old = anchor(&checkpoint, &block, last + 1).unwrap_err();
    assert!(matches!(old, LightError::Expired { trusted, .. } if trusted == header.time));
    let early = anchor(&checkpoint, &block, first - 1).unwrap_err();
    assert!(matches!(early, LightError::Ahead { .. }));

    let refused = LightError::Checkpoint { got: header.id(), expected: BlockId(OTHER) };
    let other = Checkpoint { block: BlockId(OTHER), ..checkpoint };
    assert_eq!(anchor(&other, &block, last), Err(refused));
    let refused = LightError::Height { got: Height(150), trusted: Height(151) };
    let other = Checkpoint { height: Height(151), ..checkpoint };
    assert_eq!(anchor(&other, &block, last), Err(refused));
    let refused = LightError::Chain { got: CHAIN, expected: ChainId(OTHER) };
    let other = Checkpoint { chain: ChainId(OTHER), ..checkpoint };
    assert_eq!(anchor(&other, &block, last), Err(refused));

    let undecided = signed(later(&ours), &ours, &[1, 2]);
    let refused = anchor(&checkpoint, &undecided, last).unwrap_err();
    assert!(matches!(refused, LightError::Finality(FinalityError::Certificate(_))), "{refused}");
    let (theirs, _) = set(4, &[(9, 1)]);
    let refused = LightError::Validators { got: theirs.hash(), expected: ours.hash() };
    let stranger = LightBlock { validators: theirs, ..block };
    assert_eq!(anchor(&checkpoint, &stranger, last), Err(refused));
}

#[test]
fn a_trusting_period_is_shorter_than_punishment_and_that_no_longer_than_stake_is_locked() {
    let new = |period, evidence, unbonding| {
        TrustingPeriod::new(Duration(period), Duration(evidence), Duration(unbonding))
    };
    assert_eq!(new(1, 2, 2).map(TrustingPeriod::duration), Ok(Duration(1)));
    assert_eq!(new(1, 2, 3).map(TrustingPeriod::duration), Ok(Duration(1)));
    assert_eq!(new(0, 2, 3), Err(TrustingPeriodError::Zero));
    for period in [2, 3] {
        let refused = TrustingPeriodError::EvidenceAge {
            period: Duration(period),
            evidence_age: Duration(2),
        };
        assert_eq!(new(period, 2, 3), Err(refused));
    }
    let refused =
        TrustingPeriodError::Unbonding { evidence_age: Duration(4), unbonding: Duration(3) };
    assert_eq!(new(1, 4, 3), Err(refused));
}

#[test]
fn a_light_block_has_one_encoding() {
    let (set, _) = set(3, &[(1, 1), (2, 1)]);
    let block = signed(later(&set), &set, &[1, 2]);
    let bytes = encode(&block);
    assert_eq!(decode::<LightBlock>(&bytes), Ok(block));
    let longer = [&bytes[..], &[0]].concat();
    assert!(decode::<LightBlock>(&longer).is_err());
}

/// A Jolteon decision of height 150: two headers in a row, each signed by members with these numbers.
fn decided_in_two(set: &ValidatorSet, secrets: &[SecretKey], signers: [&[u8]; 2]) -> LightBlock {
    let electorate = Electorate::new(set.clone()).unwrap();
    let mut header = later(set);
    let mut links = Vec::new();
    for (who, round) in signers.into_iter().zip([8, 9]) {
        let keys: Vec<_> = who.iter().map(|&n| secret(n).public_key()).collect();
        let is_signer = |place: &usize| keys.contains(&secrets[*place].public_key());
        let places: Vec<usize> = (0..secrets.len()).filter(is_signer).collect();
        let data = VoteData {
            protocol: Protocol::Jolteon,
            height: header.height,
            round: Round(round),
            ..vote_data(&electorate, Phase::Prepare, header.id())
        };
        let certificate = certificate(data, &electorate, secrets, &places);
        links.push(FinalityLink { header: header.clone(), certificate: certificate.clone() });
        header.parent = header.id();
        header.height = header.height.next();
        header.parent_certificate = Some(certificate);
    }
    let proof = FinalityProof { links: List::new(links).unwrap() };
    LightBlock::new(proof, set.clone(), set.clone())
}

#[test]
fn where_several_certificates_decide_those_count_who_signed_them_all() {
    let (ours, _) = set(3, &[(1, 1), (2, 1), (3, 1)]);
    let members: Vec<(u8, u64)> = (1..=9).map(|n| (n, 1)).collect();
    let (theirs, secrets) = set(4, &members);
    let trusted = trusting(&ours);
    let cases: [([&[u8]; 2], u64); 4] = [
        ([&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, 6, 7]], 3),
        ([&[1, 2, 3, 4, 5, 6, 7], &[2, 3, 4, 5, 6, 7, 8]], 2),
        ([&[1, 2, 3, 4, 5, 6, 7], &[3, 4, 5, 6, 7, 8, 9]], 1),
        // Two of three signed each, but only one of them both.
        ([&[1, 2, 4, 5, 6, 7, 8], &[2, 3, 4, 5, 6, 7, 8]], 1),
    ];
    for (signers, weighs) in cases {
        let block = decided_in_two(&theirs, &secrets, signers);
        let (got, total) = (Weight(weighs), Weight(3));
        assert_eq!(trusted.overlap(&block), got);
        let verified = trusted.verify(&block, now(), &rules()).map(|trusted| trusted.tip().height);
        let refused = LightError::Overlap { got, total };
        assert_eq!(verified, if weighs > 1 { Ok(Height(150)) } else { Err(refused) });
    }
    let undecided =
        decided_in_two(&theirs, &secrets, [&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, 6]]);
    let refused = trusted.verify(&undecided, now(), &rules()).unwrap_err();
    assert!(matches!(refused, LightError::Finality(FinalityError::Certificate(_))), "{refused}");
}

/// Nothing of a block is left unsigned, and no damage makes a verifier panic.
#[test]
fn whatever_byte_is_changed_the_block_is_refused() {
    let (ours, _) = set(3, &[(1, 1), (2, 1), (3, 1)]);
    let (next, _) = set(4, &[(4, 1)]);
    let header = Header { next_validators: next.hash(), ..later(&ours) };
    let block = LightBlock { next_validators: Some(next), ..signed(header, &ours, &[1, 2, 3]) };
    let trusted = trusting(&ours);
    assert!(trusted.verify(&block, now(), &rules()).is_ok());
    let bytes = encode(&block);
    let mut decodable = 0;
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            let Ok(damaged) = decode::<LightBlock>(&bytes) else { continue };
            decodable += 1;
            trusted.overlap(&damaged);
            let verdict = trusted.verify(&damaged, now(), &rules());
            assert!(verdict.is_err(), "byte {place} of {}", bytes.len());
        }
    }
    assert!(decodable > bytes.len());
}

proptest! {
    /// An independent verdict: members and weights in plain vectors, one third and two thirds in
    /// 128-bit integers.
    #[test]
    fn skipping_agrees_with_a_plain_count(
        trusted in proptest::collection::btree_map(0u8..12, 1u64..9, 1..9),
        new in proptest::collection::btree_map(0u8..12, 1u64..9, 1..9),
        signs: u16,
    ) {
        let trusted: Vec<(u8, u64)> = trusted.into_iter().collect();
        let new: Vec<(u8, u64)> = new.into_iter().collect();
        let signers: Vec<u8> = new.iter().map(|m| m.0).filter(|n| signs >> n & 1 == 1).collect();
        let weight = |set: &[(u8, u64)]| -> u128 {
            set.iter().filter(|m| signers.contains(&m.0)).map(|m| u128::from(m.1)).sum()
        };
        let total = |set: &[(u8, u64)]| -> u128 { set.iter().map(|m| u128::from(m.1)).sum() };
        let overlaps = 3 * weight(&trusted) > total(&trusted);
        let decided = 3 * weight(&new) > 2 * total(&new);

        let (next, _) = set(3, &trusted);
        let (set, _) = set(4, &new);
        let verified = trusting(&next).verify(&signed(later(&set), &set, &signers), now(), &rules());
        prop_assert_eq!(verified.is_ok(), overlaps && decided);
        if !overlaps {
            let is_overlap = matches!(verified, Err(LightError::Overlap { .. }));
            prop_assert!(is_overlap);
        }
    }
}
