//! The devices that the driver has.

use std::ffi::{CStr, c_char, c_int};

use cudarc::driver::sys::{CUcomputemode, CUdevice_attribute as Attribute};

use super::compile::MIN_CAPABILITY;
use super::raw::{Api, Device, version_text};
use super::status::Refusal;
use crate::device::{CudaError, DeviceSummary};

/// A device in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// As the driver numbers it.
    pub index: u32,
    /// What it is.
    pub summary: DeviceSummary,
    /// Why it cannot serve, if so.
    pub refused: Option<CudaError>,
}

/// The devices of this machine, those included that cannot serve. The driver leaves out what
/// `CUDA_VISIBLE_DEVICES` hides.
///
/// # Errors
/// Without a driver, with one that is too old, or that does not start.
pub fn devices() -> Result<Vec<CudaDevice>, CudaError> {
    let api = Api::get()?;
    Ok((0..count(api)?).map(|index| describe(api, index)).collect())
}

/// The device that is asked for, or the first that can serve.
pub(super) fn choose(api: &Api, index: Option<u32>) -> Result<CudaDevice, CudaError> {
    let count = count(api)?;
    if count == 0 {
        return Err(CudaError::NoDevice {
            message: "its list is empty".into(),
        });
    }
    let serves = |device: CudaDevice| match device.refused {
        Some(error) => Err(error),
        None => Ok(device),
    };
    match index {
        Some(index) if index >= count => Err(CudaError::NoSuchDevice {
            index,
            count: count as usize,
        }),
        Some(index) => serves(describe(api, index)),
        None => {
            let mut all = (0..count).map(|index| serves(describe(api, index)));
            let mut first = all.next();
            if let Some(Err(_)) = first {
                // What is wrong with the first is said if none of the others serves.
                first = all.find(Result::is_ok).or(first);
            }
            first.unwrap_or_else(|| {
                Err(CudaError::NoDevice {
                    message: "its list is empty".into(),
                })
            })
        }
    }
}

fn count(api: &Api) -> Result<u32, CudaError> {
    let mut count = 0;
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { (api.device_get_count)(&mut count) };
    api.check("cuDeviceGetCount", status)
        .map_err(Refusal::starting)?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// What the driver calls the device of this index.
pub(super) fn handle(api: &Api, index: u32) -> Result<Device, Refusal> {
    let mut device = 0;
    // An index beyond the driver's numbers is one that it does not have.
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { (api.device_get)(&mut device, index) };
    api.check("cuDeviceGet", status)?;
    Ok(device)
}

/// A property of a device; none if it is negative.
pub(super) fn attribute(api: &Api, device: Device, attribute: Attribute) -> Result<u32, Refusal> {
    let mut value = 0;
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { (api.device_get_attribute)(&mut value, attribute as c_int, device) };
    api.check("cuDeviceGetAttribute", status)?;
    Ok(u32::try_from(value).unwrap_or(0))
}

fn describe(api: &Api, index: u32) -> CudaDevice {
    let mut summary = DeviceSummary {
        name: format!("device {index}"),
        capability: (0, 0),
        driver: version_text(api.version),
        multiprocessors: 0,
        memory: 0,
        l2: 0,
        shared_per_block: 0,
        threads_per_multiprocessor: 0,
        cooperative: false,
    };
    let refused = match look_at(api, index, &mut summary) {
        Err(refusal) => Some(refusal.opening(&summary.name)),
        Ok(mode) => unfit(&summary, mode),
    };
    CudaDevice {
        index,
        summary,
        refused,
    }
}

/// Fills the summary and gives the compute mode.
fn look_at(api: &Api, index: u32, summary: &mut DeviceSummary) -> Result<u32, Refusal> {
    let device = handle(api, index)?;
    summary.name = name(api, device)?;
    let of = |one| attribute(api, device, one);
    summary.capability = (
        of(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        of(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    summary.multiprocessors = of(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    summary.l2 = u64::from(of(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?);
    summary.shared_per_block =
        of(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    summary.threads_per_multiprocessor =
        of(Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?;
    summary.cooperative = of(Attribute::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH)? != 0;
    let mut memory = 0;
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { (api.device_total_mem)(&mut memory, device) };
    api.check("cuDeviceTotalMem", status)?;
    summary.memory = memory as u64;
    of(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE)
}

fn name(api: &Api, device: Device) -> Result<String, Refusal> {
    let mut name = [0 as c_char; 256];
    // One is kept, so that the text ends whatever the driver writes.
    let room = c_int::try_from(name.len() - 1).unwrap_or(0);
    // SAFETY: there is room for as many characters as the call is told.
    let status = unsafe { (api.device_get_name)(name.as_mut_ptr(), room, device) };
    api.check("cuDeviceGetName", status)?;
    debug_assert_eq!(name.last(), Some(&0));
    // SAFETY: the last character is zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}

/// A capability as one number: 75 is 7.5.
pub(super) fn capability(summary: &DeviceSummary) -> u32 {
    summary.capability.0 * 10 + summary.capability.1
}

/// Why a device cannot serve, if so.
fn unfit(summary: &DeviceSummary, mode: u32) -> Option<CudaError> {
    let has = capability(summary);
    if has < MIN_CAPABILITY {
        return Some(CudaError::LimitTooSmall {
            device: summary.name.clone(),
            limit: "compute capability (times 10)",
            has: u64::from(has),
            needs: u64::from(MIN_CAPABILITY),
        });
    }
    if mode == CUcomputemode::CU_COMPUTEMODE_PROHIBITED as u32 {
        return Some(CudaError::Open {
            device: summary.name.clone(),
            message: "its compute mode is `prohibited`; `nvidia-smi -c 0` allows use".into(),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_prohibited_devices_are_refused() {
        let of = |capability| DeviceSummary {
            name: "card".into(),
            capability,
            driver: "13.0".into(),
            multiprocessors: 1,
            memory: 1,
            l2: 1,
            shared_per_block: 1,
            threads_per_multiprocessor: 1,
            cooperative: true,
        };
        assert_eq!(unfit(&of((7, 5)), 0), None);
        assert_eq!(unfit(&of((12, 1)), 3), None);
        let old = unfit(&of((7, 0)), 0).unwrap();
        assert!(
            matches!(
                &old,
                CudaError::LimitTooSmall {
                    has: 70,
                    needs: 75,
                    ..
                }
            ),
            "{old}"
        );
        let prohibited = unfit(&of((9, 0)), 2).unwrap();
        assert!(
            prohibited.to_string().contains("prohibited"),
            "{prohibited}"
        );
    }
}
