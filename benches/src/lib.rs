//! Measure, verifier included.
//!
//! The suites behind the binary of this crate ([`nets`], [`focus`], [`incremental`], [`memory`], [`mod@hash`], [`weights`], [`blocks`]) and what they
//! share: interleaved timing, seeded inputs, plain reference implementations to be compared with, memory-bandwidth
//! floors, tables and the description of the machine. A suite fails when a result is wrong, never because of a time.
//! Rival engines live in the `peers` crate, so that a daily build does not compile them.

pub mod bandwidth;
pub mod blocks;
pub mod conformance;
pub mod devices;
pub mod failure;
pub mod focus;
pub mod gpu;
pub mod hash;
pub mod incremental;
pub mod machine;
pub mod memory;
pub mod nets;
pub mod options;
pub mod pagerank;
pub mod programs;
pub mod random;
pub mod record;
pub mod rmat;
pub mod table;
pub mod timing;
pub mod weights;
