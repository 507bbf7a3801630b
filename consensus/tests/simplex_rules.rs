//! One real Simplex replica, and everything that a Byzantine quorum could craft around it.

use crate::common::{chain, config, identity, key, node_of, public, set, state_root, vrf};
use pocket_consensus::replica::message::{BlockRequest, Message, NewRound, Proposal, RoundRequest};
use pocket_consensus::{Input, Output, Record, Refusal, Replica, Simplex, Tip, Verdict};
use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec::List;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp};
use pocket_types::validator::{Electorate, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

const WEIGHTS: [u64; 4] = [10; 4];

struct Lab {
    replica: Replica<Simplex>,
    me: usize,
    now: Timestamp,
    /// Everything stored.
    log: Vec<Record>,
    /// What executing a height yields.
    changes: Vec<(u64, ValidatorSet)>,
}

impl Lab {
    /// A replica that leads none of the first three views.
    fn follower() -> Self {
        Self::recovered(3, vec![])
    }

    /// The replica that leads this view (of the first four).
    fn recovered(leads: u64, log: Vec<Record>) -> Self {
        let tip = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set(0, &WEIGHTS)).unwrap();
        let recover = |me, log| {
            Replica::<Simplex>::recover(config(), Some(identity(me)), tip.clone(), log).unwrap()
        };
        let me = node_of(&recover(0, vec![]).leader(Round(leads)));
        let replica = recover(me, log.clone());
        let mut lab = Self { replica, me, now: Timestamp(1_000), log, changes: vec![] };
        lab.feed(Input::Tick);
        lab
    }

    fn others(&self) -> Vec<usize> {
        (0..WEIGHTS.len()).filter(|&node| node != self.me).collect()
    }

    fn leads(&self, view: u64) -> usize {
        node_of(&self.replica.leader(Round(view)))
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let step = self.replica.handle(self.now, input).unwrap();
        let mut outputs = vec![];
        let mut questions = self.finish(step, &mut outputs);
        while let Some(block) = questions.pop() {
            let change = self.changes.iter().find(|(at, _)| *at == block.header.height.0);
            let verdict = Verdict::Valid { change: change.map(|(_, set)| set.clone()) };
            let input = Input::Checked { block: block.id(), verdict };
            let step = self.replica.handle(self.now, input).unwrap();
            questions.extend(self.finish(step, &mut outputs));
        }
        outputs
    }

    fn finish(&mut self, mut step: Step<Record, Output>, outputs: &mut Vec<Output>) -> Vec<Block> {
        let mut questions = vec![];
        loop {
            for output in step.outputs {
                if let Output::Check(block) = &output {
                    questions.push((**block).clone());
                }
                outputs.push(output);
            }
            let Some(unstored) = step.records else { return questions };
            self.log.extend(unstored.records().iter().cloned());
            step = self.replica.release(self.now, unstored.stored()).unwrap();
        }
    }

    /// Ticks until this long has passed.
    fn wait(&mut self, millis: u64) -> Vec<Output> {
        let end = self.now.after(Duration(millis));
        let mut outputs = vec![];
        while let Some(deadline) = self.replica.next_deadline().filter(|&at| at <= end) {
            self.now = deadline.max(self.now);
            outputs.extend(self.feed(Input::Tick));
        }
        self.now = end;
        outputs
    }

    fn hear(&mut self, from: usize, message: Message) -> Vec<Output> {
        self.feed(Input::Message { from: public(from), message })
    }

    fn hear_certificate(&mut self, certificate: &Certificate) -> Vec<Output> {
        let from = self.others()[0];
        self.hear(from, Message::Certificate(Box::new(certificate.clone())))
    }

    fn propose(&mut self, view: u64, block: &Block, entry: Option<Certificate>) -> Vec<Output> {
        let (leader, proposal) = self.proposal(view, block, None, entry);
        self.hear(leader, Message::Proposal(Box::new(proposal)))
    }

    fn proposal(
        &self,
        view: u64,
        block: &Block,
        justify: Option<Certificate>,
        entry: Option<Certificate>,
    ) -> (usize, Proposal) {
        let leader = self.leads(view);
        let data = data(view, Phase::Propose, block.header.height.0, block.id());
        let vote = Vote::sign(data, &key(leader));
        (leader, Proposal { vote, block: block.clone(), justify, entry })
    }

    /// A certificate by everybody else.
    fn certify(&self, data: VoteData) -> Certificate {
        let votes: Vec<Vote> =
            self.others().iter().map(|&node| Vote::sign(data, &key(node))).collect();
        Certificate::from_votes(data, &votes, &electorate()).unwrap()
    }

    fn notarization(&self, view: u64, block: &Block) -> Certificate {
        self.certify(data(view, Phase::Prepare, block.header.height.0, block.id()))
    }

    fn finalization(&self, view: u64, block: &Block) -> Certificate {
        self.certify(data(view, Phase::Commit, block.header.height.0, block.id()))
    }

    fn nullification(&self, view: u64) -> Certificate {
        self.certify(data(view + 1, Phase::NewRound, 0, BlockId::default()))
    }

    /// What the leader of a view proposes upon a parent with this certificate.
    fn block(&self, view: u64, parent: Option<(&Block, Certificate)>) -> Block {
        self.block_by(self.leads(view), parent)
    }

    fn block_by(&self, proposer: usize, parent: Option<(&Block, Certificate)>) -> Block {
        let (header, certificate) = match parent {
            Some((parent, certificate)) => (Some(&parent.header), Some(certificate)),
            None => (None, None),
        };
        let height = header.map_or(Height(1), |header| header.height.next());
        let randomness = header.map_or(Hash::ZERO, |header| header.randomness);
        let id = header.map_or_else(BlockId::default, Header::id);
        let (randomness, randomness_proof) = beacon::extend(randomness, height, &vrf(proposer));
        let electorate = electorate();
        let next = self.changes.iter().find(|(at, _)| *at + 1 == height.0);
        let next_validators = next.map_or_else(|| electorate.hash(), |(_, set)| set.hash());
        let header = Header {
            version: VERSION,
            chain: chain(),
            height,
            epoch: electorate.epoch(),
            parent: id,
            parent_certificate: certificate,
            time: Timestamp(900 + height.0),
            proposer: public(proposer),
            state_root: state_root(id, height),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: electorate.hash(),
            next_validators,
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }
    }
}

