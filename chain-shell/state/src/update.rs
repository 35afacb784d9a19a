//! Changing the tree.

use std::collections::BTreeMap;

use focus_proof::{Hash, digest};
use focus_store::{Batch, Table};
use rayon::prelude::*;

use crate::StateError;
use crate::page::{
    BUCKET, Child, Leaf, Page, children_hash, damaged, encode_bucket, encode_inner, leaves_hash,
    nibble,
};
use crate::tree::{StateTree, below, present};

/// From this many changes on, the children of a page are worked on in parallel.
const PARALLEL: usize = 512;

/// The tree after a set of changes: its root and the pages that differ. Holding it costs the memory of those pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    root: Hash,
    pairs: u64,
    pages: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl TreeUpdate {
    /// The new root.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The new number of pairs.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// How many pages are written or deleted.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Adds the changed pages to the batch that commits the changed values.
    pub fn add_to(&self, batch: &mut Batch) {
        for (prefix, page) in &self.pages {
            match page {
                Some(bytes) => batch.put(Table::Pages, prefix.as_slice(), bytes.as_slice()),
                None => batch.delete(Table::Pages, prefix.as_slice()),
            }
        }
    }

    /// What this update says about the page under `prefix`: `None` if it says nothing.
    pub(crate) fn page(&self, prefix: &[u8]) -> Option<Option<&[u8]>> {
        self.pages.get(prefix).map(|page| page.as_deref())
    }
}

/// One change by digests; `None` deletes.
struct Change {
    path: Hash,
    value: Option<Hash>,
}

/// Pages written or deleted so far.
type Edits = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A sub-tree after its changes. Its inner pages are among the edits by now; a bucket is not: the parent may take it in.
struct Subtree {
    hash: Hash,
    pairs: u64,
    /// The pairs, if the sub-tree is a bucket or empty.
    bucket: Option<Vec<Leaf>>,
    changed: bool,
}

impl StateTree<'_> {
    /// The tree after `changes`: pairs of key and new value, `None` to delete; in any order, no key twice. Deleting
    /// an absent key and setting a value that is there already change nothing.
    pub fn update<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c [u8], Option<&'c [u8]>)>,
    ) -> Result<TreeUpdate, StateError> {
        let changes = sorted(changes)?;
        let mut edits = Edits::new();
        let tree = self.apply(&[], None, &changes, &mut edits)?;
        settle(&[], &tree, &mut edits);
        Ok(TreeUpdate {
            root: tree.hash,
            pairs: tree.pairs,
            pages: edits.into_iter().collect(),
        })
    }

    /// Applies `changes`, all below `prefix`, to the sub-tree there, which holds `pairs` pairs if that is known.
    fn apply(
        &self,
        prefix: &[u8],
        pairs: Option<u64>,
        changes: &[Change],
        edits: &mut Edits,
    ) -> Result<Subtree, StateError> {
        let page = match pairs {
            Some(0) => None,
            _ => self.load(prefix, pairs)?,
        };
        match page {
            Some(Page::Inner(children)) => self.apply_inner(prefix, *children, changes, edits),
            Some(Page::Bucket(old)) => {
                let new = merge(&old, changes);
                if new == old {
                    return Ok(Subtree::bucket(prefix, old, false));
                }
                Ok(build(prefix, &new, edits))
            }
            None => {
                let new = merge(&[], changes);
                if new.is_empty() {
                    return Ok(Subtree::bucket(prefix, new, false));
                }
                Ok(build(prefix, &new, edits))
            }
        }
    }

    fn apply_inner(
        &self,
        prefix: &[u8],
        old: [Child; 16],
        changes: &[Change],
        edits: &mut Edits,
    ) -> Result<Subtree, StateError> {
        let parts = by_nibble(changes, prefix.len(), |change| &change.path);
        let results = each(&parts, changes.len(), edits, |nibble, part, edits| {
            let pairs = old[usize::from(nibble)].pairs;
            self.apply(&below(prefix, nibble), Some(pairs), part, edits)
        })?;
        let mut children = old;
        for (nibble, result) in &results {
            children[usize::from(*nibble)] = Child {
                hash: result.hash,
                pairs: result.pairs,
            };
        }
        let pairs = children.iter().map(|child| child.pairs).sum();
        let changed = results.iter().any(|(_, result)| result.changed);
        if changed && pairs <= BUCKET as u64 {
            return self.collapse(prefix, &old, &children, results, edits);
        }
        if changed {
            finish(prefix, &children, &results, edits);
        }
        Ok(Subtree {
            hash: children_hash(&children),
            pairs,
            bucket: None,
            changed,
        })
    }

    /// Takes the few pairs left below an inner page into one bucket.
    fn collapse(
        &self,
        prefix: &[u8],
        old: &[Child; 16],
        children: &[Child; 16],
        results: Vec<(u8, Subtree)>,
        edits: &mut Edits,
    ) -> Result<Subtree, StateError> {
        let mut buckets: [Option<Vec<Leaf>>; 16] = Default::default();
        for (nibble, result) in results {
            buckets[usize::from(nibble)] = result.bucket;
        }
        let mut leaves = Vec::with_capacity(BUCKET);
        for (nibble, child) in present(children) {
            match buckets[usize::from(nibble)].take() {
                Some(bucket) => leaves.extend(bucket),
                None => match self.load_child(&below(prefix, nibble), child.pairs)? {
                    Page::Bucket(bucket) => leaves.extend(bucket),
                    Page::Inner(_) => {
                        return Err(damaged(prefix, "an inner page where a bucket belongs"));
                    }
                },
            }
        }
        for (nibble, _) in present(old) {
            edits.push((below(prefix, nibble), None));
        }
        Ok(Subtree::bucket(prefix, leaves, true))
    }
}

