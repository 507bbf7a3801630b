//! Who runs for leading a round, and how everybody checks it: consensus specification 3.1.3.
//!
//! A candidate evaluates its VRF on the round's [`Seed`], finds out how many units of its stake the
//! output selects ([`sortition`](crate::sortition)), and if any are, signs and announces the claim.
//! The [`Election`] is what everybody knows of a height; [`Election::check`] lets nothing through
//! that a candidate could have chosen. A claim that its own proof contradicts is an offence, and
//! [`VrfMisuse`] proves it to those who know nothing of the election.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Wire};
use crate::hash::{Domain, Hash};
use crate::id::ChainId;
use crate::key::{PublicKey, SecretKey, Signature, VerifyingKey};
use crate::number::{Epoch, Height, Round};
use crate::signature;
use crate::sortition::{CommitteeSize, Odds, Priority, SortitionError};
use crate::trap;
use crate::validator::{Electorate, Validator};
use crate::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey, VrfSecret};

/// What the luck of a round's candidates comes from. Nobody may be able to choose anything in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Seed {
    /// The beacon's value for the epoch.
    Beacon(Hash),
    /// The specification's own: the hash of the last leaders, [`Seed::last_leaders`]. To compare
    /// with: few values are possible, and a leader who gives up its turn picks one. It leaves out
    /// network and epoch, so the same proof serves wherever the same leaders have led.
    LastLeaders(Hash),
}

/// What a candidate says of itself, with all that one needs to check that it fits together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The network.
    pub chain: ChainId,
    /// The validator set's epoch.
    pub epoch: Epoch,
    /// Hash of the validator set.
    pub validators: Hash,
    /// The height being decided.
    pub height: Height,
    /// The attempt.
    pub round: Round,
    /// The election's seed.
    pub seed: Seed,
    /// Who runs.
    pub candidate: PublicKey,
    /// Its registered key.
    pub vrf_key: VrfPublicKey,
    /// Its weight, of what total, for which committee.
    pub odds: Odds,
    /// Proves the output for [`Claim::input`].
    pub proof: VrfProof,
    /// Units of its stake that the output selects.
    pub selected: u32,
    /// What the best of them is worth. Claimed so that others need not check who can't win.
    pub priority: Priority,
}

/// A candidate's announcement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Candidacy {
    /// What is announced.
    pub claim: Claim,
    /// The candidate's, over [`Claim::digest`].
    pub signature: Signature,
}

impl Wire for Candidacy {
    const MAX_BYTES: usize = 2 * 32 + 3 * 8 + 36 + 2 * 32 + 18 + 80 + 4 + 32 + 64;
}

/// What everybody knows of the election of a height's leaders.
#[derive(Clone, Copy, Debug)]
pub struct Election<'e> {
    /// The network.
    pub chain: ChainId,
    /// The seed.
    pub seed: Seed,
    /// How many units are selected on average.
    pub committee: CommitteeSize,
    /// Who may run.
    pub electorate: &'e Electorate,
}

/// A candidate whose claim has been checked; [`Election::check`] alone makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    height: Height,
    round: Round,
    key: PublicKey,
    priority: Priority,
}