fn electorate() -> Electorate {
    Electorate::new(set(0, &WEIGHTS)).unwrap()
}

fn data(view: u64, phase: Phase, height: u64, block: BlockId) -> VoteData {
    let electorate = electorate();
    VoteData {
        protocol: Protocol::Simplex,
        chain: chain(),
        epoch: electorate.epoch(),
        validators: electorate.hash(),
        height: Height(height),
        round: Round(view),
        phase,
        block,
        high: None,
    }
}

/// View and block of the votes of a phase among outputs.
fn votes(outputs: &[Output], phase: Phase) -> Vec<(u64, BlockId)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Vote(vote), .. } => Some(vote.data),
        _ => None,
    });
    sent.filter(|data| data.phase == phase).map(|data| (data.round.0, data.block)).collect()
}

fn decided(outputs: &[Output]) -> Vec<(u64, u64)> {
    let decided = outputs.iter().filter_map(|output| match output {
        Output::Decided { block, proof } => {
            proof.verify(&electorate()).unwrap();
            Some((block.header.height.0, proof.header().unwrap().height.0))
        }
        _ => None,
    });
    decided.collect()
}

fn shown(outputs: &[Output]) -> Vec<(usize, Phase, u64)> {
    let shown = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::Certificate(certificate) } => {
            Some((node_of(to), certificate.data.phase, certificate.data.round.0))
        }
        _ => None,
    });
    shown.collect()
}

fn asked(outputs: &[Output]) -> Vec<(usize, u64)> {
    let asked = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::RoundRequest(request) } => {
            Some((node_of(to), request.from.0))
        }
        _ => None,
    });
    asked.collect()
}

fn refusals(outputs: &[Output]) -> Vec<(usize, Refusal)> {
    let charged = outputs.iter().filter_map(|output| match output {
        Output::Misbehaviour { peer, reason } => Some((node_of(peer), reason.clone())),
        _ => None,
    });
    charged.collect()
}

