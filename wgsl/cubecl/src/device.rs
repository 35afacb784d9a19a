//! Adapters, and a cubecl client on one of them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cubecl::Device;
use cubecl::bytes::Bytes;
use cubecl::prelude::*;
use cubecl::server::Handle;
use cubecl::wgpu::wgpu::{
    self, Adapter, DeviceType, DownlevelFlags, Features, Instance, InstanceDescriptor,
};
use cubecl::wgpu::{RuntimeOptions, WgpuSetup, try_init_device};
use ffcm::coprocessor::{JobError, ProvidedDevice};
use thiserror::Error;

/// Buffers that the widest kernel binds, the one of its scalars included.
const BINDINGS: u32 = 9;
/// Units of the largest cube.
const UNITS: u32 = 256;

/// Why there is no device, or it gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No adapter at all.
    #[error(
        "no GPU adapter was found; install the Vulkan driver of your GPU, or a software one: on Debian or Ubuntu \
         `apt-get install mesa-vulkan-drivers libvulkan1`"
    )]
    NoAdapter,
    /// The index is beyond the list.
    #[error("there is no adapter {index}: {count} adapter(s) were found")]
    NoSuchAdapter {
        /// The index asked for.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// The adapter lacks what the kernels need.
    #[error("adapter `{adapter}` cannot be used: {reason}")]
    Refused {
        /// The adapter.
        adapter: String,
        /// What is missing.
        reason: String,
    },
    /// The adapter does not open.
    #[error("adapter `{adapter}` does not open: {message}")]
    Open {
        /// The adapter.
        adapter: String,
        /// What the driver or cubecl says.
        message: String,
    },
    /// The job does not fit the device's limits.
    #[error("{what} needs {needs} bytes, this device allows {limit}")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// Its size in bytes.
        needs: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A launch or a transfer failed.
    #[error("cubecl: {message}")]
    Failed {
        /// What cubecl says, its first line.
        message: String,
    },
    /// The device computes wrongly.
    #[error("{what}: the device computes wrong")]
    Wrong {
        /// How that shows.
        what: &'static str,
    },
}

/// A job beyond the device's limits is one that it does not take: nothing is wrong with the device.
impl From<DeviceError> for JobError {
    fn from(error: DeviceError) -> JobError {
        match error {
            DeviceError::TooLarge { .. } => JobError::NotSupported {
                backend: format!("this device ({error})"),
                job: "a job of this size",
            },
            error => JobError::Device(error.to_string()),
        }
    }
}

/// Every adapter of this machine, in the order of `cubecl:N`, which is that of `wgpu:N`.
pub(crate) fn adapters() -> Vec<ProvidedDevice> {
    (0..)
        .zip(enumerate().1)
        .map(|(index, adapter)| ProvidedDevice {
            index,
            software: adapter.get_info().device_type == DeviceType::Cpu,
            refused: refusal(&adapter),
            name: adapter.get_info().name,
        })
        .collect()
}

fn enumerate() -> (Instance, Vec<Adapter>) {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
    let listed = instance.enumerate_adapters(wgpu::Backends::PRIMARY);
    let mut found = cubecl::future::block_on(listed);
    // Real devices first; the sort is stable, so the driver's order stands among equals.
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    (instance, found)
}

/// Why the kernels do not run on an adapter, if so.
fn refusal(adapter: &Adapter) -> Option<String> {
    let flags = adapter.get_downlevel_capabilities().flags;
    if !flags.contains(DownlevelFlags::COMPUTE_SHADERS) {
        return Some("it has no compute shaders".into());
    }
    let limits = adapter.limits();
    let needed = [
        (
            "maxStorageBuffersPerShaderStage",
            limits.max_storage_buffers_per_shader_stage,
            BINDINGS,
        ),
        (
            "maxComputeInvocationsPerWorkgroup",
            limits.max_compute_invocations_per_workgroup,
            UNITS,
        ),
        (
            "maxComputeWorkgroupSizeX",
            limits.max_compute_workgroup_size_x,
            UNITS,
        ),
    ];
    let (name, has, needs) = needed.into_iter().find(|(_, has, needs)| has < needs)?;
    Some(format!("{name} is {has}, at least {needs} is needed"))
}

/// Bytes on the wire since a device was opened.
#[derive(Debug, Default)]
struct Wire {
    uploaded: AtomicU64,
    read_back: AtomicU64,
}