/// Why an announcement doesn't count. Whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CandidacyError {
    /// For another network.
    #[error("candidacy in network {got}, expected {expected}")]
    WrongChain {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// For another validator set.
    #[error(
        "candidacy in validator set {got} (epoch {got_epoch}), expected {expected} (epoch {expected_epoch})"
    )]
    WrongSet {
        /// The set it names.
        got: Hash,
        /// The epoch it names.
        got_epoch: Epoch,
        /// The height's set.
        expected: Hash,
        /// That set's epoch.
        expected_epoch: Epoch,
    },
    /// From another seed.
    #[error("candidacy from seed {got:?}, expected {expected:?}")]
    WrongSeed {
        /// The seed it names.
        got: Seed,
        /// The election's.
        expected: Seed,
    },
    /// The candidate is no member of the set.
    #[error("candidate {0} is not in the validator set")]
    Stranger(PublicKey),
    /// Not with the candidate's registered key.
    #[error("candidacy with VRF key {got}, registered is {expected}")]
    WrongKey {
        /// The key it names.
        got: VrfPublicKey,
        /// The registered one.
        expected: VrfPublicKey,
    },
    /// Not with the candidate's weight, the set's total or the committee of the election.
    #[error("candidacy with {got:?}, expected {expected:?}")]
    WrongOdds {
        /// The odds it names.
        got: Odds,
        /// The candidate's.
        expected: Odds,
    },
    /// The candidate doesn't claim to be selected.
    #[error("a candidacy without selected units")]
    NotSelected,
    /// The signature is invalid: somebody else may have made the claim up.
    #[error("the candidacy's signature is invalid")]
    Signature,
    /// The candidate's own proof contradicts its signed claim: [`VrfMisuse`].
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// How a claim contradicts itself. No honest validator signs one that does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// The proof is not one.
    #[error(transparent)]
    Proof(#[from] VrfError),
    /// The odds can't be.
    #[error(transparent)]
    Odds(#[from] SortitionError),
    /// The proof selects another number of units.
    #[error("{got} units claimed where the proof selects {expected}")]
    Selected {
        /// Units claimed.
        got: u32,
        /// Units that the output selects.
        expected: u32,
    },
    /// The selected units have another priority.
    #[error("priority {got} claimed where the proof gives {expected}")]
    Priority {
        /// The priority claimed.
        got: Priority,
        /// The one that the output gives.
        expected: Priority,
    },
}

impl Seed {
    /// The specification's seed: the hash of the last leaders, the latest last. How many is the
    /// network's to say.
    pub fn last_leaders(leaders: &[PublicKey]) -> Self {
        let hasher = Domain::LAST_LEADERS.hasher().number(leaders.len() as u64);
        Self::LastLeaders(leaders.iter().fold(hasher, |hasher, key| hasher.fixed(&key.0)).finish())
    }
}

impl Claim {
    /// What the candidate's VRF is evaluated on.
    ///
    /// The candidate's own key is in it because VRF keys are registered without a proof that one
    /// has the secret: who registers another's key must not be able to copy its proofs.
    pub fn input(&self) -> Hash {
        let place = |domain: Domain, seed: Hash| {
            let hasher = domain.hasher().fixed(&seed.0).fixed(&self.candidate.0);
            hasher.number(self.height.0).number(self.round.0)
        };
        match self.seed {
            Seed::Beacon(seed) => place(Domain::LEADER_INPUT, seed)
                .fixed(&self.chain.0.0)
                .number(self.epoch.0)
                .finish(),
            Seed::LastLeaders(seed) => place(Domain::LEADER_INPUT_OF_LEADERS, seed).finish(),
        }
    }

    /// The message that is signed.
    pub fn digest(&self) -> Hash {
        Domain::CANDIDACY_SIGNATURE.hash(&codec::encode(self))
    }

    /// Signs, whatever is claimed. An honest candidate's claims come from [`Election::run`] and are
    /// the same however often it runs, so nothing must be stored before one leaves.
    pub fn sign(self, key: &SecretKey) -> Candidacy {
        Candidacy { claim: self, signature: key.sign(&self.digest()) }
    }

    /// Puts the proof in, and what the output selects; none if that is nothing.
    pub fn proved(self, proof: VrfProof, output: &VrfOutput) -> Option<Self> {
        let (selected, priority) = self.outcome(output).ok()?;
        (selected > 0).then_some(Self { proof, selected, priority, ..self })
    }

    /// Proves and signs the claim of the owner of these keys; none if no unit is selected.
    pub fn run(self, key: &SecretKey, vrf: &VrfSecret) -> Option<Candidacy> {
        let (proof, output) = vrf.prove(&self.input().0);
        Some(self.proved(proof, &output)?.sign(key))
    }

    /// Whether proof, units and priority fit together.
    ///
    /// # Errors
    ///
    /// [`Contradiction`] naming the first that doesn't.
    pub fn check(&self) -> Result<(), Contradiction> {
        self.check_output(self.vrf_key.verify(&self.input().0, &self.proof))
    }

    /// As [`check`](Self::check), by the verifier of an electorate.
    fn check_by(&self, electorate: &Electorate) -> Result<(), Contradiction> {
        self.check_output(electorate.verifier().vrf(&self.vrf_key, &self.input().0, &self.proof))
    }

    fn check_output(&self, output: Result<VrfOutput, VrfError>) -> Result<(), Contradiction> {
        if trap!("vrf_unproved") {
            return Ok(());
        }
        let (expected, priority) = self.outcome(&output?)?;
        if self.selected != expected {
            return Err(Contradiction::Selected { got: self.selected, expected });
        }
        if self.priority != priority {
            return Err(Contradiction::Priority { got: self.priority, expected: priority });
        }
        Ok(())
    }

    fn outcome(&self, output: &VrfOutput) -> Result<(u32, Priority), SortitionError> {
        let selected = self.odds.selected(output)?;
        Ok((selected, Priority::of(output, selected)))
    }
}

impl Candidacy {
    fn is_signed(&self) -> bool {
        VerifyingKey::new(self.claim.candidate)
            .is_ok_and(|key| signature::verify(&key, &self.claim.digest(), &self.signature).is_ok())
    }

    /// As [`is_signed`](Self::is_signed), by the verifier of an electorate.
    fn is_signed_by(&self, electorate: &Electorate) -> bool {
        let Claim { candidate, .. } = &self.claim;
        electorate.verifier().signed_by(candidate, &self.claim.digest(), &self.signature)
    }
}

impl Election<'_> {
    /// The announcement of a member for a round; none if no unit of it is selected, or the keys are
    /// not those of a member.
    pub fn run(
        &self,
        height: Height,
        round: Round,
        key: &SecretKey,
        vrf: &VrfSecret,
    ) -> Option<Candidacy> {
        let claim = self.claim(height, round, key.public_key())?;
        if claim.vrf_key != vrf.public_key() {
            return None;
        }
        claim.run(key, vrf)
    }

    /// What a member has to prove and to sign ([`Claim::run`]); none for others.
    pub fn claim(&self, height: Height, round: Round, candidate: PublicKey) -> Option<Claim> {
        let member = self.electorate.member(self.electorate.position(&candidate)?)?;
        Some(Claim {
            chain: self.chain,
            epoch: self.electorate.epoch(),
            validators: self.electorate.hash(),
            height,
            round,
            seed: self.seed,
            candidate,
            vrf_key: member.vrf_key,
            odds: self.odds(member),
            proof: VrfProof([0; 80]),
            selected: 0,
            priority: Priority::FALLBACK,
        })
    }

    /// Checks everything: that the claim is of this election, that the candidate signed it, and that
    /// it proves its units and priority. Height and round are whatever the claim says. The cheap
    /// checks come first; a VRF check costs a few times what a signature's does.
    ///
    /// # Errors
    ///
    /// [`CandidacyError`] naming the first violation; [`CandidacyError::Contradiction`] means that
    /// the announcement makes a [`VrfMisuse`].
    pub fn check(&self, candidacy: &Candidacy) -> Result<Candidate, CandidacyError> {
        let claim = &candidacy.claim;
        self.is_for(claim)?;
        if claim.selected == 0 {
            return Err(CandidacyError::NotSelected);
        }
        if !candidacy.is_signed_by(self.electorate) {
            return Err(CandidacyError::Signature);
        }
        claim.check_by(self.electorate)?;
        let Claim { height, round, candidate: key, priority, .. } = *claim;
        Ok(Candidate { height, round, key, priority })
    }

    /// Whether what the claim says of the election is so.
    fn is_for(&self, claim: &Claim) -> Result<(), CandidacyError> {
        if claim.chain != self.chain {
            return Err(CandidacyError::WrongChain { got: claim.chain, expected: self.chain });
        }
        let (expected, expected_epoch) = (self.electorate.hash(), self.electorate.epoch());
        if claim.validators != expected || claim.epoch != expected_epoch {
            let (got, got_epoch) = (claim.validators, claim.epoch);
            return Err(CandidacyError::WrongSet { got, got_epoch, expected, expected_epoch });
        }
        if claim.seed != self.seed {
            return Err(CandidacyError::WrongSeed { got: claim.seed, expected: self.seed });
        }
        let stranger = CandidacyError::Stranger(claim.candidate);
        let position = self.electorate.position(&claim.candidate);
        let member = position.and_then(|position| self.electorate.member(position));
        let member = member.ok_or(stranger)?;
        if claim.vrf_key != member.vrf_key {
            let (got, expected) = (claim.vrf_key, member.vrf_key);
            return Err(CandidacyError::WrongKey { got, expected });
        }
        let expected = self.odds(member);
        if claim.odds != expected {
            return Err(CandidacyError::WrongOdds { got: claim.odds, expected });
        }
        Ok(())
    }

    fn odds(&self, member: &Validator) -> Odds {
        Odds { weight: member.weight, total: self.electorate.total(), committee: self.committee }
    }
}

