//! Why a replica refuses: a peer's message, a host's answer, a log.

use alloc::string::String;

use pocket_types::block::BlockError;
use pocket_types::bls::BlsPublicKey;
use pocket_types::candidacy::CandidacyError;
use pocket_types::hash::Hash;
use pocket_types::id::{BlockId, ChainId};
use pocket_types::key::PublicKey;
use pocket_types::machine::Poisoned;
use pocket_types::number::{Epoch, Height, Round, Timestamp};
use pocket_types::vote::{CertificateError, Phase, Protocol};
use pocket_types::vrf::VrfPublicKey;
use thiserror::Error;

use crate::election::SeedRule;
use crate::tip::TipError;

/// The host did something wrong. Unless said otherwise nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// A store failed; the replica has stopped.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// Too many steps wait for the store: release some, then hand the input in again. Ask
    /// [`is_backlogged`](crate::Replica::is_backlogged) first.
    #[error("{waiting} steps wait to be stored, at most {max} may")]
    Backlog {
        /// Steps that wait.
        waiting: usize,
        /// The configured bound.
        max: usize,
    },
    /// The block that the host built is not what was asked for.
    #[error("the built block is refused: {0}")]
    Built(Refusal),
    /// The validator set that execution yielded can't be used.
    #[error(transparent)]
    Set(TipError),
    /// The tip to advance to doesn't know the seed of the election
    /// ([`Tip::with_seed`](crate::Tip::with_seed)).
    #[error("the tip has seeds by {got:?}, the election's are by {expected:?}")]
    Seed {
        /// The tip's rule.
        got: Option<SeedRule>,
        /// The configured one.
        expected: SeedRule,
    },
    /// A quorum decided a block that the host found invalid; the replica has stopped.
    #[error("block {block} is decided, but our own execution found it invalid: stop and compare")]
    Diverged {
        /// The block.
        block: BlockId,
    },
}

/// A replica can't start. Nothing was signed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// A time or bound of the configuration makes no sense.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// Our VRF key is not the one that is registered for our signing key: the wrong key file.
    #[error("our VRF key is {got}, the validator set has {expected}")]
    VrfKey {
        /// Our key.
        got: VrfPublicKey,
        /// The registered one.
        expected: VrfPublicKey,
    },
    /// The tip doesn't know the seed of the election ([`Tip::with_seed`](crate::Tip::with_seed)).
    #[error("the tip has seeds by {got:?}, the election's are by {expected:?}")]
    Seed {
        /// The tip's rule.
        got: Option<SeedRule>,
        /// The configured one.
        expected: SeedRule,
    },
    /// Our BLS key, by which our votes are signed, is not the one that is registered for our identity,
    /// or we have none: the wrong key file.
    #[error("our BLS key is {got:?}, the validator set has {expected}")]
    BlsKey {
        /// Our key.
        got: Option<BlsPublicKey>,
        /// The registered one.
        expected: BlsPublicKey,
    },
    /// The log holds another validator's signature: the wrong log, or the wrong key.
    #[error("the log belongs to validator {got}, our key is {expected}")]
    Foreign {
        /// The signer in the log.
        got: PublicKey,
        /// Our key.
        expected: PublicKey,
    },
    /// The log holds our signatures for two blocks in one slot, or out of order: it is damaged, or
    /// two instances ran with one key.
    #[error("the log signs height {height} round {round} {phase:?} after something later or else")]
    Order {
        /// Height of the second signature.
        height: Height,
        /// Its round.
        round: Round,
        /// Its phase.
        phase: Phase,
    },
    /// The log belongs to another protocol. Signatures of two protocols say nothing of each other, so a
    /// validator changes protocol only together with all others, after a decided height, and with a new
    /// log.
    #[error("the log belongs to protocol {got:?}, ours is {expected:?}")]
    WrongProtocol {
        /// The protocol in the log.
        got: Protocol,
        /// Ours.
        expected: Protocol,
    },
    /// The log belongs to another network.
    #[error("the log belongs to network {got}, ours is {expected}")]
    WrongChain {
        /// The network in the log.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
}

