//! Changes for one commit.

use std::collections::BTreeMap;

use crate::{StoreError, Table};

/// Longest key a store takes, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 64 << 10;
/// Longest value a store takes, in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 1 << 30;

/// Changes for one commit, kept sorted by table and key; `None` deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// Number of changed keys.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Refuses what no store takes, before anything is written.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for (_, key, value) in self.iter() {
            if key.len() > MAX_KEY_BYTES {
                return Err(StoreError::TooLarge {
                    what: "key",
                    size: key.len(),
                    limit: MAX_KEY_BYTES,
                });
            }
            if let Some(value) = value.filter(|v| v.len() > MAX_VALUE_BYTES) {
                return Err(StoreError::TooLarge {
                    what: "value",
                    size: value.len(),
                    limit: MAX_VALUE_BYTES,
                });
            }
        }
        Ok(())
    }
}
