//! Fast sync: the state of a recent block from a snapshot, instead of executing all blocks up to it.
//!
//! 1. Peers **offer** snapshots: height, state root, number of chunks.
//! 2. The newest offer of those who failed least is looked at first. A [light client](crate::light)
//!    that started from a checkpoint somebody trusts **certifies** the header of that height
//!    ([`Output::Trust`]); who offers another root than that header names lied, and who offers a height
//!    that can't be certified now is left alone for a while.
//! 3. **Chunks** are fetched from all who offer that very snapshot, one from each at a time, and handed
//!    to the host as they come ([`Output::Restore`]), who checks each against the root and stores it.
//!    A chunk that doesn't hold is charged to its sender and fetched from somebody else.
//! 4. When all are there, the root of the **whole** is compared with the header's
//!    ([`Output::Finish`]), and the machine is [done](Output::Done). [`Sync`](crate::Sync) brings the
//!    blocks since, from a [`Tip`](crate::Tip) that the light client's block of that height makes
//!    ([`Tip::certified`](crate::Tip::certified)) together with the validator set of the height two
//!    later, which lies in the restored state.
//!
//! # What is safe, and why
//!
//! The root is compared with a header that more than two thirds of the validators signed, so no peer,
//! nor all of them together, can make us take a false state. What liars can do is waste time: a false
//! offer costs a question to our light client, a false chunk one message, and each lie is the last of
//! its peer for as long as [it is remembered](Config::max_remembered). Who doesn't answer is asked less
//! and less often, and what he failed at is remembered when he makes room for others: as long as one
//! peer serves, its turn comes.
//!
//! Everything that peers can grow is bounded: peers, offers of each, one request open with each,
//! chunks that wait for the host ([`Config`]).
//!
//! # Embedding
//!
//! ```
//! use pocket_consensus::fast_sync::{
//!     Chunk, Config, FastSync, FastSyncMessage, Input, Output, Snapshot,
//! };
//! use pocket_types::codec::{Bytes, List};
//! use pocket_types::hash::{Domain, Hash};
//! use pocket_types::key::SecretKey;
//! use pocket_types::machine::Machine;
//! use pocket_types::number::{Height, Timestamp};
//!
//! // The state of a peer at height 900: a root over its chunks, and how to check one against it, are
//! // the business of your storage.
//! let state: Vec<Vec<u8>> = (0..5).map(|chunk| vec![chunk; 100]).collect();
//! let root_of = |chunks: &[Vec<u8>]| -> Hash {
//!     chunks.iter().fold(Domain::custom("state").hasher(), |all, chunk| all.variable(chunk)).finish()
//! };
//! let snapshot = Snapshot { height: Height(900), root: root_of(&state), chunks: 5 };
//! let peer = SecretKey::from_seed([1; 32]).public_key();
//!
//! let mut sync = FastSync::new(Config::default())?;
//! let mut restored = vec![Vec::new(); 5];
//! let mut inputs = vec![Input::Connected { peer }];
//! let mut done = None;
//! while let Some(input) = inputs.pop() {
//!     for output in sync.handle(Timestamp(0), input)?.into_outputs() {
//!         inputs.push(match output {
//!             Output::Send { to, message } => {
//!                 let message = match message {
//!                     FastSyncMessage::Request(request) => {
//!                         let bytes = Bytes::new(state[request.index as usize].clone()).ok();
//!                         FastSyncMessage::Chunk(Chunk { request, bytes })
//!                     }
//!                     _ => FastSyncMessage::Offers(List::new(vec![snapshot])?),
//!                 };
//!                 Input::Message { from: to, message }
//!             }
//!             // `LightClient::follow` to that height; its header's state root.
//!             Output::Trust { height } => Input::Trusted { height, root: Some(snapshot.root) },
//!             Output::Restore { index, bytes, .. } => {
//!                 restored[index as usize] = bytes.to_vec();
//!                 Input::Restored { index, holds: true }
//!             }
//!             Output::Finish { .. } => Input::Finished { root: root_of(&restored) },
//!             Output::Done { snapshot } => {
//!                 done = Some(snapshot);
//!                 continue;
//!             }
//!             _ => continue,
//!         });
//!     }
//! }
//! assert_eq!(done, Some(snapshot));
//! assert_eq!(restored, state);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The machine keeps no records. After a crash the host says which chunks it has
//! ([`FastSync::resume`]); their snapshot is certified again before anything is fetched.

pub mod config;
pub mod error;
pub mod input;
pub mod message;
pub mod output;
mod peers;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::convert::Infallible;

