//! What one replica makes of candidacies, and of proposals and votes in a round whose leader is
//! elected; each message crafted.

use crate::common::lab::{Lab, evidence, prepared, proposals, refusals, votes};
use crate::common::{Setup, chain, config, identity, key, node_of, public, set, simulate, vrf};
use pocket_consensus::election::SeedError;
use pocket_consensus::replica::config::Config;
use pocket_consensus::{
    ElectionConfig, Identity, Input, Message, Output, RecoverError, Refusal, Replica, ReplicaError,
    SeedRule, Tip,
};
use pocket_sim::Plan;
use pocket_types::block::Header;
use pocket_types::candidacy::{Candidacy, CandidacyError, Claim, Election, Seed};
use pocket_types::evidence::OffenceKind;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::ChainId;
use pocket_types::key::{PublicKey, SecretKey, Signature};
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp};
use pocket_types::sortition::{CommitteeSize, Priority};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Phase, Vote};
use pocket_types::vrf::{VrfProof, VrfSecret};

const WAIT: u64 = 20;
const RULE: SeedRule = SeedRule::Beacon { period: 4 };

fn elected() -> Config {
    let election = ElectionConfig { wait: Duration(WAIT), seed: RULE, ..Default::default() };
    Config { election: Some(election), ..config() }
}

/// What a validator of a lab announces.
fn candidacy(node: usize, height: u64, round: u64) -> Candidacy {
    let electorate = Electorate::new(set(0, &[10; 4])).unwrap();
    let election = Election {
        chain: chain(),
        seed: Seed::Beacon(Hash::ZERO),
        committee: CommitteeSize::default(),
        electorate: &electorate,
    };
    let candidacy = election.run(Height(height), Round(round), &key(node), &vrf(node));
    candidacy.expect("a quarter of 26 units and none selected: another seed")
}

/// A replica among four that has just entered round 0, and the others by what they are worth there,
/// all of it more than the replica's own.
fn lab() -> (Lab, [usize; 3]) {
    let mut nodes = [0, 1, 2, 3];
    nodes.sort_by_key(|&node| candidacy(node, 1, 0).claim.priority);
    let [worst, others @ ..] = nodes;
    (Lab::with(&[10; 4], worst, elected()), others)
}

fn announce(lab: &mut Lab, candidacy: Candidacy) -> Vec<Output> {
    let from = node_of(&candidacy.claim.candidate);
    lab.hear(from, Message::Candidacy(Box::new(candidacy)))
}

/// Whom a NewRound went to.
fn asked(outputs: &[Output]) -> Vec<usize> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::NewRound(_) } => Some(node_of(to)),
        _ => None,
    });
    sent.collect()
}

fn announced(outputs: &[Output]) -> Vec<Candidacy> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Candidacy(candidacy), .. } => Some(**candidacy),
        _ => None,
    });
    sent.collect()
}

fn builds(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Build(_)))
}

fn chosen(lab: &Lab) -> Option<usize> {
    lab.replica.protocol().leader().map(|leader| node_of(&leader))
}

#[test]
fn a_replica_asks_the_best_candidate_and_not_before_the_wait_is_over() {
    let (mut lab, [_, second, best]) = lab();
    assert!(asked(&announce(&mut lab, candidacy(best, 1, 0))).is_empty());
    assert!(asked(&announce(&mut lab, candidacy(second, 1, 0))).is_empty());
    assert!(asked(&lab.wait(WAIT - 1)).is_empty() && chosen(&lab).is_none());
    assert_eq!(asked(&lab.wait(1)), [best]);
    assert_eq!(chosen(&lab), Some(best));
}

