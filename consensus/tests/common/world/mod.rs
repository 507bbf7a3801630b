//! Real replicas in the soup, and what Byzantine validators can say there.

mod chained;
mod forge;
mod hotpokt;
mod simplex;
mod tendermint;

use std::sync::OnceLock;

use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::Message;
use pocket_consensus::schedule::LeaderSchedule;
use pocket_sim::soup::{Fingerprint, Forged, Local, View, World};
use pocket_types::number::{Duration, Height};
use pocket_types::validator::Electorate;
use pocket_types::vote::Certificate;

use super::paper::{Facts, new_mark, new_vote};
use super::{Mark, Net, Node, Setup, config, node_of};

pub use forge::{Forge, Subject};

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
            beginning: OnceLock::new(),
            protocol: std::marker::PhantomData,
        }
    }

    fn facts<'a>(&'a self, view: &View<'a, Node<P>>) -> Facts<'a> {
        Facts {
            disks: view.nodes().map(Local::disk).collect(),
            weights: &self.setup.weights,
            byzantine: &self.byzantine,
            seats: &self.seats,
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
        replica.height().0 <= self.heights && replica.round().0 < self.rounds
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

    fn fingerprint(&self, _: &Local<Node<P>>, _: &mut Fingerprint) {}
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