impl Subtree {
    fn bucket(prefix: &[u8], leaves: Vec<Leaf>, changed: bool) -> Subtree {
        Subtree {
            hash: leaves_hash(&leaves, 4 * prefix.len()),
            pairs: leaves.len() as u64,
            bucket: Some(leaves),
            changed,
        }
    }
}

/// The sub-tree of exactly `leaves`, sorted by path; no page below `prefix` exists yet.
fn build(prefix: &[u8], leaves: &[Leaf], edits: &mut Edits) -> Subtree {
    if leaves.len() <= BUCKET {
        return Subtree::bucket(prefix, leaves.to_vec(), true);
    }
    let parts = by_nibble(leaves, prefix.len(), |leaf| &leaf.path);
    let results = each(&parts, leaves.len(), edits, |nibble, part, edits| {
        Ok::<_, std::convert::Infallible>(build(&below(prefix, nibble), part, edits))
    });
    let Ok(results) = results;
    let mut children = [Child::NONE; 16];
    for (nibble, result) in &results {
        children[usize::from(*nibble)] = Child {
            hash: result.hash,
            pairs: result.pairs,
        };
    }
    finish(prefix, &children, &results, edits);
    Subtree {
        hash: children_hash(&children),
        pairs: leaves.len() as u64,
        bucket: None,
        changed: true,
    }
}

/// Writes an inner page and those of its children that are changed buckets.
fn finish(prefix: &[u8], children: &[Child; 16], results: &[(u8, Subtree)], edits: &mut Edits) {
    for (nibble, result) in results {
        settle(&below(prefix, *nibble), result, edits);
    }
    edits.push((prefix.to_vec(), Some(encode_inner(children))));
}

/// Writes a sub-tree's page if it is a changed bucket, or deletes it if nothing is left.
fn settle(prefix: &[u8], subtree: &Subtree, edits: &mut Edits) {
    if let Some(leaves) = subtree.bucket.as_ref().filter(|_| subtree.changed) {
        let page = (!leaves.is_empty()).then(|| encode_bucket(leaves));
        edits.push((prefix.to_vec(), page));
    }
}

/// Runs `work` on each part, in parallel if `size` is large. Results and edits come in the parts' order either way.
fn each<T: Sync, E: Send>(
    parts: &[(u8, &[T])],
    size: usize,
    edits: &mut Edits,
    work: impl Fn(u8, &[T], &mut Edits) -> Result<Subtree, E> + Sync,
) -> Result<Vec<(u8, Subtree)>, E> {
    if size < PARALLEL {
        let one = |(nibble, part): &(u8, &[T])| Ok((*nibble, work(*nibble, part, edits)?));
        return parts.iter().map(one).collect();
    }
    let one = |(nibble, part): &(u8, &[T])| {
        let mut edits = Edits::new();
        let result = work(*nibble, part, &mut edits)?;
        Ok((*nibble, result, edits))
    };
    let done: Vec<_> = parts.par_iter().map(one).collect::<Result<_, E>>()?;
    let mut results = Vec::with_capacity(done.len());
    for (nibble, result, mut more) in done {
        edits.append(&mut more);
        results.push((nibble, result));
    }
    Ok(results)
}

