//! Block ranges from several peers: in order, verified, bounded, and never by trust.

use std::collections::BTreeMap;

use crate::common::{Setup, height, public, simulate, simulate_by};
use pocket_consensus::replica::config::MAX_BLOCK_BYTES;
use pocket_consensus::replica::message::Proposal;
use pocket_consensus::sync::message::{MAX_RANGE, MAX_RANGE_BYTES};
use pocket_consensus::sync::serve::{self, RequestError};
use pocket_consensus::sync::{
    Config, DecidedBlock, Input, Output, Range, RangeRequest, Sync, SyncMessage, SyncRefusal,
};
use pocket_consensus::{HotPokt, Jolteon, Replica, Tip, replica};
use pocket_sim::Plan;
use pocket_types::block::{Block, Header};
use pocket_types::codec::{Bytes, List, Wire, decode, encode, encoded_len};
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::id::Address;
use pocket_types::key::Signature;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Amount, Duration, Height, Timestamp};
use pocket_types::transaction::{Message, Transaction, TransactionBody};
use pocket_types::validator::MAX_VALIDATORS;
use pocket_types::vote::Certificate;

fn config() -> Config {
    Config {
        window: 8,
        per_request: 3,
        timeout: Duration(100),
        cooldown: Duration(1_000),
        ..Config::default()
    }
}

/// A chain of twenty blocks with a change of validators in it.
fn history() -> (Setup, Vec<DecidedBlock>) {
    let mut setup = Setup::new(&[10; 4]);
    setup.changes.insert(6, vec![10, 10, 25, 10]);
    let mut sim = simulate(setup.clone(), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    assert_eq!(height(&sim, 0), 20);
    (setup, sim.disk(0).chain.clone())
}

struct Lab {
    setup: Setup,
    sync: Sync,
    now: Timestamp,
    applied: Vec<u64>,
}

impl Lab {
    fn new(setup: &Setup) -> Self {
        let sync = Sync::new(config(), setup.genesis()).unwrap();
        Self { setup: setup.clone(), sync, now: Timestamp(0), applied: vec![] }
    }

    /// One that heard of each of these blocks as it was decided.
    fn told(setup: &Setup, blocks: &[DecidedBlock]) -> Self {
        let mut lab = Self::new(setup);
        for block in blocks {
            lab.feed(announced_block(0, block.clone()));
        }
        lab
    }

    /// Hands an input in, applies what comes out, and gives the rest.
    fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut queue = self.sync.handle(self.now, input).unwrap().into_outputs();
        let mut rest = vec![];
        while !queue.is_empty() {
            for output in core::mem::take(&mut queue) {
                let Output::Apply(decided) = output else {
                    rest.push(output);
                    continue;
                };
                let height = decided.block.header.height;
                self.applied.push(height.0);
                let change = self.setup.change(height);
                let input = Input::Applied { block: decided.block.id(), change };
                queue.extend(self.sync.handle(self.now, input).unwrap().into_outputs());
            }
        }
        rest
    }

    fn announce(&mut self, peer: usize, height: u64) -> Vec<Output> {
        self.feed(Input::Announced { peer: public(peer), height: Height(height) })
    }

    /// Everybody who is asked for blocks of a chain gives them, until nobody is.
    fn serve(&mut self, chain: &[DecidedBlock], outputs: &[Output]) {
        let mut open = requests(outputs);
        while let Some((peer, (from, count))) = open.pop_first() {
            open.extend(requests(&self.answer(peer, range(chain, from, count))));
        }
    }

    fn answer(&mut self, peer: usize, range: Range) -> Vec<Output> {
        self.feed(Input::Message { from: public(peer), message: SyncMessage::Range(range) })
    }
}

fn requests(outputs: &[Output]) -> BTreeMap<usize, (u64, u64)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: SyncMessage::Request(request) } => {
            Some((crate::common::node_of(to), (request.from.0, request.count)))
        }
        _ => None,
    });
    sent.collect()
}

fn range(chain: &[DecidedBlock], from: u64, count: u64) -> Range {
    let request = RangeRequest { from: Height(from), count };
    let read = |height: Height| Ok::<_, RequestError>(chain.get(height.0 as usize - 1).cloned());
    serve::respond(&request, read).unwrap()
}