use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Receipt, Step};
use pocket_types::number::{Height, Timestamp};
use pocket_types::trap;

pub use config::Config;
pub use error::{FastSyncError, FastSyncRefusal};
pub use input::Input;
pub use message::{
    Chunk, ChunkRequest, FastSyncMessage, MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_OFFERS, Snapshot,
};
pub use output::Output;

use peers::{Asked, Peer, Peers};

/// Fetches a snapshot. Drive it as [`pocket_types::machine`] says.
#[derive(Clone, Debug)]
pub struct FastSync {
    config: Config,
    peers: Peers,
    stage: Stage,
    /// What was restored of a snapshot before the host started, or while somebody offered it.
    kept: Option<Restoring>,
    /// When to ask for offers again.
    again: Timestamp,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Waits for an offer.
    Choosing,
    /// The light client certifies a header.
    Trusting(Height),
    Restoring(Restoring),
    /// The host computes the root of the whole.
    Finishing {
        snapshot: Snapshot,
        resumed: bool,
    },
    Done(Snapshot),
}

/// One bit a chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Chunks {
    bits: Vec<u64>,
    count: u32,
}

#[derive(Clone, Debug)]
struct Restoring {
    snapshot: Snapshot,
    restored: Chunks,
    /// Whether the host says that it had some chunks before it started.
    resumed: bool,
    /// Chunks that the host is restoring, and who sent them.
    handed: BTreeMap<u32, PublicKey>,
    /// Below this, all are restored, handed out or asked for, but those that failed, and those that
    /// were asked of peers that left.
    next: u32,
    failed: BTreeSet<u32>,
}

impl Chunks {
    fn new(count: u32) -> Self {
        Self { bits: vec![0; count.div_ceil(64) as usize], count: 0 }
    }

    fn has(&self, index: u32) -> bool {
        self.bits[index as usize / 64] >> (index % 64) & 1 == 1
    }

    fn add(&mut self, index: u32) {
        self.count += u32::from(!self.has(index));
        self.bits[index as usize / 64] |= 1 << (index % 64);
    }
}

