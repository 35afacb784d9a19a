//! The backends this program has, and what runs a node's jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(feature = "cubecl"))]
use ffcm::coprocessor::JobError;
use ffcm::coprocessor::{
    Accelerator, AcceleratorError, BySize, Coprocessor, DeviceInfo, FallbackEvent, FallbackState,
    Opened, Provider, WithFallback, measure_crossovers,
};
#[cfg(feature = "cubecl")]
use ffcm_cubecl::CubeclProvider;
use ffcm_cuda::CudaProvider;
use ffcm_wgsl::WgpuProvider;

use super::crossover::CrossoverFile;
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
    let file = CrossoverFile::of_user();
    let known = |info: &DeviceInfo| file.load(info);
    let mut opened = accelerator.open_known(threads, &providers, fusing.fuser(), &known)?;
    if opened.choice.is_some() && opened.accelerator != Accelerator::Cpu {
        opened = by_size(opened, cpu_behind(threads, fusing)?, &file);
    }
    if let Some(choice) = &opened.choice {
        tracing::info!("{choice}");
    }
    Ok(opened)
}

/// The same for a node, which runs small jobs on the CPU whoever chose the device, if it is known which are small.
pub(crate) fn open_node(
    accelerator: Accelerator,
    threads: usize,
    fusing: &Fusing,
) -> Result<Opened, AcceleratorError> {
    let mut opened = open(accelerator, threads, fusing)?;
    let is_named = opened.choice.is_none() && opened.accelerator != Accelerator::Cpu;
    let known = is_named.then(|| CrossoverFile::of_user().load(&opened.coprocessor.info()));
    if let Some(known) = known.flatten() {
        let device = opened.coprocessor.info().device;
        opened.choice = Some(format!(
            "backend {accelerator}, {device}; smaller jobs go to the CPU: {known}"
        ));
        let cpu = cpu_behind(threads, fusing)?;
        opened.coprocessor = Arc::new(BySize::new(cpu, opened.coprocessor, known));
    }
    Ok(opened)
}

fn cpu_behind(threads: usize, fusing: &Fusing) -> Result<Arc<dyn Coprocessor>, AcceleratorError> {
    let cpu = fusing
        .cpu(threads)
        .map_err(|source| AcceleratorError::Start {
            accelerator: Accelerator::Cpu,
            source,
        })?;
    Ok(Arc::new(cpu))
}

