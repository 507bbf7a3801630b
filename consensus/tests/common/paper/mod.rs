//! The rules of the protocols a second time, as their papers have them, over nothing but what honest
//! validators signed and stored. No code is shared with the replicas.

mod chained;
mod hotpokt;
mod simplex;
mod tendermint;

use std::borrow::Cow;
use std::ops::Range;

use pocket_consensus::Protocol;
use pocket_consensus::replica::message::Message;
use pocket_types::block::Header;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::vote::{self, Certificate, Phase, Vote, VoteData};

use super::{Disk, Mark, node_of};
use pocket_sim::cheap::CheapKeys;

/// What is true of a moment: all disks, and who is Byzantine.
pub struct Facts<'a> {
    /// By node.
    pub disks: Vec<Cow<'a, Disk>>,
    pub weights: &'a [u64],
    pub byzantine: &'a [bool],
    /// Nodes in the order of their public keys.
    pub seats: &'a [usize],
    /// Who leads every round where one replica is alone. What is true is what that one has heard.
    pub only_leader: Option<usize>,
}

impl Facts<'_> {
    /// Whether these nodes, and all Byzantine ones, weigh more than two thirds.
    fn quorum(&self, has: impl Fn(usize) -> bool) -> bool {
        let nodes = 0..self.weights.len();
        let weight: u64 = nodes
            .filter(|&node| self.byzantine[node] || has(node))
            .map(|node| self.weights[node])
            .sum();
        3 * weight > 2 * self.weights.iter().sum::<u64>()
    }

    /// Whether somebody who hears everything can make a certificate of this.
    pub fn certified(&self, phase: Phase, height: Height, round: Round, block: BlockId) -> bool {
        self.quorum(|node| {
            self.disks[node].signed.iter().any(|vote| {
                let data = &vote.data;
                (data.phase, data.height, data.round, data.block) == (phase, height, round, block)
            })
        })
    }

    /// Whether a certificate of a height and phase names this block in a round of this range.
    pub fn certified_between(
        &self,
        phase: Phase,
        height: Height,
        block: BlockId,
        mut rounds: Range<u64>,
    ) -> bool {
        rounds.any(|round| self.certified(phase, height, Round(round), block))
    }

    /// Whether a quorum gave up the rounds before this one.
    pub fn timed_out(&self, round: Round) -> bool {
        self.certified(Phase::NewRound, Height::GENESIS, round, BlockId::default())
    }

    /// The header of a block that an honest node stored.
    pub fn header(&self, block: &BlockId) -> Option<&Header> {
        self.disks.iter().find_map(|disk| disk.headers.get(block))
    }

    /// What an honest leader must have signed before others may vote for its block.
    pub fn proposed(&self, data: &VoteData) -> Result<(), String> {
        let leader = self.leader_of(data);
        let same = |vote: &Vote| {
            vote.data.phase == Phase::Propose
                && (vote.data.height, vote.data.round) == (data.height, data.round)
                && vote.data.block == data.block
        };
        if self.byzantine[leader] || self.disks[leader].signed.iter().any(same) {
            return Ok(());
        }
        Err("which nobody proposed".into())
    }

    /// Blocks that honest nodes signed in this place.
    fn named(&self, data: &VoteData) -> impl Iterator<Item = BlockId> {
        let signed = self.disks.iter().flat_map(|disk| &disk.signed);
        signed.filter(|vote| slot(&vote.data) == slot(data)).map(|vote| vote.data.block)
    }

    /// At most one block is certified in each round and phase.
    pub fn one_certificate(&self, data: &VoteData) -> Result<(), String> {
        // Who is alone among liars hears of two.
        if self.only_leader.is_some() {
            return Ok(());
        }
        let certified = |block| self.certified(data.phase, data.height, data.round, block);
        if self.named(data).any(|block| block != data.block && certified(block))
            && certified(data.block)
        {
            return Err(format!("two certificates at {:?}", slot(data)));
        }
        Ok(())
    }

    /// Who leads the round of a signature.
    pub fn leader_of(&self, data: &VoteData) -> usize {
        let height = if data.protocol.is_chained() { Height(0) } else { data.height };
        self.leader(height, data.round)
    }

    /// Who leads a round, where leaders take turns by public key.
    pub fn leader(&self, height: Height, round: Round) -> usize {
        if let Some(leader) = self.only_leader {
            return leader;
        }
        let n = self.seats.len() as u64;
        self.seats[((height.0 % n + round.0 % n) % n) as usize]
    }

    /// Whether a certificate holds: enough weight, each signature its signer's, and each honest signer
    /// has it in its ledger.
    pub fn tally(&self, certificate: &Certificate) -> Result<(), String> {
        let data = &certificate.data;
        let bit = |seat: usize| certificate.signers[seat / 8] >> (seat % 8) & 1 == 1;
        let signers: Vec<usize> = (0..self.seats.len()).filter(|&seat| bit(seat)).collect();
        let weight: u64 = signers.iter().map(|&seat| self.weights[self.seats[seat]]).sum();
        if 3 * weight <= 2 * self.weights.iter().sum::<u64>() {
            return Err(format!("a certificate by {weight} of the weight: {}", show(data)));
        }
        let bits: u32 = certificate.signers.iter().map(|byte| byte.count_ones()).sum();
        if bits as usize != signers.len() || certificate.signatures.len() != 64 * signers.len() {
            return Err(format!("a certificate of odd form: {}", show(data)));
        }
        for (index, &seat) in signers.iter().enumerate() {
            let node = self.seats[seat];
            let high = certificate.highs.get(index).copied().unwrap_or(data.high);
            let vote = CheapKeys(node as u64).vote(VoteData { high, ..*data });
            let bytes = &certificate.signatures[64 * index..64 * (index + 1)];
            let pocket_types::scheme::VoteSignature::Ed25519(signature) = vote.signature else {
                return Err("a scheme that is not ours".into());
            };
            if bytes != signature.0 {
                return Err(format!("a signature of {node} doesn't hold: {}", show(data)));
            }
            if !self.byzantine[node] && !self.disks[node].signed.contains(&vote) {
                return Err(format!("node {node} never signed {}", show(data)));
            }
        }
        Ok(())
    }
}

