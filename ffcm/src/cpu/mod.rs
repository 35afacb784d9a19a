//! The CPU backend: the parallel net engine, and rayon for π, Memory Arithmetic and hashing.

mod coprocessor;
pub mod native;
pub(crate) mod net;

pub use coprocessor::CpuCoprocessor;
pub use net::{Compiled, NetEngine, Progress, THREADS_MAX};
