//! The rules that keep decisions, each against the message that would break it; and bad input.

use pocket_consensus::replica::message::Message;
use pocket_consensus::{
    ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon, Output, Protocol, Record, Refusal,
};
use pocket_types::block::Block;
use pocket_types::codec;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Phase, VoteData};

use crate::chained::lab::{Lab, refusals};
use crate::common::lab::evidence;

/// A row of blocks, each on the certificate of the one before, in these rounds; rounds that are no
/// successors have a Timeout QC that tells of the certificate before. All are voted for.
fn row<P: Protocol>(lab: &mut Lab<P>, rounds: &[u64]) -> Vec<Block> {
    let mut blocks: Vec<Block> = vec![];
    for (index, &round) in rounds.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| rounds[before]);
        let parent = blocks.last().zip(before);
        let block = lab.block(lab.leads(round), parent, 0);
        let next = before.map_or(0, |before| before + 1);
        let entry = (next != round).then(|| lab.tc(round, [before, before, None]));
        let outputs = lab.propose(round, &block, entry);
        assert_eq!(refusals(&outputs), []);
        assert_eq!(lab.voted().get(&round), Some(&block.id()), "round {round}");
        blocks.push(block);
    }
    blocks
}

#[test]
fn hotstuff_keeps_its_lock() {
    let mut lab = Lab::<ChainedHotStuff>::new();
    let blocks = row(&mut lab, &[0, 1, 2]);
    assert_eq!(lab.replica.protocol().lock().block, blocks[0].id());
    let rival = lab.block(lab.leads(5), None, 7);
    lab.propose(5, &rival, Some(lab.tc(5, [None; 3])));
    assert_eq!(lab.replica.round(), Round(5));
    assert_eq!(lab.voted().get(&5), None, "it doesn't extend the lock");
    let child = lab.block(lab.leads(6), Some((&rival, 3)), 0);
    let other = lab.block(lab.leads(6), Some((&blocks[1], 1)), 3);
    lab.propose(6, &child, Some(lab.tc(6, [Some(3), None, None])));
    lab.hear(lab.others()[0], Message::Block(Box::new(rival)));
    assert_eq!(lab.voted().get(&6), Some(&child.id()), "a later certificate frees from the lock");
    lab.propose(7, &other, Some(lab.tc(7, [None; 3])));
    assert_eq!(lab.voted().get(&7), Some(&other.id()), "it extends the lock");
}

/// The certificate that locks us lies in a block that we have not voted for; another that we have voted
/// for carries the lock, but says nothing of our being locked on it.
#[test]
fn hotstuff_s_lock_outlives_a_crash_though_the_block_that_shows_it_is_not_ours() {
    let mut lab = Lab::<ChainedHotStuff>::new();
    let first = lab.block(lab.leads(0), None, 0);
    lab.propose(0, &first, None);
    let missed = lab.block(lab.leads(1), Some((&first, 0)), 0);
    let ours = lab.block(lab.leads(2), Some((&first, 0)), 1);
    lab.propose(2, &ours, Some(lab.tc(2, [Some(0), None, None])));
    assert_eq!(lab.voted().get(&2), Some(&ours.id()));
    let third = lab.block(lab.leads(3), Some((&missed, 1)), 0);
    lab.propose(3, &third, Some(lab.tc(3, [Some(1), None, None])));
    lab.hear(lab.others()[0], Message::Block(Box::new(missed)));
    assert_eq!(lab.voted().get(&3), Some(&third.id()));
    assert_eq!(lab.replica.protocol().lock().block, first.id());

    let log = lab.log.clone();
    let mut lab = lab.restart(log);
    assert_eq!(lab.replica.protocol().lock().block, first.id());
    let rival = lab.block(lab.leads(5), None, 7);
    lab.propose(5, &rival, Some(lab.tc(5, [None; 3])));
    assert_eq!(lab.voted().get(&5), None, "it doesn't extend the lock");
}

