//! The traps of the Go code, of the paper's draft and of the field, each sprung on a real replica by
//! messages that a Byzantine quorum could craft.

use crate::common::lab::{Lab, certificates, prepared, proposals, refusals, votes};
use crate::common::{config, finish, key, node_of, public, set, vrf};
use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::{BlockRequest, Message, NewRound, Proposal};
use pocket_consensus::{
    HotPokt, Identity, Input, Output, Record, Refusal, Replica, ReplicaError, Tip, Verdict,
};
use pocket_types::block::{Block, beacon};
use pocket_types::codec::{self, Bytes, Wire};
use pocket_types::evidence::{Evidence, OffenceKind};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::Signature;
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp};
use pocket_types::scheme::VoteSignature;
use pocket_types::validator::{Electorate, ValidatorSetError};
use pocket_types::vote::{Certificate, CertificateError, Phase, Vote, VoteData};

/// A leader of round 0 that has proposed, and its block.
fn proposing(weights: &[u64]) -> (Lab, BlockId) {
    let probe = Lab::new(weights, 0);
    let mut lab = Lab::new(weights, node_of(&probe.replica.leader(Round(0))));
    let mut build = None;
    for node in lab.others() {
        let message = lab.new_round(node, 0, None);
        for output in lab.hear(node, message) {
            if let Output::Build(request) = output {
                build = Some(request);
            }
        }
    }
    let request = build.expect("a quorum entered, so a block is built");
    let block = Box::new(finish(&request));
    let id = block.id();
    assert_eq!(proposals(&lab.feed(Input::Built { block, change: None })).len(), 1);
    (lab, id)
}

#[test]
fn trap_1_duplicate_signers_don_t_count_twice() {
    let (mut lab, block) = proposing(&[10; 4]);
    let other = lab.others()[0];
    let vote = lab.vote(other, 0, Phase::Prepare, block);
    for _ in 0..5 {
        assert!(certificates(&lab.hear(other, Message::Vote(vote))).is_empty());
    }
    let third = lab.others()[1];
    let vote = lab.vote(third, 0, Phase::Prepare, block);
    assert_eq!(certificates(&lab.hear(third, Message::Vote(vote))).len(), 1);
}

#[test]
fn trap_2_the_lock_is_compared_with_the_proposal_not_with_its_justify() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    // B, justified by the certificate of the very block that we are locked on.
    let justify = lab.qc(0, Phase::Prepare, a.id());
    let outputs = lab.propose(1, &b, Some(justify));
    assert!(prepared(&outputs).is_empty());
    let expected = Refusal::JustifyBlock { got: b.id(), expected: a.id() };
    assert_eq!(refusals(&outputs), [(lab.leads(1), expected)]);
}

#[test]
fn trap_3_a_higher_certificate_unlocks() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    let justify = lab.qc(1, Phase::Prepare, b.id());
    assert_eq!(prepared(&lab.propose(2, &b, Some(justify))), [b.id()]);
}

#[test]
fn a_certificate_of_the_lock_s_own_or_an_earlier_round_doesn_t_unlock() {
    for round in [0, 1] {
        let mut lab = Lab::follower();
        let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
        lab.lock(1, &a, Some(lab.qc(0, Phase::Prepare, a.id())));
        let justify = lab.qc(round, Phase::Prepare, b.id());
        let outputs = lab.propose(2, &b, Some(justify));
        assert!(prepared(&outputs).is_empty() && lab.locked() == Some(a.id()));
    }
}

/// A justify that is no news must not be believed unchecked: the lock rule relies on it.
#[test]
fn a_forged_justify_below_the_high_qc_doesn_t_unlock() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    lab.hear_certificate(&lab.qc(2, Phase::Prepare, a.id()));
    let mut forged = lab.qc(1, Phase::Prepare, a.id());
    forged.data.block = b.id();
    let outputs = lab.propose(4, &b, Some(forged));
    assert!(prepared(&outputs).is_empty());
    assert!(matches!(&refusals(&outputs)[..], [(_, Refusal::Certificate(_))]));
    assert_eq!(prepared(&lab.propose(4, &b, Some(lab.qc(1, Phase::Prepare, b.id())))), [b.id()]);
}

#[test]
fn trap_4_a_round_is_adopted_only_after_signatures_are_checked() {
    let mut lab = Lab::follower();
    let others = lab.others();
    // NewRounds that somebody else signed.
    for &node in &others {
        let Message::NewRound(mut message) = lab.new_round(node, 1, None) else { panic!() };
        message.vote.signature = Signature([1; 64]).into();
        lab.hear(node, Message::NewRound(message));
    }
    assert_eq!(lab.replica.round(), Round(0));
    // Proposals of later rounds: unsigned, and signed by somebody who doesn't lead.
    let block = lab.block(lab.leads(2), 0);
    let (leader, honest) = lab.proposal(2, &block, None);
    let mut unsigned = honest.clone();
    unsigned.vote.signature = Signature([0; 64]).into();
    let outputs = lab.hear(leader, Message::Proposal(Box::new(unsigned)));
    let expected = Refusal::Signature { signer: public(leader), phase: Phase::Propose };
    assert_eq!(refusals(&outputs), [(leader, expected)]);
    let stranger = lab.leads(1);
    let mut foreign = honest.clone();
    foreign.vote = lab.vote(stranger, 2, Phase::Propose, block.id());
    let outputs = lab.hear(stranger, Message::Proposal(Box::new(foreign)));
    let expected = Refusal::NotLeader { got: public(stranger), expected: public(leader) };
    assert_eq!(refusals(&outputs), [(stranger, expected)]);
    // A leader that claims a round without a certificate leading there.
    let mut unjustified = honest.clone();
    unjustified.entry = None;
    let outputs = lab.hear(leader, Message::Proposal(Box::new(unjustified)));
    let expected = Refusal::Unjustified { got: Round(2), ours: Round(0) };
    assert_eq!(refusals(&outputs), [(leader, expected)]);
    // Certificates with one bad signature.
    let mut timeout = lab.tc(2);
    let mut signatures = timeout.signatures.to_vec();
    signatures[70] ^= 1;
    timeout.signatures = Bytes::new(signatures).unwrap();
    let outputs = lab.hear_certificate(&timeout);
    assert!(matches!(
        &refusals(&outputs)[..],
        [(_, Refusal::Certificate(CertificateError::Signatures(positions)))] if positions.len() == 1
    ));
    assert_eq!(lab.replica.round(), Round(0));
    // The honest proposal is still welcome.
    assert_eq!(prepared(&lab.hear(leader, Message::Proposal(Box::new(honest)))), [block.id()]);
    assert_eq!(lab.replica.round(), Round(2));
}

/// A certificate with one signature that is not its signer's.
fn spoilt(mut certificate: Certificate) -> Certificate {
    let mut signatures = certificate.signatures.to_vec();
    signatures[70] ^= 1;
    certificate.signatures = Bytes::new(signatures).unwrap();
    certificate
}

