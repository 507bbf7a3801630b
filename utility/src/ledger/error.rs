//! Everything that can go wrong, by whose fault it is.

use alloc::string::String;
use alloc::vec::Vec;

use pocket_types::bls::{BlsKeyError, BlsPublicKey, BlsUnavailable};
use pocket_types::evidence::EvidenceError;
use pocket_types::id::{Address, ChainId, RelayChain, TransactionId};
use pocket_types::key::{KeyError, PublicKey};
use pocket_types::number::{Amount, Height};
use pocket_types::relay::RelayError;
use pocket_types::session::SessionError;
use pocket_types::state::{Collection, StateError};
use pocket_types::sum::SumError;
use pocket_types::transaction::{ActorKind, TransactionError};
use pocket_types::validator::ValidatorSetError;
use thiserror::Error;

use crate::state::treasury::ConservationError;

/// The ledger can't go on: nobody's transaction is at fault, and the block must not be decided on
/// its result. Nothing was written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored value is not what the ledger wrote.
    #[error("the state is damaged at {collection}, key of {} bytes: {reason}", key.len())]
    Damaged {
        /// The collection.
        collection: Collection,
        /// The key within it.
        key: Vec<u8>,
        /// What was found.
        reason: String,
    },
    /// The state is empty or not a ledger's.
    #[error("the state holds no ledger: apply a genesis first")]
    NoGenesis,
    /// The block does not follow the state's. The caller is at fault.
    #[error("block of height {got} on a state that expects {expected}")]
    Height {
        /// Height of the block.
        got: Height,
        /// Height after the state's.
        expected: Height,
    },
    /// The sums do not add up. The ledger is at fault; the block must not be decided.
    #[error("money is not conserved at height {height}: {error}")]
    NotConserved {
        /// The block.
        height: Height,
        /// What does not add up.
        error: ConservationError,
    },
    /// A sum left its range, which the bound on the supply excludes. The ledger or the state below
    /// it is at fault.
    #[error("arithmetic left its range: {0}")]
    Arithmetic(&'static str),
    /// The session index contradicts itself. The state below is damaged.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The validators do not make a set. The ledger is at fault.
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
    /// The network's validators sign by BLS, and this program was built without it: it can't tell
    /// what is valid there.
    #[error(transparent)]
    Bls(#[from] BlsUnavailable),
}

/// A block is refused. Its proposer is at fault, unless the ledger itself failed; nothing was
/// written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A transaction fails.
    #[error("transaction {index} ({id}) fails: {refusal}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// The transaction.
        id: TransactionId,
        /// Why.
        refusal: Refusal,
    },
    /// A piece of evidence proves nothing new.
    #[error("evidence {index} is refused: {refusal}")]
    Evidence {
        /// Its place in the block.
        index: usize,
        /// Why.
        refusal: EvidenceRefusal,
    },
}

/// A transaction was not delivered.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DeliverError {
    /// The transaction is at fault; it left no trace.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger failed; the whole block must be given up.
    #[error(transparent)]
    Failed(#[from] LedgerError),
}

/// Why evidence is refused. Whoever put it into the block is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EvidenceRefusal {
    /// It proves nothing.
    #[error(transparent)]
    Invalid(#[from] EvidenceError),
    /// It is from the future or too old.
    #[error("offence at height {offence}, evidence is taken from {oldest} to {newest}")]
    Age {
        /// Height of the offence.
        offence: Height,
        /// The oldest that is taken.
        oldest: Height,
        /// The newest.
        newest: Height,
    },
    /// The signer did not vote at that height.
    #[error("{offender} was no validator at height {height}")]
    NotValidator {
        /// The signer.
        offender: PublicKey,
        /// The height.
        height: Height,
    },
    /// It was punished already.
    #[error("this offence was punished already")]
    Punished,
}

