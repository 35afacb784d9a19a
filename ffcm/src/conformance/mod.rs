//! The suite that every backend joins: the same jobs, compared case by case with the sequential oracle.
//!
//! A backend's test file holds one line per configuration, and gets one `#[test]` per suite:
//!
//! ```
//! ffcm::conformance!(two_threads, || ffcm::cpu::CpuCoprocessor::new(2).expect("threads start"));
//! ```
//!
//! Each suite prints `conformance <backend> <suite> digest <hex>`. The jobs come from fixed seeds, so equal digests on
//! two machines mean equal results there. A job that a backend does not have is a printed result too, never a pass.

mod focus;
mod hash;
mod kernel;
mod memory;
mod nets;
mod rows;

use std::fmt;

use thiserror::Error;

use crate::coprocessor::{Coprocessor, JobError, OracleCoprocessor};

pub use kernel::{Bits, Kernel, KernelError, KernelReport, Kernels, SIZES, judge_kernel};

/// One group of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Rewriting: golden programs, random nets, batches, every error that is a property of the net.
    Nets,
    /// Rows of numbers: weight nets, recursion, every kind and operator, rows that fail.
    Rows,
    /// π: random graphs, weights, stakes, shards, warm starts, changes.
    Focus,
    /// Memory Arithmetic: random batches with refused operations among them.
    Memory,
    /// Hashes and nonce searches.
    Hash,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 5] = [
        Suite::Nets,
        Suite::Rows,
        Suite::Focus,
        Suite::Memory,
        Suite::Hash,
    ];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::Nets => "nets",
            Suite::Rows => "rows",
            Suite::Focus => "focus",
            Suite::Memory => "memory",
            Suite::Hash => "hash",
        }
    }

    /// Runs every case on `backend` and on the oracle, and stops at the first difference.
    pub fn run(self, backend: &dyn Coprocessor) -> Result<Report, ConformanceError> {
        let mut run = Run {
            backend,
            cases: 0,
            hasher: blake3::Hasher::new(),
        };
        let result = match self {
            Suite::Nets => nets::run(&mut run),
            Suite::Rows => rows::run(&mut run),
            Suite::Focus => focus::run(&mut run),
            Suite::Memory => memory::run(&mut run),
            Suite::Hash => hash::run(&mut run),
        };
        let info = backend.info();
        let backend = format!("{}/{}", info.backend, info.threads);
        let digest = match result {
            Ok(()) => Some(*run.hasher.finalize().as_bytes()),
            Err(Stop::NotSupported) => None,
            Err(Stop::Failed { case, message }) => {
                return Err(ConformanceError {
                    backend,
                    suite: self.name(),
                    case,
                    message,
                });
            }
        };
        Ok(Report {
            backend,
            suite: self,
            cases: run.cases,
            digest,
        })
    }
}

/// What a backend that agrees with the oracle gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Backend and threads: `cpu/2`.
    pub backend: String,
    /// The suite.
    pub suite: Suite,
    /// Cases compared.
    pub cases: usize,
    /// Over all results; `None` where the backend does not support the jobs.
    pub digest: Option<[u8; 32]>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            backend,
            suite,
            cases,
            digest,
        } = self;
        write!(f, "conformance {backend} {} ", suite.name())?;
        match digest {
            Some(digest) => write!(
                f,
                "digest {} cases {cases}",
                blake3::Hash::from_bytes(*digest)
            ),
            None => f.write_str("not supported"),
        }
    }
}

/// A backend and the oracle disagree, or a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("conformance {backend} {suite}: {case}: {message}")]
pub struct ConformanceError {
    /// Backend and threads.
    pub backend: String,
    /// Suite.
    pub suite: &'static str,
    /// The case, enough to find it again.
    pub case: String,
    /// What differs.
    pub message: String,
}

/// One suite in progress.
struct Run<'a> {
    backend: &'a dyn Coprocessor,
    cases: usize,
    hasher: blake3::Hasher,
}

enum Stop {
    NotSupported,
    Failed { case: String, message: String },
}