#[test]
fn without_other_candidates_it_leads_itself_and_without_any_turns_do() {
    let (mut lab, _) = lab();
    lab.wait(WAIT);
    assert_eq!(chosen(&lab), Some(lab.me));

    // A round in which a committee of one is nobody.
    let one = CommitteeSize::new(1).unwrap();
    let config = |seed| {
        let election = ElectionConfig { committee: one, wait: Duration(WAIT), seed };
        Config { election: Some(election), ..config() }
    };
    let nobody = Lab::with(&[10; 4], 0, config(SeedRule::LastLeaders { count: 1 }));
    let mut labs = [Lab::with(&[10; 4], 0, config(RULE)), nobody];
    for lab in &mut labs {
        let outputs = lab.wait(WAIT);
        let expected = if chosen(lab) == Some(lab.me) { vec![] } else { vec![lab.leads(0)] };
        assert_eq!(asked(&outputs), expected);
    }
    assert!(labs.iter().any(|lab| chosen(lab) == Some(lab.leads(0))));
}

#[test]
fn a_proposal_that_comes_before_the_choice_waits_for_it() {
    let (mut lab, [_, second, best]) = lab();
    let [fast, slow] = [second, best].map(|node| lab.block(node, 0));
    // The faster one has nobody's quorum but may say that it has.
    announce(&mut lab, candidacy(second, 1, 0));
    assert!(prepared(&lab.propose_by(second, &fast)).is_empty());
    announce(&mut lab, candidacy(best, 1, 0));
    let outputs = lab.wait(WAIT);
    assert_eq!((asked(&outputs), prepared(&outputs)), (vec![best], vec![]));
    assert!(prepared(&lab.propose_by(second, &fast)).is_empty(), "nor later");
    assert_eq!(prepared(&lab.propose_by(best, &slow)), [slow.id()]);
}

#[test]
fn the_best_one_s_early_proposal_is_prepared_as_soon_as_the_wait_is_over() {
    let (mut lab, [third, second, best]) = lab();
    let [two, one] = [second, best].map(|node| lab.block(node, 0));
    let stranger = lab.block(third, 0);
    lab.propose_by(third, &stranger);
    announce(&mut lab, candidacy(second, 1, 0));
    lab.propose_by(second, &two);
    announce(&mut lab, candidacy(best, 1, 0));
    lab.propose_by(best, &one);
    lab.propose_by(second, &two);
    assert_eq!(prepared(&lab.wait(WAIT)), [one.id()]);
}

#[test]
fn a_better_candidate_that_comes_late_changes_no_choice_and_is_not_held_up() {
    let late = || {
        let (mut lab, [_, second, best]) = lab();
        announce(&mut lab, candidacy(second, 1, 0));
        assert_eq!(asked(&lab.wait(WAIT)), [second]);
        assert!(asked(&announce(&mut lab, candidacy(best, 1, 0))).is_empty());
        assert_eq!(chosen(&lab), Some(second));
        let blocks = [second, best].map(|node| lab.block(node, 0));
        (lab, [second, best], blocks)
    };
    // Whichever proposes first is prepared, and it alone.
    for first in [0, 1] {
        let (mut lab, nodes, blocks) = late();
        assert_eq!(prepared(&lab.propose_by(nodes[first], &blocks[first])), [blocks[first].id()]);
        let other = lab.propose_by(nodes[1 - first], &blocks[1 - first]);
        assert!(prepared(&other).is_empty() && evidence(&other).is_empty());
        assert!(refusals(&other).is_empty(), "two leaders are nobody's fault");
    }
    // In the next round everybody starts anew.
    let (mut lab, ..) = late();
    lab.hear_certificate(&lab.tc(1));
    assert_eq!((lab.replica.round(), chosen(&lab)), (Round(1), None));
}

#[test]
fn whom_nobody_chose_here_proposes_in_vain() {
    let (mut lab, [third, _, best]) = lab();
    announce(&mut lab, candidacy(best, 1, 0));
    lab.wait(WAIT);
    let me = lab.me;
    for node in [third, lab.leads(0)].into_iter().filter(|node| ![best, me].contains(node)) {
        let block = lab.block(node, 0);
        let outputs = lab.propose_by(node, &block);
        assert!(prepared(&outputs).is_empty() && refusals(&outputs).is_empty());
        assert!(outputs.iter().any(|output| matches!(output, Output::Dropped { .. })));
    }
}

