//! Following the chain by its headers alone: what a gateway or a wallet runs instead of a node.
//!
//! The client starts from a [checkpoint](Start::Checkpoint) (height and hash, from somebody one
//! trusts) or from a header that is trusted already, and moves its trust to later headers. For each
//! step it
//!
//! 1. **fetches** the header that is wanted, with its proof and validator sets, from one peer, the
//!    *source*;
//! 2. **skips** to it when more than a third of the trusted weight signed it
//!    ([`pocket_types::light`]), or else **bisects**: fetches the header halfway, and so on down to
//!    the very next height, where no skip is needed;
//! 3. asks **witnesses**, other peers, whether they know the same block at that height;
//! 4. **stores** the new trusted header ([`Record`]), and only then hands it out
//!    ([`Output::Trusted`]).
//!
//! A witness that knows another block must show it. If what it shows doesn't follow from what we
//! trust, it lied, and is not asked again. If it follows only by way of headers in between, the
//! witness becomes the source, the old source its first witness, and trust moves on where the two
//! agree; whoever can't show its way is reported and left. Where both blocks are *verified*, more than
//! a third of the validators broke the protocol: the client hands out the
//! [evidence](pocket_types::light::Divergence), stores it, and stops for good
//! ([`LightClientError::Forked`]).
//!
//! # What is safe, and why
//!
//! A header is handed out only if more than two thirds of its validators signed it and more than a
//! third of validators that were trusted, within the trusting period, did too. So as long as less than
//! a third of the weight lies, **no** peer can make the client trust a false header, not even if all
//! its peers are liars; witnesses are the second defence, which turns a successful attack of more than
//! a third into evidence, given one honest peer among those asked. What liars can do is to withhold:
//! the newest height followed is one that a source and all its witnesses say they have, so that it
//! takes as many liars as that to lead the client astray (to a height that they then fail to prove),
//! and all but as many to keep it behind. Give it peers of different operators.
//!
//! Everything a peer can grow is bounded by [`Config`]: peers, one request in flight for each, fetched
//! headers, and at most 64 halvings between two heights.
//!
//! # Embedding
//!
//! A client without a network: "peers" are a function call away. A gateway sends what
//! [`Output::Send`] says and hands in what arrives.
//!
//! ```
//! use pocket_consensus::light::{
//!     Config, Input, LightClient, LightMessage, Output, Record, Start, serve,
//! };
//! use pocket_types::light::{Checkpoint, LightBlock, Rules, TrustingPeriod};
//! use pocket_types::machine::Machine;
//! use pocket_types::number::{Duration, Height, Timestamp};
//! # use pocket_types::block::{Block, Header, VERSION, beacon};
//! # use pocket_types::finality::FinalityProof;
//! # use pocket_types::hash::Hash;
//! # use pocket_types::id::{BlockId, ChainId};
//! # use pocket_types::key::SecretKey;
//! # use pocket_types::number::{Epoch, Round, Weight};
//! # use pocket_types::validator::{Electorate, Validator, ValidatorSet};
//! # use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
//! # use pocket_types::vrf::VrfSecret;
//! # // A chain whose one validator decides a block a second.
//! # let (key, vrf) = (SecretKey::from_seed([1; 32]), VrfSecret::from_seed([2; 32]));
//! # let alone = Validator {
//! #     public_key: key.public_key(),
//! #     vrf_key: vrf.public_key(),
//! #     weight: Weight(1),
//! #     bls_key: None,
//! # };
//! # let set = ValidatorSet::new(Epoch(0), vec![alone]).unwrap();
//! # let electorate = Electorate::new(set.clone()).unwrap();
//! # let mut chain: Vec<LightBlock> = Vec::new();
//! # for height in 1..=1_000 {
//! #     let parent = chain.last().and_then(LightBlock::header);
//! #     let (randomness, randomness_proof) = beacon::extend(Hash::ZERO, Height(1), &vrf);
//! #     let header = Header {
//! #         version: VERSION,
//! #         chain: ChainId::default(),
//! #         height: Height(height),
//! #         epoch: Epoch(0),
//! #         parent: parent.map(Header::id).unwrap_or_default(),
//! #         parent_certificate: None,
//! #         time: Timestamp(height * 1_000),
//! #         proposer: key.public_key(),
//! #         state_root: Hash([1; 32]),
//! #         transactions_root: Block::transactions_root(&[]),
//! #         evidence_root: Block::evidence_root(&[]),
//! #         validators: set.hash(),
//! #         next_validators: set.hash(),
//! #         randomness,
//! #         randomness_proof,
//! #     };
//! #     let data = VoteData {
//! #         protocol: Protocol::HotPokt,
//! #         chain: header.chain,
//! #         epoch: header.epoch,
//! #         validators: header.validators,
//! #         height: header.height,
//! #         round: Round(0),
//! #         phase: Phase::Commit,
//! #         block: header.id(),
//! #         high: None,
//! #     };
//! #     let votes = [Vote::sign(data, &key)];
//! #     let certificate = Certificate::from_votes(data, &votes, &electorate).unwrap();
//! #     let proof = FinalityProof::commit(header, certificate);
//! #     chain.push(LightBlock::new(proof, set.clone(), set.clone()));
//! # }
//! // Misbehaviour is punished for three weeks; we trust a header for two.
//! let weeks = |count: u64| Duration::seconds(count * 7 * 24 * 3600);
//! let period = TrustingPeriod::new(weeks(2), weeks(3), weeks(3))?;
//! let config = Config::new(Rules { period, max_drift: Duration::seconds(10) });
//!
//! // Block 10 of this `chain` (a `Vec<LightBlock>`) is what we were told to trust.
//! let id = |height: Height| chain[height.0 as usize - 1].header().unwrap().id();
//! let checkpoint =
//!     Checkpoint { chain: ChainId::default(), height: Height(10), block: id(Height(10)) };
//! let mut stored: Vec<Record> = Vec::new(); // your store; the last record is enough
//! let mut client = LightClient::recover(config, Start::Checkpoint(checkpoint), stored.clone())?;
//!
//! // Three nodes say that they have a thousand blocks; each would answer like this.
//! let node = |request| {
//!     let block = |height: Height| Ok(chain.get(height.0 as usize - 1).cloned());
//!     serve::respond::<serve::RequestError>(&request, |height| Ok(Some(id(height))), block)
//! };
//! let nodes = [3, 4, 5].map(|n| SecretKey::from_seed([n; 32]).public_key());
//! let announced = nodes.map(|peer| Input::Announced { peer, height: Height(1_000) });
//!
//! let now = Timestamp(1_001_000);
//! let mut inputs: Vec<Input> = announced.into();
//! let (mut trusted, mut requests) = (Vec::new(), 0);
//! while let Some(input) = inputs.pop() {
//!     let mut step = client.handle(now, input)?;
//!     loop {
//!         for output in step.outputs {
//!             match output {
//!                 Output::Send { to, message: LightMessage::Request(request) } => {
//!                     requests += 1;
//!                     let message = LightMessage::Answer(node(request)?);
//!                     inputs.push(Input::Message { from: to, message });
//!                 }
//!                 Output::Trusted(block) => trusted.extend(block.header().map(|h| h.height.0)),
//!                 _ => {}
//!             }
//!         }
//!         let Some(unstored) = step.records else { break };
//!         stored = unstored.records().to_vec();
//!         step = client.release(now, unstored.stored())?;
//!     }
//! }
//!
//! // The checkpoint's block, then the newest: a block each, and two witnesses asked for an id.
//! assert_eq!((trusted, requests), (vec![10, 1_000], 1 + 1 + 2));
//! assert_eq!(client.trusted().map(|tip| tip.height), Some(Height(1_000)));
//! assert!(client.header(Height(1_000)).is_some(), "its state root is what proofs are checked against");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! While it runs, tell it of every peer's newest height ([`LightMessage::Status`] or
//! [`Input::Announced`]), and hand in a [`Tick`](pocket_types::machine::Tick) when
//! [`next_deadline`](Machine::next_deadline) has come: an idle client, too, must hear when its trust
//! expires.

