//! Choosing a backend by name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::calibrate::Known;
use super::{
    Coprocessor, JobError, SELF_TEST_JOBS, SelfTestError, calibrate, self_test, self_test_of,
};
use crate::cpu::CpuCoprocessor;
use crate::cpu::native::Fuser;

/// A backend as the command line names it: `cpu`, `wgpu`, `wgpu:1`, `cuda`, `cuda:0`, `cubecl:0` or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// The CPU.
    Cpu,
    /// WebGPU: an adapter by index, or the one the system prefers.
    Wgpu(Option<u32>),
    /// CUDA: a device by index, or the first.
    Cuda(Option<u32>),
    /// WebGPU through kernels that cubecl compiles, for rankings and Memory Arithmetic alone: an adapter by index, or the
    /// first usable one. Few programs have it; `auto` never chooses it.
    Cubecl(Option<u32>),
    /// The best there is.
    #[default]
    Auto,
}

/// Why there is no such backend.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcceleratorError {
    /// The name is not one of ours.
    #[error("unknown backend `{0}`: use cpu, wgpu, wgpu:N, cuda, cuda:N, cubecl, cubecl:N or auto")]
    Unknown(String),
    /// This version has no such backend.
    #[error("backend `{0}` is not built into this version: use cpu or auto")]
    NotBuilt(Accelerator),
    /// The device does not start.
    #[error("backend `{accelerator}` does not start: {source}")]
    Start {
        /// The backend.
        accelerator: Accelerator,
        /// What happened.
        source: JobError,
    },
    /// The device computes wrongly and must not be used.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}

/// A started backend that passed its self-test.
#[derive(Clone)]
pub struct Opened {
    /// What was started; never [`Accelerator::Auto`].
    pub accelerator: Accelerator,
    /// The backend.
    pub coprocessor: Arc<dyn Coprocessor>,
    /// What `auto` chose and why, one line for the log; `None` where the choice was explicit.
    pub choice: Option<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("accelerator", &self.accelerator)
            .field("coprocessor", &self.coprocessor.info())
            .field("choice", &self.choice)
            .finish()
    }
}

/// A device that a [`Provider`] lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidedDevice {
    /// The index that [`Provider::open`] takes.
    pub index: u32,
    /// Name for people.
    pub name: String,
    /// Whether it is a program on the CPU rather than a device of its own.
    pub software: bool,
    /// Why it cannot be used, if so.
    pub refused: Option<String>,
}

/// A family of devices outside this crate, such as `wgpu`.
pub trait Provider: Sync {
    /// The name an [`Accelerator`] has for it: `wgpu`, `cuda` or `cubecl`.
    fn name(&self) -> &'static str;
    /// Jobs of the [`self_test`] that its devices take; a family that does not take them all is never chosen by `auto`.
    fn jobs(&self) -> &'static [&'static str] {
        &SELF_TEST_JOBS
    }
    /// Every device there is, also those that cannot be used.
    fn devices(&self) -> Vec<ProvidedDevice>;
    /// Starts a device, the preferred one if no index is given.
    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError>;
}

impl Accelerator {
    /// Starts the backend and runs its [`self_test`]; one wrong bit and it is refused. `threads` is for the CPU, 0 is
    /// one per core; `providers` are the families of devices that the program has besides.
    ///
    /// Only `auto` chooses: an explicit name that is not there is an error. `auto` times a search, a ranking and a
    /// reduction of some milliseconds on the CPU and on every device, and takes what needs the least time in sum.
    pub fn open(
        self,
        threads: usize,
        providers: &[&dyn Provider],
    ) -> Result<Opened, AcceleratorError> {
        self.open_fused(threads, providers, None)
    }

    /// The same, with native code that `fuser` makes for the CPU.
    pub fn open_fused(
        self,
        threads: usize,
        providers: &[&dyn Provider],
        fuser: Option<Arc<dyn Fuser>>,
    ) -> Result<Opened, AcceleratorError> {
        self.open_known(threads, providers, fuser, &|_| None)
    }

    /// The same, knowing where devices were measured before to begin to win: where none is faster at the sizes that `auto`
    /// times, one that wins on larger jobs is chosen, for a [`BySize`](super::BySize) to take.
    pub fn open_known(
        self,
        threads: usize,
        providers: &[&dyn Provider],
        fuser: Option<Arc<dyn Fuser>>,
        known: &Known<'_>,
    ) -> Result<Opened, AcceleratorError> {
        let (name, index) = match self {
            Accelerator::Wgpu(index) => ("wgpu", index),
            Accelerator::Cuda(index) => ("cuda", index),
            Accelerator::Cubecl(index) => ("cubecl", index),
            Accelerator::Cpu | Accelerator::Auto => {
                return self.open_cpu(threads, providers, fuser, known);
            }
        };
        let provider = providers.iter().find(|provider| provider.name() == name);
        let provider = provider.ok_or(AcceleratorError::NotBuilt(self))?;
        let coprocessor = provider
            .open(index)
            .map_err(|source| AcceleratorError::Start {
                accelerator: self,
                source,
            })?;
        self_test_of(&*coprocessor, provider.jobs())?;
        Ok(Opened {
            accelerator: self,
            coprocessor,
            choice: None,
        })
    }