impl FastSync {
    /// Starts without anything.
    ///
    /// # Errors
    ///
    /// [`FastSyncError::Config`] when a bound makes no sense.
    pub fn new(config: Config) -> Result<Self, FastSyncError> {
        let rules = [
            (config.timeout.0 > 0, "timeout must be positive"),
            (config.cooldown.0 > 0, "cooldown must be positive"),
            (config.max_peers > 0, "max_peers must be positive"),
            (config.max_restoring > 0, "max_restoring must be positive"),
            (config.max_remembered > 0, "max_remembered must be positive"),
        ];
        if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FastSyncError::Config(what));
        }
        let (peers, stage) = (Peers::default(), Stage::Choosing);
        Ok(Self { config, peers, stage, kept: None, again: Timestamp::ZERO })
    }

    /// Starts where the host stopped: it has restored these chunks of a snapshot.
    ///
    /// # Errors
    ///
    /// [`FastSyncError`] naming what makes no sense.
    pub fn resume(
        config: Config,
        snapshot: Snapshot,
        have: impl IntoIterator<Item = u32>,
    ) -> Result<Self, FastSyncError> {
        let mut sync = Self::new(config)?;
        let chunks = snapshot.chunks.min(MAX_CHUNKS);
        let mut kept = Restoring::new(Snapshot { chunks, ..snapshot });
        for got in have {
            if got >= chunks {
                return Err(FastSyncError::NoSuchChunk { got, chunks: snapshot.chunks });
            }
            kept.restored.add(got);
            kept.resumed = true;
        }
        sync.kept = Some(kept);
        Ok(sync)
    }

    /// The snapshot that is being restored, and how many of its chunks are; for a progress bar.
    pub const fn progress(&self) -> Option<(Snapshot, u32)> {
        match &self.stage {
            Stage::Choosing | Stage::Trusting(_) => None,
            Stage::Restoring(state) => Some((state.snapshot, state.restored.count)),
            Stage::Finishing { snapshot, .. } | Stage::Done(snapshot) => {
                Some((*snapshot, snapshot.chunks))
            }
        }
    }

    /// How many peers it knows.
    pub fn peers(&self) -> usize {
        self.peers.iter().count()
    }

    fn input(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Tick => self.expire(now, out),
            Input::Connected { peer } => self.enter(peer, out),
            Input::Gone { peer } => self.peers.leave(&peer, &self.config),
            Input::Message { from, message } => {
                if let Err(reason) = self.receive(now, from, message, out) {
                    self.charge(from, reason, out);
                }
            }
            Input::Trusted { height, root } => self.trusted(now, height, root, out),
            Input::Restored { index, holds } => self.restored(index, holds, out),
            Input::Finished { root } => self.finished(root, out),
        }
    }

    fn enter(&mut self, peer: PublicKey, out: &mut Vec<Output>) {
        if !self.peers.enter(peer, &self.config) {
            out.push(Output::Dropped { peer, what: "peer beyond the bound" });
        }
    }

    fn charge(&mut self, peer: PublicKey, reason: FastSyncRefusal, out: &mut Vec<Output>) {
        self.release_request(&peer);
        self.peers.banish(&peer, &self.config);
        out.push(Output::Misbehaviour { peer, reason });
    }

    /// What a peer was asked for is to be asked of somebody else.
    fn release_request(&mut self, peer: &PublicKey) {
        let asked = self.peers.get_mut(peer).and_then(|peer| peer.asked.take());
        if let (Some(Asked { chunk: Some(request), .. }), Stage::Restoring(state)) =
            (asked, &mut self.stage)
            && state.asks(&request)
        {
            state.failed.insert(request.index);
        }
    }

    fn receive(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: FastSyncMessage,
        out: &mut Vec<Output>,
    ) -> Result<(), FastSyncRefusal> {
        match message {
            FastSyncMessage::Ask => out.push(Output::ServeOffers { to: from }),
            FastSyncMessage::Request(request) => {
                if request.index >= MAX_CHUNKS {
                    return Err(FastSyncRefusal::NoSuchChunk { got: request.index });
                }
                out.push(Output::ServeChunk { to: from, request });
            }
            FastSyncMessage::Offers(offers) => self.on_offers(now, from, &offers, out)?,
            FastSyncMessage::Chunk(chunk) => self.on_chunk(now, from, chunk, out),
        }
        Ok(())
    }

    fn on_offers(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        offers: &[Snapshot],
        out: &mut Vec<Output>,
    ) -> Result<(), FastSyncRefusal> {
        if offers.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(FastSyncRefusal::Order);
        }
        let wrong = offers.iter().find(|offer| offer.chunks == 0 || offer.chunks > MAX_CHUNKS);
        if let Some(wrong) = wrong {
            return Err(FastSyncRefusal::Chunks { got: wrong.chunks });
        }
        self.enter(from, out);
        let from_height = self.config.from;
        if let Some(peer) = self.peers.get_mut(&from) {
            let useful = offers.iter().filter(|offer| offer.height >= from_height);
            peer.offers = Some(useful.copied().collect());
            peer.asked.take_if(|asked| asked.chunk.is_none());
            // Who has nothing for us makes room for others.
            if offered(peer).count() == 0 {
                peer.fail(now, &self.config);
            }
        }
        Ok(())
    }

    fn on_chunk(&mut self, now: Timestamp, from: PublicKey, chunk: Chunk, out: &mut Vec<Output>) {
        let unasked = Output::Dropped { peer: from, what: "chunk that is not waited for" };
        let Some(peer) = self.peers.get_mut(&from) else { return out.push(unasked) };
        if peer.asked.take_if(|asked| asked.chunk == Some(chunk.request)).is_none() {
            return out.push(unasked);
        }
        // Perhaps of a snapshot that was given up since.
        let Stage::Restoring(state) = &mut self.stage else { return out.push(unasked) };
        if !state.asks(&chunk.request) {
            return out.push(unasked);
        }
        let (snapshot, index) = (state.snapshot, chunk.request.index);
        if let Some(bytes) = chunk.bytes {
            state.handed.insert(index, from);
            out.push(Output::Restore { snapshot, index, bytes });
            return;
        }
        // It has dropped the snapshot since.
        state.failed.insert(index);
        peer.withdraw(|offer| *offer == snapshot, now, &self.config);
    }

    /// The light client's answer.
    fn trusted(
        &mut self,
        now: Timestamp,
        height: Height,
        root: Option<Hash>,
        out: &mut Vec<Output>,
    ) {
        if !matches!(self.stage, Stage::Trusting(asked) if asked == height) {
            return;
        }
        self.stage = Stage::Choosing;
        for peer in self.peers.those(|peer| offered(peer).any(|offer| offer.height == height)) {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            let offers: Vec<Snapshot> =
                offered(known).filter(|offer| offer.height == height).copied().collect();
            let false_one = offers.iter().find(|offer| Some(offer.root) != root);
            match (false_one, root) {
                (Some(offer), Some(expected)) if !trap!("fast_sync_any_root") => {
                    let reason = FastSyncRefusal::Root { height, got: offer.root, expected };
                    self.charge(peer, reason, out);
                }
                (Some(_), None) => {
                    // Perhaps the chain, or who serves our light client, isn't as far yet.
                    known.withdraw(|offer| offer.height == height, now, &self.config);
                    let what = "offer of a height that can't be certified now";
                    out.push(Output::Dropped { peer, what });
                }
                _ => {}
            }
        }
        // Of different numbers of chunks, that of who failed least is tried first, then that of the most.
        let mut votes: BTreeMap<Snapshot, (Reverse<u32>, usize)> = BTreeMap::new();
        for (_, peer) in self.peers.iter() {
            for offer in offered(peer).filter(|offer| offer.height == height) {
                let (least, count) = votes.entry(*offer).or_insert((Reverse(u32::MAX), 0));
                *least = (*least).max(Reverse(peer.failures));
                *count += 1;
            }
        }
        let Some((&snapshot, _)) = votes.iter().max_by_key(|(_, votes)| **votes) else { return };
        self.stage = Stage::Restoring(match self.kept.take() {
            Some(kept) if kept.snapshot == snapshot => kept,
            other => {
                out.extend(other.map(|other| Output::Discard { snapshot: other.snapshot }));
                Restoring::new(snapshot)
            }
        });
    }

    /// The host's verdict on a chunk.
    fn restored(&mut self, index: u32, holds: bool, out: &mut Vec<Output>) {
        let Stage::Restoring(state) = &mut self.stage else { return };
        let Some(peer) = state.handed.remove(&index) else { return };
        if holds {
            state.restored.add(index);
            return;
        }
        state.failed.insert(index);
        self.charge(peer, FastSyncRefusal::Chunk { index }, out);
    }

    /// The root of the whole.
    fn finished(&mut self, root: Hash, out: &mut Vec<Output>) {
        let Stage::Finishing { snapshot, resumed } = self.stage else { return };
        if root == snapshot.root || trap!("fast_sync_any_whole") {
            self.stage = Stage::Done(snapshot);
            out.push(Output::Done { snapshot });
            return;
        }
        self.stage = Stage::Choosing;
        out.push(Output::Discard { snapshot });
        if resumed && !trap!("fast_sync_blames_peers") {
            // What the host had may be what is wrong: without it, it will show.
            return;
        }
        let Snapshot { height, chunks, .. } = snapshot;
        for peer in self.peers.those(|peer| offered(peer).any(|offer| *offer == snapshot)) {
            self.charge(peer, FastSyncRefusal::Incomplete { height, chunks }, out);
        }
    }

    /// Does whatever has become possible.
    fn pump(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.ask_for_offers(now, out);
        if matches!(self.stage, Stage::Choosing) {
            // The newest of those that come from who failed least.
            let all = self.peers.iter().flat_map(|(_, peer)| {
                offered(peer).map(|offer| (Reverse(peer.failures), offer.height))
            });
            if let Some((_, height)) = all.max() {
                self.stage = Stage::Trusting(height);
                out.push(Output::Trust { height });
            }
        }
        let Stage::Restoring(state) = &mut self.stage else { return };
        let snapshot = state.snapshot;
        if state.restored.count == snapshot.chunks {
            self.stage = Stage::Finishing { snapshot, resumed: state.resumed };
            return out.push(Output::Finish { snapshot });
        }
        if state.handed.is_empty() && self.peers.fetching() == 0 {
            // What was asked of peers that have left since is still missing.
            state.next = 0;
            state.failed.clear();
        }
        while state.handed.len() + self.peers.fetching() < self.config.max_restoring {
            let Some(index) = state.wanted() else { break };
            let Some(to) = self.peers.pick(now, |key, peer| state.may_ask(key, peer)) else {
                break;
            };
            state.take(index);
            let request = ChunkRequest { height: snapshot.height, root: snapshot.root, index };
            if let Some(peer) = self.peers.get_mut(&to) {
                let deadline = now.after(self.config.timeout);
                peer.asked = Some(Asked { chunk: Some(request), deadline });
            }
            out.push(Output::Send { to, message: FastSyncMessage::Request(request) });
        }
        // Nobody is left who has it: what was restored waits for somebody who does.
        let served = self.peers.iter().any(|(_, peer)| offered(peer).any(|o| *o == snapshot));
        if !served && state.handed.is_empty() {
            (state.next, state.handed) = (0, BTreeMap::new());
            state.failed.clear();
            self.kept = Some(state.clone());
            self.stage = Stage::Choosing;
            self.pump(now, out);
        }
    }

    /// Asks those who have offered nothing yet, and from time to time those who have.
    fn ask_for_offers(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if matches!(self.stage, Stage::Finishing { .. } | Stage::Done(_)) {
            return;
        }
        if now >= self.again {
            self.again = now.after(self.config.cooldown);
            for (_, peer) in self.peers.iter_mut().filter(|(_, peer)| offered(peer).count() == 0) {
                peer.offers = None;
            }
        }
        let deadline = now.after(self.config.timeout);
        while let Some(to) = self.peers.pick(now, |_, peer| peer.offers.is_none()) {
            if let Some(peer) = self.peers.get_mut(&to) {
                peer.asked = Some(Asked { chunk: None, deadline });
            }
            out.push(Output::Send { to, message: FastSyncMessage::Ask });
        }
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for late in self.peers.those(|peer| peer.asked.is_some_and(|a| a.deadline <= now)) {
            self.release_request(&late);
            if let Some(peer) = self.peers.get_mut(&late) {
                // What it offered is worth nothing until it says so again: others may serve another.
                peer.offers = None;
                peer.fail(now, &self.config);
            }
            out.push(Output::Unanswered { peer: late });
        }
    }
}

