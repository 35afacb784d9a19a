//! Sequential, obvious implementations: the living definition every engine must agree with.

pub mod focus;

use crate::net::{Book, Call, Limits, Outcome, ReduceError};

/// Reduces one call, one interaction at a time, in plain data structures.
pub fn reduce(book: &Book, call: &Call, limits: &Limits) -> Result<Outcome, ReduceError> {
    let _ = (book, call, limits);
    todo!()
}
