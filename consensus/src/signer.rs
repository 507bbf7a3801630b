//! The one place that signs: it only moves forward.

use alloc::sync::Arc;

use pocket_types::block::beacon;
use pocket_types::bls::{BlsPublicKey, BlsSecretKey};
use pocket_types::candidacy::{Candidacy, Claim};
use pocket_types::hash::Hash;
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::number::{Height, Round};
use pocket_types::scheme::{Keys, Scheme, VoteSignature};
use pocket_types::trap;
use pocket_types::vote::{Phase, Vote, VoteData};
use pocket_types::vrf::{VrfProof, VrfPublicKey, VrfSecret};

/// A place in the protocol; signatures come in increasing order of it. Where rounds count on through
/// all heights of a validator set, the set's epoch stands in the place of the height.
pub type Position = (u64, Round, Phase);

/// Who a replica is. Must not be in use anywhere else.
#[derive(Clone, Debug)]
pub struct Identity(Arc<dyn Keys>);

impl Identity {
    /// An identity whose keys are in this process' memory.
    pub fn new(key: SecretKey, vrf: VrfSecret) -> Self {
        let derived = || VrfSecret::from_seed(key.public_key().0);
        let vrf = if trap!("6") { derived() } else { vrf };
        Self(Arc::new(Held { key, vrf, bls: None }))
    }

    /// As [`Identity::new`], with a key for sets that sign by
    /// [`Scheme::BlsAggregate`](pocket_types::scheme::Scheme).
    pub fn with_bls(key: SecretKey, vrf: VrfSecret, bls: BlsSecretKey) -> Self {
        Self(Arc::new(Held { key, vrf, bls: Some(bls) }))
    }

    /// An identity whose keys are elsewhere.
    pub fn with_keys(keys: impl Keys + 'static) -> Self {
        Self(Arc::new(keys))
    }

    /// Who signs.
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    /// The key of the randomness of its blocks.
    pub fn vrf_key(&self) -> VrfPublicKey {
        self.0.vrf_key()
    }

    /// The key of its votes where sets sign by BLS, if it has one.
    pub fn bls_key(&self) -> Option<BlsPublicKey> {
        self.0.bls_key()
    }
}

#[derive(Debug)]
struct Held {
    key: SecretKey,
    vrf: VrfSecret,
    bls: Option<BlsSecretKey>,
}

impl Keys for Held {
    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn vrf_key(&self) -> VrfPublicKey {
        self.vrf.public_key()
    }

    fn bls_key(&self) -> Option<BlsPublicKey> {
        self.bls.as_ref().map(BlsSecretKey::public_key)
    }

    fn sign(&self, data: &VoteData, scheme: Scheme) -> Option<VoteSignature> {
        match scheme {
            Scheme::Ed25519List => Some(self.key.sign(&data.digest()).into()),
            Scheme::BlsAggregate => Some(self.bls.as_ref()?.sign(&data.digest()).into()),
            _ => None,
        }
    }

    fn beacon(&self, previous: Hash, height: Height) -> (Hash, VrfProof) {
        beacon::extend(previous, height, &self.vrf)
    }

    fn candidacy(&self, claim: Claim) -> Option<Candidacy> {
        claim.run(&self.key, &self.vrf)
    }
}

/// Signs votes, proposals and NewRounds, each position at most once and never backward, whatever the
/// protocol around it asks for. What it signed last comes from the log after a restart, so a record
/// of every signature must be durable before it leaves.
#[derive(Clone, Debug)]
pub struct Signer {
    identity: Identity,
    public_key: PublicKey,
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
    pub fn new(identity: Identity) -> Self {
        Self { public_key: identity.public_key(), identity, last: None }
    }

    /// Our identity.
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    pub(crate) fn beacon(&self, previous: Hash, height: Height) -> (Hash, VrfProof) {
        self.identity.0.beacon(previous, height)
    }

    /// The same however often it is asked for, so it is neither recorded nor guarded.
    pub(crate) fn candidacy(&self, claim: Claim) -> Option<Candidacy> {
        self.identity.0.candidacy(claim)
    }

