//! Run the machine on CUDA.
//!
//! Kernels are not part of this version: there is no device code here and nothing runs. What exists is the header that
//! kernels will start from, rendered from `ffcm` and compared with it cell by cell.

/// The machine's specification as CUDA C++: word layout, rule table, opcodes, number kinds and constants.
pub const RULES: &str = include_str!("kernels/generated/rules.cuh");