#[test]
fn a_quorum_s_choice_leads_though_it_has_chosen_another() {
    let (mut lab, others) = lab();
    announce(&mut lab, candidacy(others[2], 1, 0));
    assert_eq!(asked(&lab.wait(WAIT)), [others[2]]);
    for (node, enough) in others.into_iter().zip([false, false, true]) {
        let message = lab.new_round(node, 0, None);
        assert_eq!(builds(&lab.hear(node, message.clone())), enough);
        assert!(!builds(&lab.hear(node, message)), "once");
    }
}

/// In a round that a timeout began everybody holds a quorum of NewRounds: they were for all. They make
/// nobody a leader; the same ones sent again to one replica by those who are in the round do.
#[test]
fn new_rounds_for_everybody_are_no_choice() {
    let rank = |lab: &Lab| {
        let mut nodes = lab.everybody();
        nodes.sort_by_key(|&node| candidacy(node, 1, 1).claim.priority);
        nodes
    };
    let nodes = rank(&lab().0);
    let mut lab = Lab::with(&[10; 4], nodes[0], elected());
    for &node in &nodes[1..] {
        let message = lab.new_round(node, 1, None);
        lab.hear(node, message);
    }
    assert_eq!(lab.replica.round(), Round(1));
    announce(&mut lab, candidacy(nodes[3], 1, 1));
    let outputs = lab.wait(2 * WAIT);
    assert_eq!(asked(&outputs), [nodes[3]]);
    assert!(!builds(&outputs));
    for (&node, enough) in nodes[1..].iter().zip([false, false, true]) {
        let Message::NewRound(mut message) = lab.new_round(node, 1, None) else { panic!() };
        message.entry = Some(lab.tc(1));
        assert_eq!(builds(&lab.hear(node, Message::NewRound(message))), enough);
    }

    // Who has chosen itself needs no more than the timeout's.
    let mut lab = Lab::with(&[10; 4], nodes[3], elected());
    for &node in &nodes[..3] {
        let message = lab.new_round(node, 1, None);
        assert!(!builds(&lab.hear(node, message)), "not before it has listened");
    }
    assert!(builds(&lab.wait(2 * WAIT)));
}

#[test]
fn forged_foreign_and_borrowed_candidacies_are_refused_by_name_and_change_nothing() {
    let (mut lab, [third, second, best]) = lab();
    let truth = candidacy(best, 1, 0);
    let again = |change: &dyn Fn(&mut Claim)| {
        let mut claim = truth.claim;
        change(&mut claim);
        claim.sign(&key(best))
    };
    let electorate = lab.electorate();
    let other = Hash([9; 32]);
    let named = |error: CandidacyError| Refusal::Candidacy(error);
    let cases: [(Candidacy, Refusal); 9] = [
        (Candidacy { signature: Signature([1; 64]), ..truth }, named(CandidacyError::Signature)),
        (
            Candidacy { signature: candidacy(second, 1, 0).signature, ..truth },
            named(CandidacyError::Signature),
        ),
        (
            again(&|claim| claim.chain = ChainId(other)),
            Refusal::WrongChain { got: ChainId(other), expected: chain() },
        ),
        (
            again(&|claim| claim.validators = other),
            named(CandidacyError::WrongSet {
                got: other,
                got_epoch: Epoch(0),
                expected: electorate.hash(),
                expected_epoch: Epoch(0),
            }),
        ),
        (
            again(&|claim| claim.seed = Seed::Beacon(other)),
            named(CandidacyError::WrongSeed {
                got: Seed::Beacon(other),
                expected: Seed::Beacon(Hash::ZERO),
            }),
        ),
        (
            again(&|claim| claim.seed = Seed::LastLeaders(Hash::ZERO)),
            named(CandidacyError::WrongSeed {
                got: Seed::LastLeaders(Hash::ZERO),
                expected: Seed::Beacon(Hash::ZERO),
            }),
        ),
        (
            again(&|claim| claim.vrf_key = vrf(third).public_key()),
            named(CandidacyError::WrongKey {
                got: vrf(third).public_key(),
                expected: vrf(best).public_key(),
            }),
        ),
        (
            again(&|claim| claim.odds.weight.0 = 40),
            named(CandidacyError::WrongOdds {
                got: pocket_types::sortition::Odds {
                    weight: pocket_types::number::Weight(40),
                    ..truth.claim.odds
                },
                expected: truth.claim.odds,
            }),
        ),
        (again(&|claim| claim.selected = 0), named(CandidacyError::NotSelected)),
    ];
    for (forged, expected) in cases {
        let outputs = announce(&mut lab, forged);
        assert_eq!(refusals(&outputs), [(best, expected)]);
        assert!(evidence(&outputs).is_empty());
    }
    // Somebody else's, as it is: he may be heard of, but not by others' mouths.
    let outputs = lab.hear(second, Message::Candidacy(Box::new(truth)));
    let expected = Refusal::Relayed { signer: public(best), from: public(second) };
    assert_eq!(refusals(&outputs), [(second, expected)]);
    // Somebody who is no validator.
    let claim = Claim { candidate: public(9), vrf_key: vrf(9).public_key(), ..truth.claim };
    let outputs = announce(&mut lab, claim.sign(&key(9)));
    let expected = named(CandidacyError::Stranger(public(9)));
    assert_eq!(refusals(&outputs), [(9, expected)]);

    lab.wait(WAIT);
    assert_eq!(chosen(&lab), Some(lab.me), "nobody was heard of");
    // And the truth is still welcome.
    let block = lab.block(best, 0);
    announce(&mut lab, truth);
    assert_eq!(prepared(&lab.propose_by(best, &block)), [block.id()]);
}

