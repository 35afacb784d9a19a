//! What can go wrong with a device.

use ffcm::coprocessor::JobError;
use thiserror::Error;

/// Why a device gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No adapter at all.
    #[error("no GPU adapter was found; {hint}")]
    NoAdapter {
        /// What to install.
        hint: &'static str,
    },
    /// The index is beyond the list.
    #[error(
        "there is no adapter {index}: {count} adapter(s) were found, `focus doctor` lists them"
    )]
    NoSuchAdapter {
        /// The index asked for.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// The adapter runs no compute shaders.
    #[error("adapter `{adapter}` has no compute shaders")]
    NoCompute {
        /// The adapter.
        adapter: String,
    },
    /// The adapter is below the smallest supported profile.
    #[error("adapter `{adapter}`: {limit} is {has}, at least {needs} is needed")]
    LimitTooSmall {
        /// The adapter.
        adapter: String,
        /// Name of the limit, as WebGPU spells it.
        limit: &'static str,
        /// What the adapter has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// The driver refused to open the adapter.
    #[error("adapter `{adapter}` does not open: {message}")]
    Open {
        /// The adapter.
        adapter: String,
        /// What the driver says.
        message: String,
    },
    /// A kernel does not compile on this driver.
    #[error("kernel `{kernel}` does not compile: {message}")]
    Kernel {
        /// The kernel.
        kernel: &'static str,
        /// What the compiler says.
        message: String,
    },
    /// The device is gone.
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
    /// Words beyond the end of a buffer.
    #[error("words {start}..{start}+{words} of {what}, which has {size}")]
    BadRange {
        /// The buffer.
        what: String,
        /// First word.
        start: u64,
        /// How many words.
        words: u64,
        /// Length of the buffer in words.
        size: u64,
    },
    /// A slice that cannot be bound: it is empty, or its start is not a multiple of 64 words.
    #[error("word {start} of {what} cannot begin a binding of {words} words")]
    BadSlice {
        /// The buffer.
        what: String,
        /// First word.
        start: u64,
        /// How many words.
        words: u64,
    },
    /// A kernel got more or fewer buffers than it has bindings.
    #[error("kernel `{kernel}` has {needs} bindings and got {has} buffers")]
    BindingCount {
        /// The kernel.
        kernel: &'static str,
        /// Its bindings.
        needs: usize,
        /// The buffers.
        has: usize,
    },
    /// A dispatch with more workgroups than two dimensions hold.
    #[error("a dispatch of {count} workgroups, this device allows {limit} a dimension")]
    TooManyGroups {
        /// Workgroups asked for.
        count: u32,
        /// The limit of a dimension.
        limit: u32,
    },
    /// A thing of another device.
    #[error("{what} belongs to another device")]
    Foreign {
        /// The buffer or kernel.
        what: String,
    },
    /// A submission did not end in time.
    #[error("the device did not answer within {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
    /// The driver or the validation layer reports something else.
    #[error("driver: {message}")]
    Driver {
        /// What it says.
        message: String,
    },
}

/// A job beyond the device's limits is one that it does not take: nothing is wrong with the device.
impl From<GpuError> for JobError {
    fn from(error: GpuError) -> JobError {
        match error {
            GpuError::TooLarge { .. } => JobError::NotSupported {
                backend: format!("this device ({error})"),
                job: "a job of this size",
            },
            error => JobError::Device(error.to_string()),
        }
    }
}
