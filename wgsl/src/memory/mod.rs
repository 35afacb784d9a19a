//! Memory Arithmetic on the device.

use std::sync::Arc;

use ffcm::coprocessor::JobError;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use crate::device::{Gpu, GpuError, Source};

/// Applies batches of operations.
pub(crate) struct MemoryEngine {}

impl MemoryEngine {
    pub(crate) fn new(_gpu: &Arc<Gpu>) -> Result<MemoryEngine, GpuError> {
        Ok(MemoryEngine {})
    }

    pub(crate) fn apply(
        &mut self,
        _memory: &mut Memory,
        _ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Err(JobError::NotSupported {
            backend: "wgpu".into(),
            job: "memory",
        })
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![]
}
