//! The kernels on the CPU: compiled by the C++ compiler of the system against the headers of `shim/`.

use super::{CudaError, Gpu};

/// What the shim pretends to be.
#[derive(Clone, Debug)]
pub struct ShimOptions {
    /// Multiprocessors: blocks that run at the same time, each on a thread of its own.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Seed of the order in which the threads of a block take turns.
    pub seed: u64,
}

impl Default for ShimOptions {
    fn default() -> ShimOptions {
        ShimOptions {
            multiprocessors: 3,
            memory: 2 << 30,
            seed: 1,
        }
    }
}

/// A device that is the CPU.
pub fn open(_options: &ShimOptions) -> Result<Gpu, CudaError> {
    Err(CudaError::NoDriver {
        hint: "the shim is not there",
    })
}
