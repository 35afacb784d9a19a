//! The coprocessor interface: batches of jobs in, exact results out, the same bits on every device.

mod accelerator;
mod calibrate;
mod digest;
mod fallback;
mod oracle;
mod self_test;

use std::sync::Arc;

use thiserror::Error;

use crate::focus::{FocusError, FocusParams, Ranking};
use crate::graph::Graph;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::net::{Book, Call, Limits, Outcome, ReduceError};
use crate::spec::rules::Counts;
use crate::spec::word::Term;

pub use accelerator::{Accelerator, AcceleratorError, Opened, ProvidedDevice, Provider};
pub use digest::{
    ending, evaluate_digest, hash_digest, memory_digest, ranking_digest, rewrite_digest,
};
pub use fallback::{FallbackEvent, FallbackState, WithFallback};
pub use oracle::OracleCoprocessor;
pub use self_test::{SelfTestError, SelfTestJob, self_test, self_test_jobs};

/// What runs the jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Backend as the command line names it: `cpu`, `wgpu:0`, `cuda:0`.
    pub backend: String,
    /// The device in words.
    pub device: String,
    /// Worker threads, where that means something.
    pub threads: usize,
}

/// Reduce each call of a batch, every one under its own `limits`, independent of the others.
#[derive(Clone, Debug)]
pub struct RewriteJob {
    /// The program.
    pub book: Arc<Book>,
    /// The nets to reduce.
    pub calls: Vec<Call>,
    /// Bounds on each call.
    pub limits: Limits,
}

/// Rank a graph.
#[derive(Clone, Copy, Debug)]
pub struct FocusJob<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Parameters.
    pub params: FocusParams,
    /// Masses to start from, as [`crate::focus::rank`] takes them.
    pub start: Option<&'a [u64]>,
}

/// Hash a batch.
#[derive(Clone, Copy, Debug)]
pub enum HashJob<'a> {
    /// BLAKE3 of each input.
    Blake3(&'a [&'a [u8]]),
    /// SHA-256 of each input.
    Sha256(&'a [&'a [u8]]),
    /// Lowest nonce in `start..start + count` (ending at `u64::MAX` at the latest) for which SHA-256d(header ‖ nonce as u64 little-endian), read as a
    /// big-endian number, is below `target`.
    PowSearch {
        /// Fixed prefix.
        header: &'a [u8],
        /// First nonce.
        start: u64,
        /// How many nonces to try.
        count: u64,
        /// Exclusive upper bound on the hash.
        target: [u8; 32],
    },
}

/// Answer to a [`HashJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOutput {
    /// One hash per input.
    Digests(Vec<[u8; 32]>),
    /// The nonce found, if any.
    Nonce(Option<u64>),
}

/// Why a job gave nothing. Failures of single calls or operations are part of the results, not of this.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobError {
    /// This backend does not have the job.
    #[error("{backend} does not support {job}")]
    NotSupported {
        /// The backend.
        backend: String,
        /// The job.
        job: &'static str,
    },
    /// The job itself is wrong.
    #[error(transparent)]
    Focus(#[from] FocusError),
    /// The device failed.
    #[error("device: {0}")]
    Device(String),
}

/// Per-call results of a [`RewriteJob`].
pub type RewriteOutput = Vec<Result<Outcome, ReduceError>>;

/// Apply one definition to many rows of numbers: the same as a [`RewriteJob`] with a [`Call`] for each row, without the
/// texts of the results.
#[derive(Clone, Debug)]
pub struct EvaluateJob<'a> {
    /// The program.
    pub book: Arc<Book>,
    /// Index of the definition in the book.
    pub entry: u32,
    /// Arguments of a row, at least one.
    pub arity: usize,
    /// NUM terms, row by row, outermost argument first. The last row may be short: a call with fewer arguments.
    pub arguments: &'a [Term],
    /// Bounds on each row.
    pub limits: Limits,
}

impl EvaluateJob<'_> {
    /// Arguments of a row: no row is empty.
    pub(crate) fn width(&self) -> usize {
        self.arity.max(1)
    }

    /// The arguments of each row.
    pub fn rows(&self) -> std::slice::Chunks<'_, Term> {
        self.arguments.chunks(self.width())
    }
}

/// What one row of an [`EvaluateJob`] gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Evaluated {
    /// The NUM term that is the normal form; [`Term::ABSENT`] if that is no number, or there is none.
    pub number: Term,
    /// Interactions made; 0 if the row failed.
    pub interactions: u64,
}

/// Answer to an [`EvaluateJob`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluateOutput {
    /// One for each row.
    pub rows: Vec<Evaluated>,
    /// Rows that failed, ascending, and why.
    pub failures: Vec<(usize, ReduceError)>,
    /// Interactions of all rows that did not fail.
    pub counts: Counts,
}

/// Rows of an [`EvaluateJob`] that are made into calls at once where there is no better way.
const ROWS_AT_ONCE: usize = 1 << 14;

/// [`Coprocessor::evaluate`] by calls of [`Coprocessor::rewrite`].
pub fn evaluate_by_rewriting(
    coprocessor: &(impl Coprocessor + ?Sized),
    job: &EvaluateJob<'_>,
) -> Result<EvaluateOutput, JobError> {
    let mut output = EvaluateOutput::default();
    for chunk in job
        .arguments
        .chunks(job.width().saturating_mul(ROWS_AT_ONCE))
    {
        let call = |row: &[Term]| Call {
            entry: job.entry,
            arguments: row.to_vec(),
        };
        let answers = coprocessor.rewrite(&RewriteJob {
            book: Arc::clone(&job.book),
            calls: chunk.chunks(job.width()).map(call).collect(),
            limits: job.limits,
        })?;
        for answer in answers {
            output.push(answer);
        }
    }
    Ok(output)
}

impl EvaluateOutput {
    /// Adds the answer to the next row.
    pub fn push(&mut self, answer: Result<Outcome, ReduceError>) {
        let row = match answer {
            Ok(outcome) => {
                self.counts.merge(&outcome.counts);
                Evaluated {
                    number: outcome.number.unwrap_or(Term::ABSENT),
                    interactions: outcome.counts.total(),
                }
            }
            Err(error) => {
                self.failures.push((self.rows.len(), error));
                Evaluated::default()
            }
        };
        self.rows.push(row);
    }
}

/// A device that runs jobs exactly. Consensus-visible: equal jobs give equal bytes on every implementation.
pub trait Coprocessor: Send + Sync {
    /// What this is.
    fn info(&self) -> DeviceInfo;
    /// Reduces nets.
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError>;
    /// Applies a definition to rows of numbers.
    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        evaluate_by_rewriting(self, job)
    }
    /// Rows of one [`EvaluateJob`] beyond which there is nothing to be gained: a caller that makes more of them as it goes, on
    /// several threads if it likes, keeps them in the processor's cache.
    fn rows_at_once(&self) -> usize {
        usize::MAX
    }
    /// Computes π.
    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError>;
    /// Applies a batch of Memory Arithmetic.
    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError>;
    /// Hashes.
    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError>;
}
