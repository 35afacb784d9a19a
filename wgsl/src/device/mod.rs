//! The device: adapters, limits, buffers, kernels, submissions. Everything fallible is a [`GpuError`]; nothing panics.

mod adapter;
mod commands;
mod error;
mod faults;
mod gpu;
mod readback;
#[cfg(feature = "remote")]
mod remote;
mod scratch;

pub use adapter::{AdapterSummary, INSTALL_HINT, adapters};
pub use commands::{Commands, Groups};
pub use error::GpuError;
pub use gpu::{Binding, Bound, Buffer, Gpu, Kernel, Options, Profile, Slice, Source, Stats};
#[cfg(feature = "remote")]
pub use remote::{Order, Remote, RemoteCommand};
pub use scratch::Scratch;
