//! Memory Arithmetic on the device.
//!
//! A batch is checked first: what [`Memory::check`] refuses is never sent. The rest is cut, in batch order, into waves
//! that fit the device's buffers. A wave sends the slots it touches, its operations and its vectors, applies the
//! operations, and brings the slots it wrote back. The tensor is written when every wave has ended well.
//!
//! Nothing of a tensor stays on the device between batches: a tensor does not say whether it has changed since, and
//! comparing a slot with a copy costs the host no less than sending it.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use ffcm::coprocessor::JobError;
use ffcm::device::memory::{Operation, Planner, Wave};
use ffcm::memory::{CLIP, DIMENSION, Memory, MemoryError, MemoryOp, SlotId};
use rayon::prelude::*;

use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch, Source};
use plan::{Plan, ROW_BYTES, WARP};

/// Components of one slot as they travel: they are within ±[`CLIP`].
type Slot = [i16; DIMENSION];

const _: () = assert!(CLIP <= i16::MAX as i32);

/// Threads of a block of the kernel for single slots.
const THREADS: u32 = 256;

/// What an engine has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Operations applied.
    pub operations: u64,
    /// Waves that the batches were cut into, one round trip each.
    pub waves: u64,
    /// Lists of operations that ran side by side, over all waves.
    pub lists: u64,
    /// Bytes that the kernels moved between the device's memory and its processors: a slot once in and once out for all
    /// operations of a list on it, vectors, other slots that mixes read, and operations, once each.
    pub kernel_bytes: u64,
    /// Time the device spent in kernels. Telemetry only.
    pub kernel_time: Duration,
}

/// Slots that the waves of a batch have changed.
#[derive(Debug, Default)]
struct Changes {
    /// One more than the place in `slots`, by position in the tensor; 0 for a slot that is as it was.
    places: Vec<u32>,
    /// Positions with their values.
    slots: Vec<(u32, Slot)>,
}

impl Changes {
    fn get(&self, position: u32) -> Option<&Slot> {
        let place = *self.places.get(position as usize)?;
        let index = place.checked_sub(1)?;
        Some(&self.slots[index as usize].1)
    }

    fn set(&mut self, position: u32, values: Slot) {
        let at = position as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        match self.places[at].checked_sub(1) {
            Some(index) => self.slots[index as usize].1 = values,
            None => {
                self.slots.push((position, values));
                // A tensor has fewer than 2^24 slots.
                self.places[at] = self.slots.len() as u32;
            }
        }
    }

    /// All of them; none are left.
    fn take(&mut self) -> Vec<(u32, Slot)> {
        for (position, _) in &self.slots {
            self.places[*position as usize] = 0;
        }
        std::mem::take(&mut self.slots)
    }
}

/// Applies batches of operations.
#[derive(Debug)]
pub struct MemoryEngine {
    gpu: Arc<Gpu>,
    apply: Arc<Kernel>,
    apply_tied: Arc<Kernel>,
    /// Warps of `apply` that the device holds at a time.
    warps: usize,
    planner: Planner,
    changes: Changes,
    operations: Scratch<u64>,
    cuts: Scratch<u32>,
    tied: Scratch<u32>,
    vectors: Scratch<Slot>,
    slots: Scratch<Slot>,
    stats: MemoryStats,
}

