//! Certified headers without replicas: chains of any validator sets, forked and forged at will, with
//! real keys; and a light client among nodes that serve them.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use pocket_consensus::light::serve::{self, RequestError};
use pocket_consensus::light::{
    Config, Input, LightAnswer, LightClient, LightClientError, LightMessage, LightRequest, Output,
    Record, Start,
};
use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::codec::{Bytes, List};
use pocket_types::finality::{FinalityProof, TrustedTip};
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::light::{Checkpoint, LightBlock, Rules, Trusted, TrustingPeriod};
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Duration, Epoch, Height, Round, Timestamp, Weight};
use pocket_types::scheme::Scheme;
use pocket_types::validator::{Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, VoteData};
use pocket_types::vrf::VrfSecret;

pub const CHAIN: ChainId = ChainId(Hash([7; 32]));
/// When every chain began.
pub const START: Timestamp = Timestamp(1_000_000);
/// From one block to the next.
pub const BLOCK_TIME: u64 = 1_000;
pub const PERIOD: Duration = Duration(100_000_000);

/// Validators by number of their key, with weights.
pub type Members = Vec<(u16, u64)>;

pub fn key(n: u16) -> SecretKey {
    let mut seed = [3; 32];
    seed[..2].copy_from_slice(&n.to_le_bytes());
    SecretKey::from_seed(seed)
}

/// A peer of the client's; not a validator. Keys increase with the number, so that among peers that
/// are equal otherwise the lowest number is asked first.
pub fn peer(n: usize) -> PublicKey {
    thread_local! {
        static PEERS: Vec<PublicKey> = {
            let mut keys: Vec<_> =
                (0..100).map(|n| SecretKey::from_seed([n + 100; 32]).public_key()).collect();
            keys.sort_unstable();
            keys
        };
    }
    PEERS.with(|keys| keys[n])
}

pub fn equal(members: impl IntoIterator<Item = u16>) -> Members {
    members.into_iter().map(|n| (n, 1)).collect()
}

pub fn set(epoch: u64, members: &Members) -> ValidatorSet {
    let vrf_key = VrfSecret::from_seed([9; 32]).public_key();
    let member = |&(n, weight): &(u16, u64)| Validator {
        public_key: key(n).public_key(),
        vrf_key,
        weight: Weight(weight),
        bls_key: None,
    };
    ValidatorSet::new(Epoch(epoch), members.iter().map(member).collect()).unwrap()
}

/// Who decides each height, and the blocks from height 1 on.
#[derive(Clone)]
pub struct Chain {
    /// By height; the genesis' place is empty.
    members: Vec<Members>,
    sets: Vec<ValidatorSet>,
    pub blocks: Vec<LightBlock>,
}

impl Chain {
    /// Blocks that all validators sign.
    pub fn new(length: u64, members: impl Fn(u64) -> Members) -> Self {
        let mut chain =
            Self { members: vec![vec![]], sets: vec![set(0, &members(1))], blocks: vec![] };
        for height in 1..=length + 1 {
            chain.elect(members(height));
        }
        for _ in 0..length {
            chain.decide(0, 0, None);
        }
        chain
    }

    fn elect(&mut self, members: Members) {
        let last = self.sets.last().unwrap();
        let epoch = last.epoch.0;
        let set =
            if *last == set(epoch, &members) { last.clone() } else { set(epoch + 1, &members) };
        self.sets.push(set);
        self.members.push(members);
    }

    /// The next block, with some state, in some round, signed by all or by those with these numbers.
    fn decide(&mut self, state: u8, round: u64, signers: Option<&[u16]>) {
        let height = self.blocks.len() as u64 + 1;
        let (set, next) = (self.set(height).clone(), self.set(height + 1).clone());
        let parent = self.blocks.last().and_then(LightBlock::header);
        let header = header(parent, height, &set, &next, state);
        self.blocks.push(signed(
            header,
            round,
            &set,
            &next,
            &self.members[height as usize],
            signers,
        ));
    }

    /// Another chain from a height on: the same validators, another state.
    pub fn fork(&self, height: u64, state: u8, round: u64, signers: Option<&[u16]>) -> Self {
        let mut fork = self.clone();
        let length = fork.blocks.len() as u64;
        fork.blocks.truncate(height as usize - 1);
        for _ in height..=length {
            fork.decide(state, round, signers);
        }
        fork
    }

    /// The same chain with other validators from a height on, of later epochs: nobody elected them.
    pub fn usurped(&self, height: u64, members: &Members) -> Self {
        let mut fork = self.clone();
        let length = fork.blocks.len() as u64;
        fork.blocks.truncate(height as usize - 1);
        fork.sets.truncate(height as usize);
        fork.members.truncate(height as usize);
        let epoch = self.sets.last().unwrap().epoch.0 + 1;
        for _ in height..=length + 1 {
            fork.sets.push(set(epoch, members));
            fork.members.push(members.clone());
        }
        for _ in height..=length {
            fork.decide(66, 0, None);
        }
        fork
    }