/// Why a transaction is refused. Its signer is at fault unless a variant says otherwise; the
/// transaction left no trace.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than the parameter allows.
    #[error("{got} bytes where at most {max} are allowed")]
    TooLong {
        /// Bytes of the transaction.
        got: usize,
        /// The parameter.
        max: u64,
    },
    /// For another network.
    #[error("for network {got}, this is {expected}")]
    WrongNetwork {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// Expired. It can never be included again.
    #[error("expired at height {expiry}, this is {height}")]
    Expired {
        /// Its last height.
        expiry: Height,
        /// The block's.
        height: Height,
    },
    /// Expires later than can be remembered.
    #[error("expires at height {expiry}, at most {max} is allowed")]
    ExpiresTooLate {
        /// Its last height.
        expiry: Height,
        /// The latest that is allowed.
        max: Height,
    },
    /// Included before.
    #[error("included already")]
    AlreadyIncluded,
    /// The signature does not hold, or the key is unsafe.
    #[error(transparent)]
    Signature(#[from] TransactionError),
    /// Amount zero.
    #[error("the amount must be positive")]
    ZeroAmount,
    /// Money for an address that nobody can sign for.
    #[error("{0} is a pool, which takes no payments")]
    PaysPool(Address),
    /// A key that must not enter the state.
    #[error("a key of the message can't be used: {0}")]
    Key(#[from] KeyError),
    /// A BLS key that must not enter the state, or without a proof that its owner holds the secret.
    #[error("a key of the message can't be used: {0}")]
    BlsKey(BlsKeyError),
    /// Validators sign by BLS here, and this one would have no key.
    #[error("a validator of this network needs a BLS key")]
    NoBlsKey,
    /// Validators don't sign by BLS here.
    #[error("validators of this network have no BLS key")]
    UnusedBlsKey,
    /// Another validator has this key: one's votes would be the other's.
    #[error("another validator has the BLS key {0}")]
    BlsKeyTaken(BlsPublicKey),
    /// No chains.
    #[error("an actor of this kind must stake for at least one chain")]
    NoChains,
    /// Too many chains.
    #[error("{got} chains where at most {max} are allowed")]
    TooManyChains {
        /// Chains of the message.
        got: usize,
        /// The parameter.
        max: u64,
    },
    /// The service URL is not `http(s)://host.with.dot:port`.
    #[error("service URL {url:?}: {reason}")]
    ServiceUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The signer may not ask for this.
    #[error("{signer} may not sign this: {expected} must")]
    Signer {
        /// Who signed.
        signer: Address,
        /// Who may.
        expected: &'static str,
    },
    /// The fee is below the parameter.
    #[error("fee {got}, at least {min} is asked")]
    Fee {
        /// The fee.
        got: Amount,
        /// The parameter.
        min: Amount,
    },
    /// The signer does not have that much.
    #[error("{account} holds {balance}, {needed} is needed")]
    Balance {
        /// The signer's account.
        account: Address,
        /// What it holds.
        balance: Amount,
        /// What it needs.
        needed: Amount,
    },
    /// Stake below the minimum.
    #[error("stake {got}, at least {min} is needed")]
    MinimumStake {
        /// The stake.
        got: Amount,
        /// What it has to be.
        min: Amount,
    },
    /// There is such an actor already.
    #[error("{kind:?} {actor} exists already")]
    ActorExists {
        /// The kind.
        kind: ActorKind,
        /// The address.
        actor: Address,
    },
    /// There is no such actor.
    #[error("there is no {kind:?} {actor}")]
    NoActor {
        /// The kind.
        kind: ActorKind,
        /// The address.
        actor: Address,
    },
    /// The actor is leaving.
    #[error("{kind:?} {actor} is unstaking")]
    Unstaking {
        /// The kind.
        kind: ActorKind,
        /// The address.
        actor: Address,
    },
    /// Not on the list of those who may stake as fishermen.
    #[error("{0} is not admitted as a fisherman")]
    FishermanNotAdmitted(Address),
    /// Too few fishermen would remain.
    #[error("{remaining} fishermen would remain, at least {min} are needed")]
    TooFewFishermen {
        /// How many would.
        remaining: u64,
        /// The parameter.
        min: u64,
    },
    /// The chain would halt.
    #[error("the last validator can't leave")]
    LastValidator,
    /// Delegated already.
    #[error("delegated to this gateway already")]
    AlreadyDelegated,
    /// Not delegated.
    #[error("not delegated to this gateway")]
    NotDelegated,
    /// Too many gateways.
    #[error("{got} gateways where at most {max} are allowed")]
    TooManyDelegations {
        /// Gateways there would be.
        got: u64,
        /// The parameter.
        max: u64,
    },
    /// The session is unknown: it never started, or it was settled.
    #[error("no unsettled session started at height {0}")]
    NoSession(Height),
    /// The application had no session there.
    #[error("application {application} had no session on {chain} then")]
    NoApplicationSession {
        /// The application.
        application: Address,
        /// The chain.
        chain: RelayChain,
    },
    /// The signer was not drawn into the session.
    #[error("servicer {0} is not of this session")]
    NotInSession(Address),
    /// The signer left in the session, which costs it the session's rewards.
    #[error("servicer {0} left during this session")]
    LeftSession(Address),
    /// Too early or too late for a claim.
    #[error("claims of this session are taken from {open} to {close}, this is {height}")]
    ClaimWindow {
        /// First height.
        open: Height,
        /// Last height.
        close: Height,
        /// The block's.
        height: Height,
    },
    /// Nothing is claimed, or the sum is not the count.
    #[error(
        "a claim over {count} relays with sum {sum}: every relay weighs 1, and one is the least"
    )]
    ClaimShape {
        /// The count.
        count: u64,
        /// The sum.
        sum: u64,
    },
    /// Claimed before.
    #[error("this session is claimed already")]
    ClaimExists,
    /// There is nothing to prove.
    #[error("there is no such claim")]
    NoClaim,
    /// Proven before.
    #[error("this claim is proven already")]
    AlreadyProven,
    /// Too early or too late for a proof.
    #[error("proofs of this session are taken from {open} to {close}, this is {height}")]
    ProofWindow {
        /// First height.
        open: Height,
        /// Last height.
        close: Height,
        /// The block's.
        height: Height,
    },
    /// The relay was for another servicer.
    #[error("the relay was for servicer {got}, not for {expected}")]
    RelayServicer {
        /// Its servicer.
        got: Address,
        /// The claim's.
        expected: Address,
    },
    /// The relay's signer could not ask for the application.
    #[error("{0} could not sign for the application in this session")]
    RelaySigner(PublicKey),
    /// The relay's signature does not hold.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The proof does not answer the challenge.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// A message that this version does not know.
    #[error("unknown message")]
    UnknownMessage,
}

