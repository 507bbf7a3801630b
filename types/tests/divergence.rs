//! Two headers proved at one height show that validators broke the protocol, and which of them.

mod common;

use common::*;
use pocket_types::block::Header;
use pocket_types::codec::{Bytes, List, decode, encode};
use pocket_types::evidence::Evidence;
use pocket_types::finality::{FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::light::{
    Blame, Divergence, DivergenceError, LightBlock, LightError, MAX_STEPS, Trusted,
};
use pocket_types::number::{Epoch, Height, Round, Timestamp};
use pocket_types::validator::{Electorate, ValidatorSet};
use pocket_types::vote::{Phase, VoteData};

const HEIGHT: Height = Height(30);

fn trusting(next: &Electorate) -> Trusted {
    let tip = TrustedTip {
        chain: CHAIN,
        height: Height(7),
        block: BlockId(Hash([0xaa; 32])),
        time: Timestamp(1_000),
        next_validators: next.hash(),
    };
    Trusted::new(tip, next.set().clone()).unwrap()
}

/// A block that differs from others by its state, decided in a round by some of a set.
fn block(
    state: u8,
    round: u64,
    electorate: &Electorate,
    secrets: &[SecretKey],
    signers: &[usize],
) -> LightBlock {
    let header = Header { height: HEIGHT, state_root: Hash([state; 32]), ..header(electorate) };
    let data = VoteData {
        height: HEIGHT,
        round: Round(round),
        ..vote_data(electorate, Phase::Commit, header.id())
    };
    let certificate = certificate(data, electorate, secrets, signers);
    let proof = FinalityProof::commit(header, certificate);
    LightBlock::new(proof, electorate.set().clone(), electorate.set().clone())
}

fn keys(secrets: &[SecretKey], places: &[usize]) -> Vec<PublicKey> {
    places.iter().map(|&place| secrets[place].public_key()).collect()
}

fn between(from: &Trusted, a: &LightBlock, b: &LightBlock) -> Divergence {
    Divergence::between(from, vec![a.clone()], vec![b.clone()]).unwrap()
}

/// The verdict of somebody who knows where it starts and nothing later.
fn verify(divergence: &Divergence) -> Result<Blame, DivergenceError> {
    divergence.verify(|height| Some(divergence.from).filter(|from| from.height == height))
}

fn side(blocks: &[LightBlock]) -> List<LightBlock, MAX_STEPS> {
    List::new(blocks.to_vec()).unwrap()
}

#[test]
fn who_signs_two_blocks_of_a_round_is_guilty() {
    let (electorate, secrets) = electorate(&[1; 7]);
    let a = block(1, 0, &electorate, &secrets, &[0, 1, 2, 3, 4]);
    let b = block(2, 0, &electorate, &secrets, &[2, 3, 4, 5, 6]);
    let divergence = between(&trusting(&electorate), &a, &b);
    let Blame::Equivocation { guilty, evidence } = verify(&divergence).unwrap() else { panic!() };
    assert_eq!(guilty, keys(&secrets, &[2, 3, 4]), "by key, which is by place in one set");
    let offenders: Vec<_> = evidence.iter().map(|e| e.verify(CHAIN).unwrap().offender).collect();
    assert_eq!(offenders, guilty, "and the ledger agrees on each");
    let Evidence::Equivocation { first, second } = evidence[0] else { panic!() };
    assert_eq!((first.data.height, first.data.slot()), (HEIGHT, second.data.slot()));
    // One fork has one form, whoever sees it.
    assert_eq!(between(&trusting(&electorate), &b, &a), divergence);
}

#[test]
fn who_signs_in_two_rounds_is_suspected_only() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let a = block(1, 0, &electorate, &secrets, &[0, 1, 2]);
    let b = block(2, 1, &electorate, &secrets, &[0, 2, 3]);
    let divergence = between(&trusting(&electorate), &a, &b);
    let expected = Blame::Amnesia { suspects: keys(&secrets, &[0, 2]) };
    assert_eq!(verify(&divergence), Ok(expected));
}

