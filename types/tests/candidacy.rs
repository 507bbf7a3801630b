//! A candidacy proves itself, says nothing that its candidate could have chosen, and convicts its
//! candidate when it lies.

mod common;

use std::collections::BTreeSet;

use common::*;
use pocket_types::candidacy::{
    Candidacy, CandidacyError, Claim, Contradiction, Election, MisuseError, Seed, VrfMisuse,
};
use pocket_types::codec::{DecodeError, Wire, decode, encode};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::ChainId;
use pocket_types::key::{KeyError, PublicKey, SecretKey, Signature};
use pocket_types::number::{Epoch, Height, Round, Weight};
use pocket_types::sortition::{CommitteeSize, Odds, Priority, SortitionError};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vrf::{VrfError, VrfProof, VrfPublicKey, VrfSecret};

const BEACON: Seed = Seed::Beacon(Hash([0xbe; 32]));
const PLACE: (Height, Round) = (Height(7), Round(2));

/// Four members with a stake of 1,000 each; the keys of member n, by position, are those of n.
struct Members {
    electorate: Electorate,
    keys: Vec<(SecretKey, VrfSecret)>,
}

fn members() -> Members {
    let mut keys: Vec<_> = (1..=4).map(|n| (secret(n), vrf_secret(n + 100))).collect();
    keys.sort_by_key(|(key, _)| key.public_key());
    let members = keys.iter().map(|(key, vrf)| Validator {
        public_key: key.public_key(),
        vrf_key: vrf.public_key(),
        weight: Weight(1_000),
        bls_key: None,
    });
    let set = ValidatorSet::new(Epoch(3), members.collect()).unwrap();
    Members { electorate: Electorate::new(set).unwrap(), keys }
}

impl Members {
    fn election(&self) -> Election<'_> {
        Election {
            chain: CHAIN,
            seed: BEACON,
            committee: CommitteeSize::default(),
            electorate: &self.electorate,
        }
    }

    fn run(&self, member: usize) -> Candidacy {
        let (key, vrf) = &self.keys[member];
        self.election().run(PLACE.0, PLACE.1, key, vrf).expect("selected all but once in e^6")
    }

    /// The candidacy of member 0 with something changed, signed again.
    fn lie(&self, change: impl FnOnce(&mut Claim)) -> Candidacy {
        let mut claim = self.run(0).claim;
        change(&mut claim);
        claim.sign(&self.keys[0].0)
    }
}

#[test]
fn a_selected_member_convinces_everybody() {
    let members = members();
    let election = members.election();
    for member in 0..4 {
        let candidacy = members.run(member);
        let candidate = election.check(&candidacy).unwrap();
        assert_eq!((candidate.height(), candidate.round()), PLACE);
        assert_eq!(candidate.key(), members.keys[member].0.public_key());
        assert_eq!(candidate.priority(), candidacy.claim.priority);
        assert!(candidate.priority() > Priority::FALLBACK);
        assert_eq!(members.run(member), candidacy, "the same however often it runs");
        assert_eq!(VrfMisuse(candidacy).verify(CHAIN), Err(MisuseError::NoContradiction));
    }
}

#[test]
fn who_is_not_selected_or_not_a_member_does_not_run() {
    let members = members();
    let one = CommitteeSize::new(1).unwrap();
    let election = Election { committee: one, ..members.election() };
    let (key, vrf) = &members.keys[1];
    let rounds = (0..40).map(|round| election.run(Height(7), Round(round), key, vrf));
    let ran: Vec<_> = rounds.flatten().collect();
    // Of 40 rounds a quarter stake of one unit is selected in 40 · (1 - e^-1/4), about 9.
    assert!((4..=15).contains(&ran.len()), "{} of 40", ran.len());
    assert!(ran.iter().all(|candidacy| election.check(candidacy).is_ok()));

    assert_eq!(election.run(PLACE.0, PLACE.1, &secret(9), vrf), None);
    let other = &members.keys[2].1;
    assert_eq!(members.election().run(PLACE.0, PLACE.1, key, other), None, "another's VRF key");
}

