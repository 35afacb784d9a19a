//! How many threads run a kernel, and on what.

use std::sync::Arc;

use bytemuck::Pod;

use super::driver::{Driver, GraphHandle, RawLaunch};
use super::gpu::{Buffer, Kernel, Memory};

/// The threads of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
    /// Blocks wait for each other, so all must be resident at a time.
    pub cooperative: bool,
}

impl Grid {
    /// So many blocks of so many threads.
    pub fn new(blocks: u32, threads: u32) -> Grid {
        Grid {
            blocks,
            threads,
            shared: 0,
            cooperative: false,
        }
    }

    /// Blocks enough for a thread per item; none for no item. Beyond the 2^31 − 1 blocks that a launch may have, it
    /// is refused when launched.
    pub fn covering(items: u64, threads: u32) -> Grid {
        let blocks = items.div_ceil(u64::from(threads.max(1)));
        Grid::new(u32::try_from(blocks).unwrap_or(u32::MAX), threads)
    }

    /// With so many bytes of dynamic shared memory a block.
    #[must_use]
    pub fn shared(self, bytes: u32) -> Grid {
        Grid {
            shared: bytes,
            ..self
        }
    }

    /// With blocks that may wait for each other.
    #[must_use]
    pub fn cooperative(self) -> Grid {
        Grid {
            cooperative: true,
            ..self
        }
    }
}

/// An argument of a kernel: a buffer's address, or a whole number.
#[derive(Clone, Debug)]
pub struct Argument {
    pub(super) bits: u64,
    pub(super) memory: Option<Arc<Memory>>,
}

impl From<u32> for Argument {
    fn from(value: u32) -> Argument {
        Argument::from(u64::from(value))
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Argument {
        Argument {
            bits: value,
            memory: None,
        }
    }
}

impl<T: Pod> From<&Buffer<T>> for Argument {
    fn from(buffer: &Buffer<T>) -> Argument {
        Argument {
            bits: buffer.memory().address(),
            memory: Some(Arc::clone(buffer.memory())),
        }
    }
}

/// A checked launch. It keeps its buffers.
#[derive(Clone, Debug)]
pub struct Launch {
    pub(super) kernel: Arc<Kernel>,
    pub(super) raw: RawLaunch,
    /// Held while the launch may run.
    pub(super) _memory: Vec<Arc<Memory>>,
}

/// Launches recorded once, to be queued many times at the cost of one. It keeps its buffers.
pub struct Graph {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) handle: GraphHandle,
    pub(super) launches: Vec<Launch>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("launches", &self.launches.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.driver.forget(self.handle);
    }
}
