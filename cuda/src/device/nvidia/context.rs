//! The calls of the driver within a device's context, each with its safety told. What is done with
//! them is `driver.rs`.
//!
//! Handles come from this context and are used until they are given back, which their owners do
//! once. The thin methods here take them at their word; no handle leaves this folder.

use std::ffi::{CStr, c_int, c_uint, c_void};

use cudarc::driver::sys::{
    CUevent_flags, CUfunction_attribute as FunctionAttribute, CUjit_option, CUmemPool_attribute,
    CUstream_flags, CUstreamCaptureMode,
};

use super::raw::{Address, Api, Device, Handle};
use super::status::{Refusal, Status};
use crate::device::Grid;

type Done = Result<(), Refusal>;

/// Room for what the driver's compiler says.
const LOG_BYTES: usize = 8 << 10;

/// Parameters that a kernel may have here. Where the driver does not tell how many a kernel has, so
/// many are passed, the missing ones as zero, so that it never reads beyond the list.
pub const MAX_PARAMETERS: usize = 64;

/// The primary context of a device, held until dropped.
pub struct Context {
    api: &'static Api,
    device: Device,
    handle: Handle,
}

impl Context {
    /// Takes hold of the primary context and makes it this thread's.
    pub fn retain(api: &'static Api, device: Device) -> Result<Context, Refusal> {
        let mut handle = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (api.device_primary_ctx_retain)(&mut handle, device) };
        api.check("cuDevicePrimaryCtxRetain", status)?;
        let context = Context {
            api,
            device,
            handle,
        };
        context.enter()?;
        Ok(context)
    }

    fn check(&self, call: &'static str, status: Status) -> Done {
        self.api.check(call, status)
    }

    /// Makes the context this thread's. Every other method wants that to have been done.
    pub fn enter(&self) -> Done {
        // SAFETY: the context is held.
        let status = unsafe { (self.api.ctx_set_current)(self.handle) };
        self.check("cuCtxSetCurrent", status)
    }

    /// Free memory in bytes.
    pub fn free_memory(&self) -> Result<u64, Refusal> {
        let (mut free, mut total) = (0_usize, 0_usize);
        // SAFETY: the pointers are valid for the call.
        let status = unsafe { (self.api.mem_get_info)(&mut free, &mut total) };
        self.check("cuMemGetInfo", status)?;
        Ok(free as u64)
    }

    // Streams and events.

    /// A stream that does not wait for the default one.
    pub fn stream_create(&self) -> Result<Handle, Refusal> {
        let mut stream = 0;
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.api.stream_create)(&mut stream, flags) };
        self.check("cuStreamCreate", status)?;
        Ok(stream)
    }

    pub fn stream_destroy(&self, stream: Handle) -> Done {
        // SAFETY: the stream is open, and its owner does not use it again.
        let status = unsafe { (self.api.stream_destroy)(stream) };
        self.check("cuStreamDestroy", status)
    }

    pub fn stream_synchronize(&self, stream: Handle) -> Done {
        // SAFETY: the stream is open.
        let status = unsafe { (self.api.stream_synchronize)(stream) };
        self.check("cuStreamSynchronize", status)
    }

    /// An event; with `timing` it can be asked when it happened.
    pub fn event_create(&self, timing: bool) -> Result<Handle, Refusal> {
        let flags = match timing {
            true => CUevent_flags::CU_EVENT_DEFAULT,
            false => CUevent_flags::CU_EVENT_DISABLE_TIMING,
        };
        let mut event = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.api.event_create)(&mut event, flags as c_uint) };
        self.check("cuEventCreate", status)?;
        Ok(event)
    }

    pub fn event_destroy(&self, event: Handle) -> Done {
        // SAFETY: the event is open, and its owner does not use it again.
        let status = unsafe { (self.api.event_destroy)(event) };
        self.check("cuEventDestroy", status)
    }

    pub fn event_record(&self, event: Handle, stream: Handle) -> Done {
        // SAFETY: both are open.
        let status = unsafe { (self.api.event_record)(event, stream) };
        self.check("cuEventRecord", status)
    }

    pub fn event_synchronize(&self, event: Handle) -> Done {
        // SAFETY: the event is open.
        let status = unsafe { (self.api.event_synchronize)(event) };
        self.check("cuEventSynchronize", status)
    }

    /// Milliseconds between two events that have happened.
    pub fn event_elapsed(&self, from: Handle, to: Handle) -> Result<f32, Refusal> {
        let mut milliseconds = 0.0;
        // SAFETY: both events are open, the pointer is valid for the call.
        let status = unsafe { (self.api.event_elapsed_time)(&mut milliseconds, from, to) };
        self.check("cuEventElapsedTime", status)?;
        Ok(milliseconds)
    }

    // Memory.

    /// The pool that memory is taken from, told to keep up to `kept` free bytes for later.
    pub fn pool(&self, kept: u64) -> Result<Handle, Refusal> {
        let mut pool = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.api.device_get_default_mem_pool)(&mut pool, self.device) };
        self.check("cuDeviceGetDefaultMemPool", status)?;
        let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as c_int;
        let mut kept = kept;
        let value: *mut u64 = &mut kept;
        // SAFETY: the value of this attribute is 64 bits wide.
        let status = unsafe { (self.api.mem_pool_set_attribute)(pool, attribute, value.cast()) };
        self.check("cuMemPoolSetAttribute", status)?;
        Ok(pool)
    }

    /// Gives everything back that the pool keeps.
    pub fn pool_trim(&self, pool: Handle) -> Done {
        // SAFETY: the device's own pool is always open.
        let status = unsafe { (self.api.mem_pool_trim_to)(pool, 0) };
        self.check("cuMemPoolTrimTo", status)
    }

    /// Memory of the pool, for what is queued from here on.
    pub fn alloc_async(&self, bytes: usize, stream: Handle) -> Result<Address, Refusal> {
        let mut address = 0;
        // SAFETY: the stream is open, the pointer is valid for the call.
        let status = unsafe { (self.api.mem_alloc_async)(&mut address, bytes, stream) };
        self.check("cuMemAllocAsync", status)?;
        Ok(address)
    }

    /// Gives memory of the pool back once what is queued is done.
    pub fn free_async(&self, address: Address, stream: Handle) -> Done {
        // SAFETY: the memory is from `alloc_async`, and its owner queues nothing more on it.
        let status = unsafe { (self.api.mem_free_async)(address, stream) };
        self.check("cuMemFreeAsync", status)
    }

    /// Memory of a device without pools.
    pub fn alloc(&self, bytes: usize) -> Result<Address, Refusal> {
        let mut address = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.api.mem_alloc)(&mut address, bytes) };
        self.check("cuMemAlloc", status)?;
        Ok(address)
    }

    /// Gives memory of `alloc` back, which nothing queued uses any more.
    pub fn free(&self, address: Address) -> Done {
        // SAFETY: the memory is from `alloc`, and its owner does not use it again.
        let status = unsafe { (self.api.mem_free)(address) };
        self.check("cuMemFree", status)
    }

    /// Memory of the host that the device copies from and to by itself. The address of so many
    /// bytes.
    pub fn alloc_host(&self, bytes: usize) -> Result<*mut u8, Refusal> {
        let mut memory = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.api.mem_host_alloc)(&mut memory, bytes, 0) };
        self.check("cuMemHostAlloc", status)?;
        Ok(memory.cast())
    }

    pub fn free_host(&self, memory: *mut u8) -> Done {
        // SAFETY: the memory is from `alloc_host`, and its owner does not use it again.
        let status = unsafe { (self.api.mem_free_host)(memory.cast()) };
        self.check("cuMemFreeHost", status)
    }

    /// Queues a copy from memory of `alloc_host`.
    ///
    /// # Safety
    /// The memory is there and unchanged until the copy is done.
    pub unsafe fn copy_in(
        &self,
        to: Address,
        from: *const u8,
        bytes: usize,
        stream: Handle,
    ) -> Done {
        debug_assert!(!from.is_null());
        // SAFETY: the caller's; what is wrong on the device's side is the driver's to find.
        let status = unsafe { (self.api.memcpy_htod_async)(to, from.cast(), bytes, stream) };
        self.check("cuMemcpyHtoDAsync", status)
    }

    /// Queues a copy to memory of `alloc_host`.
    ///
    /// # Safety
    /// The memory is there and nobody else's until the copy is done.
    pub unsafe fn copy_out(
        &self,
        to: *mut u8,
        from: Address,
        bytes: usize,
        stream: Handle,
    ) -> Done {
        debug_assert!(!to.is_null());
        // SAFETY: the caller's; what is wrong on the device's side is the driver's to find.
        let status = unsafe { (self.api.memcpy_dtoh_async)(to.cast(), from, bytes, stream) };
        self.check("cuMemcpyDtoHAsync", status)
    }

    /// Queues a copy on the device.
    pub fn copy(&self, to: Address, from: Address, bytes: usize, stream: Handle) -> Done {
        // SAFETY: no memory of the host is touched.
        let status = unsafe { (self.api.memcpy_dtod_async)(to, from, bytes, stream) };
        self.check("cuMemcpyDtoDAsync", status)
    }

    /// Queues setting bytes to zero.
    pub fn zero(&self, address: Address, bytes: usize, stream: Handle) -> Done {
        // SAFETY: no memory of the host is touched.
        let status = unsafe { (self.api.memset_d8_async)(address, 0, bytes, stream) };
        self.check("cuMemsetD8Async", status)
    }

    /// Queues setting words.
    pub fn fill(&self, address: Address, word: u32, words: usize, stream: Handle) -> Done {
        // SAFETY: no memory of the host is touched.
        let status = unsafe { (self.api.memset_d32_async)(address, word, words, stream) };
        self.check("cuMemsetD32Async", status)
    }

    // Modules and kernels.

    /// Loads an image. With an error comes what the driver's compiler said.
    pub fn module_load(&self, image: &[u8]) -> Result<Handle, (Refusal, String)> {
        let mut module = 0;
        let mut log = vec![0_u8; LOG_BYTES];
        let mut options = [
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER as c_int,
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES as c_int,
        ];
        // By the manual, whole numbers are passed in the place of pointers.
        let mut values: [*mut c_void; 2] = [
            log.as_mut_ptr().cast(),
            std::ptr::without_provenance_mut(LOG_BYTES - 1),
        ];
        debug_assert!(
            is_bounded(image),
            "the driver reads to the zero byte of PTX"
        );
        // SAFETY: the image is PTX with a zero byte at its end, or a binary whose header tells its
        // length. The log has the room that is told, and a zero byte after it. Both lists have two
        // entries.
        let status = unsafe {
            (self.api.module_load_data_ex)(
                &mut module,
                image.as_ptr().cast(),
                2,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        self.check("cuModuleLoadDataEx", status)
            .map_err(|refusal| (refusal, text_of(&log)))?;
        Ok(module)
    }

    pub fn module_unload(&self, module: Handle) -> Done {
        // SAFETY: the module is loaded, and its owner does not use it or its kernels again.
        let status = unsafe { (self.api.module_unload)(module) };
        self.check("cuModuleUnload", status)
    }

    pub fn function(&self, module: Handle, name: &CStr) -> Result<Handle, Refusal> {
        let mut function = 0;
        // SAFETY: the module is loaded, the name ends with zero, the pointer is valid for the call.
        let status =
            unsafe { (self.api.module_get_function)(&mut function, module, name.as_ptr()) };
        self.check("cuModuleGetFunction", status)?;
        Ok(function)
    }

    /// A property of a kernel; none if it is negative.
    pub fn attribute(&self, function: Handle, of: FunctionAttribute) -> Result<u32, Refusal> {
        let mut value = 0;
        // SAFETY: the kernel's module is loaded, the pointer is valid for the call.
        let status = unsafe { (self.api.func_get_attribute)(&mut value, of as c_int, function) };
        self.check("cuFuncGetAttribute", status)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// Lets a kernel have so many bytes of dynamic shared memory.
    pub fn allow_shared(&self, function: Handle, bytes: u32) -> Done {
        let of = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as c_int;
        let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
        // SAFETY: the kernel's module is loaded.
        let status = unsafe { (self.api.func_set_attribute)(function, of, bytes) };
        self.check("cuFuncSetAttribute", status)
    }

    /// How many parameters a kernel has, if the driver tells.
    pub fn parameters(&self, function: Handle) -> Option<usize> {
        let look = self.api.func_get_param_info?;
        let (mut offset, mut size) = (0, 0);
        let mut has = |index| {
            // SAFETY: the kernel's module is loaded, the pointers are valid for the call; an index
            // beyond the parameters is an error by the manual.
            let status = unsafe { look(function, index, &mut offset, &mut size) };
            status == 0
        };
        Some((0..=MAX_PARAMETERS).take_while(|&index| has(index)).count())
    }

    pub fn occupancy(&self, function: Handle, threads: u32, shared: u32) -> Result<u32, Refusal> {
        let mut blocks = 0;
        let threads = c_int::try_from(threads).unwrap_or(c_int::MAX);
        // SAFETY: the kernel's module is loaded, the pointer is valid for the call.
        let status =
            unsafe { (self.api.occupancy)(&mut blocks, function, threads, shared as usize) };
        self.check("cuOccupancyMaxActiveBlocksPerMultiprocessor", status)?;
        Ok(u32::try_from(blocks).unwrap_or(0))
    }

    /// Queues a launch. The arguments are as many as the kernel's parameters, or [`MAX_PARAMETERS`]
    /// at least.
    pub fn launch(&self, function: Handle, grid: Grid, arguments: &[u64], stream: Handle) -> Done {
        let pointer = |argument: &u64| std::ptr::from_ref(argument).cast_mut().cast::<c_void>();
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(pointer).collect();
        let (blocks, threads, shared) = (grid.blocks, grid.threads, grid.shared);
        debug_assert!(blocks > 0 && threads > 0, "checked before");
        let parameters = pointers.as_mut_ptr();
        if grid.cooperative {
            let call = self.api.launch_cooperative_kernel;
            // SAFETY: the kernel's module is loaded; there is a pointer for each parameter, and
            // behind it 64 bits, of which the driver copies as many as the parameter has before it
            // returns. What the kernel does with them is its engine's.
            let status = unsafe {
                call(
                    function, blocks, 1, 1, threads, 1, 1, shared, stream, parameters,
                )
            };
            return self.check("cuLaunchCooperativeKernel", status);
        }
        let extra = std::ptr::null_mut();
        let call = self.api.launch_kernel;
        // SAFETY: as above.
        let status = unsafe {
            call(
                function, blocks, 1, 1, threads, 1, 1, shared, stream, parameters, extra,
            )
        };
        self.check("cuLaunchKernel", status)
    }

    // Graphs.

    /// From here on, what is queued on the stream is recorded and not run.
    pub fn begin_capture(&self, stream: Handle) -> Done {
        // Only what this thread does may not disturb the recording.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as c_int;
        // SAFETY: the stream is open.
        let status = unsafe { (self.api.stream_begin_capture)(stream, mode) };
        self.check("cuStreamBeginCapture", status)
    }

    /// What has been recorded; its owner destroys it. None if the recording failed.
    pub fn end_capture(&self, stream: Handle) -> Result<Option<Handle>, Refusal> {
        let mut graph = 0;
        // SAFETY: the stream is open, the pointer is valid for the call.
        let status = unsafe { (self.api.stream_end_capture)(stream, &mut graph) };
        self.check("cuStreamEndCapture", status)?;
        Ok((graph != 0).then_some(graph))
    }

    pub fn graph_destroy(&self, graph: Handle) -> Done {
        // SAFETY: the graph is open, and its owner does not use it again.
        let status = unsafe { (self.api.graph_destroy)(graph) };
        self.check("cuGraphDestroy", status)
    }

    /// A graph made ready to launch.
    pub fn graph_instantiate(&self, graph: Handle) -> Result<Handle, Refusal> {
        let mut ready = 0;
        // SAFETY: the graph is open, the pointer is valid for the call.
        let status = unsafe { (self.api.graph_instantiate)(&mut ready, graph, 0) };
        self.check("cuGraphInstantiate", status)?;
        Ok(ready)
    }

    pub fn graph_launch(&self, ready: Handle, stream: Handle) -> Done {
        // SAFETY: both are open.
        let status = unsafe { (self.api.graph_launch)(ready, stream) };
        self.check("cuGraphLaunch", status)
    }

    /// Lets go of a graph that is not running.
    pub fn graph_exec_destroy(&self, ready: Handle) -> Done {
        // SAFETY: it is open, and its owner does not use it again.
        let status = unsafe { (self.api.graph_exec_destroy)(ready) };
        self.check("cuGraphExecDestroy", status)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once, and nothing of it is used after.
        let status = unsafe { (self.api.device_primary_ctx_release)(self.device) };
        if let Err(error) = self.check("cuDevicePrimaryCtxRelease", status) {
            tracing::warn!(%error, "CUDA: the context is not given back");
        }
    }
}

/// Whether the driver can tell where an image ends.
fn is_bounded(image: &[u8]) -> bool {
    image.starts_with(b"\x7fELF") || image.last() == Some(&0)
}

/// Text up to its zero byte.
fn text_of(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_an_end_and_texts_too() {
        assert!(is_bounded(b"\x7fELF\x02"));
        assert!(is_bounded(b".version 9.0\n\0"));
        assert!(!is_bounded(b".version 9.0\n"));
        assert!(!is_bounded(b""));
        assert_eq!(text_of(b"line 1\nline 2\n\0\0old"), "line 1\nline 2");
        assert_eq!(text_of(b"no end"), "no end");
        assert_eq!(text_of(b""), "");
    }
}
