//! The kernels' text and bindings.

use std::sync::Arc;

use crate::device::Binding::{Read, Write};
use crate::device::{Gpu, GpuError, Kernel, Source};

pub(super) const WIDE: &str = include_str!("../kernels/focus/wide.wgsl");
const CONTROL: &str = include_str!("../kernels/focus/control.wgsl");
const REDUCE: &str = include_str!("../kernels/focus/reduce.wgsl");
const GATHER: &str = include_str!("../kernels/focus/gather.wgsl");
pub(super) const TERM_EQUAL: &str = include_str!("../kernels/focus/term_equal.wgsl");
pub(super) const TERM_QUOTA: &str = include_str!("../kernels/focus/term_quota.wgsl");
const SUM: &str = include_str!("../kernels/focus/sum.wgsl");
const POOL_EQUAL: &str = include_str!("../kernels/focus/pool_equal.wgsl");
const POOL_STAKES: &str = include_str!("../kernels/focus/pool_stakes.wgsl");
const SETTLE: &str = include_str!("../kernels/focus/settle.wgsl");
const COMMIT: &str = include_str!("../kernels/focus/commit.wgsl");
const TELEPORT: &str = include_str!("../kernels/focus/teleport.wgsl");
const FINISH: &str = include_str!("../kernels/focus/finish.wgsl");
const PATCH: &str = include_str!("../kernels/focus/patch.wgsl");

/// Labels of a workgroup of `sum`, `pool_stakes` and `settle`.
pub(super) const LABELS_PER_GROUP: u32 = 1024;

/// Entries of a workgroup of `patch`.
pub(super) const ENTRIES_PER_GROUP: u32 = 256;

/// Words of the control buffer, as in `control.wgsl`.
pub(super) mod control {
    pub(crate) const DONE: usize = 0;
    pub(crate) const ITERATION: usize = 2;
    pub(crate) const BATCH: usize = 3;
    pub(crate) const LABELS: usize = 4;
    pub(crate) const NODES: usize = 5;
    pub(crate) const DAMPING: usize = 6;
    pub(crate) const FAULT: usize = 7;
    pub(crate) const EPSILON: usize = 8;
    pub(crate) const EACH: usize = 10;
    pub(crate) const MORE: usize = 12;
    pub(crate) const STAKES: usize = 13;
    pub(crate) const FRONTIER_BELOW: usize = 14;
    pub(crate) const ROUNDS: usize = 16;
    pub(crate) const START: usize = 17;
    pub(crate) const CHANGED: usize = 18;
    pub(crate) const COUNTS: usize = 20;
    pub(crate) const THRESHOLD: usize = 24;
    pub(crate) const RESIDUAL_MAX: usize = 26;
    pub(crate) const BEFORE: usize = 28;
    pub(crate) const EDGES: usize = 35;
    pub(crate) const RESIDUALS: usize = 40;
}

/// Words of the buffer of sums.
pub(super) const SUM_WORDS: u64 = 10;

/// Every kernel, compiled.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) gather_equal: Arc<Kernel>,
    pub(super) gather_quota: Arc<Kernel>,
    pub(super) sum: Arc<Kernel>,
    pub(super) pool_equal: Arc<Kernel>,
    pub(super) pool_stakes: Arc<Kernel>,
    pub(super) settle: Arc<Kernel>,
    pub(super) finish: Arc<Kernel>,
    pub(super) commit: Arc<Kernel>,
    pub(super) patch: Arc<Kernel>,
}

impl Kernels {
    pub(super) fn new(gpu: &Gpu) -> Result<Kernels, GpuError> {
        Ok(Kernels {
            gather_equal: gpu.kernel(&gather_equal())?,
            gather_quota: gpu.kernel(&gather_quota())?,
            sum: gpu.kernel(&sum())?,
            pool_equal: gpu.kernel(&pool_equal())?,
            pool_stakes: gpu.kernel(&pool_stakes())?,
            settle: gpu.kernel(&settle())?,
            finish: gpu.kernel(&finish())?,
            commit: gpu.kernel(&commit())?,
            patch: gpu.kernel(&patch())?,
        })
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![
        gather_equal(),
        gather_quota(),
        sum(),
        pool_equal(),
        pool_stakes(),
        settle(),
        finish(),
        commit(),
        patch(),
    ]
}

fn source(
    name: &'static str,
    parts: &[&str],
    bindings: &'static [crate::device::Binding],
) -> Source {
    Source {
        name,
        text: parts.concat(),
        entry: "main",
        bindings,
    }
}

fn gather_equal() -> Source {
    source(
        "focus.gather_equal",
        &[WIDE, CONTROL, TERM_EQUAL, GATHER],
        &[Read, Read, Write, Read, Read, Write, Read],
    )
}

fn gather_quota() -> Source {
    source(
        "focus.gather_quota",
        &[WIDE, CONTROL, TERM_QUOTA, GATHER],
        &[Read, Read, Write, Read, Read, Write, Read, Read],
    )
}

fn sum() -> Source {
    source(
        "focus.sum",
        &[WIDE, CONTROL, REDUCE, SUM],
        &[Read, Write, Read],
    )
}

fn pool_equal() -> Source {
    source(
        "focus.pool_equal",
        &[WIDE, CONTROL, POOL_EQUAL],
        &[Read, Write],
    )
}

fn pool_stakes() -> Source {
    source(
        "focus.pool_stakes",
        &[WIDE, CONTROL, REDUCE, POOL_STAKES],
        &[Read, Write, Read],
    )
}

fn settle() -> Source {
    source(
        "focus.settle",
        &[WIDE, CONTROL, REDUCE, TELEPORT, SETTLE],
        &[Read, Write, Read, Write, Read, Read, Read, Write],
    )
}

fn finish() -> Source {
    source("focus.finish", &[WIDE, CONTROL, FINISH], &[Write, Write])
}

fn commit() -> Source {
    source(
        "focus.commit",
        &[WIDE, CONTROL, TELEPORT, COMMIT],
        &[Read, Read, Write, Read, Read],
    )
}

fn patch() -> Source {
    source("focus.patch", &[PATCH], &[Read, Write])
}
