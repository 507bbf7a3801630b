//! Whom to dial, whom to let in, whom to throw out.
//!
//! A [machine](pocket_types::machine) without durable state that keeps one connection with every
//! peer of a list, as far as places last, and lets strangers have the rest:
//!
//! - Inbound and outbound connections are bounded separately, so that nobody who connects to us can
//!   take the places from which we reach others; part of the inbound places is reserved for peers of
//!   the list. What finds no place is closed by name.
//! - Inbound connections count from the moment they open; whose handshake isn't done in time is
//!   closed, and a dial that takes too long abandoned.
//! - One connection a pair. If both sides dial at once, the connection that the smaller key opened
//!   stays, which both sides compute alike; otherwise the newer one replaces what must be a dead one.
//! - A peer that can't be reached is dialled again after delays that double, with a jitter that
//!   depends on a seed of ours, so that nobody can foresee when.
//! - Penalties add up and are forgiven with time; a peer that collects too many is banned for a
//!   while.
//!
//! ```
//! use pocket_p2p::peers::{Input, ListedPeer, Output, Peers, PeersConfig};
//! use pocket_types::machine::Machine;
//! use pocket_types::{key::PublicKey, number::Timestamp};
//!
//! let mut peers = Peers::new(PublicKey([1; 32]), PeersConfig::default(), [7; 32]);
//! let listed = ListedPeer { key: PublicKey([2; 32]), address: Default::default() };
//! let address = pocket_p2p::message::PeerAddress::new("127.0.0.1:26656")?;
//! let listed = ListedPeer { address: address.clone(), ..listed };
//! let step = peers.handle(Timestamp(0), Input::Listed(vec![listed]))?;
//! assert_eq!(step.into_outputs(), [Output::Dial { peer: PublicKey([2; 32]), address }]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod conduct;
mod config;
mod dialling;
mod error;
mod input;
mod output;
mod state;

pub use config::PeersConfig;
pub use error::PeersError;
pub use input::{ConnectionId, Direction, Input, ListedPeer};
pub use output::{CloseReason, Output};
pub use state::Peers;