    /// The CPU, or what `auto` prefers to it.
    fn open_cpu(
        self,
        threads: usize,
        providers: &[&dyn Provider],
        fuser: Option<Arc<dyn Fuser>>,
        known: &Known<'_>,
    ) -> Result<Opened, AcceleratorError> {
        let accelerator = Accelerator::Cpu;
        let cpu = match fuser {
            Some(fuser) => CpuCoprocessor::with_fuser(threads, fuser),
            None => CpuCoprocessor::new(threads),
        };
        let cpu = cpu.map_err(|source| AcceleratorError::Start {
            accelerator,
            source,
        })?;
        self_test(&cpu)?;
        let cpu = Arc::new(cpu);
        if self == Accelerator::Cpu {
            return Ok(Opened {
                accelerator,
                coprocessor: cpu,
                choice: None,
            });
        }
        let start = Instant::now();
        let clock = || start.elapsed();
        let (accelerator, coprocessor, line) = calibrate::choose(cpu, providers, &clock, known)?;
        Ok(Opened {
            accelerator,
            coprocessor,
            choice: Some(line),
        })
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accelerator::Cpu => f.write_str("cpu"),
            Accelerator::Wgpu(None) => f.write_str("wgpu"),
            Accelerator::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
            Accelerator::Cuda(None) => f.write_str("cuda"),
            Accelerator::Cuda(Some(index)) => write!(f, "cuda:{index}"),
            Accelerator::Cubecl(None) => f.write_str("cubecl"),
            Accelerator::Cubecl(Some(index)) => write!(f, "cubecl:{index}"),
            Accelerator::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Accelerator {
    type Err = AcceleratorError;

    /// Exactly what [`fmt::Display`] prints; an index is decimal digits without sign or leading zero.
    fn from_str(text: &str) -> Result<Accelerator, AcceleratorError> {
        let unknown = || AcceleratorError::Unknown(text.chars().take(80).collect());
        let (name, index) = match text.split_once(':') {
            None => (text, None),
            Some((name, digits)) => {
                let index: u32 = digits.parse().map_err(|_| unknown())?;
                if index.to_string() != digits {
                    return Err(unknown());
                }
                (name, Some(index))
            }
        };
        match (name, index) {
            ("cpu", None) => Ok(Accelerator::Cpu),
            ("auto", None) => Ok(Accelerator::Auto),
            ("wgpu", index) => Ok(Accelerator::Wgpu(index)),
            ("cuda", index) => Ok(Accelerator::Cuda(index)),
            ("cubecl", index) => Ok(Accelerator::Cubecl(index)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_round_trip(kind in 0..5, index: Option<u32>) {
            let accelerator = match kind {
                0 => Accelerator::Cpu,
                1 => Accelerator::Wgpu(index),
                2 => Accelerator::Cuda(index),
                3 => Accelerator::Cubecl(index),
                _ => Accelerator::Auto,
            };
            prop_assert_eq!(accelerator.to_string().parse::<Accelerator>().unwrap(), accelerator);
        }

        #[test]
        fn what_parses_prints_itself(text in "(cpu|wgpu|cuda|cubecl|auto|gpu|)(:?[0-9 +a-]{0,11})") {
            match text.parse::<Accelerator>() {
                Ok(accelerator) => prop_assert_eq!(accelerator.to_string(), text),
                Err(error) => prop_assert!(matches!(error, AcceleratorError::Unknown(given) if given == text)),
            }
        }
    }

    #[test]
    fn near_misses_are_unknown() {
        for text in [
            "",
            "CPU",
            "cpu:0",
            "auto:1",
            "wgpu:",
            "wgpu:01",
            "wgpu:+1",
            "wgpu:4294967296",
            "cuda:0:0",
            " cpu",
        ] {
            let error = text.parse::<Accelerator>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
        let long = "x".repeat(1 << 20).parse::<Accelerator>().unwrap_err();
        assert!(long.to_string().len() < 200);
    }

    #[test]
    fn gpu_backends_say_that_they_are_not_built() {
        for name in ["wgpu", "wgpu:2", "cuda", "cuda:0", "cubecl", "cubecl:1"] {
            let accelerator: Accelerator = name.parse().unwrap();
            let error = accelerator.open(1, &[]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("backend `{name}` is not built into this version: use cpu or auto")
            );
        }
    }

    #[test]
    fn without_devices_auto_is_the_cpu_and_says_so() {
        let opened = Accelerator::Auto.open(1, &[]).unwrap();
        assert_eq!(opened.accelerator, Accelerator::Cpu);
        assert_eq!(opened.coprocessor.info().backend, "cpu");
        let line = opened.choice.unwrap();
        assert_eq!(line, "auto chose cpu: this version has no GPU backend");
        let opened = Accelerator::Cpu.open(1, &[]).unwrap();
        assert_eq!(opened.choice, None);
    }
}
