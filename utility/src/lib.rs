//! The ledger of Pocket Network v1.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod genesis;
pub mod ledger;
pub mod mempool;
pub mod params;
pub mod query;
pub mod relay;
pub mod session;
pub mod state;
