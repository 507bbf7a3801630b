//! A light client reaches the newest header in few steps, and liars can only slow it down; where more
//! than a third of the validators lie, it says so and stops.

use std::rc::Rc;

use crate::common::light_chain::*;
use pocket_consensus::light::message::{LightMessage, MAX_ANSWER_BYTES};
use pocket_consensus::light::serve::{self, RequestError};
use pocket_consensus::light::{
    Config, Input, LightAnswer, LightClient, LightClientError, LightRefusal, LightRequest, Output,
    Record, Start, Target,
};
use pocket_types::block::Header;
use pocket_types::codec::{Bytes, List, Wire, decode, encode};
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::light::{Blame, LightBlock, LightError, MAX_STEPS};
use pocket_types::machine::Machine;
use pocket_types::number::{Duration, Height, Timestamp};
use pocket_types::validator::MAX_VALIDATORS;
use proptest::prelude::*;

const OTHER: BlockId = BlockId(Hash([0x77; 32]));

fn four(_: u64) -> Members {
    equal(1..=4)
}

/// Four validators, of whom every hundredth block one leaves and one comes.
fn rotating(height: u64) -> Members {
    let era = (height.max(1) - 1) / 100;
    let first = u16::try_from(era).unwrap();
    equal(first..first + 4)
}

fn three_honest(chain: &Rc<Chain>) -> Vec<Node> {
    (0..3).map(|_| honest(chain)).collect()
}

fn lies(lab: &Lab, n: usize) -> Vec<&LightRefusal> {
    let lies = lab.events.iter().filter_map(|event| match event {
        Output::Misbehaviour { peer: liar, reason } if *liar == peer(n) => Some(reason),
        _ => None,
    });
    lies.collect()
}

// Steps and messages

#[test]
fn a_thousand_blocks_of_one_set_are_one_step() {
    let chain = Rc::new(Chain::new(1_000, four));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(1_000).unwrap();
    assert_eq!(lab.trusted, [1_000]);
    assert_eq!(lab.asked, (1, 2), "a block, and an id from each of two witnesses");
    assert_eq!((lab.id(), lab.log.len()), (chain.id(1_000), 1));
    assert!(lab.events.is_empty() || matches!(lab.events[..], [Output::TooFewPeers { .. }]));
    let last = START.0 + 1_000 * BLOCK_TIME + PERIOD.0;
    assert_eq!(lab.client.next_deadline(), Some(Timestamp(last + 1)), "when trust ends");
}

#[test]
fn a_set_that_rotates_is_followed_by_halves() {
    let chain = Rc::new(Chain::new(800, rotating));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(800).unwrap();
    // Two of four must be known: 800 and 400 are too far from the genesis, 200 is not; 400 is not too
    // far from 200, but 800 is from 400, and 600 is halfway.
    let fetched: Vec<u64> = lab.asked_blocks.iter().map(|(_, height)| *height).collect();
    assert_eq!(fetched, [800, 400, 200, 600]);
    assert_eq!(lab.trusted, [200, 400, 600, 800]);
    assert_eq!(lab.asked, (4, 2 * 4));
    assert_eq!((lab.most_pivots, lab.client.pivots()), (2, 0));
}

#[test]
fn a_change_of_all_validators_at_once_is_crossed_at_its_very_height() {
    let chain = Rc::new(Chain::new(100, |height| equal(if height < 50 { 1..=4 } else { 11..=14 })));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(100).unwrap();
    let fetched: Vec<u64> = lab.asked_blocks.iter().map(|(_, height)| *height).collect();
    assert_eq!(fetched, [100, 50, 25, 37, 43, 46, 48, 49]);
    assert_eq!(lab.trusted, [25, 37, 43, 46, 48, 49, 50, 100]);
    assert_eq!(lab.asked, (8, 2 * 8));
}

#[test]
fn where_all_validators_change_with_every_block_it_follows_one_by_one() {
    let members = |height: u64| equal((0..4).map(|n| 4 * height as u16 + n));
    let chain = Rc::new(Chain::new(16, members));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(16).unwrap();
    assert_eq!(lab.trusted, (1..=16).collect::<Vec<_>>());
    assert_eq!(lab.asked, (16, 2 * 16), "every block once");
    assert_eq!(lab.most_pivots, 4, "8, 4, 2 and 1 below 16, which is being verified");

    // With room for one header only, some are fetched again, and nothing else changes.
    let config = Config { max_pivots: 1, ..config() };
    let start = || Start::Trusted(chain.trusted(0));
    let mut small = Lab::new(config, start(), lab.now);
    small.nodes = (1..).map(peer).zip(three_honest(&chain)).collect();
    small.announce(16).unwrap();
    assert_eq!((small.trusted, small.most_pivots), (lab.trusted, 1));
    assert!((17..16 * 5).contains(&small.asked.0), "{}", small.asked.0);
}

#[test]
fn a_target_is_reached_and_not_passed() {
    let chain = Rc::new(Chain::new(300, four));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.feed(Input::Follow(Target::Height(Height(120)))).unwrap();
    lab.announce(80).unwrap();
    lab.announce(300).unwrap();
    assert_eq!(lab.trusted, [80, 120]);
    lab.feed(Input::Follow(Target::Newest)).unwrap();
    assert_eq!(lab.trusted, [80, 120, 300]);
    assert_eq!(lab.client.header(Height(120)).map(Header::id), Some(chain.id(120)));
    assert_eq!(lab.client.header(Height(121)), None);
}

#[test]
fn the_newest_is_what_a_source_and_its_witnesses_have() {
    let chain = Rc::new(Chain::new(300, four));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    for (n, height) in [(1, u64::MAX), (2, 250), (3, 200)] {
        lab.feed(Input::Announced { peer: peer(n), height: Height(height) }).unwrap();
    }
    assert_eq!(lab.trusted, [200], "nobody lifts it alone");
    lab.feed(Input::Announced { peer: peer(3), height: Height(300) }).unwrap();
    assert_eq!(lab.trusted, [200, 250]);
}

#[test]
fn memory_keeps_the_newest_headers_only() {
    let chain = Rc::new(Chain::new(40, four));
    let config = Config { max_kept: 3, ..config() };
    let mut lab = Lab::new(config, Start::Trusted(chain.trusted(0)), chain.time(40));
    lab.nodes = (1..).map(peer).zip(three_honest(&chain)).collect();
    (1..=40).for_each(|height| lab.announce(height).unwrap());
    let kept: Vec<u64> =
        (1..=40).filter(|height| lab.client.header(Height(*height)).is_some()).collect();
    assert_eq!((lab.trusted.len(), kept), (40, vec![38, 39, 40]));
}