#[test]
fn a_forged_certificate_leads_nobody_into_a_round() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(2), 0);
    let node = lab.others()[0];
    for phase in [Phase::NewRound, Phase::Prepare, Phase::PreCommit, Phase::Commit] {
        let names = if phase == Phase::NewRound { BlockId::default() } else { block.id() };
        let forged = spoilt(lab.qc(2, phase, names));
        let is_named = |outputs: &[Output], from: usize| {
            matches!(
                &refusals(outputs)[..],
                [(peer, Refusal::Certificate(CertificateError::Signatures(bad)))]
                    if *peer == from && bad.len() == 1
            )
        };
        let (leader, mut proposal) = lab.proposal(2, &block, None);
        proposal.entry = Some(forged.clone());
        let outputs = lab.hear(leader, Message::Proposal(Box::new(proposal)));
        assert!(is_named(&outputs, leader), "{phase:?}: {outputs:?}");
        assert!(prepared(&outputs).is_empty());
        // Nor by way of a NewRound that is honest but for it.
        let vote = lab.vote(node, 3, Phase::NewRound, BlockId::default());
        let message = NewRound { vote, high_qc: None, entry: Some(forged), commit: None };
        let outputs = lab.hear(node, Message::NewRound(Box::new(message)));
        assert!(is_named(&outputs, node), "{phase:?}: {outputs:?}");
        assert_eq!((lab.replica.round(), lab.replica.height()), (Round(0), Height(1)));
        assert_eq!((lab.locked(), lab.replica.protocol().high_qc()), (None, None));
    }
    assert_eq!(prepared(&lab.propose(2, &block, None)), [block.id()], "the honest one still does");
}

/// The leader knows of no certificate itself: one NewRound of the quorum brings it.
#[test]
fn new_rounds_carry_the_highest_prepare_certificate_to_the_next_leader() {
    // A replica that knows it says so, whether it gives the round up or enters the next.
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let high_qc = lab.qc(0, Phase::Prepare, block.id());
    lab.propose(0, &block, None);
    lab.hear_certificate(&high_qc);
    lab.now = Timestamp(5_000);
    let said = |outputs: &[Output]| {
        let messages = outputs.iter().filter_map(|output| match output {
            Output::Broadcast { message: Message::NewRound(message), .. }
            | Output::Send { message: Message::NewRound(message), .. } => Some((**message).clone()),
            _ => None,
        });
        messages.collect::<Vec<_>>()
    };
    let gives_up = said(&lab.feed(Input::Tick));
    let enters = said(&lab.hear_certificate(&lab.tc(2)));
    assert!(!gives_up.is_empty() && !enters.is_empty());
    for message in gives_up.iter().chain(&enters) {
        assert_eq!(message.high_qc, Some(high_qc.clone()));
    }
    // A leader that knows nothing hears it.
    let from = lab.me;
    let mut lab = Lab::leader(1);
    assert_ne!(lab.me, from);
    let fresh = lab.others().into_iter().find(|&node| node != from).unwrap();
    assert_eq!(lab.replica.protocol().high_qc(), None);
    lab.propose(0, &block, None);
    lab.hear_certificate(&lab.tc(1));
    let mut outputs = lab.hear(from, Message::NewRound(Box::new(gives_up[0].clone())));
    outputs.extend(lab.hear(fresh, lab.new_round(fresh, 1, None)));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Build(_))));
    let proposed = proposals(&outputs);
    assert_eq!(proposed.len(), 1);
    assert_eq!((&proposed[0].block, &proposed[0].justify), (&block, &Some(high_qc)));
}

#[test]
fn a_certificate_of_another_height_is_refused_wherever_it_stands() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(2), 0);
    let node = lab.others()[0];
    for (height, phase) in
        [0, 2].into_iter().flat_map(|h| [Phase::NewRound, Phase::Prepare].map(|phase| (h, phase)))
    {
        let names = if phase == Phase::NewRound { BlockId::default() } else { block.id() };
        let foreign = |lab: &Lab, round| {
            lab.qc_of(VoteData { height: Height(height), ..lab.data(round, phase, names) })
        };
        let elsewhere = |outputs: &[Output], from: usize| {
            matches!(
                &refusals(outputs)[..],
                [(peer, Refusal::Misplaced { height: got, .. })]
                    if *peer == from && *got == Height(height)
            )
        };
        let (leader, honest) = lab.proposal(2, &block, None);
        let mut entered = honest.clone();
        entered.entry = Some(foreign(&lab, 2));
        let outputs = lab.hear(leader, Message::Proposal(Box::new(entered)));
        assert!(elsewhere(&outputs, leader), "entry, {outputs:?}");
        let mut justified = honest;
        justified.justify = Some(foreign(&lab, 1));
        let outputs = lab.hear(leader, Message::Proposal(Box::new(justified)));
        assert!(elsewhere(&outputs, leader), "justify, {outputs:?}");
        let vote = lab.vote(node, 3, Phase::NewRound, BlockId::default());
        let high_qc = Some(foreign(&lab, 1));
        let message = NewRound { vote, high_qc, entry: None, commit: None };
        let outputs = lab.hear(node, Message::NewRound(Box::new(message)));
        assert!(elsewhere(&outputs, node), "high QC, {outputs:?}");
        // What let the sender into its height is no news in this one.
        let message = NewRound { vote, high_qc: None, entry: Some(foreign(&lab, 2)), commit: None };
        let outputs = lab.hear(node, Message::NewRound(Box::new(message)));
        assert!(refusals(&outputs).is_empty(), "and no offence: {outputs:?}");
        lab.hear_certificate(&foreign(&lab, 2));
        assert_eq!((lab.replica.round(), lab.replica.height()), (Round(0), Height(1)));
        assert_eq!((lab.locked(), lab.replica.protocol().high_qc()), (None, None));
    }
}

#[test]
fn a_new_round_that_names_a_block_is_refused() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0).id();
    for node in lab.others() {
        let vote = lab.vote(node, 1, Phase::NewRound, block);
        let message = NewRound { vote, high_qc: None, entry: None, commit: None };
        let outputs = lab.hear(node, Message::NewRound(Box::new(message)));
        assert_eq!(refusals(&outputs), [(node, Refusal::NewRoundBlock(block))]);
        assert_eq!(outputs.len(), 1);
    }
    assert_eq!(lab.replica.round(), Round(0), "none of them counts");
    let outputs = lab.hear_certificate(&lab.qc(1, Phase::NewRound, block));
    assert_eq!(refusals(&outputs), [(lab.others()[0], Refusal::NewRoundBlock(block))]);
    assert_eq!(lab.replica.round(), Round(0));
}

