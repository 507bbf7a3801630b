//! Real replicas in the soup, and what Byzantine validators can say there.

mod chained;
mod fingerprint;
mod forge;
mod hotpokt;
mod simplex;
mod tendermint;

use std::borrow::Cow;
use std::sync::OnceLock;

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::Message;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_sim::cheap::CheapKeys;
use pocket_sim::soup::{Fingerprint, Forged, Local, View, World};
use pocket_types::number::{Duration, Height};
use pocket_types::scheme::VoteSignature;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote, VoteData};

use super::paper::{Facts, new_mark, new_vote};
use super::{Disk, Mark, Net, Node, Setup, config, node_of};

pub use forge::{Forge, Subject};

/// The replica that is alone.
pub const ALONE: usize = 3;

/// Replicas of one protocol, their clocks aside: a tick is a round given up.
pub struct Soup<P> {
    setup: Setup,
    electorate: Electorate,
    /// Nodes in the order of their public keys.
    seats: Vec<usize>,
    byzantine: Vec<bool>,
    /// Where a node stops: after this height, or in this round.
    heights: u64,
    rounds: u64,
    /// Who leads every round where one replica is alone.
    alone: Option<usize>,
    /// What Byzantine validators say first.
    beginning: OnceLock<Vec<Forged<Net>>>,
    protocol: std::marker::PhantomData<P>,
}

impl<P: Subject> Soup<P> {
    pub fn new(nodes: usize, byzantine: &[usize], heights: u64, rounds: u64) -> Self {
        let never = Duration(1 << 40);
        let setup = Setup {
            soup: true,
            byzantine: byzantine.iter().copied().collect(),
            config: Config {
                schedule: LeaderSchedule::RoundRobin,
                block_time: Duration(0),
                timeout_growth: 100,
                resend: never,
                max_drift: Duration(1 << 60),
                ..config()
            },
            execution: Duration(0),
            gossip: false,
            ..Setup::cheap(&vec![10; nodes])
        };
        let electorate = setup.electorate(setup.set_at(1));
        let members = electorate.set().members.iter();
        Self {
            seats: members.map(|member| node_of(&member.public_key)).collect(),
            byzantine: (0..nodes).map(|node| byzantine.contains(&node)).collect(),
            electorate,
            setup,
            heights,
            rounds,
            alone: None,
            beginning: OnceLock::new(),
            protocol: std::marker::PhantomData,
        }
    }

    /// A world small enough to search whole: one replica, alone among three validators who sign
    /// whatever they like, so that it may hear any certificate, and any two that contradict. It is
    /// judged by what it has heard: `leader` leads every round.
    pub fn alone(leader: usize, heights: u64, rounds: u64) -> Self {
        let mut soup = Self::new(4, &[0, 1, 2], heights, rounds);
        soup.setup.config.schedule = LeaderSchedule::Fixed(soup.setup.public(leader));
        soup.setup.terse = true;
        soup.alone = Some(leader);
        soup
    }

    fn facts<'a>(&'a self, view: &View<'a, Node<P>>) -> Facts<'a> {
        let mut disks: Vec<Cow<'a, Disk>> =
            view.nodes().map(|node| Cow::Borrowed(node.disk())).collect();
        if self.alone.is_some() {
            let heard = &view.nodes().nth(ALONE).expect("there are four").disk().heard;
            for vote in heard.iter().filter(|vote| node_of(&vote.signer) != ALONE) {
                disks[node_of(&vote.signer)].to_mut().signed.push(*vote);
            }
        }
        Facts {
            disks,
            weights: &self.setup.weights,
            byzantine: if self.alone.is_some() { &[false; 4] } else { &self.byzantine },
            seats: &self.seats,
            only_leader: self.alone,
        }
    }
}

impl<P: Subject> World for Soup<P> {
    type Process = Node<P>;

    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn nodes(&self) -> usize {
        self.byzantine.len()
    }

    fn is_within(&self, node: &Local<Node<P>>) -> bool {
        let Some(machine) = &node.process().machine else { return false };
        let replica = &machine.replica;
        // Who has given up the last round has nothing more to say in a search.
        let gave_up = |vote: &Vote| vote.data.round.0 >= self.rounds;
        let done = self.alone.is_some() && node.disk().signed.last().is_some_and(gave_up);
        replica.height().0 <= self.heights && replica.round().0 < self.rounds && !done
    }

