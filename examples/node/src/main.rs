//! A node of Pocket Network v1, and a whole devnet of them, around the protocol crates.
//!
//! The crates of this workspace are the protocol; this program is the machine around it: the tokio
//! runtime, TCP, the redb database, JSON-RPC. Read [`node`] first: its event loop is all it takes to
//! embed them.

mod chain;
mod config;
mod devnet;
mod genesis;
mod network;
mod node;
mod report;
mod rpc;
mod store;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    version,
    about = "A node, and a devnet of nodes, of Pocket Network v1",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole network on this machine: four validators, two servicers, a fisherman, an
    /// application and a gateway, each with its own identity and database.
    Devnet(devnet::Options),
    /// Run one node from its directory, as `devnet --data-dir` lays it out.
    Run {
        /// The node's directory: config.json, keys.json and its database.
        directory: PathBuf,
        /// Stop when standard input ends: a supervisor's way to leave no orphans.
        #[arg(long)]
        stop_with_stdin: bool,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // One line: what is wrong, without the usage that follows it.
        Err(error)
            if error.use_stderr()
                && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            let text = error.render().to_string();
            let said = text.lines().take_while(|line| !line.trim().is_empty());
            let said: Vec<_> = said.map(str::trim).collect();
            eprintln!("{}; see --help", said.join(" "));
            return ExitCode::from(2);
        }
        // Help, version, or nothing at all.
        Err(error) => error.exit(),
    };
    let result = match arguments.command {
        Command::Devnet(options) => devnet::run(options),
        Command::Run { directory, stop_with_stdin } => node::run(&directory, stop_with_stdin),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what failed and why: the whole chain of causes.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