#[test]
fn three_in_a_row_decide_and_no_gap() {
    let mut lab = Lab::<ChainedHotStuff>::new();
    let blocks = row(&mut lab, &[0, 1, 3, 4, 6, 7, 8]);
    assert_eq!(lab.decided, []);
    lab.show(lab.qc(&blocks[6], 8));
    let ids: Vec<_> = blocks.iter().map(Block::id).collect();
    assert_eq!(lab.decided, ids[..5], "with all its ancestors");
    assert_eq!(lab.distances, [4, 3, 2, 1, 0], "by its own proof");
}

#[test]
fn two_in_a_row_decide_and_no_gap() {
    fn two<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 2, 4, 6, 7]);
        assert_eq!(lab.decided, [], "{:?}", P::ID);
        lab.show(lab.qc(&blocks[4], 7));
        let ids: Vec<_> = blocks.iter().map(Block::id).collect();
        assert_eq!(lab.decided, ids[..4], "{:?}", P::ID);
    }
    two::<HotStuff2>();
    two::<Jolteon>();
    two::<FastHotStuff>();
}

#[test]
fn hotstuff2_votes_for_nothing_below_its_lock() {
    let mut lab = Lab::<HotStuff2>::new();
    let blocks = row(&mut lab, &[0, 1, 2]);
    assert_eq!(lab.replica.protocol().lock().block, blocks[1].id());
    let stale = lab.block(lab.leads(5), Some((&blocks[0], 0)), 7);
    lab.propose(5, &stale, Some(lab.tc(5, [None; 3])));
    assert_eq!(lab.replica.round(), Round(5));
    assert_eq!(lab.voted().get(&5), None);
    let fresh = lab.block(lab.leads(6), Some((&blocks[1], 1)), 7);
    lab.propose(6, &fresh, Some(lab.tc(6, [None; 3])));
    assert_eq!(lab.voted().get(&6), Some(&fresh.id()));
}

#[test]
fn a_timeout_qc_demands_its_highest_certificate() {
    fn demands<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 1, 2]);
        let stale = lab.block(lab.leads(5), Some((&blocks[0], 0)), 7);
        lab.propose(5, &stale, Some(lab.tc(5, [None, Some(1), Some(0)])));
        assert_eq!(lab.replica.round(), Round(5));
        assert_eq!(lab.voted().get(&5), None, "{:?}", P::ID);
        let fresh = lab.block(lab.leads(6), Some((&blocks[1], 1)), 7);
        lab.propose(6, &fresh, Some(lab.tc(6, [None, Some(1), Some(0)])));
        assert_eq!(lab.voted().get(&6), Some(&fresh.id()), "{:?}", P::ID);
    }
    demands::<Jolteon>();
    demands::<FastHotStuff>();
}

/// arXiv 2004.10617, section 3; `consensus::chained::fast_hotstuff` tells the story.
#[test]
fn the_published_flaw_of_fast_hotstuff_decides_nothing() {
    let lab = Lab::<FastHotStuff>::new();
    let a = lab.block(lab.leads(0), None, 0);
    let b = lab.block(lab.leads(1), Some((&a, 0)), 0);
    let c = lab.block(lab.leads(3), Some((&a, 0)), 5);
    let child_of_b = lab.block(lab.leads(5), Some((&b, 1)), 0);
    let child_of_c = lab.block(lab.leads(7), Some((&c, 3)), 0);
    let [after_a, after_b, after_c] =
        [(3, 0), (5, 1), (7, 3)].map(|(round, high)| lab.tc(round, [Some(high), Some(0), None]));
    let certified = |block: &Block, round| lab.qc(block, round);

    let mut one = Lab::<FastHotStuff>::new();
    one.propose(0, &a, None);
    one.propose(1, &b, None);
    one.propose(5, &child_of_b, Some(after_b));
    assert_eq!(one.voted().keys().copied().collect::<Vec<_>>(), [0, 1, 5]);
    one.show(certified(&child_of_b, 5));

    let mut other = Lab::<FastHotStuff>::new();
    other.propose(0, &a, None);
    other.propose(3, &c, Some(after_a));
    other.propose(7, &child_of_c, Some(after_c));
    assert_eq!(other.voted().keys().copied().collect::<Vec<_>>(), [0, 3, 7]);
    other.show(certified(&child_of_c, 7));

    assert_eq!(one.decided, [a.id()], "rounds 0 and 1 decide a, rounds 1 and 5 nothing");
    assert_eq!(other.decided, []);
}

