//! A store that forgets: for tests, and for trees that are built only to be hashed.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock};

use crate::{Batch, Snapshot, Store, StoreError, Table, Visit};

type Content = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

/// A [`Store`] in memory, lost when dropped. A commit while a snapshot is alive copies the whole content first.
#[derive(Debug, Default)]
pub struct MemoryStore {
    content: RwLock<Arc<Content>>,
}

impl MemoryStore {
    /// Nothing stored.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError> {
        // A panic while the lock is held cannot leave half a batch that matters more than the panic itself.
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(MemorySnapshot(Arc::clone(&content))))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let content = Arc::make_mut(&mut content);
        for (table, key, value) in batch.iter() {
            let table = &mut content[table as usize];
            match value {
                Some(value) => table.insert(key.to_vec(), value.to_vec()),
                None => table.remove(key),
            };
        }
        Ok(())
    }
}

struct MemorySnapshot(Arc<Content>);

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0[table as usize].get(key).cloned())
    }

    fn view(
        &self,
        table: Table,
        key: &[u8],
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        if let Some(value) = self.0[table as usize].get(key) {
            visit(value);
        }
        Ok(())
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, value) in self.0[table as usize].range::<[u8], _>(from) {
            if !key.starts_with(prefix) || visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
