//! Pages: what they hold, their hashes and their bytes.
//!
//! ```text
//! bucket   version u8 = 1 · kind u8 = 0 · count u8 · count × (path 32 ‖ value digest 32), paths ascending
//! inner    version u8 = 1 · kind u8 = 1 · bitmap u16 LE of the children there are
//!          · for each of those: pairs (LEB128, shortest form, 1 ..= 2^56) · hash 32
//! ```
//!
//! A page is stored under its prefix, one byte per nibble, so that the pages of a sub-tree are neighbours. A page of
//! the store that does not read back as exactly one of these is damaged.

use std::sync::Arc;

use focus_proof::{EMPTY, Hash, bit, leaf_hash, node_hash};

use crate::StateError;

/// Most pairs that one page lists.
pub const BUCKET: usize = 32;

/// Most pairs below one child. Sixteen of them add up without overflow at every level.
const MAX_PAIRS: u64 = 1 << 56;
/// Nibbles of a path.
const NIBBLES: usize = 64;
const VERSION: u8 = 1;
const KIND_BUCKET: u8 = 0;
const KIND_INNER: u8 = 1;

/// A pair, by digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub path: Hash,
    pub value: Hash,
}

/// A sub-tree as its parent sees it; `pairs == 0` goes with [`EMPTY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub hash: Hash,
    pub pairs: u64,
}

impl Child {
    pub const NONE: Child = Child {
        hash: EMPTY,
        pairs: 0,
    };
}

/// A decoded page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Bucket(Vec<Leaf>),
    Inner(Box<[Child; 16]>),
}

/// Nibble `depth` of a path, 0 being the high half of its first byte.
pub(crate) fn nibble(path: &Hash, depth: usize) -> u8 {
    if depth.is_multiple_of(2) {
        path[depth / 2] >> 4
    } else {
        path[depth / 2] & 15
    }
}

/// Hash of the pairs `leaves`, sorted by path, which agree on the first `depth` bits.
pub(crate) fn leaves_hash(leaves: &[Leaf], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [leaf] => leaf_hash(&leaf.path, &leaf.value),
        _ => {
            let (left, right) = halves(leaves, depth);
            node_hash(
                &leaves_hash(left, depth + 1),
                &leaves_hash(right, depth + 1),
            )
        }
    }
}

/// `leaves`, sorted by path, by their bit `depth`.
pub(crate) fn halves(leaves: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    leaves.split_at(leaves.partition_point(|leaf| !bit(&leaf.path, depth)))
}

/// Hash of the pairs below 1, 2, 4, 8 or 16 neighbouring children.
pub(crate) fn children_hash(children: &[Child]) -> Hash {
    let mut present = children.iter().filter(|child| child.pairs > 0);
    match (present.next(), present.next()) {
        (None, _) => EMPTY,
        // One child alone: the shortcut if it holds one pair; else its place among its neighbours counts.
        (Some(only), None) if only.pairs == 1 || children.len() == 1 => only.hash,
        _ => {
            let (left, right) = children.split_at(children.len() / 2);
            node_hash(&children_hash(left), &children_hash(right))
        }
    }
}

impl Page {
    /// Pairs in and below the page.
    pub fn pairs(&self) -> u64 {
        match self {
            Page::Bucket(leaves) => leaves.len() as u64,
            Page::Inner(children) => children.iter().map(|child| child.pairs).sum(),
        }
    }

    /// The hash that the parent of this page, at nibble `depth`, holds.
    pub fn hash(&self, depth: usize) -> Hash {
        match self {
            Page::Bucket(leaves) => leaves_hash(leaves, 4 * depth),
            Page::Inner(children) => children_hash(&children[..]),
        }
    }

    /// Reads a page stored under `prefix`.
    pub fn decode(prefix: &[u8], bytes: &[u8]) -> Result<Page, StateError> {
        decode(prefix, bytes).ok_or_else(|| damaged(prefix, "not readable"))
    }
}

/// A damaged page under `prefix`.
pub(crate) fn damaged(prefix: &[u8], message: &'static str) -> StateError {
    let digit = |nibble: &u8| char::from_digit(u32::from(*nibble), 16).unwrap_or('?');
    StateError::Damaged {
        page: prefix.iter().map(digit).collect(),
        message,
    }
}