#[test]
fn a_candidacy_counts_in_its_own_round_of_its_own_height_only() {
    let (mut lab, [third, second, best]) = lab();
    // Of a height that is decided, and of the next two.
    for height in [0, 2, 3] {
        let outputs = announce(&mut lab, candidacy(best, height, 0));
        assert!(refusals(&outputs).is_empty() && evidence(&outputs).is_empty());
        let behind = outputs.iter().any(|output| matches!(output, Output::Behind { .. }));
        assert_eq!(behind, height == 3);
    }
    // Of a later round, and of one beyond the window.
    for round in [1, 2, 1_000, u64::MAX] {
        assert!(refusals(&announce(&mut lab, candidacy(best, 1, round))).is_empty());
    }
    announce(&mut lab, candidacy(second, 1, 1));
    lab.wait(WAIT);
    assert_eq!(chosen(&lab), Some(lab.me));
    // What was heard early counts when its round comes; what is over does not.
    lab.hear_certificate(&lab.tc(1));
    announce(&mut lab, candidacy(third, 1, 0));
    lab.wait(2 * WAIT);
    let of_round_1 = |node: &usize| candidacy(*node, 1, 1).claim.priority;
    let expected = [lab.me, second, best].into_iter().max_by_key(of_round_1);
    assert_eq!(chosen(&lab), expected);
}

