//! An open device.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingResource, BindingType, BufferBinding, BufferBindingType, BufferDescriptor, BufferUsages,
    ComputePipelineDescriptor, DeviceDescriptor, ErrorFilter, Features, PipelineLayoutDescriptor,
    ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

use super::adapter::{self, AdapterSummary};
use super::{Commands, GpuError};

/// How to open a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// Index of the adapter; `None` takes the first usable one.
    pub adapter: Option<u32>,
    /// Use at most this many bytes per binding, to behave as a smaller device would.
    pub binding_bytes_max: Option<u64>,
    /// How long one submission may take before the device counts as hung.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            adapter: None,
            binding_bytes_max: None,
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
    /// Name for messages and the cache; the same name always means the same text.
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
    layout: wgpu::BindGroupLayout,
    bindings: &'static [Binding],
    /// How long the driver took to create the pipeline (some compile at first dispatch instead).
    pub compile_time: Duration,
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
    #[cfg(feature = "remote")]
    pub(super) handle: Option<Arc<super::remote::Handle>>,
}

impl Buffer {
    /// Length in `u32`.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// `words` words from word `start` on, for a binding. `start` is a multiple of 64 (bindings are aligned to 256 bytes).
    pub fn slice(&self, start: u64, words: u64) -> Slice<'_> {
        debug_assert!(start.is_multiple_of(64) && words > 0 && start + words <= self.words);
        Slice {
            buffer: self,
            start,
            words,
        }
    }
}

/// Part of a buffer, to bind.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) start: u64,
    pub(super) words: u64,
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
}

/// An open device. Meant for one job at a time: an error is reported to whoever looks next.
pub struct Gpu {
    summary: AdapterSummary,
    profile: Profile,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) timeout: Duration,
    faults: Arc<Faults>,
    kernels: Mutex<HashMap<&'static str, Arc<Kernel>>>,
    /// Kept for readback, replaced by a larger one when needed.
    pub(super) staging: Mutex<Option<wgpu::Buffer>>,
    pub(super) counters: Counters,
    /// Who does everything instead.
    #[cfg(feature = "remote")]
    pub(super) remote: Option<Arc<dyn super::Remote>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("adapter", &self.summary.name)
            .finish_non_exhaustive()
    }
}

/// Errors that the driver reports on its own time. Losing the device is for ever, the rest is taken by who looks.
#[derive(Debug, Default)]
struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<GpuError>>,
}

impl Faults {
    fn report(&self, error: wgpu::Error) {
        let error = match error {
            wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory {
                what: "a driver allocation".into(),
                bytes: 0,
            },
            wgpu::Error::Validation { description, .. }
            | wgpu::Error::Internal { description, .. } => GpuError::Driver {
                message: description,
            },
        };
        tracing::error!(%error, "the GPU driver reports an error");
        lock(&self.error).get_or_insert(error);
    }

    fn take(&self) -> Result<(), GpuError> {
        if let Some(message) = lock(&self.lost).clone() {
            return Err(GpuError::Lost { message });
        }
        match lock(&self.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A lock of which the data stays valid whatever happened to its last holder.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens an adapter.
    pub fn open(options: &Options) -> Result<Gpu, GpuError> {
        let (adapter, summary) = adapter::choose(options.adapter)?;
        let offered = adapter.limits();
        let mut limits = adapter::smallest_profile();
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
            tracing::error!(?reason, message, "the GPU device is lost");
            *lock(&for_loss.lost) = Some(format!("{reason:?}: {message}"));
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
        Ok(Gpu {
            summary,
            profile,
            device,
            queue,
            timeout: options.timeout,
            faults,
            kernels: Mutex::default(),
            staging: Mutex::default(),
            counters: Counters::default(),
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

    /// Destroys the device, as a driver reset would: every later call fails with [`GpuError::Lost`].
    pub fn destroy(&self) {
        self.device.destroy();
        // Some drivers report the loss at the next poll only.
        lock(&self.faults.lost).get_or_insert_with(|| "destroyed".into());
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
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let raw = self.device.create_buffer(&BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: BufferUsages::STORAGE
                | BufferUsages::UNIFORM
                | BufferUsages::COPY_SRC
                | BufferUsages::COPY_DST
                | BufferUsages::INDIRECT,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(GpuError::OutOfMemory {
                what: label.into(),
                bytes,
            });
        }
        self.check()?;
        Ok(Buffer {
            raw,
            words,
            #[cfg(feature = "remote")]
            handle: self.remote_buffer(label, words)?,
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
        if data.is_empty() {
            return Ok(());
        }
        debug_assert!(start + data.len() as u64 <= buffer.words);
        let bytes = data.len() as u64 * 4;
        self.counters.uploaded.fetch_add(bytes, Ordering::Relaxed);
        #[cfg(feature = "remote")]
        if self.remote_upload(buffer, start, data)? {
            return Ok(());
        }
        self.queue
            .write_buffer(&buffer.raw, start * 4, bytemuck::cast_slice(data));
        self.check()
    }

    /// Reads `words` words from word `start` on, after everything submitted so far.
    pub fn read(&self, buffer: &Buffer, start: u64, words: u64) -> Result<Vec<u32>, GpuError> {
        self.commands("read").submit_and_read(buffer, start, words)
    }

    /// The compiled kernel; compiled at the first call with its name.
    pub fn kernel(&self, source: &Source) -> Result<Arc<Kernel>, GpuError> {
        if let Some(kernel) = lock(&self.kernels).get(source.name) {
            return Ok(Arc::clone(kernel));
        }
        let started = Instant::now();
        let failed = |error: wgpu::Error| GpuError::Kernel {
            kernel: source.name,
            message: error.to_string(),
        };
        self.check()?;
        let scope = self.device.push_error_scope(ErrorFilter::Validation);
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
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(failed(error));
        }
        self.check()?;
        #[cfg(feature = "remote")]
        self.remote_kernel(source)?;
        let kernel = Arc::new(Kernel {
            name: source.name,
            pipeline,
            layout,
            bindings: source.bindings,
            compile_time: started.elapsed(),
        });
        lock(&self.kernels).insert(source.name, Arc::clone(&kernel));
        Ok(kernel)
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
        debug_assert_eq!(
            kernel.bindings.len(),
            buffers.len(),
            "bindings of {}",
            kernel.name
        );
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
        let group = self.device.create_bind_group(&BindGroupDescriptor {
            label: Some(kernel.name),
            layout: &kernel.layout,
            entries: &entries,
        });
        self.check()?;
        Ok(Bound {
            kernel: Arc::clone(kernel),
            group,
            #[cfg(feature = "remote")]
            handle: self.remote_bind(kernel.name, buffers)?,
        })
    }

    /// An empty list of commands.
    pub fn commands(&self, label: &'static str) -> Commands<'_> {
        Commands::new(self, label)
    }
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
