//! Order work deterministically.
//!
//! Executors read state through a [`StateView`] and yield a [`WriteSet`]; write-sets merge in canonical order into the
//! one that storage commits.

use std::collections::BTreeMap;

use thiserror::Error;

/// A read failed below the scheduler (storage damaged or gone). Never the fault of a transaction.
#[derive(Debug, Error)]
#[error("state read failed: {0}")]
pub struct ReadError(pub String);

/// Read access to a snapshot of the one key-space.
pub trait StateView {
    /// The value under `key`, or `None`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;
}

/// Changes keyed by state key, sorted; `None` deletes. Iteration order is key order, on every machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl WriteSet {
    /// No changes.
    pub fn new() -> WriteSet {
        WriteSet::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.insert(key.into(), Some(value.into()));
    }

    /// Deletes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.insert(key.into(), None);
    }

    /// What this set says about `key`: `None` if it says nothing.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(|value| value.as_deref())
    }

    /// Changes in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Lays `later` over this set.
    pub fn merge(&mut self, later: WriteSet) {
        self.changes.extend(later.changes);
    }

    /// Number of changed keys.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
