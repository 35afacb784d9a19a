//! Sequential, obvious implementations: the living definition every engine must agree with.

pub mod focus;
mod net;

pub use net::reduce;