#[test]
fn peers_are_asked_for_different_ranges_and_blocks_applied_in_order() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    let mut open: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for peer in 0..3 {
        open.extend(requests(&lab.announce(peer, 20)));
    }
    let mut asked: Vec<(u64, u64)> = open.values().copied().collect();
    asked.sort_unstable();
    assert_eq!(asked, [(1, 3), (4, 3), (7, 2)], "a window of eight, three at a time");
    // Whoever was asked last answers first.
    while let Some((&peer, &(from, count))) = open.iter().max_by_key(|(_, asked)| asked.0) {
        open.remove(&peer);
        open.extend(requests(&lab.answer(peer, range(&chain, from, count))));
        assert!(lab.sync.pending() <= 8);
    }
    assert_eq!(lab.applied, (1..=20).collect::<Vec<_>>());
    assert_eq!(lab.sync.tip().block(), chain[19].block.id());
    assert_eq!(lab.sync.next_deadline(), None);
}

#[test]
fn a_silent_peer_s_range_goes_to_another() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    assert_eq!(requests(&lab.announce(0, 3)), [(0, (1, 3))].into());
    assert!(requests(&lab.announce(1, 3)).is_empty());
    lab.now = lab.sync.next_deadline().unwrap();
    let outputs = lab.feed(Input::from(Tick));
    assert!(outputs.iter().any(|o| matches!(o, Output::Unanswered { peer } if *peer == public(0))));
    assert_eq!(requests(&outputs), [(1, (1, 3))].into());
    // The late answer does no harm and no good.
    let outputs = lab.answer(0, range(&chain, 1, 3));
    assert!(matches!(outputs[..], [Output::Dropped { .. }]));
    lab.answer(1, range(&chain, 1, 3));
    assert_eq!(lab.applied, [1, 2, 3]);
}

#[test]
fn lies_are_charged_dropped_and_asked_for_elsewhere() {
    let (setup, chain) = history();
    let spoil = |change: &dyn Fn(&mut DecidedBlock)| {
        let mut blocks = range(&chain, 1, 3).blocks.into_vec();
        change(&mut blocks[1]);
        Range { from: Height(1), blocks: List::new(blocks).unwrap() }
    };
    let reproved = |block: &mut DecidedBlock| {
        let mut certificate = block.proof.links[0].certificate.clone();
        certificate.data.block = block.block.id();
        block.proof = FinalityProof::commit(block.block.header.clone(), certificate);
    };
    type Lie<'a> = (&'a str, Range, fn(&SyncRefusal) -> bool);
    let lies: Vec<Lie<'_>> = vec![
        (
            "another state root, certified by moved signatures",
            spoil(&|block| {
                block.block.header.state_root = Hash([1; 32]);
                reproved(block);
            }),
            |reason| matches!(reason, SyncRefusal::Finality { .. }),
        ),
        (
            "the proof of another block",
            spoil(&|block| block.proof = chain[0].proof.clone()),
            |reason| matches!(reason, SyncRefusal::OtherBlock(_)),
        ),
        ("another height", spoil(&|block| *block = chain[4].clone()), |reason| {
            matches!(reason, SyncRefusal::Height { .. })
        }),
        (
            "another body",
            spoil(&|block| {
                block.block.header.evidence_root = Hash([1; 32]);
                reproved(block);
            }),
            |reason| matches!(reason, SyncRefusal::Body(_)),
        ),
        ("too many", range(&chain, 1, 4), |reason| {
            matches!(reason, SyncRefusal::TooMany { got: 4, asked: 3 })
        }),
    ];
    for (what, lie, expected) in lies {
        let mut lab = Lab::new(&setup);
        lab.announce(0, 3);
        lab.announce(1, 3);
        let outputs = lab.answer(0, lie);
        let reasons: Vec<_> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Misbehaviour { peer, reason } if *peer == public(0) => Some(reason),
                _ => None,
            })
            .collect();
        assert!(reasons.len() == 1 && expected(reasons[0]), "{what}: {reasons:?}");
        assert!(lab.applied.iter().all(|&height| height < 2), "{what}");
        let first = lab.applied.len() as u64 + 1;
        let asked = requests(&outputs)[&1];
        assert_eq!(asked, (first, 4 - first), "{what}");
        lab.answer(1, range(&chain, asked.0, asked.1));
        assert_eq!(lab.applied, [1, 2, 3], "{what}");
        assert_eq!(lab.sync.pending(), 0);
    }
}

