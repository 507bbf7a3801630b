//! The one place that signs: it only moves forward.

use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Phase, Vote, VoteData};

/// A place in the protocol; signatures come in increasing order of it.
pub type Position = (Height, Round, Phase);

/// Signs votes, proposals and NewRounds, each position at most once and never backward, whatever the
/// protocol around it asks for. What it signed last comes from the log after a restart, so a record
/// of every signature must be durable before it leaves.
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    last: Option<Vote>,
}

/// A signature, and whether it is a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    /// Record it before it leaves.
    New(Vote),
    /// The very vote that was signed (and recorded) last.
    Again(Vote),
}

impl Signer {
    /// A signer that has signed nothing.
    pub const fn new(key: SecretKey) -> Self {
        Self { key, last: None }
    }

    /// Our identity.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// What was signed last.
    pub const fn last(&self) -> Option<&Vote> {
        self.last.as_ref()
    }

    /// Whether [`Signer::sign`] would sign this.
    pub fn may_sign(&self, data: &VoteData) -> bool {
        self.last.is_none_or(|last| position(&last.data) < position(data) || last.data == *data)
    }

    /// Signs, or none if something later was signed, or something else in this place.
    pub fn sign(&mut self, data: VoteData) -> Option<Signed> {
        if !self.may_sign(&data) {
            return None;
        }
        if let Some(last) = self.last.filter(|last| last.data == data) {
            return Some(Signed::Again(last));
        }
        let vote = Vote::sign(data, &self.key);
        self.last = Some(vote);
        Some(Signed::New(vote))
    }

    /// Takes over a signature from the log; false if it does not move forward.
    pub(crate) fn recall(&mut self, vote: Vote) -> bool {
        let forward = self.may_sign(&vote.data);
        if forward {
            self.last = Some(vote);
        }
        forward
    }
}

/// Where a vote stands.
pub const fn position(data: &VoteData) -> Position {
    (data.height, data.round, data.phase)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use pocket_types::hash::Hash;
    use pocket_types::id::{BlockId, ChainId};
    use pocket_types::number::Epoch;
    use pocket_types::vote::Protocol;

    use super::*;

    const PHASES: [Phase; 5] =
        [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit, Phase::Commit];

    fn data(height: u64, round: u64, phase: Phase, block: u8) -> VoteData {
        VoteData {
            protocol: Protocol::HotPokt,
            chain: ChainId::default(),
            epoch: Epoch(0),
            validators: Hash::ZERO,
            height: Height(height),
            round: Round(round),
            phase,
            block: BlockId(Hash([block; 32])),
        }
    }

    #[test]
    fn only_later_positions_are_signed() {
        let places: Vec<_> = (1..3)
            .flat_map(|h| (0..3).flat_map(move |r| PHASES.map(|phase| data(h, r, phase, 1))))
            .collect();
        for (i, first) in places.iter().enumerate() {
            for (j, second) in places.iter().enumerate() {
                let mut signer = Signer::new(SecretKey::from_seed([1; 32]));
                assert!(matches!(signer.sign(*first), Some(Signed::New(_))));
                assert_eq!(signer.sign(*second).is_some(), j >= i, "{first:?} then {second:?}");
            }
        }
    }

    #[test]
    fn a_place_is_signed_for_one_block() {
        let mut signer = Signer::new(SecretKey::from_seed([1; 32]));
        let Some(Signed::New(vote)) = signer.sign(data(1, 0, Phase::Prepare, 1)) else { panic!() };
        assert_eq!(signer.sign(data(1, 0, Phase::Prepare, 1)), Some(Signed::Again(vote)));
        assert_eq!(signer.sign(data(1, 0, Phase::Prepare, 2)), None);
        let mut recovered = Signer::new(SecretKey::from_seed([1; 32]));
        assert!(recovered.recall(vote));
        assert_eq!(recovered.sign(data(1, 0, Phase::Prepare, 2)), None);
    }
}
