//! One net on the whole device.

use std::sync::Arc;

use ffcm::coprocessor::JobError;
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};

use super::NetOptions;
use crate::device::{CudaError, Gpu, Source};

/// What reductions have cost, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Nets reduced one by one by the whole device.
    pub reductions: u64,
    /// Rounds in which pairs were reduced.
    pub rounds: u64,
    /// Times the host waited for the device, readback of results aside.
    pub round_trips: u64,
    /// Times the buffers were enlarged.
    pub growths: u64,
}

/// Reduces one net at a time.
pub(crate) struct ParallelEngine {
    _gpu: Arc<Gpu>,
    stats: NetStats,
}

impl ParallelEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>, _options: NetOptions) -> Result<ParallelEngine, CudaError> {
        Ok(ParallelEngine {
            _gpu: Arc::clone(gpu),
            stats: NetStats::default(),
        })
    }

    pub(crate) fn stats(&self) -> NetStats {
        self.stats
    }

    pub(crate) fn reduce(
        &mut self,
        _book: &Arc<Book>,
        _call: &Call,
        _limits: &Limits,
    ) -> Result<Result<Outcome, ReduceError>, JobError> {
        Err(JobError::NotSupported {
            backend: "cuda".into(),
            job: "nets",
        })
    }
}

pub(crate) fn sources() -> Vec<Source> {
    Vec::new()
}
