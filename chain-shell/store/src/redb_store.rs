//! One file on disk, kept by redb.
//!
//! * **Commit.** One write transaction, keys in sorted order (redb inserts sorted keys several times faster), the tables
//!   of a large batch filled in parallel, synced before it returns. Commits are two-phase: a file whose newest commit
//!   does not verify is reported as damaged and never rolled back to an older commit in silence. Dropping a transaction
//!   before its commit leaves no trace.
//! * **Creation.** A new file is made complete under a second name (`<file>.new`) and renamed, so that a file under
//!   its own name has always been a whole store.
//! * **Damage.** redb trusts its pages once open, so opening verifies the checksum of every page first. redb 4.4 panics
//!   on some damaged headers and allocator pages, which it reads before any checksum; [`contain`] turns such a panic
//!   into an error, while opening only.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use rayon::prelude::*;
use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    TableDefinition, TableError, WriteTransaction,
};

use crate::{Batch, Snapshot, Store, StoreError, Table, Visit};

type Bytes = &'static [u8];

/// From this many changes on, tables are filled in parallel.
const PARALLEL: usize = 512;

const fn definition(table: Table) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(table.name())
}

/// How to open a [`RedbStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Memory for cached pages, in bytes.
    pub cache_bytes: usize,
    /// Verify the checksum of every page before use, reading the whole file once. Without it a damaged page may
    /// give wrong values or a panic when it is first read.
    pub verify: bool,
}

impl Default for OpenOptions {
    /// 256 MiB of cache, verified.
    fn default() -> OpenOptions {
        OpenOptions {
            cache_bytes: 256 << 20,
            verify: true,
        }
    }
}

/// A [`Store`] in one redb file.
#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    path: Arc<str>,
}

impl RedbStore {
    /// Opens the store in the file `path`, or creates it if there is no such file; the folder must exist. The file
    /// is locked until the store is dropped. After an unclean stop the last commit is found again.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<RedbStore, StoreError> {
        let path = path.as_ref();
        let name: Arc<str> = path.display().to_string().into();
        match fs::metadata(path) {
            Ok(found) if found.len() == 0 && found.is_file() => {
                return Err(damaged(&name, "the file is empty"));
            }
            Ok(found) if !found.is_file() => return Err(io(&name, "not a file")),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => create(path, &name, options)?,
            Err(e) => return Err(io_error(&name, &e)),
        }
        let mut builder = Database::builder();
        builder.set_cache_size(options.cache_bytes);
        contain(&name, || {
            let database = builder.open(path).map_err(|e| database_error(&name, e))?;
            RedbStore::verified(database, Arc::clone(&name), options.verify)
        })
    }

    /// Takes over an open database, first verifying it and that it is a store.
    fn verified(
        mut database: Database,
        path: Arc<str>,
        verify: bool,
    ) -> Result<RedbStore, StoreError> {
        if verify {
            // `false` reports a repaired page allocator; with two-phase commits the data itself is never rolled back.
            database
                .check_integrity()
                .map_err(|e| database_error(&path, e))?;
        }
        let store = RedbStore { database, path };
        let reading = store.begin_read()?;
        for table in Table::ALL {
            store.read_table(&reading, table)?;
        }
        Ok(store)
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.database
            .begin_read()
            .map_err(|e| redb_error(&self.path, e.into()))
    }

    fn read_table(
        &self,
        reading: &ReadTransaction,
        table: Table,
    ) -> Result<ReadOnlyTable<Bytes, Bytes>, StoreError> {
        reading
            .open_table(definition(table))
            .map_err(|e| table_error(&self.path, table, e))
    }

    /// Commits `batch`; with `create_tables` the tables come into being first.
    fn write(&self, batch: &Batch, create_tables: bool) -> Result<(), StoreError> {
        let fail = |e: redb::Error| redb_error(&self.path, e);
        let mut writing = self.database.begin_write().map_err(|e| fail(e.into()))?;
        writing
            .set_durability(Durability::Immediate)
            .map_err(|e| fail(e.into()))?;
        writing.set_two_phase_commit(true);
        if create_tables {
            for table in Table::ALL {
                writing
                    .open_table(definition(table))
                    .map_err(|e| table_error(&self.path, table, e))?;
            }
        }
        let changed: Vec<Table> = Table::ALL
            .into_iter()
            .filter(|table| batch.table_len(*table) > 0)
            .collect();
        let fill = |table: &Table| self.fill(&writing, *table, batch);
        if batch.len() < PARALLEL {
            changed.iter().try_for_each(fill)?;
        } else {
            // redb lets several threads work on different tables of one transaction.
            changed.par_iter().try_for_each(fill)?;
        }
        writing.commit().map_err(|e| fail(e.into()))
    }

    /// Makes the changes of one table.
    fn fill(
        &self,
        writing: &WriteTransaction,
        table: Table,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let mut open = writing
            .open_table(definition(table))
            .map_err(|e| table_error(&self.path, table, e))?;
        for (key, value) in batch.table(table) {
            match value {
                Some(value) => open.insert(key, value),
                None => open.remove(key),
            }
            .map_err(|e| redb_error(&self.path, e.into()))?;
        }
        Ok(())
    }
}