impl MemoryEngine {
    /// An engine on this device. Compiles the kernels.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn new(gpu: &Arc<Gpu>) -> Result<MemoryEngine, CudaError> {
        let kernels = gpu.kernels(&apply())?;
        let [apply, apply_tied] = kernels.as_slice() else {
            unreachable!("a kernel for each entry of the unit");
        };
        let blocks = gpu.resident_blocks(apply, THREADS, 0)?;
        Ok(MemoryEngine {
            gpu: Arc::clone(gpu),
            apply: Arc::clone(apply),
            apply_tied: Arc::clone(apply_tied),
            warps: blocks as usize * (THREADS / WARP) as usize,
            planner: Planner::default(),
            changes: Changes::default(),
            operations: Scratch::new("memory: operations"),
            cuts: Scratch::new("memory: cuts"),
            tied: Scratch::new("memory: tied lists"),
            vectors: Scratch::new("memory: vectors"),
            slots: Scratch::new("memory: slots"),
            stats: MemoryStats::default(),
        })
    }

    /// What has been done so far.
    pub fn stats(&self) -> MemoryStats {
        self.stats
    }

    /// A batch as [`ffcm::memory::Memory::apply`] applies it one by one, bit for bit.
    ///
    /// # Errors
    ///
    /// [`JobError::NotSupported`] where the device is too small for an operation, [`JobError::Device`] for what else it
    /// says; `memory` is as before then.
    pub fn apply(
        &mut self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        let mut operations = Vec::with_capacity(ops.len());
        let mut results = Vec::with_capacity(ops.len());
        for (target, op) in ops {
            let checked = memory.check(*target, op);
            results.push(checked.map(|_| ()));
            if let Ok(op) = checked {
                operations.push(Operation::new(*target, op));
            }
        }
        let result = self.run(memory, &operations);
        let changed = self.changes.take();
        result?;
        for (position, values) in &changed {
            let values = values.map(i32::from);
            let loaded = memory.load_slot(SlotId::at(*position as usize), &values);
            loaded.expect("the slot is one of the tensor's and its values were checked");
        }
        Ok(results)
    }

    /// Leaves the slots that checked operations change in `changes`, with their new values.
    fn run(&mut self, memory: &Memory, operations: &[Operation<'_>]) -> Result<(), CudaError> {
        let mut left = operations;
        while !left.is_empty() {
            let bounds = plan::bounds(self.gpu.memory_limit())?;
            let (wave, taken) = self.planner.wave(left, &bounds);
            left = &left[taken..];
            self.run_wave(memory, &wave)?;
            self.stats.operations += taken as u64;
            self.stats.waves += 1;
            self.stats.lists += wave.ends.len() as u64;
        }
        Ok(())
    }

    /// Runs one wave on the values left by those before it.
    fn run_wave(&mut self, memory: &Memory, wave: &Wave<'_>) -> Result<(), CudaError> {
        let changes = &self.changes;
        let now = |position: &u32| match changes.get(*position) {
            Some(values) => *values,
            None => {
                let values = memory
                    .slot(SlotId::at(*position as usize))
                    .expect("checked operations touch slots of the tensor only");
                // Within ±CLIP.
                std::array::from_fn(|i| values[i] as i16)
            }
        };
        let values: Vec<Slot> = wave.slots.par_iter().map(now).collect();
        let found = self.launch(&Plan::new(wave, self.warps), &values, wave.written)?;
        let beyond = |values: &Slot| {
            let greatest = values.iter().map(|value| value.unsigned_abs()).max();
            greatest.is_some_and(|greatest| i32::from(greatest) > CLIP)
        };
        if found.par_iter().any(beyond) {
            return Err(CudaError::Driver {
                message: "Memory Arithmetic gave a value beyond its bound".into(),
            });
        }
        for (position, values) in wave.slots.iter().zip(&found) {
            self.changes.set(*position, *values);
        }
        Ok(())
    }

    /// Uploads a wave and runs it: the values of the slots it wrote, which are the first `written`.
    fn launch(
        &mut self,
        plan: &Plan,
        values: &[Slot],
        written: usize,
    ) -> Result<Vec<Slot>, CudaError> {
        let gpu = &*self.gpu;
        let operations = self.operations.filled(gpu, &plan.operations)?;
        let cuts = self.cuts.filled(gpu, &plan.cuts)?;
        let tied = self.tied.filled(gpu, &plan.tied)?;
        let vectors = self.vectors.filled(gpu, &plan.vectors)?;
        let slots = self.slots.filled(gpu, values)?;
        let ((), time) = gpu.timed(|| {
            if plan.warps() > 0 {
                let grid = Grid::covering(plan.warps() * u64::from(WARP), THREADS);
                let warps = Grid::covering(plan.warps(), 1).blocks;
                let arguments = [
                    slots.into(),
                    vectors.into(),
                    operations.into(),
                    cuts.into(),
                    warps.into(),
                ];
                gpu.launch(&self.apply, grid, &arguments)?;
            }
            if plan.tied_lists() > 0 {
                let shared = plan.tied_slots * ROW_BYTES as u32;
                let grid = Grid::covering(plan.tied_lists(), 1);
                let grid = Grid::new(grid.blocks, WARP).shared(shared);
                let arguments = [slots.into(), vectors.into(), operations.into(), tied.into()];
                gpu.launch(&self.apply_tied, grid, &arguments)?;
            }
            Ok(())
        })?;
        self.stats.kernel_time += time;
        self.stats.kernel_bytes += plan.kernel_bytes;
        gpu.read(slots, 0, written as u64)
    }
}

fn apply() -> Source {
    Source {
        name: "memory/apply",
        text: include_str!("../kernels/memory/apply.cu"),
        entries: &["memory_apply", "memory_apply_tied"],
        defines: &[],
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![apply()]
}
