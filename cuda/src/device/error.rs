//! What can go wrong with a device.

use ffcm::coprocessor::JobError;
use thiserror::Error;

/// Why a device gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library is not there.
    #[error("no CUDA driver: {hint}")]
    NoDriver {
        /// What to install.
        hint: &'static str,
    },
    /// The driver is older than what this crate uses of it.
    #[error(
        "the CUDA driver is version {has}, at least {needs} is needed: update NVIDIA's display driver"
    )]
    DriverTooOld {
        /// Its version.
        has: String,
        /// The least that will do.
        needs: String,
    },
    /// The driver finds no device.
    #[error("the CUDA driver finds no device: {message}")]
    NoDevice {
        /// What the driver says.
        message: String,
    },
    /// The index is beyond the list.
    #[error("there is no CUDA device {index}: {count} were found, `focus doctor` lists them")]
    NoSuchDevice {
        /// The index asked for.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// The device is below the smallest supported one.
    #[error("device `{device}`: {limit} is {has}, at least {needs} is needed")]
    LimitTooSmall {
        /// The device.
        device: String,
        /// What of it.
        limit: &'static str,
        /// What the device has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// The driver refused to open the device.
    #[error("device `{device}` does not open: {message}")]
    Open {
        /// The device.
        device: String,
        /// What the driver says.
        message: String,
    },
    /// The run-time compiler's library is not there.
    #[error("no NVRTC: {message}")]
    NoCompiler {
        /// Where it was looked for, and how to get it.
        message: String,
    },
    /// A kernel does not compile or load here.
    #[error("kernel `{kernel}` does not compile: {message}")]
    Kernel {
        /// The kernel.
        kernel: String,
        /// What the compiler or the loader says.
        message: String,
    },
    /// The device is gone, or a kernel failed: nothing on it can be used any more.
    #[error("the device is lost: {message}")]
    Lost {
        /// What the driver says.
        message: String,
    },
    /// The device has no memory left.
    #[error("the device is out of memory at {what} ({bytes} bytes)")]
    OutOfMemory {
        /// What was asked for.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// The job does not fit the device.
    #[error("{what} needs {needs} bytes, this device allows {limit}")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// Its size in bytes.
        needs: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Elements beyond the end of a buffer.
    #[error("elements {start}..{start}+{count} of {what}, which has {size}")]
    BadRange {
        /// The buffer.
        what: &'static str,
        /// First element.
        start: u64,
        /// How many elements.
        count: u64,
        /// Length of the buffer in elements.
        size: u64,
    },
    /// A launch that the device cannot take.
    #[error("launch of `{kernel}`: {message}")]
    BadLaunch {
        /// The kernel.
        kernel: String,
        /// What is wrong with it.
        message: String,
    },
    /// A thing of another device.
    #[error("{what} belongs to another device")]
    Foreign {
        /// The buffer or kernel.
        what: String,
    },
    /// The driver reports something else.
    #[error("CUDA driver: {message}")]
    Driver {
        /// What it says.
        message: String,
    },
}

/// A job beyond the device's limits is one that it does not take: nothing is wrong with the device.
impl From<CudaError> for JobError {
    fn from(error: CudaError) -> JobError {
        match error {
            CudaError::TooLarge { .. } => JobError::NotSupported {
                backend: format!("this device ({error})"),
                job: "a job of this size",
            },
            error => JobError::Device(error.to_string()),
        }
    }
}
