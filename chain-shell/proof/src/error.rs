//! Why a proof is refused.

use core::fmt;

/// Why bytes are no proof, or a proof does not show what it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The bytes end early or go on after the end.
    Length {
        /// Bytes that the proof takes, as far as it could be read.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The first byte is no version that is known here.
    Version(u8),
    /// The second byte is no kind of proof.
    Kind(u8),
    /// More siblings than the tree has levels.
    TooDeep(usize),
    /// There is a shorter proof of the same: the last sibling is empty, or padding bits are set.
    NotCanonical,
    /// The proof is about another key: the leaf shown cannot stand on this key's path, or is this key's own.
    OtherKey,
    /// A value was to be shown and the proof is one of absence, or the other way round.
    OtherClaim,
    /// The hashes do not lead to the root.
    RootMismatch,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofError::Length { expected, found } => {
                write!(f, "a proof of {expected} bytes expected, {found} found")
            }
            ProofError::Version(version) => write!(f, "unknown proof version {version}"),
            ProofError::Kind(kind) => write!(f, "unknown kind of proof {kind}"),
            ProofError::TooDeep(depth) => write!(f, "{depth} siblings, the tree has 256 levels"),
            ProofError::NotCanonical => f.write_str("the proof is not in its shortest form"),
            ProofError::OtherKey => f.write_str("the proof is about another key"),
            ProofError::OtherClaim => {
                f.write_str("the proof shows absence where a value is claimed, or the reverse")
            }
            ProofError::RootMismatch => f.write_str("the proof does not lead to the root"),
        }
    }
}

impl core::error::Error for ProofError {}
