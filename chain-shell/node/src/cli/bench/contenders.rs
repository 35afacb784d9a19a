//! Who takes part: backends by name, each started or with the reason why not.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ffcm::coprocessor::{Accelerator, AcceleratorError};
#[cfg(feature = "cubecl")]
use ffcm_cubecl::CubeclCoprocessor;
use ffcm_cuda::CudaCoprocessor;
use ffcm_suite::bench::{Contender, Started};
use ffcm_wgsl::WgpuCoprocessor;

use super::super::backend;
use super::super::failure::Failure;
use super::super::jit::Fusing;

/// What `--backend` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The CPU and every device there is.
    All,
    /// One of them, or what `auto` chooses.
    One(Accelerator),
}

impl FromStr for Wanted {
    type Err = AcceleratorError;

    fn from_str(text: &str) -> Result<Wanted, AcceleratorError> {
        match text {
            "all" => Ok(Wanted::All),
            _ => text.parse().map(Wanted::One),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::All => f.write_str("all"),
            Wanted::One(accelerator) => accelerator.fmt(f),
        }
    }
}

/// Starts what is wanted, the CPU once for each thread count; nobody twice.
pub(super) fn contenders(wanted: &[Wanted], threads: &[usize]) -> Result<Vec<Contender>, Failure> {
    let mut all: Vec<Contender> = Vec::new();
    for wanted in wanted {
        let named = match wanted {
            Wanted::All => every(threads),
            Wanted::One(Accelerator::Auto) => {
                let most = threads.iter().copied().max().unwrap_or(0);
                let opened = backend::open(Accelerator::Auto, most, &Fusing::default())?;
                if let Some(choice) = &opened.choice {
                    eprintln!("{choice}");
                }
                one(opened.accelerator, threads)
            }
            Wanted::One(accelerator) => one(*accelerator, threads),
        };
        for contender in named {
            let is_same = |other: &Contender| {
                (&other.backend, other.threads) == (&contender.backend, contender.threads)
            };
            if !all.iter().any(is_same) {
                all.push(contender);
            }
        }
    }
    Ok(all)
}

/// The CPU, every device, and a row for each family without any.
fn every(threads: &[usize]) -> Vec<Contender> {
    let mut all = one(Accelerator::Cpu, threads);
    for family in backend::families(true) {
        let devices = family.devices();
        if devices.is_empty() {
            let why = match family.name() {
                "cuda" => no_cuda(),
                _ => format!("no adapter was found; {}", ffcm_wgsl::device::INSTALL_HINT),
            };
            all.push(missing(family.name().to_owned(), why));
        }
        for device in devices {
            let name = format!("{}:{}", family.name(), device.index);
            let found = match (device.refused, name.parse()) {
                (Some(reason), _) => vec![missing(name, format!("{}: {reason}", device.name))],
                (None, Ok(accelerator)) => one(accelerator, threads),
                (None, Err(error)) => vec![missing(name, error.to_string())],
            };
            all.extend(found);
        }
    }
    all
}

fn no_cuda() -> String {
    match ffcm_cuda::device::devices() {
        Err(error) => error.to_string(),
        Ok(_) => "the driver lists no device".into(),
    }
}

fn missing(backend: String, why: String) -> Contender {
    Contender {
        backend,
        threads: 0,
        started: Err(why),
    }
}

fn one(accelerator: Accelerator, threads: &[usize]) -> Vec<Contender> {
    let started = match accelerator {
        Accelerator::Cpu | Accelerator::Auto => {
            return threads.iter().copied().map(Contender::cpu).collect();
        }
        Accelerator::Wgpu(adapter) => {
            let options = ffcm_wgsl::device::Options {
                adapter,
                ..ffcm_wgsl::device::Options::default()
            };
            WgpuCoprocessor::open(&options)
                .map_err(|error| error.to_string())
                .map(|device| Started {
                    meter: Some(Arc::clone(device.gpu()) as _),
                    coprocessor: Arc::new(device),
                })
        }
        Accelerator::Cuda(device) => {
            let options = ffcm_cuda::device::Options {
                device,
                ..ffcm_cuda::device::Options::default()
            };
            CudaCoprocessor::open(&options)
                .map_err(|error| error.to_string())
                .map(|device| Started {
                    meter: Some(Arc::clone(device.gpu()) as _),
                    coprocessor: Arc::new(device),
                })
        }
        #[cfg(feature = "cubecl")]
        Accelerator::Cubecl(adapter) => CubeclCoprocessor::open(adapter)
            .map_err(|error| error.to_string())
            .map(|device| Started {
                meter: Some(Arc::new(device.gpu().clone())),
                coprocessor: Arc::new(device),
            }),
        #[cfg(not(feature = "cubecl"))]
        Accelerator::Cubecl(_) => Err(backend::WITHOUT_CUBECL.into()),
    };
    vec![Contender {
        backend: accelerator.to_string(),
        threads: 0,
        started,
    }]
}
