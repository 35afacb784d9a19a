//! Proofs of inclusion and absence, and their encoding.
//!
//! ```text
//! version  u8       1
//! kind     u8       0 inclusion · 1 absence, nothing there · 2 absence, another leaf there
//! [leaf    64       path ‖ value digest of that leaf; kind 2 only]
//! depth    u16 LE   number of siblings, at most 256
//! bitmap   ⌈depth/8⌉ bytes; bit i % 8 of byte i / 8 says that sibling i is not empty; unused bits 0
//! siblings 32 each  those that are not empty, from the root downwards
//! ```
//!
//! The encoding is canonical: one proof has one encoding, and a proof whose last sibling is empty is refused, since
//! the leaf shortcut makes it longer than it need be.

use alloc::vec::Vec;

use crate::{EMPTY, Hash, ProofError, bit, digest, leaf_hash, node_hash};

const VERSION: u8 = 1;
const LEVELS: usize = 256;

/// Longest encoding, in bytes.
pub const MAX_ENCODED_BYTES: usize = 2 + 64 + 2 + LEVELS / 8 + LEVELS * 32;

/// What stands at the end of a key's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The key's own leaf.
    Own,
    /// Nothing.
    Empty,
    /// The leaf of another key.
    Other {
        /// Its path.
        path: Hash,
        /// Digest of its value.
        value: Hash,
    },
}

/// A proof that a key has a certain value, or has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    terminal: Terminal,
    siblings: Vec<Hash>,
}

impl Proof {
    /// A proof that ends in `terminal`, with the siblings met on the way from the root down, [`EMPTY`] ones included.
    pub fn new(terminal: Terminal, siblings: Vec<Hash>) -> Result<Proof, ProofError> {
        if siblings.len() > LEVELS {
            return Err(ProofError::TooDeep(siblings.len()));
        }
        if siblings.last() == Some(&EMPTY) {
            return Err(ProofError::NotCanonical);
        }
        Ok(Proof { terminal, siblings })
    }

    /// A proof that the key is there: [`Proof::new`] with [`Terminal::Own`].
    pub fn inclusion(siblings: Vec<Hash>) -> Result<Proof, ProofError> {
        Proof::new(Terminal::Own, siblings)
    }

    /// What stands at the end of the path.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Siblings from the root down, [`EMPTY`] ones included.
    pub fn siblings(&self) -> &[Hash] {
        &self.siblings
    }

    /// Checks that under `root` the key has `value`, or is absent if `value` is `None`.
    pub fn verify(&self, root: &Hash, key: &[u8], value: Option<&[u8]>) -> Result<(), ProofError> {
        let path = digest(key);
        let mut hash = match (&self.terminal, value) {
            (Terminal::Own, Some(value)) => leaf_hash(&path, &digest(value)),
            (Terminal::Empty, None) => EMPTY,
            (Terminal::Other { path: other, value }, None) => {
                let on_the_path = (0..self.siblings.len()).all(|d| bit(other, d) == bit(&path, d));
                if *other == path || !on_the_path {
                    return Err(ProofError::OtherKey);
                }
                leaf_hash(other, value)
            }
            _ => return Err(ProofError::OtherClaim),
        };
        for (depth, sibling) in self.siblings.iter().enumerate().rev() {
            hash = if bit(&path, depth) {
                node_hash(sibling, &hash)
            } else {
                node_hash(&hash, sibling)
            };
        }
        if hash == *root {
            Ok(())
        } else {
            Err(ProofError::RootMismatch)
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let depth = self.siblings.len();
        let mut bytes = Vec::with_capacity(4 + 64 + depth.div_ceil(8) + 32 * depth);
        bytes.push(VERSION);
        match &self.terminal {
            Terminal::Own => bytes.push(0),
            Terminal::Empty => bytes.push(1),
            Terminal::Other { path, value } => {
                bytes.push(2);
                bytes.extend_from_slice(path);
                bytes.extend_from_slice(value);
            }
        }
        bytes.extend_from_slice(&(depth as u16).to_le_bytes());
        let bitmap = bytes.len();
        bytes.resize(bitmap + depth.div_ceil(8), 0);
        for (i, sibling) in self.siblings.iter().enumerate() {
            if *sibling != EMPTY {
                bytes[bitmap + i / 8] |= 1 << (i % 8);
                bytes.extend_from_slice(sibling);
            }
        }
        bytes
    }

    /// Reads the canonical bytes; memory stays within [`MAX_ENCODED_BYTES`] whatever they are.
    pub fn decode(bytes: &[u8]) -> Result<Proof, ProofError> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.array()? {
            [VERSION] => {}
            [other] => return Err(ProofError::Version(other)),
        }
        let terminal = match reader.array()? {
            [0] => Terminal::Own,
            [1] => Terminal::Empty,
            [2] => Terminal::Other {
                path: reader.array()?,
                value: reader.array()?,
            },
            [other] => return Err(ProofError::Kind(other)),
        };
        let depth = usize::from(u16::from_le_bytes(reader.array()?));
        if depth > LEVELS {
            return Err(ProofError::TooDeep(depth));
        }
        let bitmap = reader.take(depth.div_ceil(8))?;
        let is_set = |i: usize| bitmap[i / 8] >> (i % 8) & 1 == 1;
        if (depth..bitmap.len() * 8).any(is_set) {
            return Err(ProofError::NotCanonical);
        }
        let mut siblings = Vec::with_capacity(depth);
        for i in 0..depth {
            let sibling = if is_set(i) { reader.array()? } else { EMPTY };
            if is_set(i) && sibling == EMPTY {
                return Err(ProofError::NotCanonical);
            }
            siblings.push(sibling);
        }
        if reader.at != bytes.len() {
            return Err(ProofError::Length {
                expected: reader.at,
                found: bytes.len(),
            });
        }
        Proof::new(terminal, siblings)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProofError> {
        let end = self.at + length;
        let taken = self.bytes.get(self.at..end).ok_or(ProofError::Length {
            expected: end,
            found: self.bytes.len(),
        })?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProofError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}