/// Why a message was refused. Its sender is at fault, and nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A vote or certificate of another network.
    #[error("for network {got}, ours is {expected}")]
    WrongChain {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// A vote or certificate of another protocol.
    #[error("for protocol {got:?}, ours is {expected:?}")]
    WrongProtocol {
        /// The protocol it names.
        got: Protocol,
        /// Ours.
        expected: Protocol,
    },
    /// A vote by another validator set.
    #[error("for validator set {got} (epoch {got_epoch}), expected {expected} ({expected_epoch})")]
    WrongSet {
        /// The set it names.
        got: Hash,
        /// The epoch it names.
        got_epoch: Epoch,
        /// The set of its height.
        expected: Hash,
        /// That set's epoch.
        expected_epoch: Epoch,
    },
    /// Signed by somebody who is no validator at that height.
    #[error("{0} is no validator at this height")]
    NotValidator(PublicKey),
    /// A vote, NewRound or candidacy that its signer did not send itself.
    #[error("signed by {signer}, sent by {from}")]
    Relayed {
        /// Who signed.
        signer: PublicKey,
        /// Who sent it.
        from: PublicKey,
    },
    /// The signature is not the signer's.
    #[error("invalid signature of {signer} on a {phase:?} vote")]
    Signature {
        /// Who is said to have signed.
        signer: PublicKey,
        /// What is said to be signed.
        phase: Phase,
    },
    /// A signature of a phase that this message doesn't carry.
    #[error("a {got:?} signature where {expected:?} belongs")]
    WrongPhase {
        /// The phase found.
        got: Phase,
        /// The phase that belongs there.
        expected: Phase,
    },
    /// A signature whose data can't be of its phase.
    #[error("a {phase:?} signature with a {field} that it can't have")]
    Field {
        /// The phase.
        phase: Phase,
        /// The field of the signed data.
        field: &'static str,
    },
    /// A NewRound that names a block.
    #[error("a NewRound signature names block {0}")]
    NewRoundBlock(BlockId),
    /// A signature that vouches for a certificate in a protocol where none does, or in a phase where
    /// none does.
    #[error(
        "vouches for a certificate of round {0}, which is not signed in this protocol and phase"
    )]
    SignsHigh(Round),
    /// A vote sent to somebody who doesn't lead its round.
    #[error("a vote for round {0}, which we don't lead")]
    NotOurRound(Round),
    /// A proposal by somebody who doesn't lead its round.
    #[error("proposal by {got} in a round that {expected} leads")]
    NotLeader {
        /// Who proposed.
        got: PublicKey,
        /// Who leads.
        expected: PublicKey,
    },
    /// A candidacy that doesn't count.
    #[error(transparent)]
    Candidacy(#[from] CandidacyError),
    /// A candidacy where leaders take turns.
    #[error("a candidacy where leaders take turns")]
    NoElection,
    /// A certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A certificate that doesn't belong where it stands.
    #[error("a {phase:?} certificate of height {height} round {round} doesn't belong here: {what}")]
    Misplaced {
        /// Its phase.
        phase: Phase,
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
        /// What belongs there.
        what: &'static str,
    },
    /// A message for a later round without a certificate that leads there.
    #[error("round {got} is claimed without a certificate that leads there from round {ours}")]
    Unjustified {
        /// The round claimed.
        got: Round,
        /// Our round.
        ours: Round,
    },
    /// The proposed block is not the one of its justify certificate.
    #[error("proposes {got} with a certificate for {expected}")]
    JustifyBlock {
        /// The block proposed.
        got: BlockId,
        /// The certificate's block.
        expected: BlockId,
    },
    /// The signature is for another block than the one beside it.
    #[error("signed for {signed}, the block is {got}")]
    BlockId {
        /// The id that is signed.
        signed: BlockId,
        /// The id of the block.
        got: BlockId,
    },
    /// The block is too large.
    #[error("a block of {got} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its encoded size.
        got: usize,
        /// The configured bound.
        max: usize,
    },
    /// The body is not the header's.
    #[error(transparent)]
    Body(#[from] BlockError),
    /// A header field that everybody knows is wrong.
    #[error("the header's {0} is not what it must be")]
    Header(&'static str),
    /// The header's time is not after its parent's.
    #[error("time {got} is not after the parent's {parent}")]
    TimeNotAfter {
        /// The header's time.
        got: Timestamp,
        /// The parent's.
        parent: Timestamp,
    },
    /// The header's time is too far ahead of our clock. Of a block that our host built. A leader's
    /// proposal is left out ([`Dropped`](crate::Output::Dropped)), for its clock may be right and ours
    /// slow; the leader sends it again until its time has come.
    #[error("time {got} lies beyond {latest}")]
    TimeAhead {
        /// The header's time.
        got: Timestamp,
        /// The latest that we accept now.
        latest: Timestamp,
    },
    /// The header's parent certificate doesn't prove the parent.
    #[error("parent certificate: {0}")]
    Parent(CertificateError),
    /// The randomness is not the proposer's.
    #[error("the randomness is not the one that the proposer had to put there")]
    Randomness,
    /// Our own host executed the block and refused it.
    #[error("execution refused it: {0}")]
    Execution(String),
}
