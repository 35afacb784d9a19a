//! Define and run the machine.
//!
//! `ffcm` (*focus-flow compute machine*) holds exact engines and the interface that a node or any other program
//! drives them through:
//!
//! * [`net`]: interaction nets over a flat `u32` heap, reduced by an obvious sequential [`oracle`] and by the parallel
//!   [`cpu`] engine, with equal results and equal interaction counts;
//! * [`focus`]: token-weighted PageRank (π) in exact fixed point, the same bits for every thread and shard count;
//! * [`operators`]: breadth-first search, components, shortest paths, communities, clustering and random walks on the same
//!   graphs;
//! * [`memory`]: Memory Arithmetic, `int32` tensors under four bounded operations.
//!
//! Everything here is integer-exact and deterministic. No GPU API, no I/O, no chain type.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod coprocessor;
pub mod cpu;
pub mod device;
pub mod focus;
pub mod graph;
pub mod hash;
pub mod memory;
pub mod net;
pub mod operators;
pub mod oracle;
pub mod spec;
#[cfg(any(test, feature = "conformance"))]
pub mod testing;
