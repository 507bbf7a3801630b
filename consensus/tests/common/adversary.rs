//! What Byzantine validators do. They run the honest machine and twist what it says, so that their lies
//! come at the right moments; whatever they need signed they sign, but they forge nobody else's
//! signature.

use pocket_consensus::Message;
use pocket_consensus::replica::message::{NewRound, Proposal};
use pocket_sim::Random;
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::sortition::Priority;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::Setup;

/// A kind of fault. Each counts how often it took effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mischief {
    /// A leader shows every second replica another block.
    Equivocate,
    /// A vote goes out beside another for a made-up block.
    VoteTwice,
    /// A message is kept back.
    Withhold,
    /// A NewRound brings an older certificate than it could, or none.
    StaleQc,
    /// A proposal's justification, or its parent's certificate, is another one.
    WrongJustify,
    /// A leader hears nothing of one validator.
    Exclude,
    /// A proposal or certificate reaches a random part of the others only.
    Selective,
    /// A valid-looking message about things that exist, at a random place.
    Random,
    /// Blocks for syncing peers are changed.
    LieToSync,
    /// A candidate claims more than its proof gives.
    LieToWin,
    /// A candidacy of another validator, or of another round or height, comes beside its own.
    Impersonate,
}

impl Mischief {
    /// Those that any protocol gives occasion to.
    pub const ALL: [Self; 9] = [
        Self::Equivocate,
        Self::VoteTwice,
        Self::Withhold,
        Self::StaleQc,
        Self::WrongJustify,
        Self::Exclude,
        Self::Selective,
        Self::Random,
        Self::LieToSync,
    ];

    /// Those that elections give occasion to.
    pub const OF_CANDIDATES: [Self; 2] = [Self::LieToWin, Self::Impersonate];

    /// What it is called where it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocation",
            Self::VoteTwice => "second vote",
            Self::Withhold => "withheld message",
            Self::StaleQc => "stale certificate",
            Self::WrongJustify => "wrong justification",
            Self::Exclude => "exclusion",
            Self::Selective => "selective delivery",
            Self::Random => "random message",
            Self::LieToSync => "lie to a syncing peer",
            Self::LieToWin => "lie to win",
            Self::Impersonate => "impersonation",
        }
    }
}

/// A Byzantine validator's memory.
#[derive(Clone, Default)]
pub struct Adversary {
    pub node: usize,
    pub kinds: Vec<Mischief>,
    certificates: Vec<Certificate>,
    candidacies: Vec<Candidacy>,
    blocks: Vec<(Height, BlockId)>,
    last: Option<VoteData>,
    /// The part of the others that a selective leader favours in this round.
    favours: (Round, u64),
}

/// What it remembers at most of a kind.
const MEMORY: usize = 24;

impl Adversary {
    pub fn new(node: usize, kinds: &[Mischief]) -> Self {
        Self { node, kinds: kinds.to_vec(), ..Self::default() }
    }

    /// Whom it pretends not to hear.
    pub fn ignores(&self, from: usize, nodes: usize) -> bool {
        self.kinds.contains(&Mischief::Exclude) && from == (self.node + 1) % nodes
    }

    /// Remembers what a message shows.
    pub fn learn(&mut self, message: &Message) {
        match message {
            Message::NewRound(message) => {
                self.certificates.extend(message.high_qc.iter().cloned());
                self.certificates.extend(message.entry.iter().cloned());
                self.last = Some(message.vote.data);
            }
            Message::Proposal(proposal) => {
                let header = &proposal.block.header;
                self.blocks.push((header.height, header.id()));
                self.certificates.extend(proposal.justify.iter().cloned());
                self.certificates.extend(header.parent_certificate.iter().cloned());
                self.last = Some(proposal.vote.data);
            }
            Message::Certificate(certificate) => self.certificates.push((**certificate).clone()),
            Message::Vote(vote) => self.last = Some(vote.data),
            Message::Candidacy(candidacy) => self.candidacies.push(**candidacy),
            _ => {}
        }
        self.certificates.drain(..self.certificates.len().saturating_sub(MEMORY));
        self.candidacies.drain(..self.candidacies.len().saturating_sub(MEMORY));
        self.blocks.drain(..self.blocks.len().saturating_sub(MEMORY));
    }

