//! Fuse and render kernels.
//!
//! [`fuse`] compiles the definitions of a book to functions in direct style, in an intermediate representation ([`ir`]) that
//! back ends render to code.
//!
//! Both GPU crates keep the *rules header* under version control, which carries the machine's specification (word layout,
//! rule table, opcodes, number kinds, constants of π and Memory Arithmetic) to WGSL and CUDA C++. `cargo xtask codegen`
//! writes the headers, `cargo xtask codegen --check` and the tests of the GPU crates fail when one is stale.

mod check;
mod fuse;
pub mod golden;
pub mod ir;
pub mod lane;
pub mod likely;
#[cfg(feature = "native")]
pub mod native;
mod render;
mod spec;

pub use check::differences;
pub use fuse::fuse;
pub use render::{Target, render};