/// A vote of the right phase that also vouches for a certificate, which nobody does in HotPOKT: counted
/// first, it would set what the others' votes are compared with, and theirs would count for nothing.
#[test]
fn a_vote_that_vouches_for_a_certificate_is_refused_and_stops_no_leader() {
    let mut lab = Lab::leader(1);
    let others = lab.others();
    let stray = |lab: &Lab, node: usize, phase, block| {
        let data = VoteData { high: Some(Round(0)), ..lab.data(1, phase, block) };
        Vote::sign(data, &key(node))
    };
    let refused = [(others[0], Refusal::SignsHigh(Round(0)))];
    let vote = stray(&lab, others[0], Phase::NewRound, BlockId::default());
    let message = NewRound { vote, high_qc: None, entry: None, commit: None };
    let outputs = lab.hear(others[0], Message::NewRound(Box::new(message)));
    assert_eq!(refusals(&outputs), refused);
    assert_eq!(outputs.len(), 1);
    let mut outputs = vec![];
    for &node in &others[1..] {
        outputs.extend(lab.hear(node, lab.new_round(node, 1, None)));
    }
    let build = outputs.into_iter().find_map(|output| match output {
        Output::Build(request) => Some(request),
        _ => None,
    });
    let block = Box::new(finish(&build.expect("two others and we are a quorum without it")));
    let id = block.id();
    assert_eq!(proposals(&lab.feed(Input::Built { block, change: None })).len(), 1);

    for phase in [Phase::Prepare, Phase::PreCommit, Phase::Commit] {
        let message = Message::Vote(stray(&lab, others[0], phase, id));
        assert_eq!(refusals(&lab.hear(others[0], message)), refused);
        let mut outputs = vec![];
        for &node in &others[1..] {
            let vote = lab.vote(node, 1, phase, id);
            outputs.extend(lab.hear(node, Message::Vote(vote)));
        }
        assert_eq!(certificates(&outputs).len(), 1, "{phase:?}");
    }
    let mut lab = Lab::follower();
    let leader = lab.leads(0);
    let block = lab.block(leader, 0);
    let (_, mut proposal) = lab.proposal(0, &block, None);
    proposal.vote.data.high = Some(Round(0));
    proposal.vote = Vote::sign(proposal.vote.data, &key(leader));
    let outputs = lab.hear(leader, Message::Proposal(Box::new(proposal)));
    assert_eq!(refusals(&outputs), [(leader, Refusal::SignsHigh(Round(0)))]);
}

#[test]
fn more_than_a_third_makes_a_replica_join_a_round_and_a_quorum_lets_it_in() {
    let mut lab = Lab::follower();
    let others = lab.others();
    for _ in 0..3 {
        let outputs = lab.hear(others[0], lab.new_round(others[0], 1, None));
        assert!(outputs.is_empty(), "one of four is no third, however often it says so");
    }
    let outputs = lab.hear(others[1], lab.new_round(others[1], 1, None));
    let joins = outputs.iter().any(|output| match output {
        Output::Broadcast { message: Message::NewRound(message), .. } => {
            message.vote.data.round == Round(1)
        }
        _ => false,
    });
    assert!(joins, "its own signature makes the quorum");
    assert_eq!(lab.replica.round(), Round(1));
}

#[test]
fn trap_5_every_vote_of_a_round_goes_to_the_same_leader() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let mut outputs = lab.propose(0, &block, None);
    outputs.extend(lab.hear_certificate(&lab.qc(0, Phase::Prepare, block.id())));
    outputs.extend(lab.hear_certificate(&lab.qc(0, Phase::PreCommit, block.id())));
    let receivers = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::Vote(vote) } => Some((vote.data.phase, node_of(to))),
        _ => None,
    });
    let leader = lab.leads(0);
    let phases = [Phase::Prepare, Phase::PreCommit, Phase::Commit];
    assert_eq!(receivers.collect::<Vec<_>>(), phases.map(|phase| (phase, leader)));
}

#[test]
fn trap_6_only_the_registered_vrf_key_makes_a_block_s_randomness() {
    let mut lab = Lab::follower();
    let mut block = lab.block(lab.leads(0), 0);
    // The proposer's VRF, evaluated with a key that is not the proposer's.
    let (randomness, proof) = beacon::extend(Hash::ZERO, Height(1), &vrf(30));
    block.header.randomness = randomness;
    block.header.randomness_proof = proof;
    let outputs = lab.propose(0, &block, None);
    assert_eq!(refusals(&outputs), [(lab.leads(0), Refusal::Randomness)]);
}

#[test]
fn trap_7_an_interrupted_leader_s_block_is_proposed_again() {
    let mut lab = Lab::leader(3);
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.propose(0, &a, None);
    lab.propose(1, &b, None);
    lab.hear_certificate(&lab.tc(3));
    let others = lab.others();
    let older = lab.qc(0, Phase::Prepare, a.id());
    let newer = lab.qc(1, Phase::Prepare, b.id());
    let mut outputs = lab.hear(others[0], lab.new_round(others[0], 3, Some(newer.clone())));
    outputs.extend(lab.hear(others[1], lab.new_round(others[1], 3, Some(older))));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Build(_))));
    let proposed = proposals(&outputs);
    assert_eq!(proposed.len(), 1);
    assert_eq!(proposed[0].block, b);
    assert_eq!(proposed[0].justify, Some(newer));
}

/// A leader justifies its proposal by an older certificate than we know of. That may be safe to prepare,
/// but the next leader must still hear of the highest from us.
#[test]
fn an_older_justify_makes_nobody_forget_the_highest_certificate() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.propose(0, &a, None);
    lab.propose(1, &b, None);
    let older = lab.qc(0, Phase::Prepare, a.id());
    let newer = lab.qc(1, Phase::Prepare, b.id());
    lab.hear_certificate(&newer);
    assert_eq!(prepared(&lab.propose(2, &a, Some(older))), [a.id()]);
    assert_eq!(lab.replica.protocol().high_qc(), Some(&newer));
    let lab = lab.restart();
    assert_eq!(lab.replica.protocol().high_qc(), Some(&newer), "nor does a crash");
}

/// The same by the leader that has only heard of the block: it asks a signer for the body.
#[test]
fn a_leader_without_the_body_of_the_highest_certificate_fetches_it() {
    let mut lab = Lab::leader(1);
    let block = lab.block(lab.leads(0), 0);
    let high_qc = lab.qc(0, Phase::Prepare, block.id());
    let others = lab.others();
    let mut outputs = lab.hear_certificate(&lab.tc(1));
    for &node in &others {
        outputs.extend(lab.hear(node, lab.new_round(node, 1, Some(high_qc.clone()))));
    }
    assert!(proposals(&outputs).is_empty());
    let request = BlockRequest { height: Height(1), block: block.id() };
    let asked = outputs.iter().find_map(|output| match output {
        Output::Send { to, message: Message::BlockRequest(asked) } if *asked == request => {
            Some(*to)
        }
        _ => None,
    });
    let asked = node_of(&asked.expect("a signer is asked"));
    let outputs = lab.hear(asked, Message::Block(Box::new(block.clone())));
    assert_eq!(proposals(&outputs)[0].block, block);
}

