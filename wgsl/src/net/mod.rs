//! Nets on the device.

#[allow(dead_code)]
mod book;
#[allow(dead_code)]
mod fire;

use std::sync::Arc;

use ffcm::coprocessor::{JobError, RewriteJob, RewriteOutput};

use crate::device::{Gpu, GpuError, Source};

/// Reduces nets.
pub(crate) struct NetEngine {}

impl NetEngine {
    pub(crate) fn new(_gpu: &Arc<Gpu>) -> Result<NetEngine, GpuError> {
        Ok(NetEngine {})
    }

    pub(crate) fn rewrite(&mut self, _job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        Err(JobError::NotSupported {
            backend: "wgpu".into(),
            job: "rewrite",
        })
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![]
}
