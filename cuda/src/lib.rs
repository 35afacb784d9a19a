//! Run the machine on CUDA.
//!
//! Nets, π, Memory Arithmetic and hashes on NVIDIA's devices, bit for bit as the oracle computes them. Neither building nor
//! starting needs anything of CUDA: the driver is opened when a device is asked for, kernels are compiled by NVRTC where it is
//! installed and come as PTX with this crate where it is not. Kernels use whole numbers only.

mod coprocessor;
pub mod device;
pub mod focus;
pub mod hash;
pub mod kernels;
mod measure;
pub mod memory;
pub mod net;
mod rows;

pub use coprocessor::{CudaCoprocessor, CudaProvider};
pub use kernels::RULES;
