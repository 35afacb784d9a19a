//! An open device.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytemuck::Pod;

use super::driver::{Driver, Function, RawLaunch};
use super::launch::{Argument, Graph, Grid, Launch};
use super::{CudaError, DeviceSummary, Resources, Source, nvidia};

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which device, as the driver numbers them; the first if none is named.
    pub device: Option<u32>,
    /// Most bytes of device memory to use; 9/10 of what is free if not given.
    pub memory_limit: Option<u64>,
}

/// What a device has been asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes copied to the device.
    pub uploaded: u64,
    /// Bytes copied to the host.
    pub read_back: u64,
    /// Kernels launched, those of graphs included.
    pub launches: u64,
    /// Times the host waited for the device.
    pub round_trips: u64,
}

#[derive(Default)]
struct Counters {
    uploaded: AtomicU64,
    read_back: AtomicU64,
    launches: AtomicU64,
    round_trips: AtomicU64,
    /// Nanoseconds of timed copies to the device and back.
    upload_time: AtomicU64,
    read_time: AtomicU64,
}

/// Memory of a device.
pub(super) struct Memory {
    driver: Arc<dyn Driver>,
    in_use: Arc<AtomicU64>,
    address: u64,
    bytes: u64,
}

impl Memory {
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    fn belongs_to(&self, driver: &Arc<dyn Driver>) -> bool {
        Arc::ptr_eq(&self.driver, driver)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.driver.release(self.address);
        self.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Elements on the device. The memory is given back when it and every launch that names it are gone.
#[derive(Clone, Debug)]
pub struct Buffer<T> {
    memory: Arc<Memory>,
    what: &'static str,
    len: u64,
    of: PhantomData<T>,
}

impl<T> Buffer<T> {
    /// Elements in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }
}

/// A kernel, ready to launch.
pub struct Kernel {
    driver: Arc<dyn Driver>,
    name: String,
    function: Function,
    resources: Resources,
}

impl Kernel {
    /// The unit's name and the entry's: `focus/gather:gather_equal`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it takes of a multiprocessor.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

type Loaded = HashMap<Source, Vec<Arc<Kernel>>>;

/// An open device. Work is queued in order on one stream; reading back waits for it.
pub struct Gpu {
    driver: Arc<dyn Driver>,
    memory_limit: u64,
    in_use: Arc<AtomicU64>,
    counters: Counters,
    /// Whether copies between host and device are timed.
    timing: AtomicBool,
    loaded: Mutex<Loaded>,
    compile_times: Mutex<Vec<(&'static str, Duration)>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("device", &self.summary().name)
            .finish_non_exhaustive()
    }
}

impl Gpu {
    /// Opens a device of the CUDA driver.
    pub fn open(options: &Options) -> Result<Gpu, CudaError> {
        Gpu::on(nvidia::open(options.device)?, options.memory_limit)
    }

    /// Uses a driver.
    pub(crate) fn on(driver: Arc<dyn Driver>, limit: Option<u64>) -> Result<Gpu, CudaError> {
        let memory_limit = match limit {
            Some(limit) => limit,
            None => driver.free_memory()? / 10 * 9,
        };
        Ok(Gpu {
            driver,
            memory_limit,
            in_use: Arc::default(),
            counters: Counters::default(),
            timing: AtomicBool::new(false),
            loaded: Mutex::default(),
            compile_times: Mutex::default(),
        })
    }

    /// The device as its driver describes it.
    pub fn summary(&self) -> &DeviceSummary {
        self.driver.summary()
    }

    /// What the device has been asked to do so far.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            uploaded: read(&self.counters.uploaded),
            read_back: read(&self.counters.read_back),
            launches: read(&self.counters.launches),
            round_trips: read(&self.counters.round_trips),
        }
    }

    /// Bytes that buffers take now.
    pub fn memory_in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Bytes that buffers may take in sum.
    pub fn memory_limit(&self) -> u64 {
        self.memory_limit
    }

    /// Makes every later call fail with [`CudaError::Lost`], to try what happens then.
    pub fn lose(&self) {
        self.driver.lose();
    }

    /// A zeroed buffer. A buffer of no elements has memory too, so that its address can be given to kernels.
    pub fn buffer<T: Pod>(&self, what: &'static str, len: u64) -> Result<Buffer<T>, CudaError> {
        let bytes = len.max(1).saturating_mul(size_of::<T>() as u64);
        let in_use = self.in_use.fetch_add(bytes.min(1 << 60), Ordering::Relaxed);
        // From here on the drop of this gives it back.
        let reserved = Reserved(&self.in_use, bytes.min(1 << 60));
        let left = self.memory_limit.saturating_sub(in_use);
        if bytes > self.memory_limit {
            return Err(CudaError::TooLarge {
                what: what.into(),
                needs: bytes,
                limit: self.memory_limit,
            });
        }
        if bytes > left {
            return Err(CudaError::OutOfMemory {
                what: what.into(),
                bytes,
            });
        }
        let address = self.driver.allocate(what, bytes)?;
        std::mem::forget(reserved);
        let memory = Memory {
            driver: Arc::clone(&self.driver),
            in_use: Arc::clone(&self.in_use),
            address,
            bytes,
        };
        Ok(Buffer {
            memory: Arc::new(memory),
            what,
            len,
            of: PhantomData,
        })
    }

    /// A buffer with this in it.
    pub fn buffer_of<T: Pod>(
        &self,
        what: &'static str,
        data: &[T],
    ) -> Result<Buffer<T>, CudaError> {
        let buffer = self.buffer(what, data.len() as u64)?;
        self.upload(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Where elements `start..start + count` lie.
    fn range<T: Pod>(&self, buffer: &Buffer<T>, start: u64, count: u64) -> Result<u64, CudaError> {
        if !buffer.memory.belongs_to(&self.driver) {
            return Err(CudaError::Foreign {
                what: buffer.what.into(),
            });
        }
        match start.checked_add(count) {
            Some(end) if end <= buffer.len => {
                Ok(buffer.memory.address + start * size_of::<T>() as u64)
            }
            _ => Err(CudaError::BadRange {
                what: buffer.what,
                start,
                count,
                size: buffer.len,
            }),
        }
    }

    /// Copies elements to the device.
    pub fn upload<T: Pod>(
        &self,
        buffer: &Buffer<T>,
        start: u64,
        data: &[T],
    ) -> Result<(), CudaError> {
        let address = self.range(buffer, start, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.counters
            .uploaded
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let started = self.transfer_begins()?;
        self.driver.upload(address, bytes)?;
        if let Some(started) = started {
            self.driver.wait()?;
            add_time(&self.counters.upload_time, started);
        }
        Ok(())
    }

    /// Waits, and copies elements to the host.
    pub fn read<T: Pod>(
        &self,
        buffer: &Buffer<T>,
        start: u64,
        count: u64,
    ) -> Result<Vec<T>, CudaError> {
        let address = self.range(buffer, start, count)?;
        let count = usize::try_from(count).map_err(|_| CudaError::TooLarge {
            what: buffer.what.into(),
            needs: count,
            limit: usize::MAX as u64,
        })?;
        let mut data = vec![T::zeroed(); count];
        if count == 0 {
            return Ok(data);
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut data);
        self.counters
            .read_back
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.counters.round_trips.fetch_add(1, Ordering::Relaxed);
        let started = self.transfer_begins()?;
        self.driver.download(address, bytes)?;
        if let Some(started) = started {
            add_time(&self.counters.read_time, started);
        }
        Ok(data)
    }

    /// From now on each copy between host and device has the wire for itself and is timed, or no longer.
    pub(crate) fn set_timing(&self, on: bool) {
        self.timing.store(on, Ordering::Relaxed);
    }

    /// Time of the timed copies to the device and back, staging and waiting included.
    pub(crate) fn transfer_times(&self) -> (Duration, Duration) {
        let get = |time: &AtomicU64| Duration::from_nanos(time.load(Ordering::Relaxed));
        (
            get(&self.counters.upload_time),
            get(&self.counters.read_time),
        )
    }

    /// If copies are timed, waits for all that was queued, and says what time it is.
    fn transfer_begins(&self) -> Result<Option<Instant>, CudaError> {
        if !self.timing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.driver.wait()?;
        Ok(Some(Instant::now()))
    }

    /// Queues a copy of `count` elements between two buffers.
    pub fn copy<T: Pod>(
        &self,
        from: (&Buffer<T>, u64),
        to: (&Buffer<T>, u64),
        count: u64,
    ) -> Result<(), CudaError> {
        let source = self.range(from.0, from.1, count)?;
        let target = self.range(to.0, to.1, count)?;
        let bytes = count * size_of::<T>() as u64;
        if source < target + bytes && target < source + bytes {
            return Err(CudaError::BadRange {
                what: to.0.what,
                start: to.1,
                count,
                size: to.0.len,
            });
        }
        self.driver.copy(source, target, bytes)
    }

    /// Queues a fill of `count` elements with copies of `word`. `T` is as long as one word or several.
    pub fn fill<T: Pod>(
        &self,
        buffer: &Buffer<T>,
        start: u64,
        count: u64,
        word: u32,
    ) -> Result<(), CudaError> {
        const { assert!(size_of::<T>().is_multiple_of(4), "whole words") };
        let address = self.range(buffer, start, count)?;
        if count == 0 {
            return Ok(());
        }
        self.driver
            .fill(address, count * size_of::<T>() as u64, word)
    }

    /// The kernels of a unit, compiled when first asked for.
    pub fn kernels(&self, source: &Source) -> Result<Vec<Arc<Kernel>>, CudaError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernels) = loaded.get(source) {
            return Ok(kernels.clone());
        }
        let start = Instant::now();
        let functions = self.driver.load(source)?;
        self.compile_times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((source.name, start.elapsed()));
        let kernel = |((function, resources), entry): ((Function, Resources), &&str)| {
            Arc::new(Kernel {
                driver: Arc::clone(&self.driver),
                name: format!("{}:{entry}", source.name),
                function,
                resources,
            })
        };
        let kernels: Vec<_> = functions
            .into_iter()
            .zip(source.entries)
            .map(kernel)
            .collect();
        loaded.insert(*source, kernels.clone());
        Ok(kernels)
    }

    /// Every kernel loaded so far, by name.
    pub fn loaded(&self) -> Vec<Arc<Kernel>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kernels: Vec<Arc<Kernel>> = loaded.values().flatten().cloned().collect();
        kernels.sort_by(|a, b| a.name.cmp(&b.name));
        kernels
    }

    /// How long each unit took to compile and load, or to come from the cache.
    pub fn compile_times(&self) -> Vec<(&'static str, Duration)> {
        self.compile_times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Blocks of so many threads and bytes of dynamic shared memory that the whole device holds at a time.
    pub fn resident_blocks(
        &self,
        kernel: &Kernel,
        threads: u32,
        shared: u32,
    ) -> Result<u32, CudaError> {
        self.own(kernel)?;
        let each = self.driver.occupancy(kernel.function, threads, shared)?;
        Ok(each.saturating_mul(self.summary().multiprocessors))
    }

    fn own(&self, kernel: &Kernel) -> Result<(), CudaError> {
        if Arc::ptr_eq(&kernel.driver, &self.driver) {
            return Ok(());
        }
        Err(CudaError::Foreign {
            what: kernel.name.clone(),
        })
    }

    /// A launch, checked as far as can be known: the grid within the device's limits, the buffers of this device. That
    /// the arguments are those of the kernel's parameters is its engine's to know.
    pub fn prepare(
        &self,
        kernel: &Arc<Kernel>,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<Launch, CudaError> {
        self.own(kernel)?;
        let bad = |message: String| CudaError::BadLaunch {
            kernel: kernel.name.clone(),
            message,
        };
        if grid.blocks == 0 || grid.blocks > i32::MAX as u32 {
            return Err(bad(format!("{} blocks", grid.blocks)));
        }
        if grid.threads == 0 || grid.threads > kernel.resources.max_threads {
            let most = kernel.resources.max_threads;
            return Err(bad(format!(
                "{} threads a block, at most {most}",
                grid.threads
            )));
        }
        if grid.shared > self.summary().shared_per_block {
            let most = self.summary().shared_per_block;
            return Err(bad(format!(
                "{} bytes of shared memory, at most {most}",
                grid.shared
            )));
        }
        if grid.cooperative {
            let most = self.resident_blocks(kernel, grid.threads, grid.shared)?;
            if !self.summary().cooperative || grid.blocks > most {
                return Err(bad(format!(
                    "{} blocks at a time, at most {most}",
                    grid.blocks
                )));
            }
        }
        let mut memory = Vec::new();
        for argument in arguments {
            if let Some(one) = &argument.memory {
                if !one.belongs_to(&self.driver) {
                    return Err(CudaError::Foreign {
                        what: format!("an argument of {}", kernel.name),
                    });
                }
                memory.push(Arc::clone(one));
            }
        }
        Ok(Launch {
            kernel: Arc::clone(kernel),
            raw: RawLaunch {
                function: kernel.function,
                grid,
                arguments: arguments.iter().map(|argument| argument.bits).collect(),
            },
            _memory: memory,
        })
    }

    /// Queues a launch.
    pub fn run(&self, launch: &Launch) -> Result<(), CudaError> {
        self.own(&launch.kernel)?;
        self.counters.launches.fetch_add(1, Ordering::Relaxed);
        self.driver.launch(&launch.raw)
    }

    /// Queues a launch: [`prepare`](Gpu::prepare) and [`run`](Gpu::run).
    pub fn launch(
        &self,
        kernel: &Arc<Kernel>,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<(), CudaError> {
        self.run(&self.prepare(kernel, grid, arguments)?)
    }

    /// Makes a graph of launches, in order.
    pub fn graph(&self, launches: Vec<Launch>) -> Result<Graph, CudaError> {
        launches
            .iter()
            .try_for_each(|launch| self.own(&launch.kernel))?;
        let raw: Vec<RawLaunch> = launches.iter().map(|launch| launch.raw.clone()).collect();
        Ok(Graph {
            driver: Arc::clone(&self.driver),
            handle: self.driver.record(&raw)?,
            launches,
        })
    }

    /// Queues a graph.
    pub fn replay(&self, graph: &Graph) -> Result<(), CudaError> {
        if !Arc::ptr_eq(&graph.driver, &self.driver) {
            return Err(CudaError::Foreign {
                what: "a graph".into(),
            });
        }
        let launches = graph.launches.len() as u64;
        self.counters
            .launches
            .fetch_add(launches, Ordering::Relaxed);
        self.driver.replay(graph.handle)
    }

    /// Waits for everything queued.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.counters.round_trips.fetch_add(1, Ordering::Relaxed);
        self.driver.wait()
    }

    /// What `work` gives, and how long the device took for what it queued, waiting for it.
    pub fn timed<R>(
        &self,
        work: impl FnOnce() -> Result<R, CudaError>,
    ) -> Result<(R, Duration), CudaError> {
        let from = self.driver.mark()?;
        let result = work();
        let to = self.driver.mark()?;
        let elapsed = self.driver.elapsed(from, to);
        Ok((result?, elapsed?))
    }
}

/// Adds the time since `started`.
fn add_time(sum: &AtomicU64, started: Instant) {
    // 2^64 nanoseconds are 584 years.
    let time = started.elapsed().as_nanos() as u64;
    sum.fetch_add(time, Ordering::Relaxed);
}

/// A share of the memory limit that nothing lies in yet.
struct Reserved<'a>(&'a AtomicU64, u64);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A buffer that grows when more is needed. What was in it is lost then.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    what: &'static str,
    buffer: Option<Buffer<T>>,
}

impl<T: Pod> Scratch<T> {
    /// One that has no memory yet.
    pub fn new(what: &'static str) -> Scratch<T> {
        Scratch { what, buffer: None }
    }

    /// The buffer, with room for `len` elements at least.
    pub fn at_least(&mut self, gpu: &Gpu, len: u64) -> Result<&Buffer<T>, CudaError> {
        let fits = self
            .buffer
            .as_ref()
            .is_some_and(|buffer| buffer.len() >= len);
        if !fits {
            // The old one goes first, to make room.
            self.buffer = None;
            let len = len.checked_next_power_of_two().unwrap_or(len);
            return Ok(self.buffer.insert(gpu.buffer(self.what, len)?));
        }
        match &self.buffer {
            Some(buffer) => Ok(buffer),
            None => unreachable!("it fits"),
        }
    }

    /// The buffer, with this at its start.
    pub fn filled(&mut self, gpu: &Gpu, data: &[T]) -> Result<&Buffer<T>, CudaError> {
        let buffer = self.at_least(gpu, data.len() as u64)?;
        gpu.upload(buffer, 0, data)?;
        Ok(buffer)
    }
}
