//! Arguments that every suite has.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use crate::failure::Failure;

/// How to run a suite, and where its figures go.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A small input and one round: checks the results, its times say nothing.
    #[arg(long)]
    pub tiny: bool,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Options {
    /// Writes `report` to the file asked for, if any.
    pub fn write(&self, report: &impl Serialize) -> Result<(), Failure> {
        self.json
            .as_ref()
            .map_or(Ok(()), |path| write_json(path, report))
    }
}

/// Writes `report` to a file.
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report).map_err(|error| Failure::file(path, &error))?;
    fs::write(path, text + "\n").map_err(|error| Failure::file(path, &error))
}

/// How contenders take their turns.
#[derive(Clone, Debug, clap::Args)]
pub struct Turns {
    /// Timed runs of each contender, interleaved.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thread counts.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024)
    )]
    pub threads: Vec<usize>,
}

impl Turns {
    /// Timed runs of each contender: one in a tiny run.
    pub fn rounds(&self, options: &Options) -> usize {
        if options.tiny {
            1
        } else {
            self.rounds as usize
        }
    }
}

/// A pool of `threads` workers.
pub fn pool(threads: usize) -> Result<ThreadPool, Failure> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Failure::Failed(format!("{threads} threads: {error}")))
}
