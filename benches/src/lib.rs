//! Measure, verifier included.
//!
//! The suites behind the binary of this crate: those of crate `ffcm-suite`, on the CPU and on devices ([`gpu`]), and a
//! chain of one validator ([`blocks`]). A suite fails when a result is wrong, never because of a time.
//! Rival engines live in the `peers` crate, so that a daily build does not compile them.

pub mod blocks;
pub mod conformance;
pub mod devices;
pub mod dump;
pub mod gpu;
pub mod record;

pub use ffcm_suite::{
    bandwidth, deltas, failure, focus, hash, incremental, jit, machine, memory, nets, operators,
    options, pagerank, programs, random, rmat, signatures, state, table, timing, weights,
};
