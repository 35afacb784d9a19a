//! Hashes of many sets of pairs at once: the sub-trees of a page's buckets.
//!
//! First the shape of all trees is laid out, every node a slot with the two slots that it joins, sorted by depth; then the
//! leaves are hashed and the nodes level by level, deepest first, so that [`crate::many`] always has many at hand.

use focus_proof::{EMPTY, Hash, bit};

use crate::many::{leaf_hashes, node_hashes};
use crate::page::Leaf;

/// Hash of each set of pairs, sorted by path, of which the paths of each agree on their first `depth` bits: what
/// [`crate::page::leaves_hash`] says of one.
pub(crate) fn hashes(sets: &[&[Leaf]], depth: usize) -> Vec<Hash> {
    let leaves: usize = sets.iter().map(|set| set.len()).sum();
    let mut forest = Forest {
        base: depth,
        levels: Vec::with_capacity(16),
        slots: leaves as u32 + 1,
    };
    let mut pairs = Vec::with_capacity(leaves);
    let mut roots = Vec::with_capacity(sets.len());
    for set in sets {
        roots.push(forest.plan(set, pairs.len() as u32 + 1));
        pairs.extend(set.iter().map(|leaf| [leaf.path, leaf.value]));
    }
    let mut done = Vec::with_capacity(forest.slots as usize);
    done.push(EMPTY);
    leaf_hashes(&pairs, &mut done);
    done.resize(forest.slots as usize, EMPTY);
    let (mut halves, mut hashed) = (pairs, Vec::new());
    for level in forest.levels.iter().rev() {
        halves.clear();
        hashed.clear();
        halves.extend(
            level
                .iter()
                .map(|join| join.halves.map(|half| done[half as usize])),
        );
        node_hashes(&halves, &mut hashed);
        for (join, hash) in level.iter().zip(&hashed) {
            done[join.slot as usize] = *hash;
        }
    }
    roots.into_iter().map(|root| done[root as usize]).collect()
}

/// Where the hash of nothing is.
const NOTHING: u32 = 0;

/// A node, and the slots of its halves.
struct Join {
    halves: [u32; 2],
    slot: u32,
}

struct Forest {
    /// Depth of the roots, in bits.
    base: usize,
    /// Nodes by depth, from `base` on.
    levels: Vec<Vec<Join>>,
    /// Slots given out: nothing, leaves, nodes.
    slots: u32,
}

/// A sub-tree in the making.
#[derive(Clone, Copy)]
struct Part<'l> {
    slot: u32,
    /// Depth of its topmost node; none if it is a leaf, which has its hash at whatever depth.
    top: Option<usize>,
    /// Path of one of its leaves.
    path: &'l Hash,
}

impl Forest {
    /// Lays out the tree of `leaves`, whose slots begin at `first`; returns the slot of its root.
    ///
    /// Two neighbours part at the first bit in which their paths differ. Going through the leaves in order, a part waits
    /// until the next split is above its own; then it is the left half of the node there.
    fn plan(&mut self, leaves: &[Leaf], first: u32) -> u32 {
        let mut waiting: Vec<(Part<'_>, usize)> = Vec::with_capacity(leaves.len());
        for (i, leaf) in leaves.iter().enumerate() {
            let mut part = Part {
                slot: first + i as u32,
                top: None,
                path: &leaf.path,
            };
            let next = leaves.get(i + 1);
            let split = next.map(|next| common_bits(&leaf.path, &next.path));
            while let Some((left, at)) = waiting.pop_if(|(_, at)| split.is_none_or(|s| s < *at)) {
                let halves = [self.lift(left, at + 1), self.lift(part, at + 1)];
                part = self.join(halves, at, part.path);
            }
            match split {
                Some(split) => waiting.push((part, split)),
                None => return self.lift(part, self.base),
            }
        }
        NOTHING
    }

    /// The slot of `part` as a sub-tree at `depth`: above its topmost node there is nothing beside it.
    fn lift(&mut self, mut part: Part<'_>, depth: usize) -> u32 {
        while let Some(top) = part.top.filter(|top| *top > depth) {
            let halves = if bit(part.path, top - 1) {
                [NOTHING, part.slot]
            } else {
                [part.slot, NOTHING]
            };
            part = self.join(halves, top - 1, part.path);
        }
        part.slot
    }

    fn join<'l>(&mut self, halves: [u32; 2], depth: usize, path: &'l Hash) -> Part<'l> {
        let level = depth - self.base;
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        let slot = self.slots;
        self.slots += 1;
        self.levels[level].push(Join { halves, slot });
        Part {
            slot,
            top: Some(depth),
            path,
        }
    }
}

/// Leading bits in which two different paths agree.
fn common_bits(a: &Hash, b: &Hash) -> usize {
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (i, (a, b)) in words_a.iter().zip(words_b).enumerate() {
        let differs = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if differs != 0 {
            return 64 * i + differs.leading_zeros() as usize;
        }
    }
    256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::leaves_hash;
    use proptest::prelude::*;

    /// Paths of few distinct bytes, so that they part at all depths.
    fn set() -> impl Strategy<Value = Vec<Leaf>> {
        let path = (0usize..32, 0u8..4, any::<bool>(), any::<u8>());
        let path = path.prop_map(|(at, byte, tail, last)| {
            let mut path = [0x5a; 32];
            path[at] = byte;
            path[31] = if tail { last } else { path[31] };
            path[0] = 0x5a;
            path
        });
        proptest::collection::btree_map(path, any::<[u8; 32]>(), 0..40).prop_map(|leaves| {
            let leaf = |(path, value)| Leaf { path, value };
            leaves.into_iter().map(leaf).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_forest_hashes_as_its_trees_do(
            sets in proptest::collection::vec(set(), 0..8), depth in 0usize..=8,
        ) {
            let slices: Vec<&[Leaf]> = sets.iter().map(Vec::as_slice).collect();
            let expected: Vec<Hash> = sets.iter().map(|set| leaves_hash(set, depth)).collect();
            prop_assert_eq!(hashes(&slices, depth), expected);
        }
    }

    #[test]
    fn two_paths_that_differ_in_the_last_bit_alone() {
        let leaf = |last| Leaf {
            path: std::array::from_fn(|i| if i == 31 { last } else { 0xc3 }),
            value: [last; 32],
        };
        let set = [leaf(6), leaf(7)];
        assert_eq!(
            hashes(&[&set, &set[..1], &[]], 0),
            [leaves_hash(&set, 0), leaves_hash(&set[..1], 0), EMPTY,]
        );
    }
}
