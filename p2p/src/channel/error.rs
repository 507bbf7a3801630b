use pocket_types::codec::DecodeError;
use pocket_types::id::ChainId;
use pocket_types::key::{KeyError, PublicKey};
use pocket_types::signature::SignatureError;
use thiserror::Error;

use crate::message::MessageClass;

/// Why a handshake failed. The peer, or somebody between, is at fault unless a variant says
/// otherwise; the handshake is gone and the connection must be closed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A message announces more than any handshake message needs; found before it is buffered.
    #[error("a handshake message of {got} bytes where at most {max} are allowed")]
    TooLong {
        /// Announced length.
        got: u32,
        /// The bound.
        max: u32,
    },
    /// The bytes are not the next Noise message of this handshake: garbage, tampered with, replayed
    /// or not meant for us.
    #[error("the peer's handshake message failed authentication")]
    Authentication,
    /// A Diffie-Hellman key of small order, which would make the shared secret public.
    #[error("the peer's Diffie-Hellman key is of small order")]
    LowOrderPoint,
    /// An authentic message that isn't what belongs in its place.
    #[error("the peer's handshake message is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The peer speaks another version of this protocol.
    #[error("we speak version {expected} of the channel protocol, the peer {received}")]
    Version {
        /// Ours.
        expected: u32,
        /// The peer's.
        received: u32,
    },
    /// The peer belongs to another network. Neither side need be malicious: check the genesis.
    #[error("we are on chain {expected}, the peer on {received}")]
    WrongChain {
        /// Ours.
        expected: ChainId,
        /// The peer's.
        received: ChainId,
    },
    /// Somebody else answered at the address that we dialled, and proved who it is.
    #[error("we dialled {expected} and reached {received}")]
    UnexpectedPeer {
        /// Whom we dialled.
        expected: PublicKey,
        /// Who answered.
        received: PublicKey,
    },
    /// The peer has proved our own identity: we dialled ourselves, or our key is in use twice.
    #[error("the peer has our own identity {0}")]
    OwnIdentity(PublicKey),
    /// The peer's identity isn't a key that we admit.
    #[error("the peer's identity: {0}")]
    Key(#[from] KeyError),
    /// The peer didn't prove that it holds its identity's key in this very handshake.
    #[error("the peer did not prove its identity: {0}")]
    Identity(SignatureError),
    /// The handshake succeeded and what came with its end did not.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Why a channel is closed. It is final: every later call gives the same error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Bytes were changed, repeated, reordered, left out or made up on the way.
    #[error("bytes from the peer failed authentication")]
    Authentication,
    /// The peer sent a class that we don't know.
    #[error("the peer sent a frame of unknown class {0}")]
    UnknownClass(u8),
    /// The peer announced a frame beyond its class's bound; nothing of it was buffered.
    #[error("the peer announced a {class} frame of {got} bytes where at most {max} are allowed")]
    TooLong {
        /// The frame's class.
        class: MessageClass,
        /// Announced length.
        got: u32,
        /// [`MessageClass::max_bytes`].
        max: usize,
    },
    /// All numbers of one direction are used up. Nobody is at fault: connect again.
    #[error("the channel has carried all the messages that it can")]
    Exhausted,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The body exceeds its class's bound. The caller is at fault; the channel stays open.
    #[error("a {class} frame of {got} bytes where at most {max} are allowed")]
    TooLong {
        /// The frame's class.
        class: MessageClass,
        /// Length of the body.
        got: usize,
        /// [`MessageClass::max_bytes`].
        max: usize,
    },
    /// The channel is closed.
    #[error(transparent)]
    Closed(#[from] ChannelError),
}
