//! BLAKE3 with domain separation.

use std::sync::LazyLock;

use crate::Hash32;

/// What a hash is of. Each domain has its own BLAKE3 key, so equal bytes in two domains hash differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Domain {
    /// What a sender signs, and the transaction id.
    Transaction,
    /// A signed transaction: the leaves of a block's transaction root.
    SignedTransaction,
    /// A header without its certificate: the block hash.
    Header,
    /// What a validator signs when it certifies a header.
    Certificate,
    /// The canonical JSON of a genesis file.
    Genesis,
    /// A receipt: the leaves of the receipt root.
    Receipt,
    /// One chunk of π.
    PiChunk,
    /// One slot of Memory Arithmetic.
    MemorySlot,
    /// A leaf of a Merkle tree.
    MerkleLeaf,
    /// An inner node of a Merkle tree.
    MerkleNode,
}

const CONTEXTS: [&str; 10] = [
    "focus-flow v1 transaction",
    "focus-flow v1 signed transaction",
    "focus-flow v1 header",
    "focus-flow v1 certificate",
    "focus-flow v1 genesis",
    "focus-flow v1 receipt",
    "focus-flow v1 pi chunk",
    "focus-flow v1 memory slot",
    "focus-flow v1 merkle leaf",
    "focus-flow v1 merkle node",
];

static KEYS: LazyLock<[[u8; 32]; CONTEXTS.len()]> =
    LazyLock::new(|| CONTEXTS.map(|context| blake3::derive_key(context, &[])));

/// Keyed BLAKE3 of `bytes` in `domain`.
pub fn hash(domain: Domain, bytes: &[u8]) -> Hash32 {
    Hash32(*blake3::keyed_hash(&KEYS[domain as usize], bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_separate() {
        let mut seen = std::collections::BTreeSet::new();
        for domain in [
            Domain::Transaction,
            Domain::SignedTransaction,
            Domain::Header,
            Domain::Certificate,
            Domain::Genesis,
            Domain::Receipt,
            Domain::PiChunk,
            Domain::MemorySlot,
            Domain::MerkleLeaf,
            Domain::MerkleNode,
        ] {
            assert!(seen.insert(hash(domain, b"same bytes")));
        }
        assert_eq!(seen.len(), CONTEXTS.len());
    }
}
