//! Memory Arithmetic on the device.
//!
//! A batch is checked first: what [`Memory::check`] refuses is never sent. The rest is cut, in batch order, into waves that
//! fit the device's buffers. A wave sends the slots it touches, its operations and its vectors, scales the vectors, applies
//! the operations, and brings the slots it wrote back. The tensor is written when every wave has ended well.

mod kernels;

use std::collections::HashMap;

use cubecl::prelude::CubeDim;
use ffcm::coprocessor::JobError;
use ffcm::device::memory::{Bounds, Operation, Placed, Planner, Wave};
use ffcm::memory::{CLIP, CheckedOp, DIMENSION, Memory, MemoryError, MemoryOp, SlotId};

use crate::device::{DeviceError, Gpu, guarded};
use kernels::{ADD, CLIPPED, DECAY, MIX, WORDS};

/// Components of one slot.
type Slot = [i32; DIMENSION];

/// Words of one packed vector.
const VECTOR_WORDS: usize = WORDS as usize;
/// No buffer of a wave is larger than this, on any device: it bounds what is kept, on both sides.
const WAVE_BYTES: u64 = 32 << 20;
/// Words of one operation.
const OPERATION_WORDS: usize = 3;
/// Operations of a list in a launch: a longer list goes on in the next, as some drivers stop a loop after 65 535 trips.
const OPERATIONS: u32 = 1 << 14;

/// Applies batches of operations.
pub(crate) struct MemoryEngine {
    gpu: Gpu,
    planner: Planner,
}

impl MemoryEngine {
    pub(crate) fn new(gpu: &Gpu) -> MemoryEngine {
        MemoryEngine {
            gpu: gpu.clone(),
            planner: Planner::default(),
        }
    }

    /// Applies `ops` in order, as [`Memory::apply`] one by one; where this fails, `memory` is as before.
    pub(crate) fn apply(
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
        let changed = guarded(|| self.run(memory, &operations))?;
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
    ) -> Result<HashMap<u32, Slot>, DeviceError> {
        let bounds = bounds(self.gpu.buffer_bytes.min(WAVE_BYTES))?;
        let mut changed = HashMap::new();
        let mut left = operations;
        while !left.is_empty() {
            let (wave, taken) = self.planner.wave(left, &bounds);
            left = &left[taken..];
            run_wave(&self.gpu, memory, &wave, &mut changed)?;
        }
        Ok(changed)
    }
}

/// A wave of which every buffer is within `bytes`.
fn bounds(bytes: u64) -> Result<Bounds, DeviceError> {
    // The largest operation touches two slots.
    const NEEDS: u64 = 2 * 4 * DIMENSION as u64;
    if bytes < NEEDS {
        return Err(DeviceError::TooLarge {
            what: "one operation of Memory Arithmetic".into(),
            needs: NEEDS,
            limit: bytes,
        });
    }
    let words = bytes as usize / 4;
    Ok(Bounds {
        slots: words / DIMENSION,
        vectors: words / VECTOR_WORDS,
        operations: words / OPERATION_WORDS,
    })
}

/// Runs one wave on the values left by those before it.
fn run_wave(
    gpu: &Gpu,
    memory: &Memory,
    wave: &Wave<'_>,
    changed: &mut HashMap<u32, Slot>,
) -> Result<(), DeviceError> {
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
    let found = launch(gpu, wave, &values)?;
    let written = found.as_chunks::<DIMENSION>().0.iter();
    for (position, values) in wave.slots.iter().zip(written) {
        let values = values.map(u32::cast_signed);
        let most = CLIP.unsigned_abs();
        if values.iter().any(|value| value.unsigned_abs() > most) {
            return Err(DeviceError::Wrong {
                what: "Memory Arithmetic gave a value beyond its bound",
            });
        }
        changed.insert(*position, values);
    }
    Ok(())
}

/// Uploads a wave and runs it: the values of the slots it wrote, in their order.
fn launch(gpu: &Gpu, wave: &Wave<'_>, values: &[u32]) -> Result<Vec<u32>, DeviceError> {
    let sent = Sent::new(wave);
    let ends = gpu.upload("ends of lists", &sent.ends)?;
    let operations = gpu.upload("operations", &sent.operations)?;
    let vectors = gpu.upload("vectors", &sent.vectors)?;
    let slots = gpu.upload("slots", values)?;
    let count = (sent.vectors.len() / VECTOR_WORDS) as u64;
    if count > 0 {
        let units = CubeDim::new_1d(WORDS);
        kernels::scale::launch(&gpu.client, gpu.cubes(count), units, vectors.arg());
    }
    let units = CubeDim::new_1d(kernels::DIMENSION);
    for skip in (0..sent.longest).step_by(OPERATIONS as usize) {
        kernels::apply::launch(
            &gpu.client,
            gpu.cubes(ends.words()),
            units,
            ends.arg(),
            operations.arg(),
            vectors.arg(),
            slots.arg(),
            skip,
            OPERATIONS,
        );
    }
    gpu.read(&slots, 0, wave.written * DIMENSION)
}

/// A wave as the kernels read it, besides its slots.
#[derive(Debug, Default)]
struct Sent {
    operations: Vec<u32>,
    /// Vectors of the additions, packed.
    vectors: Vec<u32>,
    /// Where each list ends.
    ends: Vec<u32>,
    /// Operations of the longest list.
    longest: u32,
}

impl Sent {
    /// A wave has fewer than 2^32 words in each of its buffers.
    fn new(wave: &Wave<'_>) -> Sent {
        let mut sent = Sent {
            ends: wave.ends.iter().map(|&end| end as u32).collect(),
            longest: wave.lists().map(<[_]>::len).max().unwrap_or(0) as u32,
            ..Sent::default()
        };
        wave.operations.iter().for_each(|one| sent.push(one));
        sent
    }

    fn push(&mut self, operation: &Placed<'_>) {
        let (head, operand) = match operation.op {
            CheckedOp::Add(vector) => {
                let index = self.vectors.len() / VECTOR_WORDS;
                let pack = |pair: &[i16; 2]| {
                    let [low, high] = pair.map(|half| u32::from(half.cast_unsigned()));
                    low | high << 16
                };
                let pairs = vector.as_chunks::<2>().0;
                self.vectors.extend(pairs.iter().map(pack));
                (ADD, index as u32)
            }
            CheckedOp::Decay(factor) => (DECAY | u32::from(factor) << 2, 0),
            CheckedOp::Mix { alpha, .. } => (MIX | u32::from(alpha) << 2, operation.source),
            CheckedOp::Clip => (CLIPPED, 0),
        };
        self.operations.extend([head, operation.target, operand]);
    }
}