#[test]
fn who_finalized_a_view_never_nullifies_it() {
    let mut lab = Lab::follower();
    let block = lab.block(0, None);
    let outputs = lab.wait(1_000);
    assert_eq!(votes(&outputs, Phase::NewRound).first(), Some(&(1, BlockId::default())));
    // The log says that it finalized view 0; the notarization is in a part that was torn off.
    let vote = Vote::sign(data(0, Phase::Commit, 1, block.id()), &key(lab.me));
    let mut lab = Lab::recovered(3, vec![Record::Vote { vote, height: vote.data.height }]);
    let outputs = lab.wait(10_000);
    assert_eq!(votes(&outputs, Phase::NewRound), []);
    assert!(votes(&outputs, Phase::Commit).len() > 10, "it says again what it signed");
    // The notarization leads on.
    lab.hear_certificate(&lab.notarization(0, &block));
    assert_eq!(lab.replica.round(), Round(1));
    assert!(!votes(&lab.wait(10_000), Phase::NewRound).is_empty());
}

#[test]
fn who_nullified_a_view_never_finalizes_it() {
    let mut lab = Lab::follower();
    let block = lab.block(0, None);
    lab.propose(0, &block, None);
    assert_eq!(votes(&lab.wait(500), Phase::NewRound).first().unwrap().0, 1);
    let outputs = lab.hear_certificate(&lab.notarization(0, &block));
    assert_eq!(lab.replica.round(), Round(1));
    assert_eq!(votes(&outputs, Phase::Commit), []);
    // Nor after a restart.
    let mut lab = Lab::recovered(3, lab.log);
    assert_eq!(lab.replica.round(), Round(1));
    let outputs = lab.hear_certificate(&lab.notarization(0, &block));
    assert_eq!(votes(&outputs, Phase::Commit), []);
    assert_eq!(votes(&lab.wait(500), Phase::Commit), []);
}

#[test]
fn a_nullification_forgotten_by_the_log_of_its_height_is_kept_until_a_later_view_decides() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    lab.hear_certificate(&lab.notarization(0, &a));
    lab.hear_certificate(&lab.nullification(1));
    assert_eq!(votes(&lab.wait(500), Phase::NewRound).first().unwrap().0, 3);
    // What the host keeps once block 1 is committed.
    let kept: Vec<_> = lab.log.iter().filter(|record| record.height() > Height(1)).collect();
    let ended = |record: &Record| match record {
        Record::Vote { vote, height } if vote.data.phase == Phase::NewRound => Some(*height),
        _ => None,
    };
    // A block of height 4 can only be of view 3 or later: views 0, 1 and 2 give three at most.
    assert!(kept.iter().all(|record| record.height() <= Height(4)));
    let heights = kept.iter().filter_map(|record| ended(record));
    assert_eq!(heights.collect::<Vec<_>>(), [Height(4)]);
}

#[test]
fn a_proposal_that_skips_a_view_without_nullification_gets_no_vote() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    let outputs = lab.propose(0, &a, None);
    assert_eq!(votes(&outputs, Phase::Prepare), [(0, a.id())]);
    let b = lab.block(1, Some((&a, lab.notarization(0, &a))));
    let outputs = lab.propose(1, &b, None);
    assert_eq!(votes(&outputs, Phase::Commit), [(0, a.id())]);
    assert_eq!(votes(&outputs, Phase::Prepare), [(1, b.id())]);
    lab.hear_certificate(&lab.notarization(1, &b));
    // View 1 may be finalized; nobody showed that it isn't.
    let c = lab.block(2, Some((&a, lab.notarization(0, &a))));
    let outputs = lab.propose(2, &c, None);
    assert_eq!(votes(&outputs, Phase::Prepare), []);
    assert_eq!(asked(&outputs), [(lab.leads(2), 1)]);
    // Asked again, and of others; still no vote.
    let outputs = lab.wait(90);
    let peers: std::collections::BTreeSet<_> =
        asked(&outputs).iter().map(|(peer, _)| *peer).collect();
    assert_eq!(peers.len(), 2, "{outputs:?}");
    assert_eq!(votes(&outputs, Phase::Prepare), []);
    // Only more than a third of liars can show this, beside the notarization.
    let outputs = lab.hear_certificate(&lab.nullification(1));
    assert_eq!(votes(&outputs, Phase::Prepare), [(2, c.id())]);
}