pub(crate) fn encode_bucket(leaves: &[Leaf]) -> Arc<[u8]> {
    debug_assert!(!leaves.is_empty() && leaves.len() <= BUCKET);
    let mut page: Arc<[u8]> = std::iter::repeat_n(0, 3 + 64 * leaves.len()).collect();
    // The only owner yet: the page is written in place, to be shared from then on.
    let bytes = Arc::make_mut(&mut page);
    let (head, pairs) = bytes.split_at_mut(3);
    head.copy_from_slice(&[VERSION, KIND_BUCKET, leaves.len() as u8]);
    for (leaf, pair) in leaves.iter().zip(pairs.as_chunks_mut::<64>().0) {
        pair[..32].copy_from_slice(&leaf.path);
        pair[32..].copy_from_slice(&leaf.value);
    }
    page
}

pub(crate) fn encode_inner(children: &[Child; 16]) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity(4 + 16 * (32 + 4));
    let present = |(i, child): (usize, &Child)| u16::from(child.pairs > 0) << i;
    let bitmap: u16 = children.iter().enumerate().map(present).sum();
    bytes.extend_from_slice(&[VERSION, KIND_INNER]);
    bytes.extend_from_slice(&bitmap.to_le_bytes());
    for child in children.iter().filter(|child| child.pairs > 0) {
        let mut rest = child.pairs;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes.extend_from_slice(&child.hash);
    }
    bytes.into()
}

fn decode(prefix: &[u8], bytes: &[u8]) -> Option<Page> {
    let (&[version, kind], rest) = bytes.split_first_chunk()?;
    match (version, kind) {
        (VERSION, KIND_BUCKET) => decode_bucket(prefix, rest),
        // Below the last nibble there is nothing to tell pairs apart.
        (VERSION, KIND_INNER) if prefix.len() < NIBBLES => decode_inner(rest),
        _ => None,
    }
}

fn decode_bucket(prefix: &[u8], bytes: &[u8]) -> Option<Page> {
    let (&count, body) = bytes.split_first()?;
    let (pairs, []) = body.as_chunks::<64>() else {
        return None;
    };
    if pairs.is_empty() || pairs.len() != usize::from(count) || pairs.len() > BUCKET {
        return None;
    }
    let mut leaves = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (path, value) = pair.split_first_chunk()?;
        leaves.push(Leaf {
            path: *path,
            value: *value.first_chunk()?,
        });
    }
    let ascending = leaves.windows(2).all(|w| w[0].path < w[1].path);
    let belongs = |leaf: &Leaf| (0..prefix.len()).all(|d| nibble(&leaf.path, d) == prefix[d]);
    // Between two ascending paths of one prefix all others have it too.
    let at_home = leaves.first().is_some_and(belongs) && leaves.last().is_some_and(belongs);
    (ascending && at_home).then_some(Page::Bucket(leaves))
}

fn decode_inner(bytes: &[u8]) -> Option<Page> {
    let (bitmap, mut rest) = bytes.split_first_chunk()?;
    let bitmap = u16::from_le_bytes(*bitmap);
    let mut children = Box::new([Child::NONE; 16]);
    for (i, child) in children.iter_mut().enumerate() {
        if bitmap >> i & 1 == 1 {
            let (pairs, after) = decode_pairs(rest)?;
            let (hash, after) = after.split_first_chunk()?;
            *child = Child { hash: *hash, pairs };
            rest = after;
            if child.hash == EMPTY {
                return None;
            }
        }
    }
    let page = Page::Inner(children);
    (rest.is_empty() && page.pairs() > BUCKET as u64).then_some(page)
}