#[test]
fn what_a_candidacy_says_of_the_election_must_be_so() {
    use CandidacyError::*;
    let members = members();
    let refusal = |change: fn(&mut Claim)| {
        let lie = members.lie(change);
        // Refused however well it is signed; and no offence unless it contradicts itself.
        members.election().check(&lie).unwrap_err()
    };
    let other = ChainId(Hash([9; 32]));
    let wrong_chain = refusal(|claim| claim.chain = ChainId(Hash([9; 32])));
    assert_eq!(wrong_chain, WrongChain { got: other, expected: CHAIN });
    assert!(matches!(
        refusal(|claim| claim.epoch = Epoch(4)),
        WrongSet { got_epoch: Epoch(4), .. }
    ));
    assert!(matches!(refusal(|claim| claim.validators = Hash([9; 32])), WrongSet { .. }));
    let got = Seed::Beacon(Hash([9; 32]));
    assert_eq!(
        refusal(|claim| claim.seed = Seed::Beacon(Hash([9; 32]))),
        WrongSeed { got, expected: BEACON }
    );
    let stranger = PublicKey([9; 32]);
    assert_eq!(refusal(|claim| claim.candidate = PublicKey([9; 32])), Stranger(stranger));
    let foreign = vrf_secret(9).public_key();
    let registered = members.keys[0].1.public_key();
    assert_eq!(
        refusal(|claim| claim.vrf_key = vrf_secret(9).public_key()),
        WrongKey { got: foreign, expected: registered }
    );
    let wrong_odds = [
        refusal(|claim| claim.odds.weight.0 += 1),
        refusal(|claim| claim.odds.total.0 -= 1),
        refusal(|claim| claim.odds.committee = CommitteeSize::new(27).unwrap()),
    ];
    assert!(wrong_odds.iter().all(|refusal| matches!(refusal, WrongOdds { .. })));
    assert_eq!(refusal(|claim| claim.selected = 0), NotSelected);
}

#[test]
fn only_the_candidate_speaks_for_itself() {
    let members = members();
    let good = members.run(0);
    let forged = Candidacy { signature: Signature([7; 64]), ..good };
    assert_eq!(members.election().check(&forged), Err(CandidacyError::Signature));
    let foreign = good.claim.sign(&members.keys[1].0);
    assert_eq!(members.election().check(&foreign), Err(CandidacyError::Signature));

    // Whatever a stranger changes, nobody is charged for it.
    let mut bent = good;
    bent.claim.selected += 1;
    assert_eq!(members.election().check(&bent), Err(CandidacyError::Signature));
    assert_eq!(VrfMisuse(bent).verify(CHAIN), Err(MisuseError::Signature));
    let nobody = Candidacy { claim: Claim { candidate: PublicKey([2; 32]), ..good.claim }, ..good };
    assert_eq!(VrfMisuse(nobody).verify(CHAIN), Err(MisuseError::Signature));
}

