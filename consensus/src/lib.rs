//! Consensus for Pocket Network v1, without I/O: messages in; votes, certificates and decisions out.
//!
//! Two machines, both following [the one convention](pocket_types::machine):
//!
//! - [`Replica`] decides one block per height with HotPOKT, which is Basic HotStuff (arXiv
//!   1803.05069, algorithm 2) with a pacemaker made for steady block times. A validator runs it with
//!   its keys; without keys, or while they are not in the set, it only watches.
//! - [`Sync`] brings blocks that others have decided, in order and verified, from several peers. A
//!   follower needs nothing else.
//!
//! The host brings clock, transport, storage and execution: it answers [`Output::Build`] with a
//! block, [`Output::Check`] with a verdict, and commits what [`Output::Decided`] hands out.
//!
//! # What is safe, and why
//!
//! Fewer than a third of the weight may behave arbitrarily. Two honest replicas never decide
//! different blocks at a height, whatever the network does and however often they crash, because
//! every signature is made in one place that only moves forward ([`signer`]), is durable before it
//! leaves, and a locked replica prepares another block only for a Prepare certificate of a later
//! round ([`hotpokt`]). Blocks are decided whenever messages between more than two thirds of the
//! weight arrive within the (growing) timeouts.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod bodies;
mod certificates;
mod header;
pub mod hotpokt;
mod pacemaker;
pub mod replica;
pub mod schedule;
pub mod signer;
pub mod sync;
mod tally;
pub mod tip;

pub use replica::Replica;
pub use replica::config::{Config, Identity};
pub use replica::error::{RecoverError, Refusal, ReplicaError};
pub use replica::input::{Input, Verdict};
pub use replica::message::Message;
pub use replica::output::{BuildRequest, Output};
pub use replica::record::Record;
pub use sync::Sync;
pub use tip::Tip;
