//! Crate nomt: its own files, written with O_DIRECT through io_uring, synced before `commit` returns.

use std::path::{Path, PathBuf};

use bitvec::order::Msb0;
use bitvec::view::BitView;
use ffcm_benches::failure::Failure;
use ffcm_benches::timing::time;
use nomt::hasher::{Blake3Hasher, ValueHasher};
use nomt::trie::LeafData;
use nomt::{KeyReadWrite, Nomt, Options, SessionParams, WitnessMode};

use super::{Contender, Key, Update, Value};

/// The contender.
pub struct NomtStore {
    folder: PathBuf,
    threads: usize,
    nomt: Option<Nomt<Blake3Hasher>>,
}

impl NomtStore {
    /// An empty state in `folder`.
    pub fn create(folder: &Path) -> Result<NomtStore, Failure> {
        let mut created = NomtStore {
            folder: folder.to_owned(),
            threads: 1,
            nomt: None,
        };
        created.reopen()?;
        Ok(created)
    }

    fn nomt(&self) -> &Nomt<Blake3Hasher> {
        self.nomt.as_ref().expect("open between calls")
    }
}

impl Contender for NomtStore {
    fn name(&self) -> &'static str {
        "crate nomt"
    }

    fn parallel(&self) -> bool {
        true
    }

    fn set_threads(&mut self, threads: usize) -> Result<(), Failure> {
        self.threads = threads;
        self.reopen()
    }

    fn update(&mut self, pairs: &[(Key, Value)]) -> Result<Update, Failure> {
        let (finished, rooted) = time(|| {
            let mut writes: Vec<_> = pairs
                .iter()
                .map(|(key, value)| {
                    let write = KeyReadWrite::Write(Some(value.to_vec()));
                    (*blake3::hash(key).as_bytes(), write)
                })
                .collect();
            writes.sort_unstable_by_key(|(path, _)| *path);
            let parameters = SessionParams::default().witness_mode(WitnessMode::disabled());
            self.nomt().begin_session(parameters).finish(writes)
        });
        let finished = finished.map_err(Failure::failed)?;
        let root = finished.root().into_inner();
        let (done, committed) = time(|| finished.commit(self.nomt()));
        done.map_err(Failure::failed)?;
        Ok(Update {
            root,
            rooted,
            committed,
        })
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        drop(self.nomt.take());
        let mut options = Options::new();
        options.path(&self.folder);
        options.commit_concurrency(self.threads);
        options.bitbox_seed([5; 16]);
        self.nomt = Some(Nomt::open(options).map_err(Failure::failed)?);
        Ok(())
    }

    fn root(&self) -> Result<[u8; 32], Failure> {
        Ok(self.nomt().root().into_inner())
    }

    fn proven(&self, key: &Key, root: &[u8; 32]) -> Result<Option<Vec<u8>>, Failure> {
        let wrong = |what: &str| Failure::Mismatch(format!("nomt: {what}"));
        let path = *blake3::hash(key).as_bytes();
        let session = self.nomt().begin_session(SessionParams::default());
        let value = session.read(path).map_err(Failure::failed)?;
        let proof = session.prove(path).map_err(Failure::failed)?;
        let verified = proof
            .verify::<Blake3Hasher>(path.view_bits::<Msb0>(), *root)
            .map_err(|_| wrong("a proof does not lead to the root"))?;
        let holds = match &value {
            Some(value) => verified.confirm_value(&LeafData {
                key_path: path,
                value_hash: Blake3Hasher::hash_value(value),
            }),
            None => verified.confirm_nonexistence(&path),
        };
        match holds {
            Ok(true) => Ok(value),
            _ => Err(wrong("a proof is about something else")),
        }
    }
}