/// A device in use.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) client: Client,
    wire: Arc<Wire>,
    /// The adapter's place among [`adapters`].
    pub(crate) index: u32,
    /// Name, kind and interface.
    pub(crate) name: String,
    pub(crate) buffer_bytes: u64,
    /// Most cubes of a launch along one axis.
    cubes: u32,
}

impl Gpu {
    /// The adapter with this index, or the first usable one. cubecl never gives a device back, so each adapter is opened
    /// once in a process.
    pub(crate) fn open(index: Option<u32>) -> Result<Gpu, DeviceError> {
        static OPEN: Mutex<Option<HashMap<u32, Gpu>>> = Mutex::new(None);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (instance, mut found) = enumerate();
        let count = found.len();
        let at = match index {
            _ if count == 0 => return Err(DeviceError::NoAdapter),
            Some(index) if index as usize >= count => {
                return Err(DeviceError::NoSuchAdapter { index, count });
            }
            Some(index) => index as usize,
            None => {
                let usable = found.iter().position(|a| refusal(a).is_none());
                usable.unwrap_or(0)
            }
        };
        // At most as many as there are adapters.
        let index = at as u32;
        let open = open.get_or_insert_default();
        if let Some(gpu) = open.get(&index) {
            return Ok(gpu.clone());
        }
        let adapter = found.swap_remove(at);
        let gpu = guarded(|| Gpu::start(index, instance, adapter))?;
        open.insert(index, gpu.clone());
        Ok(gpu)
    }

    fn start(index: u32, instance: Instance, adapter: Adapter) -> Result<Gpu, DeviceError> {
        let info = adapter.get_info();
        if let Some(reason) = refusal(&adapter) {
            let adapter = info.name;
            return Err(DeviceError::Refused { adapter, reason });
        }
        let failed = |message: String| DeviceError::Open {
            adapter: info.name.clone(),
            message,
        };
        // What cubecl uses where an adapter has it; nothing experimental.
        let useful = Features::SHADER_INT64 | Features::TIMESTAMP_QUERY;
        let opening = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("cubecl"),
            required_features: adapter.features() & useful,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        });
        let (device, queue) =
            cubecl::future::block_on(opening).map_err(|error| failed(error.to_string()))?;
        let setup = WgpuSetup {
            instance,
            backend: info.backend,
            adapter,
            device,
            queue,
        };
        let device = RuntimeOptions::try_default()
            .and_then(|options| try_init_device(setup, options))
            .map_err(|error| failed(error.to_string()))?;
        let client = Device::Wgpu(device).client();
        let properties = client.properties();
        Ok(Gpu {
            index,
            name: format!("{} ({:?}, {})", info.name, info.device_type, info.backend),
            buffer_bytes: properties.memory.max_page_size.min(1 << 31),
            cubes: properties.hardware.max_cube_count.0,
            wire: Arc::default(),
            client,
        })
    }

    /// Bytes that have gone to the device and back since it was opened: data, not the scalars of launches.
    pub fn sent(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.wire.uploaded), of(&self.wire.read_back))
    }

    /// Largest buffer.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes
    }

    /// Room for `words`, with anything in it.
    ///
    /// # Errors
    ///
    /// More than the device allows; what cubecl says.
    pub fn buffer(&self, what: &str, words: u64) -> Result<Buffer, DeviceError> {
        self.check(what, words)?;
        // An empty buffer cannot be bound.
        let words = words.max(1) as usize;
        guarded(|| {
            let handle = self.client.empty(4 * words);
            Ok(Buffer { handle, words })
        })
    }

    /// A buffer of these words, of one at least.
    ///
    /// # Errors
    ///
    /// As for [`Gpu::buffer`].
    pub fn upload(&self, what: &str, words: &[u32]) -> Result<Buffer, DeviceError> {
        self.check(what, words.len() as u64)?;
        let words = if words.is_empty() { &[0] } else { words };
        let handle = guarded(|| Ok(self.client.create(self.bytes(words))))?;
        Ok(Buffer {
            handle,
            words: words.len(),
        })
    }

    /// The same into a buffer that is there, from its start.
    ///
    /// # Errors
    ///
    /// More words than the buffer has; what cubecl says.
    pub fn write(&self, buffer: &Buffer, words: &[u32]) -> Result<(), DeviceError> {
        let rest = buffer.rest(words.len())?;
        let handle = buffer.handle.clone().offset_end(rest);
        guarded(|| {
            self.client.write(&handle, self.bytes(words));
            Ok(())
        })
    }

    fn bytes(&self, words: &[u32]) -> Bytes {
        // WebGPU's words are little-endian, and so is every machine that it runs on.
        let bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
        let count = bytes.len() as u64;
        self.wire.uploaded.fetch_add(count, Ordering::Relaxed);
        Bytes::from_bytes_vec(bytes)
    }

    /// `words` of a buffer from `start` on, after everything that was launched before.
    ///
    /// # Errors
    ///
    /// Words beyond the end; whatever has failed since the last time.
    pub fn read(
        &self,
        buffer: &Buffer,
        start: usize,
        words: usize,
    ) -> Result<Vec<u32>, DeviceError> {
        let rest = buffer.rest(start.saturating_add(words))?;
        let handle = buffer.handle.clone();
        let handle = handle.offset_start(4 * start as u64).offset_end(rest);
        let bytes = guarded(|| self.client.read_one(handle).map_err(failed))?;
        let count = bytes.len() as u64;
        self.wire.read_back.fetch_add(count, Ordering::Relaxed);
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Copies a buffer to one that is no shorter, by a kernel.
    ///
    /// # Errors
    ///
    /// `to` is shorter; what cubecl says.
    pub fn copy(&self, from: &Buffer, to: &Buffer) -> Result<(), DeviceError> {
        to.rest(from.words)?;
        guarded(|| {
            let cubes = self.cubes(from.words().div_ceil(u64::from(UNITS)));
            copy_words::launch(
                &self.client,
                cubes,
                CubeDim::new_1d(UNITS),
                from.arg(),
                to.arg(),
            );
            Ok(())
        })
    }

    /// So many cubes, along two axes where one does not hold them; there may be some more.
    pub(crate) fn cubes(&self, count: u64) -> CubeCount {
        let most = u64::from(self.cubes.min(65_535));
        // A buffer has fewer than 2^32 words, so two axes hold a cube for each.
        match count <= most {
            true => CubeCount::Static(count as u32, 1, 1),
            false => CubeCount::Static(most as u32, count.div_ceil(most) as u32, 1),
        }
    }

    fn check(&self, what: &str, words: u64) -> Result<(), DeviceError> {
        let (needs, limit) = (words.saturating_mul(4), self.buffer_bytes);
        if needs > limit {
            let what = what.into();
            return Err(DeviceError::TooLarge { what, needs, limit });
        }
        Ok(())
    }
}

