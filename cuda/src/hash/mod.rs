//! Hashes on the device.

use std::sync::Arc;

use crate::device::{CudaError, Gpu, Source};
use ffcm::coprocessor::{HashJob, HashOutput, JobError};

/// Hashes batches.
#[derive(Debug)]
pub struct HashEngine {
    _gpu: Arc<Gpu>,
}

impl HashEngine {
    /// For an open device.
    pub fn new(gpu: &Arc<Gpu>) -> Result<HashEngine, CudaError> {
        Ok(HashEngine {
            _gpu: Arc::clone(gpu),
        })
    }

    /// A batch of hashes, or a search.
    pub fn hash(&mut self, _job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Err(JobError::NotSupported {
            backend: "cuda".into(),
            job: "hash",
        })
    }
}

pub(crate) fn sources() -> Vec<Source> {
    Vec::new()
}
