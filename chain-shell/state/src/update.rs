//! Changing the tree.

use std::sync::Arc;

use focus_proof::{EMPTY, Hash};
use focus_store::{Batch, Table};
use rayon::prelude::*;

use crate::page::{
    BUCKET, Child, Leaf, Page, children_hash, damaged, encode_bucket, encode_inner, leaves_hash,
    nibble,
};
use crate::tree::{StateTree, below, present};
use crate::{StateError, forest, many};

/// From this many changes on, the children of a page are worked on in parallel.
const PARALLEL: usize = 512;

/// The tree after a set of changes: its root and the pages that differ. Holding it costs the memory of those pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    root: Hash,
    pairs: u64,
    /// In order of prefixes; `None` deletes.
    pages: Edits,
}

impl TreeUpdate {
    /// The whole `tree` and the pages that differ, in any order.
    fn new(tree: &Subtree, mut edits: Edits) -> TreeUpdate {
        edits.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        debug_assert!(
            edits.windows(2).all(|w| w[0].0 < w[1].0),
            "a page edited twice"
        );
        TreeUpdate {
            root: match &tree.content {
                Content::Inner(hash) => *hash,
                Content::Bucket(leaves) => leaves_hash(leaves, 0),
            },
            pairs: tree.pairs,
            pages: edits,
        }
    }

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

    /// Adds the changed pages to the batch that commits the changed values; their bytes are shared, not copied.
    pub fn add_to(&self, batch: &mut Batch) {
        for (prefix, page) in &self.pages {
            match page {
                Some(bytes) => {
                    batch.put_shared(Table::Pages, prefix.as_slice(), Arc::clone(bytes));
                }
                None => batch.delete(Table::Pages, prefix.as_slice()),
            }
        }
    }

    /// What this update says about the page under `prefix`: `None` if it says nothing.
    pub(crate) fn page(&self, prefix: &[u8]) -> Option<Option<&[u8]>> {
        let at = self
            .pages
            .binary_search_by(|(p, _)| p.as_slice().cmp(prefix));
        at.ok().map(|at| self.pages[at].1.as_deref())
    }
}

/// One change by digests; `None` deletes.
struct Change {
    path: Hash,
    value: Option<Hash>,
}

/// Pages written or deleted so far.
type Edits = Vec<(Vec<u8>, Option<Arc<[u8]>>)>;

/// A sub-tree after its changes.
struct Subtree {
    pairs: u64,
    content: Content,
    changed: bool,
}

