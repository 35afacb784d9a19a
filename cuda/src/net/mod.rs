//! Nets on the device.

mod buffers;
mod calls;
mod control;
mod engine;
mod heap;
mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ffcm::coprocessor::{JobError, RewriteJob, RewriteOutput};
use ffcm::device::net::{BookTooLarge, Outside};
use rayon::prelude::*;

use self::calls::{CallsEngine, Ending};
pub use self::engine::NetStats;
use self::engine::ParallelEngine;
use crate::device::{CudaError, Gpu, Source};

impl From<BookTooLarge> for CudaError {
    fn from(error: BookTooLarge) -> CudaError {
        CudaError::TooLarge {
            what: "the book of definitions".into(),
            needs: error.needs,
            limit: error.limit,
        }
    }
}

impl From<Outside> for CudaError {
    fn from(error: Outside) -> CudaError {
        CudaError::Driver {
            message: error.to_string(),
        }
    }
}

/// How nets are reduced. No choice changes a result or a count of interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetOptions {
    /// How the rounds of a net follow each other.
    pub schedule: Schedule,
    /// Where new nodes are made.
    pub local: Local,
}

/// Where a net that the whole device reduces has its new nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Local {
    /// In global memory.
    #[default]
    Off,
    /// In the shared memory of the block that makes them, as long as nothing outside of the block leads to them; in global
    /// memory where a block does not have enough of it.
    Auto,
}

/// How the rounds of a net that the whole device reduces follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// One launch for each, several of them queued at a time.
    #[default]
    Rounds,
    /// Many in one launch, whose blocks are all resident and wait for each other in between.
    Persistent,
}

/// Reduces nets.
pub(crate) struct NetEngine {
    gpu: Arc<Gpu>,
    parallel: ParallelEngine,
    /// Made for the first batch.
    calls: Option<CallsEngine>,
}

impl NetEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>, options: NetOptions) -> Result<NetEngine, CudaError> {
        Ok(NetEngine {
            gpu: Arc::clone(gpu),
            calls: None,
            parallel: ParallelEngine::new(gpu, options)?,
        })
    }

    pub(crate) fn rewrite(&mut self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let mut endings = self.batch(job)?;
        for (ending, call) in endings.iter_mut().zip(&job.calls) {
            if ending.is_none() {
                *ending = Some(self.parallel.reduce(&job.book, call, &job.limits)?);
            }
        }
        // Each on its own, because a batch may be of millions.
        Ok(endings
            .into_par_iter()
            .map(|ending| ending.expect("every call without an ending was reduced above"))
            .collect())
    }

    /// What small calls of a batch come to; none of a call alone, which the whole device takes.
    fn batch(&mut self, job: &RewriteJob) -> Result<Vec<Ending>, CudaError> {
        if job.calls.len() < 2 {
            return Ok(vec![None; job.calls.len()]);
        }
        let calls = match &mut self.calls {
            Some(calls) => calls,
            none => none.insert(CallsEngine::new(&self.gpu)?),
        };
        calls.run(&job.book, &job.calls, &job.limits)
    }

    /// What reductions have cost so far.
    pub(crate) fn stats(&self) -> NetStats {
        self.parallel.stats()
    }
}

/// The units of this module.
pub(crate) fn sources() -> Vec<Source> {
    [calls::sources(), engine::sources()].concat()
}
