//! Crate jmt, which has no storage of its own: nodes and values in one redb transaction, two-phase and synced as ours.
//!
//! Nodes of old versions stay where they are: deleting them would cost it more.

use std::path::{Path, PathBuf};

use borsh::BorshDeserialize;
use ffcm_benches::failure::Failure;
use ffcm_benches::timing::time;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, RootHash, SimpleHasher, Version};
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{Contender, Key, Update, Value};

const NODES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("nodes");
/// By path and version, big-endian.
const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");
/// As ours has.
const CACHE: usize = 512 << 20;

/// BLAKE3, as the others hash.
struct Blake3(blake3::Hasher);

impl SimpleHasher for Blake3 {
    fn new() -> Blake3 {
        Blake3(blake3::Hasher::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

type Tree<'a> = JellyfishMerkleTree<'a, Reader, Blake3>;

/// The contender.
pub struct Jmt {
    file: PathBuf,
    database: Option<Database>,
    /// Updates so far.
    version: Version,
}

struct Reader {
    nodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    values: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

fn value_key(path: &[u8; 32], version: Version) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(path);
    key[32..].copy_from_slice(&version.to_be_bytes());
    key
}

impl TreeReader for Reader {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let found = self.nodes.get(&borsh::to_vec(key)?[..])?;
        found
            .map(|bytes| Ok(Node::try_from_slice(bytes.value())?))
            .transpose()
    }

    fn get_value_option(
        &self,
        version: Version,
        path: KeyHash,
    ) -> anyhow::Result<Option<OwnedValue>> {
        let (from, to) = (value_key(&path.0, 0), value_key(&path.0, version));
        let newest = self.values.range(&from[..]..=&to[..])?.next_back();
        Ok(newest.transpose()?.map(|(_, value)| value.value().to_vec()))
    }

    /// Of use to a tree that is being restored, which none is here.
    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        anyhow::bail!("no tree is restored here")
    }
}

impl Jmt {
    /// An empty state in `folder`.
    pub fn create(folder: &Path) -> Result<Jmt, Failure> {
        let mut jmt = Jmt {
            file: folder.join("store"),
            database: None,
            version: 0,
        };
        jmt.reopen()?;
        jmt.write(&TreeUpdateBatch::default()).map_err(failed)?;
        Ok(jmt)
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("open between calls")
    }

    fn reader(&self) -> Result<Reader, redb::Error> {
        let reading = self.database().begin_read()?;
        Ok(Reader {
            nodes: reading.open_table(NODES)?,
            values: reading.open_table(VALUES)?,
        })
    }

    /// Keys come sorted out of the batch, which is the fast way into redb.
    fn write(&self, batch: &TreeUpdateBatch) -> anyhow::Result<()> {
        let mut writing = self.database().begin_write()?;
        writing.set_durability(Durability::Immediate)?;
        writing.set_two_phase_commit(true);
        {
            let mut values = writing.open_table(VALUES)?;
            let mut rows: Vec<_> = batch.node_batch.values().iter().collect();
            rows.sort_unstable_by_key(|((_, path), _)| path.0);
            for ((version, path), value) in rows {
                if let Some(value) = value {
                    values.insert(&value_key(&path.0, *version)[..], &value[..])?;
                }
            }
            let mut nodes = writing.open_table(NODES)?;
            let encoded = batch.node_batch.nodes().iter();
            let mut rows: Vec<(Vec<u8>, Vec<u8>)> = encoded
                .map(|(key, node)| Ok((borsh::to_vec(key)?, borsh::to_vec(node)?)))
                .collect::<std::io::Result<_>>()?;
            rows.sort_unstable();
            for (key, node) in &rows {
                nodes.insert(&key[..], &node[..])?;
            }
        }
        Ok(writing.commit()?)
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("jmt: {error}"))
}

impl Contender for Jmt {
    fn name(&self) -> &'static str {
        "crate jmt, redb"
    }

    fn parallel(&self) -> bool {
        false
    }

    fn set_threads(&mut self, _threads: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn update(&mut self, pairs: &[(Key, Value)]) -> Result<Update, Failure> {
        let reader = self.reader().map_err(failed)?;
        let (made, rooted) = time(|| {
            let set = pairs.iter().map(|(key, value)| {
                let path = KeyHash(*blake3::hash(key).as_bytes());
                (path, Some(value.to_vec()))
            });
            Tree::new(&reader).put_value_set(set, self.version)
        });
        let (root, batch) = made.map_err(failed)?;
        drop(reader);
        let (done, committed) = time(|| self.write(&batch));
        done.map_err(failed)?;
        self.version += 1;
        Ok(Update {
            root: root.0,
            rooted,
            committed,
        })
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        drop(self.database.take());
        let opened = Database::builder().set_cache_size(CACHE).create(&self.file);
        self.database = Some(opened.map_err(failed)?);
        Ok(())
    }

    fn root(&self) -> Result<[u8; 32], Failure> {
        let reader = self.reader().map_err(failed)?;
        let root = Tree::new(&reader).get_root_hash(self.version - 1);
        Ok(root.map_err(failed)?.0)
    }

    fn proven(&self, key: &Key, root: &[u8; 32]) -> Result<Option<Vec<u8>>, Failure> {
        let reader = self.reader().map_err(failed)?;
        let path = KeyHash(*blake3::hash(key).as_bytes());
        let found = Tree::new(&reader).get_with_proof(path, self.version - 1);
        let (value, proof) = found.map_err(failed)?;
        proof
            .verify(RootHash(*root), path, value.as_ref())
            .map_err(|error| Failure::Mismatch(format!("jmt: {error}")))?;
        Ok(value)
    }
}
