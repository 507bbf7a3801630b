//! Fast sync among peers who serve, keep silent, forget and lie.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pocket_consensus::fast_sync::{
    Chunk, ChunkRequest, Config, FastSync, FastSyncError, FastSyncMessage, FastSyncRefusal, Input,
    MAX_CHUNKS, Output, Snapshot,
};
use pocket_sim::{Campaign, Random, Total};
use pocket_types::codec::{Bytes, List};
use pocket_types::hash::{Domain, Hash};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Duration, Height, Timestamp};

const CHUNKS: u32 = 9;
const HEIGHT: Height = Height(900);

fn key(peer: usize) -> PublicKey {
    thread_local! {
        static KEYS: Vec<PublicKey> =
            (0..16).map(|seed| SecretKey::from_seed([seed + 1; 32]).public_key()).collect();
    }
    KEYS.with(|keys| keys[peer])
}

fn state() -> Vec<Vec<u8>> {
    (0..CHUNKS).map(|chunk| vec![chunk as u8; 64]).collect()
}

fn root_of<'c>(chunks: impl IntoIterator<Item = &'c Vec<u8>>) -> Hash {
    let mut hasher = Domain::custom("test state").hasher();
    for chunk in chunks {
        hasher = hasher.variable(chunk);
    }
    hasher.finish()
}

/// A later state, which the chain certifies and no honest peer has.
fn later() -> Snapshot {
    Snapshot { height: Height(HEIGHT.0 + 50), root: Hash([8; 32]), chunks: CHUNKS }
}

fn snapshot() -> Snapshot {
    Snapshot { height: HEIGHT, root: root_of(&state()), chunks: CHUNKS }
}

/// How a peer behaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Honest,
    Silent,
    /// Chunks of another state.
    Garbage,
    /// Offers another state at the same height.
    OtherRoot,
    /// Offers a height that the chain hasn't reached.
    TooHigh,
    /// Offers too few chunks of the right state.
    Short,
    /// Has always just dropped the snapshot that it offered.
    Forgetful,
    /// Sends chunks and offers that nobody asked for.
    Flooding,
    /// Offers more chunks of the right state than there are, and sends none.
    Mute,
    /// Offers a later state, a true one, and sends nothing of it.
    Newer,
}

const LIARS: [Kind; 9] = [
    Kind::Silent,
    Kind::Garbage,
    Kind::OtherRoot,
    Kind::TooHigh,
    Kind::Short,
    Kind::Forgetful,
    Kind::Flooding,
    Kind::Mute,
    Kind::Newer,
];

/// The machine, its host, and peers that answer after a while.
struct Net {
    sync: FastSync,
    config: Config,
    peers: Vec<Kind>,
    random: Random,
    now: u64,
    inputs: BTreeMap<(u64, u64), Input>,
    sequence: u64,
    restored: BTreeMap<u32, Vec<u8>>,
    done: Option<Snapshot>,
    charged: BTreeSet<usize>,
    discarded: usize,
    unanswered: usize,
    /// How often each kind was asked for something.
    asked: BTreeMap<Kind, u64>,
}

impl Net {
    fn new(config: Config, peers: &[Kind], seed: u64) -> Self {
        let mut net = Self {
            sync: FastSync::new(config).unwrap(),
            config,
            peers: peers.to_vec(),
            random: Random::new(seed),
            now: 0,
            inputs: BTreeMap::new(),
            sequence: 0,
            restored: BTreeMap::new(),
            done: None,
            charged: BTreeSet::new(),
            discarded: 0,
            unanswered: 0,
            asked: BTreeMap::new(),
        };
        net.connect();
        net
    }

    fn connect(&mut self) {
        for peer in 0..self.peers.len() {
            self.later(Input::Connected { peer: key(peer) });
            if self.peers[peer] == Kind::Flooding {
                let request = ChunkRequest { height: HEIGHT, root: Hash([3; 32]), index: 1 };
                let chunk = Chunk { request, bytes: Bytes::new(vec![1]).ok() };
                for _ in 0..3 {
                    self.say(peer, FastSyncMessage::Chunk(chunk.clone()));
                    self.say(peer, FastSyncMessage::Offers(List::empty()));
                }
            }
        }
    }