/// Where a vote stands: an honest validator signs one thing there.
fn slot(data: &VoteData) -> (u64, Round, Phase) {
    let first = if data.protocol.is_chained() { data.epoch.0 } else { data.height.0 };
    (first, data.round, data.phase)
}

pub fn show(data: &VoteData) -> String {
    let VoteData { height, round, phase, block, .. } = data;
    format!("{phase:?} {height}/{round} {}", &block.to_string()[..6])
}

/// What every protocol promises of each new signature. `past` is what its signer signed before.
pub fn new_vote<P: Paper>(facts: &Facts<'_>, past: &[Vote], vote: &Vote) -> Result<(), String> {
    let (data, me) = (&vote.data, node_of(&vote.signer));
    let what = || format!("node {me} signed {}", show(data));
    if let Some(other) = past.iter().find(|other| slot(&other.data) == slot(data)) {
        return Err(format!("{} beside {}", what(), show(&other.data)));
    }
    if let Some(last) = past.last().filter(|last| slot(&last.data) > slot(data)) {
        return Err(format!("{} after {}", what(), show(&last.data)));
    }
    facts.one_certificate(data)?;
    P::may_sign(facts, me, past, data).map_err(|why| format!("{}, {why}", what()))
}

/// What is stored only moves forward; Simplex keeps a notarization for each view, in any order.
pub fn new_mark(before: &[Mark], mark: &Mark) -> Result<(), String> {
    let back = |data: &VoteData, other: &VoteData| {
        let ordered = data.protocol != vote::Protocol::Simplex;
        ordered && data.height == other.height && other.round > data.round
    };
    let goes_back = before.iter().any(|other| match (mark, other) {
        (Mark::High(data), Mark::High(other)) | (Mark::Lock(data), Mark::Lock(other)) => {
            back(data, other)
        }
        _ => false,
    });
    if goes_back { Err(format!("{mark:?} is stored after a later one")) } else { Ok(()) }
}

/// A protocol's own rules.
pub trait Paper: Protocol {
    /// Whether an honest validator may sign this, with all that it signed and stored before, and all
    /// certificates that exist.
    fn may_sign(facts: &Facts<'_>, me: usize, past: &[Vote], data: &VoteData)
    -> Result<(), String>;

    /// Whether an honest validator may say this for the first time.
    fn may_say(facts: &Facts<'_>, me: usize, message: &Message) -> Result<(), String>;

    /// Whether what was signed decides a block.
    fn decides(facts: &Facts<'_>, height: Height, block: BlockId) -> bool;
}

/// What somebody signed at a height in a phase.
pub fn of_height(past: &[Vote], height: Height, phase: Phase) -> impl Iterator<Item = &VoteData> {
    let data = past.iter().map(|vote| &vote.data);
    data.filter(move |data| (data.height, data.phase) == (height, phase))
}

/// Rounds that are looked at for a decision.
pub const ROUNDS: u64 = 32;
