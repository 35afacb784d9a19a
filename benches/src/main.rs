//! This project's engines, measured one suite at a time: results checked first, then time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ffcm_benches::failure::Failure;
use ffcm_benches::gpu::Backend;
use ffcm_benches::{
    blocks, conformance, deltas, devices, dump, focus, gpu, hash, incremental, jit, memory, nets,
    operators, record, signatures, weights,
};

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
    Nets(OnBackend<nets::Arguments>),
    /// Net programs with native code against the interpreter, and what compiling costs.
    Jit(jit::Arguments),
    /// π on a seeded RMAT graph: exact, f32 pull, and the memory-bandwidth floor.
    Focus(OnBackend<focus::Arguments>),
    /// Edges visited to follow a small change of a graph from its π before, against a run from nothing.
    Incremental(incremental::Arguments),
    /// A batch of edge deltas into a large graph, against building it anew.
    Deltas(deltas::Arguments),
    /// Search, components, paths, communities, clustering, triangles and walks, against textbook programs.
    Operators(operators::Arguments),
    /// A batch of Memory Arithmetic against one operation at a time, and the memory-bandwidth floor.
    Memory(OnBackend<memory::Arguments>),
    /// BLAKE3 and SHA-256 of batches, and a nonce search.
    Hash(OnBackend<hash::Arguments>),
    /// Ed25519 signatures one by one and in batches; single verification checks every verdict.
    Signatures(signatures::Arguments),
    /// Weight nets against the same arithmetic as a plain loop.
    Weights(weights::Arguments),
    /// A chain of one validator on a temporary folder: blocks, transactions, stages; both replays check it.
    Blocks(blocks::Arguments),
    /// The suites that every backend passes, against the oracle; exit code 3 is a difference.
    Conformance(OnBackend<conformance::Arguments>),
    /// The devices of this machine, a line each: backend, state, kind, name.
    Devices,
    /// Write the graph of suite `focus` and its exact π to plain files, for rivals that are no Rust crates.
    Dump(dump::Arguments),
    /// Put what a recording script ran together: one JSON and one Markdown file.
    Record(record::Arguments),
    /// Every suite with --tiny, one after the other: on the CPU, on the first WebGPU adapter, and on CUDA where there is a
    /// device.
    Tiny,
}

/// A suite that runs on the CPU or on a device.
#[derive(Debug, clap::Args)]
struct OnBackend<A: clap::Args> {
    #[command(flatten)]
    arguments: A,
    #[command(flatten)]
    backend: Backend,
}

/// The suites that `tiny` runs.
const SUITES: [&str; 11] = [
    "nets",
    "jit",
    "focus",
    "incremental",
    "deltas",
    "operators",
    "memory",
    "hash",
    "signatures",
    "weights",
    "blocks",
];
/// Those that it runs on devices too.
const ON_DEVICES: [&str; 4] = ["nets", "focus", "memory", "hash"];

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
        Suite::Nets(suite) => match suite.backend.device() {
            None => nets::run(&suite.arguments),
            Some(device) => gpu::nets::run(&suite.arguments, &device),
        },
        Suite::Focus(suite) => match suite.backend.device() {
            None => focus::run(&suite.arguments, |_| Vec::new()),
            Some(device) => gpu::focus::run(&suite.arguments, &device),
        },
        Suite::Memory(suite) => match suite.backend.device() {
            None => memory::run(&suite.arguments),
            Some(device) => gpu::memory::run(&suite.arguments, &device),
        },
        Suite::Hash(suite) => match suite.backend.device() {
            None => hash::run(&suite.arguments),
            Some(device) => gpu::hash::run(&suite.arguments, &device),
        },
        Suite::Jit(arguments) => jit::run(arguments),
        Suite::Incremental(arguments) => incremental::run(arguments),
        Suite::Deltas(arguments) => deltas::run(arguments),
        Suite::Operators(arguments) => operators::run(arguments, |_, _| Vec::new()),
        Suite::Signatures(arguments) => signatures::run(arguments),
        Suite::Weights(arguments) => weights::run(arguments),
        Suite::Blocks(arguments) => blocks::run(arguments),
        Suite::Conformance(suite) => {
            conformance::run(&suite.arguments, suite.backend.accelerator())
        }
        Suite::Devices => {
            devices::print();
            Ok(())
        }
        Suite::Dump(arguments) => dump::run(arguments),
        Suite::Record(arguments) => record::run(arguments),
        Suite::Tiny => {
            SUITES.iter().try_for_each(|suite| tiny(&[suite]))?;
            let on = |backend| move |suite: &&str| tiny(&[suite, "--backend", backend]);
            ON_DEVICES.iter().try_for_each(on("wgpu"))?;
            match ffcm_cuda::device::devices() {
                Ok(found) if found.iter().any(|device| device.refused.is_none()) => {
                    ON_DEVICES.iter().try_for_each(on("cuda"))
                }
                Ok(found) => {
                    println!("\ncuda: NOT RUN: none of {} devices is usable", found.len());
                    Ok(())
                }
                Err(error) => {
                    println!("\ncuda: NOT RUN: {error}");
                    Ok(())
                }
            }
        }
    }
}

/// Runs one suite with these arguments and `--tiny`.
fn tiny(arguments: &[&str]) -> Result<(), Failure> {
    println!("\n{}", arguments.join(" "));
    let all = [&["ffcm-benches"], arguments, &["--tiny"]].concat();
    run(&Cli::try_parse_from(all).map_err(Failure::failed)?.suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::CommandFactory;

    #[test]
    fn tiny_runs_every_suite_there_is() {
        let cli = Cli::command();
        let mut names: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        names.retain(|name| !["conformance", "devices", "dump", "record", "tiny"].contains(name));
        assert_eq!(names, SUITES);
        assert!(ON_DEVICES.iter().all(|name| names.contains(name)));
        Cli::command().debug_assert();
    }
}
