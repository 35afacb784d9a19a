//! Batch hashing.
