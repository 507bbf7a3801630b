//! Bringing decided blocks: ranges from several peers, verified before use, applied in order.
//!
//! Every block is checked against the validators that the block before it promised, as soon as that one
//! is applied; until then it only takes up (bounded) room. A peer whose block doesn't hold is charged,
//! everything else that it sent is dropped, and others are asked. Validator sets need not be sent:
//! executing blocks yields them.
//!
//! Chained protocols decide a block by its descendants, and a proof may be a later block's. It must hold
//! before anything is waited for: so the blocks in between exist, and only they are awaited.
//!
//! The machine keeps no records: what is applied, the host has committed.

pub mod config;
pub mod error;
pub mod input;
pub mod message;
pub mod output;
mod peers;
pub mod serve;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use pocket_types::block::Header;
use pocket_types::codec;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Receipt, Step};
use pocket_types::number::{Height, Timestamp};
use pocket_types::trap;
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::Certificate;

pub use config::Config;
pub use error::{SyncError, SyncRefusal};
pub use input::Input;
pub use message::{DecidedBlock, Range, RangeRequest, SyncMessage};
pub use output::Output;

use crate::tip::Tip;
use peers::{Asked, Peer, Peers};

/// Follows the chain from a tip. Drive it as [`pocket_types::machine`] says; tell it of every block
/// that is committed some other way ([`Input::Advance`]).
#[derive(Clone, Debug)]
pub struct Sync {
    config: Config,
    tip: Tip,
    peers: Peers,
    /// Blocks beyond the tip, unverified, with who sent them and how long they are.
    pending: BTreeMap<Height, Pending>,
    bytes: usize,
    applying: Option<Applying>,
    diverged: Option<(BlockId, String)>,
}

#[derive(Clone, Debug)]
struct Pending {
    from: PublicKey,
    block: Box<DecidedBlock>,
    bytes: usize,
    /// Whether its proof, a descendant's, is known to hold.
    proved: bool,
}

#[derive(Clone, Debug)]
struct Applying {
    id: BlockId,
    header: Header,
    certificate: Certificate,
}

