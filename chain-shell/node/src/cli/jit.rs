//! `--jit`: whether the CPU runs native code for hot definitions, and devices kernels made for them.

use std::path::{MAIN_SEPARATOR, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use ffcm::coprocessor::JobError;
use ffcm::cpu::CpuCoprocessor;
use ffcm::cpu::native::Fuser;
use ffcm_jit::native::{Native, Options};
use focus_rpc::JitHealth;
use thiserror::Error;

use super::failure::Failure;

/// What `--jit` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Jit {
    /// The interpreter alone, on every device.
    Off,
    /// Native code, kept in memory.
    On,
    /// Native code, kept in memory and in this folder.
    Folder(PathBuf),
}

/// What it means that the option is absent. A processor without native code is no failure then.
const DEFAULT: Jit = Jit::On;

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
    /// Code for hot definitions, native on the CPU, kernels on devices: on, off, or a folder (a path with a /) that keeps
    /// native code for later runs; on if absent. Never changes a result
    #[arg(long, value_name = "on|off|DIR")]
    pub(crate) jit: Option<Jit>,
}

/// What makes native code, if anything does.
#[derive(Clone, Default)]
pub(crate) struct Fusing {
    native: Option<Arc<Native>>,
    /// Nothing is to be compiled, for any device.
    off: bool,
}

impl Fusing {
    /// Starts what `arguments` ask for. A processor that there is no native code for is a failure only if that was asked for.
    pub(crate) fn start(arguments: &JitArguments) -> Result<Fusing, Failure> {
        let disk = match arguments.jit.as_ref().unwrap_or(&DEFAULT) {
            Jit::Off => {
                return Ok(Fusing {
                    native: None,
                    off: true,
                });
            }
            Jit::Folder(folder) => Some(folder.clone()),
            Jit::On => None,
        };
        let options = Options {
            disk,
            ..Options::default()
        };
        match Native::new(options) {
            Ok(native) => Ok(Fusing {
                native: Some(Arc::new(native)),
                off: false,
            }),
            Err(error) if arguments.jit.is_none() => {
                tracing::info!(%error, "nets are interpreted");
                Ok(Fusing::default())
            }
            Err(error) => Err(Failure::new(format_args!("--jit: {error}; use --jit off"))),
        }
    }

    /// For a CPU to be started.
    pub(crate) fn fuser(&self) -> Option<Arc<dyn Fuser>> {
        let native = self.native.as_ref()?;
        Some(Arc::clone(native) as Arc<dyn Fuser>)
    }

    /// Whether devices are to run kernels for rows of numbers.
    pub(crate) fn row_kernels(&self) -> bool {
        !self.off
    }

    /// The CPU, with native code or without.
    pub(crate) fn cpu(&self, threads: usize) -> Result<CpuCoprocessor, JobError> {
        match self.fuser() {
            Some(fuser) => CpuCoprocessor::with_fuser(threads, fuser),
            None => CpuCoprocessor::new(threads),
        }
    }

    /// What it has come to so far; none where there is no native code.
    pub(crate) fn health(&self) -> Option<JitHealth> {
        let done = self.native.as_ref()?.statistics();
        Some(JitHealth {
            functions: done.functions,
            compile_micros: done.microseconds,
            code_bytes: done.bytes,
            memory_hits: done.memory_hits,
            disk_hits: done.disk_hits,
            misses: done.misses,
            disk_errors: done.disk_errors,
            books_given_up: done.over_budget + done.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_folders_are_told_apart() {
        let folder = |path: &str| Ok(Jit::Folder(path.into()));
        assert_eq!("on".parse(), Ok(Jit::On));
        assert_eq!("off".parse(), Ok(Jit::Off));
        assert_eq!("./on".parse(), folder("./on"));
        assert_eq!("/nowhere/at/all".parse(), folder("/nowhere/at/all"));
        for text in ["", "On", "yes", "1", "cache"] {
            let unknown = Err(JitError::Unknown(text.to_owned()));
            assert_eq!(text.parse::<Jit>(), unknown);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let refused = Err(JitError::NotAFolder(path.chars().take(80).collect()));
        assert_eq!(path.parse::<Jit>(), refused);
        let long = "x".repeat(1 << 20).parse::<Jit>().unwrap_err();
        assert!(long.to_string().len() < 300);
    }

    #[test]
    fn off_is_off() {
        let off = JitArguments {
            jit: Some(Jit::Off),
        };
        let fusing = Fusing::start(&off).unwrap();
        assert!(fusing.fuser().is_none() && fusing.health().is_none());
        assert!(!fusing.row_kernels());
        let absent = Fusing::start(&JitArguments::default()).unwrap();
        assert!(absent.row_kernels());
        let native = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        assert_eq!(absent.fuser().is_some(), native);
    }
}
