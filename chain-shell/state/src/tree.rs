//! Reading the tree: root, proofs, check.

use std::sync::Arc;

use focus_proof::{EMPTY, Hash, Proof, Terminal, bit, digest};
use focus_store::{Snapshot, Store, Table};

use crate::page::{Child, Leaf, Page, children_hash, damaged, halves, leaves_hash, nibble};
use crate::{StateError, TreeUpdate};

/// The state tree of one moment: that of a snapshot, seen through updates that are not committed yet.
#[derive(Clone)]
pub struct StateTree<'u> {
    snapshot: Arc<dyn Snapshot>,
    overlays: Vec<&'u TreeUpdate>,
}

impl<'u> StateTree<'u> {
    /// The tree as of the store's last commit.
    pub fn of(store: &dyn Store) -> Result<StateTree<'u>, StateError> {
        Ok(StateTree::at(store.snapshot()?))
    }

    /// The tree of a snapshot, so that values and proofs can be read from the same moment.
    pub fn at(snapshot: Arc<dyn Snapshot>) -> StateTree<'u> {
        StateTree {
            snapshot,
            overlays: Vec::new(),
        }
    }

    /// The same tree after `update`, which must have been made on exactly this tree.
    pub fn over(mut self, update: &'u TreeUpdate) -> StateTree<'u> {
        self.overlays.push(update);
        self
    }

    /// The root: [`EMPTY`] if there are no pairs.
    pub fn root(&self) -> Result<Hash, StateError> {
        Ok(self.load(&[], None)?.map_or(EMPTY, |page| page.hash(0)))
    }

    /// Number of pairs.
    pub fn pairs(&self) -> Result<u64, StateError> {
        Ok(self.load(&[], None)?.map_or(0, |page| page.pairs()))
    }

    /// Shows that `key` has its value, or that it has none.
    pub fn prove(&self, key: &[u8]) -> Result<Proof, StateError> {
        let path = digest(key);
        let mut siblings = Vec::new();
        let terminal = self.descend(&path, &mut siblings)?;
        let terminal = match terminal {
            None => Terminal::Empty,
            Some(leaf) if leaf.path == path => Terminal::Own,
            Some(Leaf { path, value }) => Terminal::Other { path, value },
        };
        Proof::new(terminal, siblings).map_err(|_| damaged(&[], "empty sub-trees side by side"))
    }

    /// Recomputes every hash and count from the pairs up. Returns the root and the number of pairs.
    pub fn verify(&self) -> Result<(Hash, u64), StateError> {
        let Some(root) = self.load(&[], None)? else {
            return Ok((EMPTY, 0));
        };
        let mut open = vec![(Vec::new(), root.hash(0), root.pairs())];
        while let Some((prefix, hash, pairs)) = open.pop() {
            let page = self.load_child(&prefix, pairs)?;
            if page.hash(prefix.len()) != hash {
                return Err(damaged(&prefix, "the hash is not the one its parent holds"));
            }
            if let Page::Inner(children) = &page {
                for (nibble, child) in present(children) {
                    open.push((below(&prefix, nibble), child.hash, child.pairs));
                }
            }
        }
        Ok((root.hash(0), root.pairs()))
    }

    /// Walks from the root along `path` to a lone leaf or nothing, collecting the siblings on the way.
    fn descend(&self, path: &Hash, siblings: &mut Vec<Hash>) -> Result<Option<Leaf>, StateError> {
        let mut prefix = Vec::new();
        let Some(mut page) = self.load(&prefix, None)? else {
            return Ok(None);
        };
        loop {
            let children = match &page {
                Page::Bucket(leaves) => {
                    return Ok(descend_leaves(leaves, path, siblings));
                }
                Page::Inner(children) => children,
            };
            let mut rest = &children[..];
            // At most one pair below: the shortcut.
            while rest.len() > 1 && rest.iter().map(|child| child.pairs).sum::<u64>() > 1 {
                let (left, right) = rest.split_at(rest.len() / 2);
                let (mine, other) = if bit(path, siblings.len()) {
                    (right, left)
                } else {
                    (left, right)
                };
                siblings.push(children_hash(other));
                rest = mine;
            }
            // The child on the path, or the only one of those left.
            let Some((found, child)) = rest.iter().enumerate().find(|(_, child)| child.pairs > 0)
            else {
                return Ok(None);
            };
            let first = usize::from(nibble(path, prefix.len())) / rest.len() * rest.len();
            prefix.push((first + found) as u8);
            page = self.load_child(&prefix, child.pairs)?;
        }
    }

    /// The page under `prefix`, which holds `pairs` pairs if that is known; `None` if there is none.
    pub(crate) fn load(
        &self,
        prefix: &[u8],
        pairs: Option<u64>,
    ) -> Result<Option<Page>, StateError> {
        let changed = self.overlays.iter().rev().find_map(|u| u.page(prefix));
        let page = match changed {
            Some(None) => None,
            Some(Some(bytes)) => Some(Page::decode(prefix, bytes)?),
            None => {
                let mut page = None;
                let mut visit = |bytes: &[u8]| page = Some(Page::decode(prefix, bytes));
                self.snapshot.view(Table::Pages, prefix, &mut visit)?;
                page.transpose()?
            }
        };
        match (&page, pairs) {
            (None, Some(1..)) => Err(damaged(prefix, "missing")),
            (Some(page), Some(pairs)) if page.pairs() != pairs => Err(damaged(
                prefix,
                "the number of pairs is not the one its parent holds",
            )),
            _ => Ok(page),
        }
    }

    /// The page of a child that holds `pairs` pairs, more than none.
    pub(crate) fn load_child(&self, prefix: &[u8], pairs: u64) -> Result<Page, StateError> {
        self.load(prefix, Some(pairs))?
            .ok_or_else(|| damaged(prefix, "missing"))
    }
}

/// [`StateTree::descend`] within a bucket.
fn descend_leaves(mut leaves: &[Leaf], path: &Hash, siblings: &mut Vec<Hash>) -> Option<Leaf> {
    while leaves.len() > 1 {
        let depth = siblings.len();
        let (left, right) = halves(leaves, depth);
        let (mine, other) = if bit(path, depth) {
            (right, left)
        } else {
            (left, right)
        };
        siblings.push(leaves_hash(other, depth + 1));
        leaves = mine;
    }
    leaves.first().copied()
}

/// The prefix of a child.
pub(crate) fn below(prefix: &[u8], nibble: u8) -> Vec<u8> {
    let mut child = Vec::with_capacity(prefix.len() + 1);
    child.extend_from_slice(prefix);
    child.push(nibble);
    child
}

/// Children with pairs, by nibble.
pub(crate) fn present(children: &[Child; 16]) -> impl Iterator<Item = (u8, &Child)> {
    (0u8..).zip(children).filter(|(_, child)| child.pairs > 0)
}
