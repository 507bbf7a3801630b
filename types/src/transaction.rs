//! What clients ask the ledger to do.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bls::ProvenKey;
use crate::codec::{self, SortedSet, Text, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{Address, ChainId, GeoZone, RelayChain, TransactionId};
use crate::key::{KeyError, PublicKey, SecretKey, Signature, VerifyingKey};
use crate::number::{Amount, Height};
use crate::relay::RelayProof;
use crate::session::SessionHeader;
use crate::signature;
use crate::sum::{SumProof, SumRoot};
use crate::vrf::VrfPublicKey;

/// The largest encoded transaction.
pub const MAX_TRANSACTION_BYTES: usize = 64 << 10;

/// The most chains an actor may stake for.
pub const MAX_CHAINS: usize = 15;

/// What an actor does for the network, with what only this kind needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Pays for relays.
    Application {
        /// Chains it reads.
        chains: SortedSet<RelayChain, MAX_CHAINS>,
        /// Where it wants to be served.
        zone: GeoZone,
    },
    /// Answers relays.
    Servicer {
        /// Chains it serves.
        chains: SortedSet<RelayChain, MAX_CHAINS>,
        /// Where it serves.
        zone: GeoZone,
        /// Where it is reached.
        service_url: ServiceUrl,
    },
    /// Measures servicers.
    Fisherman {
        /// Where it measures.
        zone: GeoZone,
        /// Where it is reached.
        service_url: ServiceUrl,
    },
    /// Keeps the ledger.
    Validator {
        /// Proves the randomness of its blocks.
        vrf_key: VrfPublicKey,
        /// Signs its votes, in a network whose validators sign by BLS; none in others.
        bls_key: Option<ProvenKey>,
        /// Where it is reached.
        service_url: ServiceUrl,
    },
    /// Relays for applications that delegate to it.
    Gateway {
        /// Where it is reached.
        service_url: ServiceUrl,
    },
}

/// Where an actor is reached.
pub type ServiceUrl = Text<255>;

/// The kinds of actors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ActorKind {
    /// Pays for relays.
    Application,
    /// Answers relays.
    Servicer,
    /// Measures servicers.
    Fisherman,
    /// Keeps the ledger.
    Validator,
    /// Relays for applications.
    Gateway,
}

impl ActorKind {
    /// All kinds, in the order of their encoding.
    pub const ALL: [Self; 5] =
        [Self::Application, Self::Servicer, Self::Fisherman, Self::Validator, Self::Gateway];
}

impl Role {
    /// The kind of actor.
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::Application { .. } => ActorKind::Application,
            Self::Servicer { .. } => ActorKind::Servicer,
            Self::Fisherman { .. } => ActorKind::Fisherman,
            Self::Validator { .. } => ActorKind::Validator,
            Self::Gateway { .. } => ActorKind::Gateway,
        }
    }
}

/// What a transaction does. The rules are the ledger's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message {
    /// Moves money from the signer to an account.
    Send {
        /// Who receives it.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// Makes the holder of `operator` an actor, staked by the signer.
    Stake {
        /// The actor's identity and signing key.
        operator: PublicKey,
        /// Where rewards and the returned stake go.
        output: Address,
        /// The stake.
        amount: Amount,
        /// What it does.
        role: Role,
    },
    /// Begins to return an actor's stake. Signed by the operator or the owner of the output address.
    Unstake {
        /// The kind of actor.
        kind: ActorKind,
        /// Its address.
        actor: Address,
    },
    /// Lets a gateway sign relays for the signer's application, from the next session on.
    Delegate {
        /// The gateway.
        gateway: PublicKey,
    },
    /// Takes that back, from the next session on.
    Undelegate {
        /// The gateway.
        gateway: PublicKey,
    },
    /// A servicer (the signer) commits to the relays that it served in a session.
    Claim {
        /// The session.
        session: SessionHeader,
        /// Root, sum and count of the tree over the relays.
        root: SumRoot,
    },
    /// The servicer answers the challenge to its claim.
    ProveClaim {
        /// The relay that the challenge hit; its head names the session.
        relay: Box<RelayProof>,
        /// Its place in the claim's tree.
        path: SumProof,
    },
}

/// A transaction without its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransactionBody {
    /// The network.
    pub chain: ChainId,
    /// Sets apart what would otherwise be the same transaction; any value.
    pub nonce: u64,
    /// The last height at which it may be in a block.
    pub expiry: Height,
    /// What the signer pays for it.
    pub fee: Amount,
    /// Who asks, and pays.
    pub signer: PublicKey,
    /// What it does.
    pub message: Message,
}

/// A signed transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Transaction {
    /// What is signed.
    pub body: TransactionBody,
    /// Over [`TransactionBody::signing_digest`].
    pub signature: Signature,
}

impl Wire for Transaction {
    const MAX_BYTES: usize = MAX_TRANSACTION_BYTES;
}

/// A transaction's signature does not hold. Whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The signer's key could not have entered the state.
    #[error("the signer's key can't be used: {0}")]
    Key(KeyError),
    /// The signature is not the signer's.
    #[error("the signature is not the signer's")]
    Signature,
}

impl TransactionBody {
    /// The transaction's id; it does not depend on the signature.
    pub fn id(&self) -> TransactionId {
        TransactionId(Domain::TRANSACTION_ID.hash(&codec::encode(self)))
    }

    /// The message that is signed.
    pub fn signing_digest(&self) -> Hash {
        Domain::TRANSACTION_SIGNATURE.hash(&self.id().0.0)
    }

    /// Signs. `key` must be the one of [`TransactionBody::signer`].
    pub fn sign(self, key: &SecretKey) -> Transaction {
        let signature = key.sign(&self.signing_digest());
        Transaction { body: self, signature }
    }
}

impl Transaction {
    /// The transaction's id.
    pub fn id(&self) -> TransactionId {
        self.body.id()
    }

    /// What a block commits to of this transaction: its id and its signature. The id alone would let
    /// anybody spoil the signature of a decided block's transaction without changing the block's id.
    pub fn commitment(&self) -> Hash {
        let hasher = Domain::TRANSACTION_COMMITMENT.hasher().fixed(&self.id().0.0);
        hasher.fixed(&self.signature.0).finish()
    }

    /// Who signed.
    pub fn sender(&self) -> Address {
        Address::of(&self.body.signer)
    }

    /// Checks the signer's key and the signature.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] naming which of them fails.
    pub fn verify(&self) -> Result<(), TransactionError> {
        let signer = self.body.signer;
        signer.validate().map_err(TransactionError::Key)?;
        let key = VerifyingKey::new(signer).map_err(TransactionError::Key)?;
        signature::verify(&key, &self.body.signing_digest(), &self.signature)
            .map_err(|_| TransactionError::Signature)
    }
}