#[test]
fn all_peers_are_heard_in_turn() {
    let chain = Rc::new(Chain::new(40, four));
    let mut lab = Lab::genesis(&chain, (0..9).map(|_| honest(&chain)).collect());
    (1..=4).for_each(|step| lab.announce(step * 10).unwrap());
    let source = lab.asked_blocks[0].0;
    assert!(lab.asked_blocks.iter().all(|(peer, _)| *peer == source), "as long as all goes well");
    let mut witnesses: Vec<_> = lab.asked_ids.iter().map(|(peer, _)| *peer).collect();
    witnesses.sort_unstable();
    witnesses.dedup();
    assert_eq!(witnesses.len(), 8, "and the others take turns as witnesses");
}

// Starting and restarting

#[test]
fn a_checkpoint_is_enough_to_start() {
    let chain = Rc::new(Chain::new(800, rotating));
    let mut lab = Lab::new(config(), chain.checkpoint(450), chain.time(800));
    lab.nodes = (1..).map(peer).zip(three_honest(&chain)).collect();
    lab.announce(800).unwrap();
    assert_eq!(lab.trusted, [450, 625, 800]);
    assert_eq!(lab.id(), chain.id(800));
}

#[test]
fn a_block_that_is_not_the_checkpoint_s_is_asked_for_elsewhere() {
    let chain = Rc::new(Chain::new(60, four));
    let fork = Rc::new(chain.fork(20, 9, 0, None));
    let mut lab = Lab::new(config(), chain.checkpoint(50), chain.time(60));
    lab.nodes = (1..)
        .map(peer)
        .zip([honest(&fork), honest(&fork), honest(&fork), honest(&chain)])
        .collect();
    lab.announce(60).unwrap();
    assert_eq!(lab.trusted, [50]);
    let error = LightError::Checkpoint { got: fork.id(50), expected: chain.id(50) };
    let reason = LightRefusal::Block { height: Height(50), error };
    let refused = |n| Output::Refused { peer: peer(n), reason: reason.clone() };
    assert!((1..=3).all(|n| lab.events.contains(&refused(n))));
}

#[test]
fn a_checkpoint_older_than_the_trusting_period_is_refused_by_name() {
    let chain = Rc::new(Chain::new(60, four));
    let last = Timestamp(chain.time(50).0 + PERIOD.0);
    let start = |now| {
        let mut lab = Lab::new(config(), chain.checkpoint(50), now);
        lab.nodes = (1..).map(peer).zip(three_honest(&chain)).collect();
        let result = lab.announce(60);
        (result, lab)
    };
    let (result, lab) = start(last);
    assert_eq!((result, lab.trusted), (Ok(()), vec![50, 60]));

    let over = Timestamp(last.0 + 1);
    let (result, mut lab) = start(over);
    let expired = LightClientError::Expired { trusted: chain.time(50), now: over, period: PERIOD };
    assert_eq!(result, Err(expired.clone()));
    assert!(lab.trusted.is_empty() && lab.log.is_empty());
    assert_eq!(lab.feed(Input::Tick), Err(expired));
    assert_eq!(lab.client.next_deadline(), None);
}

#[test]
fn an_idle_client_is_told_when_its_trust_ends() {
    let chain = Rc::new(Chain::new(60, four));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(60).unwrap();
    lab.now = Timestamp(chain.time(60).0 + PERIOD.0);
    lab.feed(Input::Tick).unwrap();
    let over = Timestamp(lab.now.0 + 1);
    assert_eq!(lab.client.next_deadline(), Some(over));
    let expired = LightClientError::Expired { trusted: chain.time(60), now: over, period: PERIOD };
    assert_eq!(lab.tick(), Err(expired));
    assert_eq!(lab.client.next_deadline(), None);
}

