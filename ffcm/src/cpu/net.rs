//! The parallel net engine.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::net::{Book, Call, Limits, Outcome, ReduceError};

/// Shared with whoever watches a reduction.
#[derive(Debug, Default)]
pub struct Progress {
    /// Interactions so far, updated every few thousand.
    pub interactions: AtomicU64,
    /// Set to make every worker stop soon with [`ReduceError::Cancelled`].
    pub cancel: AtomicBool,
}

/// A book lowered for the CPU engine; reusable for any number of calls.
pub struct NetEngine<'b> {
    book: &'b Book,
}

impl<'b> NetEngine<'b> {
    /// Lowers `book`.
    pub fn new(book: &'b Book) -> NetEngine<'b> {
        NetEngine { book }
    }

    /// Reduces one call with `threads` workers (at least 1), thread count chosen at run time.
    pub fn reduce(
        &self,
        call: &Call,
        limits: &Limits,
        threads: usize,
        progress: Option<&Progress>,
    ) -> Result<Outcome, ReduceError> {
        let _ = (self.book, call, limits, threads, progress);
        todo!()
    }

    /// Reduces a batch, calls spread over `threads` workers, one small heap per worker reused between calls.
    pub fn reduce_batch(
        &self,
        calls: &[Call],
        limits: &Limits,
        threads: usize,
    ) -> Vec<Result<Outcome, ReduceError>> {
        let _ = (calls, limits, threads);
        todo!()
    }
}