impl Sync {
    /// Follows from a tip.
    ///
    /// # Errors
    ///
    /// [`SyncError::Config`] when a bound makes no sense.
    pub fn new(config: Config, tip: Tip) -> Result<Self, SyncError> {
        let rules = [
            (config.window > 0, "window must be positive"),
            (config.per_request > 0, "per_request must be positive"),
            (config.per_request <= message::MAX_RANGE as u64, "per_request must fit an answer"),
            (config.timeout.0 > 0, "timeout must be positive"),
            (config.cooldown.0 > 0, "cooldown must be positive"),
            (config.max_peers > 0, "max_peers must be positive"),
        ];
        if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(SyncError::Config(what));
        }
        Ok(Self {
            config,
            tip,
            peers: Peers::default(),
            pending: BTreeMap::new(),
            bytes: 0,
            applying: None,
            diverged: None,
        })
    }

    /// The last block that is applied.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The highest block that a peer says it has.
    pub fn best_announced(&self) -> Height {
        self.peers.iter().map(|(_, peer)| peer.height).max().unwrap_or(Height::GENESIS)
    }

    /// How many blocks wait to be applied.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn input(
        &mut self,
        now: Timestamp,
        input: Input,
        out: &mut Vec<Output>,
    ) -> Result<(), SyncError> {
        match input {
            Input::Tick => self.expire(now, out),
            Input::Message { from, message } => {
                if let Err(reason) = self.receive(from, message, out) {
                    out.push(Output::Misbehaviour { peer: from, reason });
                    self.punish(now, from);
                }
            }
            Input::Announced { peer, height } => {
                self.peers.announce(peer, height, self.config.max_peers);
            }
            Input::Gone { peer } => self.peers.leave(&peer),
            Input::Applied { block, change } => self.applied(block, change)?,
            Input::Rejected { block, reason } => {
                if self.applying.as_ref().is_some_and(|applying| applying.id == block) {
                    self.diverged = Some((block, reason.clone()));
                    return Err(SyncError::Diverged { block, reason });
                }
            }
            Input::Advance(tip) => self.advance(*tip),
        }
        Ok(())
    }

    fn receive(
        &mut self,
        from: PublicKey,
        message: SyncMessage,
        out: &mut Vec<Output>,
    ) -> Result<(), SyncRefusal> {
        match message {
            SyncMessage::Status { height } => {
                self.peers.announce(from, height, self.config.max_peers);
            }
            SyncMessage::Request(request) => {
                serve::check(&request)?;
                out.push(Output::Serve { to: from, request });
            }
            SyncMessage::Range(range) => self.on_range(from, range, out)?,
            SyncMessage::Decided(block) => {
                let height = block.block.header.height;
                self.peers.announce(from, height, self.config.max_peers);
                if height == self.tip.height().next() && !self.pending.contains_key(&height) {
                    check_block(&block, height, self.config.window)?;
                    self.keep(from, height, block);
                }
            }
        }
        Ok(())
    }

    fn on_range(
        &mut self,
        from: PublicKey,
        range: Range,
        out: &mut Vec<Output>,
    ) -> Result<(), SyncRefusal> {
        let first = range.from;
        let asked = |peer: &Peer| peer.asked.filter(|asked| asked.from == first);
        let peer = self.peers.get_mut(&from);
        let Some((peer, asked)) = peer.and_then(|peer| asked(peer).map(|asked| (peer, asked)))
        else {
            // Late, or twice, or asked for before a restart.
            out.push(Output::Dropped { peer: from, what: "range that is not waited for" });
            return Ok(());
        };
        // More than this request asked for may answer one that a crash made us forget.
        let (got, most) = (range.blocks.len(), self.config.per_request);
        if got as u64 > most {
            return Err(SyncRefusal::TooMany { got, asked: most });
        }
        let heights = (first.0..).map(Height);
        for (block, height) in range.blocks.iter().zip(heights.clone()) {
            check_block(block, height, self.config.window)?;
        }
        peer.asked = None;
        if range.blocks.is_empty() {
            // It announced more than it has.
            peer.height = first.previous().unwrap_or_default();
            peer.failures += 1;
        }
        let count = usize::try_from(asked.count).unwrap_or(usize::MAX);
        for (block, height) in range.blocks.into_vec().into_iter().zip(heights).take(count) {
            if height > self.tip.height() && !self.pending.contains_key(&height) {
                self.keep(from, height, Box::new(block));
            }
        }
        Ok(())
    }

    /// Who shows a proof by a later block has the blocks up to there, and we need them to check it.
    fn keep(&mut self, from: PublicKey, height: Height, block: Box<DecidedBlock>) {
        if let Some(decided) = block.proof.header() {
            self.peers.announce(from, decided.height, self.config.max_peers);
        }
        let bytes = codec::encoded_len(&block);
        self.bytes += bytes;
        self.pending.insert(height, Pending { from, block, bytes, proved: false });
    }

    fn take(&mut self, height: Height) -> Option<Pending> {
        let pending = self.pending.remove(&height)?;
        self.bytes -= pending.bytes;
        Some(pending)
    }

    /// Verifies the next block and hands it out, then asks for what is missing.
    fn pump(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while self.applying.is_none() {
            let height = self.tip.height().next();
            match self.verify(height) {
                Ok(true) => {}
                Ok(false) => break,
                Err(refused) => {
                    let (peer, reason) = *refused;
                    out.push(Output::Misbehaviour { peer, reason });
                    self.punish(now, peer);
                    continue;
                }
            }
            let Some(Pending { block, .. }) = self.take(height) else { break };
            let Some(link) = block.proof.links.first() else { break };
            let certificate = link.certificate.clone();
            let header = block.block.header.clone();
            self.applying = Some(Applying { id: header.id(), header, certificate });
            out.push(Output::Apply(block));
        }
        self.request(now, out);
    }

    /// Whether the next block is here and proved; false while it isn't, or while blocks between it and
    /// the descendant that its proof decides are missing. Gives whose block doesn't hold.
    fn verify(&mut self, height: Height) -> Result<bool, Box<(PublicKey, SyncRefusal)>> {
        let Some(next) = self.pending.get_mut(&height) else { return Ok(false) };
        let from = next.from;
        let refused = |error| Box::new((from, SyncRefusal::Finality { height, error }));
        let DecidedBlock { block, proof } = &*next.block;
        let Some(decided) = proof.header() else { return Ok(false) };
        let (last, mut parent) = (decided.height, decided.parent);
        let (mut trusted, validators) = (self.tip.trusted(), self.tip.validators());
        if last == height {
            if trap!("sync_unproved") {
                return Ok(true);
            }
            return trusted.advance(proof, validators).map(|_| true).map_err(refused);
        }
        if !next.proved {
            trusted.check_next(&block.header).map_err(refused)?;
            if !trap!("sync_waits_unproved") {
                proof.verify(validators).map_err(refused)?;
            }
            next.proved = true;
        }
        // From the decided descendant down, each names its parent.
        for below in (height.0..last.0).rev().map(Height) {
            let Some(below) = self.pending.get(&below) else { return Ok(false) };
            let header = &below.block.block.header;
            if header.id() != parent {
                return Err(Box::new((below.from, SyncRefusal::OtherBlock(header.height))));
            }
            parent = header.parent;
        }
        Ok(true)
    }

    /// The highest block that the next one needs: without it, that can't be applied.
    fn needed(&self) -> Height {
        let next = self.tip.height().next();
        let pending = self.pending.get(&next).filter(|pending| pending.proved);
        let decided = pending.and_then(|pending| pending.block.proof.header());
        decided.and_then(|decided| decided.height.previous()).unwrap_or(next)
    }

    fn request(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let first = self.tip.height().next();
        let end = Height(first.0.saturating_add(self.config.window));
        let needed = self.needed();
        let mut height = first;
        while height < end && (height <= needed || self.bytes < self.config.max_bytes) {
            if !self.is_wanted(height) {
                height = height.next();
                continue;
            }
            let Some(key) = self.peers.pick(height, now) else { return };
            let Some(known) = self.peers.get_mut(&key).map(|peer| peer.height) else { return };
            let wanted = (height.0..end.0.min(known.0.saturating_add(1))).map(Height);
            let limit = usize::try_from(self.config.per_request).unwrap_or(usize::MAX);
            let count = wanted.take(limit).take_while(|&h| self.is_wanted(h)).count() as u64;
            let deadline = now.after(self.config.timeout);
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.asked = Some(Asked { from: height, count, deadline });
            }
            let request = RangeRequest { from: height, count };
            out.push(Output::Send { to: key, message: SyncMessage::Request(request) });
            height = Height(height.0.saturating_add(count));
        }
    }

    fn is_wanted(&self, height: Height) -> bool {
        let applying = self.applying.is_some() && height == self.tip.height().next();
        let mut asked = self.peers.iter().filter_map(|(_, peer)| peer.asked);
        !applying && !self.pending.contains_key(&height) && !asked.any(|asked| asked.covers(height))
    }

    /// Drops what a peer sent and leaves it alone for a while.
    fn punish(&mut self, now: Timestamp, key: PublicKey) {
        let sent =
            |(height, pending): (&Height, &Pending)| (pending.from == key).then_some(*height);
        let heights: Vec<Height> = self.pending.iter().filter_map(sent).collect();
        for height in heights {
            self.take(height);
        }
        self.rest(now, key);
    }

    fn rest(&mut self, now: Timestamp, key: PublicKey) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.asked = None;
            peer.failures = peer.failures.saturating_add(1);
            peer.resting = now.after(self.config.cooldown);
        }
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let late: Vec<PublicKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.asked.is_some_and(|asked| asked.deadline <= now))
            .map(|(key, _)| *key)
            .collect();
        for peer in late {
            self.rest(now, peer);
            out.push(Output::Unanswered { peer });
        }
    }

    fn applied(&mut self, block: BlockId, change: Option<ValidatorSet>) -> Result<(), SyncError> {
        let Some(applying) = self.applying.as_ref().filter(|applying| applying.id == block) else {
            return Ok(());
        };
        let next = self.tip.electorate_of(change)?;
        let certificate = applying.certificate.clone();
        self.advance(self.tip.after_checked(&applying.header, certificate, next));
        Ok(())
    }

    fn advance(&mut self, tip: Tip) {
        if tip.height() <= self.tip.height() {
            return;
        }
        self.tip = tip;
        self.applying = None;
        while let Some((&height, _)) = self.pending.first_key_value() {
            if height > self.tip.height() {
                break;
            }
            self.take(height);
        }
    }
}

