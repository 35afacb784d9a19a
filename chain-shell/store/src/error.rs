//! Why a store fails.

use thiserror::Error;

/// Why the store failed. Nothing of the batch in question was kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened, read or written.
    #[error("{path}: {message}")]
    Io {
        /// File or folder.
        path: String,
        /// What happened and what to do.
        message: String,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {message}")]
    Damaged {
        /// File.
        path: String,
        /// What was found.
        message: String,
    },
    /// Another process holds the file.
    #[error("{path} is in use by another process")]
    Locked {
        /// File.
        path: String,
    },
    /// A key or a value is longer than a store takes.
    #[error("a {what} of {size} bytes, the limit is {limit}")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its length in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}
