//! The rules of the paper's algorithm 1, each on one real replica among messages that anybody could
//! craft. Numbers are its lines.

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::{BlockRequest, Message, NewRound, Proposal};
use pocket_consensus::{Input, Output, Record, Refusal, Replica, Tendermint, Tip, Verdict};
use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec::{Bytes, List};
use pocket_types::evidence::OffenceKind;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::Signature;
use pocket_types::machine::{Machine, Step};
use pocket_types::number::{Duration, Height, Round, Timestamp};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

use crate::common::{
    chain, config, finish, identity, key, lab, node_of, public, set, state_root, vrf,
};

const NIL: BlockId = BlockId(Hash::ZERO);

/// One of some equal validators, and all the others' keys.
struct Lab {
    replica: Replica<Tendermint>,
    nodes: usize,
    me: usize,
    now: Timestamp,
    log: Vec<Record>,
    /// What the host answers to a Check.
    verdict: Verdict,
}

impl Lab {
    fn of(nodes: usize, me: usize) -> Self {
        let replica = recover(nodes, me, vec![]);
        let verdict = Verdict::Valid { change: None };
        let mut lab = Self { replica, nodes, me, now: Timestamp(1_000), log: vec![], verdict };
        lab.feed(Input::Tick);
        lab
    }

    /// One of four, who proposes in a round of height 1.
    fn proposer(round: u64) -> Self {
        let probe = Self::of(4, 0);
        Self::of(4, probe.leads(round))
    }

    /// One of four, who proposes in none of the first three rounds.
    fn follower() -> Self {
        Self::proposer(3)
    }

    fn leads(&self, round: u64) -> usize {
        node_of(&self.replica.leader(Round(round)))
    }

    fn others(&self) -> Vec<usize> {
        (0..self.nodes).filter(|&node| node != self.me).collect()
    }

    fn electorate(&self) -> Electorate {
        Electorate::new(set(0, &vec![10; self.nodes])).unwrap()
    }

