use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use pocket_types::codec::{self, Wire};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::ChainId;
use pocket_types::key::{PublicKey, SecretKey, Signature, VerifyingKey};
use pocket_types::signature;
use serde::{Deserialize, Serialize};
use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

use super::VERSION;
use super::config::ChannelConfig;
use super::error::{ChannelError, HandshakeError};
use super::primitives::Primitives;
use super::session::Session;
use super::transport::{Channel, Frame, Peer};
use crate::message::{MAX_ADDRESS, PeerAddress};

/// The longest handshake message, in bytes.
pub const MAX_HANDSHAKE_MESSAGE: u32 = 1024;

/// A handshake under way. Each call of [`receive`](Self::receive) consumes it and says what became
/// of it; after an error there is nothing left to go on with.
///
/// It holds at most one handshake message. How long it may take is the host's to say
/// ([`crate::peers`] keeps that deadline).
pub struct Handshake {
    config: ChannelConfig,
    side: Side,
    expected: Option<PublicKey>,
    stage: Stage,
    /// A length and as much of its message as has arrived.
    partial: Vec<u8>,
}

/// What became of a handshake.
#[derive(Debug)]
#[must_use = "send the bytes, and go on with what is in it"]
pub enum Progress {
    /// More bytes are needed from the peer.
    Pending {
        /// What takes them.
        handshake: Handshake,
        /// To be sent to the peer first; may be empty.
        send: Vec<u8>,
    },
    /// Both sides have proved who they are.
    Established {
        /// What takes all further bytes.
        channel: Channel,
        /// To be sent to the peer before anything else; may be empty.
        send: Vec<u8>,
        /// Frames that came along with the peer's last handshake message.
        frames: Vec<Frame>,
    },
}

impl Handshake {
    /// Starts a handshake on a connection that we opened, and returns the first bytes to send.
    ///
    /// `expected` is whom we mean to reach, if we know; anybody else is refused. `seed` is 32 fresh
    /// bytes from a secure generator, never used for another handshake: both of the connection's
    /// Diffie-Hellman secrets come from it. This function wipes its own copy.
    pub fn dial(
        config: &ChannelConfig,
        expected: Option<PublicKey>,
        seed: [u8; 32],
    ) -> (Self, Vec<u8>) {
        let mut noise = noise(Side::Initiator, seed);
        let mut send = Vec::new();
        write(&mut noise, &[], &mut send).expect("the first message needs nothing from the peer");
        (Self::new(config, Side::Initiator, expected, noise), send)
    }

    /// Starts a handshake on a connection that the peer opened. `seed` as in [`dial`](Self::dial).
    pub fn accept(config: &ChannelConfig, seed: [u8; 32]) -> Self {
        Self::new(config, Side::Responder, None, noise(Side::Responder, seed))
    }

    fn new(
        config: &ChannelConfig,
        side: Side,
        expected: Option<PublicKey>,
        noise: HandshakeState,
    ) -> Self {
        let stage = Stage::Noise(Box::new(noise));
        Self { config: config.clone(), side, expected, stage, partial: Vec::new() }
    }

    /// Takes bytes from the connection, any number of them. `key` is our identity.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`]; close the connection.
    pub fn receive(
        mut self,
        key: &SecretKey,
        mut bytes: &[u8],
    ) -> Result<Progress, HandshakeError> {
        let mut send = Vec::new();
        while let Some(message) = self.next_message(&mut bytes)? {
            self = match self.stage {
                Stage::Noise(noise) => {
                    let stage = advance(noise, self.side, &self.config, key, &message, &mut send)?;
                    Self { stage, ..self }
                }
                Stage::Proof { mut session, hash, listen } => {
                    let mut proof = Vec::new();
                    session
                        .open(&message, &mut proof)
                        .map_err(|_| HandshakeError::Authentication)?;
                    let digest = identity_digest(&hash, &self.config.chain, self.side.other());
                    let peer = identify(
                        &codec::decode(&proof)?,
                        &digest,
                        self.expected,
                        key.public_key(),
                    )?;
                    if self.side == Side::Responder {
                        prove(&mut session, key, &self.config.chain, self.side, &hash, &mut send)?;
                    }
                    let mut channel = Channel::new(Peer { key: peer, listen }, session);
                    let frames = channel.receive(bytes)?;
                    return Ok(Progress::Established { channel, send, frames });
                }
            };
        }
        Ok(Progress::Pending { handshake: self, send })
    }

    /// The next whole message, taken off the front of `bytes`; none until the rest of it comes.
    fn next_message(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, HandshakeError> {
        self.fill(PREFIX, bytes);
        let Some(prefix) = self.partial.first_chunk::<PREFIX>() else { return Ok(None) };
        let got = u32::from_le_bytes(*prefix);
        let max = MAX_HANDSHAKE_MESSAGE;
        if got > max {
            return Err(HandshakeError::TooLong { got, max });
        }
        let whole = PREFIX + got as usize;
        self.fill(whole, bytes);
        if self.partial.len() < whole {
            return Ok(None);
        }
        let message = self.partial.split_off(PREFIX);
        self.partial.clear();
        Ok(Some(message))
    }

    fn fill(&mut self, length: usize, bytes: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len());
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(now);
        *bytes = later;
    }
}

