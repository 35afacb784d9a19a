//! Run the machine on WebGPU.
//!
//! Nets, π, Memory Arithmetic and hashes on whatever adapter `wgpu` finds, bit for bit as the oracle computes them. The
//! kernels are core WGSL and use whole numbers only; they ask for nothing beyond what every WebGPU implementation
//! guarantees.

mod coprocessor;
pub mod device;
pub mod focus;
pub mod hash;
pub mod kernels;
mod measure;
pub mod memory;
mod net;
mod rows;

pub use coprocessor::{WgpuCoprocessor, WgpuProvider};
pub use kernels::RULES;
pub use net::{LaneFunctions, NetOptions, NetStats};
