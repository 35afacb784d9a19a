//! An open device.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingResource, BindingType, BufferBinding, BufferBindingType, BufferDescriptor, BufferUsages,
    ComputePipelineDescriptor, DeviceDescriptor, Features, PipelineLayoutDescriptor,
    ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

use super::adapter::{self, AdapterSummary};
use super::faults::{Faults, described, lock};
use super::{Commands, GpuError};

/// How to open a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// Index of the adapter; `None` takes the first usable one.
    pub adapter: Option<u32>,
    /// Use at most this many bytes per binding, to behave as a smaller device would.
    pub binding_bytes_max: Option<u64>,
    /// Keep at most this many bytes in buffers, to leave the rest to others or to behave as a smaller device would.
    pub memory_bytes_max: Option<u64>,
    /// How long one submission may take before the device counts as hung.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            adapter: None,
            binding_bytes_max: None,
            memory_bytes_max: None,
            timeout: Duration::from_secs(120),
        }
    }
}

/// What kernels may use on an open device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Bytes of one storage binding, and of one buffer: a multiple of 256.
    pub binding_bytes: u64,
    /// Storage buffers of a kernel.
    pub storage_buffers: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Workgroups of a dispatch, per dimension.
    pub workgroups: u32,
}

/// How a kernel sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
    /// `var<uniform>`.
    Uniform,
}

/// One kernel: WGSL text with one entry point; binding i of group 0 is `bindings[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name for messages.
    pub name: &'static str,
    /// The whole module.
    pub text: String,
    /// The entry point.
    pub entry: &'static str,
    /// Bindings of group 0, from 0 up.
    pub bindings: &'static [Binding],
}

/// A compiled kernel.
pub struct Kernel {
    pub(super) name: &'static str,
    pub(super) pipeline: wgpu::ComputePipeline,
    device: u64,
    layout: wgpu::BindGroupLayout,
    bindings: &'static [Binding],
    #[cfg(feature = "remote")]
    pub(super) handle: Option<Arc<super::remote::Handle>>,
    /// How long the driver took to create the pipeline (some compile at first dispatch instead).
    pub compile_time: Duration,
}

impl Kernel {
    /// Fails unless it was compiled for this device.
    pub(super) fn check(&self, gpu: &Gpu) -> Result<(), GpuError> {
        if self.device == gpu.id {
            return Ok(());
        }
        Err(GpuError::Foreign {
            what: format!("kernel `{}`", self.name),
        })
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernel").field(&self.name).finish()
    }
}

/// Device memory: a run of `u32`, zero at first. Can be bound, copied from and to, and used for indirect dispatch.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    words: u64,
    lease: Arc<Lease>,
    #[cfg(feature = "remote")]
    pub(super) handle: Option<Arc<super::remote::Handle>>,
}

impl Buffer {
    /// Length in `u32`.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// `words` words from word `start` on, for a binding. `start` is a multiple of 64 (bindings are aligned to 256
    /// bytes); [`Gpu::bind`] refuses what does not fit.
    pub fn slice(&self, start: u64, words: u64) -> Slice<'_> {
        Slice {
            buffer: self,
            start,
            words,
        }
    }

    /// Fails unless these words are there and the buffer is of this device.
    pub(super) fn check(&self, gpu: &Gpu, start: u64, words: u64) -> Result<(), GpuError> {
        let what = || self.lease.label.clone();
        if self.lease.device != gpu.id {
            return Err(GpuError::Foreign { what: what() });
        }
        match start.checked_add(words) {
            Some(end) if end <= self.words => Ok(()),
            _ => Err(GpuError::BadRange {
                what: what(),
                start,
                words,
                size: self.words,
            }),
        }
    }
}

/// A buffer's share of the device's memory, given back with its last copy.
#[derive(Debug)]
struct Lease {
    label: String,
    device: u64,
    bytes: u64,
    in_use: Arc<AtomicU64>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Part of a buffer, to bind.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) start: u64,
    pub(super) words: u64,
}