impl Store for RedbStore {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError> {
        let reading = self.begin_read()?;
        let [a, b, c, d, e] = Table::ALL;
        Ok(Arc::new(RedbSnapshot {
            tables: [
                self.read_table(&reading, a)?,
                self.read_table(&reading, b)?,
                self.read_table(&reading, c)?,
                self.read_table(&reading, d)?,
                self.read_table(&reading, e)?,
            ],
            path: Arc::clone(&self.path),
        }))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        self.write(batch, false)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let reading = self.begin_read()?;
        get(&self.path, &self.read_table(&reading, table)?, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let reading = self.begin_read()?;
        scan(
            &self.path,
            &self.read_table(&reading, table)?,
            prefix,
            visit,
        )
    }
}

/// Open tables of one read transaction; they keep it alive.
struct RedbSnapshot {
    tables: [ReadOnlyTable<Bytes, Bytes>; Table::ALL.len()],
    path: Arc<str>,
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.path, &self.tables[table as usize], key)
    }

    fn view(
        &self,
        table: Table,
        key: &[u8],
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let found = self.tables[table as usize].get(key);
        if let Some(value) = found.map_err(|e| redb_error(&self.path, e.into()))? {
            visit(value.value());
        }
        Ok(())
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan(&self.path, &self.tables[table as usize], prefix, visit)
    }
}

fn get(
    path: &str,
    table: &ReadOnlyTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let found = table.get(key).map_err(|e| redb_error(path, e.into()))?;
    Ok(found.map(|value| value.value().to_vec()))
}

fn scan(
    path: &str,
    table: &ReadOnlyTable<Bytes, Bytes>,
    prefix: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let range = table
        .range::<&[u8]>(prefix..)
        .map_err(|e| redb_error(path, e.into()))?;
    for entry in range {
        let (key, value) = entry.map_err(|e| redb_error(path, e.into()))?;
        let key = key.value();
        if !key.starts_with(prefix) || visit(key, value.value()) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

/// Makes an empty store at `path`, complete or not at all.
fn create(path: &Path, name: &Arc<str>, options: OpenOptions) -> Result<(), StoreError> {
    let fail = |e: &std::io::Error| io_error(name, e);
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(fail(&e)),
        _ => {}
    }
    let database = Database::builder()
        .set_cache_size(options.cache_bytes)
        .create(&unfinished)
        .map_err(|e| database_error(name, e))?;
    let store = RedbStore {
        database,
        path: Arc::clone(name),
    };
    store.write(&Batch::new(), true)?;
    drop(store);
    fs::rename(&unfinished, path).map_err(|e| fail(&e))?;
    // The rename itself must survive a power cut.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| fail(&e))
}

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `open`, reporting a panic as damage. The panic's own message is kept off stderr on this thread meanwhile: the
/// error says it.
fn contain(
    path: &str,
    open: impl FnOnce() -> Result<RedbStore, StoreError>,
) -> Result<RedbStore, StoreError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                report(info);
            }
        }));
    });
    CONTAINED.set(true);
    // Nothing that `open` touches is seen again after a panic: the database it was building is dropped with it.
    let opened = panic::catch_unwind(AssertUnwindSafe(open));
    CONTAINED.set(false);
    opened.unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("not readable");
        Err(damaged(path, text))
    })
}