/// Changes by digest, sorted by path.
fn sorted<'c>(
    changes: impl IntoIterator<Item = (&'c [u8], Option<&'c [u8]>)>,
) -> Result<Vec<Change>, StateError> {
    let changes: Vec<_> = changes.into_iter().collect();
    let digests = |(key, value): &(&[u8], Option<&[u8]>)| Change {
        path: digest(key),
        value: value.map(digest),
    };
    let mut changes: Vec<Change> = if changes.len() < PARALLEL {
        changes.iter().map(digests).collect()
    } else {
        changes.par_iter().map(digests).collect()
    };
    changes.par_sort_unstable_by_key(|change| change.path);
    if changes.windows(2).any(|w| w[0].path == w[1].path) {
        return Err(StateError::DuplicateKey);
    }
    Ok(changes)
}

/// `items`, sorted by path, cut by their nibble `depth`; parts without items are left out.
fn by_nibble<T>(mut items: &[T], depth: usize, path: impl Fn(&T) -> &Hash) -> Vec<(u8, &[T])> {
    let mut parts = Vec::with_capacity(16.min(items.len()));
    while let Some(first) = items.first() {
        let value = nibble(path(first), depth);
        let end = items.partition_point(|item| nibble(path(item), depth) == value);
        let (part, rest) = items.split_at(end);
        parts.push((value, part));
        items = rest;
    }
    parts
}

/// `old` with `changes` applied, both sorted by path.
fn merge(old: &[Leaf], changes: &[Change]) -> Vec<Leaf> {
    let mut merged = Vec::with_capacity(old.len() + changes.len());
    let mut old = old.iter().peekable();
    for change in changes {
        while let Some(leaf) = old.next_if(|leaf| leaf.path < change.path) {
            merged.push(*leaf);
        }
        old.next_if(|leaf| leaf.path == change.path);
        merged.extend(change.value.map(|value| Leaf {
            path: change.path,
            value,
        }));
    }
    merged.extend(old);
    merged
}

#[cfg(test)]
mod tests {
    use focus_store::{MemoryStore, Snapshot, Store};

    use super::*;

    /// The state of `leaves`, given by paths of choice, as changes on top of what `store` holds.
    fn commit(store: &MemoryStore, changes: &[Change]) -> TreeUpdate {
        let tree = StateTree::of(store).unwrap();
        let mut edits = Edits::new();
        let subtree = tree.apply(&[], None, changes, &mut edits).unwrap();
        settle(&[], &subtree, &mut edits);
        let keys = edits.len();
        let update = TreeUpdate {
            root: subtree.hash,
            pairs: subtree.pairs,
            pages: edits.into_iter().collect(),
        };
        assert_eq!(update.pages.len(), keys, "a page edited twice");
        let mut batch = Batch::new();
        update.add_to(&mut batch);
        store.commit(&batch).unwrap();
        update
    }

    fn pages(snapshot: &dyn Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pages = Vec::new();
        let mut visit = |prefix: &[u8], bytes: &[u8]| {
            pages.push((prefix.to_vec(), bytes.to_vec()));
            std::ops::ControlFlow::Continue(())
        };
        snapshot.scan(Table::Pages, b"", &mut visit).unwrap();
        pages
    }

    /// Paths that differ in their last bytes alone: as deep as a tree goes.
    fn deep(i: u8) -> Hash {
        let mut path = [0xab; 32];
        path[30] = i >> 3;
        path[31] = i;
        path
    }

    #[test]
    fn paths_alike_to_the_last_nibble_split_and_collapse() {
        let set = |range: std::ops::Range<u8>| -> Vec<Change> {
            let change = |i| Change {
                path: deep(i),
                value: Some([i; 32]),
            };
            range.map(change).collect()
        };
        let store = MemoryStore::new();
        for end in [1u8, 32, 33, 200] {
            let update = commit(&store, &set(0..end));
            let leaves: Vec<Leaf> = merge(&[], &set(0..end));
            assert_eq!(update.root, leaves_hash(&leaves, 0));
            assert_eq!(update.pairs, u64::from(end));
        }
        for start in [100u8, 168, 199, 200] {
            let removed: Vec<Change> = (0..start)
                .map(|i| Change {
                    path: deep(i),
                    value: None,
                })
                .collect();
            let update = commit(&store, &removed);
            let fresh = MemoryStore::new();
            let from_scratch = commit(&fresh, &set(start..200));
            assert_eq!(update.root, from_scratch.root);
            assert_eq!(
                pages(&*store.snapshot().unwrap()),
                pages(&*fresh.snapshot().unwrap())
            );
            let tree = StateTree::of(&store).unwrap();
            assert_eq!(
                tree.verify().unwrap(),
                (update.root, u64::from(200 - start))
            );
        }
    }
}
