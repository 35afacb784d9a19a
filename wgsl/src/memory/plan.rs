//! Cuts a batch into waves and a wave into runs.
//!
//! A mix reads a slot at its place in the batch, so slots tied by a mix of which the source is written in the same wave
//! belong together: their operations are one list, in batch order. Lists have no slot in common that any of them
//! writes and run side by side. A list longer than a dispatch may loop goes on in the next one.

use ffcm::memory::{CheckedOp, DELTA_NORM_MAX, DIMENSION, SlotId};

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

/// A checked operation and its target's position in the tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation<'a> {
    target: u32,
    op: CheckedOp<'a>,
}

impl<'a> Operation<'a> {
    pub(super) fn new(target: SlotId, op: CheckedOp<'a>) -> Operation<'a> {
        Operation {
            // Below 2^24.
            target: target.position() as u32,
            op,
        }
    }

    /// Position of the slot that is read besides the target: the same layer, another slot.
    fn source(&self) -> Option<u32> {
        match self.op {
            CheckedOp::Mix { source, .. } => {
                let layer = SlotId::at(self.target as usize);
                let source = SlotId {
                    slot: source,
                    ..layer
                };
                Some(source.position() as u32)
            }
            _ => None,
        }
    }
}

/// How much one wave may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    slots: usize,
    vectors: usize,
    operations: usize,
}

impl Bounds {
    /// Every buffer of a wave within `bytes`.
    pub(super) fn within(bytes: u64) -> Result<Bounds, GpuError> {
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
}

/// What one wave sends.
#[derive(Debug, Default)]
pub(super) struct Wave {
    /// Positions of the slots touched, those written first.
    pub(super) slots: Vec<u32>,
    /// How many of them are written.
    pub(super) written: usize,
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
    /// Lists that ran side by side.
    pub(super) lists: usize,
    /// Bytes that the kernels address; see [`super::MemoryStats`].
    pub(super) kernel_bytes: u64,
}

const ABSENT: u32 = u32::MAX;

/// Makes waves; keeps what is as large as the tensor between them.
#[derive(Debug, Default)]
pub(super) struct Planner {
    /// Number of a slot within the wave by its position in the tensor; [`ABSENT`] between waves.
    numbers: Vec<u32>,
}

/// A slot of a wave in the making.
struct Touched {
    position: u32,
    written: bool,
    /// Union-find over slots whose operations belong together.
    parent: u32,
}

impl Planner {
    /// The first wave of `operations` (at least one), and how many of them it takes.
    pub(super) fn wave(&mut self, operations: &[Operation<'_>], bounds: &Bounds) -> (Wave, usize) {
        let (mut touched, taken) = self.touch(operations, bounds);
        let operations = &operations[..taken];
        let lists = self.lists(operations, &mut touched);

        let mut wave = Wave::default();
        // Where each slot goes: those written first.
        let mut at = vec![0; touched.len()];
        for written in [true, false] {
            for (number, slot) in touched.iter().enumerate() {
                if slot.written == written {
                    at[number] = wave.slots.len() as u32;
                    wave.slots.push(slot.position);
                }
            }
            if written {
                wave.written = wave.slots.len();
            }
        }
        let mut ends = Vec::with_capacity(lists.len());
        for list in &lists {
            for &index in list {
                let number = |position: u32| at[self.numbers[position as usize] as usize];
                wave.push(&operations[index as usize], number);
            }
            ends.push(wave.operations.len() / OPERATION_WORDS);
        }
        wave.cut(&ends);
        wave.lists = ends.len();
        for slot in &touched {
            self.numbers[slot.position as usize] = ABSENT;
        }
        (wave, taken)
    }

    /// Numbers the slots of as many operations as fit.
    fn touch(&mut self, operations: &[Operation<'_>], bounds: &Bounds) -> (Vec<Touched>, usize) {
        let mut touched = Vec::new();
        let mut vectors = 0;
        let mut taken = 0;
        for operation in operations.iter().take(bounds.operations) {
            vectors += usize::from(matches!(operation.op, CheckedOp::Add(_)));
            let absent = |position: &u32| {
                let number = self.numbers.get(*position as usize);
                number.is_none_or(|number| *number == ABSENT)
            };
            let source = operation.source().filter(|at| *at != operation.target);
            let fresh = [Some(operation.target), source].into_iter().flatten();
            let fresh = fresh.filter(absent).count();
            if vectors > bounds.vectors || touched.len() + fresh > bounds.slots {
                break;
            }
            self.number(operation.target, &mut touched).written = true;
            if let Some(source) = source {
                self.number(source, &mut touched);
            }
            taken += 1;
        }
        (touched, taken)
    }

    fn number<'t>(&mut self, position: u32, touched: &'t mut Vec<Touched>) -> &'t mut Touched {
        let at = position as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(at + 1, ABSENT);
        }
        if self.numbers[at] == ABSENT {
            let number = touched.len() as u32;
            self.numbers[at] = number;
            touched.push(Touched {
                position,
                written: false,
                parent: number,
            });
        }
        &mut touched[self.numbers[at] as usize]
    }