    fn restart(mut self) -> (Self, Vec<Output>) {
        self.replica = recover(self.nodes, self.me, self.log.clone());
        let said = self.feed(Input::Tick);
        (self, said)
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let step = self.replica.handle(self.now, input).unwrap();
        let mut outputs = vec![];
        let mut questions = self.finish(step, &mut outputs);
        while let Some(block) = questions.pop() {
            let input = Input::Checked { block: block.id(), verdict: self.verdict.clone() };
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

    fn hear(&mut self, from: usize, message: Message) -> Vec<Output> {
        self.feed(Input::Message { from: public(from), message })
    }

    fn wait(&mut self, millis: u64) -> Vec<Output> {
        self.now = self.now.after(Duration(millis));
        self.feed(Input::Tick)
    }

    fn data(&self, round: u64, phase: Phase, block: BlockId) -> VoteData {
        let electorate = self.electorate();
        VoteData {
            protocol: Protocol::Tendermint,
            chain: chain(),
            epoch: electorate.epoch(),
            validators: electorate.hash(),
            height: Height(1),
            round: Round(round),
            phase,
            block,
            high: None,
        }
    }

    fn vote(&self, node: usize, round: u64, phase: Phase, block: BlockId) -> Vote {
        Vote::sign(self.data(round, phase, block), &key(node))
    }

    /// Hears a vote of a node.
    fn cast(&mut self, node: usize, round: u64, phase: Phase, block: BlockId) -> Vec<Output> {
        let vote = self.vote(node, round, phase, block);
        self.hear(node, Message::Vote(vote))
    }

    /// Hears the same vote of all others.
    fn all_cast(&mut self, round: u64, phase: Phase, block: BlockId) -> Vec<Output> {
        self.others().into_iter().flat_map(|node| self.cast(node, round, phase, block)).collect()
    }

    fn qc(&self, round: u64, phase: Phase, block: BlockId) -> Certificate {
        self.qc_of(self.data(round, phase, block))
    }

    fn qc_of(&self, data: VoteData) -> Certificate {
        let votes: Vec<Vote> =
            self.others().iter().map(|&node| Vote::sign(data, &key(node))).collect();
        Certificate::from_votes(data, &votes, &self.electorate()).unwrap()
    }

    fn show(&mut self, certificate: &Certificate) -> Vec<Output> {
        let from = self.others()[0];
        self.hear(from, Message::Certificate(Box::new(certificate.clone())))
    }

    fn block(&self, proposer: usize, salt: u64) -> Block {
        let electorate = self.electorate();
        let (randomness, randomness_proof) = beacon::extend(Hash::ZERO, Height(1), &vrf(proposer));
        let header = Header {
            version: VERSION,
            chain: chain(),
            height: Height(1),
            epoch: electorate.epoch(),
            parent: BlockId::default(),
            parent_certificate: None,
            time: Timestamp(900 + salt),
            proposer: public(proposer),
            state_root: state_root(BlockId::default(), Height(1)),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: electorate.hash(),
            next_validators: electorate.hash(),
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }
    }

    fn proposal(&self, round: u64, block: &Block, justify: Option<Certificate>) -> Proposal {
        let vote = self.vote(self.leads(round), round, Phase::Propose, block.id());
        Proposal { vote, block: block.clone(), justify, entry: None }
    }

    fn propose(&mut self, round: u64, block: &Block, justify: Option<Certificate>) -> Vec<Output> {
        let proposal = self.proposal(round, block, justify);
        self.hear(self.leads(round), Message::Proposal(Box::new(proposal)))
    }

    /// Has the round fail, as nil precommits and time do.
    fn fail(&mut self, round: u64) -> Vec<Output> {
        let mut outputs = self.all_cast(round, Phase::Commit, NIL);
        outputs.extend(self.wait(1_000));
        assert_eq!(self.replica.round(), Round(round + 1));
        outputs
    }

    /// Locks the replica on a block in its round.
    fn lock(&mut self, round: u64, block: &Block, justify: Option<Certificate>) -> Vec<Output> {
        let mut outputs = self.propose(round, block, justify);
        outputs.extend(self.all_cast(round, Phase::Prepare, block.id()));
        assert_eq!(self.locked(), Some((Round(round), block.id())));
        outputs
    }

    fn locked(&self) -> Option<(Round, BlockId)> {
        self.replica.protocol().lock()
    }
}

fn recover(nodes: usize, me: usize, log: Vec<Record>) -> Replica<Tendermint> {
    let tip = Tip::genesis(chain(), Timestamp::ZERO, Hash::ZERO, set(0, &vec![10; nodes])).unwrap();
    Replica::recover(config(), Some(identity(me)), tip, log).unwrap()
}

/// The votes broadcast, by round, phase and block.
fn votes(outputs: &[Output]) -> Vec<(u64, Phase, BlockId)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Vote(vote), .. } => Some(vote.data),
        _ => None,
    });
    sent.map(|data| (data.round.0, data.phase, data.block)).collect()
}

fn refusals(outputs: &[Output]) -> Vec<Refusal> {
    let charged = outputs.iter().filter_map(|output| match output {
        Output::Misbehaviour { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    charged.collect()
}

fn proposals(outputs: &[Output]) -> Vec<Proposal> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Broadcast { message: Message::Proposal(proposal), .. } => Some(proposal),
        _ => None,
    });
    sent.map(|proposal| (**proposal).clone()).collect()
}

fn shown(outputs: &[Output]) -> Vec<(usize, Certificate)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message: Message::Certificate(certificate) } => {
            Some((node_of(to), (**certificate).clone()))
        }
        _ => None,
    });
    sent.collect()
}

fn decided(outputs: &[Output]) -> Vec<BlockId> {
    let decided = outputs.iter().filter_map(|output| match output {
        Output::Decided { block, .. } => Some(block.id()),
        _ => None,
    });
    decided.collect()
}