    fn later(&mut self, input: Input) {
        let at = self.now + 1 + self.random.below(40);
        self.sequence += 1;
        self.inputs.insert((at, self.sequence), input);
    }

    fn say(&mut self, peer: usize, message: FastSyncMessage) {
        self.later(Input::Message { from: key(peer), message });
    }

    /// Runs until all is done, or until then.
    fn run(&mut self, until: u64) {
        let mut steps = 0;
        let mut connected = 0;
        while self.done.is_none() && self.now < until {
            steps += 1;
            assert!(steps < 200_000, "it never rests: {:?} {:?}", self.peers, self.sync);
            if self.now >= connected + 5_000 {
                // Hosts connect again to whom they know.
                connected = self.now;
                self.connect();
            }
            let due = self.sync.next_deadline().map(|at| at.0.max(self.now));
            let first = self.inputs.first_key_value().map(|((at, _), _)| *at);
            let input = match (first, due) {
                (Some(at), due) if due.is_none_or(|due| at <= due) => {
                    self.now = at;
                    self.inputs.pop_first().unwrap().1
                }
                (_, Some(due)) => {
                    self.now = due;
                    Tick.into()
                }
                _ => {
                    self.now += 1_000;
                    continue;
                }
            };
            self.handle(input);
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        let outputs = self.sync.handle(Timestamp(self.now), input).unwrap().into_outputs();
        assert!(self.sync.peers() <= self.config.max_peers);
        for output in outputs.clone() {
            self.perform(output);
        }
        outputs
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.answer(to, message),
            Output::Trust { height } => {
                let true_ones = [snapshot(), later()];
                let root = true_ones.iter().find(|one| one.height == height).map(|one| one.root);
                self.later(Input::Trusted { height, root });
            }
            Output::Restore { snapshot, index, bytes } => {
                assert_eq!(snapshot.root, self::snapshot().root, "only what is certified");
                let holds = state().get(index as usize).is_some_and(|chunk| **chunk == *bytes);
                if holds {
                    self.restored.insert(index, bytes.to_vec());
                }
                self.later(Input::Restored { index, holds });
            }
            Output::Finish { .. } => {
                self.later(Input::Finished { root: root_of(self.restored.values()) });
            }
            Output::Discard { .. } => {
                self.restored.clear();
                self.discarded += 1;
            }
            Output::Done { snapshot } => self.done = Some(snapshot),
            Output::Misbehaviour { peer, .. } => {
                self.charged.insert((0..self.peers.len()).find(|&of| key(of) == peer).unwrap());
            }
            Output::Unanswered { .. } => self.unanswered += 1,
            _ => {}
        }
    }

    fn answer(&mut self, to: PublicKey, message: FastSyncMessage) {
        let peer = (0..self.peers.len()).find(|&peer| key(peer) == to).unwrap();
        let kind = self.peers[peer];
        *self.asked.entry(kind).or_default() += 1;
        let true_one = snapshot();
        match message {
            _ if kind == Kind::Silent => {}
            FastSyncMessage::Request(_) if matches!(kind, Kind::Mute | Kind::Newer) => {}
            FastSyncMessage::Ask => {
                let offer = match kind {
                    Kind::OtherRoot => Snapshot { root: Hash([9; 32]), ..true_one },
                    Kind::TooHigh => Snapshot { height: Height(u64::MAX), ..true_one },
                    Kind::Short => Snapshot { chunks: CHUNKS - 2, ..true_one },
                    Kind::Mute => Snapshot { chunks: CHUNKS + 1, ..true_one },
                    Kind::Newer => later(),
                    _ => true_one,
                };
                self.say(peer, FastSyncMessage::Offers(List::new(vec![offer]).unwrap()));
            }
            FastSyncMessage::Request(request) => {
                let chunk = match kind {
                    Kind::Forgetful => None,
                    Kind::Garbage => Bytes::new(vec![0xee; 64]).ok(),
                    _ => Bytes::new(state()[request.index as usize].clone()).ok(),
                };
                self.say(peer, FastSyncMessage::Chunk(Chunk { request, bytes: chunk }));
            }
            _ => unreachable!("nobody is served"),
        }
    }

