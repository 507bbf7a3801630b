//! Requests for a chain's data, and the answers.
//!
//! Utility specification, 3.2: an application, or a gateway for it, signs a request for one servicer
//! of its session; the servicer signs the answer over both. Only the small [`RelayProof`] ever
//! reaches the chain.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, Wire};
use crate::hash::{Domain, Hash};
use crate::id::{Address, RelayDigest};
use crate::key::{PublicKey, SecretKey, Signature, VerifyingKey};
use crate::number::Timestamp;
use crate::session::SessionHeader;
use crate::signature;

/// The largest payload of a relay, either way.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// What the bytes of a payload are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PayloadKind {
    /// A JSON-RPC 2.0 request.
    JsonRpc,
    /// A REST request.
    Rest,
    /// Opaque bytes.
    Raw,
}

/// What identifies a request; small enough for the chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayHead {
    /// The session.
    pub session: SessionHeader,
    /// The servicer that shall answer.
    pub servicer: Address,
    /// Sets apart what would otherwise be the same request; any value.
    pub nonce: u64,
    /// What the payload is.
    pub kind: PayloadKind,
    /// Hash of the payload, by [`payload_hash`].
    pub payload: Hash,
}

/// A head with its signature: what a servicer shows to prove that it was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayProof {
    /// The request.
    pub head: RelayHead,
    /// The application, or a gateway it delegated to.
    pub signer: PublicKey,
    /// Over [`RelayHead::signing_digest`].
    pub signature: Signature,
}

/// A request as it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayRequest {
    /// The signed head.
    pub proof: RelayProof,
    /// What is asked.
    pub payload: Bytes<MAX_PAYLOAD>,
}

/// A servicer's signed answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayResponse {
    /// The request that it answers.
    pub request: RelayDigest,
    /// The answer.
    pub payload: Bytes<MAX_PAYLOAD>,
    /// When, by the servicer's clock.
    pub time: Timestamp,
    /// Who answers.
    pub servicer: PublicKey,
    /// Over request, answer and time.
    pub signature: Signature,
}

impl Wire for RelayRequest {
    const MAX_BYTES: usize = 1024 + MAX_PAYLOAD;
}

impl Wire for RelayResponse {
    const MAX_BYTES: usize = 1024 + MAX_PAYLOAD;
}

/// Why a relay can't be accepted. Whoever signed it, or passed it on, is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The payload is not the one that was signed.
    #[error("payload hashes to {got}, the signed head says {expected}")]
    Payload {
        /// Hash of the payload.
        got: Hash,
        /// Hash in the head.
        expected: Hash,
    },
    /// The answer is to another request.
    #[error("answer to request {got}, expected {expected}")]
    Request {
        /// The request that is answered.
        got: RelayDigest,
        /// The request that was sent.
        expected: RelayDigest,
    },
    /// The answer comes from somebody else.
    #[error("signed by {got}, expected {expected}")]
    Signer {
        /// Address of the signer.
        got: Address,
        /// Who had to sign.
        expected: Address,
    },
    /// The signature does not hold.
    #[error("the signature is not the signer's")]
    Signature,
}

/// What a head says of its payload.
pub fn payload_hash(payload: &[u8]) -> Hash {
    Domain::RELAY_RESPONSE.hash(payload)
}

impl RelayHead {
    /// The request's digest; it does not depend on the signature.
    pub fn digest(&self) -> RelayDigest {
        RelayDigest(Domain::RELAY_REQUEST.hash(&codec::encode(self)))
    }

    /// The message that is signed.
    pub fn signing_digest(&self) -> Hash {
        Domain::RELAY_REQUEST_SIGNATURE.hash(&self.digest().0.0)
    }
}

impl RelayProof {
    /// Checks the signature. Whether the signer may ask for this application is the session's to
    /// say.
    ///
    /// # Errors
    ///
    /// [`RelayError::Signature`].
    pub fn verify(&self) -> Result<(), RelayError> {
        let key = VerifyingKey::new(self.signer).map_err(|_| RelayError::Signature)?;
        signature::verify(&key, &self.head.signing_digest(), &self.signature)
            .map_err(|_| RelayError::Signature)
    }
}

impl RelayRequest {
    /// Signs a request to one servicer of a session.
    pub fn sign(
        session: SessionHeader,
        servicer: Address,
        nonce: u64,
        kind: PayloadKind,
        payload: Bytes<MAX_PAYLOAD>,
        key: &SecretKey,
    ) -> Self {
        let head = RelayHead { session, servicer, nonce, kind, payload: payload_hash(&payload) };
        let signature = key.sign(&head.signing_digest());
        Self { proof: RelayProof { head, signer: key.public_key(), signature }, payload }
    }

    /// Checks payload and signature.
    ///
    /// # Errors
    ///
    /// [`RelayError::Payload`] or [`RelayError::Signature`].
    pub fn verify(&self) -> Result<(), RelayError> {
        let got = payload_hash(&self.payload);
        if got != self.proof.head.payload {
            return Err(RelayError::Payload { got, expected: self.proof.head.payload });
        }
        self.proof.verify()
    }
}

impl RelayResponse {
    /// Signs an answer.
    pub fn sign(
        request: RelayDigest,
        payload: Bytes<MAX_PAYLOAD>,
        time: Timestamp,
        key: &SecretKey,
    ) -> Self {
        let signature = key.sign(&Self::signing_digest(request, &payload, time));
        Self { request, payload, time, servicer: key.public_key(), signature }
    }

    /// Checks that this answers the request, from the servicer that it was sent to.
    ///
    /// # Errors
    ///
    /// [`RelayError`] naming the first violation.
    pub fn verify(&self, request: &RelayHead) -> Result<(), RelayError> {
        let expected = request.digest();
        if self.request != expected {
            return Err(RelayError::Request { got: self.request, expected });
        }
        let got = Address::of(&self.servicer);
        if got != request.servicer {
            return Err(RelayError::Signer { got, expected: request.servicer });
        }
        let key = VerifyingKey::new(self.servicer).map_err(|_| RelayError::Signature)?;
        let digest = Self::signing_digest(self.request, &self.payload, self.time);
        signature::verify(&key, &digest, &self.signature).map_err(|_| RelayError::Signature)
    }

    fn signing_digest(request: RelayDigest, payload: &[u8], time: Timestamp) -> Hash {
        Domain::RELAY_RESPONSE_SIGNATURE
            .hasher()
            .fixed(&request.0.0)
            .fixed(&payload_hash(payload).0)
            .number(time.0)
            .finish()
    }
}

/// The signers that may ask for an application in a session: itself and its gateways, sorted.
pub fn ring(application: PublicKey, gateways: &[PublicKey]) -> Vec<PublicKey> {
    let mut ring: Vec<_> = gateways.iter().copied().chain([application]).collect();
    ring.sort_unstable();
    ring.dedup();
    ring
}