impl Slice<'_> {
    fn check(&self, gpu: &Gpu) -> Result<(), GpuError> {
        self.buffer.check(gpu, self.start, self.words)?;
        if self.words > 0 && self.start.is_multiple_of(64) {
            return Ok(());
        }
        Err(GpuError::BadSlice {
            what: self.buffer.lease.label.clone(),
            start: self.start,
            words: self.words,
        })
    }
}

impl<'a> From<&'a Buffer> for Slice<'a> {
    fn from(buffer: &'a Buffer) -> Slice<'a> {
        Slice {
            buffer,
            start: 0,
            words: buffer.words,
        }
    }
}

/// A kernel with its buffers, ready to dispatch.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(super) kernel: Arc<Kernel>,
    pub(super) group: wgpu::BindGroup,
    #[cfg(feature = "remote")]
    pub(super) handle: Option<Arc<super::remote::Handle>>,
}

/// What has gone over the wire since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Submissions to the queue.
    pub submissions: u64,
    /// Dispatches in them.
    pub dispatches: u64,
    /// Times the host waited for the device.
    pub round_trips: u64,
    /// Bytes written by the host.
    pub uploaded: u64,
    /// Bytes read back by the host.
    pub read_back: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) submissions: AtomicU64,
    pub(super) dispatches: AtomicU64,
    pub(super) round_trips: AtomicU64,
    pub(super) uploaded: AtomicU64,
    pub(super) read_back: AtomicU64,
    /// Nanoseconds of timed copies to the device and back.
    pub(super) upload_time: AtomicU64,
    pub(super) read_time: AtomicU64,
}

/// An open device. Threads may share it: an operation reports its own errors, and one that the driver reports outside
/// of any operation goes to whoever looks next. Once the device is lost, everything fails with [`GpuError::Lost`].
pub struct Gpu {
    /// Unlike that of any other device of this process.
    id: u64,
    summary: AdapterSummary,
    profile: Profile,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) timeout: Duration,
    faults: Arc<Faults>,
    memory_bytes_max: u64,
    in_use: Arc<AtomicU64>,
    /// By name and hash of the rest of the source.
    kernels: Mutex<HashMap<KernelKey, Arc<Kernel>>>,
    /// Kept for readback, replaced by a larger one when needed.
    pub(super) staging: Mutex<Option<wgpu::Buffer>>,
    pub(super) counters: Counters,
    /// Whether copies between host and device are timed.
    timing: AtomicBool,
    /// Who does everything instead.
    #[cfg(feature = "remote")]
    pub(super) remote: Option<Arc<dyn super::Remote>>,
}

/// Name, and hash of text, entry point and bindings.
type KernelKey = (&'static str, [u8; 32]);

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("adapter", &self.summary.name)
            .finish_non_exhaustive()
    }
}

