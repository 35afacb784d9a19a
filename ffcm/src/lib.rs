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
//! [`Machine`] is the door to all of it: it chooses a device, and has a method for every job.
//!
//! ```
//! use ffcm::Machine;
//! use ffcm::focus::MASS;
//! use ffcm::graph::{EdgeDelta, Graph};
//! use ffcm::machine::Program;
//!
//! let machine = Machine::cpu()?;
//!
//! let mut graph = Graph::with_nodes(3)?;
//! graph.apply(&[EdgeDelta::new(0, 2), EdgeDelta::new(1, 2), EdgeDelta::new(2, 0)])?;
//! let ranking = machine.rank(&graph)?;
//! assert_eq!(ranking.mass.iter().sum::<u64>(), MASS);
//! assert_eq!(ranking.top(1)[0].0, 2);
//!
//! let program = Program::parse("@add = (a (b r)) & a ~ $([+] $(b r))")?;
//! let sum: u32 = machine.call(&program, "add", (20u32, 22u32))?;
//! assert_eq!(sum, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
pub mod machine;
pub mod memory;
pub mod net;
pub mod operators;
pub mod oracle;
pub mod spec;
#[cfg(any(test, feature = "conformance"))]
pub mod testing;

pub use machine::Machine;

/// The code of the README is tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
