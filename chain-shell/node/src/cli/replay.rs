//! `focus replay`: execute a chain again and compare.

use std::path::PathBuf;

use clap::Args;
use ffcm::coprocessor::Accelerator;
use focus_node::{replay_data, replay_log};
use serde_json::json;

use super::backend;
use super::failure::Failure;
use super::jit::{Fusing, JitArguments};
use super::output::{print, print_json, spinning};

/// Execute a chain again from its genesis and compare every header
///
/// Reads the blocks from a data folder's store or from a log. A difference is exit code 3.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  focus replay --data focus-data\n  focus replay --log focus-data/chain.jsonl --json"
)]
pub(crate) struct Arguments {
    /// Data folder of a node that is not running
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "log",
        conflicts_with = "log"
    )]
    data: Option<PathBuf>,
    /// JSONL log
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// cpu, wgpu, wgpu:N, cuda, cuda:N or auto, which times them first; a device that fails ends the command
    #[arg(long, default_value = "cpu")]
    backend: Accelerator,
    /// Worker threads; 0 takes one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::threads)]
    threads: usize,
    #[command(flatten)]
    jit: JitArguments,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn replay(arguments: &Arguments) -> Result<(), Failure> {
    let fusing = Fusing::start(&arguments.jit)?;
    let coprocessor = backend::open(arguments.backend, arguments.threads, &fusing)?.coprocessor;
    let words = || "replaying".to_owned();
    let report = match (&arguments.data, &arguments.log) {
        (Some(data), _) => spinning(words, || replay_data(data, coprocessor))?,
        (None, Some(log)) => spinning(words, || replay_log(log, coprocessor))?,
        (None, None) => return Err(Failure::new("give --data DIR or --log FILE")),
    };
    if arguments.json {
        print_json(&json!({
            "height": report.height,
            "tip": report.tip,
            "state_root": report.state_root,
        }))
    } else {
        print(format_args!(
            "height     {}\ntip        {}\nstate root {}\n",
            report.height, report.tip, report.state_root
        ))
    }
}