    /// The state is whole, and nobody honest was charged.
    fn check(&self) -> Result<(), String> {
        if self.done != Some(snapshot()) {
            return Err(format!("not done at {}: {:?} {:?}", self.now, self.peers, self.sync));
        }
        let restored: Vec<_> = self.restored.values().cloned().collect();
        if restored != state() {
            return Err("done with another state".into());
        }
        let honest = |peer: &usize| matches!(self.peers[*peer], Kind::Honest | Kind::Silent);
        match self.charged.iter().find(|peer| honest(peer)) {
            Some(peer) => Err(format!("{peer} is charged: {:?}", self.peers)),
            None => Ok(()),
        }
    }
}

const MINUTES: u64 = 60_000;

fn synced(peers: &[Kind]) -> Net {
    let mut net = Net::new(Config::default(), peers, 1);
    net.run(30 * MINUTES);
    net.check().unwrap();
    net
}

#[test]
fn honest_peers_share_the_work_and_the_state_is_whole() {
    let net = synced(&[Kind::Honest; 4]);
    assert!(net.charged.is_empty());
    // One question for offers, and nine chunks from four.
    assert_eq!(net.asked[&Kind::Honest], 4 + u64::from(CHUNKS));
}

#[test]
fn a_false_chunk_is_charged_and_fetched_elsewhere() {
    let net = synced(&[Kind::Garbage, Kind::Honest, Kind::Garbage]);
    assert_eq!(net.charged, [0, 2].into());
    assert_eq!(net.asked[&Kind::Garbage], 4, "offers and one chunk of each");
}

#[test]
fn who_offers_another_state_than_the_certified_header_names_is_charged() {
    assert_eq!(synced(&[Kind::OtherRoot, Kind::Honest]).charged, [0].into());
}

#[test]
fn who_offers_a_height_that_cannot_be_certified_is_left_alone_for_a_while() {
    let mut net = Net::new(Config::default(), &[Kind::Silent, Kind::Honest], 1);
    net.inputs.clear();
    let high = Snapshot { height: Height(u64::MAX), ..snapshot() };
    let outputs = net.handle(Input::Message { from: key(0), message: offers(&[high]) });
    assert_eq!(outputs, [Output::Trust { height: high.height }]);
    net.handle(Input::Message { from: key(1), message: offers(&[snapshot()]) });
    let outputs = net.handle(Input::Trusted { height: high.height, root: None });
    let what = "offer of a height that can't be certified now";
    let expected = [Output::Dropped { peer: key(0), what }, Output::Trust { height: HEIGHT }];
    assert_eq!(outputs, expected, "and the next best is looked at");
}

#[test]
fn chunks_that_are_not_the_whole_state_are_discarded() {
    let net = synced(&[Kind::Short, Kind::Short, Kind::Honest]);
    assert_eq!((net.charged, net.discarded), ([0, 1].into(), 1));
}

#[test]
fn silent_peers_are_waited_for_once_and_then_less_and_less() {
    let net = synced(&[Kind::Silent, Kind::Silent, Kind::Honest]);
    assert!(net.charged.is_empty());
    assert!(net.now < 2 * MINUTES, "{}", net.now);
}

#[test]
fn who_offers_more_than_anybody_and_sends_nothing_stops_nobody() {
    let net = synced(&[Kind::Mute, Kind::Honest, Kind::Mute]);
    assert_eq!(net.done, Some(snapshot()));
}

/// Found in review: it stalled whoever believed it, for ever.
#[test]
fn who_offers_a_true_state_that_nobody_else_has_and_sends_nothing_stops_nobody() {
    let net = synced(&[Kind::Newer, Kind::Honest, Kind::Newer]);
    assert!(net.charged.is_empty());
    assert!(net.now < 2 * MINUTES, "{}", net.now);
}

/// Found in review: the chunks that the host had before it started were taken for granted, and all who
/// served the rest were charged.
#[test]
fn a_chunk_that_the_host_lost_is_charged_to_nobody() {
    let mut net = Net::new(Config::default(), &[Kind::Honest, Kind::Honest], 1);
    net.sync = FastSync::resume(net.config, snapshot(), [0, 1, 2, 7]).unwrap();
    for index in [0, 1, 2] {
        net.restored.insert(index, state()[index as usize].clone());
    }
    net.run(MINUTES);
    net.check().unwrap();
    assert_eq!((net.charged, net.discarded), (BTreeSet::new(), 1));
}

