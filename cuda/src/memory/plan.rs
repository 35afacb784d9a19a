//! How a wave of Memory Arithmetic is sent: lists of single slots shared out among warps, and lists of several.

use ffcm::device::memory::{Bounds, Placed, Wave};
use ffcm::memory::CheckedOp;

use super::Slot;
use crate::device::CudaError;

/// Threads of a warp.
pub(super) const WARP: u32 = 32;
/// Bytes of a slot or a vector.
pub(super) const ROW_BYTES: u64 = size_of::<Slot>() as u64;
/// Most slots, vectors or operations of a wave, on any device: it bounds what the engine keeps, on both sides, and how long
/// the longest list makes a launch.
const WAVE_ROWS: u64 = 1 << 18;
/// Operations of a warp: enough to share the cost of looking them up, few enough that the last warps do not wait long for
/// one another.
const WARP_OPERATIONS: std::ops::RangeInclusive<usize> = 4..=64;

/// Where the kernel's numbers of the operations are agreed on.
const CLIP: u64 = 0;
const ADD: u64 = 1;
const DECAY: u64 = 2;
const MIX: u64 = 3;
const FIRST: u64 = 1 << 16;
const LAST: u64 = 1 << 17;
const OPERAND_SHIFT: u32 = 18;
const TARGET_SHIFT: u32 = 41;

/// A wave of which all buffers fit into `bytes`.
pub(super) fn bounds(bytes: u64) -> Result<Bounds, CudaError> {
    // Of each a slot, a vector, an operation, a cut and half of a list of four words: 532 bytes, and as the lengths of
    // buffers are powers of two, less than twice that. As much again is left to other engines.
    const EACH: u64 = 8 * ROW_BYTES;
    // The largest operation touches two slots.
    const NEEDS: u64 = 2 * EACH;
    if bytes < NEEDS {
        return Err(CudaError::TooLarge {
            what: "one operation of Memory Arithmetic".into(),
            needs: NEEDS,
            limit: bytes,
        });
    }
    let rows = (bytes / EACH).min(WAVE_ROWS) as usize;
    Ok(Bounds {
        slots: rows,
        vectors: rows,
        operations: rows,
    })
}

/// What one wave sends besides its slots.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Operations as the kernels read them: those of the lists of one slot, then those of the others.
    pub(super) operations: Vec<u64>,
    /// Where the operations of each warp begin, and the last end; empty if there are none.
    pub(super) cuts: Vec<u32>,
    /// Of each list of several slots its first operation, its end, the first of its slots and their number.
    pub(super) tied: Vec<u32>,
    /// Most slots of such a list.
    pub(super) tied_slots: u32,
    /// Vectors of the additions.
    pub(super) vectors: Vec<Slot>,
    /// See [`super::MemoryStats`].
    pub(super) kernel_bytes: u64,
}

