//! The rules of the protocols a second time, as their papers have them, over nothing but what honest
//! validators signed and stored. No code is shared with the replicas.

use pocket_consensus::replica::message::Message;
use pocket_consensus::{HotPokt, Protocol};
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::{Disk, Mark, node_of};
use pocket_sim::cheap::CheapKeys;

/// What is true of a moment: all disks, and who is Byzantine.
pub struct Facts<'a> {
    /// By node.
    pub disks: Vec<&'a Disk>,
    pub weights: &'a [u64],
    pub byzantine: &'a [bool],
    /// Nodes in the order of their public keys.
    pub seats: &'a [usize],
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

    /// Blocks that honest nodes signed in this place.
    fn named(&self, data: &VoteData) -> impl Iterator<Item = BlockId> {
        let signed = self.disks.iter().flat_map(|disk| &disk.signed);
        signed.filter(|vote| slot(&vote.data) == slot(data)).map(|vote| vote.data.block)
    }

    /// At most one block is certified in each round and phase.
    pub fn one_certificate(&self, data: &VoteData) -> Result<(), String> {
        let certified = |block| self.certified(data.phase, data.height, data.round, block);
        if self.named(data).any(|block| block != data.block && certified(block))
            && certified(data.block)
        {
            return Err(format!("two certificates at {:?}", slot(data)));
        }
        Ok(())
    }

    /// Who leads a round, where leaders take turns by public key.
    pub fn leader(&self, height: Height, round: Round) -> usize {
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

/// What is stored only moves forward.
pub fn new_mark(before: &[Mark], mark: &Mark) -> Result<(), String> {
    let back =
        |data: &VoteData, other: &VoteData| data.height == other.height && other.round > data.round;
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

/// Whether a certificate of a height and phase names this block in a round of this range.
fn certified_between(
    facts: &Facts<'_>,
    (phase, height, block): (Phase, Height, BlockId),
    rounds: std::ops::Range<u64>,
) -> bool {
    rounds.into_iter().any(|round| facts.certified(phase, height, Round(round), block))
}

fn of_height(past: &[Vote], height: Height, phase: Phase) -> impl Iterator<Item = &VoteData> {
    let data = past.iter().map(|vote| &vote.data);
    data.filter(move |data| (data.height, data.phase) == (height, phase))
}

/// Rounds that are looked at for a decision.
const ROUNDS: u64 = 16;

/// Basic HotStuff (arXiv 1803.05069, algorithm 2).
impl Paper for HotPokt {
    fn may_sign(
        facts: &Facts<'_>,
        me: usize,
        past: &[Vote],
        data: &VoteData,
    ) -> Result<(), String> {
        let VoteData { height, round, phase, block, .. } = *data;
        let of_round = |phase| facts.certified(phase, height, round, block);
        match phase {
            Phase::NewRound => Ok(()),
            Phase::Propose if facts.leader(height, round) != me => Err("as no leader".into()),
            Phase::Propose => Ok(()),
            Phase::Prepare => {
                let leader = facts.leader(height, round);
                let proposed = |data: &VoteData| (data.round, data.block) == (round, block);
                if !facts.byzantine[leader]
                    && !of_height(&facts.disks[leader].signed, height, Phase::Propose).any(proposed)
                {
                    return Err("which nobody proposed".into());
                }
                // safeNode, where lockedQC is the PreCommit certificate behind a Commit vote.
                let locked = of_height(past, height, Phase::Commit).max_by_key(|data| data.round);
                let stored = facts.disks[me].marks.iter().filter_map(|mark| match mark {
                    Mark::Lock(data) if data.height == height && data.round < round => Some(data),
                    _ => None,
                });
                let Some(lock) = stored.chain(locked).max_by_key(|data| data.round) else {
                    return Ok(());
                };
                let later = lock.round.0 + 1..round.0;
                if lock.block == block
                    || certified_between(facts, (Phase::Prepare, height, block), later)
                {
                    return Ok(());
                }
                Err(format!("locked on {}", show(lock)))
            }
            Phase::PreCommit if of_round(Phase::Prepare) => Ok(()),
            // Who decides by another's certificate still says that it was there.
            Phase::Commit if of_round(Phase::PreCommit) || of_round(Phase::Commit) => Ok(()),
            Phase::PreCommit | Phase::Commit => Err("which no certificate allows".into()),
        }
    }

    fn may_say(facts: &Facts<'_>, me: usize, message: &Message) -> Result<(), String> {
        let (vote, shown) = match message {
            Message::NewRound(message) => (&message.vote, &message.high_qc),
            Message::Proposal(proposal) => (&proposal.vote, &proposal.justify),
            _ => return Ok(()),
        };
        let data = &vote.data;
        let seen = of_height(&facts.disks[me].signed, data.height, Phase::PreCommit);
        let highest = seen.map(|data| data.round).filter(|round| *round < data.round).max();
        if shown.as_ref().map(|shown| shown.data.round) < highest {
            return Err(format!("node {me} hides a certificate at {}", show(data)));
        }
        Ok(())
    }

    fn decides(facts: &Facts<'_>, height: Height, block: BlockId) -> bool {
        certified_between(facts, (Phase::Commit, height, block), 0..ROUNDS)
    }
}