fn offered(peer: &Peer) -> impl Iterator<Item = &Snapshot> {
    peer.offers.iter().flatten()
}

impl Restoring {
    fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            restored: Chunks::new(snapshot.chunks),
            resumed: false,
            handed: BTreeMap::new(),
            next: 0,
            failed: BTreeSet::new(),
        }
    }

    /// Whether a request is for a chunk of this snapshot.
    fn asks(&self, request: &ChunkRequest) -> bool {
        (request.height, request.root) == (self.snapshot.height, self.snapshot.root)
            && request.index < self.snapshot.chunks
    }

    /// Whether a peer has the snapshot, and all that it sent is judged: it may be a liar.
    fn may_ask(&self, key: &PublicKey, peer: &Peer) -> bool {
        let judged = !self.handed.values().any(|from| from == key);
        judged && offered(peer).any(|offer| *offer == self.snapshot)
    }

    /// The next chunk to ask for.
    fn wanted(&mut self) -> Option<u32> {
        if let Some(failed) = self.failed.first() {
            return Some(*failed);
        }
        while self.next < self.snapshot.chunks && self.restored.has(self.next) {
            self.next += 1;
        }
        (self.next < self.snapshot.chunks).then_some(self.next)
    }

    fn take(&mut self, index: u32) {
        if !self.failed.remove(&index) {
            self.next = index + 1;
        }
    }
}

