//! The functions of NVIDIA's driver that are used, as
//! <https://docs.nvidia.com/cuda/cuda-driver-api/> declares them.
//!
//! The library is cudarc's to find. Its functions are looked up here, all at once, so that one that
//! a driver lacks is an error and no panic; results are whole numbers, so that one that this code
//! does not know is no undefined behaviour. Handles are numbers as wide as a pointer: nothing here
//! looks behind them.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys;

use super::status::{Refusal, Status};
use crate::device::CudaError;

/// The least version of the driver, as it numbers them.
pub const MIN_DRIVER: c_int = 12_000;

/// What to do where there is none.
const NO_DRIVER: &str =
    "its library (libcuda.so.1, nvcuda.dll) is not there; it comes with NVIDIA's display driver";

/// An opaque thing of the driver.
pub type Handle = usize;
/// An address on the device.
pub type Address = u64;
/// A device's number.
pub type Device = c_int;

/// The table of functions. The fields have the driver's names, in the order of its manual.
#[allow(missing_docs, reason = "they are the driver's manual's")]
pub struct Api {
    pub version: c_int,
    get_error_name: unsafe extern "C" fn(Status, *mut *const c_char) -> Status,
    get_error_string: unsafe extern "C" fn(Status, *mut *const c_char) -> Status,
    pub init: unsafe extern "C" fn(c_uint) -> Status,
    pub device_get: unsafe extern "C" fn(*mut Device, c_int) -> Status,
    pub device_get_attribute: unsafe extern "C" fn(*mut c_int, c_int, Device) -> Status,
    pub device_get_count: unsafe extern "C" fn(*mut c_int) -> Status,
    pub device_get_default_mem_pool: unsafe extern "C" fn(*mut Handle, Device) -> Status,
    pub device_get_name: unsafe extern "C" fn(*mut c_char, c_int, Device) -> Status,
    pub device_total_mem: unsafe extern "C" fn(*mut usize, Device) -> Status,
    pub device_primary_ctx_release: unsafe extern "C" fn(Device) -> Status,
    pub device_primary_ctx_retain: unsafe extern "C" fn(*mut Handle, Device) -> Status,
    pub ctx_set_current: unsafe extern "C" fn(Handle) -> Status,
    pub module_get_function: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> Status,
    pub module_load_data_ex: unsafe extern "C" fn(
        *mut Handle,
        *const c_void,
        c_uint,
        *mut c_int,
        *mut *mut c_void,
    ) -> Status,
    pub module_unload: unsafe extern "C" fn(Handle) -> Status,
    pub mem_alloc: unsafe extern "C" fn(*mut Address, usize) -> Status,
    pub mem_free: unsafe extern "C" fn(Address) -> Status,
    pub mem_free_host: unsafe extern "C" fn(*mut c_void) -> Status,
    pub mem_get_info: unsafe extern "C" fn(*mut usize, *mut usize) -> Status,
    pub mem_host_alloc: unsafe extern "C" fn(*mut *mut c_void, usize, c_uint) -> Status,
    pub memcpy_dtod_async: unsafe extern "C" fn(Address, Address, usize, Handle) -> Status,
    pub memcpy_dtoh_async: unsafe extern "C" fn(*mut c_void, Address, usize, Handle) -> Status,
    pub memcpy_htod_async: unsafe extern "C" fn(Address, *const c_void, usize, Handle) -> Status,
    pub memset_d8_async: unsafe extern "C" fn(Address, u8, usize, Handle) -> Status,
    pub memset_d32_async: unsafe extern "C" fn(Address, c_uint, usize, Handle) -> Status,
    pub mem_alloc_async: unsafe extern "C" fn(*mut Address, usize, Handle) -> Status,
    pub mem_free_async: unsafe extern "C" fn(Address, Handle) -> Status,
    pub mem_pool_set_attribute: unsafe extern "C" fn(Handle, c_int, *mut c_void) -> Status,
    pub mem_pool_trim_to: unsafe extern "C" fn(Handle, usize) -> Status,
    pub stream_begin_capture: unsafe extern "C" fn(Handle, c_int) -> Status,
    pub stream_create: unsafe extern "C" fn(*mut Handle, c_uint) -> Status,
    pub stream_destroy: unsafe extern "C" fn(Handle) -> Status,
    pub stream_end_capture: unsafe extern "C" fn(Handle, *mut Handle) -> Status,
    pub stream_synchronize: unsafe extern "C" fn(Handle) -> Status,
    pub event_create: unsafe extern "C" fn(*mut Handle, c_uint) -> Status,
    pub event_destroy: unsafe extern "C" fn(Handle) -> Status,
    pub event_elapsed_time: unsafe extern "C" fn(*mut f32, Handle, Handle) -> Status,
    pub event_record: unsafe extern "C" fn(Handle, Handle) -> Status,
    pub event_synchronize: unsafe extern "C" fn(Handle) -> Status,
    pub func_get_attribute: unsafe extern "C" fn(*mut c_int, c_int, Handle) -> Status,
    /// Since 12.4.
    pub func_get_param_info:
        Option<unsafe extern "C" fn(Handle, usize, *mut usize, *mut usize) -> Status>,
    pub func_set_attribute: unsafe extern "C" fn(Handle, c_int, c_int) -> Status,
    pub launch_cooperative_kernel: unsafe extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *mut *mut c_void,
    ) -> Status,
    pub launch_kernel: unsafe extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *mut *mut c_void,
        *mut *mut c_void,
    ) -> Status,
    pub graph_destroy: unsafe extern "C" fn(Handle) -> Status,
    pub graph_exec_destroy: unsafe extern "C" fn(Handle) -> Status,
    pub graph_instantiate: unsafe extern "C" fn(*mut Handle, Handle, u64) -> Status,
    pub graph_launch: unsafe extern "C" fn(Handle, Handle) -> Status,
    pub occupancy: unsafe extern "C" fn(*mut c_int, Handle, c_int, usize) -> Status,
}

