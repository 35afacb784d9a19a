//! The CPU backend: the parallel net engine, and rayon for π, Memory Arithmetic and hashing.

mod net;

pub use net::{NetEngine, Progress};
