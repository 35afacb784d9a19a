//! The kernels on the CPU: compiled by the C++ compiler of the system against the headers of `shim/`.
//!
//! A block runs on one operating system thread and each of its threads is a fiber, which runs until it waits; blocks really
//! run at the same time. Which thread goes on after a barrier, where in a sequence of atomics others get a turn, in which
//! order blocks begin and what shared memory starts with come from a seed. What is an error on a device is one here, and
//! some things that a device lets pass are too: threads of a block at different barriers, accesses outside of buffers (each
//! lies before memory that cannot be touched, the rest of its last 16 bytes is looked at after each launch), misaligned accesses, shifts by too much, waiting for what
//! cannot come. Such a launch gives [`CudaError::Lost`], and the device stays lost, as a real one.
//!
//! Buffers are aligned to 16 bytes only. Memory order is that of the CPU, or stronger; a fence that is missing on a device
//! may go unnoticed here. A loop that waits must call `pause_thread`, an atomic or `load_acquire`: one that waits by plain
//! loads alone never ends.

mod compile;
mod device;
mod library;

use std::path::PathBuf;
use std::sync::Arc;

use super::{CudaError, Gpu};

/// Another text in place of one in a unit, for a device that computes wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The unit's name.
    pub unit: &'static str,
    /// What is there once.
    pub from: &'static str,
    /// What comes in its place.
    pub to: &'static str,
}

/// What the shim pretends to be.
#[derive(Clone, Debug)]
pub struct ShimOptions {
    /// Multiprocessors: blocks that run at the same time, each on a thread of its own. 1 to 256.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Seed of the order in which threads and blocks take turns.
    pub seed: u64,
    /// On average one in so many atomics, fences and ordered accesses lets other threads of the block run; at least 1.
    pub shake_one_in: u32,
    /// Bytes of shared memory that a block may have.
    pub shared_per_block: u32,
    /// Bytes of level-2 cache that the device says it has.
    pub l2: u64,
    /// Kernels may be given addresses of memory that is not this device's: it runs them for another driver.
    pub any_memory: bool,
    /// The device is lost when it has been asked for so many launches.
    pub lose_after_launches: Option<u64>,
    /// A change to a unit.
    pub edit: Option<Edit>,
    /// Where compiled units are kept; if not given, `ffcm-shim` beside the running executable.
    pub cache: Option<PathBuf>,
}

impl Default for ShimOptions {
    fn default() -> ShimOptions {
        ShimOptions {
            multiprocessors: 3,
            memory: 2 << 30,
            seed: 1,
            shake_one_in: 16,
            shared_per_block: 99 << 10,
            l2: 1 << 20,
            any_memory: false,
            lose_after_launches: None,
            edit: None,
            cache: None,
        }
    }
}

/// A device that is the CPU. [`CudaError::NoDriver`] without a C++ compiler, [`CudaError::Open`] where it cannot run here.
pub fn open(options: &ShimOptions) -> Result<Gpu, CudaError> {
    Gpu::on(
        Arc::new(device::ShimDevice::open(options)?),
        Some(options.memory),
    )
}