#[test]
fn a_timeout_shows_what_it_vouches_for() {
    fn shows<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 1]);
        let node = lab.others()[0];
        let field = Refusal::Field { phase: Phase::NewRound, field: "highest round" };
        let bare = lab.new_round(node, 4, Some(2), None);
        assert_eq!(refusals(&lab.hear(node, bare)), std::slice::from_ref(&field));
        let short = lab.new_round(node, 4, Some(2), Some(lab.qc(&blocks[1], 1)));
        assert_eq!(refusals(&lab.hear(node, short)), [field]);
        let shown = lab.new_round(node, 4, Some(1), Some(lab.qc(&blocks[1], 1)));
        assert_eq!(refusals(&lab.hear(node, shown)), []);
    }
    shows::<Jolteon>();
    shows::<FastHotStuff>();
}

#[test]
fn who_gave_a_round_up_votes_in_it_no_more() {
    fn silent<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        row(&mut lab, &[0]);
        for node in lab.others().into_iter().take(2) {
            let message = lab.new_round(node, 2, None, None);
            lab.hear(node, message);
        }
        let first = lab.block(lab.leads(0), None, 0);
        let next = lab.block(lab.leads(1), Some((&first, 0)), 0);
        lab.propose(1, &next, None);
        assert_eq!(lab.voted().get(&1), None, "it joined the timeouts for round 2");
        let after = lab.block(lab.leads(2), Some((&next, 1)), 0);
        lab.propose(2, &after, None);
        lab.hear(lab.others()[0], Message::Block(Box::new(next)));
        assert_eq!(lab.voted().get(&2), Some(&after.id()));
    }
    crate::chained::each!(silent());
}

#[test]
fn a_restarted_replica_contradicts_nothing() {
    fn restarts<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 1, 2]);
        let high = lab.replica.height();
        let log = lab.log.clone();
        let mut lab = lab.restart(log);
        assert!(lab.replica.height() <= high);
        let rival = lab.block(lab.leads(2), Some((&blocks[1], 1)), 9);
        lab.propose(2, &rival, None);
        assert_ne!(lab.voted().get(&2), Some(&rival.id()));
    }
    crate::chained::each!(restarts());
}

/// The block of a height may be decided by certificates of earlier rounds than the last that we signed
/// in. Committing it takes nothing from the log that binds us.
#[test]
fn a_round_given_up_stays_so_when_a_height_decided_before_it_is_pruned() {
    fn restarts<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let rounds: Vec<u64> = (0..P::ID.links() as u64).collect();
        let blocks = row(&mut lab, &rounds);
        let (last, next) = (&blocks[blocks.len() - 1], P::ID.links() as u64);
        for node in lab.others().into_iter().take(2) {
            let message = lab.new_round(node, next + 3, None, None);
            lab.hear(node, message);
        }
        let outputs = lab.show(lab.qc(last, next - 1));
        let proof = outputs.into_iter().find_map(|output| match output {
            Output::Decided { proof, .. } => Some(proof),
            _ => None,
        });
        let tip = lab.setup.genesis().after(&proof.unwrap(), None).unwrap();
        assert_eq!(tip.height(), Height(1));
        let mut log = lab.log.clone();
        Record::prune(&mut log, tip.height());
        assert!(log.len() < lab.log.len());
        let mut lab = Lab::<P>::at(lab.setup, tip, log);
        let block = lab.block(lab.leads(next), Some((last, next - 1)), 0);
        lab.propose(next, &block, None);
        assert_eq!(lab.voted().get(&next), None, "{:?}", P::ID);
    }
    crate::chained::each!(restarts());
}

