//! `--jit`: whether the CPU runs native code for hot definitions.

use std::convert::Infallible;
use std::path::{MAIN_SEPARATOR, PathBuf};
use std::str::FromStr;

use clap::Args;
use thiserror::Error;

/// What `--jit` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Jit {
    /// The interpreter alone.
    Off,
    /// Native code, kept in memory.
    On,
    /// Native code, kept in memory and in this folder.
    Folder(PathBuf),
}

/// A value of `--jit` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum JitError {
    /// Neither a switch nor a path.
    #[error("`{0}` is not on, off or a folder; write ./{0} for a folder here")]
    Unknown(String),
    /// There is something else at that path.
    #[error("`{0}` is not a folder")]
    NotAFolder(String),
}

impl FromStr for Jit {
    type Err = JitError;

    /// A folder is told from a switch by a separator in it, so that a mistyped switch is no folder.
    fn from_str(text: &str) -> Result<Jit, JitError> {
        let shown = || text.chars().take(80).collect();
        match text {
            "on" => Ok(Jit::On),
            "off" => Ok(Jit::Off),
            path if path.contains(['/', MAIN_SEPARATOR]) => {
                let path = PathBuf::from(path);
                match path.metadata() {
                    Ok(found) if !found.is_dir() => Err(JitError::NotAFolder(shown())),
                    _ => Ok(Jit::Folder(path)),
                }
            }
            _ => Err(JitError::Unknown(shown())),
        }
    }
}

/// The option, for every verb that opens a CPU.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JitArguments {
    /// Native code for hot definitions on the CPU: on, off, or a folder (a path with a /) that keeps it for later runs; by
    /// default on where there is native code for the processor. Never changes a result
    #[arg(long, value_name = "on|off|DIR")]
    pub(crate) jit: Option<Jit>,
}
