//! How a wave of Memory Arithmetic is sent: lists cut into runs, one dispatch after the other.
//!
//! A list longer than a dispatch may loop goes on in the next one.

use ffcm::device::memory::{Bounds, Placed};
use ffcm::memory::{CheckedOp, DELTA_NORM_MAX, DIMENSION};

use crate::device::GpuError;

/// Words of one packed vector.
pub(super) const VECTOR_WORDS: usize = DIMENSION / 2;
/// Bytes of one slot.
const SLOT_BYTES: u64 = 4 * DIMENSION as u64;
/// Words of one operation.
const OPERATION_WORDS: usize = 3;
/// Words from one window to the next: bindings are aligned to 256 bytes.
pub(super) const WINDOW_STRIDE: usize = 64;
/// Operations that one lane goes through in a dispatch. Some drivers stop a loop after 65 535 trips.
const RUN_OPERATIONS: usize = 1 << 14;

/// Where the kernel's numbers of the operations are agreed on.
const ADD: u32 = 0;
const DECAY: u32 = 1;
const MIX: u32 = 2;
const CLIP: u32 = 3;

/// A wave of which every buffer is within `bytes`.
pub(super) fn bounds(bytes: u64) -> Result<Bounds, GpuError> {
    // The largest operation touches two slots.
    const NEEDS: u64 = 2 * 4 * DIMENSION as u64;
    if bytes < NEEDS {
        return Err(GpuError::TooLarge {
            what: "one operation of Memory Arithmetic".into(),
            needs: NEEDS,
            limit: bytes,
        });
    }
    let words = bytes as usize / 4;
    Ok(Bounds {
        slots: words / DIMENSION,
        vectors: words / VECTOR_WORDS,
        // Every operation is in a run, and every dispatch but the last is of full runs: the other lists are shorter.
        operations: words / OPERATION_WORDS,
    })
}

/// What one wave sends besides its slots.
#[derive(Debug, Default)]
pub(super) struct Wave {
    /// Operations as the kernel reads them, list after list.
    pub(super) operations: Vec<u32>,
    /// Vectors of the additions, packed.
    pub(super) vectors: Vec<u32>,
    /// First operation and number of operations of each run, dispatch after dispatch.
    pub(super) runs: Vec<u32>,
    /// First run and end of the runs of each dispatch, [`WINDOW_STRIDE`] words apart.
    pub(super) windows: Vec<u32>,
    /// Workgroups of each dispatch.
    pub(super) groups: Vec<u32>,
    /// Bytes that the kernels address; see [`super::MemoryStats`].
    pub(super) kernel_bytes: u64,
}

