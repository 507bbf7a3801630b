//! Sets that sign by BLS: certificates of one signature, votes checked together, and evidence.

mod common;

use common::*;
use pocket_types::bls::{BlsKeyError, BlsPublicKey, BlsSecretKey, BlsSignature};
use pocket_types::codec::{self, Bytes};
use pocket_types::evidence::{Evidence, EvidenceError};
use pocket_types::finality::{FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::SecretKey;
use pocket_types::light::{LightBlock, LightError, Rules, Trusted, TrustingPeriod};
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::scheme::{Scheme, Signed};
use pocket_types::validator::{Electorate, Validator, ValidatorSet, ValidatorSetError};
use pocket_types::vote::{Certificate, CertificateError, Phase, Protocol, Vote, VoteData};

const BLOCK: BlockId = BlockId(Hash([0xb1; 32]));

struct Members {
    electorate: Electorate,
    keys: Vec<(SecretKey, BlsSecretKey)>,
}

fn bls(n: u8) -> BlsSecretKey {
    BlsSecretKey::from_seed([n; 32]).unwrap()
}

fn members(weights: &[u64]) -> Members {
    let mut keys: Vec<_> = (1..).take(weights.len()).map(|n| (secret(n), bls(n))).collect();
    keys.sort_by_key(|(key, _)| key.public_key());
    let members = keys.iter().zip(weights).map(|((key, bls), &weight)| Validator {
        public_key: key.public_key(),
        vrf_key: vrf_secret(1).public_key(),
        weight: Weight(weight),
        bls_key: Some(bls.public_key()),
    });
    let set = ValidatorSet::new(Epoch(3), members.collect()).unwrap();
    let electorate = Electorate::new(set.signing_by(Scheme::BlsAggregate)).unwrap();
    Members { electorate, keys }
}

impl Members {
    fn vote(&self, data: VoteData, signer: usize) -> Vote {
        let (key, bls) = &self.keys[signer];
        let signature = bls.sign(&data.digest()).into();
        Vote { data, signer: key.public_key(), signature }
    }

    fn votes(&self, data: VoteData, signers: &[usize]) -> Vec<Vote> {
        signers.iter().map(|&signer| self.vote(data, signer)).collect()
    }

    fn data(&self, phase: Phase) -> VoteData {
        vote_data(&self.electorate, phase, BLOCK)
    }
}

#[test]
fn a_certificate_is_a_bitmap_and_96_bytes_however_many_sign() {
    let size = |n: usize| {
        let members = members(&vec![1; n]);
        let data = members.data(Phase::Commit);
        let quorum: Vec<_> = (0..n * 2 / 3 + 1).collect();
        let certificate =
            Certificate::from_votes(data, &members.votes(data, &quorum), &members.electorate);
        let certificate = certificate.unwrap();
        assert_eq!(certificate.verify(&members.electorate), Ok(()));
        assert_eq!(certificate.signatures.len(), 96);
        assert_eq!(certificate.signers.len(), n.div_ceil(8));
        codec::encoded_len(&certificate)
    };
    let one = size(1);
    assert_eq!((size(8), size(9), size(64)), (one, one + 1, one + 7));
}

#[test]
fn late_votes_are_added_to_an_aggregate_that_is_then_checked_as_a_whole() {
    let members = members(&[1; 7]);
    let data = members.data(Phase::Commit);
    let all = members.votes(data, &[0, 1, 2, 3, 4, 5, 6]);
    let quorum = Certificate::from_votes(data, &all[1..6], &members.electorate).unwrap();
    let whole = quorum.extended(&all, &members.electorate);
    assert_eq!(whole.positions().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(whole.signatures.len(), 96);
    assert_eq!(whole.verify_beyond(&members.electorate, Some(&quorum)), Ok(()));
    assert_eq!(whole, Certificate::from_votes(data, &all, &members.electorate).unwrap());
    // The old signature under more signers, or the new one under fewer, is nobody's.
    for (signers, signatures) in [(&whole, &quorum), (&quorum, &whole)] {
        let (signers, signatures) = (signers.signers.clone(), signatures.signatures.clone());
        let mixed = Certificate { signers, signatures, ..whole.clone() };
        let refused = mixed.verify_beyond(&members.electorate, Some(&quorum));
        assert!(matches!(refused, Err(CertificateError::Aggregate(_))), "{refused:?}");
    }
}

#[test]
fn timeout_certificates_hold_signatures_of_several_rounds() {
    let members = members(&[1; 7]);
    let data = VoteData {
        protocol: Protocol::Jolteon,
        block: BlockId::default(),
        ..members.data(Phase::NewRound)
    };
    let highs = [Some(3), None, Some(7), Some(3), None, Some(3), Some(6)];
    let vote =
        |signer: usize| members.vote(VoteData { high: highs[signer].map(Round), ..data }, signer);
    let votes: Vec<_> = (0..7).map(vote).collect();
    let signed: Vec<_> = (0..7).map(|position| signed(position, &votes[position])).collect();
    assert_eq!(members.electorate.verifier().verify(&signed), Ok(()));
    let honest = Certificate::from_votes(data, &votes[..5], &members.electorate).unwrap();
    assert_eq!(honest.verify(&members.electorate), Ok(()));
    let whole = honest.extended(&votes, &members.electorate);
    assert_eq!(whole.data.high, Some(Round(7)));
    assert_eq!(whole.signatures.len(), 96);
    assert_eq!(whole.verify_beyond(&members.electorate, Some(&honest)), Ok(()));
    for position in 0..7 {
        let mut highs = whole.highs.to_vec();
        highs[position] = Some(Round(5));
        let high = highs.iter().copied().max().flatten();
        let highs = codec::List::new(highs).unwrap();
        let forged = Certificate { data: VoteData { high, ..data }, highs, ..whole.clone() };
        let refused = forged.verify(&members.electorate);
        assert!(matches!(refused, Err(CertificateError::Aggregate(_))), "{refused:?}");
    }
}

fn signed(position: usize, vote: &Vote) -> Signed {
    Signed { position, digest: vote.data.digest(), signature: vote.signature }
}

#[test]
fn every_bad_vote_of_a_batch_is_named_and_no_other() {
    let members = members(&[1; 9]);
    let [prepare, commit] = [Phase::Prepare, Phase::Commit].map(|phase| members.data(phase));
    let mut batch: Vec<_> =
        [8, 3, 5, 0, 1].map(|position| signed(position, &members.vote(prepare, position))).into();
    batch.extend([2, 7].map(|position| signed(position, &members.vote(commit, position))));
    assert_eq!(members.electorate.verifier().verify(&batch), Ok(()));
    type Spoil = fn(&Members, Signed) -> Signed;
    let spoil: [(&str, Spoil); 5] = [
        ("of another phase", |members, s| {
            let vote = members.vote(members.data(Phase::PreCommit), s.position);
            Signed { signature: vote.signature, ..s }
        }),
        ("of another member", |_, s| Signed { position: s.position ^ 4, ..s }),
        ("of nobody", |_, s| Signed { position: 9, ..s }),
        ("no point", |_, s| Signed { signature: BlsSignature([7; 96]).into(), ..s }),
        ("by the identity's key", |members, s| {
            let signature = members.keys[s.position].0.sign(&s.digest).into();
            Signed { signature, ..s }
        }),
    ];
    for (name, spoil) in spoil {
        for bad in [vec![0], vec![1, 4], vec![5], vec![2, 6], vec![0, 1, 2, 3, 4, 5, 6]] {
            let mut batch = batch.clone();
            bad.iter().for_each(|&place| batch[place] = spoil(&members, batch[place]));
            let found = members.electorate.verifier().verify(&batch);
            assert_eq!(found, Err(bad), "{name}");
        }
    }
    // The same position twice: each stands for itself.
    let good = batch[0];
    let bad = Signed { signature: batch[1].signature, ..good };
    for (twice, found) in [
        (vec![good, good], Ok(())),
        (vec![good, bad], Err(vec![1])),
        (vec![bad, good], Err(vec![0])),
        (vec![bad, bad], Err(vec![0, 1])),
    ] {
        assert_eq!(members.electorate.verifier().verify(&twice), found);
    }
}

#[test]
fn signatures_of_one_scheme_are_none_of_the_other() {
    let members = members(&[1; 4]);
    let data = members.data(Phase::Prepare);
    let certificate =
        Certificate::from_votes(data, &members.votes(data, &[0, 1, 2]), &members.electorate)
            .unwrap();
    let list = Certificate { scheme: Scheme::Ed25519List, ..certificate.clone() };
    assert!(matches!(list.verify(&members.electorate), Err(CertificateError::Scheme { .. })));
    for signatures in [vec![], vec![0; 95], vec![0; 192], vec![0; 64 * 3]] {
        let got = signatures.len();
        let signatures = Bytes::new(signatures).unwrap();
        let cut = Certificate { signatures, ..certificate.clone() };
        let refused = CertificateError::SignatureCount { got, signers: 3 };
        assert_eq!(cut.verify(&members.electorate), Err(refused));
    }

    // The same members in a set that signs by Ed25519.
    let set = members.electorate.set().clone().signing_by(Scheme::Ed25519List);
    let plain = Electorate::new(set).unwrap();
    assert_ne!(plain.hash(), members.electorate.hash());
    let data = vote_data(&plain, Phase::Prepare, BLOCK);
    assert!(plain.holds(&Vote::sign(data, &members.keys[0].0), 0));
    assert!(!plain.holds(&members.vote(data, 0), 0));
    let relabelled = Certificate { data, ..certificate };
    assert!(matches!(relabelled.verify(&plain), Err(CertificateError::Scheme { .. })));
}

#[test]
fn a_set_names_the_member_whose_bls_key_is_bad() {
    let members = members(&[1; 3]);
    let refused = |change: &dyn Fn(&mut Vec<Validator>)| {
        let mut list = members.electorate.set().members.to_vec();
        change(&mut list);
        let set = ValidatorSet::new(Epoch(4), list).unwrap().signing_by(Scheme::BlsAggregate);
        let errors = [
            Electorate::new(set.clone()).unwrap_err(),
            members.electorate.succeed(set).unwrap_err(),
        ];
        assert_eq!(errors[0], errors[1]);
        errors[0].clone()
    };
    let [first, second, third] = [0, 1, 2].map(|at| members.electorate.member(at).unwrap());
    assert_eq!(
        refused(&|list| list[1].bls_key = None),
        ValidatorSetError::NoBlsKey(second.public_key)
    );
    let shared =
        ValidatorSetError::SharedBlsKey { owner: first.public_key, other: third.public_key };
    assert_eq!(refused(&|list| list[2].bls_key = first.bls_key), shared);
    let bad = BlsPublicKey([0xaa; 48]);
    let ValidatorSetError::BlsKey { validator, error } =
        refused(&|list| list[0].bls_key = Some(bad))
    else {
        panic!("a key that is no point")
    };
    assert_eq!(validator, first.public_key);
    assert!(matches!(error, BlsKeyError::NotOnCurve(_) | BlsKeyError::Subgroup(_)));
    assert!(matches!(
        refused(&|list| list[0].public_key.0 = [2; 32]),
        ValidatorSetError::Key { .. }
    ));
}

#[test]
fn a_set_that_succeeds_another_signs_by_whatever_it_says() {
    let members = members(&[1; 4]);
    let mut list = members.electorate.set().members.to_vec();
    list[1].weight = Weight(5);
    list[2].bls_key = Some(bls(77).public_key());
    let set = ValidatorSet::new(Epoch(4), list).unwrap();
    let plain = members.electorate.succeed(set.clone()).unwrap();
    let next = plain.succeed(set.clone().signing_by(Scheme::BlsAggregate)).unwrap();
    let direct = members.electorate.succeed(set.signing_by(Scheme::BlsAggregate)).unwrap();
    let data = vote_data(&direct, Phase::Prepare, BLOCK);
    for electorate in [&next, &direct] {
        assert!(electorate.holds(&members.vote(data, 1), 1));
        assert!(!electorate.holds(&members.vote(data, 2), 2), "its key has changed");
    }
    let data = vote_data(&plain, Phase::Prepare, BLOCK);
    assert!(plain.holds(&Vote::sign(data, &members.keys[1].0), 1));
}

#[test]
fn evidence_holds_under_the_offenders_bls_key_only() {
    let members = members(&[1; 4]);
    let vote = |block: u8| {
        let block = BlockId(Hash([block; 32]));
        members.vote(vote_data(&members.electorate, Phase::Prepare, block), 2)
    };
    let evidence = Evidence::equivocation(vote(1), vote(2));
    let offender = *members.electorate.member(2).unwrap();
    let offence = evidence.offence();
    assert_eq!(evidence.verify_by(CHAIN, &members.electorate), Ok(offence));
    assert_eq!(evidence.verify_with(CHAIN, offender.bls_key), Ok(offence));
    let nameless = EvidenceError::NoBlsKey(offender.public_key);
    assert_eq!(evidence.verify(CHAIN), Err(nameless));
    let other = members.electorate.member(1).unwrap().bls_key;
    assert_eq!(evidence.verify_with(CHAIN, other), Err(EvidenceError::Signature));
    let forged = |a: Vote, b: Vote| {
        let Evidence::Equivocation { first, second } = Evidence::equivocation(a, b) else {
            unreachable!("one kind")
        };
        let second = Vote { signature: first.signature, ..second };
        Evidence::Equivocation { first, second }
    };
    let forged = forged(vote(1), vote(2));
    for refused in
        [forged.verify_by(CHAIN, &members.electorate), forged.verify_with(CHAIN, offender.bls_key)]
    {
        assert_eq!(refused, Err(EvidenceError::Signature));
    }
}

#[test]
fn light_clients_follow_headers_by_aggregates() {
    let members = members(&[1; 4]);
    let header = header(&members.electorate);
    let data = VoteData { block: header.id(), ..members.data(Phase::Commit) };
    let votes = members.votes(data, &[0, 2, 3]);
    let certificate = Certificate::from_votes(data, &votes, &members.electorate).unwrap();
    let proof = FinalityProof::commit(header.clone(), certificate);
    let mut tip = TrustedTip {
        chain: header.chain,
        height: header.height.previous().unwrap(),
        block: header.parent,
        time: Timestamp(header.time.0 - 1),
        next_validators: members.electorate.hash(),
    };
    assert_eq!(tip.advance(&proof, &members.electorate), Ok(&header));
    assert_eq!(tip, TrustedTip::of(&header));
}

/// A set that came with a block was not looked at key by key: with a made-up key among them, one
/// signature passes for everybody's.
#[test]
fn aggregates_of_a_set_that_nobody_vouches_for_move_no_light_client_ahead() {
    let members = members(&[1; 4]);
    let rules = Rules {
        period: TrustingPeriod::new(Duration(2), Duration(3), Duration(3)).unwrap(),
        max_drift: Duration(u64::MAX),
    };
    let tip = |members: &Members| TrustedTip {
        chain: CHAIN,
        height: Height(1),
        block: BlockId(Hash([0xaa; 32])),
        time: Timestamp(1_000),
        next_validators: members.electorate.hash(),
    };
    let trusted = Trusted::new(tip(&members), members.electorate.set().clone()).unwrap();
    let block = |electorate: &Electorate, sign: &dyn Fn(VoteData) -> Certificate| {
        let header = header(electorate);
        let data = VoteData { block: header.id(), ..vote_data(electorate, Phase::Commit, BLOCK) };
        let proof = FinalityProof::commit(header, sign(data));
        let set = electorate.set().clone();
        LightBlock::new(proof, set.clone(), set)
    };
    let now = Timestamp(1_002);

    // The set that is trusted goes on: over any distance.
    let honest = block(&members.electorate, &|data| {
        let votes = members.votes(data, &[0, 1, 2]);
        Certificate::from_votes(data, &votes, &members.electorate).unwrap()
    });
    assert_eq!(trusted.verify(&honest, now, &rules).unwrap().tip().height, Height(7));

    // The honest with their own keys, and one more whose key takes theirs away.
    let attacker = bls(66);
    let mut rogue = raw_key(attacker.public_key());
    let mut list = members.electorate.set().members.to_vec();
    list.iter().for_each(|member| rogue.sub_aggregate(&raw_key(member.bls_key.unwrap())));
    let own = list[0];
    list.push(Validator {
        public_key: secret(66).public_key(),
        bls_key: Some(BlsPublicKey(rogue.to_public_key().compress())),
        ..own
    });
    let set = ValidatorSet::new(Epoch(4), list).unwrap().signing_by(Scheme::BlsAggregate);
    let made_up = Electorate::new(set).unwrap();
    let forged = block(&made_up, &|data| Certificate {
        data,
        scheme: Scheme::BlsAggregate,
        signers: Bytes::new(vec![0b11111]).unwrap(),
        highs: codec::List::empty(),
        signatures: Bytes::new(attacker.sign(&data.digest()).0.to_vec()).unwrap(),
    });
    assert!(forged.proof.verify(&made_up).is_ok(), "the equation alone believes it");
    let refused = LightError::Overlap { got: Weight(0), total: Weight(4) };
    assert_eq!(trusted.verify(&forged, now, &rules).unwrap_err(), refused);
}

fn raw_key(key: BlsPublicKey) -> blst::min_pk::AggregatePublicKey {
    let key = blst::min_pk::PublicKey::uncompress(&key.0).unwrap();
    blst::min_pk::AggregatePublicKey::from_public_key(&key)
}