#[test]
fn a_restarted_replica_knows_its_lock_and_its_highest_certificate() {
    fn restarts<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        // The lock's carrier was voted for, or fetched only.
        row(&mut lab, &[0, 2, 4]);
        let (high, lock) = (format!("{:?}", lab.replica.protocol()), lab.log.clone());
        let part = |text: &str, name: &str| {
            let from = text.find(name).unwrap();
            text[from..from + 160].to_string()
        };
        let again = format!("{:?}", lab.restart(lock).replica.protocol());
        assert_eq!(part(&high, " lock: "), part(&again, " lock: "), "{:?}", P::ID);
        assert_eq!(part(&high, " high: Some(C"), part(&again, " high: Some(C"), "{:?}", P::ID);
    }
    crate::chained::each!(restarts());
}

#[test]
fn two_proposals_of_a_round_are_evidence() {
    fn evidence<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        row(&mut lab, &[0]);
        let rival = lab.block(lab.leads(0), None, 3);
        let outputs = lab.propose(0, &rival, None);
        assert!(outputs.iter().any(|output| matches!(output, Output::Evidence(_))));
        assert_eq!(lab.voted().len(), 1);
    }
    crate::chained::each!(evidence());
}

#[test]
fn two_timeouts_of_a_round_that_vouch_for_other_highs_are_evidence() {
    fn accuses<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 1]);
        let node = lab.others()[0];
        let mut say = |high: u64| {
            let qc = lab.qc(&blocks[high as usize], high);
            let message = lab.new_round(node, 4, Some(high), Some(qc));
            lab.hear(node, message)
        };
        assert_eq!(evidence(&say(1)), []);
        assert_eq!(evidence(&say(1)), [], "who says it again");
        let [found] = evidence(&say(0))[..] else { panic!("who says otherwise") };
        let electorate = lab.replica.tip().validators().clone();
        let offence = found.verify_by(crate::common::chain(), &electorate).unwrap();
        assert_eq!(offence.offender, lab.setup.public(node));
    }
    accuses::<Jolteon>();
    accuses::<FastHotStuff>();
}

/// A block whose parent is missing is kept without most checks.
#[test]
fn a_block_over_the_limit_is_not_kept_until_its_parent_comes() {
    fn refuses<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let unknown = lab.block(lab.leads(0), None, 0);
        let block = lab.block(lab.leads(1), Some((&unknown, 0)), 0);
        let got = codec::encoded_len(&block);
        for (max, accepted) in [(got, true), (got - 1, false)] {
            let mut setup = lab.setup.clone();
            setup.config.max_block_bytes = max;
            lab = Lab::with(setup, vec![]);
            let expected = if accepted { vec![] } else { vec![Refusal::TooLarge { got, max }] };
            assert_eq!(refusals(&lab.propose(1, &block, None)), expected);
        }
    }
    crate::chained::each!(refuses());
}

