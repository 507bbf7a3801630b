//! RainTree: whom a broadcast reaches, what attackers can't do to it, and the published tables.

mod attacks;
mod coverage;
mod network;
mod vectors;
