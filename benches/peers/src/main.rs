//! Rival engines from the crate registry, held against this project's: equal results first, then time.

mod bend;
mod child;
mod cpu;
mod differential;
mod focus;
mod golden;
mod hvm2;
mod hvm2_c;
mod nets;
mod operators;
mod random_net;
mod state;

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
    /// Compiles programs of Bend and checks them on every engine, with results as Bend reads them.
    #[command(after_help = "Example: cargo run --release -p peers -- bend")]
    Bend(bend::Arguments),
    /// Runs random nets through the published runtime, the oracle and the CPU engine, and compares everything.
    #[command(
        after_help = "Example: cargo run --release -p peers -- differential --cases 2000 --seed 1"
    )]
    Differential(differential::Arguments),
    /// Times the benchmark nets: the published runtime (Rust, C interpreted, C compiled) against the CPU engine.
    #[command(
        after_help = "Example: HVM_BIN=target/hvm/bin/hvm cargo run --release -p peers -- nets --json nets.json\n\n\
        The C backends need the `hvm` command of crate hvm 2.0.22 in PATH or at $HVM_BIN and a C compiler ($CC or cc):\n\
        cargo install hvm --version 2.0.22 --root target/hvm\n\
        Without them their rows say `unavailable`."
    )]
    Nets(nets::Arguments),
    /// Times π on a seeded RMAT graph: exact, f32 pull, and the memory-bandwidth floor.
    #[command(after_help = "Example: cargo run --release -p peers -- focus --scale 20 --degree 16")]
    Focus(ffcm_suite::focus::Arguments),
    /// Times graph operators on a seeded RMAT graph: crate graph and textbook programs against the operators.
    #[command(
        after_help = "Example: cargo run --release -p peers -- operators --scale 18 --degree 16"
    )]
    Operators(ffcm_suite::operators::Arguments),
    /// One table: every CPU engine against its peers and floors, interleaved, with the bars.
    #[command(
        after_help = "Example: HVM_BIN=target/hvm/bin/hvm cargo run --release -p peers -- cpu --json cpu.json\n\n\
        A missed bar is a word in the table. What a peer needs and lacks is said in its row: see `peers nets --help`."
    )]
    Cpu(cpu::Arguments),
    /// Times the state root and its durable commit: crates nomt and jmt against this project's tree.
    #[command(
        after_help = "Example: cargo run --release -p peers -- state --keys 1000000 --updates 100000"
    )]
    State(state::Arguments),
    /// Runs one program in this process and prints result, interactions and time.
    #[command(hide = true)]
    One(nets::One),
}

fn main() -> ExitCode {
    // A rival's panic is caught and reported as a value; its message must not clutter the output.
    std::panic::set_hook(Box::new(|info| {
        if !hvm2::is_running() {
            eprintln!("{info}");
        }
    }));
    let result = match Cli::parse().command {
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Bend(arguments) => bend::run(&arguments),
        Command::Differential(arguments) => differential::run(&arguments),
        Command::Nets(arguments) => nets::run(&arguments),
        Command::Focus(arguments) => focus::run(&arguments),
        Command::Operators(arguments) => operators::run(&arguments),
        Command::Cpu(arguments) => cpu::run(&arguments),
        Command::State(arguments) => state::run(&arguments),
        Command::One(arguments) => nets::one(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peers: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
