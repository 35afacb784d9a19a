//! Small jobs on one coprocessor and large ones on another, by where the other begins to win.

use std::fmt;
use std::sync::Arc;

use super::{
    Coprocessor, DeviceInfo, EvaluateJob, EvaluateOutput, FocusJob, HashJob, HashOutput, JobError,
    RewriteJob, RewriteOutput,
};
use crate::focus::Ranking;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};

/// A kind of job, and what its size is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Nets; interactions. What a job takes shows only when it is done, so that its gas is its size: the most it may take.
    Rewrite,
    /// A definition applied to rows of numbers; rows.
    Evaluate,
    /// π; edges of the graph.
    Focus,
    /// Memory Arithmetic; operations.
    Memory,
    /// Hashes of a batch; bytes.
    Hash,
    /// A nonce search; nonces.
    Search,
}

impl JobKind {
    /// All of them.
    pub const ALL: [JobKind; 6] = [
        JobKind::Rewrite,
        JobKind::Evaluate,
        JobKind::Focus,
        JobKind::Memory,
        JobKind::Hash,
        JobKind::Search,
    ];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            JobKind::Rewrite => "rewrite",
            JobKind::Evaluate => "evaluate",
            JobKind::Focus => "focus",
            JobKind::Memory => "memory",
            JobKind::Hash => "hash",
            JobKind::Search => "search",
        }
    }

    /// What a size is counted in.
    pub fn unit(self) -> &'static str {
        match self {
            JobKind::Rewrite => "interactions",
            JobKind::Evaluate => "rows",
            JobKind::Focus => "edges",
            JobKind::Memory => "operations",
            JobKind::Hash => "bytes",
            JobKind::Search => "nonces",
        }
    }
}

/// From which size on a device wins against the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crossover {
    /// Nobody has measured it.
    #[default]
    Unknown,
    /// From this size on.
    From(u64),
    /// At no size measured.
    Never,
}

/// Where a device begins to win, for each kind of job. Speed only: the answers are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossovers([Crossover; JobKind::ALL.len()]);

impl Crossovers {
    /// That of a kind.
    pub fn get(&self, kind: JobKind) -> Crossover {
        self.0[kind as usize]
    }

    /// Sets that of a kind.
    pub fn set(&mut self, kind: JobKind, crossover: Crossover) {
        self.0[kind as usize] = crossover;
    }

    /// With what `newer` knows in place of this.
    #[must_use]
    pub fn updated(mut self, newer: &Crossovers) -> Crossovers {
        for kind in JobKind::ALL {
            if newer.get(kind) != Crossover::Unknown {
                self.set(kind, newer.get(kind));
            }
        }
        self
    }

    /// Whether a job of this kind and size is for the device. One that nobody has measured is.
    pub fn is_large(&self, kind: JobKind, size: u64) -> bool {
        match self.get(kind) {
            Crossover::Unknown => true,
            Crossover::From(least) => size >= least,
            Crossover::Never => false,
        }
    }

    /// Whether the device is known to win at some size of some kind.
    pub fn wins(&self) -> bool {
        self.0
            .iter()
            .any(|one| matches!(one, Crossover::From(least) if *least < u64::MAX))
    }
}

/// `focus from 12000 edges, memory never`; nothing of kinds that nobody has measured.
impl fmt::Display for Crossovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = JobKind::ALL.map(|kind| match self.get(kind) {
            Crossover::Unknown => None,
            Crossover::From(least) => Some(format!("{} from {least} {}", kind.name(), kind.unit())),
            Crossover::Never => Some(format!("{} never", kind.name())),
        });
        let known: Vec<String> = known.into_iter().flatten().collect();
        match known.is_empty() {
            true => f.write_str("nothing measured"),
            false => f.write_str(&known.join(", ")),
        }
    }
}

/// Runs each job where it is faster by [`Crossovers`]: small ones on one coprocessor, usually the CPU, large ones on
/// another. Both are equally exact, so no bit of an answer depends on it.
pub struct BySize {
    small: Arc<dyn Coprocessor>,
    large: Arc<dyn Coprocessor>,
    crossovers: Crossovers,
}

impl fmt::Debug for BySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BySize")
            .field("small", &self.small.info())
            .field("large", &self.large.info())
            .field("crossovers", &self.crossovers)
            .finish()
    }
}

impl BySize {
    /// `small` for jobs below the crossover of their kind, `large` for all others.
    pub fn new(
        small: Arc<dyn Coprocessor>,
        large: Arc<dyn Coprocessor>,
        crossovers: Crossovers,
    ) -> BySize {
        BySize {
            small,
            large,
            crossovers,
        }
    }

    /// Who runs a job of this kind and size.
    pub fn of_size(&self, kind: JobKind, size: u64) -> &dyn Coprocessor {
        match self.crossovers.is_large(kind, size) {
            true => &*self.large,
            false => &*self.small,
        }
    }

    fn of_rows(&self, job: &EvaluateJob<'_>) -> &dyn Coprocessor {
        self.of_size(JobKind::Evaluate, job.count() as u64)
    }
}

impl Coprocessor for BySize {
    /// The one for large jobs.
    fn info(&self) -> DeviceInfo {
        self.large.info()
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let most = job.limits.gas.saturating_mul(job.calls.len() as u64);
        self.of_size(JobKind::Rewrite, most).rewrite(job)
    }

    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        self.of_rows(job).evaluate(job)
    }

    fn evaluate_into(
        &self,
        job: &EvaluateJob<'_>,
        output: &mut EvaluateOutput,
    ) -> Result<(), JobError> {
        self.of_rows(job).evaluate_into(job, output)
    }

    /// Those of the one for large jobs, which has to see how many there are, unless it never wins.
    fn rows_at_once(&self) -> usize {
        self.of_size(JobKind::Evaluate, u64::MAX).rows_at_once()
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.of_size(JobKind::Focus, job.graph.edge_count())
            .focus(job)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.of_size(JobKind::Memory, ops.len() as u64)
            .memory(memory, ops)
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        let (kind, size) = match job {
            HashJob::Blake3(inputs) | HashJob::Sha256(inputs) => {
                let bytes = inputs.iter().map(|input| input.len() as u64).sum();
                (JobKind::Hash, bytes)
            }
            HashJob::PowSearch { count, .. } => (JobKind::Search, *count),
        };
        self.of_size(kind, size).hash(job)
    }
}

#[cfg(test)]
mod tests;
