//! The driver as this crate's engines use it: everything on one stream, in order.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cudarc::driver::sys::{
    CUdevice_attribute as DeviceAttribute, CUfunction_attribute as FunctionAttribute,
};

use super::cache::Cache;
use super::context::{Context, MAX_PARAMETERS};
use super::image::Images;
use super::list::{self, attribute, capability};
use super::raw::{Api, Handle};
use super::staging::Staging;
use super::status::{OUT_OF_MEMORY, Refusal};
use crate::device::driver::{Function, GraphHandle, RawLaunch};
use crate::device::{CudaError, DeviceSummary, Driver, Resources, Source};

/// Free bytes that the driver keeps for the next buffers rather than giving them back to the system
/// whenever it is waited for.
const KEPT: u64 = 1 << 30;

/// Bytes of shared memory, static and dynamic, that a block may have without asking.
const SHARED: u32 = 48 << 10;

/// Buffers start at multiples of this.
const ALIGNMENT: u64 = 256;

/// A loaded kernel.
struct Loaded {
    name: String,
    handle: Handle,
    /// If the driver tells.
    parameters: Option<usize>,
    /// Bytes of dynamic shared memory that it may have so far.
    shared: AtomicU32,
}

/// Things of the context by the numbers that the engines know them by.
#[derive(Default)]
struct Things {
    last: u64,
    by_number: HashMap<u64, Handle>,
}

impl Things {
    fn add(&mut self, handle: Handle) -> u64 {
        self.last += 1;
        self.by_number.insert(self.last, handle);
        self.last
    }
}

/// An open device.
pub struct NvidiaDriver {
    // Given back last; see `drop`.
    context: Context,
    summary: DeviceSummary,
    images: Images,
    stream: Handle,
    /// Nothing runs here: launches are recorded into graphs, while others go on queueing on the
    /// stream.
    recorder: Mutex<Handle>,
    /// None where the device has no pools.
    pool: Option<Handle>,
    staging: Mutex<Staging>,
    modules: Mutex<Vec<Handle>>,
    functions: Mutex<Vec<Arc<Loaded>>>,
    graphs: Mutex<Things>,
    marks: Mutex<Things>,
    /// Why nothing works any more, once it is so.
    lost: OnceLock<String>,
}

/// Opens a device: the one asked for, or the first that can serve.
pub fn open(index: Option<u32>) -> Result<Arc<dyn Driver>, CudaError> {
    let api = Api::get()?;
    let device = list::choose(api, index)?;
    let name = device.summary.name.clone();
    let driver = NvidiaDriver::open(api, device.index, device.summary, Cache::of_user());
    let driver = driver.map_err(|refusal| refusal.opening(&name))?;
    Ok(Arc::new(driver))
}