impl Candidate {
    /// For which height.
    pub const fn height(&self) -> Height {
        self.height
    }

    /// For which round.
    pub const fn round(&self) -> Round {
        self.round
    }

    /// Its identity.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// What it is worth; proved, so never [`Priority::FALLBACK`].
    pub const fn priority(&self) -> Priority {
        self.priority
    }
}

/// Proof that a validator signed a claim that its own VRF proof contradicts.
///
/// The claim holds all that it is made of, so nobody needs to know the election to judge it. A claim
/// that is wrong about the election but right in itself is refused by all who know better, and no
/// offence. One validator's misuse in one round is one offence, whatever it claimed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct VrfMisuse(pub Candidacy);

impl Wire for VrfMisuse {
    const MAX_BYTES: usize = Candidacy::MAX_BYTES;
}

/// Why evidence of misuse proves nothing. Whoever submitted it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum MisuseError {
    /// From another network.
    #[error("evidence from network {got}, expected {expected}")]
    WrongChain {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// The signature is invalid.
    #[error("the candidacy's signature is invalid")]
    Signature,
    /// The claim holds.
    #[error("the candidacy does not contradict itself")]
    NoContradiction,
    /// The candidate is no member of the set that the claim names.
    #[error("{0} is no member of the set that the candidacy names")]
    NotMember(PublicKey),
}

