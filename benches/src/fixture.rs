//! Keys, blocks and certificates that several benches work on. Everything follows from numbers, so
//! two runs do the same.

use pocket_types::block::{Block, Header, VERSION, beacon};
use pocket_types::bls::BlsSecretKey;
use pocket_types::codec::List;
use pocket_types::finality::FinalityProof;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::{Address, BlockId, ChainId};
use pocket_types::key::SecretKey;
use pocket_types::number::{Amount, Height, Timestamp, Weight};
use pocket_types::scheme::Scheme;
use pocket_types::transaction::{Message, Transaction, TransactionBody};
use pocket_types::validator::{Electorate, Validator, ValidatorSet};
use pocket_types::vote::{Certificate, Phase, Protocol, Vote, VoteData};
use pocket_types::vrf::VrfSecret;

/// The network.
pub const CHAIN: ChainId = ChainId(Hash([7; 32]));

/// 32 bytes that belong to a number.
pub fn seed(number: u64) -> [u8; 32] {
    Domain::custom("pocket benches seed").hasher().number(number).finish().0
}

/// A key that belongs to a number.
pub fn key(number: u64) -> SecretKey {
    SecretKey::from_seed(seed(number))
}

fn bls_key(number: u64) -> BlsSecretKey {
    BlsSecretKey::from_seed(seed(number)).expect("the feature `bls`")
}

fn pair(number: u64, count: u64) -> (SecretKey, VrfSecret) {
    (key(number), VrfSecret::from_seed(seed(number + count)))
}

/// The keys of this many validators of equal weight, in the order of the set.
pub struct Validators {
    /// Keys that sign, with keys that prove randomness.
    pub keys: Vec<(SecretKey, VrfSecret)>,
    /// What each pair follows from.
    numbers: Vec<u64>,
    /// The set.
    pub electorate: Electorate,
}

impl Validators {
    /// The validators of epoch 0.
    pub fn new(count: u64) -> Self {
        Self::signing_by(Scheme::Ed25519List, count)
    }

    /// As [`Validators::new`], of a network that signs by a scheme.
    ///
    /// # Panics
    ///
    /// If it signs by BLS, and `pocket-types` was built without the feature `bls`.
    pub fn signing_by(scheme: Scheme, count: u64) -> Self {
        let mut numbers: Vec<_> = (0..count).collect();
        numbers.sort_by_cached_key(|&number| key(number).public_key());
        let keys: Vec<_> = numbers.iter().map(|&number| pair(number, count)).collect();
        let bls = scheme == Scheme::BlsAggregate;
        let members = keys.iter().zip(&numbers).map(|((key, vrf), &number)| Validator {
            public_key: key.public_key(),
            vrf_key: vrf.public_key(),
            weight: Weight(1),
            bls_key: bls.then(|| bls_key(number).public_key()),
        });
        let set = ValidatorSet::new(Default::default(), members.collect());
        let set = set.expect("few members").signing_by(scheme);
        let electorate = Electorate::new(set).expect("valid members");
        Self { keys, numbers, electorate }
    }

    /// A member's keys once more: they can't be cloned.
    pub fn pair(&self, position: usize) -> (SecretKey, VrfSecret) {
        pair(self.numbers[position], self.numbers.len() as u64)
    }

    /// The key of a member's votes where the set signs by BLS.
    pub fn bls_key(&self, position: usize) -> BlsSecretKey {
        bls_key(self.numbers[position])
    }

    /// A certificate of a bare quorum that decides this header.
    pub fn decide(&self, header: Header) -> FinalityProof {
        let data = VoteData {
            protocol: Protocol::HotPokt,
            chain: header.chain,
            epoch: header.epoch,
            validators: header.validators,
            height: header.height,
            round: Default::default(),
            phase: Phase::Commit,
            block: header.id(),
            high: None,
        };
        let quorum = self.keys.len() * 2 / 3 + 1;
        let votes: Vec<_> =
            self.keys.iter().take(quorum).map(|(key, _)| Vote::sign(data, key)).collect();
        let certificate = Certificate::from_votes(data, &votes, &self.electorate);
        FinalityProof::commit(header, certificate.expect("a quorum"))
    }

    /// A block after `parent` (genesis if none) with a true certificate, beacon and body.
    pub fn block(
        &self,
        parent: Option<&FinalityProof>,
        state_root: Hash,
        transactions: Vec<Transaction>,
    ) -> Block {
        let link = parent.and_then(|proof| proof.links.first());
        let before = link.map(|link| &link.header);
        let height = before.map_or(Height::GENESIS, |header| header.height).next();
        let (proposer, vrf) = &self.keys[0];
        let previous = before.map_or(Hash::ZERO, |header| header.randomness);
        let (randomness, randomness_proof) = beacon::extend(previous, height, vrf);
        let header = Header {
            version: VERSION,
            chain: CHAIN,
            height,
            epoch: self.electorate.epoch(),
            parent: before.map_or_else(BlockId::default, Header::id),
            parent_certificate: link.map(|link| link.certificate.clone()),
            time: Timestamp(height.0 * 1_000),
            proposer: proposer.public_key(),
            state_root,
            transactions_root: Block::transactions_root(&transactions),
            evidence_root: Block::evidence_root(&[]),
            validators: self.electorate.hash(),
            next_validators: self.electorate.hash(),
            randomness,
            randomness_proof,
        };
        let transactions = List::new(transactions).expect("as many as fit into a block");
        Block { header, transactions, evidence: List::empty() }
    }
}

/// Signed transfers of one uPOKT each, from the holder of each key to the next one's address.
pub fn transfers(chain: ChainId, holders: &[SecretKey], expiry: Height) -> Vec<Transaction> {
    let to = holders.iter().cycle().skip(1);
    let transfer = |(nonce, (from, to)): (usize, (&SecretKey, &SecretKey))| {
        let body = TransactionBody {
            chain,
            nonce: nonce as u64,
            expiry,
            fee: Amount(10_000),
            signer: from.public_key(),
            message: Message::Send { to: Address::of(&to.public_key()), amount: Amount(1) },
        };
        body.sign(from)
    };
    holders.iter().zip(to).enumerate().map(transfer).collect()
}
