//! What a run of the matrix leaves: the types behind `focus-bench/1`, written and read with serde.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crossover::Crossover;
use super::spread::Spread;
use crate::failure::Failure;
use crate::machine::Machine;

/// Name and version of the format. A change that a reader of the old one would misread changes the number.
pub const SCHEMA: &str = "focus-bench/1";

/// Longest file that is read as a report, in bytes.
const REPORT_BYTES: u64 = 64 << 20;

/// A run of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Seconds since 1970 at which the run ended.
    pub created_unix: u64,
    /// What it was measured on.
    pub machine: Machine,
    /// How it was measured.
    pub settings: Settings,
    /// What each contender reached at most, measured in the same run.
    pub ceilings: Vec<Ceiling>,
    /// Suite by workload by size by backend.
    pub rows: Vec<Row>,
    /// Where a device begins to win against the CPU; empty unless there are both.
    pub crossovers: Vec<Crossover>,
    /// Figures of other machines that the project set out with.
    pub references: Vec<Reference>,
}

/// How a run was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether sizes were too small to say anything about speed.
    pub quick: bool,
    /// Whether the program was built with optimisation.
    pub optimised: bool,
    /// Timed runs of each row.
    pub runs: u32,
    /// Runs after the first and before the timed ones.
    pub warmup: u32,
    /// Seed of all inputs.
    pub seed: u64,
    /// Shape of generated graphs, or the files.
    pub input: String,
    /// Sizes asked for.
    pub sizes: Vec<u64>,
    /// Thread counts of the CPU.
    pub threads: Vec<usize>,
}

/// What a contender reaches at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Backend, as in [`Row::backend`].
    pub backend: String,
    /// Worker threads; 0 where that means nothing.
    pub threads: usize,
    /// Bytes per second, read and written bytes counted: the triad on the CPU, buffer to buffer on a device.
    pub copy: Option<f64>,
    /// Atomic additions per second to random words of 8 MiB.
    pub atomics: Option<f64>,
    /// Bytes per second from host to device.
    pub upload: Option<f64>,
    /// Bytes per second from device to host.
    pub download: Option<f64>,
    /// Why a figure is missing, if one is.
    pub why: Option<String>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Measured, with the right results.
    Ok,
    /// There is no such device, or it does not take the job.
    Unavailable,
    /// It began and did not end: a device was lost, a net ran out of something.
    Failed,
    /// It gave another result.
    Wrong,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Ok => "ok",
            State::Unavailable => "unavailable",
            State::Failed => "failed",
            State::Wrong => "WRONG",
        })
    }
}

/// One workload of one size on one backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Suite.
    pub suite: String,
    /// Workload within it.
    pub workload: String,
    /// Size asked for, in items.
    pub size: u64,
    /// Items there really are; nothing where there is no input.
    pub items: Option<u64>,
    /// What an item is: `edges`, `interactions`.
    pub item: String,
    /// The input in words.
    pub input: String,
    /// Backend as the command line names it.
    pub backend: String,
    /// The device in words.
    pub device: String,
    /// Worker threads; 0 where that means nothing.
    pub threads: usize,
    /// What became of it.
    pub state: State,
    /// Why it is not `ok`.
    pub why: Option<String>,
    /// Figures of an `ok` row.
    pub figures: Option<Figures>,
    /// What its result was held against, if there was one.
    pub parity: Option<Parity>,
}

impl Row {
    /// Backend and threads as tables and plots name them: `cpu x2`, `wgpu:0`.
    pub fn contender(&self) -> String {
        contender(&self.backend, self.threads)
    }

    /// Median seconds, if it was measured.
    pub fn median(&self) -> Option<f64> {
        self.figures.as_ref().map(|figures| figures.seconds.median)
    }
}

/// `cpu x2`, `wgpu:0`.
pub fn contender(backend: &str, threads: usize) -> String {
    match threads {
        0 => backend.to_owned(),
        threads => format!("{backend} x{threads}"),
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Units of work of one run.
    pub operations: u64,
    /// What a unit is: `edges visited`, `interactions`, `bytes`.
    pub operation: String,
    /// Least bytes that one run has to move, where there is such a number.
    pub bytes: Option<u64>,
    /// Seconds of the first run on this input, which prepares and uploads it. Kernels were compiled before, by the small
    /// input of the oracle.
    pub first: f64,
    /// Seconds of the timed runs, transfers included.
    pub seconds: Spread,
    /// Units per second, by the median.
    pub rate: f64,
    /// Bytes of [`Figures::bytes`] per second, by the median.
    pub bytes_per_second: Option<f64>,
    /// Share of the contender's own copy bandwidth.
    pub of_copy: Option<f64>,
    /// Interactions over atomic additions of the same threads, for nets: above one, wires are made and used up without
    /// any.
    pub of_atomics: Option<f64>,
    /// What one timed run sends to the device and back.
    pub transfers: Transfers,
}

/// Whether and how transfers can be told from computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// Nothing is transferred: the memory is shared.
    None,
    /// Each copy was timed, in runs of their own in which it had the wire for itself.
    Timed,
    /// Bytes were counted and divided by the rate of such transfers, as earlier versions did.
    Calculated,
    /// Bytes are counted; where they end and computing begins was not measured.
    Counted,
}