impl Wave {
    pub(super) fn new(wave: &ffcm::device::memory::Wave<'_>) -> Wave {
        let mut sent = Wave::default();
        wave.operations.iter().for_each(|one| sent.push(one));
        sent.cut(&wave.ends);
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
                self.vectors
                    .extend(vector.as_chunks::<2>().0.iter().map(pack));
                // Scaling reads it and writes it if it is long; applying reads it.
                let norm: i32 = vector.iter().map(|v| i32::from(*v).abs()).sum();
                let times = if norm > DELTA_NORM_MAX { 3 } else { 2 };
                self.kernel_bytes += times * 4 * VECTOR_WORDS as u64;
                (ADD, index as u32)
            }
            CheckedOp::Decay(factor) => (DECAY | u32::from(factor) << 2, 0),
            CheckedOp::Mix { alpha, .. } => {
                self.kernel_bytes += SLOT_BYTES;
                (MIX | u32::from(alpha) << 2, operation.source)
            }
            CheckedOp::Clip => (CLIP, 0),
        };
        self.operations.extend([head, operation.target, operand]);
        self.kernel_bytes += 4 * OPERATION_WORDS as u64 + 2 * SLOT_BYTES;
    }

    /// Cuts the lists, which end at `ends`, into runs and dispatches.
    fn cut(&mut self, ends: &[usize]) {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut lists: Vec<(usize, usize)> = starts.zip(ends.iter().copied()).collect();
        while !lists.is_empty() {
            let first = self.runs.len() / 2;
            for (start, end) in &mut lists {
                let count = (*end - *start).min(RUN_OPERATIONS);
                self.runs.extend([*start as u32, count as u32]);
                self.kernel_bytes += 8;
                *start += count;
            }
            lists.retain(|(start, end)| start < end);
            let end = self.runs.len() / 2;
            self.windows.resize(self.groups.len() * WINDOW_STRIDE, 0);
            self.windows.extend([first as u32, end as u32, 0, 0]);
            self.groups.push((end - first) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use ffcm::device::memory::{Operation, Planner};
    use ffcm::memory::SlotId;

    use super::*;

    fn id(slot: u8) -> SlotId {
        SlotId {
            shard: 1,
            layer: 2,
            slot,
        }
    }

    fn decay(slot: u8) -> Operation<'static> {
        Operation::new(id(slot), CheckedOp::Decay(9_000))
    }

    fn mix(slot: u8, source: u8) -> Operation<'static> {
        Operation::new(id(slot), CheckedOp::Mix { alpha: 1, source })
    }

    fn sent(operations: &[Operation<'_>], bytes: u64) -> (Wave, usize) {
        let bounds = bounds(bytes).unwrap();
        let (wave, taken) = Planner::default().wave(operations, &bounds);
        (Wave::new(&wave), taken)
    }

    #[test]
    fn slots_tied_by_a_mix_run_in_one_list() {
        let operations = [
            decay(5),
            mix(3, 5),
            decay(9),
            mix(9, 60),
            mix(7, 60),
            decay(5),
        ];
        let (wave, taken) = sent(&operations, 1 << 20);
        assert_eq!(taken, 6);
        // {5, 3}, then {9}, then {7}: slot 60 is only read and ties nothing.
        assert_eq!(wave.runs, [0, 3, 3, 2, 5, 1]);
        let heads = [DECAY | 36_000, 0, 0, MIX | 4, 1, 0, DECAY | 36_000, 0, 0];
        assert_eq!(wave.operations[..9], heads);
        assert_eq!(wave.operations[12..15], [MIX | 4, 2, 4]);
        assert_eq!(
            (&wave.windows[..], &wave.groups[..]),
            (&[0, 3, 0, 0][..], &[3][..])
        );
    }

    #[test]
    fn a_long_list_goes_on_in_the_next_dispatch() {
        let mut operations = vec![decay(0); 2 * RUN_OPERATIONS + 1];
        operations.push(decay(1));
        let (wave, taken) = sent(&operations, 1 << 20);
        assert_eq!(taken, operations.len());
        let run = RUN_OPERATIONS as u32;
        assert_eq!(wave.groups, [2, 1, 1]);
        assert_eq!(wave.runs, [0, run, 2 * run + 1, 1, run, run, 2 * run, 1]);
        assert_eq!(wave.windows.len(), 2 * WINDOW_STRIDE + 4);
        assert_eq!(wave.windows[WINDOW_STRIDE..][..2], [2, 3]);
        assert_eq!(wave.windows[2 * WINDOW_STRIDE..][..2], [3, 4]);
    }

    #[test]
    fn a_wave_ends_where_a_buffer_is_full() {
        let small = bounds(1024).unwrap();
        assert_eq!((small.slots, small.vectors, small.operations), (2, 4, 85));
        let vector = [1; DIMENSION];
        let adds = [Operation::new(id(0), CheckedOp::Add(&vector)); 7];
        let (wave, taken) = sent(&adds, 1024);
        assert_eq!((taken, wave.kernel_bytes), (4, 4 * (12 + 1024 + 512) + 8));
        assert!(matches!(
            bounds(1023),
            Err(GpuError::TooLarge { needs: 1024, .. })
        ));
    }
}
