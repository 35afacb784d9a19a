//! Memory Arithmetic on the device.

use std::sync::Arc;

use crate::device::{CudaError, Gpu, Source};
use ffcm::coprocessor::JobError;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

/// Applies Memory Arithmetic.
#[derive(Debug)]
pub struct MemoryEngine {
    _gpu: Arc<Gpu>,
}

impl MemoryEngine {
    /// For an open device.
    pub fn new(gpu: &Arc<Gpu>) -> Result<MemoryEngine, CudaError> {
        Ok(MemoryEngine {
            _gpu: Arc::clone(gpu),
        })
    }

    /// A batch as [`ffcm::memory::Memory::apply`] applies it, bit for bit.
    pub fn apply(
        &mut self,
        _memory: &mut Memory,
        _ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Err(JobError::NotSupported {
            backend: "cuda".into(),
            job: "memory",
        })
    }
}

pub(crate) fn sources() -> Vec<Source> {
    Vec::new()
}
