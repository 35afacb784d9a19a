//! Sequential, obvious implementations: the living definition every engine must agree with.

mod net;

pub use net::reduce;
