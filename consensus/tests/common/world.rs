//! Real replicas in the soup, and what Byzantine validators can say there.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use pocket_consensus::HotPokt;
use pocket_consensus::replica::config::Config;
use pocket_consensus::replica::message::{Message, NewRound, Proposal};
use pocket_consensus::schedule::LeaderSchedule;
use pocket_sim::cheap::CheapKeys;
use pocket_sim::soup::{Fingerprint, Local, Sent, View, World};
use pocket_types::block::{Block, Header, VERSION};
use pocket_types::codec::{Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::number::{Duration, Height, Round, Timestamp};
use pocket_types::scheme::Keys as _;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::paper::{Facts, Paper, new_mark, new_vote};
use super::{Mark, Net, Node, SOUP_TIME, Setup, chain, config, node_of, state_root};

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
    beginning: OnceLock<Vec<Sent<Net>>>,
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

    fn forge(&self, view: &View<'_, Node<P>>) -> Vec<Sent<Net>> {
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

/// A protocol that is put into the soup.
pub trait Subject: Paper {
    /// What Byzantine validators can say before anybody else has said anything.
    fn begin(forge: &mut Forge<'_, '_, Self>);

    /// What they can say once a block was proposed.
    fn proposed(forge: &mut Forge<'_, '_, Self>, vote: &Vote, block: &Block);

    /// What they can say with a new certificate.
    fn certified(forge: &mut Forge<'_, '_, Self>, certificate: &Certificate);
}

/// Makes messages in the names of Byzantine validators, of their own signatures and what they heard:
/// everything that was sent to anybody.
pub struct Forge<'a, 'v, P: Subject> {
    world: &'a Soup<P>,
    view: &'a View<'v, Node<P>>,
    out: Vec<Sent<Net>>,
}

impl<P: Subject> Forge<'_, '_, P> {
    pub fn byzantine(&self) -> impl Iterator<Item = usize> + use<P> {
        let byzantine = self.world.byzantine.clone();
        (0..byzantine.len()).filter(move |&node| byzantine[node])
    }

    pub fn leader(&self, height: Height, round: u64) -> usize {
        self.facts().leader(height, Round(round))
    }

    pub fn facts(&self) -> Facts<'_> {
        self.world.facts(self.view)
    }

    /// Byzantine validators, each with all rounds.
    pub fn places(&self) -> Vec<(usize, u64)> {
        let rounds = self.world.rounds;
        self.byzantine().flat_map(|me| (0..rounds).map(move |round| (me, round))).collect()
    }

    pub fn data(&self, height: Height, round: u64, phase: Phase, block: BlockId) -> VoteData {
        VoteData {
            protocol: P::ID,
            chain: chain(),
            epoch: self.world.electorate.epoch(),
            validators: self.world.electorate.hash(),
            height,
            round: Round(round),
            phase,
            block,
            high: None,
        }
    }

    pub fn vote(&self, node: usize, data: VoteData) -> Vote {
        CheapKeys(node as u64).vote(data)
    }

    /// Says something to an honest node.
    pub fn send(&mut self, from: usize, to: usize, message: Message) {
        if !self.world.byzantine[to] {
            self.out.push(Sent { from, to, message: Net::Consensus(message) });
        }
    }

    pub fn broadcast(&mut self, from: usize, message: &Message) {
        for to in 0..self.world.byzantine.len() {
            self.send(from, to, message.clone());
        }
    }

    /// A valid block of a Byzantine proposer on the decided parent of this height, if somebody has
    /// decided that; blocks differ by their salt.
    pub fn block(&self, proposer: usize, height: Height, salt: u64) -> Option<Block> {
        let parent = match height.0.checked_sub(2) {
            None => None,
            Some(at) => {
                let chains = self.view.nodes().map(|node| &node.disk().chain);
                Some(chains.filter_map(|chain| chain.get(at as usize)).next()?)
            }
        };
        let certificate = parent.map(|parent| parent.proof.links[0].certificate.clone());
        Some(self.child(proposer, parent.map(|parent| &parent.block.header), certificate, salt))
    }

    /// A valid block of a Byzantine proposer on any parent, with the certificate that goes into its
    /// header.
    pub fn child(
        &self,
        proposer: usize,
        parent: Option<&Header>,
        certificate: Option<Certificate>,
        salt: u64,
    ) -> Block {
        let height = parent.map_or(Height::GENESIS, |parent| parent.height).next();
        let id = parent.map(Header::id).unwrap_or_default();
        let before = parent.map_or(Hash::ZERO, |parent| parent.randomness);
        let time = parent.map_or(SOUP_TIME, |parent| parent.time);
        let keys = CheapKeys(proposer as u64);
        let (randomness, randomness_proof) = keys.beacon(before, height);
        let header = Header {
            version: VERSION,
            chain: chain(),
            height,
            epoch: self.world.electorate.epoch(),
            parent: id,
            parent_certificate: certificate,
            time: Timestamp(time.0 + 100 + salt),
            proposer: keys.public_key(),
            state_root: state_root(id, height),
            transactions_root: Block::transactions_root(&[]),
            evidence_root: Block::evidence_root(&[]),
            validators: self.world.electorate.hash(),
            next_validators: self.world.electorate.hash(),
            randomness,
            randomness_proof,
        };
        Block { header, transactions: List::empty(), evidence: List::empty() }
    }

    /// A block that was proposed, or of which a body was sent.
    pub fn body(&self, id: &BlockId) -> Option<&Block> {
        let bodies = self.view.messages().filter_map(|sent| match &sent.message {
            Net::Consensus(Message::Proposal(proposal)) => {
                Some((proposal.vote.data.block, &proposal.block))
            }
            _ => None,
        });
        bodies.filter(|(known, _)| known == id).map(|(_, block)| block).next()
    }

    /// A certificate of Byzantine signatures and false ones of others.
    pub fn false_certificate(&self, data: VoteData) -> Certificate {
        let of = |node: usize| {
            let mut vote = self.vote(node, data);
            if !self.world.byzantine[node] {
                vote.signature = self.vote((node + 1) % self.world.seats.len(), data).signature;
            }
            vote
        };
        let votes: Vec<Vote> = self.world.seats.iter().map(|&node| of(node)).collect();
        Certificate::from_votes(data, &votes, &self.world.electorate).expect("all signed")
    }

    /// A certificate of too few signatures: the Byzantine ones.
    pub fn light_certificate(&self, data: VoteData) -> Certificate {
        let full = self.false_certificate(data);
        let own: Vec<Vote> = self.byzantine().map(|node| self.vote(node, data)).collect();
        let mut bits = vec![0; full.signers.len()];
        let mut signatures = Vec::new();
        for (seat, node) in self.world.seats.iter().enumerate() {
            let vote = own.iter().find(|vote| node_of(&vote.signer) == *node);
            let Some(pocket_types::scheme::VoteSignature::Ed25519(signature)) =
                vote.map(|vote| vote.signature)
            else {
                continue;
            };
            bits[seat / 8] |= 1 << (seat % 8);
            signatures.extend_from_slice(&signature.0);
        }
        Certificate {
            signers: Bytes::new(bits).expect("as many as before"),
            signatures: Bytes::new(signatures).expect("fewer than before"),
            ..full
        }
    }

    /// What follows from a message that somebody honest has just sent.
    fn hear(&mut self, message: &Message) {
        let mut certified: Vec<Certificate> = certificates(message).cloned().collect();
        match message {
            Message::NewRound(message) => certified.extend(self.certificate_with(&message.vote)),
            Message::Vote(vote) => certified.extend(self.certificate_with(vote)),
            Message::Proposal(proposal) => {
                let vote = &proposal.vote;
                let same = |message: &Message| matches!(message, Message::Proposal(other) if other.vote == *vote);
                if !self.knows(same) {
                    P::proposed(self, vote, &proposal.block);
                }
            }
            _ => {}
        }
        for certificate in certified {
            if self.is_news(&certificate.data) {
                let from = self.byzantine().next().expect("only Byzantine validators forge");
                self.broadcast(from, &Message::Certificate(Box::new(certificate.clone())));
                P::certified(self, &certificate);
            }
        }
    }

    /// Whether such a message was sent before the last step, or is being forged.
    fn knows(&self, such: impl Fn(&Message) -> bool) -> bool {
        let before = self.view.messages().count() - self.view.sent().count();
        let known = self.view.messages().take(before).chain(&self.out);
        known.into_iter().any(|sent| match &sent.message {
            Net::Consensus(message) => such(message),
            Net::Sync(_) => false,
        })
    }

    fn is_news(&self, data: &VoteData) -> bool {
        !self.knows(|message| certificates(message).any(|known| known.data == *data))
    }

    /// The certificate that a vote completes, with those heard before it and the Byzantine ones.
    fn certificate_with(&self, vote: &Vote) -> Option<Certificate> {
        let data = &vote.data;
        let heard = self.view.messages().filter_map(|sent| match &sent.message {
            Net::Consensus(Message::Vote(vote)) => Some(vote),
            Net::Consensus(Message::NewRound(message)) => Some(&message.vote),
            _ => None,
        });
        let heard = heard.filter(|vote| vote.data == *data).map(|vote| node_of(&vote.signer));
        let signers: BTreeSet<usize> = heard.chain(self.byzantine()).collect();
        if 3 * signers.len() <= 2 * self.world.seats.len() {
            return None;
        }
        let votes: Vec<Vote> = signers.iter().map(|&node| self.vote(node, *data)).collect();
        Certificate::from_votes(*data, &votes, &self.world.electorate).ok()
    }
}

/// The forgeries of HotPOKT: proposals of any known block beside any certificate, NewRounds with old
/// certificates and false ones, a vote for everything, and every certificate as soon as it can be made.
impl Subject for HotPokt {
    fn begin(forge: &mut Forge<'_, '_, Self>) {
        let height = Height(1);
        for (me, round) in forge.places() {
            let data = forge.data(height, round, Phase::NewRound, BlockId::default());
            let new_round = |high_qc, entry| {
                let vote = forge.vote(me, data);
                Message::NewRound(Box::new(NewRound { vote, high_qc, entry, commit: None }))
            };
            let block = forge.block(me, height, 0).expect("genesis is known").id();
            let honest = new_round(None, None);
            let mut lies = Vec::new();
            if let Some(before) = round.checked_sub(1) {
                let prepared = forge.data(height, before, Phase::Prepare, block);
                lies.push(new_round(Some(forge.false_certificate(prepared)), None));
                lies.push(new_round(Some(forge.light_certificate(prepared)), None));
                lies.push(new_round(None, Some(forge.false_certificate(data))));
            }
            let leader = forge.leader(height, round);
            forge.broadcast(me, &honest);
            lies.into_iter().for_each(|lie| forge.send(me, leader, lie));
            propose_two(forge, me, height, round);
        }
    }

    fn proposed(forge: &mut Forge<'_, '_, Self>, vote: &Vote, block: &Block) {
        let VoteData { height, round, .. } = vote.data;
        let leader = forge.leader(height, round.0);
        for me in forge.byzantine() {
            for phase in [Phase::Prepare, Phase::PreCommit, Phase::Commit] {
                let data = forge.data(height, round.0, phase, block.id());
                forge.send(me, leader, Message::Vote(forge.vote(me, data)));
            }
        }
    }

    fn certified(forge: &mut Forge<'_, '_, Self>, certificate: &Certificate) {
        let VoteData { height, round, block, phase, .. } = certificate.data;
        let later = forge.places().into_iter().filter(|(_, later)| *later > round.0);
        match phase {
            Phase::Prepare => {
                let body = forge.body(&block).cloned();
                for (me, later) in later {
                    let leader = forge.leader(height, later);
                    let data = forge.data(height, later, Phase::NewRound, BlockId::default());
                    let (vote, high_qc) = (forge.vote(me, data), Some(certificate.clone()));
                    let message = NewRound { vote, high_qc, entry: None, commit: None };
                    forge.send(me, leader, Message::NewRound(Box::new(message)));
                    if leader == me {
                        let other = forge.block(me, height, 0);
                        for block in body.clone().into_iter().chain(other) {
                            propose(forge, me, later, block, Some(certificate.clone()));
                        }
                    }
                }
            }
            Phase::Commit => {
                for (me, round) in forge.places() {
                    propose_two(forge, me, height.next(), round);
                }
            }
            _ => {}
        }
    }
}

/// Two fresh blocks for one round.
fn propose_two<P: Subject>(forge: &mut Forge<'_, '_, P>, me: usize, height: Height, round: u64) {
    if forge.leader(height, round) == me {
        for block in (0..2).filter_map(|salt| forge.block(me, height, salt)).collect::<Vec<_>>() {
            propose(forge, me, round, block, None);
        }
    }
}

fn propose<P: Subject>(
    forge: &mut Forge<'_, '_, P>,
    me: usize,
    round: u64,
    block: Block,
    justify: Option<Certificate>,
) {
    let data = forge.data(block.header.height, round, Phase::Propose, block.id());
    let vote = forge.vote(me, data);
    let message = Proposal { vote, block: block.clone(), justify, entry: None };
    forge.broadcast(me, &Message::Proposal(Box::new(message)));
    P::proposed(forge, &vote, &block);
}
