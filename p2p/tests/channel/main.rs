//! The secure channel between two honest peers, under an attacker on the wire, and with a peer that
//! lies.

mod honest;
mod lies;
mod pair;
mod stranger;
mod wire;