/// At the end of an epoch only fillers are built on, in a row, or the last block is proposed again.
#[test]
fn behind_the_last_block_of_an_epoch_stand_only_fillers_in_a_row() {
    fn fills<P: Protocol>() {
        let mut setup = Lab::<P>::new().setup;
        setup.changes.insert(1, vec![10, 10, 10, 0, 10]);
        let mut lab = Lab::<P>::with(setup.clone(), vec![]);
        let blocks = row(&mut lab, &[0, 1]);
        let last = &blocks[1];
        assert_ne!(last.header.next_validators, last.header.validators);
        let filler = |lab: &Lab<P>, round, certified| {
            let mut filler = lab.block(lab.leads(round), Some((last, certified)), 0);
            filler.header.next_validators = last.header.validators;
            filler.header.state_root = last.header.state_root;
            filler
        };
        let mut full = filler(&lab, 2, 1);
        full.header.state_root = Hash([1; 32]);
        let refused = refusals(&lab.propose(2, &full, None));
        assert!(refused.iter().all(|r| matches!(r, Refusal::Header("state root of a filler"))));
        assert_eq!((refused.len(), lab.voted().get(&2)), (1, None));

        // After a gap a filler comes too late; the last block itself is what may be proposed.
        let late = filler(&lab, 3, 1);
        let entry = lab.tc(3, [Some(1), None, None]);
        lab.propose(3, &late, Some(entry.clone()));
        assert_eq!((lab.replica.round(), lab.voted().get(&3)), (Round(3), None));
        let entry = lab.tc(4, [Some(1), None, None]);
        let mut again = lab.proposal(4, last, Some(entry));
        again.justify = Some(lab.qc(last, 1));
        lab.hear(lab.leads(4), Message::Proposal(Box::new(again)));
        assert_eq!(lab.voted().get(&4), Some(&last.id()), "{:?}", P::ID);
        let filler = filler(&lab, 5, 4);
        lab.propose(5, &filler, None);
        assert_eq!(lab.voted().get(&5), Some(&filler.id()), "{:?}", P::ID);
        lab.show(lab.qc(&filler, 5));
        let mut end = filler;
        if P::ID.links() == 3 {
            let mut second = lab.block(lab.leads(6), Some((&end, 5)), 0);
            second.header.next_validators = last.header.validators;
            second.header.state_root = last.header.state_root;
            lab.propose(6, &second, None);
            lab.show(lab.qc(&second, 6));
            end = second;
        }
        assert_eq!(lab.decided, [blocks[0].id(), last.id()], "no filler: {end:?}");
        assert_eq!(*lab.distances.last().unwrap(), 0);
        let tip = lab.replica.tip();
        assert_eq!(tip.validators().epoch().0, 1);
        assert_eq!(lab.replica.round(), Round::ZERO);
    }
    crate::chained::each!(fills());
}

