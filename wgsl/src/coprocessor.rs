//! The device as a coprocessor.

use std::fmt;
use std::sync::{Arc, Mutex};

use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, EvaluateJob, EvaluateOutput, FocusJob, HashJob, HashOutput, JobError,
    ProvidedDevice, Provider, RewriteJob, RewriteOutput,
};
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use ffcm_jit::lane::{self, LaneStats};

use crate::device::{AdapterSummary, Gpu, GpuError, Options, adapters};
use crate::focus::FocusEngine;
use crate::hash::HashEngine;
use crate::memory::MemoryEngine;
use crate::net::{LaneFunctions, NetEngine, NetOptions, NetStats};
use crate::rows::RowsEngine;

/// Runs jobs on one adapter, one at a time.
pub struct WgpuCoprocessor {
    gpu: Arc<Gpu>,
    index: Option<u32>,
    net_options: NetOptions,
    row_kernels: bool,
    lane_functions: LaneFunctions,
    engines: Mutex<Engines>,
}

/// Made when first needed, so that nobody waits for kernels they do not use.
#[derive(Default)]
struct Engines {
    net: Option<NetEngine>,
    focus: Option<FocusEngine>,
    memory: Option<MemoryEngine>,
    hash: Option<HashEngine>,
    rows: Option<RowsEngine>,
}

impl fmt::Debug for WgpuCoprocessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WgpuCoprocessor")
            .field("gpu", &self.gpu)
            .finish_non_exhaustive()
    }
}

/// The engine in `slot`, made if there is none. An engine that fails is not used again: what it holds on the device
/// may be half done.
fn with_engine<E, T>(
    slot: &mut Option<E>,
    make: impl FnOnce() -> Result<E, GpuError>,
    run: impl FnOnce(&mut E) -> Result<T, JobError>,
) -> Result<T, JobError> {
    let mut engine = match slot.take() {
        Some(engine) => engine,
        None => make()?,
    };
    let result = run(&mut engine);
    if !matches!(
        result,
        Err(JobError::Device(_) | JobError::NotSupported { .. })
    ) {
        *slot = Some(engine);
    }
    result
}

impl WgpuCoprocessor {
    /// Opens a device.
    pub fn open(options: &Options) -> Result<WgpuCoprocessor, GpuError> {
        Ok(WgpuCoprocessor {
            gpu: Arc::new(Gpu::open(options)?),
            index: options.adapter,
            net_options: NetOptions::default(),
            row_kernels: true,
            lane_functions: LaneFunctions::default(),
            engines: Mutex::default(),
        })
    }

    /// Runs jobs on an open device.
    pub fn on(gpu: Gpu) -> WgpuCoprocessor {
        WgpuCoprocessor {
            gpu: Arc::new(gpu),
            index: None,
            net_options: NetOptions::default(),
            row_kernels: true,
            lane_functions: LaneFunctions::default(),
            engines: Mutex::default(),
        }
    }

    /// The same device, reducing nets by these options from now on. What [`net_stats`](Self::net_stats) says begins anew.
    pub fn with_net_options(mut self, options: NetOptions) -> WgpuCoprocessor {
        self.net_options = options;
        self.engines().net = None;
        self
    }

    /// The same device, with kernels that are made for a book from now on, or without: for rows of numbers, each of which is
    /// reduced as a net otherwise, and for nets that apply definitions to numbers.
    pub fn with_row_kernels(mut self, row_kernels: bool) -> WgpuCoprocessor {
        self.row_kernels = row_kernels;
        self.engines().net = None;
        self
    }

    /// The same device, with lane functions in nets at other times than [`LaneFunctions::Hot`]. Without kernels that are made
    /// for a book there are none. What [`net_stats`](Self::net_stats) says begins anew.
    pub fn with_lane_functions(mut self, lane_functions: LaneFunctions) -> WgpuCoprocessor {
        self.lane_functions = lane_functions;
        self.engines().net = None;
        self
    }

    /// The device, for its limits and counters.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// What reductions of single nets have cost so far: rounds, dispatches, host round trips.
    pub fn net_stats(&self) -> NetStats {
        self.engines()
            .net
            .as_ref()
            .map(NetEngine::stats)
            .unwrap_or_default()
    }

    /// What has been done with rows of numbers so far.
    pub fn lane_stats(&self) -> LaneStats {
        let engines = self.engines();
        engines
            .rows
            .as_ref()
            .map(RowsEngine::stats)
            .unwrap_or_default()
    }

    fn engines(&self) -> std::sync::MutexGuard<'_, Engines> {
        self.engines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Coprocessor for WgpuCoprocessor {
    fn info(&self) -> DeviceInfo {
        let adapter = self.gpu.adapter();
        DeviceInfo {
            backend: match self.index {
                Some(index) => format!("wgpu:{index}"),
                None => "wgpu".into(),
            },
            device: format!("{} ({}, {})", adapter.name, adapter.kind, adapter.interface),
            threads: 0,
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let functions = match self.row_kernels {
            true => self.lane_functions,
            false => LaneFunctions::Off,
        };
        let make = || NetEngine::new(&self.gpu, self.net_options, functions);
        with_engine(&mut self.engines().net, make, |engine| engine.rewrite(job))
    }

    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        let make = || Ok(RowsEngine::new(&self.gpu));
        let run = |engine: &mut RowsEngine| engine.evaluate(job);
        let partial = match self.row_kernels {
            true => with_engine(&mut self.engines().rows, make, run)?,
            false => None,
        };
        lane::complete(self, job, partial)
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        let make = || FocusEngine::new(&self.gpu);
        with_engine(&mut self.engines().focus, make, |engine| engine.rank(job))
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        let make = || MemoryEngine::new(&self.gpu);
        with_engine(&mut self.engines().memory, make, |engine| {
            engine.apply(memory, ops)
        })
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        let make = || HashEngine::new(&self.gpu);
        with_engine(&mut self.engines().hash, make, |engine| engine.hash(job))
    }
}

/// The adapters of this machine, for [`ffcm::coprocessor::Accelerator::open`].
#[derive(Clone, Copy, Debug)]
pub struct WgpuProvider {
    /// As in [`WgpuCoprocessor::with_row_kernels`].
    pub row_kernels: bool,
}

impl Provider for WgpuProvider {
    fn name(&self) -> &'static str {
        "wgpu"
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        let device = |adapter: AdapterSummary| ProvidedDevice {
            index: adapter.index,
            software: adapter.kind == "CPU",
            refused: adapter.refused.map(|error| error.to_string()),
            name: adapter.name,
        };
        adapters().into_iter().map(device).collect()
    }

    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        let options = Options {
            adapter: index,
            ..Options::default()
        };
        let device = WgpuCoprocessor::open(&options)?;
        Ok(Arc::new(device.with_row_kernels(self.row_kernels)))
    }
}