    pub fn set(&self, height: u64) -> &ValidatorSet {
        &self.sets[height as usize]
    }

    pub fn block(&self, height: u64) -> &LightBlock {
        &self.blocks[height as usize - 1]
    }

    pub fn id(&self, height: u64) -> BlockId {
        self.block(height).header().unwrap().id()
    }

    pub fn time(&self, height: u64) -> Timestamp {
        Timestamp(START.0 + height * BLOCK_TIME)
    }

    pub fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub fn tip(&self, height: u64) -> TrustedTip {
        if height > 0 {
            return TrustedTip::of(self.block(height).header().unwrap());
        }
        TrustedTip {
            chain: CHAIN,
            height: Height(0),
            block: BlockId::default(),
            time: START,
            next_validators: self.set(1).hash(),
        }
    }

    pub fn trusted(&self, height: u64) -> Trusted {
        Trusted::new(self.tip(height), self.set(height + 1).clone()).unwrap()
    }

    pub fn checkpoint(&self, height: u64) -> Start {
        let block = self.id(height);
        Start::Checkpoint(Checkpoint { chain: CHAIN, height: Height(height), block })
    }

    /// What an honest node with this chain answers.
    pub fn answer(&self, request: &LightRequest) -> LightAnswer {
        answer(&self.blocks, request)
    }
}

/// What an honest node with these blocks from height 1 on answers.
pub fn answer(blocks: &[LightBlock], request: &LightRequest) -> LightAnswer {
    let stored = |height: Height| blocks.get(height.0 as usize - 1);
    let id = |height| Ok(stored(height).map(|block| block.header().unwrap().id()));
    let block = |height| Ok(stored(height).cloned());
    serve::respond::<RequestError>(request, id, block).unwrap()
}

pub fn header(
    parent: Option<&Header>,
    height: u64,
    set: &ValidatorSet,
    next: &ValidatorSet,
    state: u8,
) -> Header {
    thread_local! {
        // A light client doesn't check the beacon, and a proof costs more than all the rest.
        static BEACON: (Hash, pocket_types::vrf::VrfProof) =
            beacon::extend(Hash::ZERO, Height(1), &VrfSecret::from_seed([9; 32]));
    }
    let (randomness, randomness_proof) = BEACON.with(|beacon| *beacon);
    Header {
        version: VERSION,
        chain: CHAIN,
        height: Height(height),
        epoch: set.epoch,
        parent: parent.map(Header::id).unwrap_or_default(),
        parent_certificate: None,
        time: Timestamp(START.0 + height * BLOCK_TIME),
        proposer: set.members[0].public_key,
        state_root: Hash([state; 32]),
        transactions_root: Block::transactions_root(&[]),
        evidence_root: Block::evidence_root(&[]),
        validators: set.hash(),
        next_validators: next.hash(),
        randomness,
        randomness_proof,
    }
}

/// A light block of any header, whoever signs it and whatever they weigh.
pub fn signed(
    header: Header,
    round: u64,
    set: &ValidatorSet,
    next: &ValidatorSet,
    members: &Members,
    signers: Option<&[u16]>,
) -> LightBlock {
    let data = VoteData {
        protocol: Protocol::HotPokt,
        chain: header.chain,
        epoch: header.epoch,
        validators: header.validators,
        height: header.height,
        round: Round(round),
        phase: Phase::Commit,
        block: header.id(),
        high: None,
    };
    let mut signatures = BTreeMap::new();
    for (n, _) in members.iter().filter(|(n, _)| signers.is_none_or(|signers| signers.contains(n)))
    {
        let key = key(*n);
        let own = |member: &Validator| member.public_key == key.public_key();
        let place = set.members.iter().position(own).unwrap();
        signatures.insert(place, key.sign(&data.digest()).0);
    }
    let mut bitmap = vec![0; set.members.len().div_ceil(8)];
    signatures.keys().for_each(|place| bitmap[place / 8] |= 1 << (place % 8));
    let signatures: Vec<u8> = signatures.into_values().flatten().collect();
    let certificate = Certificate {
        data,
        scheme: Scheme::Ed25519List,
        signers: Bytes::new(bitmap).unwrap(),
        highs: List::empty(),
        signatures: Bytes::new(signatures).unwrap(),
    };
    let proof = FinalityProof::commit(header, certificate);
    LightBlock::new(proof, set.clone(), next.clone())
}

pub fn rules() -> Rules {
    let punished = Duration(PERIOD.0 + 1);
    let period = TrustingPeriod::new(PERIOD, punished, punished).unwrap();
    Rules { period, max_drift: Duration(500) }
}

