//! What Byzantine validators make of their own signatures and of all that they hear.

use std::collections::BTreeSet;

use pocket_consensus::replica::message::{Message, Proposal};
use pocket_sim::cheap::CheapKeys;
use pocket_sim::soup::{Forged, View};
use pocket_types::block::{Block, Header, VERSION};
use pocket_types::codec::{Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round, Timestamp};
use pocket_types::scheme::Keys as _;
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};

use super::super::paper::{Facts, Paper};
use super::super::{Net, Node, SOUP_TIME, chain, node_of, state_root};
use super::{Soup, certificates};

/// A protocol that is put into the soup.
pub trait Subject: Paper {
    /// The phases in which blocks are voted for.
    const PHASES: &'static [Phase];

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
    pub(super) world: &'a Soup<P>,
    pub(super) view: &'a View<'v, Node<P>>,
    pub(super) out: Vec<Forged<Net>>,
}

impl<P: Subject> Forge<'_, '_, P> {
    pub fn byzantine(&self) -> impl Iterator<Item = usize> + use<P> {
        let byzantine = self.world.byzantine.clone();
        (0..byzantine.len()).filter(move |&node| byzantine[node])
    }

    /// Who leads a round of a height; of the epoch, where heights have no rounds of their own.
    pub fn leader(&self, height: Height, round: u64) -> usize {
        let height = if P::ID.is_chained() { Height::GENESIS } else { height };
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
            self.out.push(Forged { from, to: vec![to], message: Net::Consensus(message) });
        }
    }

    /// Says something to each honest node; each may hear of it or not.
    pub fn broadcast(&mut self, from: usize, message: Message) {
        let nodes = 0..self.world.byzantine.len();
        let to = nodes.filter(|&node| !self.world.byzantine[node]).collect();
        self.out.push(Forged { from, to, message: Net::Consensus(message) });
    }

    /// A vote to whom the protocol has it sent: one, or everybody.
    pub fn cast(&mut self, from: usize, to: Option<usize>, data: VoteData) {
        let message = Message::Vote(self.vote(from, data));
        match to {
            Some(to) => self.send(from, to, message),
            None => self.broadcast(from, message),
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

    /// A block that was proposed.
    pub fn body(&self, id: &BlockId) -> Option<&Block> {
        let mut proposals = self.view.messages().map(|sent| &sent.message).chain(self.said());
        proposals.find_map(|message| match message {
            Net::Consensus(Message::Proposal(proposal)) if proposal.vote.data.block == *id => {
                Some(&proposal.block)
            }
            _ => None,
        })
    }

    fn said(&self) -> impl Iterator<Item = &Net> {
        self.out.iter().map(|forged| &forged.message)
    }

    /// All certificates of a phase that were shown to anybody.
    pub fn certificates(&self, phase: Phase) -> Vec<Certificate> {
        let mut all: Vec<Certificate> = Vec::new();
        for message in self.view.messages().map(|sent| &sent.message).chain(self.said()) {
            let Net::Consensus(Message::Certificate(certificate)) = message else { continue };
            let is_new = || all.iter().all(|known| known.data != certificate.data);
            if certificate.data.phase == phase && is_new() {
                all.push((**certificate).clone());
            }
        }
        all
    }

    /// Proposes a block in a round.
    pub fn propose(
        &mut self,
        me: usize,
        round: u64,
        block: Block,
        justify: Option<Certificate>,
        entry: Option<Certificate>,
    ) {
        let data = self.data(block.header.height, round, Phase::Propose, block.id());
        let vote = self.vote(me, data);
        let message = Proposal { vote, block: block.clone(), justify, entry };
        let message = Message::Proposal(Box::new(message));
        let said = |known: &Net| matches!(known, Net::Consensus(known) if *known == message);
        if self.said().any(said) {
            return;
        }
        self.broadcast(me, message);
        P::proposed(self, &vote, &block);
        for &phase in P::PHASES {
            self.certify(VoteData { phase, ..data });
        }
    }

    /// Proposes two blocks on a certified one.
    pub fn extend(
        &mut self,
        me: usize,
        round: u64,
        parent: &Certificate,
        entry: Option<&Certificate>,
    ) {
        let header = self.body(&parent.data.block).map(|block| block.header.clone());
        let Some(header) = header else { return };
        for salt in 0..2 {
            let block = self.child(me, Some(&header), Some(parent.clone()), salt);
            self.propose(me, round, block, None, entry.cloned());
        }
    }

    /// Byzantine leaders of the epoch's rounds after this one.
    pub fn led_after(&self, round: Round) -> Vec<(usize, u64)> {
        let led = |&(me, later): &_| later > round.0 && self.leader(Height::GENESIS, later) == me;
        self.places().into_iter().filter(led).collect()
    }

    /// The Timeout QCs of a round.
    pub fn timeouts(&self, round: u64) -> Vec<Certificate> {
        let mut all = self.certificates(Phase::NewRound);
        all.retain(|certificate| certificate.data.round.0 == round);
        all
    }

    /// Proposes, as the leader whom a Timeout QC lets in, on every certificate of an earlier round.
    pub fn extend_all(&mut self, entry: &Certificate) {
        let round = entry.data.round.0;
        for me in self.byzantine() {
            if self.leader(Height::GENESIS, round) != me {
                continue;
            }
            if let Some(block) = self.block(me, Height(1), 0) {
                self.propose(me, round, block, None, Some(entry.clone()));
            }
            for parent in self.certificates(Phase::Prepare) {
                if parent.data.round.0 < round {
                    self.extend(me, round, &parent, Some(entry));
                }
            }
        }
    }

    /// Proposes two fresh blocks on the decided parent in one round.
    pub fn propose_two(&mut self, me: usize, height: Height, round: u64) {
        if self.leader(height, round) == me {
            let blocks = (0..2).filter_map(|salt| self.block(me, height, salt));
            for block in blocks.collect::<Vec<_>>() {
                self.propose(me, round, block, None, None);
            }
        }
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
    pub(super) fn hear(&mut self, message: &Message) {
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
                self.broadcast(from, Message::Certificate(Box::new(certificate.clone())));
                P::certified(self, &certificate);
            }
        }
    }

    /// Whether such a message was sent before the last step, or is being forged.
    fn knows(&self, such: impl Fn(&Message) -> bool) -> bool {
        let before = self.view.messages().count() - self.view.sent().count();
        let sent = self.view.messages().take(before).map(|sent| &sent.message);
        sent.chain(self.said()).any(|message| match message {
            Net::Consensus(message) => such(message),
            Net::Sync(_) => false,
        })
    }

    fn is_news(&self, data: &VoteData) -> bool {
        !self.knows(|message| certificates(message).any(|known| known.data == *data))
    }

    /// Where one replica is alone: every Timeout QC.
    pub fn certify_rounds(&mut self) {
        let height = if P::ID.is_chained() { Height::GENESIS } else { Height(1) };
        if P::ID != Protocol::Tendermint {
            for round in 1..=self.world.rounds {
                self.certify(self.data(height, round, Phase::NewRound, BlockId::default()));
            }
        }
    }

    /// Where one replica is alone, the others sign whatever they like: shows it a certificate.
    pub fn certify(&mut self, data: VoteData) {
        let shown = |message: &Net| matches!(message, Net::Consensus(Message::Certificate(known)) if known.data == data);
        if self.world.alone.is_none() || self.said().any(shown) {
            return;
        }
        let votes: Vec<Vote> = self.byzantine().map(|node| self.vote(node, data)).collect();
        let certificate = Certificate::from_votes(data, &votes, &self.world.electorate);
        let certificate = certificate.expect("three of four are a quorum");
        self.broadcast(0, Message::Certificate(Box::new(certificate.clone())));
        P::certified(self, &certificate);
    }

    /// The certificate that a vote completes, with those heard before it and the Byzantine ones. Of
    /// votes that vouch for different rounds, those of the lowest: a Timeout QC that demands little.
    fn certificate_with(&self, vote: &Vote) -> Option<Certificate> {
        let plain = |data: &VoteData| VoteData { high: None, ..*data };
        let data = plain(&vote.data);
        let heard = self.view.messages().filter_map(|sent| match &sent.message {
            Net::Consensus(Message::Vote(vote)) => Some(vote),
            Net::Consensus(Message::NewRound(message)) => Some(&message.vote),
            _ => None,
        });
        let heard = heard.filter(|vote| plain(&vote.data) == data);
        let heard = heard.map(|vote| (node_of(&vote.signer), vote.data.high));
        let own = self.byzantine().map(|node| (node, None));
        let mut signers: Vec<_> = heard.chain(own).collect();
        signers.sort_unstable_by_key(|&(node, high)| (high, node));
        let mut seen = BTreeSet::new();
        signers.retain(|(node, _)| seen.insert(*node));
        let quorum = 2 * self.world.seats.len() / 3 + 1;
        if signers.len() < quorum {
            return None;
        }
        if P::ID.signs_high() {
            signers.truncate(quorum);
        }
        let vote = |&(node, high): &_| self.vote(node, VoteData { high, ..data });
        let votes: Vec<Vote> = signers.iter().map(vote).collect();
        Certificate::from_votes(data, &votes, &self.world.electorate).ok()
    }
}