#[test]
fn a_candidate_that_lies_is_convicted_once_a_round_and_not_listened_to() {
    let lies: [fn(&mut Claim); 4] = [
        |claim| claim.priority = Priority(Hash([0xff; 32])),
        |claim| claim.selected += 1,
        |claim| claim.proof = VrfProof([0; 80]),
        // A proof of its own, of the height before.
        |claim| claim.proof = candidacy(node_of(&claim.candidate), 0, 0).claim.proof,
    ];
    for lie in lies {
        let (mut lab, [.., best]) = lab();
        let mut claim = candidacy(best, 1, 0).claim;
        lie(&mut claim);
        claim.priority = Priority(Hash([0xff; 32]));
        let outputs = announce(&mut lab, claim.sign(&key(best)));
        let [found] = evidence(&outputs)[..] else { panic!("{outputs:?}") };
        let offence = found.verify(chain()).unwrap();
        assert_eq!((offence.offender, offence.kind), (public(best), OffenceKind::VrfMisuse));
        assert_eq!(found.verify_by(chain(), &lab.electorate()), Ok(offence));
        // Another lie and the truth come too late.
        claim.priority = Priority(Hash([0xfe; 32]));
        let again = announce(&mut lab, claim.sign(&key(best)));
        assert!(evidence(&again).is_empty() && refusals(&again).is_empty());
        announce(&mut lab, candidacy(best, 1, 0));
        let outputs = lab.wait(WAIT);
        assert_eq!(chosen(&lab), Some(lab.me));
        assert!(asked(&outputs).is_empty());
        // In the next block it is.
        for node in lab.others() {
            let message = lab.new_round(node, 0, None);
            let outputs = lab.hear(node, message);
            if let Some(request) = outputs.iter().find_map(|output| match output {
                Output::Build(request) => Some(request),
                _ => None,
            }) {
                assert_eq!(request.evidence, [found]);
            }
        }
    }
}

#[test]
fn another_s_proof_is_no_candidacy() {
    let (mut lab, [third, _, best]) = lab();
    let mut claim = candidacy(best, 1, 0).claim;
    (claim.candidate, claim.vrf_key) = (public(third), vrf(third).public_key());
    let outputs = announce(&mut lab, claim.sign(&key(third)));
    assert_eq!(evidence(&outputs)[0].offence().offender, public(third));
    lab.wait(WAIT);
    assert_eq!(chosen(&lab), Some(lab.me));
}

#[test]
fn an_elected_leader_that_proposes_twice_is_convicted_before_and_after_the_choice() {
    for early in [true, false] {
        let (mut lab, [.., best]) = lab();
        announce(&mut lab, candidacy(best, 1, 0));
        let [one, two] = [0, 1].map(|salt| lab.block(best, salt));
        if !early {
            lab.wait(WAIT);
        }
        lab.propose_by(best, &one);
        let [found] = evidence(&lab.propose_by(best, &two))[..] else { panic!() };
        let offence = found.verify(chain()).unwrap();
        let kind = OffenceKind::Equivocation(Phase::Propose);
        assert_eq!((offence.offender, offence.kind), (public(best), kind));
        if early {
            assert_eq!(prepared(&lab.wait(WAIT)), [one.id()]);
        }
    }
}

#[test]
fn votes_go_to_the_proposer_or_to_whoever_showed_the_certificate() {
    let to = |outputs: &[Output]| {
        let sent = outputs.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::Vote(vote) } => {
                Some((node_of(to), vote.data.phase))
            }
            _ => None,
        });
        sent.collect::<Vec<_>>()
    };
    let (mut lab, [_, second, best]) = lab();
    announce(&mut lab, candidacy(best, 1, 0));
    announce(&mut lab, candidacy(second, 1, 0));
    lab.wait(WAIT);
    let block = lab.block(best, 0);
    assert_eq!(to(&lab.propose_by(best, &block)), [(best, Phase::Prepare)]);
    let certificate = Box::new(lab.qc(0, Phase::Prepare, block.id()));
    let outputs = lab.hear(second, Message::Certificate(certificate));
    assert_eq!(to(&outputs), [(best, Phase::PreCommit)]);

    // Without the proposal.
    let (mut lab, [_, second, best]) = self::lab();
    let certificate = Message::Certificate(Box::new(lab.qc(0, Phase::Prepare, block.id())));
    assert_eq!(to(&lab.hear(second, certificate.clone())), [(second, Phase::PreCommit)]);
    assert_eq!(to(&lab.hear(best, certificate)), [(best, Phase::PreCommit)], "it says it again");
}

#[test]
fn votes_that_are_for_another_leader_count_nowhere_and_are_nobody_s_fault() {
    let (mut lab, [third, second, best]) = lab();
    announce(&mut lab, candidacy(best, 1, 0));
    lab.wait(WAIT);
    let block = lab.block(best, 0);
    lab.propose_by(best, &block);
    for node in [third, second, best] {
        let vote = Message::Vote(lab.vote(node, 0, Phase::Prepare, block.id()));
        let outputs = lab.hear(node, vote);
        assert!(refusals(&outputs).is_empty());
        assert!(crate::common::lab::certificates(&outputs).is_empty());
    }
}