pub fn config() -> Config {
    Config { timeout: Duration(100), cooldown: Duration(1_000), ..Config::new(rules()) }
}

/// What a node answers; nothing is silence.
pub type Node = Box<dyn FnMut(&LightRequest) -> Option<LightAnswer>>;

pub fn honest(chain: &Rc<Chain>) -> Node {
    let chain = Rc::clone(chain);
    Box::new(move |request| Some(chain.answer(request)))
}

pub fn silent() -> Node {
    Box::new(|_| None)
}

/// An honest node but for one change of its answers.
pub fn but(
    chain: &Rc<Chain>,
    mut change: impl FnMut(&LightRequest, LightAnswer) -> Option<LightAnswer> + 'static,
) -> Node {
    let chain = Rc::clone(chain);
    Box::new(move |request| change(request, chain.answer(request)))
}

pub fn shows(block: LightBlock) -> Option<LightAnswer> {
    let height = block.header().unwrap().height;
    Some(LightAnswer::Block { height, block: Some(Box::new(block)) })
}

pub fn claims(height: Height, id: BlockId) -> Option<LightAnswer> {
    Some(LightAnswer::Id { height, id: Some(id) })
}

/// A client, the nodes that it asks, and all that came of it.
pub struct Lab {
    pub client: LightClient,
    pub now: Timestamp,
    pub nodes: BTreeMap<PublicKey, Node>,
    pub log: Vec<Record>,
    pub trusted: Vec<u64>,
    /// The newest block that is trusted.
    pub newest: Option<LightBlock>,
    pub events: Vec<Output>,
    /// Requests for blocks, then for ids.
    pub asked: (usize, usize),
    pub asked_blocks: Vec<(PublicKey, u64)>,
    pub asked_ids: Vec<(PublicKey, u64)>,
    pub most_pivots: usize,
}

impl Lab {
    pub fn new(config: Config, start: Start, now: Timestamp) -> Self {
        Self {
            client: LightClient::recover(config, start, []).unwrap(),
            now,
            nodes: BTreeMap::new(),
            log: vec![],
            trusted: vec![],
            newest: None,
            events: vec![],
            asked: (0, 0),
            asked_blocks: vec![],
            asked_ids: vec![],
            most_pivots: 0,
        }
    }

    /// Trusts the genesis of a chain whose last block is new; nodes 1, 2, ... answer.
    pub fn genesis(chain: &Chain, nodes: Vec<Node>) -> Self {
        let now = chain.time(chain.height());
        let mut lab = Self::new(config(), Start::Trusted(chain.trusted(0)), now);
        lab.nodes = (1..).map(peer).zip(nodes).collect();
        lab
    }

    /// All nodes say that they have blocks up to a height, the lowest number first; then everybody
    /// answers until all is said.
    pub fn announce(&mut self, height: u64) -> Result<(), LightClientError> {
        let peers: Vec<PublicKey> = self.nodes.keys().copied().collect();
        let height = Height(height);
        self.run(peers.into_iter().map(|peer| Input::Announced { peer, height }).collect())
    }

    pub fn feed(&mut self, input: Input) -> Result<(), LightClientError> {
        self.run(VecDeque::from([input]))
    }

    pub fn tick(&mut self) -> Result<(), LightClientError> {
        self.now = self.client.next_deadline().unwrap().max(self.now);
        self.feed(Input::from(Tick))
    }

    fn run(&mut self, mut inputs: VecDeque<Input>) -> Result<(), LightClientError> {
        let mut budget = 2_000;
        while let Some(input) = inputs.pop_front() {
            budget -= 1;
            assert!(budget > 0, "it never comes to rest: {:?}", self.asked);
            let mut step = self.client.handle(self.now, input)?;
            loop {
                for output in step.outputs {
                    inputs.extend(self.output(output));
                }
                let Some(unstored) = step.records else { break };
                self.log.extend(unstored.records().iter().cloned());
                step = self.client.release(self.now, unstored.stored())?;
            }
            self.most_pivots = self.most_pivots.max(self.client.pivots());
        }
        Ok(())
    }

    fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send { to, message: LightMessage::Request(request) } => {
                match request {
                    LightRequest::Block { height } => {
                        self.asked.0 += 1;
                        self.asked_blocks.push((to, height.0));
                    }
                    LightRequest::Id { height } => {
                        self.asked.1 += 1;
                        self.asked_ids.push((to, height.0));
                    }
                }
                let answer = self.nodes.get_mut(&to)?(&request)?;
                Some(Input::Message { from: to, message: LightMessage::Answer(answer) })
            }
            Output::Trusted(block) => {
                self.trusted.push(block.header().unwrap().height.0);
                self.newest = Some(*block);
                None
            }
            event => {
                self.events.push(event);
                None
            }
        }
    }

    pub fn id(&self) -> BlockId {
        self.client.trusted().unwrap().block
    }
}