/// Takes the peer's next Noise message and writes ours.
fn advance(
    mut noise: Box<HandshakeState>,
    side: Side,
    config: &ChannelConfig,
    key: &SecretKey,
    message: &[u8],
    send: &mut Vec<u8>,
) -> Result<Stage, HandshakeError> {
    let payload = read(&mut noise, message)?;
    let hello = Hello { version: VERSION, chain: config.chain, listen: config.listen.clone() };
    // The first message of the pattern is readable by all, and empty.
    if side == Side::Responder && noise.get_remote_static().is_none() {
        if !payload.is_empty() {
            return Err(HandshakeError::Authentication);
        }
        write(&mut noise, &codec::encode(&hello), send)?;
        return Ok(Stage::Noise(noise));
    }
    let peer = codec::decode::<Hello>(&payload)?;
    if peer.version != VERSION {
        return Err(HandshakeError::Version { expected: VERSION, received: peer.version });
    }
    if peer.chain != config.chain {
        let (expected, received) = (config.chain, peer.chain);
        return Err(HandshakeError::WrongChain { expected, received });
    }
    if side == Side::Initiator {
        write(&mut noise, &codec::encode(&hello), send)?;
    }
    let mut hash = Hash::default();
    hash.0.copy_from_slice(noise.get_handshake_hash());
    let keys = noise.into_stateless_transport_mode().map_err(|_| HandshakeError::Authentication)?;
    let mut session = Session::new(keys);
    if side == Side::Initiator {
        prove(&mut session, key, &config.chain, side, &hash, send)?;
    }
    Ok(Stage::Proof { session, hash, listen: peer.listen })
}

fn prove(
    session: &mut Session,
    key: &SecretKey,
    chain: &ChainId,
    side: Side,
    hash: &Hash,
    send: &mut Vec<u8>,
) -> Result<(), ChannelError> {
    let signature = key.sign(&identity_digest(hash, chain, side));
    let mut sealed = Vec::new();
    session.seal(&codec::encode(&Proof { key: key.public_key(), signature }), &mut sealed)?;
    put(&sealed, send);
    Ok(())
}

/// Who the peer has proved to be.
fn identify(
    proof: &Proof,
    digest: &Hash,
    expected: Option<PublicKey>,
    own: PublicKey,
) -> Result<PublicKey, HandshakeError> {
    let received = proof.key;
    received.validate()?;
    signature::verify(&VerifyingKey::new(received)?, digest, &proof.signature)
        .map_err(HandshakeError::Identity)?;
    // Only now is the name more than a claim.
    if received == own {
        return Err(HandshakeError::OwnIdentity(own));
    }
    match expected {
        Some(expected) if expected != received => {
            Err(HandshakeError::UnexpectedPeer { expected, received })
        }
        _ => Ok(received),
    }
}

/// What an identity signs to say: I am this side of this very handshake, on this chain.
fn identity_digest(hash: &Hash, chain: &ChainId, side: Side) -> Hash {
    Domain::CHANNEL_IDENTITY
        .hasher()
        .fixed(hash.as_bytes())
        .fixed(chain.0.as_bytes())
        .number(side as u64)
        .finish()
}

fn noise(side: Side, mut seed: [u8; 32]) -> HandshakeState {
    let fixed = Zeroizing::new(STATIC_SECRET.hash(&seed).0);
    let ephemeral = Zeroizing::new(EPHEMERAL_SECRET.hash(&seed).0);
    seed.zeroize();
    let parameters = NOISE.parse().expect("the protocol's name is well-formed");
    let builder = Builder::with_resolver(parameters, Box::new(Primitives { ephemeral }))
        .local_private_key(&*fixed)
        .and_then(|builder| builder.prologue(PROLOGUE));
    let built = builder.and_then(|builder| match side {
        Side::Initiator => builder.build_initiator(),
        Side::Responder => builder.build_responder(),
    });
    built.expect("each parameter is set once, and every primitive of the name is there")
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut payload = vec![0; message.len()];
    let length = noise.read_message(message, &mut payload).map_err(refused)?;
    payload.truncate(length);
    Ok(payload)
}

fn write(
    noise: &mut HandshakeState,
    payload: &[u8],
    send: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    let mut message = [0; MAX_HANDSHAKE_MESSAGE as usize];
    let length = noise.write_message(payload, &mut message).map_err(refused)?;
    put(&message[..length], send);
    Ok(())
}

fn refused(error: snow::Error) -> HandshakeError {
    match error {
        snow::Error::Dh => HandshakeError::LowOrderPoint,
        _ => HandshakeError::Authentication,
    }
}

/// Appends a message with its length.
fn put(message: &[u8], send: &mut Vec<u8>) {
    send.extend_from_slice(&(message.len() as u32).to_le_bytes());
    send.extend_from_slice(message);
}

enum Stage {
    /// Noise messages are outstanding.
    Noise(Box<HandshakeState>),
    /// The channel is secret; who is at the other end is not known yet.
    Proof { session: Session, hash: Hash, listen: PeerAddress },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Initiator = 0,
    Responder = 1,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What each side says of itself as soon as nobody else can read it.
#[derive(Serialize, Deserialize)]
struct Hello {
    version: u32,
    chain: ChainId,
    listen: PeerAddress,
}

impl Wire for Hello {
    const MAX_BYTES: usize = 4 + 32 + 8 + MAX_ADDRESS;
}

#[derive(Serialize, Deserialize)]
struct Proof {
    key: PublicKey,
    /// Over [`identity_digest`].
    signature: Signature,
}

impl Wire for Proof {
    const MAX_BYTES: usize = 32 + 64;
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("config", &self.config)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

const NOISE: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"pocket v1 channel";
const STATIC_SECRET: Domain = Domain::custom("pocket v1 channel static secret");
const EPHEMERAL_SECRET: Domain = Domain::custom("pocket v1 channel ephemeral secret");

/// Length of the length before a handshake message.
const PREFIX: usize = 4;
