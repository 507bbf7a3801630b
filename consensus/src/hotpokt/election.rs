//! Who leads, where leaders are elected: running, hearing of candidates, choosing, and what of a
//! proposal or a vote depends on it. See [`crate::election`].

use alloc::boxed::Box;
use alloc::collections::BTreeSet;

use pocket_types::candidacy::{Candidacy, CandidacyError, Election, VrfMisuse};
use pocket_types::evidence::Evidence;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp, Weight};
use pocket_types::sortition::Priority;
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase};

use super::{Fx, Heard, HotPokt};
use crate::candidates::Candidates;
use crate::common::{Core, header, misplaced};
use crate::protocol::Protocol as _;
use crate::replica::error::Refusal;
use crate::replica::message::{Message, Proposal};
use crate::replica::output::Output;

/// What is known of the election of the round's leader.
#[derive(Clone, Debug)]
pub(super) struct Contest {
    pub(super) candidates: Candidates,
    /// Our own announcement for the round.
    ours: Option<Candidacy>,
    /// Who has entered the round and chosen us, by position, and their weight.
    followers: BTreeSet<usize>,
    following: u64,
    /// A proposal that came before we have chosen a leader: the best one's.
    held: Option<(PublicKey, Proposal)>,
    /// Who showed us a certificate of a round: votes go there while no proposal is known.
    collector: Option<(Round, PublicKey)>,
}

impl Contest {
    /// Nobody runs yet; none where leaders take turns.
    pub(super) fn new(core: &Core) -> Option<Self> {
        core.config.election?;
        let candidates = Candidates::new(core.height(), Round::ZERO, core.config.round_window);
        let (ours, held, collector) = (None, None, None);
        let (followers, following) = (BTreeSet::new(), 0);
        Some(Self { candidates, ours, followers, following, held, collector })
    }

    /// What a proposer is worth, as far as we have heard.
    fn rank(&self, proposer: PublicKey, fallback: PublicKey) -> Option<Priority> {
        let heard = self.candidates.priority(&proposer);
        heard.or_else(|| (proposer == fallback).then_some(Priority::FALLBACK))
    }
}

impl Core {
    /// The election of the leaders of the height being decided.
    fn election(&self) -> Option<Election<'_>> {
        Some(Election {
            chain: self.tip.chain(),
            seed: self.tip.seed()?,
            committee: self.config.election?.committee,
            electorate: self.tip.validators(),
        })
    }
}

impl HotPokt {
    /// Opens the contest for the round that we have entered, and runs if we are selected.
    pub(super) fn run(&mut self, fx: &mut Fx) {
        let Some(contest) = &mut self.contest else { return };
        let (height, round) = (self.core.height(), self.round.number);
        contest.candidates.enter(height, round);
        (contest.ours, contest.held) = (None, None);
        (contest.followers, contest.following) = (BTreeSet::new(), 0);
        if self.by_votes() {
            return;
        }
        let Some((signer, election)) = self.core.signer.as_ref().zip(self.core.election()) else {
            return;
        };
        let claim = election.claim(height, round, signer.public_key());
        let Some(candidacy) = claim.and_then(|claim| signer.candidacy(claim)) else { return };
        // A claim that contradicts itself costs the stake, so whatever guards our keys is not
        // believed.
        let Ok(candidate) = election.check(&candidacy) else { return };
        if let Some(contest) = &mut self.contest {
            contest.candidates.hear(candidate);
            contest.ours = Some(candidacy);
        }
        let message = Message::Candidacy(Box::new(candidacy));
        fx.emit(Output::Broadcast { to: self.core.electorate(), message });
    }

    /// Whether votes of the round itself let us in: then it has had a leader already.
    fn by_votes(&self) -> bool {
        self.round.entry.as_ref().is_some_and(|entry| entry.data.phase != Phase::NewRound)
    }

    /// Says again that we run, as long as somebody may choose or has to follow us.
    pub(super) fn run_again(&self, fx: &mut Fx) {
        let ours = self.contest.as_ref().and_then(|contest| contest.ours);
        if let Some(candidacy) = ours.filter(|_| self.is_unsettled() || self.is_leader()) {
            let message = Message::Candidacy(Box::new(candidacy));
            fx.emit(Output::Broadcast { to: self.core.electorate(), message });
        }
    }