/// At every stage of a round: after running, after choosing, after preparing, after proposing.
#[test]
fn a_replica_that_restarts_runs_again_chooses_again_and_signs_nothing_else() {
    let ours = |lab: &Lab| candidacy(lab.me, 1, 0);
    let signed = |lab: &Lab| {
        let votes = lab.log.iter().filter_map(|record| match record {
            pocket_consensus::Record::Vote { vote, .. } => Some(*vote),
            _ => None,
        });
        votes.collect::<Vec<Vote>>()
    };
    // After running.
    let (lab, [_, second, best]) = lab();
    let (mut lab, outputs) = lab.restart_with_outputs();
    assert_eq!(announced(&outputs), [ours(&lab)]);
    announce(&mut lab, candidacy(second, 1, 0));
    assert_eq!(asked(&lab.wait(WAIT)), [second]);

    // After choosing: whom it chose is forgotten, and another is as good.
    let before = signed(&lab);
    let (mut lab, outputs) = lab.restart_with_outputs();
    assert_eq!((announced(&outputs), asked(&outputs)), (vec![ours(&lab)], vec![]));
    announce(&mut lab, candidacy(best, 1, 0));
    assert_eq!(asked(&lab.wait(WAIT)), [best]);
    assert_eq!(signed(&lab), before, "the same signature");

    // After preparing: the leader shows its proposal again, and gets the same vote again.
    let block = lab.block(best, 0);
    let vote = votes(&lab.propose_by(best, &block), Phase::Prepare);
    let (mut lab, outputs) = lab.restart_with_outputs();
    assert!(votes(&outputs, Phase::Prepare).is_empty(), "to nobody knows whom");
    let other = lab.block(second, 1);
    announce(&mut lab, candidacy(second, 1, 0));
    lab.wait(WAIT);
    assert!(prepared(&lab.propose_by(second, &other)).is_empty(), "one block a round");

    let mut lab = lab.restart();
    announce(&mut lab, candidacy(best, 1, 0));
    lab.wait(WAIT);
    assert_eq!(votes(&lab.propose_by(best, &block), Phase::Prepare), vote);
}

#[test]
fn a_leader_that_restarts_after_its_proposal_goes_on_leading() {
    let (mut lab, others) = lab();
    lab.wait(WAIT);
    let mut built = None;
    for node in others {
        let message = lab.new_round(node, 0, None);
        for output in lab.hear(node, message) {
            if let Output::Build(request) = output {
                built = Some(Box::new(crate::common::finish(&request)));
            }
        }
    }
    let block = built.expect("it has a quorum");
    let id = block.id();
    assert_eq!(proposals(&lab.feed(Input::Built { block, change: None })).len(), 1);
    let (mut lab, outputs) = lab.restart_with_outputs();
    assert_eq!(proposals(&outputs).len(), 1, "it says it again");
    let mut certified = vec![];
    for node in others {
        let vote = Message::Vote(lab.vote(node, 0, Phase::Prepare, id));
        certified.extend(crate::common::lab::certificates(&lab.hear(node, vote)));
    }
    assert_eq!(certified.len(), 1);
}

#[test]
fn where_leaders_take_turns_nobody_runs() {
    let mut lab = Lab::new(&[10; 4], 0);
    let outputs = lab.hear(1, Message::Candidacy(Box::new(candidacy(1, 1, 0))));
    assert_eq!(refusals(&outputs), [(1, Refusal::NoElection)]);
}