fn evidence(outputs: &[Output]) -> Vec<(usize, Phase)> {
    let found = lab::evidence(outputs).into_iter().map(|e| e.verify(chain()).unwrap());
    let phase = |kind| match kind {
        OffenceKind::Equivocation(phase) => Some(phase),
        _ => None,
    };
    found.filter_map(|o| Some((node_of(&o.offender), phase(o.kind)?))).collect()
}

#[test]
fn line_22_a_valid_proposal_is_prevoted_and_an_invalid_one_gets_nil() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    assert_eq!(votes(&lab.propose(0, &block, None)), [(0, Phase::Prepare, block.id())]);
    let mut lab = Lab::follower();
    lab.verdict = Verdict::Invalid("root".into());
    let outputs = lab.propose(0, &block, None);
    assert_eq!(votes(&outputs), [(0, Phase::Prepare, NIL)]);
    assert_eq!(refusals(&outputs), [Refusal::Execution("root".into())]);
}

#[test]
fn line_22_a_locked_replica_prevotes_nothing_else() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    lab.fail(0);
    assert_eq!(votes(&lab.propose(1, &b, None)), [(1, Phase::Prepare, NIL)]);
    assert_eq!(lab.locked(), Some((Round(0), a.id())));
}

#[test]
fn line_28_a_polka_not_before_the_lock_unlocks_and_an_earlier_one_does_not() {
    // Locked in round 1; a polka for another block of round 0 comes with the proposal of round 2.
    for (of, unlocks) in [(0, false), (1, true)] {
        let mut lab = Lab::follower();
        let (a, b) = (lab.block(lab.leads(1), 0), lab.block(lab.leads(0), 1));
        lab.fail(0);
        lab.lock(1, &a, None);
        lab.fail(1);
        let outputs = lab.propose(2, &b, Some(lab.qc(of, Phase::Prepare, b.id())));
        let expected = if unlocks { b.id() } else { NIL };
        assert_eq!(votes(&outputs), [(2, Phase::Prepare, expected)], "{of}");
    }
}

#[test]
fn line_28_a_polka_in_a_proposal_must_hold_and_be_for_that_block_and_an_earlier_round() {
    let lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    let mut forged = lab.qc(0, Phase::Prepare, a.id());
    forged.data.block = b.id();
    let refused = |justify: Certificate| {
        let mut lab = Lab::follower();
        lab.lock(0, &a, None);
        lab.fail(0);
        let outputs = lab.propose(1, &b, Some(justify));
        assert_eq!((votes(&outputs), lab.locked()), (vec![], Some((Round(0), a.id()))));
        refusals(&outputs).remove(0)
    };
    assert!(matches!(refused(forged), Refusal::Certificate(_)));
    let other = lab.qc(0, Phase::Prepare, a.id());
    assert_eq!(refused(other), Refusal::JustifyBlock { got: b.id(), expected: a.id() });
    for (round, phase) in [(1, Phase::Prepare), (0, Phase::Commit), (0, Phase::NewRound)] {
        assert!(matches!(refused(lab.qc(round, phase, b.id())), Refusal::Misplaced { .. }));
    }
    let data = VoteData { height: Height(2), ..lab.data(0, Phase::Prepare, b.id()) };
    assert!(matches!(refused(lab.qc_of(data)), Refusal::Misplaced { .. }));
}

#[test]
fn line_34_mixed_prevotes_are_waited_for_half_a_timeout() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let [x, y, _] = lab.others()[..] else { panic!() };
    lab.cast(x, 0, Phase::Prepare, NIL);
    assert!(votes(&lab.wait(50)).iter().all(|vote| vote.1 == Phase::Prepare));
    lab.cast(y, 0, Phase::Prepare, block.id());
    assert!(!votes(&lab.wait(49)).contains(&(0, Phase::Commit, NIL)));
    assert!(votes(&lab.wait(1)).contains(&(0, Phase::Commit, NIL)));
}

