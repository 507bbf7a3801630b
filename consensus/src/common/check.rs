//! What is refused of signatures and of those who send them, whatever the protocol.

use pocket_types::evidence::Evidence;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::trap;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::certificates::Checked;
use super::effects::Effects;
use super::{Core, Heard};
use crate::replica::error::Refusal;
use crate::replica::output::Output;

impl Core {
    /// Refuses what belongs to another network or protocol, or vouches for a certificate where nobody
    /// does. Votes are counted by what they say, so one that says more than its phase has room for would
    /// stand in the place of what all others say.
    pub(crate) fn check_network(&self, data: &VoteData) -> Heard {
        if data.protocol != self.protocol {
            return Err(Refusal::WrongProtocol { got: data.protocol, expected: self.protocol });
        }
        if data.chain != self.tip.chain() {
            return Err(Refusal::WrongChain { got: data.chain, expected: self.tip.chain() });
        }
        let vouches = data.phase == Phase::NewRound && self.protocol.signs_high();
        data.high.filter(|_| !vouches).map_or(Ok(()), |high| Err(Refusal::SignsHigh(high)))
    }

    /// Refuses a signature of none of these phases.
    pub(crate) fn check_phase(&self, data: &VoteData, phases: &[Phase]) -> Heard {
        self.check_network(data)?;
        if !phases.contains(&data.phase) {
            return Err(Refusal::WrongPhase { got: data.phase, expected: phases[0] });
        }
        if data.phase == Phase::NewRound && data.block != BlockId::default() {
            return Err(Refusal::NewRoundBlock(data.block));
        }
        Ok(())
    }

    /// Refuses a vote of none of these phases, and one that its signer did not send itself.
    pub(crate) fn check_vote(&self, vote: &Vote, from: PublicKey, phases: &[Phase]) -> Heard {
        self.check_phase(&vote.data, phases)?;
        if vote.signer != from && !trap!("relayed") {
            return Err(Refusal::Relayed { signer: vote.signer, from });
        }
        Ok(())
    }

    /// The signer's position, for a vote by the set that decides now.
    pub(crate) fn check_signer(&self, vote: &Vote) -> Result<usize, Refusal> {
        let electorate = self.tip.validators();
        let data = &vote.data;
        if data.validators != electorate.hash() || data.epoch != electorate.epoch() {
            return Err(Refusal::WrongSet {
                got: data.validators,
                got_epoch: data.epoch,
                expected: electorate.hash(),
                expected_epoch: electorate.epoch(),
            });
        }
        electorate.position(&vote.signer).ok_or(Refusal::NotValidator(vote.signer))
    }

    /// The signer's position, for a proposal by the leader whose turn the round is.
    pub(crate) fn check_leader(&self, vote: &Vote) -> Result<usize, Refusal> {
        let (signer, round) = (self.check_signer(vote)?, vote.data.round);
        if signer != self.leader_position(round) && !trap!("out_of_turn") {
            let expected = self.leader(round);
            return Err(Refusal::NotLeader { got: vote.signer, expected });
        }
        Ok(signer)
    }

    /// Whether this is the first proposal that is heard in its round, signed by the member at `signer`.
    /// Another of a signer whom we heard before is evidence.
    pub(crate) fn is_first(
        &mut self,
        vote: &Vote,
        signer: usize,
        first: Option<Vote>,
        fx: &mut Effects,
    ) -> Result<bool, Refusal> {
        if first == Some(*vote) {
            return Ok(false);
        }
        if !self.tip.validators().holds(vote, signer) {
            return Err(invalid(vote));
        }
        let Some(first) = first else { return Ok(true) };
        if first.data.block != vote.data.block && first.signer == vote.signer {
            self.accuse(Evidence::equivocation(first, *vote), fx);
        }
        Ok(false)
    }

    /// Checks a certificate in full, but for what it is good for.
    pub(crate) fn verify(&mut self, certificate: &Certificate) -> Result<Checked, Refusal> {
        Ok(self.certificates.verify(certificate, self.tip.validators())?)
    }

    /// Whether somebody's certificates are looked at: checking one costs a lot.
    pub(crate) fn hears(&self, from: PublicKey, fx: &mut Effects) -> bool {
        let voter = self.tip.is_voter(&from);
        if !voter {
            fx.emit(Output::Dropped { peer: from, what: "certificate from a stranger" });
        }
        voter
    }
}

/// What was found of a proposal; none if its time lies ahead of our clock. Who of us has the wrong one is
/// unknown; the leader says it again until then.
pub(crate) fn unless_ahead<T>(
    from: PublicKey,
    judged: Result<T, Refusal>,
    fx: &mut Effects,
) -> Result<Option<T>, Refusal> {
    match judged {
        Err(Refusal::TimeAhead { .. }) => {
            fx.emit(Output::Dropped { peer: from, what: "proposal ahead of our clock" });
            Ok(None)
        }
        judged => judged.map(Some),
    }
}

pub(crate) fn misplaced(certificate: &Certificate, what: &'static str) -> Refusal {
    let data = &certificate.data;
    Refusal::Misplaced { phase: data.phase, height: data.height, round: data.round, what }
}

pub(crate) fn invalid(vote: &Vote) -> Refusal {
    Refusal::Signature { signer: vote.signer, phase: vote.data.phase }
}

/// Signers send their votes themselves, so a bad signature is the signer's fault.
pub(crate) fn charge(signers: &[PublicKey], phase: Phase, fx: &mut Effects) {
    for &signer in signers {
        let reason = Refusal::Signature { signer, phase };
        fx.emit(Output::Misbehaviour { peer: signer, reason });
    }
}