mod answers;
pub mod config;
pub mod error;
mod follow;
pub mod input;
pub mod message;
pub mod output;
mod peers;
pub mod record;
pub mod serve;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use pocket_types::block::Header;
use pocket_types::finality::TrustedTip;
use pocket_types::id::ChainId;
use pocket_types::key::PublicKey;
use pocket_types::light::{Checkpoint, Divergence, LightBlock, LightError, Trusted};
use pocket_types::machine::{Machine, Outbox, Receipt, Step};
use pocket_types::number::{Height, Timestamp};

pub use config::{Config, Target};
pub use error::{LightClientError, LightRefusal};
pub use input::Input;
pub use message::{LightAnswer, LightMessage, LightRequest};
pub use output::Output;
pub use record::Record;

use peers::Peers;

/// Follows the chain's headers. Drive it as [`pocket_types::machine`] says; see the
/// [module](self) for how it decides what to trust.
#[derive(Debug)]
pub struct LightClient {
    config: Config,
    outbox: Outbox<Output>,
    halted: Option<LightClientError>,
    now: Timestamp,
    trust: Trust,
    /// The newest trusted headers, oldest first.
    kept: VecDeque<Header>,
    peers: Peers,
    /// Who supplies what is verified, and is asked again as long as all goes well.
    source: Option<PublicKey>,
    contest: Option<Contest>,
    /// Fetched from the source and not verified yet, by decreasing height.
    pivots: Vec<LightBlock>,
    check: Option<Check>,
    has_said_too_few: bool,
}