#[test]
fn a_notarization_decides_nothing() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    let b = lab.block(1, Some((&a, lab.notarization(0, &a))));
    assert_eq!(decided(&lab.propose(1, &b, None)), []);
    assert_eq!(decided(&lab.hear_certificate(&lab.notarization(1, &b))), []);
    assert_eq!(lab.replica.round(), Round(2));
    // The finalization of b decides a, too, by the same proof.
    assert_eq!(decided(&lab.hear_certificate(&lab.finalization(1, &b))), [(1, 2), (2, 2)]);
    assert_eq!(decided(&lab.hear_certificate(&lab.finalization(0, &a))), []);
}

#[test]
fn what_was_decided_is_decided_again_when_the_host_lost_it() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    let b = lab.block(1, Some((&a, lab.notarization(0, &a))));
    lab.propose(1, &b, None);
    lab.hear_certificate(&lab.finalization(1, &b));
    let tip = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set(0, &WEIGHTS)).unwrap();
    let me = Some(identity(lab.me));
    lab.replica = Replica::recover(config(), me, tip, lab.log.clone()).unwrap();
    assert_eq!(decided(&lab.feed(Input::Tick)), [(1, 2), (2, 2)]);
    assert_eq!(lab.replica.round(), Round(2));
}

#[test]
fn a_body_is_stored_before_the_vote_for_it() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    let body = lab.log.iter().position(|record| matches!(record, Record::Body(_))).unwrap();
    let vote = lab.log.iter().position(|record| matches!(record, Record::Vote { .. })).unwrap();
    assert!(body < vote);
    lab.hear_certificate(&lab.notarization(0, &a));
    let high = lab.log.iter().position(|record| matches!(record, Record::HighQc(_))).unwrap();
    let vote = lab.log.iter().rposition(|record| matches!(record, Record::Vote { .. })).unwrap();
    assert!(high < vote, "the notarization before the finalization that rests on it");
}

#[test]
fn a_missing_body_is_fetched_and_so_are_its_ancestors() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    let b = lab.block(1, Some((&a, lab.notarization(0, &a))));
    let outputs = lab.hear_certificate(&lab.finalization(1, &b));
    let wanted = |outputs: &[Output]| {
        outputs.iter().find_map(|output| match output {
            Output::Send { to, message: Message::BlockRequest(request) } => {
                Some((node_of(to), request.block))
            }
            _ => None,
        })
    };
    let (peer, block) = wanted(&outputs).unwrap();
    assert_eq!(block, b.id());
    // Something else is not taken.
    let other = lab.block_by(lab.me, None);
    lab.hear(peer, Message::Block(Box::new(other)));
    let outputs = lab.hear(peer, Message::Block(Box::new(b.clone())));
    let (peer, block) = wanted(&outputs).unwrap();
    assert_eq!(block, a.id());
    let outputs = lab.hear(peer, Message::Block(Box::new(a)));
    assert_eq!(decided(&outputs), [(1, 2), (2, 2)]);
}

#[test]
fn a_straggler_is_shown_the_way_when_it_says_so_again() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    lab.hear_certificate(&lab.notarization(0, &a));
    let [peer, other] = [lab.others()[0], lab.others()[1]];
    let vote = |node| Message::Vote(Vote::sign(data(0, Phase::Prepare, 1, a.id()), &key(node)));
    assert_eq!(shown(&lab.hear(peer, vote(peer))), [], "a late vote is nothing strange");
    assert_eq!(shown(&lab.hear(peer, vote(peer))), [(peer, Phase::Prepare, 0)]);
    assert_eq!(shown(&lab.hear(peer, vote(peer))), [], "once per resending interval");
    lab.hear(other, vote(other));
    assert_eq!(shown(&lab.hear(other, vote(other))), [(other, Phase::Prepare, 0)]);
    lab.now = lab.now.after(Duration(100));
    lab.hear_certificate(&lab.finalization(0, &a));
    let outputs = lab.hear(peer, vote(peer));
    assert_eq!(shown(&outputs), [(peer, Phase::Commit, 0)]);
}