impl Api {
    /// The driver, opened and started once in a process.
    pub fn get() -> Result<&'static Api, CudaError> {
        static API: OnceLock<Result<Api, CudaError>> = OnceLock::new();
        API.get_or_init(|| {
            let api = open()?;
            // SAFETY: no flags are defined.
            let status = unsafe { (api.init)(0) };
            api.check("cuInit", status).map_err(Refusal::starting)?;
            Ok(api)
        })
        .as_ref()
        .map_err(CudaError::clone)
    }

    /// What a call gave.
    pub fn check(&self, call: &'static str, status: Status) -> Result<(), Refusal> {
        if status == 0 {
            return Ok(());
        }
        let text = |lookup: unsafe extern "C" fn(Status, *mut *const c_char) -> Status| {
            let mut text = std::ptr::null();
            // SAFETY: any number may be asked for; for an unknown one it answers with an error and
            // a null pointer.
            let found = unsafe { lookup(status, &mut text) } == 0 && !text.is_null();
            if !found {
                return None;
            }
            // SAFETY: it is zero-terminated static text of the driver.
            let text = unsafe { CStr::from_ptr(text) };
            Some(text.to_string_lossy().into_owned())
        };
        Err(Refusal {
            call,
            status,
            name: text(self.get_error_name),
            text: text(self.get_error_string),
        })
    }
}

/// The version as people write it: 13000 is 13.0.
pub fn version_text(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

fn open() -> Result<Api, CudaError> {
    // SAFETY: the library of NVIDIA's driver does nothing when loaded.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver { hint: NO_DRIVER });
    }
    // The version comes first: an older driver lacks functions, and its age is the better thing to
    // say.
    let driver_get_version: unsafe extern "C" fn(*mut c_int) -> Status =
        symbol(b"cuDriverGetVersion\0")?;
    let mut version = 0;
    // SAFETY: the pointer is valid for the call, which is allowed before `cuInit`.
    let status = unsafe { driver_get_version(&mut version) };
    if status != 0 {
        return Err(CudaError::Driver {
            message: format!("cuDriverGetVersion gives error {status}"),
        });
    }
    if version < MIN_DRIVER {
        return Err(CudaError::DriverTooOld {
            has: version_text(version),
            needs: version_text(MIN_DRIVER),
        });
    }
    table(version)
}

/// One function. `F` is its type, and `name` ends with a zero byte.
fn symbol<F: Copy>(name: &'static [u8]) -> Result<F, CudaError> {
    debug_assert_eq!(size_of::<F>(), size_of::<usize>(), "a function pointer");
    debug_assert_eq!(name.last(), Some(&0));
    // SAFETY: the library was found to be present, so this does not panic; the caller gives the
    // declared type.
    let found = unsafe { sys::culib().get::<F>(name) };
    match found {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(CudaError::Driver {
            message: format!(
                "it lacks the function {}",
                String::from_utf8_lossy(name).trim_end_matches('\0')
            ),
        }),
    }
}