#[test]
fn line_36_a_polka_locks_and_is_precommitted() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let [x, y, z] = lab.others()[..] else { panic!() };
    assert!(votes(&lab.cast(x, 0, Phase::Prepare, block.id())).is_empty());
    let outputs = lab.cast(y, 0, Phase::Prepare, block.id());
    assert_eq!(votes(&outputs), [(0, Phase::Commit, block.id())]);
    assert_eq!(lab.locked(), Some((Round(0), block.id())));
    assert_eq!(lab.replica.protocol().valid().unwrap().data.block, block.id());
    assert!(votes(&lab.cast(z, 0, Phase::Prepare, block.id())).is_empty());
    let kinds = lab.log.iter().map(|record| match record {
        Record::Vote { vote, .. } => format!("{:?}", vote.data.phase),
        Record::Body(_) => "Body".into(),
        Record::Lock(_) => "Lock".into(),
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["Body", "Prepare", "Lock", "Commit"]);
}

#[test]
fn line_42_a_polka_after_our_precommit_is_the_valid_value_but_no_lock() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.wait(100);
    let [x, y, z] = lab.others()[..] else { panic!() };
    lab.cast(x, 0, Phase::Prepare, NIL);
    lab.cast(y, 0, Phase::Prepare, block.id());
    assert!(votes(&lab.wait(50)).contains(&(0, Phase::Commit, NIL)));
    lab.propose(0, &block, None);
    lab.cast(z, 0, Phase::Prepare, block.id());
    lab.show(&lab.qc(0, Phase::Prepare, block.id()));
    assert_eq!(lab.locked(), None);
    assert_eq!(lab.replica.protocol().valid().unwrap().data.block, block.id());
    assert!(lab.log.iter().any(|record| matches!(record, Record::HighQc(_))));
}

#[test]
fn line_36_the_lock_waits_for_our_own_verdict() {
    let mut lab = Lab::follower();
    lab.verdict = Verdict::Invalid("root".into());
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let outputs = lab.all_cast(0, Phase::Prepare, block.id());
    assert!(votes(&outputs).is_empty() && lab.locked().is_none());
}

#[test]
fn line_44_a_quorum_for_nil_is_precommitted_at_once_and_takes_no_lock_away() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    lab.fail(0);
    lab.propose(1, &b, None);
    assert_eq!(votes(&lab.all_cast(1, Phase::Prepare, NIL)), [(1, Phase::Commit, NIL)]);
    assert_eq!(lab.locked(), Some((Round(0), a.id())));
    lab.fail(1);
    let c = lab.block(lab.leads(2), 2);
    assert_eq!(votes(&lab.propose(2, &c, None)), [(2, Phase::Prepare, NIL)]);
}

#[test]
fn line_47_mixed_precommits_end_the_round_after_half_a_timeout() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let said = lab.lock(0, &block, None);
    assert!(shown(&said).is_empty());
    let [x, y, _] = lab.others()[..] else { panic!() };
    lab.cast(x, 0, Phase::Commit, NIL);
    lab.wait(49);
    let outputs = lab.cast(y, 0, Phase::Commit, block.id());
    // The next proposer hears of the polka in time.
    assert_eq!(shown(&outputs), [(lab.leads(1), lab.replica.protocol().valid().unwrap().clone())]);
    lab.wait(49);
    assert_eq!(lab.replica.round(), Round(0));
    assert!(shown(&lab.wait(1)).is_empty(), "once is enough");
    assert_eq!(lab.replica.round(), Round(1));
}