impl Run<'_> {
    /// Runs `job` on the oracle and on the backend. `show` turns an answer into its digest and a text for a failure.
    fn compare<T>(
        &mut self,
        case: impl FnOnce() -> String,
        job: impl Fn(&dyn Coprocessor) -> Result<T, JobError>,
        show: impl Fn(&T) -> ([u8; 32], String),
    ) -> Result<T, Stop> {
        let found = job(self.backend);
        if let Err(JobError::NotSupported { .. }) = found {
            return Err(Stop::NotSupported);
        }
        let (expected, found) = match (job(&OracleCoprocessor), found) {
            (Ok(expected), Ok(found)) => (expected, found),
            (Err(expected), Err(found)) if same_error(&expected, &found) => {
                // Nothing to hand on: a suite asks for a refusal through `refuses`.
                return Err(Stop::Failed {
                    case: case(),
                    message: format!("the job is refused: {found}"),
                });
            }
            (expected, found) => {
                let text = |result: Result<T, JobError>| match result {
                    Ok(value) => show(&value).1,
                    Err(error) => format!("the error `{error}`"),
                };
                let message = format!("expected {}, found {}", text(expected), text(found));
                return Err(Stop::Failed {
                    case: case(),
                    message,
                });
            }
        };
        let ((expected, expected_text), (digest, text)) = (show(&expected), show(&found));
        if expected != digest {
            let message = format!("expected {expected_text}, found {text}");
            return Err(Stop::Failed {
                case: case(),
                message,
            });
        }
        self.hasher.update(&digest);
        self.cases += 1;
        Ok(found)
    }

    /// Checks that the backend refuses `job` as the oracle does.
    fn refuses<T>(
        &mut self,
        case: &str,
        job: impl Fn(&dyn Coprocessor) -> Result<T, JobError>,
    ) -> Result<(), Stop> {
        let message = match (job(&OracleCoprocessor), job(self.backend)) {
            (_, Err(JobError::NotSupported { .. })) => return Err(Stop::NotSupported),
            (Err(expected), Err(found)) if same_error(&expected, &found) => {
                self.cases += 1;
                return Ok(());
            }
            (Err(expected), Err(found)) => {
                format!("expected the error `{expected}`, found `{found}`")
            }
            (Err(expected), Ok(_)) => format!("expected the error `{expected}`, found an answer"),
            (Ok(_), _) => "the oracle answers".into(),
        };
        Err(Stop::Failed {
            case: case.into(),
            message,
        })
    }
}

/// Errors of a job agree in kind and text; a failing device agrees with nothing.
fn same_error(a: &JobError, b: &JobError) -> bool {
    match (a, b) {
        (JobError::Focus(a), JobError::Focus(b)) => a == b,
        _ => false,
    }
}

/// Text for a failure: long answers are cut.
fn shorten(text: String) -> String {
    const LIMIT: usize = 400;
    match text.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}

/// Runs a suite and prints its line; for the tests that [`crate::conformance!`] writes.
///
/// # Panics
///
/// If the backend and the oracle disagree.
pub fn check(suite: Suite, backend: &dyn Coprocessor) -> Report {
    match suite.run(backend) {
        Ok(report) => {
            println!("{report}");
            report
        }
        Err(error) => panic!("{error}"),
    }
}

/// Writes one `#[test]` per suite into a module called `$name`. `$make` is called without arguments for each and gives
/// the [`Coprocessor`].
#[macro_export]
macro_rules! conformance {
    ($name:ident, $make:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "a file may name its backend by a full path")]
            use super::*;

            #[test]
            fn nets() {
                $crate::conformance::check($crate::conformance::Suite::Nets, &($make)());
            }

            #[test]
            fn rows() {
                $crate::conformance::check($crate::conformance::Suite::Rows, &($make)());
            }

            #[test]
            fn focus() {
                $crate::conformance::check($crate::conformance::Suite::Focus, &($make)());
            }

            #[test]
            fn memory() {
                $crate::conformance::check($crate::conformance::Suite::Memory, &($make)());
            }

            #[test]
            fn hash() {
                $crate::conformance::check($crate::conformance::Suite::Hash, &($make)());
            }
        }
    };
}
