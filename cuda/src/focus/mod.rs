//! π on the device.

use std::sync::Arc;

use crate::device::{CudaError, Gpu, Source};
use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::focus::Ranking;

/// Computes π.
#[derive(Debug)]
pub struct FocusEngine {
    _gpu: Arc<Gpu>,
}

impl FocusEngine {
    /// For an open device.
    pub fn new(gpu: &Arc<Gpu>) -> Result<FocusEngine, CudaError> {
        Ok(FocusEngine {
            _gpu: Arc::clone(gpu),
        })
    }

    /// π as [`ffcm::focus::rank`] gives it, bit for bit.
    pub fn rank(&mut self, _job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        Err(JobError::NotSupported {
            backend: "cuda".into(),
            job: "π",
        })
    }
}

pub(crate) fn sources() -> Vec<Source> {
    Vec::new()
}
