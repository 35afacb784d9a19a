//! Memory Arithmetic on the device.
//!
//! A batch is checked first: what [`Memory::check`] refuses is never sent. The rest is cut, in batch order, into waves
//! that fit the device's buffers. A wave sends the slots it touches, its operations and its vectors, scales
//! the vectors, applies the operations, and brings the slots it wrote back. The tensor is written when every wave has
//! ended well.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use ffcm::coprocessor::JobError;
use ffcm::device::memory::{Operation, Planner};
use ffcm::memory::{CLIP, DIMENSION, Memory, MemoryError, MemoryOp, SlotId};

use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};
use plan::{VECTOR_WORDS, Wave};

/// Components of one slot.
type Slot = [i32; DIMENSION];

/// No buffer of a wave is larger than this, on any device: it bounds what the engine keeps, on both sides.
const WAVE_BYTES: u64 = 32 << 20;

/// What an engine has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Operations applied.
    pub operations: u64,
    /// Waves that the batches were cut into, one round trip each.
    pub waves: u64,
    /// Lists of operations that ran side by side, over all waves.
    pub lists: u64,
    /// Bytes that the kernels addressed: each word that a workgroup reads or writes, once for every operation.
    pub kernel_bytes: u64,
}

/// Applies batches of operations.
#[derive(Debug)]
pub struct MemoryEngine {
    gpu: Arc<Gpu>,
    scale: Arc<Kernel>,
    apply: Arc<Kernel>,
    planner: Planner,
    heads: Scratch,
    windows: Scratch,
    runs: Scratch,
    operations: Scratch,
    vectors: Scratch,
    slots: Scratch,
    stats: MemoryStats,
}

impl MemoryEngine {
    /// An engine on this device. Compiles the kernels.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn new(gpu: &Arc<Gpu>) -> Result<MemoryEngine, GpuError> {
        Ok(MemoryEngine {
            gpu: Arc::clone(gpu),
            scale: gpu.kernel(&scale())?,
            apply: gpu.kernel(&apply())?,
            planner: Planner::default(),
            heads: Scratch::new("memory: batch"),
            windows: Scratch::new("memory: windows"),
            runs: Scratch::new("memory: runs"),
            operations: Scratch::new("memory: operations"),
            vectors: Scratch::new("memory: vectors"),
            slots: Scratch::new("memory: slots"),
            stats: MemoryStats::default(),
        })
    }

    /// What has been done so far.
    pub fn stats(&self) -> MemoryStats {
        self.stats
    }

    /// Applies `ops` in order, as [`Memory::apply`] one by one.
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
        let changed = self.run(memory, &operations)?;
        for (position, values) in &changed {
            let loaded = memory.load_slot(SlotId::at(*position as usize), values);
            loaded.expect("the slot is one of the tensor's and its values were checked");
        }
        Ok(results)
    }

    /// The slots that checked operations change, with their new values.
    fn run(
        &mut self,
        memory: &Memory,
        operations: &[Operation<'_>],
    ) -> Result<HashMap<u32, Slot>, GpuError> {
        let bounds = plan::bounds(self.gpu.profile().binding_bytes.min(WAVE_BYTES))?;
        let mut changed = HashMap::new();
        let mut left = operations;
        while !left.is_empty() {
            let (wave, taken) = self.planner.wave(left, &bounds);
            left = &left[taken..];
            let sent = Wave::new(&wave);
            self.run_wave(memory, &wave, &sent, &mut changed)?;
            self.stats.operations += taken as u64;
            self.stats.waves += 1;
            self.stats.lists += wave.ends.len() as u64;
            self.stats.kernel_bytes += sent.kernel_bytes;
        }
        Ok(changed)
    }

    /// Runs one wave on the values left by those before it.
    fn run_wave(
        &mut self,
        memory: &Memory,
        wave: &ffcm::device::memory::Wave<'_>,
        sent: &Wave,
        changed: &mut HashMap<u32, Slot>,
    ) -> Result<(), GpuError> {
        let mut values = Vec::with_capacity(wave.slots.len() * DIMENSION);
        for position in &wave.slots {
            let now = match changed.get(position) {
                Some(values) => values.as_slice(),
                None => memory
                    .slot(SlotId::at(*position as usize))
                    .expect("checked operations touch slots of the tensor only"),
            };
            values.extend(now.iter().map(|value| value.cast_unsigned()));
        }
        let found = self.dispatch(sent, &values, wave.written)?;
        for (position, values) in wave.slots.iter().zip(found.as_chunks::<DIMENSION>().0) {
            let values = values.map(u32::cast_signed);
            if values
                .iter()
                .any(|v| v.unsigned_abs() > CLIP.unsigned_abs())
            {
                return Err(GpuError::Driver {
                    message: "Memory Arithmetic gave a value beyond its bound".into(),
                });
            }
            changed.insert(*position, values);
        }
        Ok(())
    }

    /// Uploads a wave and runs it: the values of the slots it wrote, `written` of them in their order.
    fn dispatch(
        &mut self,
        wave: &Wave,
        values: &[u32],
        written: usize,
    ) -> Result<Vec<u32>, GpuError> {
        let gpu = &*self.gpu;
        let vectors = wave.vectors.len() / VECTOR_WORDS;
        let head = self.heads.filled(gpu, &[vectors as u32, 0, 0, 0])?;
        let windows = self.windows.filled(gpu, &wave.windows)?;
        let runs = self.runs.filled(gpu, &wave.runs)?;
        let operations = self.operations.filled(gpu, &wave.operations)?;
        let vector_words = self.vectors.filled(gpu, &wave.vectors)?;
        let slots = self.slots.filled(gpu, values)?;

        let scale = gpu.bind(&self.scale, &[head.into(), vector_words.into()])?;
        let mut applies = Vec::with_capacity(wave.groups.len());
        for (index, groups) in (0..).zip(&wave.groups) {
            let buffers = [
                windows.slice(index * plan::WINDOW_STRIDE as u64, 4),
                runs.into(),
                operations.into(),
                vector_words.into(),
                slots.into(),
            ];
            applies.push((gpu.bind(&self.apply, &buffers)?, *groups));
        }
        let mut commands = gpu.commands("memory");
        commands.dispatch(&scale, Groups::Count(vectors as u32));
        for (apply, groups) in &applies {
            commands.dispatch(apply, Groups::Count(*groups));
        }
        commands.submit_and_read(slots, 0, (written * DIMENSION) as u64)
    }
}

fn scale() -> Source {
    Source {
        name: "memory.scale",
        text: include_str!("../kernels/memory/scale.wgsl").into(),
        entry: "main",
        bindings: &[Binding::Uniform, Binding::Write],
    }
}

fn apply() -> Source {
    Source {
        name: "memory.apply",
        text: include_str!("../kernels/memory/apply.wgsl").into(),
        entry: "main",
        bindings: &[
            Binding::Uniform,
            Binding::Read,
            Binding::Read,
            Binding::Read,
            Binding::Write,
        ],
    }
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![scale(), apply()]
}