#[test]
fn line_49_a_quorum_of_precommits_of_any_round_decides() {
    for round in [0, 1] {
        let mut lab = Lab::follower();
        let block = lab.block(lab.leads(0), 0);
        lab.propose(0, &block, None);
        let [x, y, z] = lab.others()[..] else { panic!() };
        lab.cast(x, 0, Phase::Commit, block.id());
        if round == 1 {
            lab.cast(y, 1, Phase::Commit, NIL);
            lab.cast(z, 1, Phase::Commit, NIL);
            assert_eq!(lab.replica.round(), Round(1));
        }
        assert!(decided(&lab.cast(y, 0, Phase::Commit, block.id())).is_empty());
        assert_eq!(decided(&lab.cast(z, 0, Phase::Commit, block.id())), [block.id()]);
        assert_eq!(lab.replica.height(), Height(2));
    }
}

#[test]
fn line_49_precommits_of_different_rounds_or_for_nil_decide_nothing() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.lock(0, &block, None);
    let [x, y, z] = lab.others()[..] else { panic!() };
    let mut outputs = lab.cast(x, 0, Phase::Commit, block.id());
    outputs.extend(lab.fail_with(&[y, z]));
    outputs.extend(lab.cast(y, 1, Phase::Commit, block.id()));
    outputs.extend(lab.cast(z, 1, Phase::Commit, block.id()));
    assert!(decided(&outputs).is_empty());
    assert_eq!(lab.replica.height(), Height(1));
}

impl Lab {
    /// The round fails by these nodes' nil precommits beside what was cast already.
    fn fail_with(&mut self, nodes: &[usize]) -> Vec<Output> {
        let round = self.replica.round().0;
        let cast = nodes.iter().flat_map(|&node| self.cast(node, round, Phase::Commit, NIL));
        let mut outputs: Vec<_> = cast.collect();
        outputs.extend(self.wait(1_000));
        assert_eq!(self.replica.round(), Round(round + 1));
        outputs
    }
}

#[test]
fn line_49_a_decision_without_the_body_asks_for_it() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let outputs = lab.show(&lab.qc(0, Phase::Commit, block.id()));
    let asked = outputs.iter().find_map(|output| match output {
        Output::Send { to, message: Message::BlockRequest(request) } => {
            Some((node_of(to), *request))
        }
        _ => None,
    });
    let (peer, request) = asked.unwrap();
    assert_eq!(request, BlockRequest { height: Height(1), block: block.id() });
    let outputs = lab.hear(peer, Message::Block(Box::new(block.clone())));
    assert_eq!(decided(&outputs), [block.id()]);
}

#[test]
fn line_55_more_than_a_third_in_later_rounds_are_followed_to_the_one_they_all_have_reached() {
    let mut lab = Lab::follower();
    let [x, y, _] = lab.others()[..] else { panic!() };
    assert!(votes(&lab.cast(x, 9, Phase::Prepare, NIL)).is_empty());
    assert!(votes(&lab.cast(x, 9, Phase::Commit, NIL)).is_empty(), "twice the same member");
    // Nothing stays unsaid in the round before.
    let expected = [(5, Phase::Prepare, NIL), (5, Phase::Commit, NIL)];
    assert_eq!(votes(&lab.cast(y, 6, Phase::Commit, NIL)), expected);
    assert_eq!(lab.replica.round(), Round(6));
}

#[test]
fn line_55_votes_that_do_not_hold_lead_nowhere() {
    let mut lab = Lab::follower();
    let [x, y, z] = lab.others()[..] else { panic!() };
    let mut forged = lab.vote(x, 6, Phase::Prepare, NIL);
    forged.signature = Signature([1; 64]).into();
    lab.hear(x, Message::Vote(forged));
    let outputs = lab.cast(y, 6, Phase::Prepare, NIL);
    let expected = Refusal::Signature { signer: public(x), phase: Phase::Prepare };
    assert_eq!((refusals(&outputs), lab.replica.round()), (vec![expected], Round(0)));
    lab.cast(z, 6, Phase::Prepare, NIL);
    assert_eq!(lab.replica.round(), Round(6));
}

