//! The hashing rules of the tree.

/// A 32-byte hash.
pub type Hash = [u8; 32];

/// Hash of the empty set: the root of an empty state.
pub const EMPTY: Hash = [0; 32];

/// Key that separates leaf hashes from all others.
pub const LEAF_KEY: &[u8; 32] = b"focus-flow state-tree v1 leaf   ";

/// Key that separates node hashes from all others.
pub const NODE_KEY: &[u8; 32] = b"focus-flow state-tree v1 node   ";

/// BLAKE3 of a key, which gives its path, or of a value.
pub fn digest(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// Hash of the set that holds one pair, given its path and the digest of its value.
pub fn leaf_hash(path: &Hash, value: &Hash) -> Hash {
    keyed(LEAF_KEY, path, value)
}

/// Hash of a set of two or more pairs, given those of its halves.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    keyed(NODE_KEY, left, right)
}

fn keyed(key: &[u8; 32], a: &Hash, b: &Hash) -> Hash {
    let mut block = [0; 64];
    block[..32].copy_from_slice(a);
    block[32..].copy_from_slice(b);
    *blake3::keyed_hash(key, &block).as_bytes()
}

/// Bit `depth` of a path, 0 being the highest of its first byte. `depth` is below 256.
pub const fn bit(path: &Hash, depth: usize) -> bool {
    path[depth / 8] >> (7 - depth % 8) & 1 == 1
}
