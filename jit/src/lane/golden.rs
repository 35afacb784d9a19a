//! Kernels that are kept under version control: whoever changes a renderer sees what the change does.
//! `cargo xtask codegen` writes the files.

use ffcm::net::{Book, LoadError};
use ffcm::spec::number::Kind;
use thiserror::Error;

use super::{Calls, Column, Refusal, of_book, render_calls, render_kernel};
use crate::Target;

const U24: Column = Column::Plain(Kind::U24 as u8);

/// A kernel that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Golden {
    /// Name of its files.
    pub name: &'static str,
    /// Where the program is, from the root of the repository.
    pub program: &'static str,
    /// The definition.
    pub definition: &'static str,
    /// Its arguments.
    pub columns: &'static [Column],
}

/// The lane functions of a program's nets that are kept.
#[derive(Clone, Copy, Debug)]
pub struct GoldenCalls {
    /// Name of their files.
    pub name: &'static str,
    /// Where the program is, from the root of the repository.
    pub program: &'static str,
}

/// Why a kernel cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The program is none.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The program has no such definition.
    #[error("there is no @{0}")]
    Missing(&'static str),
    /// It has no lane function.
    #[error("@{0}: {1}")]
    Refused(&'static str, Refusal),
    /// Its nets have no lane functions.
    #[error("nets of `{0}` have no lane functions")]
    NoCalls(&'static str),
}

/// The weight nets, and loops and recursion of the golden programs.
pub const KERNELS: [Golden; 6] = [
    Golden {
        name: "stake",
        program: "vm-sandboxes/nets/stake.hvm",
        definition: "weight",
        columns: &[U24, U24, U24],
    },
    Golden {
        name: "age-decay",
        program: "vm-sandboxes/nets/age-decay.hvm",
        definition: "weight",
        columns: &[U24, U24, U24],
    },
    Golden {
        name: "age-decay-any",
        program: "vm-sandboxes/nets/age-decay.hvm",
        definition: "weight",
        columns: &[Column::Any, Column::Any, Column::Any],
    },
    Golden {
        name: "sum-rec",
        program: "ffcm/golden/nets/sum_rec.hvm",
        definition: "sum",
        columns: &[U24, U24],
    },
    Golden {
        name: "stress-fork",
        program: "ffcm/golden/nets/stress.hvm",
        definition: "fork",
        columns: &[U24],
    },
    Golden {
        name: "stress-countdown",
        program: "ffcm/golden/nets/stress.hvm",
        definition: "countdown",
        columns: &[U24],
    },
];

/// Those of golden programs that recurse, count and loop.
pub const CALLS: [GoldenCalls; 2] = [
    GoldenCalls {
        name: "net-sum-rec",
        program: "ffcm/golden/nets/sum_rec.hvm",
    },
    GoldenCalls {
        name: "net-stress",
        program: "ffcm/golden/nets/stress.hvm",
    },
];

fn path(name: &str, target: Target) -> String {
    let ending = match target {
        Target::Wgsl => "wgsl",
        Target::Cuda => "cu",
    };
    format!("jit/golden/{name}.{ending}")
}

impl GoldenCalls {
    /// Where the text is kept, from the root of the repository.
    pub fn path(&self, target: Target) -> String {
        path(self.name, target)
    }

    /// The text, of the text of the program.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn text(&self, program: &str, target: Target) -> Result<String, GoldenError> {
        let calls = Calls::of_book(&Book::parse(program)?);
        let calls = calls.ok_or(GoldenError::NoCalls(self.name))?;
        Ok(render_calls(&calls, target))
    }
}

impl Golden {
    /// Where the kernel is kept, from the root of the repository.
    pub fn path(&self, target: Target) -> String {
        path(self.name, target)
    }

    /// The kernel, of the text of the program.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn kernel(&self, program: &str, target: Target) -> Result<String, GoldenError> {
        let book = Book::parse(program)?;
        let entry = book.find(self.definition);
        let entry = entry.ok_or(GoldenError::Missing(self.definition))?;
        let program = of_book(&book, entry, self.columns)
            .map_err(|refusal| GoldenError::Refused(self.definition, refusal))?;
        Ok(render_kernel(&program, target))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn kernels_are_those_kept() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for golden in KERNELS {
            let program = fs::read_to_string(root.join(golden.program)).unwrap();
            for target in Target::ALL {
                let path = golden.path(target);
                let kept = fs::read_to_string(root.join(&path)).unwrap_or_default();
                let found = golden.kernel(&program, target).unwrap();
                assert!(found == kept, "{path} is stale: run `cargo xtask codegen`");
            }
        }
    }

    #[test]
    fn lane_functions_of_nets_are_those_kept() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for golden in CALLS {
            let program = fs::read_to_string(root.join(golden.program)).unwrap();
            for target in Target::ALL {
                let path = golden.path(target);
                let kept = fs::read_to_string(root.join(&path)).unwrap_or_default();
                let found = golden.text(&program, target).unwrap();
                assert!(found == kept, "{path} is stale: run `cargo xtask codegen`");
            }
        }
    }
}