/// A leader withholds the certificate of its block while more rounds fail than bodies are kept, and
/// then shows it: every later leader must propose this block, so whoever prepared it must have it.
#[test]
fn what_was_prepared_is_kept_however_late_its_certificate_comes() {
    let rounds = 2 * config().max_bodies as u64;
    let after = rounds + 1;
    let probe = Lab::new(&[10; 4], 0);
    let mut lab = Lab::leader((after..).find(|&r| probe.leads(r) != probe.leads(0)).unwrap());
    let withheld = lab.block(lab.leads(0), 0);
    assert_eq!(prepared(&lab.propose(0, &withheld, None)), [withheld.id()]);
    let mut prepares = 0;
    for round in 1..=rounds {
        let leader = lab.leads(round);
        if leader != lab.me {
            let block = lab.block(leader, round);
            assert_eq!(prepared(&lab.propose(round, &block, None)), [block.id()]);
            prepares += 1;
        }
    }
    assert!(prepares > config().max_bodies);
    let others = lab.others();
    let high_qc = lab.qc(0, Phase::Prepare, withheld.id());
    let request = BlockRequest { height: Height(1), block: withheld.id() };
    let give = |lab: &mut Lab, node| {
        let outputs = lab.hear(node, Message::BlockRequest(request));
        outputs.iter().any(|output| {
            matches!(output, Output::Send { message: Message::Block(block), .. } if **block == withheld)
        })
    };
    assert!(give(&mut lab, others[0]));
    let mut lab = lab.restart();
    assert!(give(&mut lab, others[0]), "so it does across a crash");
    let round = (after..).find(|&round| lab.leads(round) == lab.me).unwrap();
    let mut outputs = lab.hear_certificate(&lab.tc(round));
    for &node in &others {
        outputs.extend(lab.hear(node, lab.new_round(node, round, Some(high_qc.clone()))));
    }
    let proposed = proposals(&outputs);
    assert_eq!(proposed.len(), 1);
    assert_eq!((&proposed[0].block, &proposed[0].justify), (&withheld, &Some(high_qc)));
}

#[test]
fn trap_8_the_block_size_limit_bites() {
    let probe = Lab::follower();
    let block = probe.block(probe.leads(0), 0);
    let size = codec::encoded_len(&block);
    for (max, accepted) in [(size, true), (size - 1, false)] {
        let config = Config { max_block_bytes: max, ..config() };
        let mut lab = Lab::with(&[10; 4], probe.me, config);
        let outputs = lab.propose(0, &block, None);
        assert_eq!(prepared(&outputs).len() == 1, accepted);
        if !accepted {
            let expected = Refusal::TooLarge { got: size, max };
            assert_eq!(refusals(&outputs), [(lab.leads(0), expected)]);
        }
    }
    let bytes = vec![0; Message::MAX_BYTES + 1];
    assert!(codec::decode::<Message>(&bytes).is_err());
}

#[test]
fn what_a_quorum_certified_is_decided_whatever_its_size_and_time() {
    let probe = Lab::follower();
    let mut block = probe.block(probe.leads(0), 0);
    block.header.time = probe.now.after(probe.config.max_drift).after(Duration(1));
    let max = codec::encoded_len(&block) - 1;
    let mut lab = Lab::with(&[10; 4], probe.me, Config { max_block_bytes: max, ..config() });
    lab.hear_certificate(&lab.qc(0, Phase::Commit, block.id()));
    let outputs = lab.hear(lab.others()[0], Message::Block(Box::new(block.clone())));
    let decided =
        |output: &Output| matches!(output, Output::Decided { block: got, .. } if **got == block);
    assert!(outputs.iter().any(decided), "{outputs:?}");
}

#[test]
fn trap_9_a_lock_outlives_every_later_prepare() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(2), 1));
    lab.lock(0, &a, None);
    let justify = lab.qc(0, Phase::Prepare, a.id());
    assert_eq!(prepared(&lab.propose(1, &a, Some(justify))), [a.id()]);
    assert_eq!(lab.locked(), Some(a.id()));
    // The leader dies; the next one comes with an empty QC.
    assert!(prepared(&lab.propose(2, &b, None)).is_empty());
    assert_eq!(lab.locked(), Some(a.id()));
    // So it does across a crash.
    let mut lab = lab.restart();
    let c = lab.block(lab.leads(3), 2);
    lab.hear_certificate(&lab.tc(3));
    assert_eq!(lab.locked(), Some(a.id()));
    assert!(prepared(&lab.propose(4, &c, None)).is_empty());
}

/// Two-phase HotStuff halts when one replica is locked on a block that the leader hasn't heard of.
#[test]
fn the_hidden_lock_is_never_hidden_from_a_leader_with_a_quorum() {
    let mut lab = Lab::leader(1);
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    // Whoever is locked saw a quorum of PreCommit votes, so one in any quorum knows the Prepare QC.
    let high_qc = lab.qc(0, Phase::Prepare, block.id());
    let others = lab.others();
    lab.hear_certificate(&lab.tc(1));
    let mut outputs = lab.hear(others[0], lab.new_round(others[0], 1, None));
    outputs.extend(lab.hear(others[1], lab.new_round(others[1], 1, Some(high_qc))));
    assert_eq!(proposals(&outputs)[0].block, block);
}

#[test]
fn nothing_leaves_and_nothing_counts_before_it_is_stored() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let (leader, proposal) = lab.proposal(0, &block, None);
    let message = Message::Proposal(Box::new(proposal));
    let input = Input::Message { from: public(leader), message };
    let _ = lab.replica.handle(lab.now, input).unwrap();
    let verdict = Verdict::Valid { change: None };
    let checked = Input::Checked { block: block.id(), verdict };
    let step = lab.replica.handle(lab.now, checked).unwrap();
    assert!(step.outputs.is_empty());
    let unstored = step.records.unwrap();
    // The body and the vote, in one atomic write.
    assert!(
        matches!(unstored.records(), [Record::Body(body), Record::Vote { .. }] if **body == block)
    );
    let step = lab.replica.release(lab.now, unstored.stored()).unwrap();
    assert_eq!(prepared(&step.outputs), [block.id()]);
}

#[test]
fn a_leader_s_own_vote_counts_only_when_it_is_stored() {
    // Alone, so that every certificate needs nothing but its own vote.
    let tip =
        Tip::genesis(crate::common::chain(), Timestamp::ZERO, Hash::ZERO, set(0, &[1])).unwrap();
    let identity = Some(crate::common::identity(0));
    let mut replica = Replica::<HotPokt>::recover(config(), identity, tip, []).unwrap();
    let now = Timestamp(1_000);
    let mut step = replica.handle(now, Input::Tick).unwrap();
    let mut steps = 0;
    let mut decided = false;
    while !decided {
        let mut built = None;
        for output in &step.outputs {
            match output {
                Output::Build(request) => built = Some(Box::new(finish(request))),
                Output::Decided { .. } => decided = true,
                _ => {}
            }
        }
        step = match (step.records, built) {
            (Some(unstored), None) => {
                steps += 1;
                replica.release(now, unstored.stored()).unwrap()
            }
            (None, Some(block)) => {
                replica.handle(now, Input::Built { block, change: None }).unwrap()
            }
            _ => break,
        };
    }
    assert!(decided);
    assert_eq!(steps, 5, "NewRound, proposal and Prepare, PreCommit, Commit, the next NewRound");
}

#[test]
fn a_failed_store_ends_it() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let qc = lab.qc(0, Phase::Prepare, block.id());
    let message = Message::Certificate(Box::new(qc));
    let input = Input::Message { from: public(lab.others()[0]), message };
    let step = lab.replica.handle(lab.now, input.clone()).unwrap();
    let receipt = step.records.unwrap().failed();
    assert!(matches!(lab.replica.release(lab.now, receipt), Err(ReplicaError::Poisoned(_))));
    assert!(matches!(lab.replica.handle(lab.now, input), Err(ReplicaError::Poisoned(_))));
    assert_eq!(lab.replica.next_deadline(), None);
}

#[test]
fn a_restart_doesn_t_make_a_replica_vote_twice() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(0), 1));
    assert_eq!(prepared(&lab.propose(0, &a, None)), [a.id()]);
    let mut lab = lab.restart();
    assert!(prepared(&lab.propose(0, &b, None)).is_empty());
}