/// Copies word by word.
#[cube(launch)]
fn copy_words(from: &[u32], to: &mut [u32]) {
    let at = CUBE_POS * CUBE_DIM as usize + UNIT_POS as usize;
    if at < from.len() {
        to[at] = from[at];
    }
}

/// Words on the device.
#[derive(Clone, Debug)]
pub struct Buffer {
    handle: Handle,
    words: usize,
}

impl Buffer {
    /// As an argument of a launch.
    pub(crate) fn arg(&self) -> BufferArg {
        // SAFETY: the handle was made for so many words in `Gpu::buffer` or `Gpu::upload`.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.words) }
    }

    pub(crate) fn words(&self) -> u64 {
        self.words as u64
    }

    /// Bytes behind the first `words`.
    fn rest(&self, words: usize) -> Result<u64, DeviceError> {
        let rest = self.words.checked_sub(words);
        let rest = rest.ok_or_else(|| DeviceError::Failed {
            message: format!("{words} words of a buffer of {}", self.words),
        })?;
        Ok(4 * rest as u64)
    }
}

fn failed(error: impl ToString) -> DeviceError {
    let message = error.to_string();
    // What follows are backtraces.
    let lines = message
        .lines()
        .take_while(|line| !line.starts_with("Backtrace"));
    DeviceError::Failed {
        message: lines.collect::<Vec<_>>().join(" "),
    }
}

/// Runs what calls cubecl, whose failing server panics in the caller's thread; what is half done is not to be used again.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, DeviceError>) -> Result<T, DeviceError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(failed(text.unwrap_or("it panicked")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let error = guarded::<()>(|| panic!("server {}", "gone")).unwrap_err();
        assert_eq!(error.to_string(), "cubecl: server gone");
        let message = failed("a\nb\nBacktrace:\nc").to_string();
        assert_eq!(message, "cubecl: a b");
    }

    #[test]
    fn only_a_job_too_large_is_not_supported() {
        let error = DeviceError::TooLarge {
            what: "a graph".into(),
            needs: 8,
            limit: 4,
        };
        assert!(matches!(error.into(), JobError::NotSupported { .. }));
        let error = DeviceError::Wrong { what: "mass" };
        assert!(matches!(error.into(), JobError::Device(_)));
    }
}