impl Machine for FastSync {
    type Input = Input;
    type Record = Infallible;
    type Output = Output;
    type Error = FastSyncError;

    /// Takes one input; none is refused with an error.
    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Infallible, Output>, FastSyncError> {
        let mut outputs = Vec::new();
        self.input(now, input, &mut outputs);
        self.pump(now, &mut outputs);
        Ok(Step { records: None, outputs })
    }

    fn release(
        &mut self,
        _now: Timestamp,
        _receipt: Receipt,
    ) -> Result<Step<Infallible, Output>, FastSyncError> {
        Ok(Step::empty())
    }

    /// When a request expires, a peer is rested, or offers are to be asked for again.
    fn next_deadline(&self) -> Option<Timestamp> {
        if matches!(self.stage, Stage::Finishing { .. } | Stage::Done(_)) {
            return None;
        }
        let asked = self.peers.iter().filter_map(|(_, peer)| Some(peer.asked?.deadline));
        let resting = self.peers.iter().filter(|(_, peer)| peer.asked.is_none());
        let rested = resting.filter(|(key, peer)| peer.failures > 0 && self.needs(key, peer));
        let again = self.peers.iter().any(|(_, peer)| {
            peer.asked.is_none() && peer.offers.is_some() && offered(peer).count() == 0
        });
        let again = again.then_some(self.again);
        asked.chain(rested.map(|(_, peer)| peer.resting)).chain(again).min()
    }
}

impl FastSync {
    /// Whether there is something to ask this peer for once it may be asked.
    fn needs(&self, key: &PublicKey, peer: &Peer) -> bool {
        match &self.stage {
            _ if peer.offers.is_none() => true,
            Stage::Restoring(state) => {
                let room = state.handed.len() + self.peers.fetching() < self.config.max_restoring;
                let left = !state.failed.is_empty() || state.next < state.snapshot.chunks;
                room && left && state.may_ask(key, peer)
            }
            _ => false,
        }
    }
}
