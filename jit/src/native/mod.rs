//! Modules as machine code of the processor at hand.

mod abi;
mod arith;
mod body;
mod cache;
mod code;
mod control;
mod fuser;
mod host;
mod insts;
mod render;
mod rows;
#[cfg(test)]
mod tests;

use cranelift_codegen::binemit::Reloc;

pub use self::cache::{CacheError, Disk, user_folder};
pub use self::code::Placed;
pub use self::fuser::{Build, Native, Options, Statistics};
pub use self::render::{Door, Image, Renderer};
pub use self::rows::{Rows, RowsError};

/// Why there is no code for a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The processor is of another kind than those that code is written for.
    #[error("there is no native code for {0}")]
    NoNativeCode(&'static str),
    /// The code generator does not take this machine.
    #[error("no code generator for this machine: {0}")]
    Target(String),
    /// The module breaks the rules of [`crate::ir`].
    #[error("function {function}: {what}")]
    Invalid {
        /// Its name.
        function: String,
        /// Which rule.
        what: &'static str,
    },
    /// The code generator failed.
    #[error("function {function}: {error}")]
    Compile {
        /// Its name.
        function: String,
        /// What it says.
        error: String,
    },
    /// A call goes too far, or is of a kind that is not written.
    #[error("a call cannot be written: {0}")]
    Relocation(Reloc),
    /// It was told to stop.
    #[error("it took longer than it may")]
    Stopped,
}