impl Gpu {
    /// Opens an adapter.
    pub fn open(options: &Options) -> Result<Gpu, GpuError> {
        let (adapter, summary) = adapter::choose(options.adapter)?;
        let offered = adapter.limits();
        // What kernels do not use may be smaller than the profile.
        let mut limits = adapter::smallest_profile().or_worse_values_from(&offered);
        limits.max_storage_buffer_binding_size = offered.max_storage_buffer_binding_size;
        limits.max_buffer_size = offered.max_buffer_size;
        let wanted = Features::TIMESTAMP_QUERY;
        let (device, queue) = pollster::block_on(adapter.request_device(&DeviceDescriptor {
            label: Some("ffcm"),
            required_features: adapter.features() & wanted,
            required_limits: limits.clone(),
            ..DeviceDescriptor::default()
        }))
        .map_err(|error| GpuError::Open {
            adapter: summary.name.clone(),
            message: error.to_string(),
        })?;
        let faults = Arc::new(Faults::default());
        let for_errors = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error| for_errors.report(error)));
        let for_loss = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            for_loss.lose(&format!("{reason:?}: {message}"));
        });
        let asked = options.binding_bytes_max.unwrap_or(u64::MAX);
        // Shaders index bytes with 32 bits, some with a sign.
        let most = asked.min((1 << 31) - 256);
        let bytes = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(most);
        let profile = Profile {
            binding_bytes: bytes & !255,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            workgroups: limits.max_compute_workgroups_per_dimension,
        };
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Gpu {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            summary,
            profile,
            device,
            queue,
            timeout: options.timeout,
            faults,
            memory_bytes_max: options.memory_bytes_max.unwrap_or(u64::MAX),
            in_use: Arc::default(),
            kernels: Mutex::default(),
            staging: Mutex::default(),
            counters: Counters::default(),
            timing: AtomicBool::new(false),
            #[cfg(feature = "remote")]
            remote: None,
        })
    }

    /// The adapter.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// What kernels may use.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// What has gone over the wire so far.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            submissions: get(&self.counters.submissions),
            dispatches: get(&self.counters.dispatches),
            round_trips: get(&self.counters.round_trips),
            uploaded: get(&self.counters.uploaded),
            read_back: get(&self.counters.read_back),
        }
    }

    /// Bytes in buffers that somebody holds.
    pub fn memory_in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Destroys the device, as a driver reset would: every later call fails with [`GpuError::Lost`], and so does a wait
    /// that is under way in another thread, at once or when what it waits for is done.
    pub fn destroy(&self) {
        // First the word, so that no other thread takes what follows from the loss for an error of its own.
        self.faults.lose("destroyed");
        if catch_unwind(AssertUnwindSafe(|| self.device.destroy())).is_err() {
            tracing::warn!("the GPU driver panics at the device's end");
        }
    }

    /// Runs an operation on the device.
    pub(super) fn guarded<T>(&self, run: impl FnOnce() -> T) -> Result<T, GpuError> {
        self.faults.guarded(&self.device, described, run)
    }

    /// The error the driver has reported since the last look, if any.
    pub fn check(&self) -> Result<(), GpuError> {
        self.faults.take()
    }

    /// Allocates `words` zeros (at least one).
    pub fn buffer(&self, label: &str, words: u64) -> Result<Buffer, GpuError> {
        self.check()?;
        let words = words.max(1);
        let bytes = words.saturating_mul(4);
        if bytes > self.profile.binding_bytes {
            let limit = self.profile.binding_bytes;
            return Err(GpuError::TooLarge {
                what: label.into(),
                needs: bytes,
                limit,
            });
        }
        let lease = self.lease(label, bytes)?;
        let usage = BufferUsages::STORAGE
            | BufferUsages::UNIFORM
            | BufferUsages::COPY_SRC
            | BufferUsages::COPY_DST
            | BufferUsages::INDIRECT;
        let raw = self.allocate(label, bytes, usage)?;
        Ok(Buffer {
            raw,
            words,
            lease,
            #[cfg(feature = "remote")]
            handle: self.remote_buffer(label, words)?,
        })
    }

    fn lease(&self, label: &str, bytes: u64) -> Result<Arc<Lease>, GpuError> {
        let more = |used: u64| {
            let sum = used.checked_add(bytes)?;
            (sum <= self.memory_bytes_max).then_some(sum)
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.in_use.fetch_update(set, fetch, more) {
            Ok(_) => Ok(Arc::new(Lease {
                label: label.into(),
                device: self.id,
                bytes,
                in_use: Arc::clone(&self.in_use),
            })),
            Err(_) => Err(GpuError::OutOfMemory {
                what: label.into(),
                bytes,
            }),
        }
    }

    /// Memory of the device. A driver that refuses leaves it as it was.
    pub(super) fn allocate(
        &self,
        label: &str,
        bytes: u64,
        usage: BufferUsages,
    ) -> Result<wgpu::Buffer, GpuError> {
        let describe = |error| match error {
            wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory {
                what: label.into(),
                bytes,
            },
            other => described(other),
        };
        self.faults.guarded(&self.device, describe, || {
            self.device.create_buffer(&BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Allocates a buffer that holds `data`.
    pub fn buffer_of(&self, label: &str, data: &[u32]) -> Result<Buffer, GpuError> {
        let buffer = self.buffer(label, data.len() as u64)?;
        self.upload(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Writes `data` from word `start` on, before the next submission.
    pub fn upload(&self, buffer: &Buffer, start: u64, data: &[u32]) -> Result<(), GpuError> {
        self.check()?;
        buffer.check(self, start, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        let bytes = data.len() as u64 * 4;
        self.counters.uploaded.fetch_add(bytes, Ordering::Relaxed);
        #[cfg(feature = "remote")]
        if self.remote_upload(buffer, start, data)? {
            return Ok(());
        }
        let started = self.transfer_begins()?;
        self.guarded(|| {
            self.queue
                .write_buffer(&buffer.raw, start * 4, bytemuck::cast_slice(data));
        })?;
        if let Some(started) = started {
            self.settle()?;
            add_time(&self.counters.upload_time, started);
        }
        Ok(())
    }

    /// From now on each copy between host and device has the wire for itself and is timed, or no longer. False where
    /// somebody else copies.
    pub(crate) fn set_timing(&self, on: bool) -> bool {
        #[cfg(feature = "remote")]
        if self.remote.is_some() {
            return false;
        }
        self.timing.store(on, Ordering::Relaxed);
        true
    }

    /// Time of the timed copies to the device and back.
    pub(crate) fn transfer_times(&self) -> (Duration, Duration) {
        let get = |time: &AtomicU64| Duration::from_nanos(time.load(Ordering::Relaxed));
        (
            get(&self.counters.upload_time),
            get(&self.counters.read_time),
        )
    }

    pub(super) fn is_timing(&self) -> bool {
        self.timing.load(Ordering::Relaxed)
    }

    /// If copies are timed, waits for all that was submitted, and says what time it is.
    pub(super) fn transfer_begins(&self) -> Result<Option<Instant>, GpuError> {
        if !self.is_timing() {
            return Ok(None);
        }
        self.settle()?;
        Ok(Some(Instant::now()))
    }

    /// Waits for everything, uploads included.
    fn settle(&self) -> Result<(), GpuError> {
        // A submission of nothing takes along what was written.
        let index = self.guarded(|| self.queue.submit([]))?;
        super::readback::poll(self, index)
    }

    /// Reads `words` words from word `start` on, after everything submitted so far.
    pub fn read(&self, buffer: &Buffer, start: u64, words: u64) -> Result<Vec<u32>, GpuError> {
        self.commands("read").submit_and_read(buffer, start, words)
    }

    /// The compiled kernel; compiled at the first call with this source. Drivers keep what they have compiled on disk
    /// themselves, so nothing is kept here beyond the device.
    pub fn kernel(&self, source: &Source) -> Result<Arc<Kernel>, GpuError> {
        self.check()?;
        let mut hasher = blake3::Hasher::new();
        // A length before each, so that no two sources are one run of bytes.
        for text in [source.text.as_bytes(), source.entry.as_bytes()] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        for binding in source.bindings {
            hasher.update(&[*binding as u8]);
        }
        let key = (source.name, *hasher.finalize().as_bytes());
        if let Some(kernel) = lock(&self.kernels).get(&key) {
            return Ok(Arc::clone(kernel));
        }
        let kernel = self.unkept_kernel(source)?;
        // Another thread may have been faster: there is one of each.
        let mut kernels = lock(&self.kernels);
        Ok(Arc::clone(kernels.entry(key).or_insert(kernel)))
    }

    /// Compiles a kernel, which is let go of with its last copy.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn unkept_kernel(&self, source: &Source) -> Result<Arc<Kernel>, GpuError> {
        self.check()?;
        let started = Instant::now();
        let describe = |error: wgpu::Error| match error {
            wgpu::Error::OutOfMemory { .. } => described(error),
            other => GpuError::Kernel {
                kernel: source.name,
                message: other.to_string(),
            },
        };
        let (pipeline, layout) = self
            .faults
            .guarded(&self.device, describe, || self.compile(source))?;
        Ok(Arc::new(Kernel {
            name: source.name,
            pipeline,
            device: self.id,
            layout,
            bindings: source.bindings,
            #[cfg(feature = "remote")]
            handle: self.remote_kernel(source)?,
            compile_time: started.elapsed(),
        }))
    }

    fn compile(&self, source: &Source) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let module = self.device.create_shader_module(ShaderModuleDescriptor {
            label: Some(source.name),
            source: ShaderSource::Wgsl(source.text.as_str().into()),
        });
        let entries: Vec<BindGroupLayoutEntry> = (0..)
            .zip(source.bindings)
            .map(|(index, binding)| layout_entry(index, *binding))
            .collect();
        let layout = self
            .device
            .create_bind_group_layout(&BindGroupLayoutDescriptor {
                label: Some(source.name),
                entries: &entries,
            });
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&PipelineLayoutDescriptor {
                label: Some(source.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(source.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(source.entry),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
        (pipeline, layout)
    }

    /// Every kernel compiled so far with the time its pipeline took, by name.
    pub fn compile_times(&self) -> Vec<(&'static str, Duration)> {
        let mut times: Vec<_> = lock(&self.kernels)
            .values()
            .map(|kernel| (kernel.name, kernel.compile_time))
            .collect();
        times.sort_unstable();
        times
    }

    /// Puts a kernel and its buffers together, one buffer for each binding.
    pub fn bind(&self, kernel: &Arc<Kernel>, buffers: &[Slice<'_>]) -> Result<Bound, GpuError> {
        self.check()?;
        kernel.check(self)?;
        if kernel.bindings.len() != buffers.len() {
            return Err(GpuError::BindingCount {
                kernel: kernel.name,
                needs: kernel.bindings.len(),
                has: buffers.len(),
            });
        }
        buffers.iter().try_for_each(|slice| slice.check(self))?;
        let entries: Vec<BindGroupEntry<'_>> = (0..)
            .zip(buffers)
            .map(|(binding, slice)| BindGroupEntry {
                binding,
                resource: BindingResource::Buffer(BufferBinding {
                    buffer: &slice.buffer.raw,
                    offset: slice.start * 4,
                    size: NonZeroU64::new(slice.words * 4),
                }),
            })
            .collect();
        let group = self.guarded(|| {
            self.device.create_bind_group(&BindGroupDescriptor {
                label: Some(kernel.name),
                layout: &kernel.layout,
                entries: &entries,
            })
        })?;
        Ok(Bound {
            kernel: Arc::clone(kernel),
            group,
            #[cfg(feature = "remote")]
            handle: self.remote_bind(kernel, buffers)?,
        })
    }

    /// An empty list of commands.
    pub fn commands(&self, label: &'static str) -> Commands<'_> {
        Commands::new(self, label)
    }
}

/// Adds the time since `started`.
pub(super) fn add_time(sum: &AtomicU64, started: Instant) {
    // 2^64 nanoseconds are 584 years.
    let time = started.elapsed().as_nanos() as u64;
    sum.fetch_add(time, Ordering::Relaxed);
}

fn layout_entry(binding: u32, kind: Binding) -> BindGroupLayoutEntry {
    let ty = match kind {
        Binding::Read => BufferBindingType::Storage { read_only: true },
        Binding::Write => BufferBindingType::Storage { read_only: false },
        Binding::Uniform => BufferBindingType::Uniform,
    };
    BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_layer_below_loses_the_device() {
        let gpu = Gpu::open(&Options::default()).expect("an adapter");
        let result: Result<(), GpuError> = gpu.guarded(|| panic!("in the driver"));
        let lost = GpuError::Lost {
            message: "panic: in the driver".into(),
        };
        assert_eq!(result, Err(lost.clone()));
        assert_eq!(gpu.buffer("a", 1).unwrap_err(), lost);
    }
}