#[test]
fn bad_input_is_refused_by_name_and_changes_nothing() {
    fn refuses<P: Protocol>() {
        let mut lab = Lab::<P>::new();
        let blocks = row(&mut lab, &[0, 1]);
        let leader = lab.leads(2);
        let other = lab.others().into_iter().find(|&node| node != leader).unwrap();
        let good = lab.block(leader, Some((&blocks[1], 1)), 0);
        let vote = |lab: &Lab<P>, change: &dyn Fn(&mut VoteData)| {
            let mut data = lab.data(3, 2, Phase::Prepare, good.id());
            change(&mut data);
            Message::Vote(lab.vote(other, data))
        };
        let with =
            |lab: &Lab<P>, change: &dyn Fn(&mut pocket_consensus::replica::message::Proposal)| {
                let mut proposal = lab.proposal(2, &good, None);
                change(&mut proposal);
                Message::Proposal(Box::new(proposal))
            };
        let resigned = |lab: &Lab<P>, block: &Block, round: u64, signer: usize| {
            let data = lab.data(block.header.height.0, round, Phase::Propose, block.id());
            lab.vote(signer, data)
        };
        let skipped = lab.block(leader, Some((&blocks[0], 0)), 4);
        let framed = lab.block(other, Some((&blocks[1], 1)), 4);
        let mut spoiled = good.clone();
        spoiled.header.next_validators = Hash([4; 32]);
        let mut lonely = good.clone();
        lonely.header.parent_certificate = Some(lab.qc(&blocks[0], 0));
        let forged = {
            let mut qc = lab.qc(&blocks[1], 1);
            qc.data.round = Round(2);
            qc
        };
        let strange = lab.data(0, 9, Phase::NewRound, BlockId(Hash([1; 32])));
        type Is = fn(&Refusal) -> bool;
        let cases: Vec<(&str, usize, Message, Is)> = vec![
            ("chain", other, vote(&lab, &|d| d.chain = ChainId(Hash([1; 32]))), |r| {
                matches!(r, Refusal::WrongChain { .. })
            }),
            (
                "protocol",
                other,
                vote(&lab, &|d| d.protocol = pocket_types::vote::Protocol::HotPokt),
                |r| matches!(r, Refusal::WrongProtocol { .. }),
            ),
            ("set", other, vote(&lab, &|d| d.validators = Hash([1; 32])), |r| {
                matches!(r, Refusal::WrongSet { .. })
            }),
            ("phase", other, vote(&lab, &|d| d.phase = Phase::Commit), |r| {
                matches!(r, Refusal::WrongPhase { .. })
            }),
            ("high", other, vote(&lab, &|d| d.high = Some(Round(1))), |r| {
                *r == Refusal::SignsHigh(Round(1))
            }),
            ("relayed", leader, vote(&lab, &|_| {}), |r| matches!(r, Refusal::Relayed { .. })),
            ("not ours", other, vote(&lab, &|_| {}), |r| matches!(r, Refusal::NotOurRound(_))),
            (
                "signature",
                leader,
                with(&lab, &|p| p.vote.signature = lab.vote(other, p.vote.data).signature),
                |r| matches!(r, Refusal::Signature { .. }),
            ),
            ("not leader", other, with(&lab, &|p| p.vote = resigned(&lab, &good, 2, other)), |r| {
                matches!(r, Refusal::NotLeader { .. })
            }),
            ("other block", leader, with(&lab, &|p| p.block = framed.clone()), |r| {
                matches!(r, Refusal::BlockId { .. })
            }),
            (
                "proposer",
                leader,
                with(&lab, &|p| {
                    p.block = framed.clone();
                    p.vote = resigned(&lab, &framed, 2, leader);
                }),
                |r| matches!(r, Refusal::Header("proposer")),
            ),
            (
                "unjustified",
                leader,
                with(&lab, &|p| {
                    p.block = skipped.clone();
                    p.vote = resigned(&lab, &skipped, 2, leader);
                }),
                |r| matches!(r, Refusal::Unjustified { .. }),
            ),
            (
                "entry of another round",
                leader,
                with(&lab, &|p| {
                    p.block = skipped.clone();
                    p.vote = resigned(&lab, &skipped, 2, leader);
                    p.entry = Some(lab.tc(3, [None; 3]));
                }),
                |r| matches!(r, Refusal::Misplaced { .. }),
            ),
            (
                "header",
                leader,
                with(&lab, &|p| {
                    p.block = spoiled.clone();
                    p.vote = resigned(&lab, &spoiled, 2, leader);
                }),
                |r| matches!(r, Refusal::Header("next validator set")),
            ),
            (
                "another block's certificate",
                leader,
                with(&lab, &|p| {
                    p.block = lonely.clone();
                    p.vote = resigned(&lab, &lonely, 2, leader);
                }),
                |r| matches!(r, Refusal::Misplaced { .. }),
            ),
            ("height", leader, with(&lab, &|p| p.vote.data.height = Height(9)), |r| {
                matches!(r, Refusal::Field { field: "height", .. })
            }),
            ("moved signatures", other, Message::Certificate(Box::new(forged)), |r| {
                matches!(r, Refusal::Certificate(_))
            }),
            (
                "a commit certificate",
                other,
                Message::Certificate(Box::new(lab.certificate(lab.data(
                    1,
                    5,
                    Phase::Commit,
                    good.id(),
                )))),
                |r| matches!(r, Refusal::Misplaced { .. }),
            ),
            (
                "a timeout for a block",
                other,
                Message::Certificate(Box::new({
                    let mut tc = lab.tc(9, [None; 3]);
                    tc.data.block = strange.block;
                    tc
                })),
                |r| matches!(r, Refusal::Misplaced { .. }),
            ),
        ];
        for (what, from, message, expected) in cases {
            let before = format!("{:?}", lab.replica.protocol());
            let refused = refusals(&lab.hear(from, message));
            assert!(refused.len() == 1 && expected(&refused[0]), "{what}: {refused:?}");
            assert!(before == format!("{:?}", lab.replica.protocol()), "{what} changed something");
        }
        lab.propose(2, &good, None);
        assert_eq!(lab.voted().get(&2), Some(&good.id()));
    }
    crate::chained::each!(refuses());
}
