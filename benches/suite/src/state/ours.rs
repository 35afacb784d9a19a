//! This project's tree: values and pages in one redb transaction.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::timing::time;
use focus_state::StateTree;
use focus_store::{Batch, OpenOptions, RedbStore, Store, Table};

use super::{Contender, Key, Update, Value};

/// Memory for cached pages: what the rival has in its two caches.
const CACHE: usize = 512 << 20;

/// The contender.
pub struct Ours {
    file: PathBuf,
    store: Option<RedbStore>,
}

impl Ours {
    /// An empty state in `folder`.
    pub fn create(folder: &Path) -> Result<Ours, Failure> {
        let mut ours = Ours {
            file: folder.join("store"),
            store: None,
        };
        ours.reopen()?;
        Ok(ours)
    }

    fn store(&self) -> &RedbStore {
        self.store.as_ref().expect("open between calls")
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "focus-state, redb"
    }

    fn parallel(&self) -> bool {
        true
    }

    /// The tree works in the current pool.
    fn set_threads(&mut self, _threads: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn update(&mut self, pairs: &[(Key, Value)]) -> Result<Update, Failure> {
        let (update, rooted) = time(|| {
            let changes = pairs.iter().map(|(k, v)| (&k[..], Some(&v[..])));
            StateTree::of(self.store())?.update(changes)
        });
        let update = update.map_err(Failure::failed)?;
        let (done, committed) = time(|| {
            let start = |key: &Key| {
                key.first_chunk()
                    .map_or(0, |start| u64::from_be_bytes(*start))
            };
            let numbered = pairs.iter().zip(0..);
            let mut order: Vec<(u64, usize)> = numbered.map(|((k, _), i)| (start(k), i)).collect();
            // A batch is cheapest to fill in order; it sorts by itself the few whose starts agree.
            order.sort_unstable();
            let mut batch = Batch::new();
            for (key, value) in order.into_iter().map(|(_, i)| &pairs[i]) {
                batch.put(Table::State, *key, *value);
            }
            update.add_to(&mut batch);
            self.store().commit(&batch)
        });
        done.map_err(Failure::failed)?;
        Ok(Update {
            root: update.root(),
            rooted,
            committed,
        })
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        drop(self.store.take());
        let options = OpenOptions {
            cache_bytes: CACHE,
            ..OpenOptions::default()
        };
        self.store = Some(RedbStore::open(&self.file, options).map_err(Failure::failed)?);
        Ok(())
    }

    fn root(&self) -> Result<[u8; 32], Failure> {
        let tree = StateTree::of(self.store()).map_err(Failure::failed)?;
        tree.root().map_err(Failure::failed)
    }

    fn proven(&self, key: &Key, root: &[u8; 32]) -> Result<Option<Vec<u8>>, Failure> {
        let value = self
            .store()
            .get(Table::State, key)
            .map_err(Failure::failed)?;
        let tree = StateTree::of(self.store()).map_err(Failure::failed)?;
        let proof = tree.prove(key).map_err(Failure::failed)?;
        proof
            .verify(root, key, value.as_deref())
            .map_err(|error| Failure::Mismatch(format!("focus-state: {error:?}")))?;
        Ok(value)
    }
}
