//! The kernels' text and names.

use std::sync::Arc;

use crate::device::{CudaError, Gpu, Kernel, Source};

/// Threads of every block.
pub(super) const THREADS: u32 = 256;

/// Labels of a block of `pool_stakes` and `settle`, as in `control.cuh`.
pub(super) const LABELS_PER_BLOCK: u32 = 1024;

/// Words of the control buffer, as in `control.cuh`.
pub(super) mod control {
    pub(crate) const BATCH: usize = 3;
    pub(crate) const ITERATION: usize = 2;
    pub(crate) const DONE: usize = 0;
    pub(crate) const LIMIT: usize = 4;
    pub(crate) const LABELS: usize = 5;
    pub(crate) const SOURCES: usize = 6;
    pub(crate) const NODES: usize = 7;
    pub(crate) const DAMPING: usize = 8;
    pub(crate) const EPSILON: usize = 9;
    pub(crate) const EACH: usize = 10;
    pub(crate) const MORE: usize = 11;
    pub(crate) const STAKES: usize = 12;
    pub(crate) const FRONTIER_BELOW: usize = 13;
    pub(crate) const ROUNDS: usize = 14;
    pub(crate) const START: usize = 15;
    pub(crate) const FAULT: usize = 18;
    pub(crate) const CONVERGED: usize = 19;
    pub(crate) const COUNTS: usize = 20;
    pub(crate) const EDGES: usize = 24;
    pub(crate) const THRESHOLD: usize = 25;
    pub(crate) const RESIDUAL_MAX: usize = 26;
    pub(crate) const BEFORE: usize = 27;
    pub(crate) const RESIDUALS: usize = 33;
}

/// Words of the buffer of sums, as in `control.cuh`: what arrived is the first.
pub(super) const SUM_WORDS: usize = 96;

const GATHER: Source = Source {
    name: "focus/gather",
    text: include_str!("../kernels/focus/gather.cu"),
    entries: &["gather_equal", "gather_quota"],
    defines: &[],
};

const POOL_STAKES: Source = Source {
    name: "focus/pool_stakes",
    text: include_str!("../kernels/focus/pool_stakes.cu"),
    entries: &["pool_stakes"],
    defines: &[],
};

const SETTLE: Source = Source {
    name: "focus/settle",
    text: include_str!("../kernels/focus/settle.cu"),
    entries: &["settle"],
    defines: &[],
};

const COMMIT: Source = Source {
    name: "focus/commit",
    text: include_str!("../kernels/focus/commit.cu"),
    entries: &["commit"],
    defines: &[],
};

const PATCH: Source = Source {
    name: "focus/patch",
    text: include_str!("../kernels/focus/patch.cu"),
    entries: &["patch"],
    defines: &[],
};

/// The units of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![GATHER, POOL_STAKES, SETTLE, COMMIT, PATCH]
}

/// Every kernel, compiled.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) gather_equal: Arc<Kernel>,
    pub(super) gather_quota: Arc<Kernel>,
    pub(super) pool_stakes: Arc<Kernel>,
    pub(super) settle: Arc<Kernel>,
    pub(super) commit: Arc<Kernel>,
    pub(super) patch: Arc<Kernel>,
}

impl Kernels {
    pub(super) fn new(gpu: &Gpu) -> Result<Kernels, CudaError> {
        Ok(Kernels {
            gather_equal: entry(gpu, &GATHER, 0)?,
            gather_quota: entry(gpu, &GATHER, 1)?,
            pool_stakes: entry(gpu, &POOL_STAKES, 0)?,
            settle: entry(gpu, &SETTLE, 0)?,
            commit: entry(gpu, &COMMIT, 0)?,
            patch: entry(gpu, &PATCH, 0)?,
        })
    }
}

/// An entry of a unit.
fn entry(gpu: &Gpu, source: &Source, index: usize) -> Result<Arc<Kernel>, CudaError> {
    let kernels = gpu.kernels(source)?;
    let missing = || CudaError::Kernel {
        kernel: source.name.into(),
        message: format!("it has no entry `{}`", source.entries[index]),
    };
    kernels.get(index).cloned().ok_or_else(missing)
}