#[test]
fn nothing_is_handed_out_before_it_is_stored() {
    let chain = Chain::new(60, four);
    let start = Start::Trusted(chain.trusted(0));
    let config = Config { witnesses: 0, max_unstored: 1, ..config() };
    let mut client = LightClient::recover(config, start, []).unwrap();
    let now = chain.time(60);
    let announced = Input::Announced { peer: peer(1), height: Height(60) };
    let step = client.handle(now, announced.clone()).unwrap();
    let [Output::Send { message: LightMessage::Request(request), .. }] = &step.outputs[..] else {
        panic!("{step:?}")
    };
    let message = LightMessage::Answer(chain.answer(request));
    let step = client.handle(now, Input::Message { from: peer(1), message }).unwrap();
    assert!(step.outputs.is_empty());
    let unstored = step.records.unwrap();
    let tip = chain.tip(60);
    assert_eq!(unstored.records(), [Record::Trusted { tip, next: chain.set(61).clone() }]);
    let refused = client.handle(now, announced.clone()).unwrap_err();
    assert_eq!(refused, LightClientError::Backlog { waiting: 1, max: 1 });
    let step = client.release(now, unstored.stored()).unwrap();
    let [Output::Trusted(block)] = &step.outputs[..] else { panic!("{:?}", step.outputs) };
    assert_eq!(block.header().unwrap().height, Height(60));

    // Where the store fails, nothing comes out, ever.
    let start = Start::Trusted(chain.trusted(0));
    let mut client = LightClient::recover(config, start, []).unwrap();
    let _ = client.handle(now, announced).unwrap();
    let message = LightMessage::Answer(chain.answer(&LightRequest::Block { height: Height(60) }));
    let step = client.handle(now, Input::Message { from: peer(1), message }).unwrap();
    let poisoned = client.release(now, step.records.unwrap().failed()).unwrap_err();
    assert_eq!(client.handle(now, Input::Tick).unwrap_err(), poisoned);
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn a_restart_goes_on_from_the_last_record() {
    let chain = Rc::new(Chain::new(800, rotating));
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.announce(400).unwrap();
    let recover = |start, log: &[Record]| {
        let log: Vec<Record> = log.iter().map(|record| decode(&encode(record)).unwrap()).collect();
        LightClient::recover(config(), start, log).unwrap()
    };
    let genesis = || Start::Trusted(chain.trusted(0));
    for stored in 0..=lab.log.len() {
        let client = recover(genesis(), &lab.log[..stored]);
        let expected = [0, 200, 400][stored];
        assert_eq!(client.trusted(), Some(&chain.tip(expected)));
    }
    let last = &lab.log[lab.log.len() - 1..];
    assert_eq!(recover(genesis(), last).trusted(), Some(&chain.tip(400)), "one is enough");
    // A newer start wins over an older log, an older one doesn't.
    assert_eq!(recover(Start::Trusted(chain.trusted(500)), last).trusted(), Some(&chain.tip(500)));
    assert_eq!(recover(chain.checkpoint(401), last).trusted(), None);
    assert_eq!(recover(chain.checkpoint(400), last).trusted(), Some(&chain.tip(400)));

    let mut resumed = Lab::genesis(&chain, three_honest(&chain));
    resumed.client = recover(genesis(), last);
    resumed.announce(800).unwrap();
    assert_eq!(resumed.trusted, [600, 800]);
}

#[test]
fn a_log_that_does_not_fit_is_refused() {
    let chain = Chain::new(10, four);
    let record = |chain_id, next| {
        let tip = pocket_types::finality::TrustedTip { chain: chain_id, ..chain.tip(5) };
        let start = Start::Trusted(chain.trusted(0));
        LightClient::recover(config(), start, [Record::Trusted { tip, next }]).unwrap_err()
    };
    let (got, expected) = (ChainId(OTHER.0), CHAIN);
    let refused = record(got, chain.set(6).clone());
    assert_eq!(refused, LightClientError::WrongChain { got, expected });
    let other = set(1, &four(1));
    let error = LightError::NextValidators { got: other.hash(), expected: chain.set(6).hash() };
    assert_eq!(record(CHAIN, other), LightClientError::Record(error));
}

#[test]
fn bounds_that_make_no_sense_are_refused() {
    let chain = Chain::new(1, four);
    let broken = [
        Config { timeout: Duration(0), ..config() },
        Config { cooldown: Duration(0), ..config() },
        Config { max_peers: 2, ..config() },
        Config { max_pivots: 0, ..config() },
        Config { max_kept: 0, ..config() },
        Config { max_unstored: 0, ..config() },
    ];
    for config in broken {
        let refused = LightClient::recover(config, Start::Trusted(chain.trusted(0)), []);
        assert!(matches!(refused, Err(LightClientError::Config(_))));
    }
}

// Sources that lie

/// What a source may send instead of block 60, and how it is refused.
type Lie = (&'static str, LightBlock, fn(&LightRefusal) -> bool);

fn false_blocks(chain: &Chain) -> Vec<Lie> {
    let block = chain.block(60);
    let header = block.header().unwrap();
    let resigned = |header: Header, signers: Option<&[u16]>| {
        signed(header, 0, chain.set(60), chain.set(61), &four(60), signers)
    };
    let proved = |header: Header| {
        let mut certificate = block.proof.links[0].certificate.clone();
        certificate.data.block = header.id();
        let proof = FinalityProof::commit(header, certificate);
        LightBlock { proof, ..block.clone() }
    };
    let strangers = equal(21..=24);
    let usurpers = set(1, &strangers);
    let mut reordered = block.clone();
    let mut members = reordered.validators.members.to_vec();
    members.swap(0, 1);
    reordered.validators.members = List::new(members).unwrap();
    let mut unsigned = block.clone();
    let mut links = unsigned.proof.links.to_vec();
    links[0].certificate.signatures = Bytes::new(vec![7; 4 * 64]).unwrap();
    unsigned.proof.links = List::new(links).unwrap();
    vec![
        (
            "another state with the true signatures",
            proved(Header { state_root: Hash([1; 32]), ..header.clone() }),
            |reason| matches!(reason, LightRefusal::Block { error: LightError::Finality(_), .. }),
        ),
        ("garbage for signatures", unsigned, |reason| {
            matches!(reason, LightRefusal::Block { error: LightError::Finality(_), .. })
        }),
        ("too few signatures", resigned(header.clone(), Some(&[1, 2])), |reason| {
            matches!(reason, LightRefusal::Block { error: LightError::Finality(_), .. })
        }),
        ("another height", chain.block(59).clone(), |reason| {
            *reason == LightRefusal::Height { got: Height(59), asked: Height(60) }
        }),
        (
            "another network",
            resigned(Header { chain: ChainId(OTHER.0), ..header.clone() }, None),
            |r| matches!(r, LightRefusal::Block { error: LightError::Chain { .. }, .. }),
        ),
        (
            "no later than the genesis",
            resigned(Header { time: START, ..header.clone() }, None),
            |r| matches!(r, LightRefusal::Block { error: LightError::Early { .. }, .. }),
        ),
        ("members in another order", reordered, |reason| {
            matches!(reason, LightRefusal::Block { error: LightError::Validators { .. }, .. })
        }),
        (
            "another set of the same epoch",
            {
                let usurpers = set(0, &strangers);
                let header = Header {
                    validators: usurpers.hash(),
                    next_validators: usurpers.hash(),
                    ..header.clone()
                };
                signed(header, 0, &usurpers, &usurpers, &strangers, None)
            },
            |reason| matches!(reason, LightRefusal::Block { error: LightError::Epoch { .. }, .. }),
        ),
        (
            "a quorum of strangers, which is halved down to where they must be known",
            {
                let header = Header {
                    epoch: usurpers.epoch,
                    validators: usurpers.hash(),
                    next_validators: usurpers.hash(),
                    ..header.clone()
                };
                signed(header, 0, &usurpers, &usurpers, &strangers, None)
            },
            |reason| matches!(reason, LightRefusal::Block { error: LightError::Finality(_), .. }),
        ),
    ]
}

#[test]
fn a_lying_source_is_charged_and_replaced() {
    let chain = chain_of();
    for (what, lie, expected) in false_blocks(&chain) {
        let liar = but(&chain, move |request, answer| match *request {
            LightRequest::Block { height } if height == Height(60) => {
                Some(LightAnswer::Block { height, block: Some(Box::new(lie.clone())) })
            }
            _ => Some(answer),
        });
        let mut nodes = vec![liar];
        nodes.extend(three_honest(&chain));
        let mut lab = Lab::genesis(&chain, nodes);
        lab.announce(60).unwrap();
        assert_eq!(lab.asked_blocks[0], (peer(1), 60));
        let [reason] = lies(&lab, 1)[..] else { panic!("{what}: {:?}", lab.events) };
        assert!(expected(reason), "{what}: {reason}");
        assert_eq!((lab.trusted.last(), lab.id()), (Some(&60), chain.id(60)), "{what}");
        let by_liar = lab.asked_blocks.iter().filter(|(node, _)| *node == peer(1)).count();
        // Sixty, and where strangers sign, thirty, forty-five and so on up to fifty-nine.
        assert!(by_liar == 1 || (by_liar == 7 && lab.trusted.contains(&59)), "{what}: {by_liar}");
    }
}

/// The chain of the tests with lies: sixty blocks of four validators.
fn chain_of() -> Rc<Chain> {
    thread_local!(static CHAIN: Rc<Chain> = Rc::new(Chain::new(60, four)));
    CHAIN.with(Rc::clone)
}

#[test]
fn a_lie_about_a_far_height_costs_one_halving_down() {
    let chain = Rc::new(Chain::new(1_000, four));
    let usurped = Rc::new(chain.usurped(1_000, &equal(21..=24)));
    let config = Config { witnesses: 0, ..config() };
    let mut lab = Lab::new(config, Start::Trusted(chain.trusted(0)), chain.time(1_000));
    lab.nodes = [(peer(1), honest(&usurped))].into();
    lab.announce(1_000).unwrap();
    // 1000, then 500, 750, 875, 937, 968, 984, 992, 996, 998 and 999, which refutes it.
    assert_eq!(lab.asked.0, 11);
    assert_eq!(lab.trusted.last(), Some(&999));
    let reason = lies(&lab, 1)[0];
    let LightRefusal::Block { height: Height(1_000), error: LightError::Finality(_) } = reason
    else {
        panic!("{reason:?}")
    };
}

#[test]
fn a_header_from_the_future_rests_its_source_without_a_charge() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    lab.now = Timestamp(chain.time(60).0 - 501);
    lab.announce(60).unwrap();
    let ahead = LightError::Ahead { got: chain.time(60), latest: Timestamp(chain.time(60).0 - 1) };
    assert!(lab.trusted.is_empty());
    let refused = lab.events.iter().filter(|event| {
        let reason = LightRefusal::Block { height: Height(60), error: ahead.clone() };
        matches!(event, Output::Refused { reason: r, .. } if *r == reason)
    });
    assert_eq!(refused.count(), 1, "then too few are left to be asked");
    lab.tick().unwrap();
    assert_eq!(lab.trusted, [60], "our clock was behind");
}

#[test]
fn a_silent_source_is_replaced_after_its_timeout_and_rests() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    let first = peer(0);
    lab.nodes.insert(first, silent());
    let start = lab.now;
    lab.announce(60).unwrap();
    assert_eq!(lab.asked_blocks, [(first, 60)]);
    assert_eq!(lab.client.next_deadline(), Some(start.after(config().timeout)));
    lab.tick().unwrap();
    assert!(lab.events.contains(&Output::Unanswered { peer: first }));
    assert_eq!((lab.trusted.clone(), lab.asked), (vec![60], (2, 2)));
    // Its late answer does no harm.
    let answer = chain.answer(&LightRequest::Block { height: Height(60) });
    let message = LightMessage::Answer(answer);
    lab.feed(Input::Message { from: first, message }).unwrap();
    assert!(matches!(lab.events.last(), Some(Output::Dropped { peer, .. }) if *peer == first));
}