#[test]
fn between_two_sets_the_trusted_signers_of_each_side_are_suspected() {
    let (ours, secrets) = electorate(&[1; 4]);
    // A set that keeps two of the four, and one that nobody elected, with the other two.
    let set_of = |epoch, seed, keep: &[usize]| {
        let (strangers, others) = electorate_of(Epoch(epoch), seed, &[1; 2]);
        let mut members = strangers.set().members.to_vec();
        members.extend(keep.iter().map(|&place| ours.set().members[place]));
        let set = ValidatorSet::new(Epoch(epoch), members).unwrap();
        let mut secrets: Vec<_> = others;
        // Secrets don't copy themselves: these are made once more.
        let kept = electorate(&[1; 4]).1.into_iter().enumerate();
        secrets.extend(kept.filter(|(place, _)| keep.contains(place)).map(|(_, secret)| secret));
        secrets.sort_by_key(SecretKey::public_key);
        (Electorate::new(set).unwrap(), secrets)
    };
    let (one, one_secrets) = set_of(4, 50, &[0, 1]);
    let (two, two_secrets) = set_of(5, 60, &[2, 3]);
    let a = block(1, 0, &one, &one_secrets, &[0, 1, 2, 3]);
    let b = block(2, 0, &two, &two_secrets, &[0, 1, 2, 3]);
    let divergence = between(&trusting(&ours), &a, &b);
    let (by_a, by_b) = (keys(&secrets, &[0, 1]), keys(&secrets, &[2, 3]));
    let is_a_first = divergence.one[0] == a;
    let sides =
        if is_a_first { (by_a.clone(), by_b.clone()) } else { (by_b.clone(), by_a.clone()) };
    assert_eq!(verify(&divergence), Ok(Blame::Disputed { one: sides.0, other: sides.1 }));

    // Who has the chain knows which of the two headers is its own, or that neither is, and who was in
    // office.
    let judge = |own: &LightBlock| {
        let own = own.header().unwrap();
        let before = TrustedTip {
            height: Height(HEIGHT.0 - 1),
            next_validators: own.validators,
            ..divergence.from
        };
        let known = [divergence.from, before, TrustedTip::of(own)];
        divergence.verify(|height| known.into_iter().find(|tip| tip.height == height))
    };
    let lunatic = |guilty: &[PublicKey], suspects: &[PublicKey]| {
        Ok(Blame::Lunatic { guilty: guilty.to_vec(), suspects: suspects.to_vec() })
    };
    assert_eq!(judge(&b), lunatic(&by_a, &[]));
    assert_eq!(judge(&a), lunatic(&by_b, &[]));
    // Neither is the judge's, but the first has the right validators: its signers are suspects.
    let neither = block(3, 0, &one, &one_secrets, &[0, 1, 2, 3]);
    assert_eq!(judge(&neither), lunatic(&by_b, &by_a));
}

#[test]
fn two_headers_of_one_set_that_was_never_in_office_are_no_equivocation() {
    let (ours, secrets) = electorate(&[1; 4]);
    let (mine, my_secrets) = {
        let (_, others) = electorate_of(Epoch(4), 50, &[1; 2]);
        let kept = electorate(&[1; 4]).1.into_iter().take(2);
        let mut secrets: Vec<_> = others.into_iter().chain(kept).collect();
        secrets.sort_by_key(SecretKey::public_key);
        let member = |key: &SecretKey| pocket_types::validator::Validator {
            public_key: key.public_key(),
            ..ours.set().members[0]
        };
        let set = ValidatorSet::new(Epoch(4), secrets.iter().map(member).collect()).unwrap();
        (Electorate::new(set).unwrap(), secrets)
    };
    let sides = [1, 2].map(|state| block(state, 0, &mine, &my_secrets, &[0, 1, 2, 3]));
    let divergence = between(&trusting(&ours), &sides[0], &sides[1]);
    // Who can't know takes it for what it looks like; who was in office is for the ledger to say.
    let Ok(Blame::Equivocation { guilty, .. }) = verify(&divergence) else { panic!() };
    assert_eq!(guilty.len(), 4);
    let true_one = TrustedTip::of(block(3, 0, &ours, &secrets, &[0, 1, 2]).header().unwrap());
    let before = TrustedTip { height: Height(HEIGHT.0 - 1), ..divergence.from };
    let known = [divergence.from, before, true_one];
    let verdict = divergence.verify(|height| known.into_iter().find(|tip| tip.height == height));
    let guilty = keys(&secrets, &[0, 1]);
    assert_eq!(verdict, Ok(Blame::Lunatic { guilty, suspects: vec![] }));
}

