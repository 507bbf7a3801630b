//! Evidence proves that one validator signed two things where an honest one signs one.

mod common;

use common::*;
use pocket_types::candidacy::{MisuseError, VrfMisuse};
use pocket_types::codec::{Wire, encode};
use pocket_types::evidence::{Evidence, EvidenceError, Offence, OffenceKind};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::{PublicKey, Signature};
use pocket_types::number::{Epoch, Height, Round};
use pocket_types::vote::{Phase, Vote, VoteData};

const ONE: BlockId = BlockId(Hash([1; 32]));
const TWO: BlockId = BlockId(Hash([2; 32]));

fn data(block: BlockId) -> VoteData {
    vote_data(&electorate(&[1; 4]).0, Phase::Prepare, block)
}

fn vote(data: VoteData) -> Vote {
    Vote::sign(data, &secret(1))
}

fn verdict(first: Vote, second: Vote) -> Result<Offence, EvidenceError> {
    Evidence::Equivocation { first, second }.verify(CHAIN)
}

#[test]
fn two_votes_of_a_slot_for_different_blocks_are_an_offence() {
    let evidence = Evidence::equivocation(vote(data(TWO)), vote(data(ONE)));
    let offence = Offence {
        offender: secret(1).public_key(),
        height: Height(7),
        round: Round(2),
        kind: OffenceKind::Equivocation(Phase::Prepare),
    };
    assert_eq!(evidence.verify(CHAIN), Ok(offence));
    assert_eq!(evidence.offence(), offence);
    let same = Evidence::equivocation(vote(data(ONE)), vote(data(TWO)));
    assert_eq!(same, evidence, "one offence has one form");
}

#[test]
fn an_offence_has_one_identity_whatever_proves_it() {
    let three = BlockId(Hash([3; 32]));
    let evidence = Evidence::equivocation(vote(data(ONE)), vote(data(TWO)));
    let other = Evidence::equivocation(vote(data(ONE)), vote(data(three)));
    assert_eq!(evidence.id(), other.id());
    let later = |block| vote(VoteData { round: Round(3), ..data(block) });
    assert_ne!(evidence.id(), Evidence::equivocation(later(ONE), later(TWO)).id());
}

#[test]
fn evidence_holds_on_its_network_only() {
    let evidence = Evidence::equivocation(vote(data(ONE)), vote(data(TWO)));
    let elsewhere = ChainId(Hash([9; 32]));
    let refused = EvidenceError::WrongChain { got: CHAIN, expected: elsewhere };
    assert_eq!(evidence.verify(elsewhere), Err(refused));
}

#[test]
fn two_validators_do_not_equivocate_together() {
    let refused = verdict(vote(data(ONE)), Vote::sign(data(TWO), &secret(2)));
    assert_eq!(refused, Err(EvidenceError::DifferentSigners));
}

#[test]
fn votes_for_different_slots_do_not_conflict() {
    let base = data(TWO);
    let other_slots = [
        VoteData { chain: ChainId(Hash([9; 32])), ..base },
        VoteData { epoch: Epoch(4), ..base },
        VoteData { validators: Hash([9; 32]), ..base },
        VoteData { height: Height(8), ..base },
        VoteData { round: Round(3), ..base },
        VoteData { phase: Phase::PreCommit, ..base },
    ];
    for other in other_slots {
        let refused = verdict(vote(data(ONE)), vote(other));
        assert_eq!(refused, Err(EvidenceError::DifferentSlots));
    }
}

#[test]
fn the_same_vote_twice_or_in_the_wrong_order_is_no_conflict() {
    let no_conflict = Err(EvidenceError::NoConflict);
    assert_eq!(verdict(vote(data(ONE)), vote(data(ONE))), no_conflict);
    assert_eq!(verdict(vote(data(TWO)), vote(data(ONE))), no_conflict);
}

#[test]
fn both_signatures_must_hold() {
    let (one, two) = (vote(data(ONE)), vote(data(TWO)));
    let forged = |vote: Vote| Vote { signature: Signature([7; 64]).into(), ..vote };
    let refused = Err(EvidenceError::Signature);
    assert_eq!(verdict(forged(one), two), refused);
    assert_eq!(verdict(one, forged(two)), refused);
    let swapped = |vote: Vote, signature| Vote { signature, ..vote };
    assert_eq!(verdict(swapped(one, two.signature), swapped(two, one.signature)), refused);
    let nobody = |vote: Vote| Vote { signer: PublicKey([2; 32]), ..vote };
    assert_eq!(verdict(nobody(one), nobody(two)), refused);
}

fn misuse(selected: u32) -> VrfMisuse {
    let mut claim = candidacy().claim;
    claim.selected += selected;
    let (_, secrets) = electorate(&[5, 1, 1, 300]);
    VrfMisuse(claim.sign(&secrets[3]))
}

#[test]
fn a_claim_against_its_own_proof_is_one_offence_a_round() {
    let evidence = Evidence::VrfMisuse(misuse(1));
    let (_, secrets) = electorate(&[5, 1, 1, 300]);
    let offence = Offence {
        offender: secrets[3].public_key(),
        height: Height(7),
        round: Round(2),
        kind: OffenceKind::VrfMisuse,
    };
    assert_eq!(evidence.verify(CHAIN), Ok(offence));
    assert_eq!((evidence.chain(), evidence.epoch()), (CHAIN, Epoch(3)));
    assert_eq!(evidence.id(), Evidence::VrfMisuse(misuse(2)).id(), "whatever was claimed");
    let mut later = misuse(1);
    later.0.claim.round = Round(3);
    assert_ne!(evidence.id(), Evidence::VrfMisuse(later).id());
    assert!(encode(&evidence).len() <= Evidence::MAX_BYTES);

    let honest = Evidence::VrfMisuse(misuse(0));
    let nothing = EvidenceError::Misuse(MisuseError::NoContradiction);
    assert_eq!(honest.verify(CHAIN), Err(nothing));
    let (got, expected) = (CHAIN, ChainId(Hash([9; 32])));
    let elsewhere = EvidenceError::Misuse(MisuseError::WrongChain { got, expected });
    assert_eq!(evidence.verify(expected), Err(elsewhere));
}

#[test]
fn misuse_by_an_electorate_is_a_member_s_of_the_set_that_it_names() {
    let (ours, secrets) = electorate(&[5, 1, 1, 300]);
    let evidence = Evidence::VrfMisuse(misuse(1));
    assert_eq!(evidence.verify_by(CHAIN, &ours), Ok(evidence.offence()));
    let refused = |misuse: VrfMisuse, electorate| {
        let Err(EvidenceError::Misuse(error)) =
            Evidence::VrfMisuse(misuse).verify_by(CHAIN, electorate)
        else {
            panic!()
        };
        error
    };
    assert_eq!(refused(misuse(0), &ours), MisuseError::NoContradiction);
    let (other, _) = electorate(&[5, 1, 1, 301]);
    let offender = secrets[3].public_key();
    assert_eq!(refused(misuse(1), &other), MisuseError::NotMember(offender));
    let mut stranger = misuse(1);
    stranger.0.claim.candidate = secret(77).public_key();
    assert_eq!(refused(stranger, &ours), MisuseError::NotMember(secret(77).public_key()));
    let mut forged = misuse(1);
    forged.0.claim.selected += 1;
    assert_eq!(refused(forged, &ours), MisuseError::Signature);
    let (got, expected) = (CHAIN, ChainId(Hash([9; 32])));
    let elsewhere = evidence.verify_by(expected, &ours);
    assert_eq!(elsewhere, Err(EvidenceError::Misuse(MisuseError::WrongChain { got, expected })));
}
