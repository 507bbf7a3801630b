//! The words everybody in Pocket Network v1 speaks: identifiers, keys, signatures, amounts, blocks,
//! transactions, votes, certificates and proofs, with their canonical encoding, and the verifiers
//! that need nothing else.
//!
//! A gateway takes this crate and nothing more of the workspace: it follows certified headers
//! ([`finality`]) or skips most of them ([`light`]), proves a session and its servicers
//! ([`session`]), and signs and checks relays ([`relay`]). The other crates build on it, and all of
//! them follow its one convention: [a protocol is a value](machine).
//!
//! Nothing here does I/O, reads a clock or draws randomness; the crate is `no_std` with `alloc`.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod block;
pub mod bls;
pub mod candidacy;
pub mod codec;
pub mod evidence;
pub mod finality;
pub mod hash;
pub mod id;
pub mod key;
pub mod light;
pub mod list;
pub mod machine;
pub mod merkle;
pub mod number;
pub mod registration;
pub mod relay;
pub mod scheme;
pub mod session;
pub mod signature;
pub mod sortition;
pub mod state;
pub mod sum;
pub mod transaction;
#[doc(hidden)]
pub mod trap;
pub mod validator;
pub mod vote;
pub mod vrf;
