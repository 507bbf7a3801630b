//! A servicer's side of relays: accept, answer, count, claim, prove.
//!
//! Utility specification, 3.2. Functions over a value, without I/O: the host receives the request,
//! asks [`Servicer::check`], executes what was accepted against the chain, and sends what
//! [`Servicer::complete`] signed. What has to survive a crash comes back as data: store the
//! [`RelayProof`](pocket_types::relay::RelayProof) of every answer before sending it, and hand all of
//! them to [`Servicer::restore`] after a restart.

mod payload;
mod refusal;
mod servicer;
mod tree;

pub use payload::{PayloadCheck, StandardPayloads};
pub use refusal::{RefusalCounts, RelayRefusal};
pub use servicer::{Accepted, Answered, Due, Servicer, ServicerConfig};
pub use tree::ClaimTree;