#[test]
fn what_a_lost_source_sent_is_lost_with_it() {
    let chain = chain_of();
    // It shows what must be halved, and falls silent, or leaves.
    for leaves in [false, true] {
        let strangers = Rc::new(chain.usurped(60, &equal(21..=24)));
        let mut answers = 0;
        let liar = but(&strangers, move |_, answer| {
            answers += 1;
            (answers == 1).then_some(answer)
        });
        let mut nodes = vec![liar];
        nodes.extend(three_honest(&chain));
        let mut lab = Lab::genesis(&chain, nodes);
        lab.announce(60).unwrap();
        assert_eq!((lab.asked_blocks[1], lab.client.pivots()), ((peer(1), 30), 1));
        if leaves {
            lab.feed(Input::Gone { peer: peer(1) }).unwrap();
        } else {
            lab.tick().unwrap();
        }
        assert_eq!((lab.trusted.clone(), lab.client.pivots()), (vec![60], 0));
        assert!(lab.events.iter().all(|event| !matches!(event, Output::Misbehaviour { .. })));
    }
}

#[test]
fn a_source_that_leaves_takes_the_questions_to_its_witnesses_along() {
    let chain = chain_of();
    let mute = || {
        but(&chain, |request, answer| {
            matches!(request, LightRequest::Block { .. }).then_some(answer)
        })
    };
    let mut lab = with_witnesses(&chain, [mute(), mute()]);
    lab.nodes.insert(peer(6), honest(&chain));
    lab.announce(60).unwrap();
    assert_eq!(lab.asked, (1, 2));
    lab.feed(Input::Gone { peer: peer(1) }).unwrap();
    assert_eq!(lab.asked.0, 2, "another source is asked at once");
    assert_eq!(lab.trusted, [60], "and two that were not asked yet are its witnesses");
}

#[test]
fn an_answer_to_another_question_answers_nothing() {
    let chain = chain_of();
    let others = [
        LightRequest::Block { height: Height(59) },
        LightRequest::Block { height: Height(61) },
        LightRequest::Id { height: Height(60) },
    ];
    for other in others {
        let confused = but(&chain, move |_, _| Some(chain_of().answer(&other)));
        let mut nodes = vec![confused];
        nodes.extend(three_honest(&chain));
        let mut lab = Lab::genesis(&chain, nodes);
        lab.announce(60).unwrap();
        assert!(
            matches!(lab.events.last(), Some(Output::Dropped { peer: p, .. }) if *p == peer(1))
        );
        assert_eq!((lab.asked, lab.trusted.len()), ((1, 0), 0), "the question is still open");
        lab.tick().unwrap();
        assert_eq!(lab.trusted, [60]);
        assert!(lab.events.contains(&Output::Unanswered { peer: peer(1) }));
    }
}

#[test]
fn a_source_without_what_it_announced_is_replaced() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, three_honest(&chain));
    let first = peer(0);
    let short = Rc::new(Chain::new(10, four));
    lab.nodes.insert(first, honest(&short));
    lab.announce(60).unwrap();
    assert!(lab.events.contains(&Output::Missing { peer: first, height: Height(60) }));
    assert_eq!(lab.trusted, [60]);

    // With nobody to replace it, it isn't asked again until it announces something.
    let mut lab = Lab::genesis(&chain, vec![honest(&short), honest(&chain), honest(&chain)]);
    lab.announce(60).unwrap();
    lab.now = lab.now.after(config().cooldown);
    lab.feed(Input::Tick).unwrap();
    assert_eq!(lab.asked, (1, 0));
    lab.feed(Input::Announced { peer: peer(1), height: Height(10) }).unwrap();
    assert_eq!((lab.trusted.clone(), lab.asked), (vec![10], (2, 2)));
}

// Witnesses

/// A lab in which node 1 is an honest source, 2 and 3 are its witnesses, 4 and 5 honest reserves.
fn with_witnesses(chain: &Rc<Chain>, witnesses: [Node; 2]) -> Lab {
    let mut nodes = vec![honest(chain)];
    nodes.extend(witnesses);
    nodes.extend([honest(chain), honest(chain)]);
    Lab::genesis(chain, nodes)
}

#[test]
fn without_enough_witnesses_nothing_is_trusted() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, vec![honest(&chain), honest(&chain)]);
    lab.announce(60).unwrap();
    assert!(lab.trusted.is_empty());
    assert_eq!(lab.events, [Output::TooFewPeers { have: 1, need: 3 }], "said once");
    lab.nodes.insert(peer(3), honest(&chain));
    lab.feed(Input::Announced { peer: peer(3), height: Height(60) }).unwrap();
    assert_eq!(lab.trusted, [60]);
}