#[test]
fn line_55_a_polka_of_a_later_round_leads_there_and_votes_that_came_early_count() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(2), 0);
    let [x, y, z] = lab.others()[..] else { panic!() };
    lab.cast(x, 2, Phase::Commit, block.id());
    lab.propose(2, &block, None);
    lab.show(&lab.qc(2, Phase::Prepare, block.id()));
    assert_eq!(lab.replica.round(), Round(2));
    assert_eq!(lab.locked(), Some((Round(2), block.id())), "the proposal came early, too");
    lab.cast(y, 2, Phase::Commit, block.id());
    assert_eq!((lab.replica.height(), z), (Height(2), z), "with our own precommit: a quorum");
}

#[test]
fn line_57_a_missing_proposal_gets_nil_after_the_timeout() {
    let mut lab = Lab::follower();
    assert!(votes(&lab.wait(99)).is_empty());
    assert!(votes(&lab.wait(1)).contains(&(0, Phase::Prepare, NIL)));
}

#[test]
fn line_16_a_proposer_proposes_the_valid_value_that_others_show_it() {
    let mut lab = Lab::proposer(1);
    let block = lab.block(lab.leads(0), 0);
    let polka = lab.qc(0, Phase::Prepare, block.id());
    lab.propose(0, &block, None);
    lab.show(&polka);
    let outputs = lab.fail(0);
    let proposed = proposals(&outputs);
    assert_eq!(proposed.len(), 1, "{outputs:?}");
    assert_eq!((&proposed[0].block, &proposed[0].justify), (&block, &Some(polka.clone())));
    assert!(votes(&outputs).contains(&(1, Phase::Prepare, block.id())));
}

#[test]
fn line_18_a_proposer_without_a_valid_value_asks_for_a_fresh_block_once() {
    let mut lab = Lab::proposer(1);
    let outputs = lab.fail(0);
    let requests: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Build(request) => Some(request),
            _ => None,
        })
        .collect();
    assert_eq!(requests.len(), 1);
    let block = Box::new(finish(requests[0]));
    let id = block.id();
    let outputs = lab.feed(Input::Built { block, change: None });
    assert_eq!(proposals(&outputs).len(), 1);
    assert_eq!(votes(&outputs), [(1, Phase::Prepare, id)]);
}

#[test]
fn a_lock_survives_a_restart() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    let (mut lab, said) = lab.restart();
    assert_eq!(lab.locked(), Some((Round(0), a.id())));
    let expected = [(0, Phase::Prepare, a.id()), (0, Phase::Commit, a.id())];
    assert_eq!(votes(&said), expected, "and is said again");
    lab.fail(0);
    assert_eq!(votes(&lab.propose(1, &b, None)), [(1, Phase::Prepare, NIL)]);
}

#[test]
fn a_restart_from_any_prefix_of_the_log_signs_nothing_twice() {
    let mut lab = Lab::follower();
    let (a, b) = (lab.block(lab.leads(0), 0), lab.block(lab.leads(1), 1));
    lab.lock(0, &a, None);
    lab.fail(0);
    lab.propose(1, &b, Some(lab.qc(0, Phase::Prepare, b.id())));
    lab.all_cast(1, Phase::Prepare, b.id());
    for length in 0..=lab.log.len() {
        let log = lab.log[..length].to_vec();
        let mut again = Lab { log: log.clone(), ..Lab::of(4, lab.me) };
        again.replica = recover(4, lab.me, log);
        again.feed(Input::Tick);
        again.propose(0, &a, None);
        again.all_cast(0, Phase::Prepare, a.id());
        again.wait(1_000);
        let mut last = None;
        for record in &again.log {
            if let Record::Vote { vote, .. } = record {
                let place = (vote.data.round, vote.data.phase);
                assert!(last < Some(place), "prefix {length}: {last:?} then {place:?}");
                last = Some(place);
            }
        }
    }
}

