//! Hashes on a device: batches of inputs cut into waves, laid out as 32-bit words, and searches cut into windows.

pub mod blake3;
pub mod search;
pub mod sha256;

/// Bytes of a block of either function.
pub const BLOCK: usize = 64;
/// Words of a digest, a chaining value or a state.
pub const DIGEST_WORDS: usize = 8;
