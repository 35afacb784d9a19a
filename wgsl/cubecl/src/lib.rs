//! The dense kernels, π and Memory Arithmetic, written once in Rust with [`cubecl`] and compiled to WGSL at run time: one
//! more backend beside the kernels written by hand in `ffcm-wgsl`, with the same bits.
//!
//! [`CubeclCoprocessor`] takes rankings and Memory Arithmetic; nets, rows and hashes are
//! [`JobError::NotSupported`](ffcm::coprocessor::JobError::NotSupported). Kernels use whole numbers of 32 bits alone, so
//! they run on every adapter with compute shaders.
//!
//! Not part of the default build, nor of `cargo xtask test`: cubecl takes several times as long to compile as everything
//! else that the node uses. Its tests are `cargo xtask cubecl`; the node has them as `cargo build -p focus-node --features
//! cubecl`.

mod coprocessor;
mod device;
mod focus;
mod measure;
mod memory;
mod wide;

pub use coprocessor::{CubeclCoprocessor, CubeclProvider};
pub use device::{Buffer, DeviceError, Gpu};