#[test]
fn a_restarted_leader_doesn_t_propose_twice() {
    let (lab, block) = proposing(&[10; 4]);
    let mut lab = lab.restart();
    let mut outputs = vec![];
    for node in lab.others() {
        let message = lab.new_round(node, 0, None);
        outputs.extend(lab.hear(node, message));
    }
    lab.now = Timestamp(1_000 + config().resend.0);
    outputs.extend(lab.feed(Input::Tick));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Build(_))));
    assert!(proposals(&outputs).iter().all(|proposal| proposal.block.id() == block));
    assert!(!proposals(&outputs).is_empty(), "it says again what it said");
}

#[test]
fn a_leader_says_the_same_again_whatever_it_has_learnt_since() {
    let mut lab = Lab::leader(3);
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.propose(0, &a, None);
    lab.hear_certificate(&lab.tc(3));
    let justify = lab.qc(0, Phase::Prepare, a.id());
    let mut first = vec![];
    for node in lab.others() {
        let message = lab.new_round(node, 3, Some(justify.clone()));
        first.extend(proposals(&lab.hear(node, message)));
    }
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0].block, &first[0].justify), (&a, &Some(justify)));
    // A later certificate for another block, withheld until now.
    lab.hear_certificate(&lab.qc(1, Phase::Prepare, b.id()));
    let again = |lab: &mut Lab| {
        lab.now = Timestamp(lab.now.0 + config().resend.0);
        proposals(&lab.feed(Input::Tick))
    };
    assert_eq!(again(&mut lab), first);
    let (mut lab, outputs) = lab.restart_with_outputs();
    assert_eq!(proposals(&outputs), first, "so it does across a crash");
    assert_eq!(again(&mut lab), first);
    // Nobody finds fault with it.
    let mut follower = Lab::new(&[10; 4], lab.others()[0]);
    let outputs = follower.hear(lab.me, Message::Proposal(Box::new(first[0].clone())));
    assert_eq!(prepared(&outputs), [a.id()]);
}

#[test]
fn who_gave_a_round_up_votes_in_it_no_more() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.now = lab.replica.next_deadline().unwrap().max(Timestamp(5_000));
    lab.feed(Input::Tick);
    let mut outputs = lab.propose(0, &block, None);
    outputs.extend(lab.hear_certificate(&lab.qc(0, Phase::Prepare, block.id())));
    outputs.extend(lab.hear_certificate(&lab.qc(0, Phase::PreCommit, block.id())));
    assert!(
        [Phase::Prepare, Phase::PreCommit, Phase::Commit]
            .iter()
            .all(|&phase| votes(&outputs, phase).is_empty())
    );
    assert_eq!(lab.locked(), Some(block.id()), "it still learns");
}

#[test]
fn certificates_of_another_height_set_chain_or_phase_prove_nothing_here() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let honest = lab.data(0, Phase::PreCommit, block.id());
    let mut cases = vec![];
    let chain = ChainId(Hash([8; 32]));
    cases.push(lab.qc_of(VoteData { chain, ..honest }));
    cases.push(lab.qc(0, Phase::Propose, block.id()));
    cases.push(lab.qc(1, Phase::NewRound, block.id()));
    // Certificates of these sets can't even be made with the right electorate, so forge the data.
    for forged in [
        VoteData { epoch: Epoch(1), ..honest },
        VoteData { validators: Hash([1; 32]), ..honest },
        VoteData { round: Round(1), ..honest },
        VoteData { phase: Phase::Commit, ..honest },
        VoteData { block: BlockId(Hash([1; 32])), ..honest },
    ] {
        let mut certificate = lab.qc_of(honest);
        certificate.data = forged;
        cases.push(certificate);
    }
    for certificate in cases {
        let outputs = lab.hear_certificate(&certificate);
        assert_eq!(refusals(&outputs).len(), 1, "{:?}", certificate.data);
        assert_eq!((lab.locked(), lab.replica.round()), (None, Round(0)));
    }
    let replayed = lab.qc_of(VoteData { height: Height(9), ..honest });
    let outputs = lab.hear_certificate(&replayed);
    assert!(matches!(outputs[..], [Output::Behind { certified: false, .. }]));
    assert_eq!(lab.locked(), None);
}

#[test]
fn a_timeout_certificate_with_a_stale_high_qc_moves_the_round_but_not_the_lock() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.propose(0, &b, None);
    lab.lock(1, &a, Some(lab.qc(0, Phase::Prepare, a.id())));
    let stale = lab.qc(0, Phase::Prepare, b.id());
    let outputs = lab.propose(2, &b, Some(stale));
    assert_eq!(lab.replica.round(), Round(2));
    assert!(prepared(&outputs).is_empty());
}

#[test]
fn weights_near_the_limit_count_right_and_beyond_it_are_refused() {
    let third = u64::MAX / 3;
    let overflow = set(0, &[third, third, third, 1, u64::MAX]);
    assert_eq!(Electorate::new(overflow).unwrap_err(), ValidatorSetError::Overflow);
    let (mut lab, block) = proposing(&[third; 3]);
    let mut certified = 0;
    for node in lab.others() {
        let vote = lab.vote(node, 0, Phase::Prepare, block);
        certified += certificates(&lab.hear(node, Message::Vote(vote))).len();
        let all = node == *lab.others().last().unwrap();
        assert_eq!(certified, usize::from(all), "two of three equal weights are no quorum");
    }
}

#[test]
fn a_quorum_is_more_than_two_thirds_of_the_weight() {
    // Weights, and how many votes beside the leader's make a certificate.
    for (weights, needed) in
        [(vec![1; 3], 2), (vec![1; 4], 2), (vec![1; 6], 4), (vec![1; 7], 4), (vec![3; 10], 6)]
    {
        let (mut lab, block) = proposing(&weights);
        let others = lab.others();
        for (i, &node) in others.iter().enumerate().take(needed) {
            let vote = lab.vote(node, 0, Phase::Prepare, block);
            let made = certificates(&lab.hear(node, Message::Vote(vote))).len();
            assert_eq!(made, usize::from(i + 1 == needed), "{weights:?}");
        }
    }
}

/// S and S + L satisfy the same equation; only one of them is a signature.
#[test]
fn a_malleated_signature_is_none() {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut lab, block) = proposing(&[10; 4]);
    let node = lab.others()[0];
    let mut vote = lab.vote(node, 0, Phase::Prepare, block);
    let mut carry = 0;
    let VoteSignature::Ed25519(signature) = &mut vote.signature else { panic!() };
    for (byte, order) in signature.0[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    let mut outputs = lab.hear(node, Message::Vote(vote));
    let honest = lab.others()[1];
    let other = lab.vote(honest, 0, Phase::Prepare, block);
    outputs.extend(lab.hear(honest, Message::Vote(other)));
    assert!(certificates(&outputs).is_empty());
    let expected = Refusal::Signature { signer: public(node), phase: Phase::Prepare };
    assert_eq!(refusals(&outputs), [(node, expected)]);
}

