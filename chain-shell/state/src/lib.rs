//! Commit state under one root.
//!
//! The root and its proofs are those of [`focus_proof`]: a binary sparse Merkle tree over the digests of the keys, whose
//! hash depends on the set of key-value pairs alone. This crate keeps that tree in pages of a [`focus_store::Store`]:
//!
//! * **Pages.** A page stands for all pairs whose path begins with the page's prefix, a number of nibbles. Up to
//!   [`BUCKET`] pairs it is a *bucket* and lists them; above, it is an *inner page* with the hash and the number of
//!   pairs of each of its 16 children. Which pages there are, and every byte of them, depends on the set of pairs alone
//!   too: a page splits and collapses at the same count.
//! * **Update.** [`StateTree::update`] reads only the pages that the changed keys lie in, and those of sub-trees that
//!   collapse. Above a threshold it works on the 16 children of a page in parallel. It writes nothing: the
//!   [`TreeUpdate`] goes into the same [`Batch`](focus_store::Batch) as the values, and so into the same commit.
//! * **Hashing.** The buckets below an inner page are hashed together, level by level, so that a vector unit always has
//!   sixteen (or eight) independent compressions to do at once; the digests are those of one at a time.
//! * **Memory.** No page is kept between updates: reads go to the store and its bounded cache. An update holds the pages
//!   that differ, which the batch shares.
//! * **Uncommitted blocks.** A tree may be seen through updates that are not committed yet: [`StateTree::over`].
//!
//! ```
//! use focus_state::StateTree;
//! use focus_store::{Batch, MemoryStore, Store, Table};
//!
//! let store = MemoryStore::new();
//! let update = StateTree::of(&store)?.update([(&b"key"[..], Some(&b"value"[..]))])?;
//! let mut batch = Batch::new();
//! batch.put(Table::State, "key", "value");
//! update.add_to(&mut batch);
//! store.commit(&batch)?;
//!
//! let tree = StateTree::of(&store)?;
//! assert_eq!(tree.root()?, update.root());
//! assert!(tree.prove(b"key")?.verify(&update.root(), b"key", Some(b"value")).is_ok());
//! assert!(tree.prove(b"other")?.verify(&update.root(), b"other", None).is_ok());
//! # Ok::<(), focus_state::StateError>(())
//! ```

mod forest;
mod many;
mod page;
mod tree;
mod update;

use focus_store::{MemoryStore, StoreError};
use thiserror::Error;

pub use focus_proof::{EMPTY, Hash, Proof, ProofError};
pub use page::BUCKET;
pub use tree::StateTree;
pub use update::TreeUpdate;

/// Why the tree could not be read or changed. Nothing was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A page is missing or is not what its parent says.
    #[error("state page /{page}: {message}")]
    Damaged {
        /// The page's prefix, one hexadecimal digit per level.
        page: String,
        /// What was found.
        message: &'static str,
    },
    /// An update changes one key twice.
    #[error("a key occurs twice in one update")]
    DuplicateKey,
}

/// The root of a whole state, built from nothing: what the incremental root must equal.
pub fn root_of<'p>(
    pairs: impl IntoIterator<Item = (&'p [u8], &'p [u8])>,
) -> Result<Hash, StateError> {
    let changes = pairs.into_iter().map(|(key, value)| (key, Some(value)));
    Ok(StateTree::of(&MemoryStore::new())?.update(changes)?.root())
}