impl Machine for Sync {
    type Input = Input;
    type Record = Infallible;
    type Output = Output;
    type Error = SyncError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Infallible, Output>, SyncError> {
        if let Some((block, reason)) = self.diverged.clone() {
            return Err(SyncError::Diverged { block, reason });
        }
        let mut outputs = Vec::new();
        self.input(now, input, &mut outputs)?;
        self.pump(now, &mut outputs);
        Ok(Step { records: None, outputs })
    }

    fn release(
        &mut self,
        _now: Timestamp,
        _receipt: Receipt,
    ) -> Result<Step<Infallible, Output>, SyncError> {
        Ok(Step::empty())
    }

    /// When a request expires, or a rested peer that has what we lack may be asked again.
    fn next_deadline(&self) -> Option<Timestamp> {
        if self.diverged.is_some() {
            return None;
        }
        let next = self.tip.height().next();
        let deadlines = self.peers.iter().filter_map(|(_, peer)| match peer.asked {
            Some(asked) => Some(asked.deadline),
            None if peer.height >= next && peer.failures > 0 => Some(peer.resting),
            None => None,
        });
        // A peer that is rested but not needed must not keep the clock busy.
        let needed = self.is_wanted(next);
        let asked = self.peers.iter().filter_map(|(_, peer)| Some(peer.asked?.deadline)).min();
        if needed { deadlines.min() } else { asked }
    }
}

/// What can be checked of a block without knowing its validators. Its proof is its own or, where
/// undecided blocks are built upon, that of a descendant within the window.
fn check_block(block: &DecidedBlock, height: Height, window: u64) -> Result<(), SyncRefusal> {
    let header = &block.block.header;
    if header.height != height {
        return Err(SyncRefusal::Height { got: header.height, expected: height });
    }
    let later = |decided: &Header| decided.height > height && decided.height.0 - height.0 <= window;
    let decided = block.proof.header();
    let first = block.proof.links.first();
    let chained = first.is_some_and(|link| link.certificate.data.protocol.is_chained());
    if decided != Some(header) && !(chained && decided.is_some_and(later)) {
        return Err(SyncRefusal::OtherBlock(height));
    }
    Ok(block.block.check_body()?)
}