/// Each lie is refused by those who know the election, and convicts in front of those who don't.
#[test]
fn a_claim_that_its_own_proof_contradicts_is_an_offence() {
    let members = members();
    let truth = members.run(0).claim;
    let caught = |lie: Candidacy, expected: Contradiction| {
        let refused = members.election().check(&lie);
        assert_eq!(refused, Err(CandidacyError::Contradiction(expected)));
        let evidence = VrfMisuse(lie);
        assert_eq!(evidence.verify(CHAIN), Ok(expected));
        assert_eq!(evidence.offender(), members.keys[0].0.public_key());
        assert_eq!((evidence.height(), evidence.round()), PLACE);
        let (got, expected) = (CHAIN, ChainId(Hash([9; 32])));
        assert_eq!(evidence.verify(expected), Err(MisuseError::WrongChain { got, expected }));
    };
    for got in [truth.selected + 1, truth.selected - 1, u32::MAX] {
        let lie = members.lie(|claim| claim.selected = got);
        let refused = if got == 0 { continue } else { got };
        caught(lie, Contradiction::Selected { got: refused, expected: truth.selected });
    }
    let got = Priority(Hash([0xff; 32]));
    let expected = truth.priority;
    caught(members.lie(|claim| claim.priority = got), Contradiction::Priority { got, expected });

    // A good proof of something else: another round, another height, another candidate's, another
    // key's for the same input.
    let proofs = [
        vrf_proof(&members.keys[0].1, Claim { round: Round(3), ..truth }),
        vrf_proof(&members.keys[0].1, Claim { height: Height(8), ..truth }),
        members.run(1).claim.proof,
        vrf_proof(&members.keys[1].1, truth),
    ];
    let key = truth.vrf_key;
    for proof in proofs {
        let mismatch = Contradiction::Proof(VrfError::Mismatch { key, proof });
        caught(members.lie(|claim| claim.proof = proof), mismatch);
    }
    let proof = VrfProof([0xff; 80]);
    let malformed = Contradiction::Proof(VrfError::ScalarTooLarge(proof));
    caught(members.lie(|claim| claim.proof = proof), malformed);
}

fn vrf_proof(vrf: &VrfSecret, claim: Claim) -> VrfProof {
    vrf.prove(&claim.input().0).0
}

#[test]
fn odds_and_keys_that_cannot_be_are_contradictions_too() {
    let members = members();
    let evidence = VrfMisuse(members.lie(|claim| claim.odds.weight = Weight(4_001)));
    let (weight, total) = (Weight(4_001), Weight(4_000));
    let impossible = Contradiction::Odds(SortitionError::Weight { weight, total });
    assert_eq!(evidence.verify(CHAIN), Ok(impossible));

    let mut identity = VrfPublicKey([0; 32]);
    identity.0[0] = 1;
    let evidence = VrfMisuse(members.lie(|claim| claim.vrf_key = identity));
    let refused = KeyError::Identity(PublicKey(identity.0));
    assert_eq!(evidence.verify(CHAIN), Ok(Contradiction::Proof(VrfError::Key(refused))));
}

/// Refused by everybody who knows the election, hence harmless; and others can't know that it lies.
#[test]
fn a_claim_that_is_wrong_about_the_election_only_is_no_offence() {
    let members = members();
    let mut claim = members.run(0).claim;
    claim.odds = Odds { weight: Weight(4_000), ..claim.odds };
    let output = members.keys[0].1.prove(&claim.input().0).1;
    claim.selected = claim.odds.selected(&output).unwrap();
    claim.priority = Priority::of(&output, claim.selected);
    let candidacy = claim.sign(&members.keys[0].0);
    let refused = members.election().check(&candidacy);
    assert!(matches!(refused, Err(CandidacyError::WrongOdds { .. })));
    assert_eq!(VrfMisuse(candidacy).verify(CHAIN), Err(MisuseError::NoContradiction));
}

/// VRF keys are registered without proof that one has the secret, so another's may be registered.
#[test]
fn registering_another_s_key_does_not_give_its_luck() {
    let keys = [secret(1), secret(2)];
    let vrf = vrf_secret(101);
    let member = |key: &SecretKey| Validator {
        public_key: key.public_key(),
        vrf_key: vrf.public_key(),
        weight: Weight(1_000),
        bls_key: None,
    };
    let set = ValidatorSet::new(Epoch(3), keys.iter().map(member).collect()).unwrap();
    let electorate = Electorate::new(set).unwrap();
    let committee = CommitteeSize::default();
    let election = Election { chain: CHAIN, seed: BEACON, committee, electorate: &electorate };
    let owner = election.run(PLACE.0, PLACE.1, &keys[0], &vrf).unwrap();
    let copied = Claim { candidate: keys[1].public_key(), ..owner.claim }.sign(&keys[1]);
    let refused = election.check(&copied);
    assert!(matches!(
        refused,
        Err(CandidacyError::Contradiction(Contradiction::Proof(VrfError::Mismatch { .. })))
    ));
}

