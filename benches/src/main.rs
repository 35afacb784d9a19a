//! This project's engines, measured one suite at a time: results checked first, then time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ffcm_benches::failure::Failure;
use ffcm_benches::{blocks, focus, memory, nets, weights};

/// Measures this project's engines. Every result is verified; no time ever decides the exit code.
#[derive(Debug, Parser)]
#[command(
    name = "ffcm-benches",
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 a result is wrong.\n\
    Example: cargo run --release -p ffcm-benches -- nets --json nets.json"
)]
struct Cli {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// Net programs on the CPU engine; the oracle and results computed without nets check them.
    Nets(nets::Arguments),
    /// π on a seeded RMAT graph: exact, f32 pull, and the memory-bandwidth floor.
    Focus(focus::Arguments),
    /// A batch of Memory Arithmetic against one operation at a time, and the memory-bandwidth floor.
    Memory(memory::Arguments),
    /// Weight nets against the same arithmetic as a plain loop.
    Weights(weights::Arguments),
    /// A chain of one validator on a temporary folder: blocks, transactions, stages; both replays check it.
    Blocks(blocks::Arguments),
    /// Every suite with --tiny, one after the other.
    Tiny,
}

/// The suites that `tiny` runs.
const SUITES: [&str; 5] = ["nets", "focus", "memory", "weights", "blocks"];

fn main() -> ExitCode {
    match run(&Cli::parse().suite) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ffcm-benches: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(suite: &Suite) -> Result<(), Failure> {
    match suite {
        Suite::Nets(arguments) => nets::run(arguments),
        Suite::Focus(arguments) => focus::run(arguments, |_| Vec::new()),
        Suite::Memory(arguments) => memory::run(arguments),
        Suite::Weights(arguments) => weights::run(arguments),
        Suite::Blocks(arguments) => blocks::run(arguments),
        Suite::Tiny => SUITES.iter().try_for_each(|suite| {
            println!("\n{suite}");
            let cli = Cli::try_parse_from(["ffcm-benches", suite, "--tiny"]);
            run(&cli.map_err(Failure::failed)?.suite)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::CommandFactory;

    #[test]
    fn tiny_runs_every_suite_there_is() {
        let cli = Cli::command();
        let mut names: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        names.retain(|name| *name != "tiny");
        assert_eq!(names, SUITES);
        Cli::command().debug_assert();
    }
}