fn decode_pairs(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut pairs = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(9) {
        pairs |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || i == 0;
            let in_range = (1..=MAX_PAIRS).contains(&pairs);
            return (shortest && in_range).then(|| (pairs, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(path: Hash) -> Leaf {
        Leaf {
            path,
            value: [9; 32],
        }
    }

    #[test]
    fn the_shortcut_ignores_empty_neighbours_and_the_node_does_not() {
        let child = |pairs| Child {
            hash: [5; 32],
            pairs,
        };
        let mut children = [Child::NONE; 16];
        assert_eq!(children_hash(&children), EMPTY);
        children[6] = child(1);
        assert_eq!(children_hash(&children), [5; 32]);
        children[6] = child(2);
        let mut expected = [5; 32];
        for side in [false, true, true, false] {
            expected = if side {
                node_hash(&EMPTY, &expected)
            } else {
                node_hash(&expected, &EMPTY)
            };
        }
        assert_eq!(children_hash(&children), expected);
    }

    #[test]
    fn damaged_pages_are_refused() {
        let bucket = encode_bucket(&[leaf([1; 32]), leaf([2; 32])]);
        assert!(Page::decode(&[0], &bucket).is_ok());
        let wrong: [(&str, Vec<u8>); 6] = [
            ("empty", vec![]),
            ("version", [&[2], &bucket[1..]].concat()),
            ("kind", [&[1, 2], &bucket[2..]].concat()),
            ("no pairs", vec![1, 0, 0]),
            ("count", [&[1, 0, 3], &bucket[3..]].concat()),
            (
                "order",
                encode_bucket(&[leaf([2; 32]), leaf([1; 32])]).to_vec(),
            ),
        ];
        for (what, bytes) in wrong {
            assert!(Page::decode(&[], &bytes).is_err(), "{what}");
        }
        let error = Page::decode(&[0, 15], &bucket).unwrap_err();
        assert_eq!(error.to_string(), "state page /0f: not readable");
        let small = [Child {
            hash: [1; 32],
            pairs: 2,
        }; 16];
        assert!(Page::decode(&[], &encode_inner(&small)).is_err(), "few");
        let mut large = small;
        large[3].pairs = MAX_PAIRS + 1;
        assert!(Page::decode(&[], &encode_inner(&large)).is_err(), "many");
        large[3] = Child {
            hash: EMPTY,
            pairs: 40,
        };
        assert!(Page::decode(&[], &encode_inner(&large)).is_err(), "hash");
        let full = [Child {
            hash: [1; 32],
            pairs: 3,
        }; 16];
        assert!(Page::decode(&[0; 63], &encode_inner(&full)).is_ok());
        assert!(
            Page::decode(&[0; 64], &encode_inner(&full)).is_err(),
            "deep"
        );
    }

    fn pages() -> impl Strategy<Value = Page> {
        let paths = proptest::collection::btree_set(any::<Hash>(), 1..=BUCKET);
        let bucket =
            paths.prop_map(|paths| Page::Bucket(paths.into_iter().map(leaf).collect::<Vec<_>>()));
        let child = prop_oneof![
            Just(Child::NONE),
            (any::<Hash>(), 33..=MAX_PAIRS).prop_map(|(hash, pairs)| Child { hash, pairs }),
        ];
        let inner = proptest::collection::vec(child, 16)
            .prop_filter("empty", |c| c.iter().any(|c| c.pairs > 0))
            .prop_map(|c| Page::Inner(Box::new(c.try_into().unwrap())));
        prop_oneof![bucket, inner]
    }

    fn encode(page: &Page) -> Vec<u8> {
        match page {
            Page::Bucket(leaves) => encode_bucket(leaves).to_vec(),
            Page::Inner(children) => encode_inner(children).to_vec(),
        }
    }

    proptest! {
        #[test]
        fn pages_read_back_and_only_in_their_own_bytes(
            page in pages(), at: prop::sample::Index, flip in 1u8..,
        ) {
            let mut bytes = encode(&page);
            prop_assert_eq!(Page::decode(&[], &bytes).unwrap(), page);
            let at = at.index(bytes.len());
            prop_assert!(Page::decode(&[], &bytes[..at]).is_err());
            bytes[at] ^= flip;
            if let Ok(other) = Page::decode(&[], &bytes) {
                prop_assert_eq!(encode(&other), bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_read_back(
            kind in 0u8..3, body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [&[VERSION, kind][..], &body].concat();
            if let Ok(page) = Page::decode(&[], &bytes) {
                prop_assert_eq!(encode(&page), bytes);
            }
        }
    }
}
