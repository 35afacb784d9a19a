//! The CPU as a coprocessor.

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::NetEngine;
use crate::coprocessor::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, RewriteJob, RewriteOutput,
};
use crate::focus::{self, Ranking};
use crate::hash;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};

/// Runs every job on its own pool of threads.
#[derive(Debug)]
pub struct CpuCoprocessor {
    pool: ThreadPool,
}

impl CpuCoprocessor {
    /// A pool of `threads` workers; 0 takes one per available core. [`JobError::Device`] if the system refuses the
    /// threads.
    pub fn new(threads: usize) -> Result<CpuCoprocessor, JobError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("ffcm-{index}"))
            .build()
            .map_err(|error| {
                JobError::Device(format!("cannot start {threads} threads: {error}"))
            })?;
        Ok(CpuCoprocessor { pool })
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Coprocessor for CpuCoprocessor {
    fn info(&self) -> DeviceInfo {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        DeviceInfo {
            backend: "cpu".into(),
            device: format!("{} CPU, {cores} cores available", std::env::consts::ARCH),
            threads: self.threads(),
        }
    }

    /// One call alone is spread over all threads; a batch gives each thread whole calls.
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let engine = NetEngine::new(&job.book);
        Ok(match &job.calls[..] {
            [] => vec![],
            [call] => vec![engine.reduce(call, &job.limits, self.threads(), None)],
            calls => engine.reduce_batch(calls, &job.limits, self.threads()),
        })
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        let ranking = self
            .pool
            .install(|| focus::rank(job.graph, &job.params, job.start))?;
        Ok(ranking)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Ok(self.pool.install(|| memory.apply_batch(ops)))
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Ok(self.pool.install(|| match *job {
            HashJob::Blake3(inputs) => HashOutput::Digests(hash::blake3(inputs)),
            HashJob::Sha256(inputs) => HashOutput::Digests(hash::sha256(inputs)),
            HashJob::PowSearch {
                header,
                start,
                count,
                target,
            } => HashOutput::Nonce(hash::pow_search(header, start, count, &target)),
        }))
    }
}
