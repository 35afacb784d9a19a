//! Sequential, obvious implementations: the living definition every engine must agree with.

pub mod focus;
mod net;

#[cfg(test)]
pub(crate) use net::random_book;
pub use net::reduce;