/// What is behind a lock is whole whatever a thread did that held it: nothing in between panics.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NvidiaDriver {
    fn open(
        api: &'static Api,
        index: u32,
        summary: DeviceSummary,
        cache: Option<Cache>,
    ) -> Result<NvidiaDriver, Refusal> {
        let device = list::handle(api, index)?;
        let pools = DeviceAttribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        let pools = attribute(api, device, pools)? != 0;
        let context = Context::retain(api, device)?;
        let pool = match pools {
            true => Some(context.pool(KEPT)?),
            false => None,
        };
        let stream = context.stream_create()?;
        let recorder = context.stream_create().inspect_err(|_| {
            warn("stream", context.stream_destroy(stream));
        })?;
        Ok(NvidiaDriver {
            images: Images::new(capability(&summary), api.version, cache),
            context,
            summary,
            stream,
            recorder: Mutex::new(recorder),
            pool,
            staging: Mutex::new(Staging::new()),
            modules: Mutex::default(),
            functions: Mutex::default(),
            graphs: Mutex::default(),
            marks: Mutex::default(),
            lost: OnceLock::new(),
        })
    }

    /// The context, made this thread's. Fails if the device is lost.
    fn enter(&self) -> Result<&Context, CudaError> {
        if let Some(message) = self.lost.get() {
            return Err(CudaError::Lost {
                message: message.clone(),
            });
        }
        self.noted(self.context.enter().map_err(Refusal::working))?;
        Ok(&self.context)
    }

    /// A result; if it is a loss, every later call will fail with it.
    fn noted<T>(&self, result: Result<T, CudaError>) -> Result<T, CudaError> {
        if let Err(CudaError::Lost { message }) = &result {
            // Another thread may have noted one already; the first stays.
            let first = self.lost.get_or_init(|| message.clone());
            tracing::error!(%message, %first, "CUDA: the device is lost");
        }
        result
    }

    /// What a call gave, with its errors told as those of any work.
    fn worked<T>(&self, result: Result<T, Refusal>) -> Result<T, CudaError> {
        self.noted(result.map_err(Refusal::working))
    }

    /// Memory, not yet zeroed. If there is not enough, what the pool keeps is given back first.
    fn take(&self, bytes: usize) -> Result<u64, Refusal> {
        let context = &self.context;
        let Some(pool) = self.pool else {
            return context.alloc(bytes);
        };
        match context.alloc_async(bytes, self.stream) {
            Err(refusal) if refusal.status == OUT_OF_MEMORY => {
                context.stream_synchronize(self.stream)?;
                context.pool_trim(pool)?;
                context.alloc_async(bytes, self.stream)
            }
            result => result,
        }
    }

    fn give(&self, address: u64) -> Result<(), Refusal> {
        // The thread may have the context already, so it is tried even if this fails.
        let entered = self.context.enter();
        if self.pool.is_some() {
            return entered.and(self.context.free_async(address, self.stream));
        }
        // Without knowing that nothing uses the memory it cannot be given back.
        entered.and(self.context.stream_synchronize(self.stream))?;
        self.context.free(address)
    }

    /// A failure to give something back, which nobody can act on.
    fn log(&self, what: &'static str, result: Result<(), Refusal>) {
        match (result, self.lost.get()) {
            (Ok(()), _) => {}
            // A lost device takes nothing back.
            (Err(error), Some(_)) => tracing::debug!(%error, what, "CUDA: not given back"),
            (Err(error), None) => tracing::warn!(%error, what, "CUDA: not given back"),
        }
    }

    /// Kernels of a loaded module.
    fn entries(
        &self,
        module: Handle,
        source: &Source,
    ) -> Result<Vec<(Loaded, Resources)>, Refusal> {
        let context = &self.context;
        let mut found = Vec::new();
        for entry in source.entries {
            // A name with a zero byte in it is none of the module's; the driver says so of what is
            // before it.
            let name = CString::new(*entry).unwrap_or_default();
            let handle = context.function(module, &name)?;
            let of = |attribute| context.attribute(handle, attribute);
            let static_bytes = of(FunctionAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?;
            let resources = Resources {
                registers: of(FunctionAttribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?,
                local_bytes: of(FunctionAttribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
                shared_bytes: static_bytes,
                max_threads: of(FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
            };
            let shared = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let loaded = Loaded {
                name: format!("{}:{entry}", source.name),
                handle,
                parameters: context.parameters(handle),
                // What the driver says may or may not count the static memory.
                shared: AtomicU32::new(of(shared)?.min(SHARED.saturating_sub(static_bytes))),
            };
            found.push((loaded, resources));
        }
        Ok(found)
    }

    /// A kernel, after it has been allowed so much dynamic shared memory.
    fn function(&self, function: Function, shared: u32) -> Result<Arc<Loaded>, CudaError> {
        let functions = locked(&self.functions);
        let at = usize::try_from(function.0).unwrap_or(usize::MAX);
        let loaded = functions.get(at).ok_or_else(|| CudaError::Driver {
            message: format!("no kernel has the number {}", function.0),
        })?;
        // Under the lock, so that nobody allows less after another has allowed more.
        if shared > loaded.shared.load(Ordering::Relaxed) {
            let allowed = self.context.allow_shared(loaded.handle, shared);
            self.noted(allowed.map_err(|refusal| refusal.launching(&loaded.name)))?;
            loaded.shared.store(shared, Ordering::Relaxed);
        }
        Ok(Arc::clone(loaded))
    }

    /// Queues a launch on a stream.
    fn launch_on(&self, launch: &RawLaunch, stream: Handle) -> Result<(), CudaError> {
        let grid = launch.grid;
        let kernel = self.function(launch.function, grid.shared)?;
        let bad = |message: String| CudaError::BadLaunch {
            kernel: kernel.name.clone(),
            message,
        };
        if grid.blocks == 0 || grid.threads == 0 {
            return Err(bad("no threads".into()));
        }
        let given = launch.arguments.len();
        let takes = kernel.parameters;
        if takes.is_some_and(|count| count != given) || given > MAX_PARAMETERS {
            let takes = takes.unwrap_or(MAX_PARAMETERS);
            return Err(bad(format!("{given} arguments, it takes {takes}")));
        }
        let context = &self.context;
        let done = match takes {
            Some(_) => context.launch(kernel.handle, grid, &launch.arguments, stream),
            None => {
                let mut arguments = launch.arguments.clone();
                arguments.resize(MAX_PARAMETERS, 0);
                context.launch(kernel.handle, grid, &arguments, stream)
            }
        };
        self.noted(done.map_err(|refusal| refusal.launching(&kernel.name)))
    }

    /// Records launches; the graph has to be destroyed.
    fn capture(&self, launches: &[RawLaunch]) -> Result<Option<Handle>, CudaError> {
        let recorder = locked(&self.recorder);
        self.worked(self.context.begin_capture(*recorder))?;
        let recorded = launches
            .iter()
            .try_for_each(|launch| self.launch_on(launch, *recorder));
        // The recording ends whatever became of it, or the stream could not be used again.
        let ended = self.context.end_capture(*recorder);
        match (recorded, ended) {
            (Ok(()), ended) => self.worked(ended),
            (Err(error), ended) => {
                if let Ok(Some(graph)) = ended {
                    self.log("graph", self.context.graph_destroy(graph));
                }
                Err(error)
            }
        }
    }

    fn event(&self, number: u64) -> Result<Handle, CudaError> {
        let event = locked(&self.marks).by_number.remove(&number);
        event.ok_or_else(|| CudaError::Driver {
            message: format!("no point in the queue has the number {number}"),
        })
    }

    fn between(&self, from: Handle, to: Handle) -> Result<f32, Refusal> {
        self.context.event_synchronize(to)?;
        self.context.event_elapsed(from, to)
    }
}

fn warn(what: &'static str, result: Result<(), Refusal>) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "CUDA: not given back");
    }
}

/// A number of bytes for the driver. On hosts with small addresses it may be too large.
fn size(what: &str, bytes: u64) -> Result<usize, CudaError> {
    usize::try_from(bytes).map_err(|_| CudaError::TooLarge {
        what: what.into(),
        needs: bytes,
        limit: usize::MAX as u64,
    })
}

impl Driver for NvidiaDriver {
    fn summary(&self) -> &DeviceSummary {
        &self.summary
    }

    fn free_memory(&self) -> Result<u64, CudaError> {
        let context = self.enter()?;
        self.worked(context.free_memory())
    }

    fn allocate(&self, what: &'static str, bytes: u64) -> Result<u64, CudaError> {
        let context = self.enter()?;
        let room = size(what, bytes.max(1))?;
        let taken = self.take(room);
        let address = self.noted(taken.map_err(|refusal| refusal.allocating(what, bytes)))?;
        let zeroed = self.worked(context.zero(address, room, self.stream));
        let aligned = match address.is_multiple_of(ALIGNMENT) {
            true => Ok(()),
            false => Err(CudaError::Driver {
                message: format!("memory at {address:#x}, which is no multiple of {ALIGNMENT}"),
            }),
        };
        if let Err(error) = zeroed.and(aligned) {
            self.log("memory", self.give(address));
            return Err(error);
        }
        Ok(address)
    }

    fn release(&self, address: u64) {
        self.log("memory", self.give(address));
    }

    fn fill(&self, address: u64, bytes: u64, word: u32) -> Result<(), CudaError> {
        let context = self.enter()?;
        if !bytes.is_multiple_of(4) {
            return Err(CudaError::Driver {
                message: format!("{bytes} bytes to fill are not whole words"),
            });
        }
        let words = size("a fill", bytes / 4)?;
        self.worked(context.fill(address, word, words, self.stream))
    }

    fn upload(&self, address: u64, data: &[u8]) -> Result<(), CudaError> {
        let context = self.enter()?;
        let done = locked(&self.staging).upload(context, self.stream, address, data);
        self.noted(done)
    }

    fn download(&self, address: u64, data: &mut [u8]) -> Result<(), CudaError> {
        let context = self.enter()?;
        let done = locked(&self.staging).download(context, self.stream, address, data);
        self.noted(done)
    }

    fn copy(&self, from: u64, to: u64, bytes: u64) -> Result<(), CudaError> {
        let context = self.enter()?;
        if bytes == 0 {
            return Ok(());
        }
        let bytes = size("a copy", bytes)?;
        self.worked(context.copy(to, from, bytes, self.stream))
    }

    fn load(&self, source: &Source) -> Result<Vec<(Function, Resources)>, CudaError> {
        let context = self.enter()?;
        let image = self.images.of(source)?;
        let loaded = context.module_load(&image.bytes);
        let module = self.noted(loaded.map_err(|(refusal, log)| {
            let about = match log.is_empty() {
                true => image.origin.clone(),
                false => format!("{log} ({})", image.origin),
            };
            refusal.loading(source.name, &about)
        }))?;
        let entries = self.entries(module, source);
        let entries = self.noted(entries.map_err(|refusal| refusal.loading(source.name, "")));
        let entries = entries.inspect_err(|_| self.log("module", context.module_unload(module)))?;
        locked(&self.modules).push(module);
        let mut functions = locked(&self.functions);
        let add = |(loaded, resources)| {
            functions.push(Arc::new(loaded));
            (Function(functions.len() as u64 - 1), resources)
        };
        Ok(entries.into_iter().map(add).collect())
    }

    fn occupancy(&self, function: Function, threads: u32, shared: u32) -> Result<u32, CudaError> {
        let context = self.enter()?;
        let kernel = self.function(function, shared)?;
        let blocks = context.occupancy(kernel.handle, threads, shared);
        self.noted(blocks.map_err(|refusal| refusal.launching(&kernel.name)))
    }

    fn launch(&self, launch: &RawLaunch) -> Result<(), CudaError> {
        self.enter()?;
        self.launch_on(launch, self.stream)
    }

    fn record(&self, launches: &[RawLaunch]) -> Result<GraphHandle, CudaError> {
        let context = self.enter()?;
        let graph = self.capture(launches)?.ok_or_else(|| CudaError::Driver {
            message: "the recording gave no graph".into(),
        })?;
        let ready = self.worked(context.graph_instantiate(graph));
        self.log("graph", context.graph_destroy(graph));
        Ok(GraphHandle(locked(&self.graphs).add(ready?)))
    }

    fn replay(&self, graph: GraphHandle) -> Result<(), CudaError> {
        let context = self.enter()?;
        let graphs = locked(&self.graphs);
        let ready = graphs.by_number.get(&graph.0);
        let ready = *ready.ok_or_else(|| CudaError::Driver {
            message: format!("no graph has the number {}", graph.0),
        })?;
        self.worked(context.graph_launch(ready, self.stream))
    }

    fn forget(&self, graph: GraphHandle) {
        // It may be running. If that cannot be known, it stays until the device is closed.
        let entered = self.context.enter();
        let waited = entered.and(self.context.stream_synchronize(self.stream));
        if waited.is_err() {
            return self.log("graph", waited);
        }
        if let Some(ready) = locked(&self.graphs).by_number.remove(&graph.0) {
            self.log("graph", self.context.graph_exec_destroy(ready));
        }
    }

    fn wait(&self) -> Result<(), CudaError> {
        let context = self.enter()?;
        self.worked(context.stream_synchronize(self.stream))
    }

    fn mark(&self) -> Result<u64, CudaError> {
        let context = self.enter()?;
        let event = self.worked(context.event_create(true))?;
        let recorded = self.worked(context.event_record(event, self.stream));
        recorded.inspect_err(|_| self.log("event", context.event_destroy(event)))?;
        Ok(locked(&self.marks).add(event))
    }

    fn elapsed(&self, from: u64, to: u64) -> Result<Duration, CudaError> {
        let (from, to) = (self.event(from), self.event(to));
        let entered = self.enter();
        let milliseconds = match (&entered, &from, &to) {
            (Ok(_), Ok(from), Ok(to)) => Some(self.worked(self.between(*from, *to))),
            _ => None,
        };
        for event in [&from, &to].into_iter().flatten() {
            self.log("event", self.context.event_destroy(*event));
        }
        entered?;
        from.and(to)?;
        let milliseconds = milliseconds.unwrap_or(Ok(0.0))?;
        let seconds = f64::from(milliseconds) / 1e3;
        Duration::try_from_secs_f64(seconds).map_err(|error| CudaError::Driver {
            message: format!("{milliseconds} ms between two points: {error}"),
        })
    }

    fn lose(&self) {
        self.lost.get_or_init(|| "it was told to be".into());
    }
}

impl Drop for NvidiaDriver {
    fn drop(&mut self) {
        let context = &self.context;
        self.log("context", context.enter());
        self.log("queue", context.stream_synchronize(self.stream));
        for (_, ready) in locked(&self.graphs).by_number.drain() {
            self.log("graph", context.graph_exec_destroy(ready));
        }
        for (_, event) in locked(&self.marks).by_number.drain() {
            self.log("event", context.event_destroy(event));
        }
        locked(&self.staging).release(context);
        for module in locked(&self.modules).drain(..) {
            self.log("module", context.module_unload(module));
        }
        self.log("stream", context.stream_destroy(*locked(&self.recorder)));
        self.log("stream", context.stream_destroy(self.stream));
    }
}
