//! Rival engines from the crate registry, held against this project's: equal results first, then time.

mod differential;
mod failure;
mod golden;
mod hvm2;
mod random_net;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compares this project's engines with rivals: results and interaction counts first, then time.
#[derive(Debug, Parser)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 two engines disagree or a result is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the golden records of the net programs against the published runtime (crate hvm).
    #[command(after_help = "Example: cargo run --release -p peers -- golden")]
    Golden(golden::Arguments),
    /// Runs random nets through the published runtime, the oracle and the CPU engine, and compares everything.
    #[command(
        after_help = "Example: cargo run --release -p peers -- differential --cases 2000 --seed 1"
    )]
    Differential(differential::Arguments),
}

fn main() -> ExitCode {
    // A rival's panic is caught and reported as a value; its message must not clutter the output.
    std::panic::set_hook(Box::new(|info| {
        if !info
            .location()
            .is_some_and(|place| place.file().contains("hvm-"))
        {
            eprintln!("{info}");
        }
    }));
    let result = match Cli::parse().command {
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Differential(arguments) => differential::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peers: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
