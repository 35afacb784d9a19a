//! π on the device.

use std::sync::Arc;

use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::focus::Ranking;

use crate::device::{Gpu, GpuError, Source};

/// Ranks graphs.
pub(crate) struct FocusEngine {}

impl FocusEngine {
    pub(crate) fn new(_gpu: &Arc<Gpu>) -> Result<FocusEngine, GpuError> {
        Ok(FocusEngine {})
    }

    pub(crate) fn rank(&mut self, _job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        Err(JobError::NotSupported {
            backend: "wgpu".into(),
            job: "focus",
        })
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![]
}
