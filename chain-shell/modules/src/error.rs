//! What goes wrong below transactions.

use ffcm_scheduler::ReadError;
use thiserror::Error;

/// A module cannot work. Never the fault of a transaction: storage is damaged or gone, or the chain is full.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A stored value is not what the module wrote.
    #[error("the value under {key} is damaged")]
    Damaged {
        /// State key, printable bytes as they are.
        key: String,
    },
    /// The graph has 2^32 - 1 particles.
    #[error("the graph is full")]
    GraphFull,
}

impl ModuleError {
    /// The value under `key` is damaged.
    pub fn damaged(key: &[u8]) -> ModuleError {
        ModuleError::Damaged {
            key: key.escape_ascii().to_string(),
        }
    }
}

impl From<ModuleError> for ReadError {
    fn from(error: ModuleError) -> ReadError {
        match error {
            ModuleError::Read(error) => error,
            other => ReadError(other.to_string()),
        }
    }
}