    /// Indices of the operations that belong together, each list in batch order.
    fn lists(&self, operations: &[Operation<'_>], touched: &mut [Touched]) -> Vec<Vec<u32>> {
        for operation in operations {
            let Some(source) = operation.source() else {
                continue;
            };
            let source = self.numbers[source as usize];
            if touched[source as usize].written {
                let a = root(touched, self.numbers[operation.target as usize]);
                let b = root(touched, source);
                touched[a.max(b) as usize].parent = a.min(b);
            }
        }
        let mut list_of = vec![ABSENT; touched.len()];
        let mut lists: Vec<Vec<u32>> = Vec::new();
        for (index, operation) in (0..).zip(operations) {
            let root = root(touched, self.numbers[operation.target as usize]) as usize;
            if list_of[root] == ABSENT {
                list_of[root] = lists.len() as u32;
                lists.push(Vec::new());
            }
            lists[list_of[root] as usize].push(index);
        }
        lists
    }
}

/// The representative of a slot's set; halves the path to it.
fn root(touched: &mut [Touched], mut number: u32) -> u32 {
    loop {
        let parent = touched[number as usize].parent;
        if parent == number {
            return number;
        }
        let above = touched[parent as usize].parent;
        touched[number as usize].parent = above;
        number = above;
    }
}

impl Wave {
    fn push(&mut self, operation: &Operation<'_>, number: impl Fn(u32) -> u32) {
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
                let source = operation.source().map_or(0, &number);
                self.kernel_bytes += SLOT_BYTES;
                (MIX | u32::from(alpha) << 2, source)
            }
            CheckedOp::Clip => (CLIP, 0),
        };
        self.operations
            .extend([head, number(operation.target), operand]);
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

    fn bounds() -> Bounds {
        Bounds::within(1 << 20).unwrap()
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
        let mut planner = Planner::default();
        for _ in 0..2 {
            let (wave, taken) = planner.wave(&operations, &bounds());
            assert_eq!(taken, 6);
            let positions: Vec<u32> = [5, 3, 9, 7, 60].map(|s| id(s).position() as u32).into();
            assert_eq!((wave.slots, wave.written), (positions, 4));
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
    }

    #[test]
    fn a_long_list_goes_on_in_the_next_dispatch() {
        let mut operations = vec![decay(0); 2 * RUN_OPERATIONS + 1];
        operations.push(decay(1));
        let (wave, taken) = Planner::default().wave(&operations, &bounds());
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
        let small = Bounds::within(1024).unwrap();
        assert_eq!((small.slots, small.vectors, small.operations), (2, 4, 85));
        let mut planner = Planner::default();
        let slots = [mix(0, 1), mix(1, 1), decay(0), mix(0, 2)];
        assert_eq!(planner.wave(&slots, &small).1, 3);
        assert_eq!(planner.wave(&[decay(1); 100], &small).1, 85);
        let vector = [1; DIMENSION];
        let adds = [Operation::new(id(0), CheckedOp::Add(&vector)); 7];
        let (wave, taken) = planner.wave(&adds, &small);
        assert_eq!((taken, wave.kernel_bytes), (4, 4 * (12 + 1024 + 512) + 8));
        assert!(matches!(
            Bounds::within(1023),
            Err(GpuError::TooLarge { needs: 1024, .. })
        ));
    }
}
