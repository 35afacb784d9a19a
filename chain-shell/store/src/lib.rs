//! Keep bytes, atomically.
//!
//! A store takes an ordered batch and commits it in one atomic, durable step, or not at all.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use thiserror::Error;

/// Separate ordered key-spaces of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// State values by state key.
    State,
    /// Pages of the state tree.
    Pages,
    /// Heads, versions, parameters.
    Meta,
    /// Blocks by height.
    Blocks,
    /// Receipts by transaction id.
    Receipts,
}

/// Why the store failed. Nothing of the batch in question was kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened, read or written.
    #[error("{path}: {message}")]
    Io {
        /// File or folder.
        path: String,
        /// What happened and what to do.
        message: String,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {message}")]
    Damaged {
        /// File.
        path: String,
        /// What was found.
        message: String,
    },
    /// Another process holds the file.
    #[error("{path} is in use by another process")]
    Locked {
        /// File.
        path: String,
    },
}

/// Changes for one commit, kept sorted by table and key; `None` deletes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch {
    /// No changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a value.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.insert((table, key.into()), Some(value.into()));
    }

    /// Deletes a key.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.insert((table, key.into()), None);
    }

    /// Changes in table and key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
    }
}

/// Ordered bytes with one atomic commit.
pub trait Store: Send + Sync {
    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `visit` for each key that starts with `prefix`, ascending, until it breaks.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Commits `batch` durably, all or nothing.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;
}
