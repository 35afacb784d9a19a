//! `ffcm-kernels [--quick] NAME`: one kernel, for a profiler to count instructions of; `--list` names them.

use std::process::ExitCode;

use clap::Parser;
use ffcm_suite::kernels::KERNELS;

/// Runs one small kernel and prints how much it did.
#[derive(Debug, Parser)]
#[command(
    name = "ffcm-kernels",
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 a result is wrong.\n\
    Example: cargo xtask callgrind"
)]
struct Cli {
    /// Less of it, to try the machinery.
    #[arg(long)]
    quick: bool,
    /// The names, one a line.
    #[arg(long)]
    list: bool,
    /// The kernel.
    #[arg(required_unless_present = "list", value_parser = KERNELS.map(|(name, _)| name))]
    name: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        KERNELS.iter().for_each(|(name, _)| println!("{name}"));
    }
    let chosen = KERNELS
        .iter()
        .find(|(name, _)| cli.name.as_deref() == Some(name));
    let Some((_, run)) = chosen else {
        return ExitCode::SUCCESS;
    };
    match run(cli.quick) {
        Ok(units) => {
            println!("did {} {}", units.count, units.unit);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("ffcm-kernels: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