    /// What was signed last.
    pub const fn last(&self) -> Option<&Vote> {
        self.last.as_ref()
    }

    /// Whether [`Signer::sign`] would sign this.
    pub fn may_sign(&self, data: &VoteData) -> bool {
        if trap!("votes_twice") {
            return self.last.is_none_or(|last| position(&last.data) <= position(data));
        }
        self.last.is_none_or(|last| position(&last.data) < position(data) || last.data == *data)
    }

    /// Signs by the scheme of the validator set; none if something later was signed, or something else
    /// in this place, or without a key for the scheme.
    pub fn sign(&mut self, data: VoteData, scheme: Scheme) -> Option<Signed> {
        if !self.may_sign(&data) {
            return None;
        }
        if let Some(last) = self.last.filter(|last| last.data == data) {
            return Some(Signed::Again(last));
        }
        let signature = self.identity.0.sign(&data, scheme)?;
        let vote = Vote { data, signer: self.public_key, signature };
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
    let first = if data.protocol.is_chained() { data.epoch.0 } else { data.height.0 };
    (first, data.round, data.phase)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use pocket_types::id::{BlockId, ChainId};
    use pocket_types::number::Epoch;
    use pocket_types::vote::Protocol;

    use super::*;

    fn fresh() -> Signer {
        let key = SecretKey::from_seed([1; 32]);
        Signer::new(Identity::new(key, VrfSecret::from_seed([2; 32])))
    }

    fn sign(signer: &mut Signer, data: VoteData) -> Option<Signed> {
        signer.sign(data, Scheme::Ed25519List)
    }

    const PHASES: [Phase; 5] =
        [Phase::NewRound, Phase::Propose, Phase::Prepare, Phase::PreCommit, Phase::Commit];

    fn data(height: u64, round: u64, phase: Phase, block: u8) -> VoteData {
        of(Protocol::HotPokt, height, round, phase, block)
    }

    fn of(protocol: Protocol, height: u64, round: u64, phase: Phase, block: u8) -> VoteData {
        VoteData {
            protocol,
            chain: ChainId::default(),
            epoch: Epoch(0),
            validators: Hash::ZERO,
            height: Height(height),
            round: Round(round),
            phase,
            block: BlockId(Hash([block; 32])),
            high: None,
        }
    }

    #[test]
    fn only_later_positions_are_signed() {
        let places: Vec<_> = (1..3)
            .flat_map(|h| (0..3).flat_map(move |r| PHASES.map(|phase| data(h, r, phase, 1))))
            .collect();
        for (i, first) in places.iter().enumerate() {
            for (j, second) in places.iter().enumerate() {
                let mut signer = fresh();
                assert!(matches!(sign(&mut signer, *first), Some(Signed::New(_))));
                assert_eq!(
                    sign(&mut signer, *second).is_some(),
                    j >= i,
                    "{first:?} then {second:?}"
                );
            }
        }
    }

    #[test]
    fn a_later_height_does_not_excuse_an_earlier_round_where_rounds_count_on() {
        let mut signer = fresh();
        let vote = |height, round| of(Protocol::Jolteon, height, round, Phase::Prepare, 1);
        assert!(sign(&mut signer, vote(5, 9)).is_some());
        assert_eq!(sign(&mut signer, vote(6, 8)), None);
        assert_eq!(sign(&mut signer, vote(6, 9)), None);
        assert!(sign(&mut signer, vote(4, 10)).is_some());
    }

    #[test]
    fn a_place_is_signed_for_one_block() {
        let mut signer = fresh();
        let Some(Signed::New(vote)) = sign(&mut signer, data(1, 0, Phase::Prepare, 1)) else {
            panic!()
        };
        assert_eq!(sign(&mut signer, data(1, 0, Phase::Prepare, 1)), Some(Signed::Again(vote)));
        assert_eq!(sign(&mut signer, data(1, 0, Phase::Prepare, 2)), None);
        let mut recovered = fresh();
        assert!(recovered.recall(vote));
        assert_eq!(sign(&mut recovered, data(1, 0, Phase::Prepare, 2)), None);
    }
}