#[test]
fn bad_signatures_in_a_batch_are_charged_to_their_signers_and_the_rest_counts() {
    let (mut lab, block) = proposing(&[10; 7]);
    let others = lab.others();
    for &node in &others[..3] {
        let vote = lab.vote(node, 0, Phase::Prepare, block);
        lab.hear(node, Message::Vote(vote));
    }
    let mut bad = lab.vote(others[3], 0, Phase::Prepare, block);
    bad.signature = Signature([5; 64]).into();
    let outputs = lab.hear(others[3], Message::Vote(bad));
    let expected = Refusal::Signature { signer: public(others[3]), phase: Phase::Prepare };
    assert_eq!(refusals(&outputs), [(others[3], expected)]);
    assert!(certificates(&outputs).is_empty());
    let vote = lab.vote(others[4], 0, Phase::Prepare, block);
    assert_eq!(certificates(&lab.hear(others[4], Message::Vote(vote))).len(), 1);
}

#[test]
fn two_proposals_of_a_leader_are_evidence() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(0), 1));
    assert_eq!(prepared(&lab.propose(0, &a, None)), [a.id()]);
    let outputs = lab.propose(0, &b, None);
    assert!(prepared(&outputs).is_empty());
    let [Output::Evidence(evidence)] = &outputs[..] else { panic!("{outputs:?}") };
    let offence = evidence.verify(crate::common::chain()).unwrap();
    let kind = OffenceKind::Equivocation(Phase::Propose);
    assert_eq!((offence.offender, offence.kind), (public(lab.leads(0)), kind));
    let Evidence::Equivocation { first, second } = **evidence else { panic!() };
    assert_ne!(first.data.block, second.data.block);
}

/// Found in review: an older certificate that came after the decision took the place of the decided body
/// among what is asked for.
#[test]
fn a_decided_body_is_asked_for_until_it_comes_whatever_else_is_certified() {
    let mut lab = Lab::follower();
    let (stale, decided) = (lab.block(lab.leads(0), 1), lab.block(lab.leads(1), 2));
    lab.hear_certificate(&lab.qc(1, Phase::Commit, decided.id()));
    lab.hear_certificate(&lab.qc(0, Phase::Prepare, stale.id()));
    let wanted = |outputs: &[Output]| -> Vec<BlockId> {
        let sent = outputs.iter().filter_map(|output| match output {
            Output::Send { message: Message::BlockRequest(request), .. } => Some(request.block),
            _ => None,
        });
        sent.collect()
    };
    for _ in 0..3 {
        lab.now = lab.replica.next_deadline().unwrap();
        let wanted = wanted(&lab.feed(Input::Tick));
        assert!(wanted.iter().all(|block| *block == decided.id()), "{wanted:?}");
        if !wanted.is_empty() {
            return;
        }
    }
    panic!("nothing is asked for");
}

#[test]
fn votes_and_new_rounds_come_from_their_signers_only() {
    let (mut lab, block) = proposing(&[10; 4]);
    let (signer, relay) = (lab.others()[0], lab.others()[1]);
    let vote = lab.vote(signer, 0, Phase::Prepare, block);
    let expected = Refusal::Relayed { signer: public(signer), from: public(relay) };
    let outputs = lab.hear(relay, Message::Vote(vote));
    assert_eq!(refusals(&outputs), [(relay, expected.clone())]);
    // A NewRound stripped of its high QC by a relay would mislead the leader.
    let message = lab.new_round(signer, 1, None);
    assert_eq!(refusals(&lab.hear(relay, message)), [(relay, expected)]);
}

#[test]
fn every_wrong_header_is_refused_by_its_name_and_leaves_no_trace() {
    let mut lab = Lab::follower();
    let honest = lab.block(lab.leads(0), 0);
    let leader = lab.leads(0);
    type Case = (Box<dyn Fn(&mut Block)>, Refusal);
    let cases: Vec<Case> = vec![
        (Box::new(|b| b.header.version = 2), Refusal::Header("version")),
        (Box::new(|b| b.header.chain.0.0[0] ^= 1), Refusal::Header("chain")),
        (Box::new(|b| b.header.height = Height(2)), Refusal::Header("height")),
        (Box::new(|b| b.header.epoch = Epoch(1)), Refusal::Header("epoch")),
        (Box::new(|b| b.header.parent.0.0[0] = 1), Refusal::Header("parent")),
        (Box::new(|b| b.header.validators.0[0] ^= 1), Refusal::Header("validator set")),
        (Box::new(|b| b.header.next_validators.0[0] ^= 1), Refusal::Header("next validator set")),
        (
            Box::new({
                let qc = lab.qc(0, Phase::Commit, BlockId::default());
                move |b| b.header.parent_certificate = Some(qc.clone())
            }),
            Refusal::Header("parent certificate"),
        ),
        (
            Box::new(|b| b.header.time = Timestamp(0)),
            Refusal::TimeNotAfter { got: Timestamp(0), parent: Timestamp(0) },
        ),
        (
            Box::new({
                let other = lab.others().into_iter().find(|&node| node != leader).unwrap();
                move |b| b.header.proposer = public(other)
            }),
            Refusal::Header("proposer"),
        ),
        (Box::new(|b| b.header.randomness.0[0] ^= 1), Refusal::Randomness),
    ];
    for (spoil, expected) in cases {
        let mut block = honest.clone();
        spoil(&mut block);
        let outputs = lab.propose(0, &block, None);
        assert_eq!(refusals(&outputs), [(leader, expected)]);
    }
    let mut body = honest.clone();
    body.header.transactions_root.0[0] ^= 1;
    assert!(matches!(&refusals(&lab.propose(0, &body, None))[..], [(_, Refusal::Body(_))]));
    // Another block beside the signature.
    let (_, mut swapped) = lab.proposal(0, &honest, None);
    swapped.block.header.time.0 += 1;
    let got = swapped.block.id();
    let outputs = lab.hear(leader, Message::Proposal(Box::new(swapped)));
    assert_eq!(refusals(&outputs), [(leader, Refusal::BlockId { signed: honest.id(), got })]);
    // None of them spoiled the leader's real proposal.
    assert_eq!(prepared(&lab.propose(0, &honest, None)), [honest.id()]);
}

#[test]
fn a_proposal_ahead_of_our_clock_is_no_offence_and_waits_for_its_time() {
    let mut lab = Lab::follower();
    let mut block = lab.block(lab.leads(0), 0);
    let latest = lab.now.after(config().max_drift);
    block.header.time = Timestamp(latest.0 + 1);
    let outputs = lab.propose(0, &block, None);
    assert!(matches!(outputs[..], [Output::Dropped { .. }]), "{outputs:?}");
    // The leader says it again.
    lab.now = Timestamp(lab.now.0 + 1);
    assert_eq!(prepared(&lab.propose(0, &block, None)), [block.id()]);
}