    pub(super) fn on_candidacy(
        &mut self,
        from: PublicKey,
        candidacy: Candidacy,
        fx: &mut Fx,
    ) -> Heard {
        let claim = candidacy.claim;
        let Some(election) = self.core.election() else { return Err(Refusal::NoElection) };
        if claim.chain != election.chain {
            let (got, expected) = (claim.chain, election.chain);
            return Err(Refusal::WrongChain { got, expected });
        }
        if claim.candidate != from {
            return Err(Refusal::Relayed { signer: claim.candidate, from });
        }
        if claim.height > self.core.height() {
            self.core.later(from, claim.height, Message::Candidacy(Box::new(candidacy)), fx);
            return Ok(());
        }
        let here = (self.core.height(), self.round.number);
        if (claim.height, claim.round) < here && !trap!("vrf_other_height") {
            return Ok(());
        }
        let Some(contest) = &mut self.contest else { return Err(Refusal::NoElection) };
        if !contest.candidates.wants(&claim) {
            return Ok(());
        }
        match election.check(&candidacy) {
            Ok(candidate) => {
                contest.candidates.hear(candidate);
            }
            Err(CandidacyError::Contradiction(_)) => {
                contest.candidates.refuse(&claim);
                self.core.accuse(Evidence::VrfMisuse(VrfMisuse(candidacy)), fx);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether we still listen to candidates.
    pub(super) fn is_unsettled(&self) -> bool {
        self.contest.as_ref().is_some_and(|contest| contest.candidates.leader().is_none())
    }

    /// The wait is over: chooses a leader, and looks at what it may have proposed already.
    pub(super) fn settle(&mut self, now: Timestamp, fx: &mut Fx) {
        let fallback = self.core.leader(self.round.number);
        let Some(contest) = &mut self.contest else { return };
        contest.candidates.settle(fallback);
        let held = contest.held.take();
        if !self.by_votes() {
            self.announce(false, fx);
        }
        if let Some((from, proposal)) = held {
            self.deliver(now, from, Message::Proposal(Box::new(proposal)), fx);
        }
        self.try_propose(now, fx);
    }

    /// Whom we ask to lead the round; nobody yet while we listen to candidates.
    pub fn leader(&self) -> Option<PublicKey> {
        match &self.contest {
            None => Some(self.core.leader(self.round.number)),
            Some(contest) => contest.candidates.leader(),
        }
    }

    /// Whether we lead the round: chosen by ourselves or by a quorum, unless another's proposal is
    /// the one that we follow.
    pub(super) fn is_leader(&self) -> bool {
        let Some(contest) = &self.contest else { return self.core.leads(self.round.number) };
        if self.core.position.is_none() {
            return false;
        }
        let ours = self.core.public_key();
        if let Some(proposed) = self.round.proposed {
            return ours == Some(proposed.signer);
        }
        contest.candidates.leader() == ours
            || self.core.tip.validators().is_quorum(Weight(contest.following))
    }

    /// Takes note of a NewRound of our round by somebody whom we know to be in it: it was sent to us
    /// alone.
    pub(super) fn follow(&mut self, round: Round, entered: Round, position: usize) {
        if let Some(contest) = &mut self.contest
            && round == self.round.number
            && entered == round
            && contest.followers.insert(position)
        {
            // No overflow: the weights of all members fit.
            let member = self.core.tip.validators().member(position);
            contest.following += member.map_or(0, |member| member.weight.0);
        }
    }

    /// Where votes of our round go.
    pub(super) fn collector(&self) -> Option<PublicKey> {
        let Some(contest) = &self.contest else {
            return Some(self.core.leader(self.round.number));
        };
        let shown = contest.collector.filter(|(round, _)| *round == self.round.number);
        let proposed = self.round.proposed.map(|vote| vote.signer);
        let shown = shown.map(|(_, from)| from);
        proposed.or(shown).or_else(|| contest.candidates.leader())
    }

    /// Remembers who showed a certificate of votes: a round's leader shows its own again and again.
    pub(super) fn shown(&mut self, from: PublicKey, certificate: &Certificate) {
        if let Some(contest) = &mut self.contest
            && certificate.data.phase != Phase::NewRound
        {
            contest.collector = Some((certificate.data.round, from));
        }
    }

    /// Whether a proposal, signed by a member, is to be judged now. Its entry certificate takes us into
    /// its round. In our round it waits until we have chosen a leader, and counts only if its signer
    /// may lead.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        proposal: Proposal,
        fx: &mut Fx,
    ) -> Result<Option<Proposal>, Refusal> {
        let data = proposal.vote.data;
        if self.contest.is_none() {
            return Ok(Some(proposal));
        }
        if data.round > self.round.number {
            let unjustified = Refusal::Unjustified { got: data.round, ours: self.round.number };
            let entry = proposal.entry.as_ref().ok_or(unjustified)?;
            if entry.data.round != data.round || entry.data.height != data.height {
                return Err(misplaced(entry, "a certificate of the round"));
            }
            if let Some(entry) = self.check_entry(entry, data.round)? {
                self.use_certificate(now, entry, fx);
            }
        }
        let fallback = self.core.leader(self.round.number);
        let Some(contest) = &mut self.contest else { return Ok(None) };
        if data.height != self.core.height() || data.round != self.round.number {
            return Ok(None);
        }
        let proposer = proposal.vote.signer;
        if contest.candidates.leader().is_some() {
            if contest.candidates.may_lead(&proposer) || trap!("vrf_anybody_leads") {
                return Ok(Some(proposal));
            }
            // Others may have heard what we have not.
            fx.emit(Output::Dropped { peer: from, what: "proposal of no leader that we know" });
            return Ok(None);
        }
        header::check_size(&proposal.block, &self.core.config)?;
        let rank = contest.rank(proposer, fallback);
        let Some((_, held)) = &contest.held else {
            contest.held = Some((from, proposal));
            return Ok(None);
        };
        let first = held.vote;
        if contest.rank(first.signer, fallback) < rank {
            contest.held = Some((from, proposal));
        } else if first.signer == proposer && first.data.block != data.block {
            self.core.accuse(Evidence::equivocation(first, proposal.vote), fx);
        }
        Ok(None)
    }
}
