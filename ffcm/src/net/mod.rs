//! Nets: the text format, definitions as templates, limits, outcomes, errors, readback.

mod book;
mod build;
pub mod data;
mod error;
mod load;
mod numeral;
pub mod partial;
pub mod readback;
#[cfg(any(test, feature = "conformance"))]
pub mod sample;
pub mod syntax;
#[cfg(test)]
mod tests;

pub use book::{Book, Call, Definition, Limits, Outcome};
pub use build::{BookBuilder, BuildError, NetBuilder, Port};
pub use error::{LoadError, ReduceError};