#[test]
fn a_block_that_execution_refuses_gets_no_vote_and_stops_us_if_it_is_decided() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let (leader, proposal) = lab.proposal(0, &block, None);
    let message = Message::Proposal(Box::new(proposal));
    let _ = lab.replica.handle(lab.now, Input::Message { from: public(leader), message }).unwrap();
    let verdict = Verdict::Invalid("root".into());
    let outputs = lab.feed(Input::Checked { block: block.id(), verdict });
    assert_eq!(refusals(&outputs), [(leader, Refusal::Execution("root".into()))]);
    let mut outputs = lab.hear_certificate(&lab.qc(0, Phase::Prepare, block.id()));
    outputs.extend(lab.hear_certificate(&lab.qc(0, Phase::PreCommit, block.id())));
    assert!(votes(&outputs, Phase::PreCommit).is_empty());
    assert!(votes(&outputs, Phase::Commit).is_empty());
    let outputs = lab.hear_certificate(&lab.qc(0, Phase::Commit, block.id()));
    assert!(outputs.iter().any(|output| matches!(output, Output::Diverged { .. })));
    assert_eq!(
        lab.replica.handle(lab.now, Input::Tick).unwrap_err(),
        ReplicaError::Diverged { block: block.id() }
    );
}

#[test]
fn a_decision_without_the_body_asks_for_it() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let outputs = lab.hear_certificate(&lab.qc(3, Phase::Commit, block.id()));
    let asks = |output: &Output| {
        matches!(output, Output::Send { message: Message::BlockRequest(request), .. }
            if request.block == block.id())
    };
    assert!(outputs.iter().any(asks));
    // A block that nobody asked for is left out, the right one decides.
    let other = lab.block(lab.leads(1), 7);
    let node = lab.others()[0];
    let outputs = lab.hear(node, Message::Block(Box::new(other.clone())));
    assert!(matches!(outputs[..], [Output::Dropped { .. }]));
    let outputs = lab.hear(node, Message::Block(Box::new(block.clone())));
    let decided = outputs.iter().find_map(|output| match output {
        Output::Decided { block, proof } => Some((block.id(), proof.clone())),
        _ => None,
    });
    let (id, proof) = decided.unwrap();
    assert_eq!(id, block.id());
    assert!(proof.verify(&lab.electorate()).is_ok());
    assert_eq!(lab.replica.height(), Height(2));
}

/// The first signature of height 2 is durable, height 1 is not committed anywhere yet, and all crash.
#[test]
fn a_decision_survives_a_crash_before_the_host_commits_it() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let decided = |outputs: &[Output]| {
        outputs
            .iter()
            .any(|o| matches!(o, Output::Decided { block: b, .. } if b.id() == block.id()))
    };
    assert!(decided(&lab.hear_certificate(&lab.qc(0, Phase::Commit, block.id()))));
    // Height 2 locks before the host has committed height 1.
    let next = BlockId(Hash([2; 32]));
    for phase in [Phase::Prepare, Phase::PreCommit] {
        let data = VoteData { height: Height(2), ..lab.data(0, phase, next) };
        lab.hear_certificate(&lab.qc_of(data));
    }
    assert_eq!(lab.locked(), Some(next));
    let (lab, outputs) = lab.restart_with_outputs();
    assert!(decided(&outputs), "from the log alone");
    assert_eq!(lab.replica.height(), Height(2));
    assert_eq!(lab.locked(), Some(next), "what the log says of later heights is not forgotten");
}

/// What a replica answers to a message, as certificates sent to one peer.
fn shown(outputs: &[Output], peer: usize) -> Vec<Certificate> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::Certificate(certificate) } if *to == public(peer) => {
            Some((**certificate).clone())
        }
        _ => None,
    });
    sent.collect()
}

#[test]
fn who_is_behind_in_a_height_is_let_into_the_round() {
    let mut lab = Lab::follower();
    let timeout = lab.tc(2);
    lab.hear_certificate(&timeout);
    let node = lab.others()[0];
    let answer = lab.hear(node, lab.new_round(node, 1, None));
    assert_eq!(shown(&answer, node), vec![timeout.clone()]);
    // One that signed for our round, says so again and is in an earlier one still waits outside.
    lab.now = lab.now.after(config().resend);
    lab.hear(node, lab.new_round(node, 2, None));
    let answer = lab.hear(node, lab.new_round(node, 2, None));
    assert_eq!(shown(&answer, node), vec![timeout.clone()]);
    // Once in a while, and a newer one at once.
    for _ in 0..10 {
        let answer = lab.hear(node, lab.new_round(node, 1, None));
        assert!(matches!(answer[..], [Output::Dropped { .. }]));
    }
    let newer = lab.tc(3);
    lab.hear_certificate(&newer);
    assert_eq!(shown(&lab.hear(node, lab.new_round(node, 1, None)), node), [newer]);
}

#[test]
fn who_is_behind_by_a_height_is_shown_its_decision() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let decision = lab.qc(0, Phase::Commit, block.id());
    lab.hear_certificate(&decision);
    let node = lab.others()[0];
    let answer = lab.hear(node, lab.new_round(node, 1, None));
    assert_eq!(shown(&answer, node), vec![decision.clone()]);
    let vote = lab.vote(node, 0, Phase::Prepare, block.id());
    for _ in 0..10 {
        let answer = lab.hear(node, Message::Vote(vote));
        assert!(matches!(answer[..], [Output::Dropped { .. }]), "once in a while");
    }
    lab.now = lab.now.after(config().resend);
    assert_eq!(shown(&lab.hear(node, Message::Vote(vote)), node), [decision]);
}

#[test]
fn strangers_are_shown_nothing_and_make_no_work() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let stranger = 20;
    // Not even verified: a forged one is left out by the same words as an honest one.
    let timeout = lab.tc(2);
    for certificate in [spoilt(timeout.clone()), timeout] {
        let outputs = lab.hear(stranger, Message::Certificate(Box::new(certificate)));
        assert!(matches!(outputs[..], [Output::Dropped { .. }]), "{outputs:?}");
    }
    assert_eq!(lab.replica.round(), Round(0));
    lab.propose(0, &block, None);
    lab.hear_certificate(&lab.qc(0, Phase::Commit, block.id()));
    assert_eq!(lab.replica.height(), Height(2));
    let vote = lab.vote(stranger, 0, Phase::Prepare, block.id());
    for message in [lab.new_round(stranger, 1, None), Message::Vote(vote)] {
        let outputs = lab.hear(stranger, message);
        assert!(matches!(outputs[..], [Output::Dropped { .. }]), "{outputs:?}");
    }
}

#[test]
fn what_let_a_replica_into_its_round_survives_a_crash() {
    let mut lab = Lab::follower();
    let timeout = lab.tc(2);
    lab.hear_certificate(&timeout);
    let mut lab = lab.restart();
    assert_eq!(lab.replica.round(), Round(2));
    lab.now = Timestamp(60_000);
    let outputs = lab.feed(Input::Tick);
    let entry = outputs.iter().find_map(|output| match output {
        Output::Broadcast { message: Message::NewRound(message), .. } => message.entry.clone(),
        _ => None,
    });
    assert_eq!(entry, Some(timeout), "so it can let others in as it gives the round up");
}