#[test]
fn a_peer_that_announces_more_than_it_has_is_not_believed_for_long() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    assert_eq!(requests(&lab.announce(0, u64::MAX)), [(0, (1, 3))].into());
    let empty = Range { from: Height(1), blocks: List::empty() };
    assert!(requests(&lab.answer(0, empty)).is_empty());
    assert_eq!(requests(&lab.announce(1, 2)), [(1, (1, 2))].into());
    lab.answer(1, range(&chain, 1, 2));
    assert_eq!(lab.applied, [1, 2]);
}

/// Found by a crash campaign: the answer to a request from before a crash is larger than the one that
/// is waited for, and its sender was charged.
#[test]
fn an_answer_from_before_a_restart_is_nobodys_fault() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    assert_eq!(requests(&lab.announce(0, 2)), [(0, (1, 2))].into());
    let outputs = lab.answer(0, range(&chain, 1, 3));
    let charged = outputs.iter().any(|output| matches!(output, Output::Misbehaviour { .. }));
    assert!(!charged, "{outputs:?}");
    assert_eq!(lab.applied, [1, 2], "no more than was asked for");
}

#[test]
fn a_follower_takes_the_next_block_as_it_is_announced() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    let gossip = |block: &DecidedBlock| announced_block(2, block.clone());
    for block in &chain[..3] {
        lab.feed(gossip(block));
    }
    assert_eq!(lab.applied, [1, 2, 3]);
    // One too far ahead is only a hint.
    let outputs = lab.feed(gossip(&chain[5]));
    assert_eq!(requests(&outputs), [(2, (4, 3))].into());
    assert_eq!(lab.sync.pending(), 0);
}

#[test]
fn blocks_committed_elsewhere_move_the_tip() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    lab.announce(0, 20);
    let mut tip: Tip = setup.genesis();
    for block in &chain[..5] {
        tip = tip.after(&block.proof, setup.change(block.block.header.height)).unwrap();
    }
    lab.feed(Input::Advance(Box::new(tip)));
    lab.answer(0, range(&chain, 1, 3));
    assert_eq!(lab.sync.tip().height(), Height(5));
    assert!(lab.applied.is_empty() && lab.sync.pending() == 0);
}

#[test]
fn a_block_that_our_own_execution_refuses_stops_us() {
    let (setup, chain) = history();
    let mut sync = Sync::new(config(), setup.genesis()).unwrap();
    let message = SyncMessage::Decided(Box::new(chain[0].clone()));
    let input = Input::Message { from: public(0), message };
    let outputs = sync.handle(Timestamp(0), input).unwrap().into_outputs();
    let [Output::Apply(block)] = &outputs[..] else { panic!("{outputs:?}") };
    let id = block.block.id();
    let rejected = Input::Rejected { block: id, reason: "root".into() };
    let stopped = sync.handle(Timestamp(0), rejected).unwrap_err();
    assert_eq!(sync.handle(Timestamp(1), Input::Tick).unwrap_err(), stopped);
}

#[test]
fn serving_is_bounded() {
    let (_, chain) = history();
    let ask = |from, count| {
        serve::respond(&RangeRequest { from: Height(from), count }, |height: Height| {
            Ok::<_, RequestError>(chain.get(height.0 as usize - 1).cloned())
        })
    };
    assert_eq!(ask(0, 1).unwrap_err(), RequestError::Genesis);
    assert_eq!(ask(1, 0).unwrap_err(), RequestError::Nothing);
    let got = MAX_RANGE as u64 + 1;
    assert_eq!(ask(1, got).unwrap_err(), RequestError::TooMany { got });
    assert_eq!(ask(19, 10).unwrap().blocks.len(), 2);
    assert_eq!(ask(21, 10).unwrap().blocks.len(), 0);
}

/// A block of nearly `max` bytes, with certificates of the largest size.
fn large(chain: &[DecidedBlock], max: usize) -> DecidedBlock {
    let DecidedBlock { mut block, proof } = chain[1].clone();
    let mut certificate = proof.links[0].certificate.clone();
    certificate.signers = Bytes::new(vec![0; MAX_VALIDATORS / 8]).unwrap();
    certificate.signatures = Bytes::new(vec![0; MAX_VALIDATORS * 64]).unwrap();
    block.header.parent_certificate = Some(certificate.clone());
    let body = TransactionBody {
        chain: crate::common::chain(),
        nonce: 0,
        expiry: Height(1),
        fee: Amount(1),
        signer: public(0),
        message: Message::Send { to: Address([1; 20]), amount: Amount(1) },
    };
    let transaction = Transaction { body, signature: Signature([0; 64]) };
    let room = (max - encoded_len(&block)) / encoded_len(&transaction);
    block.transactions = List::new(vec![transaction; room]).unwrap();
    let proof = FinalityProof::commit(block.header.clone(), certificate);
    DecidedBlock { block, proof }
}