#[test]
fn certificates_of_skipped_views_are_given_a_few_at_a_time() {
    let mut lab = Lab::follower();
    for view in 0..9 {
        lab.hear_certificate(&lab.nullification(view));
    }
    let request = |from| Message::RoundRequest(RoundRequest { epoch: Epoch(0), from: Round(from) });
    let peer = lab.others()[0];
    let window = config().round_window;
    let expected: Vec<_> = (2..2 + window).map(|view| (peer, Phase::NewRound, view + 1)).collect();
    assert_eq!(shown(&lab.hear(peer, request(2))), expected);
    assert_eq!(shown(&lab.hear(peer, request(3))), [], "once per resending interval");
    lab.now = lab.now.after(Duration(100));
    assert_eq!(shown(&lab.hear(peer, request(8))), [(peer, Phase::NewRound, 9)]);
    assert_eq!(shown(&lab.hear(20, request(2))), [], "to validators only");
    lab.now = lab.now.after(Duration(100));
    assert_eq!(shown(&lab.hear(peer, request(u64::MAX))), []);
}

#[test]
fn a_leader_that_jumped_asks_for_what_it_must_know_before_it_proposes() {
    let mut lab = Lab::recovered(2, vec![]);
    lab.wait(10);
    let outputs = lab.hear_certificate(&lab.nullification(1));
    assert_eq!(lab.replica.round(), Round(2));
    assert_eq!(asked(&outputs).first().map(|(_, from)| *from), Some(0));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Build(_))));
    let outputs = lab.hear_certificate(&lab.nullification(0));
    assert!(outputs.iter().any(|output| matches!(output, Output::Build(_))));
}

/// Nothing is built upon the last block of an epoch, and nothing but it is proposed again.
#[test]
fn only_the_last_block_of_an_epoch_is_proposed_again() {
    let mut lab = Lab::follower();
    lab.changes = vec![(1, set(1, &[10, 10, 10, 20]))];
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    let b = lab.block(1, Some((&a, lab.notarization(0, &a))));
    assert_ne!(b.header.next_validators, b.header.validators);
    lab.propose(1, &b, None);
    lab.hear_certificate(&lab.notarization(1, &b));
    // a again, which is not the last.
    let (leader, proposal) = lab.proposal(2, &a, Some(lab.notarization(0, &a)), None);
    let outputs = lab.hear(leader, Message::Proposal(Box::new(proposal)));
    assert!(matches!(refusals(&outputs)[..], [(_, Refusal::Misplaced { .. })]), "{outputs:?}");
    // A child of b, by the old set or the new one.
    let mut child = lab.block(2, Some((&b, lab.notarization(1, &b))));
    let outputs = lab.propose(2, &child, None);
    assert!(matches!(refusals(&outputs)[..], [(_, Refusal::Header("epoch"))]), "{outputs:?}");
    child.header.epoch = Epoch(1);
    child.header.validators = lab.changes[0].1.hash();
    child.header.next_validators = child.header.validators;
    let outputs = lab.propose(2, &child, None);
    assert!(matches!(refusals(&outputs)[..], [(_, Refusal::Header("epoch"))]), "{outputs:?}");
    // b again.
    let (leader, proposal) = lab.proposal(2, &b, Some(lab.notarization(1, &b)), None);
    let outputs = lab.hear(leader, Message::Proposal(Box::new(proposal)));
    assert_eq!(votes(&outputs, Phase::Prepare), [(2, b.id())]);
    let outputs = lab.hear_certificate(&lab.notarization(2, &b));
    assert_eq!(votes(&outputs, Phase::Commit), [(2, b.id())]);
    let outputs = lab.hear_certificate(&lab.finalization(2, &b));
    assert_eq!(decided(&outputs), [(1, 2), (2, 2)]);
    assert_eq!(lab.replica.round(), Round(0), "the new set begins anew");
    assert_eq!(lab.replica.tip().validators().epoch(), Epoch(1));
}