#[test]
fn forged_votes_are_found_out_before_they_make_a_quorum() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let [x, y, z] = lab.others()[..] else { panic!() };
    let mut forged = lab.vote(x, 0, Phase::Prepare, block.id());
    forged.signature = Signature([1; 64]).into();
    assert!(refusals(&lab.hear(x, Message::Vote(forged))).is_empty());
    let outputs = lab.cast(y, 0, Phase::Prepare, block.id());
    let expected = Refusal::Signature { signer: public(x), phase: Phase::Prepare };
    assert_eq!((refusals(&outputs), votes(&outputs)), (vec![expected], vec![]));
    let outputs = lab.cast(z, 0, Phase::Prepare, block.id());
    assert_eq!(votes(&outputs), [(0, Phase::Commit, block.id())]);
    // The forger may still say what is true.
    lab.cast(x, 0, Phase::Prepare, block.id());
}

#[test]
fn duplicates_do_not_count_twice() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.propose(0, &block, None);
    let x = lab.others()[0];
    for phase in [Phase::Prepare, Phase::Commit] {
        for _ in 0..5 {
            let outputs = lab.cast(x, 0, phase, block.id());
            assert!(votes(&outputs).is_empty() && decided(&outputs).is_empty());
        }
    }
}

#[test]
fn whoever_votes_or_proposes_twice_is_proved_to_have_once() {
    let mut lab = Lab::follower();
    let leader = lab.leads(0);
    let (a, b) = (lab.block(leader, 0), lab.block(leader, 1));
    lab.propose(0, &a, None);
    assert_eq!(evidence(&lab.propose(0, &b, None)), [(leader, Phase::Propose)]);
    assert!(evidence(&lab.propose(0, &b, None)).is_empty());
    let x = lab.others()[0];
    for round in [0, 3] {
        for phase in [Phase::Prepare, Phase::Commit] {
            lab.cast(x, round, phase, a.id());
            assert_eq!(evidence(&lab.cast(x, round, phase, NIL)), [(x, phase)]);
            assert!(evidence(&lab.cast(x, round, phase, b.id())).is_empty());
        }
    }
    // In a round to come, too.
    let later = lab.leads(1);
    let (a, b) = (lab.block(later, 0), lab.block(later, 1));
    lab.propose(1, &a, None);
    assert_eq!(evidence(&lab.propose(1, &b, None)), [(later, Phase::Propose)]);
    assert!(refusals(&lab.propose(1, &b, None)).is_empty());
}

#[test]
fn a_straggler_at_a_decided_height_is_shown_the_decision_but_lateness_is_not_answered() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.lock(0, &block, None);
    lab.all_cast(0, Phase::Commit, block.id());
    assert_eq!(lab.replica.height(), Height(2));
    let x = lab.others()[0];
    assert!(shown(&lab.cast(x, 0, Phase::Prepare, block.id())).is_empty());
    lab.wait(40);
    let outputs = lab.cast(x, 0, Phase::Prepare, block.id());
    assert!(matches!(&shown(&outputs)[..], [(to, decision)]
        if *to == x && decision.data.phase == Phase::Commit && decision.data.block == block.id()));
    assert!(shown(&lab.cast(x, 0, Phase::Prepare, block.id())).is_empty(), "once in a while");
}

#[test]
fn votes_of_this_round_and_the_one_before_are_said_again() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    lab.lock(0, &block, None);
    lab.fail(0);
    lab.wait(150);
    let said = votes(&lab.wait(40));
    let expected =
        [(0, Phase::Prepare, block.id()), (0, Phase::Commit, block.id()), (1, Phase::Prepare, NIL)];
    assert_eq!(said, expected);
}

