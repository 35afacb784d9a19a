//! What lies below [`Gpu`](super::Gpu).

use std::time::Duration;

use super::launch::Grid;
use super::{CudaError, Source};

/// A device as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSummary {
    /// Marketing name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Version of the driver, as `13.0`.
    pub driver: String,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Level-2 cache in bytes.
    pub l2: u64,
    /// Shared memory that one block may have after asking for it, in bytes.
    pub shared_per_block: u32,
    /// Threads that a multiprocessor holds.
    pub threads_per_multiprocessor: u32,
    /// Whether blocks of one launch can wait for each other.
    pub cooperative: bool,
}

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of local memory of a thread: spilled registers and arrays.
    pub local_bytes: u32,
    /// Bytes of static shared memory of a block.
    pub shared_bytes: u32,
    /// Most threads of a block.
    pub max_threads: u32,
}

/// A loaded kernel; meaning known to its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function(pub u64);

/// A recorded sequence of launches; meaning known to its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphHandle(pub u64);

/// One launch, ready to go: every argument as 64 bits, of which the kernel takes as many as its parameter has.
#[derive(Clone, Debug)]
pub struct RawLaunch {
    /// What runs.
    pub function: Function,
    /// On how many threads.
    pub grid: Grid,
    /// Its arguments.
    pub arguments: Vec<u64>,
}

/// A device. Work is queued in order; what reads back waits for it. All methods may be called from any thread.
pub trait Driver: Send + Sync {
    /// What it is.
    fn summary(&self) -> &DeviceSummary;
    /// Free memory in bytes now.
    fn free_memory(&self) -> Result<u64, CudaError>;
    /// Takes memory, zeroed, aligned to 256 bytes at least. `what` names it in errors.
    fn allocate(&self, what: &'static str, bytes: u64) -> Result<u64, CudaError>;
    /// Gives memory back once what is queued is done. Failures are logged: nobody can act on them.
    fn release(&self, address: u64);
    /// Sets `bytes` (a multiple of 4) from `address` to copies of `word`.
    fn fill(&self, address: u64, bytes: u64, word: u32) -> Result<(), CudaError>;
    /// Copies to the device; `data` is free again when this returns.
    fn upload(&self, address: u64, data: &[u8]) -> Result<(), CudaError>;
    /// Waits for everything queued and copies to the host.
    fn download(&self, address: u64, data: &mut [u8]) -> Result<(), CudaError>;
    /// Copies on the device. The ranges do not overlap.
    fn copy(&self, from: u64, to: u64, bytes: u64) -> Result<(), CudaError>;
    /// Compiles and loads a unit: its entries in their order, with what they take.
    fn load(&self, source: &Source) -> Result<Vec<(Function, Resources)>, CudaError>;
    /// Blocks of this size and dynamic shared memory that one multiprocessor holds at a time. Asks for the shared memory first.
    fn occupancy(&self, function: Function, threads: u32, shared: u32) -> Result<u32, CudaError>;
    /// Queues a launch.
    fn launch(&self, launch: &RawLaunch) -> Result<(), CudaError>;
    /// Makes a graph of launches, in order.
    fn record(&self, launches: &[RawLaunch]) -> Result<GraphHandle, CudaError>;
    /// Queues a graph.
    fn replay(&self, graph: GraphHandle) -> Result<(), CudaError>;
    /// Lets go of a graph once what is queued is done.
    fn forget(&self, graph: GraphHandle);
    /// Waits for everything queued.
    fn wait(&self) -> Result<(), CudaError>;
    /// A point in the queue. [`elapsed`](Driver::elapsed) takes two of them back.
    fn mark(&self) -> Result<u64, CudaError>;
    /// Time between two points on the device, waiting for the second.
    fn elapsed(&self, from: u64, to: u64) -> Result<Duration, CudaError>;
    /// Makes every later call fail as if the device had been lost. For tests of what happens then.
    fn lose(&self);
}