#[test]
fn the_parent_s_certificate_is_checked_in_full() {
    let mut lab = Lab::follower();
    let first = lab.block(lab.leads(0), 0);
    lab.propose(0, &first, None);
    let decision = lab.qc(0, Phase::Commit, first.id());
    lab.hear_certificate(&decision);
    assert_eq!(lab.replica.height(), Height(2));
    let leader = lab.leads(0);
    let second = |certificate: Certificate| {
        let mut block = lab.block(leader, 20);
        let header = &mut block.header;
        header.height = Height(2);
        header.parent = first.id();
        header.parent_certificate = Some(certificate);
        let (randomness, proof) = beacon::extend(first.header.randomness, Height(2), &vrf(leader));
        (header.randomness, header.randomness_proof) = (randomness, proof);
        let data = lab.data(0, Phase::Propose, block.id());
        let vote = Vote::sign(VoteData { height: Height(2), ..data }, &key(leader));
        Message::Proposal(Box::new(Proposal { vote, block, justify: None, entry: None }))
    };
    let mut forged = decision.clone();
    let mut signatures = forged.signatures.to_vec();
    signatures[100] ^= 1;
    forged.signatures = Bytes::new(signatures).unwrap();
    let mut few = decision.clone();
    few.signatures = Bytes::new(few.signatures[..64].to_vec()).unwrap();
    few.signers = Bytes::new(vec![1]).unwrap();
    // Another round's decision of the same block is as good; what is no decision of it isn't.
    let wrong = [
        (second(forged), "signatures"),
        (second(few), "quorum"),
        (second(lab.qc(0, Phase::PreCommit, first.id())), "certificate of the parent"),
        (second(lab.qc(0, Phase::Commit, BlockId(Hash([4; 32])))), "certificate of the parent"),
    ];
    let right = second(lab.qc(5, Phase::Commit, first.id()));
    for (message, expected) in wrong {
        let outputs = lab.hear(leader, message);
        let [(peer, reason)] = &refusals(&outputs)[..] else { panic!("{outputs:?}") };
        assert_eq!(*peer, leader);
        assert!(reason.to_string().contains(expected), "{reason}");
    }
    assert_eq!(prepared(&lab.hear(leader, right)).len(), 1);
}

#[test]
fn floods_are_bounded() {
    let mut lab = Lab::follower();
    let node = lab.others()[0];
    // NewRounds far ahead, early messages, messages of heights we can't judge.
    for round in 10..200 {
        let vote = lab.vote(node, round, Phase::NewRound, BlockId::default());
        let message = NewRound { vote, high_qc: None, entry: None, commit: None };
        let outputs = lab.hear(node, Message::NewRound(Box::new(message)));
        assert!(matches!(outputs[..], [Output::Dropped { .. }]));
        let data =
            VoteData { height: Height(2), ..lab.data(round, Phase::NewRound, BlockId::default()) };
        let vote = Vote::sign(data, &key(node));
        let message = NewRound { vote, high_qc: None, entry: None, commit: None };
        assert!(lab.hear(node, Message::NewRound(Box::new(message))).is_empty());
    }
    // Bodies are given once in a while.
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let request = BlockRequest { height: Height(1), block: block.id() };
    let answers = |lab: &mut Lab| {
        let outputs = lab.hear(node, Message::BlockRequest(request));
        outputs.iter().filter(|o| matches!(o, Output::Send { .. })).count()
    };
    assert_eq!([0; 10].map(|_| answers(&mut lab)).iter().sum::<usize>(), 1);
    // Strangers get nothing.
    let outputs = lab.hear(20, Message::BlockRequest(request));
    assert!(matches!(outputs[..], [Output::Dropped { .. }]));
}

#[test]
fn early_messages_are_bounded_in_all() {
    let early = |lab: &Lab, node| {
        let data = lab.data(0, Phase::NewRound, BlockId::default());
        let vote = Vote::sign(VoteData { height: Height(2), ..data }, &key(node));
        let message = NewRound { vote, high_qc: None, entry: None, commit: None };
        Message::NewRound(Box::new(message))
    };
    let probe = Lab::follower();
    let size = codec::encoded_len(&early(&probe, 0));
    let config = Config { max_early_bytes: 2 * size, ..config() };
    let mut lab = Lab::with(&[10; 4], probe.me, config);
    let others = lab.others();
    // The last of a kind takes the place of the one before.
    for node in [others[0], others[1], others[0], others[1]] {
        let message = early(&lab, node);
        assert!(lab.hear(node, message).is_empty());
    }
    let message = early(&lab, others[2]);
    let outputs = lab.hear(others[2], message);
    assert!(matches!(outputs[..], [Output::Dropped { .. }]), "{outputs:?}");
    // With the height the room comes back.
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    lab.hear_certificate(&lab.qc(0, Phase::Commit, block.id()));
    assert_eq!(lab.replica.height(), Height(2));
    for node in [others[0], others[1]] {
        let Message::NewRound(mut message) = early(&lab, node) else { panic!() };
        message.vote.data.height = Height(3);
        assert!(lab.hear(node, Message::NewRound(message)).is_empty());
    }
}

#[test]
fn a_store_that_lags_is_waited_for() {
    let config = Config { max_unstored: 2, ..config() };
    let probe = Lab::follower();
    let mut lab = Lab::with(&[10; 4], probe.me, config);
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let mut unstored = vec![];
    for phase in [Phase::Prepare, Phase::PreCommit] {
        let message = Message::Certificate(Box::new(lab.qc(0, phase, block.id())));
        let input = Input::Message { from: public(lab.others()[0]), message };
        let step = lab.replica.handle(lab.now, input).unwrap();
        assert!(step.outputs.is_empty());
        unstored.extend(step.records);
    }
    let refused = lab.replica.handle(lab.now, Input::Tick).unwrap_err();
    assert_eq!(refused, ReplicaError::Backlog { waiting: 2, max: 2 });
    let mut freed = vec![];
    for records in unstored {
        freed.extend(lab.replica.release(lab.now, records.stored()).unwrap().outputs);
    }
    assert_eq!(votes(&freed, Phase::PreCommit).len(), 1);
    assert_eq!(votes(&freed, Phase::Commit).len(), 1);
}

#[test]
fn a_log_that_isn_t_ours_or_is_damaged_is_refused() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(0), 1));
    lab.propose(0, &a, None);
    let tip = Tip::genesis(crate::common::chain(), Timestamp::ZERO, Hash::ZERO, set(0, &[10; 4]))
        .unwrap();
    let recover = |node, log: Vec<Record>| {
        Replica::<HotPokt>::recover(config(), Some(crate::common::identity(node)), tip.clone(), log)
            .map(|_| ())
    };
    assert!(recover(lab.me, lab.log.clone()).is_ok());
    let foreign = recover(lab.others()[0], lab.log.clone()).unwrap_err();
    assert!(matches!(foreign, pocket_consensus::RecoverError::Foreign { .. }));
    let mut twice = lab.log.clone();
    let vote = lab.vote(lab.me, 0, Phase::Prepare, b.id());
    twice.push(Record::Vote { vote, height: vote.data.height });
    let damaged = recover(lab.me, twice).unwrap_err();
    assert!(matches!(damaged, pocket_consensus::RecoverError::Order { .. }));
}

#[test]
fn a_validator_with_another_vrf_key_than_its_registered_one_doesn_t_start() {
    let tip = Tip::genesis(crate::common::chain(), Timestamp::ZERO, Hash::ZERO, set(0, &[10; 4]))
        .unwrap();
    let [expected, got] = [0, 1].map(|node| vrf(node).public_key());
    let mixed = Identity::new(key(0), vrf(1));
    let refused = Replica::<HotPokt>::recover(config(), Some(mixed), tip, []).unwrap_err();
    assert_eq!(refused, pocket_consensus::RecoverError::VrfKey { got, expected });
}
