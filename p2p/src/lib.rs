//! Pocket Network v1's peer-to-peer protocols, without I/O.
//!
//! - [`channel`]: Noise, bound to both peers' Ed25519 identities and to the chain; bytes in, bytes
//!   out.
//! - [`message`]: what travels on a channel, by class, and [`limit`]: how much of each a peer may
//!   send.
//! - [`raintree`]: broadcast to everybody in a segment of the network, each node once.
//! - [`peers`]: whom to dial, whom to let in, whom to throw out.
//!
//! The host brings sockets, a clock and randomness: it moves bytes between a socket and a
//! [`channel::Channel`], and frames between channels and the two [machines](pocket_types::machine).
//! None of the parts depends on another; take the ones you need.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod channel;
pub mod limit;
pub mod message;
pub mod peers;
pub mod raintree;
