//! Hashes on the device.

use std::sync::Arc;

use ffcm::coprocessor::{HashJob, HashOutput, JobError};

use crate::device::{Gpu, GpuError, Source};

/// Hashes batches.
pub(crate) struct HashEngine {}

impl HashEngine {
    pub(crate) fn new(_gpu: &Arc<Gpu>) -> Result<HashEngine, GpuError> {
        Ok(HashEngine {})
    }

    pub(crate) fn hash(&mut self, _job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Err(JobError::NotSupported {
            backend: "wgpu".into(),
            job: "hash",
        })
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![]
}