impl VrfMisuse {
    /// Who did it; meaningful after [`VrfMisuse::verify`].
    pub const fn offender(&self) -> PublicKey {
        self.0.claim.candidate
    }

    /// At which height.
    pub const fn height(&self) -> Height {
        self.0.claim.height
    }

    /// In which round.
    pub const fn round(&self) -> Round {
        self.0.claim.round
    }

    /// Checks that the offence happened on this network, and says what it was. Whether the offender
    /// was a validator is the ledger's to say.
    ///
    /// # Errors
    ///
    /// [`MisuseError`] naming the first violation.
    pub fn verify(&self, chain: ChainId) -> Result<Contradiction, MisuseError> {
        let Self(candidacy) = self;
        self.is_of(chain)?;
        if !candidacy.is_signed() {
            return Err(MisuseError::Signature);
        }
        candidacy.claim.check().err().ok_or(MisuseError::NoContradiction)
    }

    /// As [`verify`](Self::verify), for an offender who must be a member of this electorate, by its
    /// verifier.
    ///
    /// # Errors
    ///
    /// [`MisuseError`] naming the first violation.
    pub fn verify_by(
        &self,
        chain: ChainId,
        electorate: &Electorate,
    ) -> Result<Contradiction, MisuseError> {
        let Self(candidacy) = self;
        let Claim { epoch, validators, candidate, .. } = candidacy.claim;
        self.is_of(chain)?;
        let named = (validators, epoch) == (electorate.hash(), electorate.epoch());
        if !named || electorate.position(&candidate).is_none() {
            return Err(MisuseError::NotMember(candidate));
        }
        if !candidacy.is_signed_by(electorate) {
            return Err(MisuseError::Signature);
        }
        candidacy.claim.check_by(electorate).err().ok_or(MisuseError::NoContradiction)
    }

    fn is_of(&self, expected: ChainId) -> Result<(), MisuseError> {
        let got = self.0.claim.chain;
        if got == expected { Ok(()) } else { Err(MisuseError::WrongChain { got, expected }) }
    }
}
