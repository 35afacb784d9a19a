//! Measure, verifier included.
//!
//! Small helpers that every benchmark of this project shares: interleaved timing, seeded inputs, plain reference
//! implementations to be compared with, memory-bandwidth floors, tables and the description of the machine. Rival engines
//! live in the `peers` crate, so that a daily build does not compile them.

pub mod bandwidth;
pub mod machine;
pub mod pagerank;
pub mod programs;
pub mod random;
pub mod rmat;
pub mod table;
pub mod timing;
