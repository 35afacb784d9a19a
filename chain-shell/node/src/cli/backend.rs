//! The backends this program has, and what runs a node's jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(feature = "cubecl"))]
use ffcm::coprocessor::JobError;
use ffcm::coprocessor::{
    Accelerator, AcceleratorError, Coprocessor, DeviceInfo, FallbackEvent, FallbackState, Opened,
    Provider, WithFallback,
};
#[cfg(feature = "cubecl")]
use ffcm_cubecl::CubeclProvider;
use ffcm_cuda::CudaProvider;
use ffcm_wgsl::WgpuProvider;

use super::failure::Failure;
use super::jit::Fusing;

/// Starts a backend, the CPU with native code if `fusing` makes any, a device with kernels for rows of numbers unless it is
/// told not to; what `auto` chose goes to the log.
pub(crate) fn open(
    accelerator: Accelerator,
    threads: usize,
    fusing: &Fusing,
) -> Result<Opened, AcceleratorError> {
    built_in(accelerator)?;
    let families = families(fusing.row_kernels());
    let providers: Vec<&dyn Provider> = families.iter().map(|family| &**family).collect();
    let opened = accelerator.open_fused(threads, &providers, fusing.fuser())?;
    if let Some(choice) = &opened.choice {
        tracing::info!("{choice}");
    }
    Ok(opened)
}

/// The families of devices that this program has.
pub(crate) fn families(row_kernels: bool) -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(WgpuProvider { row_kernels }),
        Box::new(CudaProvider { row_kernels }),
        #[cfg(feature = "cubecl")]
        Box::new(CubeclProvider),
    ]
}

/// What is missing, and how to get it.
#[cfg(not(feature = "cubecl"))]
pub(crate) const WITHOUT_CUBECL: &str =
    "cubecl: it takes the feature, `cargo build --release -p focus-node --features cubecl`";

/// Refuses a backend that other builds of this program have, and says how to make one.
#[cfg(not(feature = "cubecl"))]
fn built_in(accelerator: Accelerator) -> Result<(), AcceleratorError> {
    match accelerator {
        Accelerator::Cubecl(_) => Err(AcceleratorError::Start {
            accelerator,
            source: JobError::NotSupported {
                backend: "this build".into(),
                job: WITHOUT_CUBECL,
            },
        }),
        _ => Ok(()),
    }
}

/// Everything is built in.
#[cfg(feature = "cubecl")]
fn built_in(_: Accelerator) -> Result<(), AcceleratorError> {
    Ok(())
}

/// What runs the jobs of a node: the CPU, or a device with the CPU behind it.
#[derive(Clone)]
pub(crate) enum Serving {
    Cpu(Arc<dyn Coprocessor>),
    Device(Arc<WithFallback>),
}

impl Serving {
    /// Puts the CPU behind what was opened, if that is a device. `threads` and `fusing` are for the CPU.
    pub(crate) fn new(opened: Opened, threads: usize, fusing: &Fusing) -> Result<Serving, Failure> {
        if opened.accelerator == Accelerator::Cpu {
            return Ok(Serving::Cpu(opened.coprocessor));
        }
        let cpu = Arc::new(fusing.cpu(threads)?);
        Ok(Serving::behind(opened.coprocessor, cpu))
    }

    /// `device` with `cpu` behind it; events go to the log.
    pub(crate) fn behind(device: Arc<dyn Coprocessor>, cpu: Arc<dyn Coprocessor>) -> Serving {
        let unsupported = AtomicU64::new(0);
        let observer = move |event: &FallbackEvent<'_>| log(event, &unsupported);
        Serving::Device(Arc::new(WithFallback::new(device, cpu, observer)))
    }

    pub(crate) fn coprocessor(&self) -> Arc<dyn Coprocessor> {
        match self {
            Serving::Cpu(cpu) => Arc::clone(cpu),
            Serving::Device(device) => Arc::clone(device) as Arc<dyn Coprocessor>,
        }
    }

    /// The device that runs the next job.
    pub(crate) fn info(&self) -> DeviceInfo {
        match self {
            Serving::Cpu(cpu) => cpu.info(),
            Serving::Device(device) => device.info(),
        }
    }

    /// Who serves, and what has happened so far.
    pub(crate) fn state(&self) -> FallbackState {
        match self {
            Serving::Device(device) => device.state(),
            Serving::Cpu(cpu) => {
                let backend = cpu.info().backend;
                FallbackState {
                    serving: backend.clone(),
                    backend,
                    failure: None,
                    failovers: 0,
                    unsupported: 0,
                }
            }
        }
    }
}

/// A job that a device does not take may come with every block: the 1st, 2nd, 4th, … of them is a warning, the metric counts
/// all.
fn log(event: &FallbackEvent<'_>, unsupported: &AtomicU64) {
    match *event {
        FallbackEvent::FailedOver {
            backend,
            job,
            reason,
        } => tracing::error!(
            backend,
            job,
            reason,
            "the device failed; the CPU runs this job again and serves from now on"
        ),
        FallbackEvent::Unsupported {
            backend,
            job,
            reason,
        } => {
            let count = unsupported.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::warn!(
                    backend,
                    job,
                    reason,
                    count,
                    "the CPU runs what the device does not take"
                );
            }
        }
    }
}
