//! The state at every height, provable by one hash; blocks, finality proofs and indexes beside it;
//! one atomic commit per block; over any storage engine.
//!
//! - [`tree`]: a state as an immutable value with a root. Utility executes upon it.
//! - [`overlay`]: the states of undecided blocks, over their parents.
//! - [`database`]: what is decided, durably, and every question about it.
//! - [`store`]: the contract that a storage engine's adapter fulfils, and one in memory.
//! - `conformance` and `fault` (feature `test-utils`): for the authors of adapters.
//!
//! Start at [`Database`]. What is written is planned by pure functions; only the [`database::Database`] calls the store.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "test-utils")]
pub mod conformance;
pub mod database;
#[cfg(feature = "test-utils")]
pub mod fault;
pub mod overlay;
mod plan;
mod record;
mod row;
mod run;
pub mod store;
pub mod tree;

pub use database::{Config, Database, DatabaseError, Decided, Genesis, Tip};
pub use store::{Read, Store, StoreError};
pub use tree::State;