    fn check(&self, view: &View<'_, Node<P>>) -> Result<(), String> {
        let (me, disk) = (view.moved().index(), view.moved().disk());
        if let Some(broken) = &disk.broken {
            return Err(format!("node {me}: {broken}"));
        }
        let facts = self.facts(view);
        let (old, new) = disk.marks.split_at(disk.marks.len() - view.stored());
        let mut signed = old.iter().filter(|mark| matches!(mark, Mark::Signed(_))).count();
        for (index, mark) in new.iter().enumerate() {
            new_mark(&disk.marks[..old.len() + index], mark)?;
            if matches!(mark, Mark::Signed(_)) {
                new_vote::<P>(&facts, &disk.signed[..signed], &disk.signed[signed])?;
                signed += 1;
            }
        }
        for sent in view.sent().filter(|sent| !self.byzantine[sent.from]) {
            let Net::Consensus(message) = &sent.message else { continue };
            for certificate in certificates(message) {
                facts.tally(certificate)?;
            }
            P::may_say(&facts, sent.from, message)?;
        }
        for (index, block) in disk.decided.iter().enumerate() {
            let other = facts.disks.iter().filter_map(|disk| disk.decided.get(index));
            if let Some(other) = other.into_iter().find(|other| *other != block) {
                return Err(format!("{block} and {other} are decided at {}", index + 1));
            }
            if view.stored() > 0 && !P::decides(&facts, Height(index as u64 + 1), *block) {
                return Err(format!("node {me} decides {block} without a quorum"));
            }
        }
        Ok(())
    }

    fn forge(&self, view: &View<'_, Node<P>>) -> Vec<Forged<Net>> {
        if !self.byzantine.contains(&true) {
            return Vec::new();
        }
        let mut forge = Forge { world: self, view, out: Vec::new() };
        if view.messages().next().is_none() {
            return self
                .beginning
                .get_or_init(|| {
                    P::begin(&mut forge);
                    forge.certify_rounds();
                    std::mem::take(&mut forge.out)
                })
                .clone();
        }
        for sent in view.sent() {
            if let Net::Consensus(message) = &sent.message {
                forge.hear(message);
            }
        }
        forge.out
    }

    fn fingerprint(&self, node: &Local<Node<P>>, to: &mut Fingerprint) {
        let _ = fingerprint::write(node, to);
    }
}

/// What a message lets its receiver know to be signed: nothing of a certificate that doesn't hold.
pub fn signatures(setup: &Setup, message: &Net) -> Vec<Vote> {
    let Net::Consensus(message) = message else { return Vec::new() };
    let set = setup.set_at(1);
    let mut heard = match message {
        Message::Proposal(proposal) => vec![proposal.vote],
        Message::Vote(vote) => vec![*vote],
        _ => Vec::new(),
    };
    for certificate in certificates(message) {
        let signers = certificate.signers.iter().enumerate();
        let seats = signers.flat_map(|(byte, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| 8 * byte + bit)
        });
        let votes = seats.enumerate().map(|(index, seat)| {
            let high = certificate.highs.get(index).copied().unwrap_or(certificate.data.high);
            let data = VoteData { high, ..certificate.data };
            CheapKeys(node_of(&set.members[seat].public_key) as u64).vote(data)
        });
        let votes: Vec<Vote> = votes.collect();
        let signed = votes.iter().flat_map(|vote| match vote.signature {
            VoteSignature::Ed25519(signature) => signature.0.to_vec(),
            _ => Vec::new(),
        });
        if 3 * votes.len() > 2 * set.members.len()
            && signed.eq(certificate.signatures.iter().copied())
        {
            heard.extend(votes);
        }
    }
    heard
}

/// The certificates that a message shows.
pub fn certificates(message: &Message) -> impl Iterator<Item = &Certificate> {
    let shown = match message {
        Message::NewRound(message) => [&message.high_qc, &message.entry, &None],
        Message::Proposal(proposal) => {
            [&proposal.justify, &proposal.entry, &proposal.block.header.parent_certificate]
        }
        Message::Block(block) => [&block.header.parent_certificate, &None, &None],
        _ => [&None; 3],
    };
    let alone = match message {
        Message::Certificate(certificate) => Some(&**certificate),
        _ => None,
    };
    shown.into_iter().flatten().chain(alone)
}
