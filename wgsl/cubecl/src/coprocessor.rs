//! The device as a coprocessor.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, ProvidedDevice, Provider,
    RewriteJob, RewriteOutput,
};
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use crate::device::{DeviceError, Gpu, adapters};
use crate::focus::FocusEngine;
use crate::memory::MemoryEngine;

/// Runs rankings and Memory Arithmetic on one adapter, one job at a time. Nets and hashes it does not take.
pub struct CubeclCoprocessor {
    gpu: Gpu,
    engines: Mutex<Engines>,
}

struct Engines {
    focus: FocusEngine,
    memory: MemoryEngine,
}

impl fmt::Debug for CubeclCoprocessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CubeclCoprocessor")
            .field("device", &self.gpu.name)
            .finish_non_exhaustive()
    }
}

impl CubeclCoprocessor {
    /// Opens the adapter with this index, or the first usable one.
    ///
    /// # Errors
    ///
    /// There is none, or it does not open.
    pub fn open(index: Option<u32>) -> Result<CubeclCoprocessor, DeviceError> {
        let gpu = Gpu::open(index)?;
        let engines = Engines {
            focus: FocusEngine::new(&gpu),
            memory: MemoryEngine::new(&gpu),
        };
        Ok(CubeclCoprocessor {
            gpu,
            engines: Mutex::new(engines),
        })
    }

    /// The device, for transfers and what they count.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    fn engines(&self) -> MutexGuard<'_, Engines> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_supported(&self, job: &'static str) -> JobError {
        let backend = self.info().backend;
        JobError::NotSupported { backend, job }
    }
}

impl Coprocessor for CubeclCoprocessor {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: format!("cubecl:{}", self.gpu.index),
            device: self.gpu.name.clone(),
            threads: 0,
        }
    }

    fn rewrite(&self, _: &RewriteJob) -> Result<RewriteOutput, JobError> {
        Err(self.not_supported("rewriting"))
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.engines().focus.rank(job)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.engines().memory.apply(memory, ops)
    }

    fn hash(&self, _: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Err(self.not_supported("hashing"))
    }
}

/// The adapters of this machine, for [`ffcm::coprocessor::Accelerator::open`].
#[derive(Clone, Copy, Debug)]
pub struct CubeclProvider;

impl Provider for CubeclProvider {
    fn name(&self) -> &'static str {
        "cubecl"
    }

    fn jobs(&self) -> &'static [&'static str] {
        &["focus", "memory"]
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        adapters()
    }

    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        Ok(Arc::new(CubeclCoprocessor::open(index)?))
    }
}