#[test]
fn what_no_honest_peer_sends_is_refused_and_charged_and_changes_nothing() {
    let lab = Lab::follower();
    let a = lab.block(0, None);
    let by = |node, data| Message::Vote(Vote::sign(data, &key(node)));
    let plain = data(0, Phase::Prepare, 1, a.id());
    let peer = lab.others()[0];
    let stranger = 20;
    let proposal = |view, block: &Block, justify, entry| lab.proposal(view, block, justify, entry);
    let boxed = |(leader, proposal)| (leader, Message::Proposal(Box::new(proposal)));
    let certificate = |certificate| (peer, Message::Certificate(Box::new(certificate)));
    let mut cases: Vec<(&str, (usize, Message))> = vec![
        ("another network", (peer, by(peer, VoteData { chain: ChainId::default(), ..plain }))),
        ("another protocol", (peer, by(peer, VoteData { protocol: Protocol::HotPokt, ..plain }))),
        ("another set", (peer, by(peer, VoteData { validators: Hash([1; 32]), ..plain }))),
        ("a stranger", (stranger, by(stranger, plain))),
        ("relayed", (lab.others()[1], by(peer, plain))),
        ("vouches", (peer, by(peer, VoteData { high: Some(Round(0)), ..plain }))),
        ("PreCommit", (peer, by(peer, VoteData { phase: Phase::PreCommit, ..plain }))),
        ("a proposal as a vote", (peer, by(peer, VoteData { phase: Phase::Propose, ..plain }))),
        (
            "a nullification of a block",
            (
                peer,
                by(
                    peer,
                    VoteData {
                        phase: Phase::NewRound,
                        round: Round(1),
                        height: Height(0),
                        ..plain
                    },
                ),
            ),
        ),
        (
            "a nullification of a height",
            (peer, by(peer, data(1, Phase::NewRound, 1, BlockId::default()))),
        ),
        (
            "a nullification of no view",
            (peer, by(peer, data(0, Phase::NewRound, 0, BlockId::default()))),
        ),
        (
            "the same in a NewRound",
            (peer, {
                let vote = Vote::sign(data(1, Phase::NewRound, 1, BlockId::default()), &key(peer));
                Message::NewRound(Box::new(NewRound {
                    vote,
                    high_qc: None,
                    entry: None,
                    commit: None,
                }))
            }),
        ),
    ];
    // Certificates.
    let mut forged = lab.notarization(0, &a);
    forged.data.round = Round(1);
    cases.push(("signatures of another view", certificate(forged)));
    cases.push((
        "a Timeout QC of a height",
        certificate(lab.certify(data(1, Phase::NewRound, 1, BlockId::default()))),
    ));
    cases.push((
        "a PreCommit certificate",
        certificate(lab.certify(VoteData { phase: Phase::PreCommit, ..plain })),
    ));
    // Proposals.
    let (leader, mut other) = proposal(0, &a, None, None);
    other.vote = Vote::sign(other.vote.data, &key(lab.me));
    cases.push(("not the leader's", boxed((leader, other))));
    let (leader, mut other) = proposal(0, &a, None, None);
    other.vote.signature = Vote::sign(plain, &key(leader)).signature;
    cases.push(("a false signature", boxed((leader, other))));
    let (leader, mut other) = proposal(0, &a, None, None);
    other.block.header.time.0 += 1;
    cases.push(("another block than signed", boxed((leader, other))));
    cases.push(("no way into its view", boxed(proposal(1, &lab.block(1, None), None, None))));
    let mut b = lab.block_by(lab.leads(0), None);
    b.header.time.0 += 5;
    cases.push(("another's block", boxed(proposal(1, &b, None, Some(lab.nullification(0))))));
    let fresh = lab.block(1, None);
    cases.push((
        "the entry of another view",
        boxed(proposal(1, &fresh, None, Some(lab.nullification(1)))),
    ));
    let mut invalid = lab.nullification(0);
    let mut bytes = invalid.signatures.to_vec();
    bytes[5] ^= 1;
    invalid.signatures = pocket_types::codec::Bytes::new(bytes).unwrap();
    cases.push(("a false entry", boxed(proposal(1, &fresh, None, Some(invalid)))));
    let wrong = lab.block(2, Some((&a, lab.notarization(1, &b))));
    cases.push(("the notarization of another block", boxed(proposal(2, &wrong, None, None))));
    let mut wrong = lab.block(1, Some((&a, lab.notarization(0, &a))));
    wrong.header.parent_certificate = None;
    cases.push((
        "a parent without a certificate",
        boxed(proposal(1, &wrong, None, Some(lab.nullification(0)))),
    ));
    let late = lab.block(1, Some((&a, lab.notarization(1, &a))));
    cases.push(("a parent of its own view", boxed(proposal(1, &late, None, None))));
    for (field, change) in [
        ("version", (|h: &mut Header| h.version += 1) as fn(&mut Header)),
        ("height", |h| h.height = Height(2)),
        ("epoch", |h| h.epoch = Epoch(1)),
        ("validators", |h| h.validators = Hash([1; 32])),
        ("next validators", |h| h.next_validators = Hash([1; 32])),
        ("time", |h| h.time = Timestamp(0)),
        ("randomness", |h| h.randomness = Hash([1; 32])),
        ("transactions", |h| h.transactions_root = Hash([1; 32])),
    ] {
        let mut block = a.clone();
        change(&mut block.header);
        cases.push((field, boxed(proposal(0, &block, None, None))));
    }
    for (what, (from, message)) in cases {
        let mut lab = Lab::follower();
        let outputs = lab.hear(from, message);
        assert_eq!(outputs.len(), 1, "{what}: {outputs:?}");
        assert_eq!(refusals(&outputs).first().map(|(peer, _)| *peer), Some(from), "{what}");
        assert_eq!(lab.replica.round(), Round(0), "{what}");
        assert!(lab.log.is_empty(), "{what}");
        // An honest proposal is still taken.
        assert_eq!(votes(&lab.propose(0, &a, None), Phase::Prepare), [(0, a.id())], "{what}");
    }
}

