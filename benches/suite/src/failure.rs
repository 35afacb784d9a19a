//! How a command fails: one line, and the exit code that scripts see.

use std::fmt::Display;
use std::path::Path;

use thiserror::Error;

/// Why a command ends without success.
#[derive(Debug, Error)]
pub enum Failure {
    /// Something was missing or did not work: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Two engines disagree, or a result is wrong: exit code 3.
    #[error("mismatch: {0}")]
    Mismatch(String),
}

impl Failure {
    /// Something that did not work.
    pub fn failed(error: impl Display) -> Failure {
        Failure::Failed(error.to_string())
    }

    /// A file that could not be read or written.
    pub fn file(path: &Path, error: &impl Display) -> Failure {
        Failure::Failed(format!("{}: {error}", path.display()))
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Mismatch(_) => 3,
        }
    }
}
