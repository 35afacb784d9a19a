//! The coprocessor interface: batches of jobs in, exact results out, the same bits on every device.

mod accelerator;
mod calibrate;
mod crossover;
mod digest;
mod evaluate;
mod fallback;
mod oracle;
mod self_test;

use std::sync::Arc;

use thiserror::Error;

use crate::focus::{FocusError, FocusParams, Ranking};
use crate::graph::Graph;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::net::{Book, Call, Limits, Outcome, ReduceError};

pub use accelerator::{Accelerator, AcceleratorError, Opened, ProvidedDevice, Provider};
pub use calibrate::{Known, measure_crossovers};
pub use crossover::{BySize, Crossover, Crossovers, JobKind};
pub use digest::{
    ending, evaluate_digest, hash_digest, memory_digest, ranking_digest, rewrite_digest,
};
pub use evaluate::{Argument, Columns, EvaluateJob, EvaluateOutput, evaluate_by_rewriting};
pub use fallback::{FallbackEvent, FallbackState, WithFallback};
pub use oracle::OracleCoprocessor;
pub use self_test::{
    SELF_TEST_JOBS, SelfTestError, SelfTestJob, self_test, self_test_jobs, self_test_of,
};

/// What runs the jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Backend as the command line names it: `cpu`, `wgpu:0`, `cuda:0`, `cubecl:0`.
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
    /// [`Coprocessor::evaluate`] into the memory of an output that is not needed any more.
    fn evaluate_into(
        &self,
        job: &EvaluateJob<'_>,
        output: &mut EvaluateOutput,
    ) -> Result<(), JobError> {
        *output = self.evaluate(job)?;
        Ok(())
    }
    /// Rows of one [`EvaluateJob`] beyond which there is nothing to be gained: a caller that makes more of them as it goes, on
    /// several threads if it likes, into the same output, keeps them in the processor's cache.
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