#[test]
fn a_bad_signature_in_a_quorum_is_found_and_charged() {
    let mut lab = Lab::follower();
    let a = lab.block(0, None);
    lab.propose(0, &a, None);
    let [x, y, z] = lab.others()[..] else { panic!() };
    let vote = |node| Vote::sign(data(0, Phase::Prepare, 1, a.id()), &key(node));
    let false_vote = Vote { signature: vote(y).signature, ..vote(x) };
    assert_eq!(refusals(&lab.hear(x, Message::Vote(false_vote))), []);
    let outputs = lab.hear(y, Message::Vote(vote(y)));
    assert_eq!(refusals(&outputs).first().map(|(peer, _)| *peer), Some(x));
    assert_eq!(lab.replica.round(), Round(0));
    let outputs = lab.hear(z, Message::Vote(vote(z)));
    assert_eq!(votes(&outputs, Phase::Commit), [(0, a.id())]);
}

#[test]
fn a_flood_of_valid_votes_and_bodies_stays_within_bounds() {
    let mut lab = Lab::follower();
    let peer = lab.others()[0];
    for view in 0..2_000 {
        for phase in [Phase::Prepare, Phase::Commit] {
            let data = data(view, phase, view + 1, BlockId(Hash([view as u8; 32])));
            lab.hear(peer, Message::Vote(Vote::sign(data, &key(peer))));
        }
        let data = data(view + 1, Phase::NewRound, 0, BlockId::default());
        lab.hear(peer, Message::Vote(Vote::sign(data, &key(peer))));
        let request = BlockRequest { height: Height(view), block: BlockId(Hash([9; 32])) };
        lab.hear(peer, Message::BlockRequest(request));
    }
    let window = config().round_window as usize;
    assert!(lab.replica.protocol().kept() <= 3 * (window + 1), "{}", lab.replica.protocol().kept());
    assert!(lab.log.is_empty());
}
