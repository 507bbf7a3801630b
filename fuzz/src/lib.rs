//! Fuzz targets for everything that strangers can hand in: each wire type's decoder, what is done
//! with a value before it is trusted, and the machines that take it.
//!
//! A target is a plain function of bytes, and must not panic, whatever the bytes.
//!
//! - Decoders: if one accepts the bytes as a value, encoding that value must give the same bytes back.
//!   Such a target returns how many decoders accepted them.
//! - Machines, handshakes, the ledger and the database: the bytes are a script of what their peers,
//!   clients or disks do; what the module promises is checked after each line. Such a target returns
//!   how many lines it carried out.
//!
//! Three ways to run them:
//!
//! - `cargo test -p pocket-fuzz`: the committed corpus, and some thousand seeded mutations of it. No
//!   tool needed.
//! - `cargo run -p pocket-fuzz --bin votes -- FILE...`: one target over some files, such as what a
//!   fuzzer found. No tool needed.
//! - `cargo +nightly fuzz run --features libfuzzer --sanitizer none votes`: coverage-guided, with
//!   [cargo-fuzz](https://github.com/rust-fuzz/cargo-fuzz) and a C++ compiler. Nothing here is
//!   unsafe, so it does without the address sanitizer, which is several times slower.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::process::ExitCode;

mod consensus;
mod p2p;
mod persistence;
mod script;
pub mod seeds;
mod types;
mod utility;

pub use consensus::{consensus, replica};
pub use p2p::{channel, frames, raintree};
pub use persistence::rows;
pub use types::{blocks, json, proofs, relays, sessions, transactions, votes};
pub use utility::{genesis, ledger};

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys;

/// What a fuzzer runs: takes bytes, panics when it has found something, and returns how much of them
/// it could use.
pub type Target = fn(&[u8]) -> usize;

/// Every target by name: its binary, its file in `fuzz_targets` and its folder in `corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("blocks", blocks),
    ("channel", channel),
    ("consensus", consensus),
    ("frames", frames),
    ("genesis", genesis),
    ("json", json),
    ("ledger", ledger),
    ("proofs", proofs),
    ("raintree", raintree),
    ("relays", relays),
    ("replica", replica),
    ("rows", rows),
    ("sessions", sessions),
    ("transactions", transactions),
    ("votes", votes),
];

/// The main function of a target without a fuzzer: runs it over the files that are named.
pub fn replay(target: Target) -> ExitCode {
    let mut files = std::env::args_os().skip(1).peekable();
    if files.peek().is_none() {
        eprintln!("name the files to run the target over");
        return ExitCode::FAILURE;
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(data) => println!("{}: {} used", file.display(), target(&data)),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Makes a target's binary: libFuzzer's with the feature `libfuzzer`, else [`replay`].
#[macro_export]
macro_rules! target {
    ($target:path) => {
        #[cfg(feature = "libfuzzer")]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $target(data);
        });

        #[cfg(not(feature = "libfuzzer"))]
        fn main() -> ::std::process::ExitCode {
            $crate::replay($target)
        }
    };
}
