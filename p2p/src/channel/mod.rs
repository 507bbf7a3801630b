//! A secure channel: confidential, authentic in both directions, bytes in and bytes out.
//!
//! The handshake is Noise (revision 34) `Noise_XX_25519_ChaChaPoly_BLAKE2s` with secrets that live
//! for one connection only, followed by one proof from each side: the Ed25519 identity's signature
//! over the handshake hash (Noise 11.2, channel binding), the chain id and the side. The hash covers
//! fresh keys of both peers, so a proof is worth nothing in any other handshake, and nothing when it
//! is sent back to its author.
//!
//! ```text
//! initiator                                        responder
//!   e                                        ->
//!                                            <-    e, ee, s, es, hello
//!   s, se, hello                             ->
//!   proof                                    ->
//!                                            <-    proof
//! ```
//!
//! A hello says which version and chain its sender speaks, so that a peer of another network is
//! refused by name and before we have told it who we are. Identities are never visible on the wire.
//!
//! # Wire
//!
//! Each of the five handshake messages is a little-endian u32 length and as many bytes. Noise's
//! prologue is `pocket v1 channel`. A hello is the version as a u32, the chain id and the address at
//! which its sender listens, a proof the identity's key and its signature, both in the
//! [canonical codec](pocket_types::codec); a proof is sealed as its direction's first Noise transport
//! message. What the signature covers is the hash, in the domain
//! [`CHANNEL_IDENTITY`](pocket_types::hash::Domain::CHANNEL_IDENTITY), of the handshake hash, the
//! chain id, and 0 for the initiator's or 1 for the responder's side as a u64.
//!
//! After them, a frame is a sealed header (one byte [class](crate::message::MessageClass), little-endian u32
//! length of the body; 21 bytes with its tag) and the body in sealed chunks of 65,519 bytes, the last
//! one shorter. The announced length is authentic and checked before anything is buffered for it.
//! Each direction counts its Noise messages, rekeys after [`REKEY_BYTES`], and closes when the count
//! is used up.
//!
//! # Driving it
//!
//! ```
//! use pocket_p2p::channel::{ChannelConfig, Handshake, Progress};
//! use pocket_p2p::message::MessageClass;
//! use pocket_types::{id::ChainId, hash::Hash, key::SecretKey};
//!
//! let config = ChannelConfig { chain: ChainId(Hash([9; 32])), listen: Default::default() };
//! let (alice, bob) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
//! // The last arguments are 32 fresh bytes each from the host's secure generator.
//! let (mut dialing, mut to_bob) = Handshake::dial(&config, Some(bob.public_key()), [3; 32]);
//! let mut accepting = Handshake::accept(&config, [4; 32]);
//! let (mut alice_channel, mut bob_channel) = loop {
//!     // The bytes that one side wants sent are what the other side's socket reads.
//!     let (next, to_alice) = match accepting.receive(&bob, &to_bob)? {
//!         Progress::Pending { handshake, send } => (Ok(handshake), send),
//!         Progress::Established { channel, send, .. } => (Err(channel), send),
//!     };
//!     match (dialing.receive(&alice, &to_alice)?, next) {
//!         (Progress::Pending { handshake, send }, Ok(other)) => {
//!             (dialing, accepting, to_bob) = (handshake, other, send);
//!         }
//!         (Progress::Established { channel, .. }, Err(other)) => break (channel, other),
//!         _ => unreachable!("the responder's proof completes both sides"),
//!     }
//! };
//! assert_eq!(bob_channel.peer().key, alice.public_key());
//!
//! let bytes = alice_channel.send(MessageClass::Consensus, b"a vote")?;
//! assert_eq!(bob_channel.receive(&bytes)?[0].body, b"a vote");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod config;
mod error;
mod handshake;
mod primitives;
mod session;
mod transport;

pub use config::ChannelConfig;
pub use error::{ChannelError, HandshakeError, SendError};
pub use handshake::{Handshake, MAX_HANDSHAKE_MESSAGE, Progress};
pub use session::REKEY_BYTES;
pub use transport::{Channel, Frame, Peer};

/// The version of the channel protocol that this crate speaks.
pub const VERSION: u32 = 1;
