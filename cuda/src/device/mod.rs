//! The device: choice, memory, kernels, launches, and everything that can go wrong with them.
//!
//! Engines know [`Gpu`] only. Below it is a `Driver`: NVIDIA's, or in tests the shim that runs the same kernels on the CPU.

mod driver;
mod error;
mod gpu;
mod launch;
mod nvidia;
#[cfg(feature = "shim")]
pub mod shim;

pub use driver::{DeviceSummary, Resources};
pub use error::CudaError;
pub use gpu::{Buffer, Gpu, Kernel, Options, Scratch, Stats};
pub use launch::{Argument, Graph, Grid, Launch};
pub use nvidia::{CudaDevice, compile, devices, ptx};

pub(crate) use driver::Driver;

/// A translation unit of CUDA C++ with the names of its kernels. Text of this crate, or rendered by `ffcm-jit`, never
/// a caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Short name of the unit, as its file's path without the ending: `focus/gather`.
    pub name: &'static str,
    /// The text of the `.cu` file. It includes headers by the names of [`crate::kernels::HEADERS`].
    pub text: &'static str,
    /// `extern "C" __global__` functions in it.
    pub entries: &'static [&'static str],
    /// Macros for this build: name and value.
    pub defines: &'static [(&'static str, &'static str)],
}