/// Every function. Where the manual's name stands for a newer one of the library, the latter is
/// asked for.
fn table(version: c_int) -> Result<Api, CudaError> {
    Ok(Api {
        version,
        get_error_name: symbol(b"cuGetErrorName\0")?,
        get_error_string: symbol(b"cuGetErrorString\0")?,
        init: symbol(b"cuInit\0")?,
        device_get: symbol(b"cuDeviceGet\0")?,
        device_get_attribute: symbol(b"cuDeviceGetAttribute\0")?,
        device_get_count: symbol(b"cuDeviceGetCount\0")?,
        device_get_default_mem_pool: symbol(b"cuDeviceGetDefaultMemPool\0")?,
        device_get_name: symbol(b"cuDeviceGetName\0")?,
        device_total_mem: symbol(b"cuDeviceTotalMem_v2\0")?,
        device_primary_ctx_release: symbol(b"cuDevicePrimaryCtxRelease_v2\0")?,
        device_primary_ctx_retain: symbol(b"cuDevicePrimaryCtxRetain\0")?,
        ctx_set_current: symbol(b"cuCtxSetCurrent\0")?,
        module_get_function: symbol(b"cuModuleGetFunction\0")?,
        module_load_data_ex: symbol(b"cuModuleLoadDataEx\0")?,
        module_unload: symbol(b"cuModuleUnload\0")?,
        mem_alloc: symbol(b"cuMemAlloc_v2\0")?,
        mem_free: symbol(b"cuMemFree_v2\0")?,
        mem_free_host: symbol(b"cuMemFreeHost\0")?,
        mem_get_info: symbol(b"cuMemGetInfo_v2\0")?,
        mem_host_alloc: symbol(b"cuMemHostAlloc\0")?,
        memcpy_dtod_async: symbol(b"cuMemcpyDtoDAsync_v2\0")?,
        memcpy_dtoh_async: symbol(b"cuMemcpyDtoHAsync_v2\0")?,
        memcpy_htod_async: symbol(b"cuMemcpyHtoDAsync_v2\0")?,
        memset_d8_async: symbol(b"cuMemsetD8Async\0")?,
        memset_d32_async: symbol(b"cuMemsetD32Async\0")?,
        mem_alloc_async: symbol(b"cuMemAllocAsync\0")?,
        mem_free_async: symbol(b"cuMemFreeAsync\0")?,
        mem_pool_set_attribute: symbol(b"cuMemPoolSetAttribute\0")?,
        mem_pool_trim_to: symbol(b"cuMemPoolTrimTo\0")?,
        stream_begin_capture: symbol(b"cuStreamBeginCapture_v2\0")?,
        stream_create: symbol(b"cuStreamCreate\0")?,
        stream_destroy: symbol(b"cuStreamDestroy_v2\0")?,
        stream_end_capture: symbol(b"cuStreamEndCapture\0")?,
        stream_synchronize: symbol(b"cuStreamSynchronize\0")?,
        event_create: symbol(b"cuEventCreate\0")?,
        event_destroy: symbol(b"cuEventDestroy_v2\0")?,
        event_elapsed_time: symbol(b"cuEventElapsedTime\0")?,
        event_record: symbol(b"cuEventRecord\0")?,
        event_synchronize: symbol(b"cuEventSynchronize\0")?,
        func_get_attribute: symbol(b"cuFuncGetAttribute\0")?,
        func_get_param_info: symbol(b"cuFuncGetParamInfo\0").ok(),
        func_set_attribute: symbol(b"cuFuncSetAttribute\0")?,
        launch_cooperative_kernel: symbol(b"cuLaunchCooperativeKernel\0")?,
        launch_kernel: symbol(b"cuLaunchKernel\0")?,
        graph_destroy: symbol(b"cuGraphDestroy\0")?,
        graph_exec_destroy: symbol(b"cuGraphExecDestroy\0")?,
        graph_instantiate: symbol(b"cuGraphInstantiateWithFlags\0")?,
        graph_launch: symbol(b"cuGraphLaunch\0")?,
        occupancy: symbol(b"cuOccupancyMaxActiveBlocksPerMultiprocessor\0")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_do() {
        assert_eq!(version_text(12_080), "12.8");
        assert_eq!(version_text(MIN_DRIVER), "12.0");
        assert_eq!(version_text(13_000), "13.0");
    }
}
