//! Fuse and render kernels.
//!
//! This version renders one thing, and both GPU crates keep the output under version control: the *rules header*, which
//! carries the machine's specification (word layout, rule table, opcodes, number kinds, constants of π and Memory
//! Arithmetic) to WGSL and CUDA C++. `cargo xtask codegen` writes the headers, `cargo xtask codegen --check` and the
//! tests of the GPU crates fail when one is stale. There are no kernels and no fusion in this version.

mod check;
mod fuse;
pub mod ir;
pub mod lane;
pub mod likely;
pub mod native;
mod render;
mod spec;

pub use check::differences;
pub use fuse::fuse;
pub use render::{Target, render};