#[test]
fn a_witness_that_is_silent_or_lacks_the_block_is_replaced() {
    let chain = chain_of();
    let short = Rc::new(Chain::new(10, four));
    let mut lab = with_witnesses(&chain, [silent(), honest(&short)]);
    lab.announce(60).unwrap();
    let missing = Output::Missing { peer: peer(3), height: Height(60) };
    assert!(lab.trusted.is_empty() && lab.events.contains(&missing));
    lab.tick().unwrap();
    assert!(lab.events.contains(&Output::Unanswered { peer: peer(2) }));
    assert_eq!((lab.trusted.clone(), lab.asked), (vec![60], (1, 4)));
}

#[test]
fn when_all_witnesses_fail_it_waits_until_they_have_rested() {
    let chain = chain_of();
    let flaky = || {
        let mut answers = 0;
        but(&chain, move |_, answer| {
            answers += 1;
            (answers > 1).then_some(answer)
        })
    };
    let mut lab = Lab::genesis(&chain, vec![honest(&chain), flaky(), flaky()]);
    lab.announce(60).unwrap();
    lab.tick().unwrap();
    assert!(lab.trusted.is_empty());
    assert_eq!(lab.events.last(), Some(&Output::TooFewPeers { have: 1, need: 3 }));
    let rested = lab.now.after(config().cooldown);
    assert_eq!(lab.client.next_deadline(), Some(rested));
    lab.tick().unwrap();
    assert_eq!((lab.trusted.clone(), lab.asked), (vec![60], (2, 4)));
}

#[test]
fn one_witness_of_two_is_not_enough() {
    let chain = chain_of();
    let mute = but(&chain, |request, answer| {
        matches!(request, LightRequest::Block { .. }).then_some(answer)
    });
    let mut lab = Lab::genesis(&chain, vec![honest(&chain), honest(&chain), mute]);
    lab.announce(60).unwrap();
    lab.tick().unwrap();
    assert!(lab.events.contains(&Output::Unanswered { peer: peer(3) }));
    assert_eq!((lab.trusted.clone(), lab.asked), (vec![], (1, 2)));
}

/// A witness that claims a block everywhere, and shows one, or nothing.
fn claimant(chain: &Rc<Chain>, id: BlockId, block: Option<LightBlock>) -> Node {
    but(chain, move |request, _| match *request {
        LightRequest::Id { height } => claims(height, id),
        LightRequest::Block { height } => {
            Some(LightAnswer::Block { height, block: block.clone().map(Box::new) })
        }
    })
}

#[test]
fn a_witness_that_claims_another_block_shows_it_or_is_dropped() {
    let chain = chain_of();
    let (height, claimed) = (Height(60), OTHER);
    let shown = |n: u64| Some(chain.block(n).clone());
    let undecided = chain.fork(60, 9, 0, Some(&[1, 2])).block(60).clone();
    let undecided_id = undecided.header().unwrap().id();
    type Case<'a> = (BlockId, Option<LightBlock>, &'a dyn Fn(&LightRefusal) -> bool);
    let cases: [Case<'_>; 4] = [
        (OTHER, None, &|r| *r == LightRefusal::Unproven { height, claimed }),
        (OTHER, shown(60), &|r| {
            *r == LightRefusal::OtherBlock { height, claimed, got: chain.id(60) }
        }),
        (OTHER, shown(59), &|r| *r == LightRefusal::Height { got: Height(59), asked: height }),
        (undecided_id, Some(undecided), &|r| {
            matches!(r, LightRefusal::Block { error: LightError::Finality(_), .. })
        }),
    ];
    for (id, block, expected) in cases {
        let liars = [claimant(&chain, id, block.clone()), claimant(&chain, id, block)];
        let mut lab = with_witnesses(&chain, liars);
        lab.announce(60).unwrap();
        assert_eq!((lab.trusted.clone(), lab.id()), (vec![60], chain.id(60)));
        for n in [2, 3] {
            let [reason] = lies(&lab, n)[..] else { panic!("{:?}", lab.events) };
            assert!(expected(reason), "{reason}");
        }
        assert_eq!(lab.asked, (1 + 2, 2 + 2), "the liars' proofs and two more witnesses");
        assert_eq!(
            lab.events.iter().filter(|e| matches!(e, Output::Misbehaviour { .. })).count(),
            2
        );
    }
}

#[test]
fn a_witness_without_a_way_to_its_block_costs_a_halving_down_and_no_trust() {
    let chain = Rc::new(Chain::new(1_000, four));
    let usurped = Rc::new(chain.usurped(1_000, &equal(21..=24)));
    // Nobody whom we trust signed its block; on the way to it, it answers truly.
    let mut lab = with_witnesses(&chain, [honest(&usurped), honest(&chain)]);
    lab.announce(1_000).unwrap();
    let [LightRefusal::Block { height: Height(1_000), .. }] = lies(&lab, 2)[..] else {
        panic!("{:?}", lab.events)
    };
    assert_eq!((lab.trusted.last(), lab.id()), (Some(&1_000), chain.id(1_000)));
    assert_eq!(lab.trusted.len(), 11, "ten on the liar's way, where nobody contradicts it");
    assert_eq!(lab.asked.0, 1 + 1 + 10 + 1);

    // And one that shows nothing on the way is left at once.
    let mut lab = with_witnesses(
        &chain,
        [claimant(&chain, usurped.id(1_000), Some(usurped.block(1_000).clone())), honest(&chain)],
    );
    lab.announce(1_000).unwrap();
    let [LightRefusal::Height { got: Height(1_000), asked: Height(500) }] = lies(&lab, 2)[..]
    else {
        panic!("{:?}", lab.events)
    };
    assert_eq!((lab.trusted.clone(), lab.id()), (vec![1_000], chain.id(1_000)));
}

// Forks

fn forked(lab: &Lab) -> &pocket_types::light::Divergence {
    let forked = lab.events.iter().find_map(|event| match event {
        Output::Forked(divergence) => Some(&**divergence),
        _ => None,
    });
    forked.unwrap_or_else(|| panic!("no fork: {:?}", lab.events))
}