/// Transfers of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfers {
    /// How the seconds came about.
    pub told: Told,
    /// Bytes to the device.
    pub uploaded: u64,
    /// Bytes back.
    pub read_back: u64,
    /// Seconds for the former.
    pub upload_seconds: Option<f64>,
    /// Seconds for the latter.
    pub download_seconds: Option<f64>,
    /// Median seconds without either: of the timed runs, or of all where nothing is transferred.
    pub compute_seconds: Option<f64>,
    /// Runs in which copies were timed; in them nothing overlaps, so that the three add up to more than the median of the
    /// others where a job hides copies behind its work.
    #[serde(default)]
    pub timed_runs: u32,
}

/// What a result was held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parity {
    /// BLAKE3 of the result at the size measured, as hex.
    pub digest: String,
    /// Whose digest it had to be: `oracle`, or `cpu x1` where the size is beyond the oracle.
    pub against: String,
    /// That digest.
    pub expected: String,
    /// Items of the smaller input that the same backend and the oracle both had; as large as the row's where the
    /// oracle did it all.
    pub oracle_items: u64,
    /// Digest of the backend there.
    pub oracle_digest: String,
    /// The oracle's.
    pub oracle_expected: String,
    /// Whether both pairs are equal.
    pub equal: bool,
}

/// A figure from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The machine.
    pub device: String,
    /// Effective bytes per second.
    pub bytes_per_second: f64,
    /// Edges updated per second, where it is said.
    pub edges_per_second: Option<f64>,
    /// In words.
    pub words: String,
    /// Always false.
    pub measured_here: bool,
}

/// Expectations that the project set out with. Nobody has measured them here.
pub fn references() -> Vec<Reference> {
    let reference = |device: &str, bytes_per_second, edges_per_second, words: &str| Reference {
        device: device.to_owned(),
        bytes_per_second,
        edges_per_second,
        words: words.to_owned(),
        measured_here: false,
    };
    vec![
        reference(
            "RTX 3060",
            25e9,
            Some(1e8 / 1.2),
            "about 25 GB/s, 10^8 edges updated in about 1.2 s",
        ),
        reference("Apple M2", 6e9, None, "about 6 GB/s"),
        reference("browser, WebGPU on an M2", 0.5e9, None, "about 0.5 GB/s"),
    ]
}

/// The part of a report that says which format it is.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

impl Report {
    /// Reads a report. A file of another format or version is an error that says so.
    pub fn read(path: &Path) -> Result<Report, Failure> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| {
            let mut bounded = file.take(REPORT_BYTES + 1);
            bounded.read_to_end(&mut bytes)
        });
        let read = read.map_err(|error| Failure::file(path, &error))?;
        if read as u64 > REPORT_BYTES {
            let long = format!("longer than {REPORT_BYTES} bytes");
            return Err(Failure::file(path, &long));
        }
        Report::parse(&bytes).map_err(|error| Failure::file(path, &error))
    }

    /// The same from the file's content.
    pub fn parse(bytes: &[u8]) -> Result<Report, String> {
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| format!("no report of focus bench: {error}"))?;
        match head.schema.as_deref() {
            Some(SCHEMA) => {}
            Some(other) => {
                let other: String = other.chars().take(60).collect();
                return Err(format!(
                    "its schema is `{other}`, this version reads `{SCHEMA}`"
                ));
            }
            None => return Err(format!("it has no schema, this version reads `{SCHEMA}`")),
        }
        let report: Report =
            serde_json::from_slice(bytes).map_err(|error| format!("not {SCHEMA}: {error}"))?;
        Ok(report)
    }

    /// Rows that gave another result.
    pub fn wrong(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.state == State::Wrong)
    }

    /// Every combination of suite and workload, in the order of the rows.
    pub fn workloads(&self) -> Vec<(&str, &str)> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for row in &self.rows {
            let named = (&*row.suite, &*row.workload);
            if !found.contains(&named) {
                found.push(named);
            }
        }
        found
    }

    /// Contenders in the order of the rows.
    pub fn contenders(&self) -> Vec<String> {
        let mut found = Vec::new();
        for row in &self.rows {
            let named = row.contender();
            if !found.contains(&named) {
                found.push(named);
            }
        }
        found
    }

    /// The ceiling of the contender that made a row.
    pub fn ceiling(&self, row: &Row) -> Option<&Ceiling> {
        self.ceilings
            .iter()
            .find(|ceiling| (&ceiling.backend, ceiling.threads) == (&row.backend, row.threads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_and_versions_are_told_apart() {
        let error = |text: &str| Report::parse(text.as_bytes()).unwrap_err();
        assert!(error("graph").contains("no report of focus bench"));
        assert!(error("{}").contains("has no schema"));
        assert!(error(r#"{"schema":"focus-bench/2"}"#).contains("`focus-bench/2`"));
        assert!(error(r#"{"schema":"focus-bench/1"}"#).contains("missing field"));
        let long = format!(r#"{{"schema":"{}"}}"#, "x".repeat(1 << 20));
        assert!(error(&long).len() < 200);
    }

    #[test]
    fn references_are_never_measured_here() {
        assert_eq!(references().len(), 3);
        assert!(references().iter().all(|each| !each.measured_here));
    }
}
