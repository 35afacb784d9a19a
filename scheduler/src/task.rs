//! What one task sees and changes.

use std::collections::BTreeSet;

use crate::{Credits, ReadError, StateView, WriteSet};

/// The state as one task sees it: reads are recorded and fall through the task's own writes to the state before it.
pub struct TaskView<'a> {
    below: &'a dyn StateView,
    reads: BTreeSet<Vec<u8>>,
    writes: WriteSet,
    credits: Credits,
}

impl<'a> TaskView<'a> {
    /// A view on `below` without writes.
    pub fn new(below: &'a dyn StateView) -> TaskView<'a> {
        TaskView {
            below,
            reads: BTreeSet::new(),
            writes: WriteSet::new(),
            credits: Credits::new(),
        }
    }

    /// The value under `key`, or `None`.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        if let Some(value) = self.writes.get(key) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        if !self.reads.contains(key) {
            self.reads.insert(key.to_vec());
        }
        self.below.get(key)
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.put(key, value);
    }

    /// Deletes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.writes.delete(key);
    }

    /// Adds to a counter at the end of the block; this block's tasks do not see it.
    pub fn credit(&mut self, key: impl Into<Vec<u8>>, amount: u64) {
        self.credits.add(key, amount);
    }

    /// Keys read from below, sorted.
    pub fn reads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.reads.iter().map(Vec::as_slice)
    }

    /// Writes and credits of the task.
    pub fn into_changes(self) -> (WriteSet, Credits) {
        (self.writes, self.credits)
    }
}