#[test]
fn two_decided_chains_are_evidence_and_the_end() {
    let chain = Rc::new(Chain::new(60, four).fork(20, 1, 0, Some(&[1, 2, 3])));
    for (round, is_amnesia) in [(0, false), (1, true)] {
        let fork = Rc::new(chain.fork(40, 2, round, Some(&[2, 3, 4])));
        let mut lab = Lab::genesis(&chain, vec![honest(&chain), honest(&fork), honest(&chain)]);
        lab.announce(60).unwrap();
        assert!(lab.trusted.is_empty());
        let divergence = forked(&lab);
        let (mut one, mut other) = (chain.id(60), fork.id(60));
        if one > other {
            (one, other) = (other, one);
        }
        let stopped = LightClientError::Forked { height: Height(60), one, other };
        let known = |height: Height| (height.0 == 0).then(|| chain.tip(0));
        let mut both = vec![key(2).public_key(), key(3).public_key()];
        both.sort_unstable();
        match divergence.verify(known).unwrap() {
            Blame::Equivocation { guilty, evidence } if !is_amnesia => {
                assert_eq!(guilty, both);
                let offenders: Vec<_> =
                    evidence.iter().map(|piece| piece.verify(CHAIN).unwrap().offender).collect();
                assert_eq!(offenders, both);
            }
            Blame::Amnesia { suspects } if is_amnesia => assert_eq!(suspects, both),
            other => panic!("{other:?}"),
        }
        assert_eq!(lab.log, [Record::Forked(Box::new(divergence.clone()))]);
        assert_eq!(lab.feed(Input::Tick), Err(stopped.clone()));
        assert_eq!(lab.client.next_deadline(), None);

        // A restart doesn't forget it; a checkpoint of whoever settled it goes on.
        let log: Vec<Record> = lab.log.iter().map(|r| decode(&encode(r)).unwrap()).collect();
        let genesis = Start::Trusted(chain.trusted(0));
        let mut lab = Lab::genesis(&chain, three_honest(&chain));
        lab.client = LightClient::recover(config(), genesis, log.clone()).unwrap();
        assert_eq!(lab.announce(60), Err(stopped.clone()));
        lab.client = LightClient::recover(config(), chain.checkpoint(59), log.clone()).unwrap();
        assert_eq!(lab.announce(60), Err(stopped));
        lab.client = LightClient::recover(config(), chain.checkpoint(60), log).unwrap();
        lab.announce(60).unwrap();
        assert_eq!(lab.trusted, [60]);
    }
}

#[test]
fn old_validators_who_elect_usurpers_are_found_by_an_honest_witness() {
    let chain = Rc::new(Chain::new(60, four));
    // Validators 3 and 4, half of the weight, sign a header of a set of their own making.
    let usurped = Rc::new(chain.usurped(60, &equal([3, 4, 21])));
    let mut lab = Lab::genesis(&chain, vec![honest(&usurped), honest(&usurped), honest(&chain)]);
    lab.announce(60).unwrap();
    assert!(lab.trusted.is_empty());
    let known = |height: Height| Some(chain.tip(height.0));
    let mut guilty = vec![key(3).public_key(), key(4).public_key()];
    guilty.sort_unstable();
    assert_eq!(forked(&lab).verify(known), Ok(Blame::Lunatic { guilty, suspects: vec![] }));
}

#[test]
fn a_fork_below_the_target_is_found_where_it_first_shows() {
    let chain = Rc::new(Chain::new(800, rotating));
    // From 450 on those of the fifth set sign two chains, and all their successors the second.
    let fork = Rc::new(chain.fork(450, 2, 0, None));
    let mut lab = Lab::genesis(&chain, vec![honest(&fork), honest(&chain), honest(&chain)]);
    assert!(matches!(lab.announce(800), Err(LightClientError::Forked { height: Height(600), .. })));
    assert_eq!(lab.trusted, [200, 400]);
    let divergence = forked(&lab);
    assert_eq!(divergence.from, chain.tip(400));
    let judge = |height: Height| Some(chain.tip(height.0));
    let Ok(Blame::Equivocation { guilty, evidence }) = divergence.verify(judge) else { panic!() };
    assert_eq!((guilty.len(), evidence.len()), (4, 4), "all of 600");
}

/// Two of the four validators of the genesis, long out of office, sign a header of height 800, which
/// the genesis vouches for in one step and the true one in four.
fn usurped_late() -> (Rc<Chain>, Rc<Chain>) {
    let chain = Chain::new(800, rotating);
    let usurped = chain.usurped(800, &equal([2, 3, 21]));
    (Rc::new(chain), Rc::new(usurped))
}

fn usurpers() -> Vec<PublicKey> {
    let mut keys = vec![key(2).public_key(), key(3).public_key()];
    keys.sort_unstable();
    keys
}

#[test]
fn usurpers_are_found_though_the_true_chain_takes_several_steps() {
    let (chain, usurped) = usurped_late();
    // Whether the liar goes on answering or not once it is contradicted.
    for is_silent in [false, true] {
        let mut answers = 0;
        let liar = but(&usurped, move |_, answer| {
            answers += 1;
            (answers == 1 || !is_silent).then_some(answer)
        });
        let mut nodes = vec![liar];
        nodes.extend([three_honest(&chain), three_honest(&chain)].into_iter().flatten());
        let mut lab = Lab::genesis(&chain, nodes);
        lab.announce(800).unwrap();
        if is_silent {
            lab.tick().unwrap();
        }
        let rival = (peer(1), 200);
        assert!(lab.asked_ids.contains(&rival), "whom it contradicts is asked first on the way");
        assert_eq!(lab.trusted, [200, 400, 600], "the witness' way, up to where both are verified");
        let divergence = forked(&lab);
        let mut lengths = [divergence.one.len(), divergence.other.len()];
        lengths.sort_unstable();
        assert_eq!(lengths, [1, 4]);
        let judge = |height: Height| Some(chain.tip(height.0));
        assert_eq!(
            divergence.verify(judge),
            Ok(Blame::Lunatic { guilty: usurpers(), suspects: vec![] })
        );
        let other_client = |height: Height| (height.0 == 0).then(|| chain.tip(0));
        assert!(matches!(divergence.verify(other_client), Ok(Blame::Disputed { .. })));
        assert!(matches!(lab.feed(Input::Tick), Err(LightClientError::Forked { .. })));
    }
}

#[test]
fn usurpers_among_the_witnesses_are_found_on_the_way() {
    let (chain, usurped) = usurped_late();
    let mut lab = Lab::genesis(&chain, vec![honest(&chain), honest(&chain), honest(&usurped)]);
    lab.announce(800).unwrap();
    // They agree up to 600, from where nobody vouches for the usurped header in one step any more: its
    // supplier shows the way, true up to 799, and is refuted there.
    assert_eq!((lab.trusted[..3].to_vec(), lab.trusted.last()), (vec![200, 400, 600], Some(&799)));
    let [LightRefusal::Block { height: Height(800), .. }] = lies(&lab, 3)[..] else {
        panic!("{:?}", lab.events)
    };
    assert_eq!(lab.events.last(), Some(&Output::TooFewPeers { have: 2, need: 3 }));
    lab.nodes.insert(peer(4), honest(&chain));
    lab.announce(800).unwrap();
    assert_eq!(lab.id(), chain.id(800));
}

