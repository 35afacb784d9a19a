//! Nets on the device.

mod buffers;
mod calls;
mod control;
mod engine;
mod fire;
mod fuel;
mod functions;
#[cfg(test)]
mod functions_tests;
mod heap;
#[cfg(test)]
mod races;
mod report;
mod sources;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wide;

use std::sync::Arc;

use ffcm::coprocessor::{JobError, RewriteJob, RewriteOutput};
use ffcm::device::net::BookTooLarge;

use self::calls::{CallsEngine, Ending};
pub use self::engine::NetStats;
use self::engine::{ParallelEngine, Tuning};
pub use self::functions::LaneFunctions;
use self::sources::Build;
use crate::device::{Gpu, GpuError, Source};

impl From<BookTooLarge> for GpuError {
    fn from(error: BookTooLarge) -> GpuError {
        GpuError::TooLarge {
            what: "the book of definitions".into(),
            needs: error.needs,
            limit: error.limit,
        }
    }
}

/// How nets are reduced. No choice changes a result or a count of interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetOptions {
    /// Count the bytes that kernels access, exactly; see [`NetStats::kernel_bytes`]. Another build of the kernels, which
    /// is slower. Calls of a batch that one lane reduces alone are not counted.
    pub count_bytes: bool,
}

/// Reduces nets.
pub(crate) struct NetEngine {
    gpu: Arc<Gpu>,
    parallel: ParallelEngine,
    functions: LaneFunctions,
    /// Made for the first batch.
    calls: Option<CallsEngine>,
}

impl NetEngine {
    pub(crate) fn new(
        gpu: &Arc<Gpu>,
        options: NetOptions,
        functions: LaneFunctions,
    ) -> Result<NetEngine, GpuError> {
        let tuning = Tuning {
            build: if options.count_bytes {
                Build::Count
            } else {
                Build::Plain
            },
            functions,
            ..Tuning::of(gpu)
        };
        Ok(NetEngine {
            gpu: Arc::clone(gpu),
            calls: None,
            functions: tuning.functions,
            parallel: ParallelEngine::new(gpu, tuning)?,
        })
    }

    pub(crate) fn rewrite(&mut self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let mut endings = self.batch(job)?;
        for (ending, call) in endings.iter_mut().zip(&job.calls) {
            if ending.is_none() {
                *ending = Some(self.parallel.reduce(&job.book, call, &job.limits)?);
            }
        }
        Ok(endings.into_iter().flatten().collect())
    }

    /// What small calls of a batch come to; none of a call alone, which the whole device takes.
    fn batch(&mut self, job: &RewriteJob) -> Result<Vec<Ending>, GpuError> {
        if job.calls.len() < 2 {
            return Ok(vec![None; job.calls.len()]);
        }
        let calls = match &mut self.calls {
            Some(calls) => calls,
            none => none.insert(CallsEngine::new(&self.gpu, self.functions)?),
        };
        calls.run(&job.book, &job.calls, &job.limits)
    }

    /// What reductions have cost so far.
    pub(crate) fn stats(&self) -> NetStats {
        self.parallel.stats()
    }
}

/// The reducer with lane functions.
pub(crate) fn with_functions(text: &str) -> Source {
    sources::main(Build::Plain, Some(text))
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![
        calls::source(),
        sources::probe(),
        sources::plan(),
        sources::spread(Build::Plain),
        sources::spread(Build::Count),
        sources::main(Build::Plain, None),
        sources::main(Build::Count, None),
    ]
}