#[test]
fn when_the_house_is_full_an_honest_peer_gets_its_turn() {
    use Kind::{Garbage, Honest, Silent};
    let config = Config { max_peers: 2, ..Config::default() };
    for honest in 0..7 {
        let mut peers = [Silent, Silent, Garbage, Silent, Silent, Garbage, Silent];
        peers[honest] = Honest;
        let mut net = Net::new(config, &peers, honest as u64);
        net.run(60 * MINUTES);
        net.check().unwrap();
    }
}

#[test]
fn what_the_host_has_already_is_not_fetched_again() {
    let mut net = Net::new(Config::default(), &[Kind::Honest], 1);
    net.sync = FastSync::resume(net.config, snapshot(), [0, 1, 2, 7]).unwrap();
    for index in [0, 1, 2, 7] {
        net.restored.insert(index, state()[index as usize].clone());
    }
    net.run(MINUTES);
    net.check().unwrap();
    assert_eq!(net.asked[&Kind::Honest], 1 + u64::from(CHUNKS) - 4);
}

#[test]
fn another_snapshot_than_the_host_began_with_is_begun_anew() {
    let mut net = Net::new(Config::default(), &[Kind::Honest], 1);
    let older = Snapshot { height: Height(800), ..snapshot() };
    net.sync = FastSync::resume(net.config, older, [0, 1]).unwrap();
    net.restored.insert(0, vec![5]);
    net.run(MINUTES);
    net.check().unwrap();
    assert_eq!(net.discarded, 1);
}

#[test]
fn snapshots_below_our_own_chain_are_of_no_use() {
    let mut net = Net::new(Config { from: Height(901), ..Config::default() }, &[Kind::Honest], 1);
    net.run(MINUTES);
    assert_eq!((net.done, net.sync.progress()), (None, None));
}

/// Everything but the list of messages is as it was.
fn refused(message: FastSyncMessage) -> FastSyncRefusal {
    let mut net = Net::new(Config::default(), &[Kind::Silent, Kind::Honest], 1);
    net.inputs.clear();
    net.handle(Input::Connected { peer: key(0) });
    let outputs = net.handle(Input::Message { from: key(0), message });
    assert_eq!(net.sync.progress(), None);
    assert_eq!(net.sync.peers(), 0, "it is asked for nothing more");
    match &outputs[..] {
        [Output::Misbehaviour { peer, reason }] if *peer == key(0) => *reason,
        other => panic!("{other:?}"),
    }
}

fn offers(offers: &[Snapshot]) -> FastSyncMessage {
    FastSyncMessage::Offers(List::new(offers.to_vec()).unwrap())
}

#[test]
fn nonsense_is_refused_with_its_reason() {
    let good = snapshot();
    for got in [0, MAX_CHUNKS + 1, u32::MAX] {
        let bad = Snapshot { chunks: got, ..good };
        assert_eq!(refused(offers(&[bad])), FastSyncRefusal::Chunks { got });
    }
    assert_eq!(refused(offers(&[good, good])), FastSyncRefusal::Order);
    let older = Snapshot { height: Height(1), ..good };
    assert_eq!(refused(offers(&[good, older])), FastSyncRefusal::Order);
    let request = ChunkRequest { height: HEIGHT, root: good.root, index: MAX_CHUNKS };
    let expected = FastSyncRefusal::NoSuchChunk { got: MAX_CHUNKS };
    assert_eq!(refused(FastSyncMessage::Request(request)), expected);
}

#[test]
fn chunks_that_nobody_asked_for_are_left_out() {
    let mut net = Net::new(Config::default(), &[Kind::Silent], 1);
    net.inputs.clear();
    net.handle(Input::Message { from: key(0), message: offers(&[snapshot()]) });
    let chunk = |index, root| {
        let request = ChunkRequest { height: HEIGHT, root, index };
        let message = FastSyncMessage::Chunk(Chunk { request, bytes: Bytes::new(vec![1]).ok() });
        Input::Message { from: key(0), message }
    };
    let dropped = |outputs: Vec<Output>| matches!(outputs[..], [Output::Dropped { .. }]);
    assert!(dropped(net.handle(chunk(0, snapshot().root))), "before anything is certified");
    net.handle(Input::Trusted { height: HEIGHT, root: Some(snapshot().root) });
    for (index, root) in [(5, snapshot().root), (u32::MAX, snapshot().root), (0, Hash([3; 32]))] {
        assert!(dropped(net.handle(chunk(index, root))), "chunk {index}");
    }
}