/// What a client starts from.
#[derive(Clone, Debug)]
pub enum Start {
    /// A block's height and hash.
    Checkpoint(Checkpoint),
    /// A header and the validators of the next block, such as the genesis.
    Trusted(Trusted),
}

impl Start {
    fn place(&self) -> (ChainId, Height) {
        match self {
            Self::Checkpoint(checkpoint) => (checkpoint.chain, checkpoint.height),
            Self::Trusted(trusted) => (trusted.tip().chain, trusted.tip().height),
        }
    }
}

type Trust = Start;

/// A header that is verified and waits for the witnesses.
#[derive(Debug)]
struct Check {
    block: LightBlock,
    trusted: Trusted,
    agreed: BTreeSet<PublicKey>,
}

/// Two peers know different blocks at one height, and one of the blocks is verified. The other's
/// supplier is the source now and shows its way there.
#[derive(Debug)]
struct Contest {
    /// Who supplied the verified block, unless it is lost: the first witness along the other's way.
    rival: Option<PublicKey>,
    height: Height,
    /// The verified block, and what it was verified from.
    block: LightBlock,
    from: Trusted,
    /// What was trusted since, on the way to the other block.
    path: Vec<LightBlock>,
}

/// What an input causes.
#[derive(Debug, Default)]
struct Effects {
    records: Vec<Record>,
    outputs: Vec<Output>,
}

impl LightClient {
    /// A client as it was when it last stored something; `log` is empty at its first start, and only
    /// its last record counts. `start` is used when it is newer than that. After a
    /// [fork](LightClientError::Forked), the client goes on only from a start at or above the height
    /// of the fork.
    ///
    /// # Errors
    ///
    /// [`LightClientError`] naming what is wrong with configuration or log. Whether what it trusts has
    /// [expired](LightClientError::Expired) shows at its first input.
    pub fn recover(
        config: Config,
        start: Start,
        log: impl IntoIterator<Item = Record>,
    ) -> Result<Self, LightClientError> {
        check(&config)?;
        let (trust, halted) = recall(start, log.into_iter().last())?;
        Ok(Self {
            config,
            outbox: Outbox::new(),
            halted,
            now: Timestamp::ZERO,
            trust,
            kept: VecDeque::new(),
            peers: Peers::default(),
            source: None,
            contest: None,
            pivots: Vec::new(),
            check: None,
            has_said_too_few: false,
        })
    }

    /// The newest header that is trusted; none before the checkpoint's block has come. Its record may
    /// not be stored yet.
    pub const fn trusted(&self) -> Option<&TrustedTip> {
        match &self.trust {
            Start::Trusted(trusted) => Some(trusted.tip()),
            Start::Checkpoint(_) => None,
        }
    }

    /// A trusted header of this height, if it was verified since the start and is among the newest
    /// that are [kept](Config::max_kept).
    pub fn header(&self, height: Height) -> Option<&Header> {
        let index = self.kept.binary_search_by_key(&height, |header| header.height).ok()?;
        self.kept.get(index)
    }

    /// How many peers it knows.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// How many fetched headers wait for one in between.
    pub fn pivots(&self) -> usize {
        self.pivots.len()
    }

    fn input(&mut self, now: Timestamp, input: Input, fx: &mut Effects) {
        match input {
            Input::Tick => self.expire(now, fx),
            Input::Message { from, message } => match message {
                LightMessage::Status { height } => {
                    self.peers.announce(from, height, self.config.max_peers);
                }
                LightMessage::Answer(answer) => self.answer(now, from, answer, fx),
                LightMessage::Request(_) => {
                    let what = "a request to a light client, which stores no chain";
                    fx.outputs.push(Output::Dropped { peer: from, what });
                }
            },
            Input::Announced { peer, height } => {
                self.peers.announce(peer, height, self.config.max_peers);
            }
            Input::Gone { peer } => {
                self.peers.remove(&peer);
                self.lost(&peer);
            }
            Input::Follow(target) => {
                if self.config.target != target {
                    self.config.target = target;
                    self.abandon();
                }
            }
        }
    }