#[test]
fn whatever_is_decided_fits_a_message() {
    let channel = Block::MAX_BYTES + Header::MAX_BYTES;
    let proof = 8 + Header::MAX_BYTES + Certificate::MAX_BYTES;
    assert_eq!(SyncMessage::MAX_BYTES, channel);
    const { assert!(MAX_BLOCK_BYTES < Block::MAX_BYTES && MAX_BLOCK_BYTES > Block::MAX_BYTES / 2) };
    assert!(MAX_BLOCK_BYTES + proof <= MAX_RANGE_BYTES);
    let beside = Proposal::MAX_BYTES - Block::MAX_BYTES;
    assert!(4 + MAX_BLOCK_BYTES + beside <= channel);

    let (setup, chain) = history();
    let respond = |block: &DecidedBlock| {
        let request = RangeRequest { from: Height(1), count: MAX_RANGE as u64 };
        let range = serve::respond(&request, |_| Ok::<_, RequestError>(Some(block.clone())))?;
        let count = range.blocks.len();
        let bytes = encode(&SyncMessage::Range(range));
        assert!(bytes.len() <= channel, "{} bytes", bytes.len());
        assert!(decode::<SyncMessage>(&bytes).is_ok());
        Ok::<_, RequestError>(count)
    };
    // As many as fit, down to one; and one that doesn't is refused by name.
    let small = chain[1].clone();
    assert_eq!(respond(&small), Ok(MAX_RANGE));
    let largest = large(&chain, MAX_BLOCK_BYTES);
    assert!(encoded_len(&largest.block) > MAX_BLOCK_BYTES - 512);
    assert_eq!(respond(&largest), Ok(1));
    let mut several = chain[1].clone();
    several.block.transactions = List::new(largest.block.transactions[..150].to_vec()).unwrap();
    let expected = MAX_RANGE_BYTES / encoded_len(&several);
    assert!((2..MAX_RANGE).contains(&expected));
    assert_eq!(respond(&several), Ok(expected));
    let beyond = large(&chain, Block::MAX_BYTES);
    let got = encoded_len(&beyond);
    assert_eq!(respond(&beyond), Err(RequestError::TooLarge { height: Height(1), got }));
    // A replica that would decide such a block doesn't start.
    let config =
        replica::config::Config { max_block_bytes: MAX_BLOCK_BYTES + 1, ..crate::common::config() };
    assert!(Replica::<HotPokt>::recover(config, None, setup.genesis(), []).is_err());
}

/// A chain of Jolteon's with two dead validators of seven: a leader who dies with a certificate leaves
/// blocks that only later ones decide. Gives the height of a block whose proof decides a later one than
/// its child, and that one's height.
fn chained_history() -> (Setup, Vec<DecidedBlock>, u64, u64) {
    let mut setup = Setup::cheap(&[10; 7]);
    setup.config.leader_rounds = 1;
    let mut sim = simulate_by::<Jolteon>(setup.clone(), 7, Plan::calm(1));
    for dead in [1, 3] {
        sim.crash(dead, None);
    }
    sim.run_until(Timestamp(20_000)).unwrap();
    let chain = sim.disk(0).chain.clone();
    let later = |block: &DecidedBlock| {
        let (own, proof) = (block.block.header.height.0, block.proof.header()?.height.0);
        (own > 1 && proof > own + 1).then_some((own, proof))
    };
    let (own, proof) = chain.iter().find_map(later).unwrap();
    (setup, chain, own, proof)
}

fn charged(outputs: &[Output]) -> Vec<usize> {
    let peers = outputs.iter().filter_map(|output| match output {
        Output::Misbehaviour { peer, .. } => Some(crate::common::node_of(peer)),
        _ => None,
    });
    peers.collect()
}

fn announced_block(peer: usize, block: DecidedBlock) -> Input {
    Input::Message { from: public(peer), message: SyncMessage::Decided(Box::new(block)) }
}

