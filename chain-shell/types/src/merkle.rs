//! Binary Merkle trees over an ordered list, shaped as in RFC 6962: the left subtree of `n` leaves holds the largest
//! power of two below `n`. An aligned power-of-two run of leaves is therefore a subtree with a root of its own.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Domain, Hash32, hash};

/// Siblings from a leaf up to the root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct MerkleProof {
    /// Position of the leaf.
    pub index: u64,
    /// Leaves in the tree.
    pub count: u64,
    /// Sibling hashes, lowest first.
    pub siblings: Vec<Hash32>,
}

/// The leaf hash of an item that is itself a hash.
pub fn leaf(item: &Hash32) -> Hash32 {
    hash(Domain::MerkleLeaf, &item.0)
}

fn node(left: &Hash32, right: &Hash32) -> Hash32 {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&left.0);
    bytes[32..].copy_from_slice(&right.0);
    hash(Domain::MerkleNode, &bytes)
}

/// Pairs a level up; an odd last node rises unchanged, which gives the RFC 6962 shape.
fn level_up(level: &mut Vec<Hash32>) {
    let parents = level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            rest => rest[0],
        })
        .collect();
    *level = parents;
}

/// The root over `items` in order. No items have the hash of the empty string as their root.
pub fn root(items: impl IntoIterator<Item = Hash32>) -> Hash32 {
    let mut level: Vec<Hash32> = items.into_iter().map(|item| leaf(&item)).collect();
    if level.is_empty() {
        return hash(Domain::MerkleNode, &[]);
    }
    while level.len() > 1 {
        level_up(&mut level);
    }
    level[0]
}

/// The proof for item `index`, or `None` if there is no such item.
pub fn prove(items: &[Hash32], index: usize) -> Option<MerkleProof> {
    if index >= items.len() {
        return None;
    }
    let mut level: Vec<Hash32> = items.iter().map(leaf).collect();
    let mut position = index;
    let mut siblings = Vec::new();
    while level.len() > 1 {
        if let Some(sibling) = level.get(position ^ 1) {
            siblings.push(*sibling);
        }
        level_up(&mut level);
        position /= 2;
    }
    Some(MerkleProof {
        index: index as u64,
        count: items.len() as u64,
        siblings,
    })
}

impl MerkleProof {
    /// Whether `item` stands at `index` of the list of `count` items under `root`.
    pub fn verify(&self, root: &Hash32, item: &Hash32) -> bool {
        if self.index >= self.count {
            return false;
        }
        let mut siblings = self.siblings.iter();
        let (mut position, mut count) = (self.index, self.count);
        let mut current = leaf(item);
        while count > 1 {
            if position ^ 1 < count {
                let Some(sibling) = siblings.next() else {
                    return false;
                };
                current = if position & 1 == 0 {
                    node(&current, sibling)
                } else {
                    node(sibling, &current)
                };
            }
            position /= 2;
            count = count.div_ceil(2);
        }
        siblings.next().is_none() && current == *root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(count: usize) -> Vec<Hash32> {
        (0..count)
            .map(|i| hash(Domain::Receipt, &(i as u64).to_le_bytes()))
            .collect()
    }

    /// The definition of RFC 6962, recursively.
    fn reference(items: &[Hash32]) -> Hash32 {
        match items {
            [] => hash(Domain::MerkleNode, &[]),
            [one] => leaf(one),
            _ => {
                let split = items.len().next_power_of_two() / 2;
                node(&reference(&items[..split]), &reference(&items[split..]))
            }
        }
    }

    #[test]
    fn every_size_matches_the_recursive_definition_and_proves_every_leaf() {
        for count in 0..40 {
            let items = items(count);
            let root = root(items.iter().copied());
            assert_eq!(root, reference(&items));
            assert!(prove(&items, count).is_none());
            for (index, item) in items.iter().enumerate() {
                let proof = prove(&items, index).unwrap();
                assert!(proof.verify(&root, item));
                let other = hash(Domain::Receipt, b"other");
                assert!(!proof.verify(&root, &other));
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_fails(count in 2usize..30, pick: usize, flip in 0usize..256, grow: bool) {
            let items = items(count);
            let root = root(items.iter().copied());
            let index = pick % count;
            let mut proof = prove(&items, index).unwrap();
            if grow {
                proof.siblings.push(Hash32::ZERO);
            } else {
                let at = flip % proof.siblings.len();
                proof.siblings[at].0[flip % 32] ^= 1;
            }
            prop_assert!(!proof.verify(&root, &items[index]));
        }
    }
}
