//! Nets: definitions as text and as templates, limits, outcomes and errors.

mod book;
mod error;

pub use book::{Book, Call, Definition, Limits, Outcome};
pub use error::{LoadError, ReduceError};