#[test]
fn a_side_may_take_several_steps_and_the_first_false_one_tells() {
    let (ours, secrets) = electorate(&[1; 4]);
    let (others, other_secrets) = electorate_of(Epoch(4), 50, &[1; 4]);
    // On one side a header of height 20 hands over to a set that shares nobody with ours.
    let handover = Header {
        height: Height(20),
        next_validators: others.hash(),
        time: Timestamp(2_000),
        ..header(&ours)
    };
    let proof = decided(handover, &ours, &secrets, &[0, 1, 2]);
    let handover = LightBlock::new(proof, ours.set().clone(), others.set().clone());
    let end = block(1, 0, &others, &other_secrets, &[0, 1, 3]);
    let direct = block(2, 0, &ours, &secrets, &[1, 2, 3]);
    let trusted = trusting(&ours);
    let fork = |a: Vec<LightBlock>| Divergence::between(&trusted, a, vec![direct.clone()]).unwrap();
    let divergence = fork(vec![handover.clone(), end.clone()]);

    let chain = |blocks: [&LightBlock; 2]| {
        let tips = blocks.map(|block| TrustedTip::of(block.header().unwrap()));
        let known = [*trusted.tip(), tips[0], tips[1]];
        divergence.verify(|height| known.into_iter().find(|tip| tip.height == height))
    };
    // The handover is the chain's: the header that ignores it is the lie of those who signed that. Were
    // they in office? The header before would tell, and this judge doesn't have it.
    let suspects = keys(&secrets, &[1, 2, 3]);
    assert_eq!(chain([&handover, &end]), Ok(Blame::Lunatic { guilty: vec![], suspects }));
    // The handover is the lie, whoever signs what follows from it.
    let header = Header { height: Height(20), time: Timestamp(2_000), ..header(&ours) };
    let proof = decided(header, &ours, &secrets, &[0, 1, 2, 3]);
    let true_one = LightBlock::new(proof, ours.set().clone(), ours.set().clone());
    let suspects = keys(&secrets, &[0, 1, 2]);
    assert_eq!(chain([&true_one, &direct]), Ok(Blame::Lunatic { guilty: vec![], suspects }));

    // Without its first step the side doesn't hold.
    let refused = verify(&fork(vec![end])).unwrap_err();
    assert!(matches!(
        refused,
        DivergenceError::One(LightError::Overlap { .. })
            | DivergenceError::Other(LightError::Overlap { .. })
    ));
    let long = vec![handover; MAX_STEPS + 1];
    assert!(Divergence::between(&trusting(&ours), long, vec![direct.clone()]).is_err());
}