enum Content {
    /// The pairs of a bucket, or none. The parent may take them in; else it writes the page, and it hashes all its buckets
    /// at once.
    Bucket(Vec<Leaf>),
    /// Hash of an inner page, which is among the edits by now.
    Inner(Hash),
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
        Ok(TreeUpdate::new(&tree, edits))
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
            Some(Page::Bucket(old)) => Ok(changed(prefix, old, changes, edits)),
            None => Ok(changed(prefix, Vec::new(), changes, edits)),
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
        if results.iter().all(|(_, result)| !result.changed) {
            return Ok(Subtree {
                pairs: old.iter().map(|child| child.pairs).sum(),
                content: Content::Inner(children_hash(&old)),
                changed: false,
            });
        }
        let mut pairs = old.each_ref().map(|child| child.pairs);
        for (nibble, result) in &results {
            pairs[usize::from(*nibble)] = result.pairs;
        }
        if pairs.iter().sum::<u64>() <= BUCKET as u64 {
            return self.collapse(prefix, &old, &pairs, results, edits);
        }
        Ok(finish(prefix, old, &results, edits))
    }

    /// Takes the few pairs left below an inner page into one bucket.
    fn collapse(
        &self,
        prefix: &[u8],
        old: &[Child; 16],
        pairs: &[u64; 16],
        results: Vec<(u8, Subtree)>,
        edits: &mut Edits,
    ) -> Result<Subtree, StateError> {
        let mut buckets: [Option<Vec<Leaf>>; 16] = Default::default();
        for (nibble, result) in results {
            if let Content::Bucket(leaves) = result.content {
                buckets[usize::from(nibble)] = Some(leaves);
            }
        }
        let mut leaves = Vec::with_capacity(BUCKET);
        for (nibble, &pairs) in (0u8..).zip(pairs).filter(|(_, pairs)| **pairs > 0) {
            match buckets[usize::from(nibble)].take() {
                Some(bucket) => leaves.extend(bucket),
                None => match self.load_child(&below(prefix, nibble), pairs)? {
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
        Ok(Subtree::bucket(leaves, true))
    }
}

impl Subtree {
    fn bucket(leaves: Vec<Leaf>, changed: bool) -> Subtree {
        Subtree {
            pairs: leaves.len() as u64,
            content: Content::Bucket(leaves),
            changed,
        }
    }
}

/// The sub-tree that was the bucket `old`, after `changes`.
fn changed(prefix: &[u8], mut old: Vec<Leaf>, changes: &[Change], edits: &mut Edits) -> Subtree {
    if let Some(changed) = replace(&mut old, changes) {
        return Subtree::bucket(old, changed);
    }
    let new = merge(&old, changes);
    if new == old {
        return Subtree::bucket(old, false);
    }
    if new.len() <= BUCKET {
        return Subtree::bucket(new, true);
    }
    build(prefix, &new, edits)
}

/// The sub-tree of exactly `leaves`, sorted by path; no page below `prefix` exists yet.
fn build(prefix: &[u8], leaves: &[Leaf], edits: &mut Edits) -> Subtree {
    if leaves.len() <= BUCKET {
        return Subtree::bucket(leaves.to_vec(), true);
    }
    let parts = by_nibble(leaves, prefix.len(), |leaf| &leaf.path);
    let results = each(&parts, leaves.len(), edits, |nibble, part, edits| {
        Ok::<_, std::convert::Infallible>(build(&below(prefix, nibble), part, edits))
    });
    let Ok(results) = results;
    finish(prefix, [Child::NONE; 16], &results, edits)
}

/// Writes an inner page, whose children were `children` before, and those of its children that are changed buckets.
fn finish(
    prefix: &[u8],
    mut children: [Child; 16],
    results: &[(u8, Subtree)],
    edits: &mut Edits,
) -> Subtree {
    let hashes = hashes(prefix.len() + 1, results.iter().map(|(_, result)| result));
    for ((nibble, result), hash) in results.iter().zip(hashes) {
        children[usize::from(*nibble)] = Child {
            hash,
            pairs: result.pairs,
        };
        settle(&below(prefix, *nibble), result, edits);
    }
    edits.push((prefix.to_vec(), Some(encode_inner(&children))));
    Subtree {
        pairs: children.iter().map(|child| child.pairs).sum(),
        content: Content::Inner(children_hash(&children)),
        changed: true,
    }
}

/// Hashes of sub-trees that begin at nibble `depth`.
fn hashes<'s>(depth: usize, subtrees: impl IntoIterator<Item = &'s Subtree>) -> Vec<Hash> {
    let (mut hashes, mut at, mut buckets) = (Vec::new(), Vec::new(), Vec::new());
    for (i, subtree) in subtrees.into_iter().enumerate() {
        hashes.push(match &subtree.content {
            Content::Inner(hash) => *hash,
            Content::Bucket(leaves) => {
                at.push(i);
                buckets.push(leaves.as_slice());
                EMPTY
            }
        });
    }
    for (i, hash) in at.into_iter().zip(forest::hashes(&buckets, 4 * depth)) {
        hashes[i] = hash;
    }
    hashes
}

/// Writes a sub-tree's page if it is a changed bucket, or deletes it if nothing is left.
fn settle(prefix: &[u8], subtree: &Subtree, edits: &mut Edits) {
    if let (Content::Bucket(leaves), true) = (&subtree.content, subtree.changed) {
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
    let mut changes: Vec<Change> = if changes.len() < PARALLEL {
        digested(&changes)
    } else {
        changes
            .par_chunks(PARALLEL)
            .flat_map_iter(digested)
            .collect()
    };
    changes.par_sort_unstable_by_key(|change| change.path);
    if changes.windows(2).any(|w| w[0].path == w[1].path) {
        return Err(StateError::DuplicateKey);
    }
    Ok(changes)
}

fn digested(changes: &[(&[u8], Option<&[u8]>)]) -> Vec<Change> {
    let keys: Vec<&[u8]> = changes.iter().map(|(key, _)| *key).collect();
    let values: Vec<&[u8]> = changes.iter().filter_map(|(_, value)| *value).collect();
    let (mut paths, mut digests) = (Vec::new(), Vec::new());
    many::digests(&keys, &mut paths);
    many::digests(&values, &mut digests);
    let mut digests = digests.into_iter();
    let change = |((_, value), path): (&(_, Option<_>), Hash)| Change {
        path,
        value: value.and_then(|_| digests.next()),
    };
    changes.iter().zip(paths).map(change).collect()
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

/// Applies `changes` in place if each sets the value of a pair that is there, as most do; then says whether any differs.
fn replace(old: &mut [Leaf], changes: &[Change]) -> Option<bool> {
    let mut at = 0;
    let mut found = Vec::with_capacity(changes.len());
    for change in changes {
        at += old[at..].iter().position(|leaf| leaf.path >= change.path)?;
        found.push((at, change.value.filter(|_| old[at].path == change.path)?));
    }
    let mut changed = false;
    for (at, value) in found {
        changed |= old[at].value != value;
        old[at].value = value;
    }
    Some(changed)
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
        let update = TreeUpdate::new(&subtree, edits);
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