#[test]
fn a_way_longer_than_evidence_may_be_ends_the_contest() {
    // Ten changes of all validators: the true way takes more steps than a side of evidence has.
    let members = |height: u64| {
        let first = u16::try_from((height.max(1) - 1) / 10).unwrap() * 4;
        equal(first..first + 4)
    };
    let chain = Rc::new(Chain::new(100, members));
    let usurped = Rc::new(chain.usurped(100, &equal([2, 3, 60])));
    let mut answers = 0;
    let liar = but(&usurped, move |_, answer| {
        answers += 1;
        (answers == 1).then_some(answer)
    });
    let mut nodes = vec![liar];
    nodes.extend(three_honest(&chain));
    let mut lab = Lab::genesis(&chain, nodes);
    lab.announce(100).unwrap();
    lab.tick().unwrap();
    assert!(lab.trusted.len() > MAX_STEPS);
    assert_eq!((lab.trusted.last(), lab.id()), (Some(&100), chain.id(100)));
    assert!(lab.events.contains(&Output::Unanswered { peer: peer(1) }));
}

// Bounds

#[test]
fn peers_beyond_the_bound_are_not_remembered() {
    let chain = chain_of();
    let config = Config { max_peers: 5, ..config() };
    let mut lab = Lab::new(config, Start::Trusted(chain.trusted(0)), chain.time(60));
    for n in 0..100 {
        let message = LightMessage::Status { height: Height(0) };
        lab.feed(Input::Message { from: peer(n), message }).unwrap();
    }
    assert_eq!(lab.client.peers(), 5);
    lab.feed(Input::Gone { peer: peer(0) }).unwrap();
    assert_eq!(lab.client.peers(), 4);
}

#[test]
fn what_was_not_asked_for_is_dropped() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, vec![]);
    let strange = [
        LightMessage::Answer(chain.answer(&LightRequest::Block { height: Height(60) })),
        LightMessage::Answer(chain.answer(&LightRequest::Id { height: Height(60) })),
        LightMessage::Request(LightRequest::Id { height: Height(60) }),
    ];
    for message in strange {
        lab.feed(Input::Message { from: peer(1), message }).unwrap();
    }
    let dropped = lab.events.iter().filter(|event| matches!(event, Output::Dropped { .. }));
    assert_eq!((dropped.count(), lab.trusted.len()), (3, 0));
}

#[test]
fn a_peer_that_leaves_takes_its_requests_along() {
    let chain = chain_of();
    let mut lab = Lab::genesis(&chain, vec![silent(), silent(), silent(), silent()]);
    lab.announce(60).unwrap();
    let [(source, _)] = lab.asked_blocks[..] else { panic!() };
    lab.feed(Input::Gone { peer: source }).unwrap();
    assert_eq!(lab.asked_blocks.len(), 2, "another is asked at once");
    assert_ne!(lab.asked_blocks[1].0, source);
}

#[test]
fn serving_is_bounded() {
    let chain = Chain::new(3, four);
    let ask = |request| {
        let stored = |height: Height| chain.blocks.get(height.0 as usize - 1);
        serve::respond::<RequestError>(
            &request,
            |height| Ok(stored(height).map(|block| block.header().unwrap().id())),
            |height| Ok(stored(height).cloned()),
        )
    };
    let height = Height::GENESIS;
    assert_eq!(ask(LightRequest::Block { height }), Err(RequestError::Genesis));
    assert_eq!(ask(LightRequest::Id { height }), Err(RequestError::Genesis));
    let height = Height(4);
    let none = LightAnswer::Block { height, block: None };
    assert_eq!(ask(LightRequest::Block { height }), Ok(none));
    assert_eq!(ask(LightRequest::Id { height }), Ok(LightAnswer::Id { height, id: None }));
    let height = Height(3);
    let answer = ask(LightRequest::Block { height }).unwrap();
    let LightAnswer::Block { block: Some(block), .. } = &answer else { panic!() };
    assert_eq!(**block, *chain.block(3));
    let message = LightMessage::Answer(answer);
    assert_eq!(decode::<LightMessage>(&encode(&message)), Ok(message));
}

#[test]
fn a_block_of_the_largest_sets_fits_a_message_and_nothing_larger_is_sent() {
    let chain = Chain::new(1, four);
    let mut block = chain.block(1).clone();
    let member = block.validators.members[0];
    block.validators.members = List::new(vec![member; MAX_VALIDATORS]).unwrap();
    block.next_validators = Some(block.validators.clone());
    let mut links = block.proof.links.to_vec();
    links[0].certificate.signers = Bytes::new(vec![0; MAX_VALIDATORS / 8]).unwrap();
    links[0].certificate.signatures = Bytes::new(vec![0; MAX_VALIDATORS * 64]).unwrap();
    links[0].header.parent_certificate = Some(links[0].certificate.clone());
    block.proof.links = List::new(links.clone()).unwrap();
    let ask = |block: &LightBlock| {
        let request = LightRequest::Block { height: Height(1) };
        let block = block.clone();
        serve::respond::<RequestError>(&request, |_| unreachable!(), |_| Ok(Some(block)))
    };
    let message = LightMessage::Answer(ask(&block).unwrap());
    let bytes = encode(&message);
    assert!(bytes.len() <= LightMessage::MAX_BYTES);
    assert!(decode::<LightMessage>(&bytes).is_ok());
    // Two links of that size don't.
    block.proof.links = List::new([links.clone(), links].concat()).unwrap();
    let got = encode(&block).len();
    assert!(got > MAX_ANSWER_BYTES);
    assert_eq!(ask(&block), Err(RequestError::TooLarge { height: Height(1), got }));
}

// Against following one by one

/// Validators by height, changing at random, and what liars make: of which height, how, who of them.
#[derive(Clone, Debug)]
struct Plan {
    schedule: Vec<Members>,
    lies: Vec<(u64, u8, u16)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let members = proptest::collection::btree_map(0u16..10, 1u64..6, 1..7);
    let changes = proptest::collection::vec((1u64..4, members), 1..7);
    let lies =
        proptest::collection::vec((any::<prop::sample::Index>(), 0u8..6, any::<u16>()), 0..4);
    (changes, lies).prop_map(|(changes, lies)| {
        let mut schedule: Vec<Members> = vec![];
        for (length, members) in changes {
            let members: Members = members.into_iter().collect();
            (0..length).for_each(|_| schedule.push(members.clone()));
        }
        schedule.push(schedule[schedule.len() - 1].clone());
        let height = |place: prop::sample::Index| place.index(schedule.len() - 1) as u64 + 1;
        let lies = lies.into_iter().map(|(place, kind, who)| (height(place), kind, who)).collect();
        Plan { schedule, lies }
    })
}

