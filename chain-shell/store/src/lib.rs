//! Keep bytes, atomically.
//!
//! A store takes an ordered batch and commits it in one atomic, durable step, or not at all. Reads of one moment go
//! through a [`Snapshot`], which later commits do not disturb.
//!
//! [`RedbStore`] keeps one file on disk; [`MemoryStore`] keeps the same promises, durability apart, in memory.

mod batch;
mod error;
mod memory_store;
mod redb_store;

use std::ops::ControlFlow;
use std::sync::Arc;

pub use batch::Batch;
pub use error::StoreError;
pub use memory_store::MemoryStore;
pub use redb_store::{OpenOptions, RedbStore};

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

impl Table {
    /// All tables, in declaration order: `Table::ALL[t as usize] == t`.
    pub const ALL: [Table; 5] = [
        Table::State,
        Table::Pages,
        Table::Meta,
        Table::Blocks,
        Table::Receipts,
    ];

    /// Lower-case name, as the file on disk knows the table.
    pub const fn name(self) -> &'static str {
        match self {
            Table::State => "state",
            Table::Pages => "pages",
            Table::Meta => "meta",
            Table::Blocks => "blocks",
            Table::Receipts => "receipts",
        }
    }
}

/// Called for each key and value of a scan; breaks to end it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The content of a store at one moment; later commits do not show. Holding one keeps the space of what has been
/// overwritten since from being reused, so drop it soon; it may not outlive its store (a read is then an error).
pub trait Snapshot: Send + Sync {
    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `visit` with the value under `key`, if there is one; a store that can does so without copying it.
    fn view(
        &self,
        table: Table,
        key: &[u8],
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        if let Some(value) = self.get(table, key)? {
            visit(&value);
        }
        Ok(())
    }

    /// Calls `visit` for each key that starts with `prefix`, ascending, until it breaks.
    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// Ordered bytes with one atomic commit.
pub trait Store: Send + Sync {
    /// The content as of the last commit.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError>;

    /// Commits `batch` durably, all or nothing. A key beyond 64 KiB or a value beyond 1 GiB is refused.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The value under `key` as of the last commit.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot()?.get(table, key)
    }

    /// Calls `visit` for each key that starts with `prefix`, ascending, until it breaks; all as of the last commit
    /// before the call.
    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.snapshot()?.scan(table, prefix, visit)
    }
}

const _: () = {
    let mut i = 0;
    while i < Table::ALL.len() {
        assert!(Table::ALL[i] as usize == i);
        i += 1;
    }
};
