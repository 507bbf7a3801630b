//! A laboratory for the protocols of Pocket Network v1: experiments on the deterministic simulator.
//!
//! [`consensus`] has the experiments and the list of protocols, [`network`] the simulated network that
//! they run in. Everything is seeded: the same command prints the same numbers on any machine.

mod consensus;
mod network;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    version,
    about = "Experiments on the protocols of Pocket Network v1",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the consensus protocols: delays, messages, crashed leaders, dead validators, loss and
    /// jitter, as tables and, with --html, as a page of charts.
    Consensus {
        /// Write the charts and tables to this page, too.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Only the protocols whose names contain this.
        #[arg(long, value_name = "NAME", default_value = "")]
        only: String,
    },
}

fn main() -> ExitCode {
    let Arguments { command: Command::Consensus { html, only } } = Arguments::parse();
    match report::consensus(&only, html.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pocket-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