#[test]
fn a_liar_that_comes_back_is_not_let_in() {
    let mut net = Net::new(Config::default(), &[Kind::Silent], 1);
    net.inputs.clear();
    let twice = offers(&[snapshot(), snapshot()]);
    net.handle(Input::Message { from: key(0), message: twice });
    net.handle(Input::Gone { peer: key(0) });
    let outputs = net.handle(Input::Connected { peer: key(0) });
    let expected = Output::Dropped { peer: key(0), what: "peer beyond the bound" };
    assert_eq!(outputs, [expected]);
}

#[test]
fn bounds_that_make_no_sense_are_named() {
    let bad = [
        Config { max_peers: 0, ..Config::default() },
        Config { timeout: Duration(0), ..Config::default() },
        Config { cooldown: Duration(0), ..Config::default() },
        Config { max_restoring: 0, ..Config::default() },
        Config { max_remembered: 0, ..Config::default() },
    ];
    for config in bad {
        assert!(matches!(FastSync::new(config), Err(FastSyncError::Config(_))));
    }
    let resumed = FastSync::resume(Config::default(), snapshot(), [CHUNKS]);
    assert_eq!(resumed.unwrap_err(), FastSyncError::NoSuchChunk { got: CHUNKS, chunks: CHUNKS });
}

#[test]
fn what_was_asked_of_a_peer_that_leaves_is_fetched_elsewhere() {
    let mut net = Net::new(Config::default(), &[Kind::Silent, Kind::Honest], 1);
    net.inputs.clear();
    for peer in [0, 1] {
        net.handle(Input::Message { from: key(peer), message: offers(&[snapshot()]) });
    }
    net.handle(Input::Trusted { height: HEIGHT, root: Some(snapshot().root) });
    net.handle(Input::Gone { peer: key(0) });
    net.run(1_000);
    net.check().unwrap();
}

/// One honest peer among up to seven of any other kind, and room for a few of them.
fn life(seed: u64) -> Result<Asked, String> {
    let mut random = Random::new(seed);
    let mut peers: VecDeque<Kind> =
        (0..random.below(8)).map(|_| LIARS[random.below(LIARS.len() as u64) as usize]).collect();
    peers.push_back(Kind::Honest);
    peers.rotate_left(random.below(8) as usize % peers.len());
    let config = Config {
        max_peers: 1 + random.below(6) as usize,
        max_restoring: 1 + random.below(4) as usize,
        ..Config::default()
    };
    let mut net = Net::new(config, peers.make_contiguous(), random.word());
    net.run(240 * MINUTES);
    net.check()?;
    Ok(Asked(net.asked))
}

/// How often each kind of peer was asked for something.
#[derive(Default)]
struct Asked(BTreeMap<Kind, u64>);

impl Total for Asked {
    fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(kind, count)| *self.0.entry(*kind).or_default() += count);
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        let count = |kind| self.0.get(&kind).copied().unwrap_or_default();
        vec![
            ("silence", count(Kind::Silent)),
            ("false chunk", count(Kind::Garbage)),
            ("other root", count(Kind::OtherRoot)),
            ("height beyond the chain", count(Kind::TooHigh)),
            ("too few chunks", count(Kind::Short)),
            ("snapshot dropped", count(Kind::Forgetful)),
            ("flood", count(Kind::Flooding)),
            ("offers without chunks", count(Kind::Mute)),
            ("later state without chunks", count(Kind::Newer)),
        ]
    }
}

/// Each asked two peers for one chunk, lost one with a peer that left, or never rested.
#[test]
fn lives_that_failed_once_go_well() {
    for seed in [0, 45, 3_764] {
        life(seed).unwrap();
    }
}

#[test]
fn one_honest_peer_is_enough_whoever_else_there_is() {
    Campaign::new("fast sync", 0..500).run(life);
}