    /// Stops for good when what we trust vouches for nothing any more.
    fn check_age(&mut self, trusted: Timestamp, now: Timestamp) -> Result<(), LightClientError> {
        let Err(LightError::Expired { trusted, now, period }) =
            self.config.rules.check_age(trusted, now)
        else {
            return Ok(());
        };
        let expired = LightClientError::Expired { trusted, now, period };
        self.halted = Some(expired.clone());
        Err(expired)
    }
}

impl Machine for LightClient {
    type Input = Input;
    type Record = Record;
    type Output = Output;
    type Error = LightClientError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Record, Output>, LightClientError> {
        self.outbox.check()?;
        if let Some(error) = &self.halted {
            return Err(error.clone());
        }
        let (waiting, max) = (self.outbox.waiting(), self.config.max_unstored);
        if waiting >= max {
            return Err(LightClientError::Backlog { waiting, max });
        }
        self.now = now;
        if let Start::Trusted(trusted) = &self.trust {
            self.check_age(trusted.tip().time, now)?;
        }
        let mut fx = Effects::default();
        self.input(now, input, &mut fx);
        if let Some(error @ LightClientError::Expired { .. }) = &self.halted {
            return Err(error.clone());
        }
        self.pump(now, &mut fx);
        Ok(self.outbox.push(fx.records, fx.outputs))
    }

    fn release(
        &mut self,
        _now: Timestamp,
        receipt: Receipt,
    ) -> Result<Step<Record, Output>, LightClientError> {
        Ok(Step { records: None, outputs: self.outbox.release(&receipt)? })
    }

    /// When a request is late, a peer has rested that may be needed, or trust has expired.
    fn next_deadline(&self) -> Option<Timestamp> {
        if self.halted.is_some() || self.outbox.check().is_err() {
            return None;
        }
        let (height, expiry) = match &self.trust {
            Start::Checkpoint(checkpoint) => (checkpoint.height.previous()?, None),
            Start::Trusted(trusted) => {
                let last = trusted.tip().time.after(self.config.rules.period.duration());
                (trusted.tip().height, Some(Timestamp(last.0.saturating_add(1))))
            }
        };
        let rested = self.peers.rested_at(height, self.now).filter(|_| !self.is_done());
        [self.peers.deadline(), rested, expiry].into_iter().flatten().min()
    }
}

fn check(config: &Config) -> Result<(), LightClientError> {
    let rules = [
        (config.timeout.0 > 0, "timeout must be positive"),
        (config.cooldown.0 > 0, "cooldown must be positive"),
        (config.max_peers > config.witnesses, "max_peers must exceed witnesses: one is the source"),
        (config.max_pivots > 0, "max_pivots must be positive"),
        (config.max_kept > 0, "max_kept must be positive"),
        (config.max_unstored > 0, "max_unstored must be positive"),
    ];
    let broken = rules.iter().find(|(holds, _)| !holds);
    broken.map_or(Ok(()), |(_, what)| Err(LightClientError::Config(what)))
}

/// What the last record says, unless the start is newer.
fn recall(
    start: Start,
    last: Option<Record>,
) -> Result<(Trust, Option<LightClientError>), LightClientError> {
    let (chain, height) = start.place();
    let (got, recorded) = match &last {
        None => return Ok((start, None)),
        Some(Record::Trusted { tip, .. }) => (tip.chain, tip.height),
        Some(Record::Forked(divergence)) => (divergence.from.chain, fork_height(divergence)),
    };
    if got != chain {
        return Err(LightClientError::WrongChain { got, expected: chain });
    }
    match last {
        Some(Record::Trusted { tip, next }) if recorded >= height => {
            let trusted = Trusted::new(tip, next).map_err(LightClientError::Record)?;
            Ok((Start::Trusted(trusted), None))
        }
        Some(Record::Forked(divergence)) if recorded > height => {
            Ok((start, Some(forked(&divergence))))
        }
        _ => Ok((start, None)),
    }
}

fn fork_height(divergence: &Divergence) -> Height {
    divergence.one_header().map(|header| header.height).unwrap_or_default()
}

fn forked(divergence: &Divergence) -> LightClientError {
    let id = |header: Option<&Header>| header.map(Header::id).unwrap_or_default();
    LightClientError::Forked {
        height: fork_height(divergence),
        one: id(divergence.one_header()),
        other: id(divergence.other_header()),
    }
}