    /// What one of the others hears instead of a message, and by which faults.
    pub fn twist(
        &mut self,
        setup: &Setup,
        random: &mut Random,
        to: usize,
        message: &Message,
    ) -> (Vec<Message>, Vec<Mischief>) {
        let mut done = Vec::new();
        let does = |kind: Mischief, random: &mut Random, odds: u64| {
            self.kinds.contains(&kind) && random.below(odds) == 0
        };
        let mut said = vec![message.clone()];
        let again = |data: VoteData| setup.vote(self.node, data);
        match message {
            Message::Proposal(proposal) => {
                let fresh = proposal.justify.is_none();
                if fresh && to % 2 == 1 && does(Mischief::Equivocate, random, 1) {
                    said = vec![equivocate(proposal, &again)];
                    done.push(Mischief::Equivocate);
                } else if does(Mischief::WrongJustify, random, 3)
                    && let Some(wrong) = self.pick(random)
                {
                    said = vec![misjustify(proposal, wrong, random, &again)];
                    done.push(Mischief::WrongJustify);
                }
            }
            Message::NewRound(message) if message.high_qc.is_some() => {
                if does(Mischief::StaleQc, random, 2) {
                    said = vec![self.stale(message, &again)];
                    done.push(Mischief::StaleQc);
                }
            }
            Message::Vote(vote)
                if vote.data.phase != Phase::NewRound && does(Mischief::VoteTwice, random, 1) =>
            {
                let block = BlockId(Hash([3; 32]));
                said.push(Message::Vote(again(VoteData { block, ..vote.data })));
                done.push(Mischief::VoteTwice);
            }
            Message::Candidacy(candidacy) => {
                if does(Mischief::LieToWin, random, 3) {
                    said = vec![lie(setup, self.node, candidacy.claim, random)];
                    done.push(Mischief::LieToWin);
                }
                if does(Mischief::Impersonate, random, 3)
                    && let Some(other) = pick(&self.candidacies, random)
                {
                    let Claim { height, round, .. } = candidacy.claim;
                    let mut claim = other.claim;
                    let other = match random.below(3) {
                        // As it came, but from us; as if it were ours; as if it were of this round.
                        0 => other,
                        1 => {
                            claim.candidate = setup.public(self.node);
                            setup.announce(self.node, claim)
                        }
                        _ => {
                            (claim.height, claim.round) = (height, round);
                            Candidacy { claim, ..other }
                        }
                    };
                    said.push(Message::Candidacy(Box::new(other)));
                    done.push(Mischief::Impersonate);
                }
            }
            _ => {}
        }
        if matches!(message, Message::Proposal(_) | Message::Certificate(_) | Message::Candidacy(_))
            && does(Mischief::Selective, random, 2)
        {
            let round = self.last.map_or(Round::ZERO, |data| data.round);
            if self.favours.0 != round {
                self.favours = (round, random.below(u64::MAX));
            }
            if self.favours.1 >> (to % 64) & 1 == 0 {
                said.clear();
                done.push(Mischief::Selective);
            }
        }
        if !said.is_empty() && does(Mischief::Withhold, random, 8) {
            said.clear();
            done.push(Mischief::Withhold);
        }
        if does(Mischief::Random, random, 6)
            && let Some(forged) = self.invent(random, &again)
        {
            said.push(forged);
            done.push(Mischief::Random);
        }
        (said, done)
    }

    fn pick(&self, random: &mut Random) -> Option<Certificate> {
        pick(&self.certificates, random)
    }

    fn stale(&self, message: &NewRound, again: &impl Fn(VoteData) -> Vote) -> Message {
        let known = message.high_qc.as_ref().map(|qc| qc.data);
        let older = |qc: &&Certificate| {
            known.is_some_and(|known| {
                let VoteData { height, phase, .. } = qc.data;
                (height, phase) == (known.height, known.phase) && qc.data.round < known.round
            })
        };
        let high_qc = self.certificates.iter().rev().find(older).cloned();
        let mut data = message.vote.data;
        if data.protocol.signs_high() {
            data.high = high_qc.as_ref().map(|qc| qc.data.round);
        }
        Message::NewRound(Box::new(NewRound { vote: again(data), high_qc, ..message.clone() }))
    }

    /// A message about things that exist, at a place near the last one heard of.
    fn invent(&self, random: &mut Random, again: &impl Fn(VoteData) -> Vote) -> Option<Message> {
        const PHASES: [Phase; 5] =
            [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit, Phase::Commit];
        let last = self.last?;
        let phase = PHASES[random.below(5) as usize];
        let round = Round((last.round.0 + random.below(4)).saturating_sub(1));
        let (height, block) = match phase {
            Phase::NewRound => (last.height, BlockId::default()),
            _ if self.blocks.is_empty() => return None,
            _ => self.blocks[random.below(self.blocks.len() as u64) as usize],
        };
        let high = (phase == Phase::NewRound && last.protocol.signs_high())
            .then(|| Round(random.below(round.0 + 1)));
        let vote = again(VoteData { height, round, phase, block, high, ..last });
        Some(match (phase, random.below(3)) {
            (Phase::NewRound, _) => {
                let [high_qc, entry] =
                    [(); 2].map(|()| self.pick(random).filter(|_| random.below(2) == 0));
                Message::NewRound(Box::new(NewRound { vote, high_qc, entry, commit: None }))
            }
            (_, 0) => Message::Certificate(Box::new(self.pick(random)?)),
            _ => Message::Vote(vote),
        })
    }
}

fn pick<T: Clone>(known: &[T], random: &mut Random) -> Option<T> {
    known.get(random.below(known.len().max(1) as u64) as usize).cloned()
}

/// A claim that its proof contradicts.
fn lie(setup: &Setup, node: usize, mut claim: Claim, random: &mut Random) -> Message {
    match random.below(4) {
        0 => claim.priority = Priority(Hash([0xff; 32])),
        1 => claim.selected += 1,
        2 => claim.proof.0[7] ^= 1,
        _ => claim.round.0 += 1,
    }
    Message::Candidacy(Box::new(setup.announce(node, claim)))
}

fn equivocate(proposal: &Proposal, again: &impl Fn(VoteData) -> Vote) -> Message {
    let mut other = proposal.clone();
    other.block.header.time.0 += 1;
    other.vote = again(VoteData { block: other.block.id(), ..other.vote.data });
    Message::Proposal(Box::new(other))
}

fn misjustify(
    proposal: &Proposal,
    wrong: Certificate,
    random: &mut Random,
    again: &impl Fn(VoteData) -> Vote,
) -> Message {
    let mut other = proposal.clone();
    match random.below(4) {
        0 => other.justify = Some(wrong),
        1 => other.justify = None,
        2 => other.entry = Some(wrong),
        _ => {
            other.block.header.parent_certificate = Some(wrong);
            other.vote = again(VoteData { block: other.block.id(), ..other.vote.data });
        }
    }
    Message::Proposal(Box::new(other))
}