#[test]
fn a_block_that_a_later_one_decides_waits_for_the_blocks_between() {
    let (setup, chain, own, proof) = chained_history();
    let mut lab = Lab::told(&setup, &chain[..own as usize - 1]);
    let start = lab.sync.tip().height().0;
    assert!(start < own);
    // Whatever is missing up to the descendant is asked for, of whoever showed that it is there.
    let outputs = lab.feed(announced_block(1, chain[own as usize - 1].clone()));
    lab.serve(&chain, &outputs);
    assert!(lab.sync.tip().height().0 >= proof, "{} of {own}, {proof}", lab.sync.tip().height());
    assert_eq!(lab.applied, (1..=lab.sync.tip().height().0).collect::<Vec<_>>());
}

/// Found in review: an unchecked proof whose header lies far ahead occupied the place of the next block
/// until somebody had all the blocks up to there.
#[test]
fn a_false_proof_by_a_later_block_is_charged_at_once_and_waited_for_by_nobody() {
    let (setup, chain, own, _) = chained_history();
    let mut lab = Lab::told(&setup, &chain[..own as usize - 1]);
    let next = lab.sync.tip().height().next();
    let mut lie = chain[next.0 as usize - 1].clone();
    let mut links = lie.proof.links.into_vec();
    for (index, link) in links.iter_mut().enumerate() {
        link.header.height = Height(next.0 + 8 + index as u64);
        link.certificate.data.height = link.header.height;
        link.certificate.data.block = link.header.id();
    }
    lie.proof = FinalityProof { links: List::new(links).unwrap() };
    let outputs = lab.feed(announced_block(1, lie));
    assert_eq!(charged(&outputs), [1]);
    assert_eq!(lab.sync.pending(), 0);
    lab.feed(announced_block(0, chain[next.0 as usize - 1].clone()));
    assert!(lab.sync.tip().height() >= next || lab.sync.pending() == 1);
}

/// The proof is true, and the block isn't its ancestor: at the latest, the true blocks between show whose
/// lie it is.
#[test]
fn a_block_that_is_no_ancestor_of_the_one_that_its_proof_decides_is_charged() {
    let (setup, chain, own, proof) = chained_history();
    let mut lab = Lab::new(&setup);
    let outputs = lab.announce(0, own - 1);
    lab.serve(&chain, &outputs);
    let next = lab.sync.tip().height().next();
    let mut lie = chain[own as usize - 1].clone();
    if next.0 != own {
        lie.block = chain[next.0 as usize - 1].block.clone();
    }
    lie.block.header.state_root = Hash([9; 32]);
    let mut outputs = lab.feed(announced_block(1, lie));
    // Another peer has them all.
    outputs.extend(lab.announce(0, proof));
    let (mut open, mut liars) = (requests(&outputs), charged(&outputs));
    while let Some((peer, (from, count))) = open.pop_first() {
        let outputs = lab.answer(peer, range(&chain, from, count));
        liars.extend(charged(&outputs));
        open.extend(requests(&outputs));
        if open.is_empty() && lab.sync.tip().height().0 < proof {
            lab.now = lab.sync.next_deadline().unwrap();
            open.extend(requests(&lab.feed(Input::from(Tick))));
        }
    }
    assert_eq!(liars, [1]);
    assert!(lab.sync.tip().height().0 >= proof);
}

/// However little room there is, the blocks that prove the next one are let in.
#[test]
fn bytes_that_are_full_do_not_keep_out_what_proves_the_next_block() {
    let (setup, chain, _, _) = chained_history();
    let mut lab = Lab::new(&setup);
    lab.sync =
        Sync::new(Config { max_bytes: 1, per_request: 1, ..config() }, setup.genesis()).unwrap();
    let outputs = lab.announce(0, chain.len() as u64);
    lab.serve(&chain, &outputs);
    assert!(lab.sync.tip().height().0 + 4 >= chain.len() as u64, "{}", lab.sync.tip().height());
}

#[test]
fn a_liar_that_leaves_and_comes_back_is_asked_last() {
    let (setup, chain) = history();
    let mut lab = Lab::new(&setup);
    lab.announce(0, 20);
    lab.answer(0, range(&chain, 1, 4));
    assert_eq!(lab.applied, [], "more than was asked for");
    lab.feed(Input::Gone { peer: public(0) });
    lab.announce(1, 20);
    lab.now = Timestamp(5_000);
    lab.announce(0, 20);
    let asked = requests(&lab.feed(Input::from(Tick)));
    assert_eq!(asked.values().min(), asked.get(&1), "{asked:?}");
}
