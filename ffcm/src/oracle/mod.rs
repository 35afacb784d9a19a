//! Sequential, obvious implementations: the living definition every engine must agree with.

pub mod focus;
pub mod memory;
mod net;
pub mod operators;

pub use net::reduce;
