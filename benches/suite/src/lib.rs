//! Measure the CPU engines, verifier included, without a node or a device.
//!
//! The suites ([`nets`], [`jit`], [`focus`], [`incremental`], [`deltas`], [`operators`], [`memory`], [`mod@hash`], [`signatures`], [`state`],
//! [`weights`]) and what they share: interleaved timing, seeded inputs, plain reference implementations to be compared
//! with, memory-bandwidth floors, tables and the description of the machine. [`cpu`] makes one table of them, and [`mod@bench`] holds coprocessors of any
//! kind against each other and the oracle. A suite
//! fails when a result is wrong, never because of a time.

pub mod bandwidth;
pub mod bench;
pub mod cpu;
pub mod deltas;
pub mod failure;
pub mod focus;
pub mod hash;
pub mod incremental;
pub mod jit;
pub mod kernels;
pub mod machine;
pub mod memory;
pub mod nets;
pub mod operators;
pub mod options;
pub mod pagerank;
pub mod programs;
pub mod random;
pub mod resident;
pub mod rmat;
pub mod signatures;
pub mod state;
pub mod table;
pub mod timing;
pub mod weights;