/// Every combination of several values in every field that makes a place.
#[test]
fn any_two_places_have_different_inputs_and_digests() {
    let truth = members().run(0).claim;
    let mut one = [0; 32];
    one[0] = 1;
    let hashes = [Hash([0; 32]), Hash([1; 32]), Hash(one)];
    let seeds = hashes.iter().flat_map(|&hash| [Seed::Beacon(hash), Seed::LastLeaders(hash)]);
    let (mut inputs, mut digests, mut places) = (BTreeSet::new(), BTreeSet::new(), 0);
    for seed in seeds {
        for chain in hashes.map(ChainId) {
            for epoch in [0, 1, 1 << 32].map(Epoch) {
                for height in [0, 1, 1 << 32].map(Height) {
                    for round in [0, 1, 1 << 32].map(Round) {
                        for candidate in hashes.map(|hash| PublicKey(hash.0)) {
                            let place =
                                Claim { chain, epoch, height, round, seed, candidate, ..truth };
                            inputs.insert(place.input());
                            digests.insert(place.digest());
                            places += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(digests.len(), places);
    // The specification's seed leaves out network and epoch.
    assert_eq!(inputs.len(), places / 2 + places / 2 / 9);
    assert_ne!(truth.digest(), Domain::VOTE_SIGNATURE.hash(&encode(&truth)));
}

#[test]
fn nothing_that_a_validator_can_choose_enters_the_input() {
    let truth = members().run(0).claim;
    let others = [
        Claim { validators: Hash([9; 32]), ..truth },
        Claim { odds: Odds { weight: Weight(1), ..truth.odds }, ..truth },
        Claim { selected: 9, ..truth },
        Claim { priority: Priority(Hash([9; 32])), ..truth },
        Claim { proof: VrfProof([9; 80]), ..truth },
    ];
    assert!(others.iter().all(|other| other.input() == truth.input()));
}

#[test]
fn the_last_leaders_seed_depends_on_who_led_in_which_order() {
    let leaders = [1, 2, 3].map(|n| secret(n).public_key());
    let seed = Seed::last_leaders(&leaders);
    assert_eq!(seed, Seed::last_leaders(&leaders));
    let others = [vec![leaders[1], leaders[0], leaders[2]], leaders[1..].to_vec(), vec![]];
    assert!(others.iter().all(|other| Seed::last_leaders(other) != seed));

    let members = members();
    let election = Election { seed, ..members.election() };
    let (key, vrf) = &members.keys[0];
    let candidacy = election.run(PLACE.0, PLACE.1, key, vrf).unwrap();
    assert!(election.check(&candidacy).is_ok());
    let refused = members.election().check(&candidacy);
    assert_eq!(refused, Err(CandidacyError::WrongSeed { got: seed, expected: BEACON }));
}

#[test]
fn a_candidacy_is_as_long_as_its_bound_and_holds_a_size_that_may_be() {
    let candidacy = candidacy();
    let bytes = encode(&candidacy);
    assert_eq!(bytes.len(), Candidacy::MAX_BYTES);
    let committee = bytes.len() - 64 - 32 - 4 - 80 - 2;
    assert_eq!(bytes[committee..committee + 2], [26, 0]);
    for size in [0u16, 1_025] {
        let mut bytes = bytes.clone();
        bytes[committee..committee + 2].copy_from_slice(&size.to_le_bytes());
        let refused = decode::<Candidacy>(&bytes);
        assert!(matches!(refused, Err(DecodeError::Malformed(_))), "{refused:?}");
    }
}
