//! All tests of consensus in one binary: what they share is compiled once.

#[cfg(feature = "bls")]
mod bls;
mod campaign;
mod candidacies;
mod candidates;
mod catch_up;
mod chained;
mod common;
mod crashes;
mod election;
mod exhaustive;
mod fast_sync;
mod faults;
mod happy;
mod light;
mod long_lives;
mod oracles;
mod pace;
mod simplex;
mod simplex_rules;
mod sortition;
mod soup;
mod sync;
mod tendermint;
mod traps;
mod twins;
mod work;
