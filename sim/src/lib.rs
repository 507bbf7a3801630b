//! The deterministic network in one thread.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod counters;
mod error;
mod network;
mod plan;
mod process;
mod random;
mod simulation;

pub use counters::Counters;
pub use error::SimulationError;
pub use network::{Envelope, Fate, Link, Window};
pub use plan::{Fault, Plan, PlanConfig, explore, shrink};
pub use process::{Context, Error, Input, Output, Process, Record};
pub use random::Random;
pub use simulation::{Limits, Observation, Simulation};
