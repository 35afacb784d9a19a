//! Command line: data on stdout, progress and logs on stderr.

mod backend;
mod bench;
mod crossover;
mod decimal;
mod demo;
mod doctor;
mod failure;
mod feed;
mod graph;
mod jit;
mod keys;
mod output;
mod probe;
mod profile;
mod rank;
mod replay;
mod run;
mod signals;
mod up;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use backend::Serving;
pub(crate) use jit::Fusing;

/// A deterministic compute machine and the node around it.
///
/// Exit codes: 0 done, 1 failed (one line on stderr), 2 wrong usage, 3 parity or verification mismatch.
#[derive(Debug, Parser)]
#[command(name = "focus", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(up::Arguments),
    Run(run::Arguments),
    Rank(rank::Arguments),
    Graph(graph::Arguments),
    Replay(replay::Arguments),
    Genesis(keys::GenesisArguments),
    Keygen(keys::KeygenArguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
}

/// Most worker threads that may be asked for.
const THREADS_MAX: usize = 1024;

/// Reads a thread count.
fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads <= THREADS_MAX => Ok(threads),
        _ => Err(format!("must be 0 to {THREADS_MAX}")),
    }
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    // Clap prints help to stdout with code 0, and wrong usage to stderr with code 2.
    let arguments = Arguments::parse();
    output::start_log();
    let done = match arguments.verb {
        Verb::Up(arguments) => up::up(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Rank(arguments) => rank::rank(&arguments),
        Verb::Graph(arguments) => graph::graph(&arguments),
        Verb::Replay(arguments) => replay::replay(&arguments),
        Verb::Genesis(arguments) => keys::genesis(&arguments),
        Verb::Keygen(arguments) => keys::keygen(&arguments),
        Verb::Doctor(arguments) => doctor::doctor(&arguments),
        Verb::Bench(arguments) => bench::bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_verb_has_help_with_an_example() {
        let mut command = super::Arguments::command();
        command.clone().debug_assert();
        command.build();
        let names: Vec<String> = command
            .get_subcommands()
            .map(|c| c.get_name().to_owned())
            .filter(|name| name != "help")
            .collect();
        assert!(names.len() >= 8, "{names:?}");
        for name in names {
            let verb = command.find_subcommand_mut(&name).unwrap();
            let help = verb.render_long_help().to_string();
            assert!(help.contains(&format!("focus {name}")), "{name}: {help}");
            assert!(help.contains("Example"), "{name}: {help}");
        }
    }
}