#[test]
fn what_no_honest_peer_sends_is_refused_by_name_and_changes_nothing() {
    let mut lab = Lab::follower();
    let block = lab.block(lab.leads(0), 0);
    let [x, y, _] = lab.others()[..] else { panic!() };
    let vote = |data: VoteData| Message::Vote(Vote::sign(data, &key(x)));
    let prevote = lab.data(0, Phase::Prepare, block.id());
    let strange = [
        (vote(VoteData { chain: ChainId(Hash([9; 32])), ..prevote }), "for network"),
        (vote(VoteData { protocol: Protocol::HotPokt, ..prevote }), "for protocol"),
        (vote(VoteData { validators: Hash([9; 32]), ..prevote }), "for validator set"),
        (vote(VoteData { phase: Phase::PreCommit, ..prevote }), "a PreCommit signature"),
        (vote(VoteData { phase: Phase::Propose, ..prevote }), "a Propose signature"),
        (vote(VoteData { high: Some(Round(0)), ..prevote }), "vouches for"),
        (Message::Vote(lab.vote(y, 0, Phase::Prepare, block.id())), "signed by"),
        (
            Message::NewRound(Box::new(NewRound {
                vote: lab.vote(x, 0, Phase::NewRound, NIL),
                high_qc: None,
                entry: None,
                commit: None,
            })),
            "a NewRound signature",
        ),
        (Message::Certificate(Box::new(lab.qc(0, Phase::Prepare, NIL))), "a Prepare certificate"),
        (Message::Certificate(Box::new(lab.qc(0, Phase::NewRound, NIL))), "a NewRound certificate"),
        (Message::Certificate(Box::new(spoilt(lab.qc(0, Phase::Commit, block.id())))), "invalid"),
        (Message::Certificate(Box::new(spoilt(lab.qc(7, Phase::Prepare, block.id())))), "invalid"),
    ];
    for (message, reason) in strange {
        let refused = refusals(&lab.hear(x, message));
        assert!(
            matches!(&refused[..], [one] if one.to_string().starts_with(reason)),
            "{refused:?}"
        );
    }
    let leader = lab.leads(0);
    let good = lab.proposal(0, &block, None);
    let stranger = lab.others().into_iter().find(|&node| node != leader).unwrap();
    let not_leader =
        Proposal { vote: lab.vote(stranger, 0, Phase::Propose, block.id()), ..good.clone() };
    let entered = Proposal { entry: Some(lab.qc(0, Phase::NewRound, NIL)), ..good.clone() };
    let mut unsigned = good.clone();
    unsigned.vote.signature = Signature([1; 64]).into();
    let other = Proposal { block: lab.block(leader, 5), ..good.clone() };
    let foreign = lab.block(stranger, 0);
    let stolen = lab.proposal(0, &foreign, None);
    let mut old = lab.block(leader, 0);
    old.header.time = Timestamp::ZERO;
    let old = lab.proposal(0, &old, None);
    for (from, proposal, reason) in [
        (stranger, not_leader, "proposal by"),
        (leader, entered, "a NewRound certificate"),
        (leader, unsigned, "invalid signature"),
        (leader, other, "signed for"),
        (leader, stolen, "the header's proposer"),
        (leader, old, "time"),
    ] {
        let refused = refusals(&lab.hear(from, Message::Proposal(Box::new(proposal))));
        assert!(
            matches!(&refused[..], [one] if one.to_string().starts_with(reason)),
            "{refused:?}"
        );
    }
    assert!(lab.log.is_empty());
    assert_eq!(votes(&lab.propose(0, &block, None)), [(0, Phase::Prepare, block.id())]);
}

fn spoilt(mut certificate: Certificate) -> Certificate {
    let mut signatures = certificate.signatures.to_vec();
    signatures[70] ^= 1;
    certificate.signatures = Bytes::new(signatures).unwrap();
    certificate
}

#[test]
fn proposals_far_ahead_and_of_the_past_are_left_out() {
    let mut lab = Lab::follower();
    let window = Config::default().round_window;
    let far = (window + 1..).find(|&round| lab.leads(round) != lab.me).unwrap();
    let block = lab.block(lab.leads(far), 0);
    let outputs = lab.propose(far, &block, None);
    assert!(matches!(&outputs[..], [Output::Dropped { .. }]), "{outputs:?}");
    lab.fail(0);
    let block = lab.block(lab.leads(0), 0);
    assert!(lab.propose(0, &block, None).is_empty());
}