fn io(path: &str, message: impl Into<String>) -> StoreError {
    StoreError::Io {
        path: path.into(),
        message: message.into(),
    }
}

fn damaged(path: &str, message: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        path: path.into(),
        message: message.into(),
    }
}

fn io_error(path: &str, error: &std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => io(
            path,
            format!("{error}; make the folder and the file writable, or choose another folder"),
        ),
        ErrorKind::NotFound => io(path, format!("{error}; the folder must exist")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => io(
            path,
            format!("{error}; free some space and start again, the last commit is intact"),
        ),
        // What redb reports for a file that ends before one of its pages does.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => damaged(path, error.to_string()),
        _ => io(path, error.to_string()),
    }
}

fn database_error(path: &str, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path.into() },
        DatabaseError::Storage(error) => redb_error(path, error.into()),
        DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted => {
            damaged(path, error.to_string())
        }
        other => io(path, other.to_string()),
    }
}

fn table_error(path: &str, table: Table, error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => redb_error(path, error.into()),
        other => damaged(path, format!("table `{}`: {other}", table.name())),
    }
}

fn redb_error(path: &str, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => io_error(path, &error),
        redb::Error::Corrupted(message) => damaged(path, message),
        redb::Error::PreviousIo => io(
            path,
            "an earlier write failed; nothing more is written until it is opened again",
        ),
        other => io(path, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that grows no further than `room` bytes.
    #[derive(Debug)]
    struct SmallDisk {
        inner: InMemoryBackend,
        room: Arc<AtomicU64>,
    }

    impl StorageBackend for SmallDisk {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.inner.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            if len > self.room.load(Ordering::Relaxed) {
                return Err(ErrorKind::StorageFull.into());
            }
            self.inner.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.inner.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.inner.write(offset, data)
        }
    }

    /// A disk that loses power after a number of operations. What was written since the last sync may then be there or
    /// not, each write for itself.
    #[derive(Clone, Debug, Default)]
    struct PowerCut(Arc<Mutex<Disk>>);

    #[derive(Debug, Default)]
    struct Disk {
        synced: Vec<u8>,
        current: Vec<u8>,
        /// Offsets and bytes written since the last sync.
        pending: Vec<(usize, Vec<u8>)>,
        operations_left: Option<u32>,
    }

    impl PowerCut {
        fn disk(&self) -> io::Result<std::sync::MutexGuard<'_, Disk>> {
            let mut disk = self.0.lock().unwrap();
            match &mut disk.operations_left {
                Some(0) => return Err(io::Error::other("no power")),
                Some(left) => *left -= 1,
                None => {}
            }
            Ok(disk)
        }

        /// The disk after the power is back; `seed` chooses which unsynced writes made it.
        fn restart(&self, seed: u64) -> PowerCut {
            let disk = self.0.lock().unwrap();
            let mut bytes = disk.synced.clone();
            bytes.resize(bytes.len().max(disk.current.len()), 0);
            let mut chance = seed;
            for (offset, data) in &disk.pending {
                chance = chance
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let end = offset + data.len();
                if chance >> 63 == 1 && end <= bytes.len() {
                    bytes[*offset..end].copy_from_slice(data);
                }
            }
            PowerCut(Arc::new(Mutex::new(Disk {
                synced: bytes.clone(),
                current: bytes,
                ..Disk::default()
            })))
        }
    }

    impl StorageBackend for PowerCut {
        fn len(&self) -> io::Result<u64> {
            Ok(self.disk()?.current.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let from = offset as usize;
            out.copy_from_slice(&self.disk()?.current[from..from + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.disk()?.current.resize(len as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            let mut disk = self.disk()?;
            disk.synced = disk.current.clone();
            disk.pending.clear();
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let (mut disk, from) = (self.disk()?, offset as usize);
            disk.current[from..from + data.len()].copy_from_slice(data);
            disk.pending.push((from, data.to_vec()));
            Ok(())
        }
    }

    fn open_disk(disk: &PowerCut) -> RedbStore {
        let database = Database::builder()
            .set_cache_size(1 << 20)
            .create_with_backend(disk.clone())
            .unwrap();
        RedbStore {
            database,
            path: "disk".into(),
        }
    }

    #[test]
    fn a_power_cut_leaves_a_commit_whole_or_undone() {
        cut_power(60, 0..40);
    }

    #[test]
    fn a_power_cut_leaves_a_commit_of_parallel_tables_whole_or_undone() {
        cut_power(PARALLEL as u16, (0..200).step_by(5));
    }

    /// Commits `keys` keys twice, loses power during the second commit after `cuts` operations, and looks what is there.
    fn cut_power(keys: u16, cuts: impl Iterator<Item = u32>) {
        let batch = |round: u8| {
            let mut batch = Batch::new();
            for key in 0..keys {
                let table = [Table::State, Table::Pages][usize::from(key % 2)];
                batch.put(table, key.to_be_bytes(), vec![round; 300]);
            }
            batch.put(Table::Meta, "head", [round]);
            batch
        };
        let (mut undone, mut whole) = (0, 0);
        for cut in cuts {
            let disk = PowerCut::default();
            let store = open_disk(&disk);
            store.write(&Batch::new(), true).unwrap();
            store.commit(&batch(1)).unwrap();
            disk.0.lock().unwrap().operations_left = Some(cut);
            let committed = store.commit(&batch(2)).is_ok();
            for seed in 0..8u64 {
                let disk = disk.restart(seed << 32 | u64::from(cut));
                let found = open_disk(&disk);
                let found = RedbStore::verified(found.database, "disk".into(), true).unwrap();
                let head = found.get(Table::Meta, b"head").unwrap().unwrap()[0];
                assert!(head == 2 || head == 1 && !committed, "a commit was lost");
                let expected = batch(head);
                for (table, key, value) in expected.iter() {
                    let found = found.get(table, key).unwrap();
                    assert_eq!(found.as_deref(), value, "half a commit");
                }
                *(if head == 1 { &mut undone } else { &mut whole }) += 1;
            }
        }
        assert!(undone > 0 && whole > 0, "{undone} undone, {whole} whole");
    }

    #[test]
    fn a_full_disk_is_an_error_and_keeps_the_last_commit() {
        let room = Arc::new(AtomicU64::new(u64::MAX));
        let disk = SmallDisk {
            inner: InMemoryBackend::new(),
            room: Arc::clone(&room),
        };
        let database = Database::builder()
            .set_cache_size(1 << 20)
            .create_with_backend(disk)
            .unwrap();
        let store = RedbStore {
            database,
            path: "disk".into(),
        };
        store.write(&Batch::new(), true).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::Meta, "head", "1");
        store.commit(&batch).unwrap();

        room.store(0, Ordering::Relaxed);
        batch.put(Table::Meta, "head", "2");
        batch.put(Table::Blocks, "large", vec![1; 8 << 20]);
        let error = store.commit(&batch).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(store.get(Table::Meta, b"head").unwrap().unwrap(), b"1");
        assert_eq!(store.get(Table::Blocks, b"large").unwrap(), None);
    }
}