impl Refusal {
    /// The number of this error: Pocket's Go implementation of v1 where it has one, our own from
    /// 1001 on where it hasn't.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Signer { .. } => 3,
            Self::UnknownMessage => 6,
            Self::Key(_) | Self::BlsKey(_) | Self::Signature(TransactionError::Key(_)) => 8,
            Self::Signature(_) => 10,
            Self::ZeroAmount => 23,
            Self::Fee { .. } | Self::Balance { .. } => 41,
            Self::MinimumStake { .. } => 45,
            Self::NoChains => 47,
            Self::TooManyChains { .. } => 52,
            Self::Unstaking { .. } => 54,
            Self::ActorExists { .. } | Self::AlreadyDelegated => 60,
            Self::ServiceUrl { .. } => 70,
            Self::NoActor { .. } | Self::NotDelegated => 71,
            Self::FishermanNotAdmitted(_) => 86,
            Self::AlreadyIncluded => 95,
            Self::TooLong { .. } => 1001,
            Self::WrongNetwork { .. } => 1002,
            Self::Expired { .. } => 1003,
            Self::ExpiresTooLate { .. } => 1004,
            Self::PaysPool(_) => 1005,
            Self::TooFewFishermen { .. } => 1006,
            Self::LastValidator => 1007,
            Self::TooManyDelegations { .. } => 1008,
            Self::NoSession(_) => 1009,
            Self::NoApplicationSession { .. } => 1010,
            Self::NotInSession(_) => 1011,
            Self::LeftSession(_) => 1012,
            Self::ClaimWindow { .. } => 1013,
            Self::ClaimShape { .. } => 1014,
            Self::ClaimExists => 1015,
            Self::NoClaim => 1016,
            Self::AlreadyProven => 1017,
            Self::ProofWindow { .. } => 1018,
            Self::RelayServicer { .. } => 1019,
            Self::RelaySigner(_) => 1020,
            Self::Relay(_) => 1021,
            Self::Sum(_) => 1022,
            // 1023 is taken by evidence.
            Self::NoBlsKey => 1024,
            Self::UnusedBlsKey => 1025,
            Self::BlsKeyTaken(_) => 1026,
        }
    }

    /// The height from which on the transaction may succeed, if it only came too early.
    pub fn not_before(&self) -> Option<Height> {
        match self {
            Self::ClaimWindow { open, height, .. } | Self::ProofWindow { open, height, .. } => {
                Some(*open).filter(|open| open > height)
            }
            _ => None,
        }
    }
}

impl EvidenceRefusal {
    /// The number of this error, as [`Refusal::code`].
    pub const fn code(&self) -> u32 {
        match self {
            Self::Invalid(EvidenceError::DifferentSigners) => 75,
            Self::Invalid(EvidenceError::DifferentSlots) => 78,
            Self::Invalid(EvidenceError::NoConflict) => 77,
            Self::Invalid(EvidenceError::Signature) => 10,
            Self::Invalid(_) => 1002,
            Self::Age { .. } => 79,
            Self::NotValidator { .. } => 71,
            Self::Punished => 1023,
        }
    }
}