#[test]
fn what_is_no_fork_proves_nothing() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let trusted = trusting(&electorate);
    let a = block(1, 0, &electorate, &secrets, &[0, 1, 2]);
    let b = block(2, 0, &electorate, &secrets, &[1, 2, 3]);
    let fork = between(&trusted, &a, &b);
    assert!(verify(&fork).is_ok());

    let no_conflict = Err(DivergenceError::NoConflict);
    assert_eq!(verify(&between(&trusted, &a, &a)), no_conflict);
    // The same block twice is no fork, though different signers and rounds decided it.
    let again = block(1, 3, &electorate, &secrets, &[1, 2, 3]);
    assert_eq!(verify(&between(&trusted, &a, &again)), no_conflict);
    let Divergence { one, other, .. } = fork.clone();
    let swapped = Divergence { one: other, other: one, ..fork.clone() };
    assert_eq!(verify(&swapped), no_conflict);

    let header = Header { height: HEIGHT.next(), ..header(&electorate) };
    let elsewhere = decided(header, &electorate, &secrets, &[0, 1, 2]);
    let set = || electorate.set().clone();
    let heights = Divergence {
        other: side(&[LightBlock::new(elsewhere, set(), set())]),
        one: fork.one.clone(),
        ..fork.clone()
    };
    let refused = DivergenceError::Heights { one: HEIGHT, other: HEIGHT.next() };
    assert_eq!(verify(&heights), Err(refused));
}

#[test]
fn both_sides_must_hold_from_a_header_that_the_judge_knows() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let trusted = trusting(&electorate);
    let a = block(1, 0, &electorate, &secrets, &[0, 1, 2]);
    let b = block(2, 0, &electorate, &secrets, &[1, 2, 3]);
    let fork = between(&trusted, &a, &b);

    let known = [
        None,
        Some(TrustedTip { block: BlockId(Hash([1; 32])), ..fork.from }),
        Some(TrustedTip { time: Timestamp(2), ..fork.from }),
        Some(TrustedTip { chain: ChainId(Hash([9; 32])), ..fork.from }),
        Some(TrustedTip { next_validators: Hash([9; 32]), ..fork.from }),
    ];
    for known in known {
        let refused = DivergenceError::Unknown { got: fork.from.block, height: fork.from.height };
        assert_eq!(fork.verify(|_| known), Err(refused));
    }
    let (strangers, _) = electorate_of(Epoch(3), 77, &[1; 4]);
    let other_set = Divergence { validators: strangers.set().clone(), ..fork.clone() };
    let refused = verify(&other_set).unwrap_err();
    let expected = electorate.hash();
    assert!(
        matches!(refused, DivergenceError::One(LightError::NextValidators { expected: e, .. }) if e == expected)
    );

    let forge = |blocks: &[LightBlock]| {
        let mut block = blocks[0].clone();
        let mut links = block.proof.links.to_vec();
        let mut signatures = links[0].certificate.signatures.to_vec();
        signatures[7] ^= 1;
        links[0].certificate.signatures = Bytes::new(signatures).unwrap();
        block.proof.links = List::new(links).unwrap();
        side(&[block])
    };
    let one = Divergence { one: forge(&fork.one), ..fork.clone() };
    assert!(matches!(verify(&one), Err(DivergenceError::One(LightError::Finality(_)))));
    let other = Divergence { other: forge(&fork.other), ..fork.clone() };
    assert!(matches!(verify(&other), Err(DivergenceError::Other(LightError::Finality(_)))));
    let proof = FinalityProof { links: List::empty() };
    for one in [side(&[]), side(&[LightBlock { proof, ..fork.one[0].clone() }])] {
        let nothing = Divergence { one, ..fork.clone() };
        assert!(matches!(verify(&nothing), Err(DivergenceError::One(_))));
    }
}

#[test]
fn a_fork_has_one_encoding() {
    let (electorate, secrets) = electorate(&[1; 4]);
    let a = block(1, 0, &electorate, &secrets, &[0, 1, 2]);
    let b = block(2, 0, &electorate, &secrets, &[1, 2, 3]);
    let fork = between(&trusting(&electorate), &a, &b);
    let bytes = encode(&fork);
    assert_eq!(decode::<Divergence>(&bytes).as_ref(), Ok(&fork));
    assert!(decode::<Divergence>(&bytes[..bytes.len() - 1]).is_err());
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1;
        let Ok(damaged) = decode::<Divergence>(&bytes) else { continue };
        let known = |height: Height| Some(fork.from).filter(|from| from.height == height);
        assert!(damaged.verify(known).is_err(), "byte {place} of {}", bytes.len());
    }
}