/// A device that `auto` chose, for large jobs, with `cpu` for small ones: by what is known of it, which is measured now and
/// kept where nothing is. A device that turns out wrong or fails is not used.
fn by_size(mut opened: Opened, cpu: Arc<dyn Coprocessor>, file: &CrossoverFile) -> Opened {
    let info = opened.coprocessor.info();
    let crossovers = match file.load(&info) {
        Some(known) => Ok(known),
        None => measure_crossovers(&*cpu, &*opened.coprocessor).inspect(|measured| {
            file.keep(&info, measured);
        }),
    };
    let choice = opened.choice.take().unwrap_or_default();
    let (choice, accelerator, coprocessor) = match crossovers {
        Ok(crossovers) => {
            let choice = format!("{choice}; smaller jobs go to the CPU: {crossovers}");
            let by_size = BySize::new(cpu, opened.coprocessor, crossovers);
            (choice, opened.accelerator, Arc::new(by_size) as Arc<_>)
        }
        Err(error) => {
            tracing::error!(%error, device = info.device, "the device is not used");
            let choice = format!("auto chose cpu; {}: {error}", info.backend);
            (choice, Accelerator::Cpu, cpu)
        }
    };
    Opened {
        accelerator,
        coprocessor,
        choice: Some(choice),
    }
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

#[cfg(test)]
mod tests {
    use ffcm::coprocessor::{
        Crossover, Crossovers, FocusJob, HashJob, HashOutput, JobError, JobKind, OracleCoprocessor,
        RewriteJob, RewriteOutput, ranking_digest,
    };
    use ffcm::focus::{FocusParams, Ranking};
    use ffcm::graph::{EdgeDelta, Graph};
    use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

    use super::super::crossover::tests::file;
    use super::*;

    /// The oracle as a card that ranks graphs of at least so many edges, and no others, wrongly if told to.
    struct Card {
        least: u64,
        wrong: bool,
    }

    impl Coprocessor for Card {
        fn info(&self) -> DeviceInfo {
            DeviceInfo {
                backend: "wgpu:0".into(),
                device: "a card".into(),
                threads: 0,
            }
        }
        fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
            OracleCoprocessor.rewrite(job)
        }
        fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
            if job.graph.edge_count() < self.least {
                return Err(JobError::Device("too small for me".into()));
            }
            let mut ranking = OracleCoprocessor.focus(job)?;
            ranking.mass[0] ^= u64::from(self.wrong);
            Ok(ranking)
        }
        fn memory(
            &self,
            memory: &mut Memory,
            ops: &[(SlotId, MemoryOp)],
        ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
            OracleCoprocessor.memory(memory, ops)
        }
        fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
            OracleCoprocessor.hash(job)
        }
    }

    fn chosen(least: u64, wrong: bool) -> Opened {
        Opened {
            accelerator: Accelerator::Wgpu(Some(0)),
            coprocessor: Arc::new(Card { least, wrong }),
            choice: Some("auto chose wgpu:0".into()),
        }
    }

    fn cpu() -> Arc<dyn Coprocessor> {
        Arc::new(Fusing::default().cpu(1).unwrap())
    }

    fn rank(coprocessor: &dyn Coprocessor, edges: u32) -> Result<[u8; 32], JobError> {
        let mut graph = Graph::new();
        graph.add_nodes(edges + 1).unwrap();
        let edge = |source| EdgeDelta {
            source,
            target: source + 1,
            weight: 1,
        };
        graph
            .apply(&(0..edges).map(edge).collect::<Vec<_>>())
            .unwrap();
        let job = FocusJob {
            graph: &graph,
            params: FocusParams::default(),
            start: None,
        };
        Ok(ranking_digest(&coprocessor.focus(&job)?))
    }

    #[test]
    fn the_choice_follows_the_table_and_the_answers_do_not() {
        let (_folder, file) = file();
        let mut known = Crossovers::default();
        known.set(JobKind::Focus, Crossover::From(50));
        file.keep(&chosen(0, false).coprocessor.info(), &known);
        let opened = by_size(chosen(50, false), cpu(), &file);
        assert_eq!(opened.accelerator, Accelerator::Wgpu(Some(0)));
        let choice = opened.choice.unwrap();
        assert!(
            choice.ends_with("go to the CPU: focus from 50 edges"),
            "{choice}"
        );
        for edges in [3, 49, 50, 80] {
            let found = rank(&*opened.coprocessor, edges).unwrap();
            assert_eq!(found, rank(&OracleCoprocessor, edges).unwrap());
        }
        // Without the table this card is asked for what it does not do.
        assert!(
            rank(
                &Card {
                    least: 50,
                    wrong: false
                },
                49
            )
            .is_err()
        );
    }

    #[test]
    fn what_nobody_knows_is_measured_and_kept() {
        let (_folder, file) = file();
        let opened = by_size(chosen(0, false), cpu(), &file);
        assert_eq!(opened.accelerator, Accelerator::Wgpu(Some(0)));
        let known = file.load(&opened.coprocessor.info()).unwrap();
        for kind in JobKind::ALL {
            assert_ne!(known.get(kind), Crossover::Unknown, "{kind:?}");
        }
    }

    #[test]
    fn a_device_that_is_wrong_or_fails_while_it_is_measured_is_not_used() {
        for (card, words) in [
            (chosen(0, true), "wrong focus result"),
            (chosen(u64::MAX, false), "too small for me"),
        ] {
            let (_folder, file) = file();
            let info = card.coprocessor.info();
            let opened = by_size(card, cpu(), &file);
            assert_eq!(opened.accelerator, Accelerator::Cpu);
            let choice = opened.choice.unwrap();
            assert!(choice.starts_with("auto chose cpu; wgpu:0: "), "{choice}");
            assert!(choice.contains(words), "{choice}");
            assert_eq!(file.load(&info), None);
            assert_eq!(opened.coprocessor.info().backend, "cpu");
        }
    }
}
