//! Verify state proofs.
//!
//! The state is a set of key-value pairs committed to by one 32-byte root. This crate is all that a light client needs
//! to check that a key has a value under a root, or has none; it needs no standard library.
//!
//! # The tree
//!
//! A binary sparse Merkle tree of 256 levels over `path = BLAKE3(key)`, bit 0 being the highest bit of the path's
//! first byte. Let `S` be the set of pairs whose paths begin with the bits that lead to a sub-tree:
//!
//! ```text
//! hash(S) = 32 zero bytes                                   if S is empty
//!         = leaf(path, BLAKE3(value))                       if S holds one pair, at whatever depth
//!         = node(hash(S with next bit 0), hash(S with 1))   otherwise
//!
//! leaf(p, v) = BLAKE3 keyed with LEAF_KEY over p ‖ v        64 bytes, one compression
//! node(l, r) = BLAKE3 keyed with NODE_KEY over l ‖ r        64 bytes, one compression
//! ```
//!
//! So the root depends on the set of pairs alone, not on the order of changes nor on how the tree is cut into pages for
//! storage. The two keys separate the domains of leaves and nodes; all-zero output of either is infeasible, so no
//! non-empty set has the empty hash. A value may be empty; that differs from an absent key.
//!
//! Absence is shown by what stands where the key would be: nothing, or the one leaf of a sub-tree, whose path then
//! differs from the key's. Among n pairs a proof holds some log2 n + 1 sibling hashes.
//!
//! # Example
//!
//! A state with one pair: the root is the leaf itself, and the proof of inclusion is empty.
//!
//! ```
//! use focus_proof::{Proof, digest, leaf_hash};
//!
//! let root = leaf_hash(&digest(b"key"), &digest(b"value"));
//! let proof = Proof::inclusion(Vec::new()).unwrap();
//! assert!(proof.verify(&root, b"key", Some(b"value")).is_ok());
//! assert!(proof.verify(&root, b"key", Some(b"other")).is_err());
//! assert!(proof.verify(&root, b"key", None).is_err());
//! ```
#![no_std]

extern crate alloc;

mod error;
mod hash;
mod proof;

pub use error::ProofError;
pub use hash::{EMPTY, Hash, LEAF_KEY, NODE_KEY, bit, digest, leaf_hash, node_hash};
pub use proof::{MAX_ENCODED_BYTES, Proof, Terminal};