impl Plan {
    /// For a device that holds so many warps at a time.
    pub(super) fn new(wave: &Wave<'_>, warps: usize) -> Plan {
        let mut plan = Plan::default();
        let alone = |list: &&[Placed<'_>]| list.iter().all(|one| one.target == list[0].target);
        let operations: usize = wave.lists().filter(alone).map(<[_]>::len).sum();
        let (least, most) = WARP_OPERATIONS.into_inner();
        let share = operations.div_ceil(warps.max(1)).clamp(least, most);
        for list in wave.lists().filter(alone) {
            let start = plan.operations.len();
            if plan
                .cuts
                .last()
                .is_none_or(|cut| *cut as usize + share <= start)
            {
                plan.cuts.push(start as u32);
            }
            plan.list(list, |source| source == list[0].target);
            plan.kernel_bytes += 2 * ROW_BYTES;
        }
        if !plan.cuts.is_empty() {
            plan.cuts.push(plan.operations.len() as u32);
        }
        for list in wave.lists().filter(|list| !alone(list)) {
            let targets = || list.iter().map(|one| one.target);
            // The slots that a list writes follow each other.
            let base = targets().min().unwrap_or(0);
            let end = targets().max().unwrap_or(0) + 1;
            let first = plan.operations.len() as u32;
            plan.list(list, |source| (base..end).contains(&source));
            let last = plan.operations.len() as u32;
            plan.tied.extend([first, last, base, end - base]);
            plan.tied_slots = plan.tied_slots.max(end - base);
            plan.kernel_bytes += 2 * ROW_BYTES * u64::from(end - base) + 16;
        }
        plan.kernel_bytes += 8 * plan.operations.len() as u64 + 4 * plan.cuts.len() as u64;
        plan
    }

    /// How many warps share the lists of one slot.
    pub(super) fn warps(&self) -> u64 {
        self.cuts.len().saturating_sub(1) as u64
    }

    /// How many lists of several slots there are.
    pub(super) fn tied_lists(&self) -> u64 {
        self.tied.len() as u64 / 4
    }

    /// Adds a list; `held` says which slots the threads hold, so that a mix does not load them.
    fn list(&mut self, list: &[Placed<'_>], held: impl Fn(u32) -> bool) {
        for (index, one) in list.iter().enumerate() {
            let (head, operand) = match one.op {
                CheckedOp::Add(vector) => {
                    let index = self.vectors.len() as u32;
                    self.vectors.push(*vector);
                    self.kernel_bytes += ROW_BYTES;
                    (ADD, index)
                }
                CheckedOp::Decay(factor) => (DECAY | u64::from(factor) << 2, 0),
                CheckedOp::Mix { alpha, .. } => {
                    if !held(one.source) {
                        self.kernel_bytes += ROW_BYTES;
                    }
                    (MIX | u64::from(alpha) << 2, one.source)
                }
                CheckedOp::Clip => (CLIP, 0),
            };
            debug_assert!(operand < 1 << 23 && one.target < 1 << 23);
            let first = if index == 0 { FIRST } else { 0 };
            let last = if index + 1 == list.len() { LAST } else { 0 };
            let places =
                u64::from(operand) << OPERAND_SHIFT | u64::from(one.target) << TARGET_SHIFT;
            self.operations.push(head | first | last | places);
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

    fn placed(operand: u64, target: u64) -> u64 {
        operand << OPERAND_SHIFT | target << TARGET_SHIFT
    }

    const DECAYED: u64 = DECAY | 9_000 << 2;
    const MIXED: u64 = MIX | 1 << 2;

    #[test]
    fn lists_of_one_slot_and_of_several_go_apart() {
        let operations = [decay(5), mix(3, 5), decay(9), mix(9, 60), mix(7, 7)];
        let bounds = bounds(1 << 20).unwrap();
        let (wave, _) = Planner::default().wave(&operations, &bounds);
        let plan = Plan::new(&wave, 1);
        // {5, 3} are slots 0 and 1, then 9 and 7, then 60.
        let expected = [
            DECAYED | FIRST | placed(0, 2),
            MIXED | LAST | placed(4, 2),
            MIXED | FIRST | LAST | placed(3, 3),
            DECAYED | FIRST | placed(0, 0),
            MIXED | LAST | placed(0, 1),
        ];
        assert_eq!(plan.operations, expected);
        assert_eq!((&plan.cuts[..], plan.warps()), (&[0, 3][..], 1));
        assert_eq!(plan.tied, [3, 5, 0, 2]);
        assert_eq!((plan.tied_slots, plan.tied_lists()), (2, 1));
        // Four slots in and out, slot 60 in, the operations, the cuts, the list.
        assert_eq!(plan.kernel_bytes, 8 * 256 + 256 + 5 * 8 + 2 * 4 + 16);
    }

    #[test]
    fn warps_take_whole_lists_of_about_the_same_length() {
        let mut operations = vec![decay(0); 9];
        operations.extend((1..20).map(decay));
        let bounds = bounds(1 << 20).unwrap();
        let (wave, _) = Planner::default().wave(&operations, &bounds);
        assert_eq!(Plan::new(&wave, 1000).cuts, [0, 9, 13, 17, 21, 25, 28]);
        assert_eq!(Plan::new(&wave, 4).cuts, [0, 9, 16, 23, 28]);
        assert_eq!(Plan::new(&wave, 0).cuts, [0, 28]);
        assert_eq!(Plan::new(&Wave::default(), 4).warps(), 0);
    }

    #[test]
    fn what_a_device_has_bounds_a_wave() {
        assert_eq!(bounds(u64::MAX).unwrap().slots, 1 << 18);
        assert_eq!(bounds(4096).unwrap().slots, 2);
        assert!(matches!(
            bounds(4095),
            Err(CudaError::TooLarge {
                needs: 4096,
                limit: 4095,
                ..
            })
        ));
    }
}