/// Trap 6 of the Go code: whoever knew the validators knew all future leaders.
#[test]
fn trap_6_nobody_foresees_a_leader_from_what_is_public() {
    let secrets = |node: usize| {
        let public = key(node).public_key();
        let hashed = Domain::custom("guess").hash(&public.0).0;
        [public.0, vrf(node).public_key().0, hashed].map(VrfSecret::from_seed)
    };
    for node in 0..4 {
        let identity = Identity::new(SecretKey::from_seed([node as u8 + 1; 32]), vrf(node));
        assert_eq!(identity.vrf_key(), vrf(node).public_key(), "the key that it was given");
        for guess in secrets(node) {
            assert_ne!(identity.vrf_key(), guess.public_key());
            let claim = candidacy(node, 1, 0).claim;
            assert_ne!(guess.prove(&claim.input().0).0, claim.proof);
        }
    }
    // Who registers a key takes the luck of that key and no other.
    let member = |node: usize| Validator {
        public_key: public(node),
        vrf_key: vrf(node).public_key(),
        weight: pocket_types::number::Weight(10),
        bls_key: None,
    };
    let members = (0..4).map(member).collect();
    assert_eq!(ValidatorSet::new(Epoch(0), members).unwrap(), set(0, &[10; 4]));
}

/// A chain of some heights under elections, and the tip at the end of it.
fn decided() -> (Setup, Vec<Header>, Tip) {
    let setup = Setup { config: elected(), ..Setup::cheap(&[10; 4]) };
    let mut sim = simulate(setup.clone(), 4, Plan::calm(1));
    sim.run_until(Timestamp(1_050)).unwrap();
    let chain = &sim.disk(0).chain;
    let headers: Vec<Header> = chain.iter().map(|decided| decided.block.header.clone()).collect();
    let electorate = setup.electorate(setup.set_at(0));
    let sets = [setup.set_at(0), setup.set_at(0)];
    let [one, two] = sets;
    let tip = Tip::stored_of(&chain.last().unwrap().proof, electorate, one, two).unwrap();
    (setup, headers, tip)
}

#[test]
fn a_tip_takes_the_headers_of_its_seed_and_no_others() {
    let (_, headers, tip) = decided();
    assert_eq!(tip.height(), Height(10));
    let seeded = |headers: &[Header]| tip.clone().with_seed(RULE, Hash::ZERO, headers);
    let good = seeded(&headers[7..8]).unwrap();
    assert_eq!(good.seed(), Some(Seed::Beacon(headers[7].randomness)));
    assert_eq!(good.seed_rule(), Some(RULE));
    assert_eq!(tip.seed(), None);
    let count = SeedError::Count { got: 0, expected: 8..9 };
    assert_eq!(seeded(&[]).unwrap_err(), count);
    let height = SeedError::Height { got: Height(7), expected: Height(8) };
    assert_eq!(seeded(&headers[6..7]).unwrap_err(), height);
    let mut foreign = headers[7].clone();
    foreign.chain = ChainId(Hash::ZERO);
    let chain = SeedError::WrongChain { got: foreign.chain, expected: tip.chain() };
    assert_eq!(seeded(&[foreign]).unwrap_err(), chain);
    for rule in [
        SeedRule::Beacon { period: 0 },
        SeedRule::LastLeaders { count: 0 },
        SeedRule::LastLeaders { count: SeedRule::MAX_LEADERS + 1 },
    ] {
        let refused = tip.clone().with_seed(rule, Hash::ZERO, &[]);
        assert_eq!(refused.unwrap_err(), SeedError::Rule(rule));
    }

    // The tip's own header, and headers that are linked to it, must be the chain's.
    let of_tip = SeedRule::Beacon { period: 5 };
    assert!(tip.clone().with_seed(of_tip, Hash::ZERO, &headers[9..]).is_ok());
    let mut other = headers[9].clone();
    other.randomness = Hash([9; 32]);
    let (got, expected) = (other.id(), tip.block());
    let refused = tip.clone().with_seed(of_tip, Hash::ZERO, &[other]);
    assert_eq!(refused.unwrap_err(), SeedError::OffChain { height: Height(10), got, expected });
    let leaders = SeedRule::LastLeaders { count: 3 };
    let good = tip.clone().with_seed(leaders, Hash::ZERO, &headers[7..]).unwrap();
    let proposers: Vec<PublicKey> = headers[7..].iter().map(|header| header.proposer).collect();
    assert_eq!(good.seed(), Some(Seed::last_leaders(&proposers)));
    let mut forged = headers[7..].to_vec();
    forged[0].proposer = forged[1].proposer;
    forged[0].time.0 += 1;
    let (got, expected) = (forged[0].id(), headers[8].parent);
    let refused = tip.clone().with_seed(leaders, Hash::ZERO, &forged);
    assert_eq!(refused.unwrap_err(), SeedError::OffChain { height: Height(8), got, expected });
}