/// A header that the chain doesn't hold, made by fewer than a third of every set in office.
fn forge(chain: &Chain, schedule: &[Members], height: u64, kind: u8, signs: u16) -> LightBlock {
    let block = chain.block(height).clone();
    let header = block.header().unwrap().clone();
    let (set_, next) = (chain.set(height), chain.set(height + 1));
    // Liars: every key that weighs less than a third in each set, greedily.
    let mut liars: Vec<u16> = vec![];
    for n in (0..10).filter(|n| signs >> n & 1 == 1) {
        liars.push(n);
        let weak = schedule.iter().all(|members| {
            let total: u64 = members.iter().map(|member| member.1).sum();
            let lying = members.iter().filter(|member| liars.contains(&member.0));
            3 * lying.map(|member| member.1).sum::<u64>() <= total
        });
        if !weak {
            liars.pop();
        }
    }
    let state_root = Hash([0xf0; 32]);
    match kind {
        // The true set's header, signed by the liars alone.
        0 => signed(
            Header { state_root, ..header },
            0,
            set_,
            next,
            &schedule[height as usize - 1],
            Some(&liars),
        ),
        // Sets of their own: with themselves, and with keys that nobody knows.
        1..=4 => {
            let strangers = (0..u16::from(kind)).map(|n| (30 + n, 5));
            let members: Members = liars.iter().map(|n| (*n, 1)).chain(strangers).collect();
            let own = set(set_.epoch.0 + u64::from(kind), &members);
            let header = Header {
                state_root,
                epoch: own.epoch,
                validators: own.hash(),
                next_validators: own.hash(),
                ..header
            };
            signed(header, 0, &own, &own, &members, None)
        }
        // A true certificate for another header.
        _ => {
            let mut certificate = block.proof.links[0].certificate.clone();
            let header = Header { state_root, ..header };
            certificate.data.block = header.id();
            LightBlock { proof: FinalityProof::commit(header, certificate), ..block }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// From every header of the chain, skipping accepts of all headers, true and forged, only those
    /// that following one by one accepts.
    #[test]
    fn skipping_accepts_nothing_that_following_one_by_one_refuses(
        Plan { schedule, lies } in plan(),
    ) {
        let length = schedule.len() as u64 - 1;
        let chain = Chain::new(length, |height| schedule[height as usize - 1].clone());
        let forge = |&(height, kind, who): &_| forge(&chain, &schedule, height, kind, who);
        let forged: Vec<LightBlock> = lies.iter().map(forge).collect();
        // One by one, from the genesis.
        let mut accepted = vec![];
        let mut tip = chain.tip(0);
        for height in 1..=length {
            let electorate =
                pocket_types::validator::Electorate::new(chain.set(height).clone()).unwrap();
            for lie in forged.iter().filter(|b| b.header().unwrap().height == Height(height)) {
                prop_assert!(tip.clone().advance(&lie.proof, &electorate).is_err());
            }
            tip.advance(&chain.block(height).proof, &electorate).unwrap();
            accepted.push(tip);
        }
        let now = chain.time(length);
        for from in 0..length {
            let trusted = chain.trusted(from);
            for block in chain.blocks.iter().chain(&forged) {
                if let Ok(verified) = trusted.verify(block, now, &rules()) {
                    prop_assert!(accepted.contains(verified.tip()));
                    prop_assert_eq!(verified.next().set(), chain.set(verified.tip().height.0 + 1));
                }
            }
        }
        // And the client, among liars, ends where the chain does.
        let chain = Rc::new(chain);
        let liar = || {
            let forged = forged.clone();
            but(&chain, move |request, answer| {
                let lie = forged.iter().find(|b| b.header().unwrap().height == request.height());
                match (request, lie) {
                    (LightRequest::Block { .. }, Some(lie)) => shows(lie.clone()),
                    (LightRequest::Id { height }, Some(lie)) => {
                        claims(*height, lie.header().unwrap().id())
                    }
                    (_, None) => Some(answer),
                }
            })
        };
        let mut lab =
            Lab::genesis(&chain, vec![liar(), liar(), honest(&chain), honest(&chain), honest(&chain)]);
        prop_assert_eq!(lab.announce(length), Ok(()));
        prop_assert_eq!(lab.id(), chain.id(length));
        for height in &lab.trusted {
            let header = lab.client.header(Height(*height)).map(Header::id);
            prop_assert_eq!(header, Some(chain.id(*height)));
        }
    }

    /// Liars of any weight, an honest peer among three: nothing false is ever trusted, and who is found
    /// guilty is. (Whether everything true is trusted depends on how many there are.)
    #[test]
    fn with_one_honest_peer_among_those_asked_nothing_false_is_trusted(
        Plan { schedule, .. } in plan(),
        places in proptest::array::uniform2(any::<prop::sample::Index>()),
        kinds in proptest::array::uniform2(0u8..4),
        silent_after in proptest::array::uniform2(1usize..12),
        honest_one in 0usize..3,
        who: u16,
    ) {
        let length = schedule.len() as u64 - 1;
        let chain = Rc::new(Chain::new(length, |height| schedule[height as usize - 1].clone()));
        let liars: Vec<u16> = (0..10).filter(|n| who >> n & 1 == 1).collect();
        let strangers = |count: u16| (0..count).map(|n| (30 + n, 2));
        let members: Members =
            liars.iter().map(|n| (*n, 3)).chain(strangers(u16::from(kinds[0]))).collect();
        let lie = |n: usize| {
            let height = places[n].index(length as usize) as u64 + 1;
            let lie = if kinds[n] == 0 || members.is_empty() {
                chain.fork(height, 90 + n as u8, n as u64, Some(&liars))
            } else {
                chain.usurped(height, &members)
            };
            let lie = Rc::new(lie);
            let mut answers = 0;
            but(&lie, move |_, answer| {
                answers += 1;
                (answers <= silent_after[n]).then_some(answer)
            })
        };
        let mut nodes = vec![lie(0), lie(1)];
        nodes.insert(honest_one, honest(&chain));
        let mut lab = Lab::genesis(&chain, nodes);
        let mut result = lab.announce(length);
        for _ in 0..12 {
            let is_waiting = lab.client.next_deadline().is_some_and(|d| d < START.after(PERIOD));
            if result.is_ok() && is_waiting {
                result = lab.tick();
            }
        }
        for record in &lab.log {
            match record {
                Record::Trusted { tip, next } => {
                    prop_assert_eq!(tip, &chain.tip(tip.height.0));
                    prop_assert_eq!(next, chain.set(tip.height.0 + 1));
                }
                Record::Forked(divergence) => {
                    let blame = divergence.verify(|height| Some(chain.tip(height.0))).unwrap();
                    let named = match blame {
                        Blame::Equivocation { guilty, .. } => guilty,
                        Blame::Lunatic { guilty, suspects } => [guilty, suspects].concat(),
                        Blame::Amnesia { suspects } => suspects,
                        other => panic!("{other:?}"),
                    };
                    let liars: Vec<_> = liars.iter().map(|n| key(*n).public_key()).collect();
                    prop_assert!(!named.is_empty());
                    prop_assert!(named.iter().all(|key| liars.contains(key)));
                }
                other => panic!("{other:?}"),
            }
        }
        prop_assert!(lies(&lab, honest_one + 1).is_empty());
    }
}
