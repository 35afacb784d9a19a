//! Sequential, obvious implementations: the living definition every engine must agree with.

pub mod focus;

use crate::net::{Book, Call, Limits, Outcome, ReduceError};
mod net;

pub use net::reduce;