#[test]
fn a_tip_near_genesis_reads_the_genesis_and_no_headers() {
    let setup = Setup { config: elected(), ..Setup::cheap(&[10; 4]) };
    let genesis = setup.genesis();
    assert_eq!(genesis.seed(), Some(Seed::Beacon(Hash::ZERO)));
    let (got, expected) = (Hash([1; 32]), Hash::ZERO);
    let refused = genesis.with_seed(RULE, got, &[]);
    assert_eq!(refused.unwrap_err(), SeedError::Genesis { got, expected });
    let heights = |rule: SeedRule| (0..6).map(|tip| rule.reads(Height(tip))).collect::<Vec<_>>();
    assert_eq!(heights(RULE), [0..0, 0..0, 0..0, 0..0, 4..5, 4..5]);
    let leaders = heights(SeedRule::LastLeaders { count: 2 });
    assert_eq!(leaders, [1..1, 1..2, 1..3, 2..4, 3..5, 4..6]);
}

#[test]
fn without_the_seed_a_replica_does_not_start_and_does_not_advance() {
    let (setup, headers, tip) = decided();
    let start = |config: Config, tip: Tip| {
        Replica::<pocket_consensus::HotPokt>::recover(config, Some(setup.identity(0)), tip, [])
    };
    let missing = RecoverError::Seed { got: None, expected: RULE };
    assert_eq!(start(elected(), tip.clone()).unwrap_err(), missing);
    let other = SeedRule::LastLeaders { count: 3 };
    let wrong = tip.clone().with_seed(other, Hash::ZERO, &headers[7..]).unwrap();
    let refused = RecoverError::Seed { got: Some(other), expected: RULE };
    assert_eq!(start(elected(), wrong).unwrap_err(), refused);
    let good = tip.clone().with_seed(RULE, Hash::ZERO, &headers[7..8]).unwrap();
    assert!(start(elected(), good.clone()).is_ok());
    assert!(start(config(), tip.clone()).is_ok(), "turns need no seed");

    let mut replica = start(elected(), setup.genesis()).unwrap();
    let refused = replica.handle(Timestamp(1), Input::Advance(Box::new(tip)));
    let missing = ReplicaError::Seed { got: None, expected: RULE };
    assert_eq!(refused.unwrap_err(), missing);
    assert_eq!(replica.height(), Height(1));
    let _ = replica.handle(Timestamp(1), Input::Advance(Box::new(good))).unwrap();
    assert_eq!(replica.height(), Height(11));
}

#[test]
fn an_election_s_numbers_must_make_sense() {
    let with = |election: ElectionConfig| {
        let config = Config { election: Some(election), ..config() };
        let tip = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set(0, &[10; 4])).unwrap();
        let tip = tip.clone().with_seed(election.seed, Hash::ZERO, &[]).unwrap_or(tip);
        Replica::<pocket_consensus::HotPokt>::recover(config, Some(identity(0)), tip, []).err()
    };
    let good = elected().election.unwrap();
    assert_eq!(with(good), None);
    let bad = [
        ElectionConfig { wait: Duration(0), ..good },
        ElectionConfig { wait: config().timeout_cap, ..good },
        ElectionConfig { seed: SeedRule::Beacon { period: 0 }, ..good },
    ];
    for election in bad {
        assert!(matches!(with(election), Some(RecoverError::Config(_))), "{election:?}");
    }
}
