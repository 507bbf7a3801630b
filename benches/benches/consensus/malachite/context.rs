//! The types that malachite's core wants of its host, as small as they can be: fixed-size, no block
//! body, a set that is shared and looked up by binary search.

use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as core;
use core::{LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType};
use pocket_types::hash::{Domain, Hash};
use pocket_types::key::VerifyingKey;

/// Names the types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench;

/// A validator's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Address(pub(crate) [u8; 20]);

/// A height.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) struct Height(pub(crate) u64);

/// A block's hash; the block itself is empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Value(pub(crate) Hash);

/// What is signed of a vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Vote {
    pub(crate) kind: VoteType,
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<Value>,
    pub(crate) validator: Address,
}

/// What is signed of a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Proposal {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: Value,
    pub(crate) pol_round: Round,
    pub(crate) validator: Address,
}

/// A member of the set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Validator {
    pub(crate) address: Address,
    pub(crate) key: PublicKey,
}

/// Members of equal power by increasing address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ValidatorSet(pub(crate) Arc<Vec<Validator>>);

/// Blocks don't come in parts here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part;

/// The workspace's own Ed25519.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ed25519;

/// A decompressed key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PublicKey(pub(crate) VerifyingKey);

/// The bytes of a signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Signature(pub(crate) [u8; 64]);

impl Vote {
    /// What the key signs.
    pub(crate) fn digest(&self) -> Hash {
        let value = match self.value {
            NilOrVal::Nil => Hash::ZERO,
            NilOrVal::Val(value) => value.0,
        };
        let kind = self.kind as u64;
        digest([kind, self.height.0, self.round.as_i64() as u64, 0], &value, &self.validator)
    }
}

impl Proposal {
    /// What the key signs.
    pub(crate) fn digest(&self) -> Hash {
        let rounds = [self.round, self.pol_round].map(|round| round.as_i64() as u64);
        digest([2, self.height.0, rounds[0], rounds[1]], &self.value.0, &self.validator)
    }
}

fn digest(numbers: [u64; 4], value: &Hash, validator: &Address) -> Hash {
    let hasher = Domain::custom("pocket benches malachite").hasher();
    let hasher = numbers.into_iter().fold(hasher, |hasher, number| hasher.number(number));
    hasher.fixed(value.as_bytes()).fixed(&validator.0).finish()
}

impl core::Context for Bench {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(
        &self,
        validators: &'a ValidatorSet,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        let turn = height.0 + round.as_i64() as u64;
        &validators.0[(turn % validators.0.len() as u64) as usize]
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        validator: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, validator }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Value>,
        validator: Address,
    ) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, validator }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Value>,
        validator: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, validator }
    }
}

impl core::Vote<Bench> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Value> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Value> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    fn extension(&self) -> Option<&SignedExtension<Bench>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Bench>> {
        None
    }

    fn extend(self, _: SignedExtension<Bench>) -> Self {
        self
    }
}

impl core::Proposal<Bench> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }
}

impl core::Value for Value {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

impl core::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0 + n)
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl core::Address for Address {}

impl core::Validator<Bench> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        1
    }
}

impl core::ValidatorSet<Bench> for ValidatorSet {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.0.len() as u64
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let position = self.0.binary_search_by_key(address, |validator| validator.address);
        self.0.get(position.ok()?)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

impl core::ProposalPart<Bench> for Part {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

impl core::SigningScheme for Ed25519 {
    type DecodingError = &'static str;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Signature, &'static str> {
        bytes.try_into().map(Signature).map_err(|_| "not 64 bytes")
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, &'static str> {
        let bytes = bytes.try_into().map_err(|_| "not 32 bytes")?;
        let key = VerifyingKey::new(pocket_types::key::PublicKey(bytes));
        key.map(PublicKey).map_err(|_| "no point")
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.public_key().as_bytes().to_vec()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
