//! Nets on the device.

mod book;
mod buffers;
mod control;
mod engine;
mod fire;
mod fuel;
mod heap;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ffcm::coprocessor::{JobError, RewriteJob, RewriteOutput};

pub use self::engine::NetStats;
use self::engine::{ParallelEngine, Tuning};
use self::sources::Build;
use crate::device::{Gpu, GpuError, Source};

/// Reduces nets.
pub(crate) struct NetEngine {
    parallel: ParallelEngine,
}

impl NetEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<NetEngine, GpuError> {
        Ok(NetEngine {
            parallel: ParallelEngine::new(gpu, Tuning::of(gpu))?,
        })
    }

    pub(crate) fn rewrite(&mut self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        job.calls
            .iter()
            .map(|call| self.parallel.reduce(&job.book, call, &job.limits))
            .collect()
    }

    /// What reductions have cost so far.
    pub(crate) fn stats(&self) -> NetStats {
        self.parallel.stats()
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![
        sources::probe(),
        sources::plan(),
        sources::spread(),
        sources::main(Build::Plain),
    ]
}
