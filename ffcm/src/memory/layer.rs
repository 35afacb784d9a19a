//! Runs operations on a layer: one loop, compiled for several instruction sets. The widest that the processor has is
//! chosen at run time; the portable one is the same code for what every processor of the target has.

use std::ops::Range;

use super::SLOTS_PER_LAYER;
use super::kernels::{Lanes, Plan, Slot, Step, norm, scaled};

/// Steps whose coefficients are worked out before the first of them is applied. The sum over a vector takes long to
/// arrive, and the processor does not look far enough ahead to begin with the next meanwhile.
const BLOCK: usize = 16;

/// The lanes of a layer's slots while its operations run: 16 KiB, half a first cache.
#[repr(C, align(64))]
pub(super) struct Scratch([Lanes; SLOTS_PER_LAYER]);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch([[0; _]; _])
    }
}

/// Steps sorted by layer, of which a range is to run now.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub steps: &'a [Step<'a>],
    pub range: Range<usize>,
}

/// Instructions that the loops are compiled for, and that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instructions(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// What the target has anyway.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Set {
    /// Looked up once, then a load and a test.
    #[inline]
    fn is_here(self) -> bool {
        match self {
            Set::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }
}

impl Instructions {
    /// The widest of this processor.
    #[inline]
    pub fn widest() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        {
            if Set::Avx512.is_here() {
                return Instructions(Set::Avx512);
            }
            if Set::Avx2.is_here() {
                return Instructions(Set::Avx2);
            }
        }
        Instructions(Set::Portable)
    }

    /// Applies one step to the layer it lies in.
    pub fn apply(self, layer: &mut [Slot; SLOTS_PER_LAYER], step: &Step<'_>) {
        debug_assert!(self.0.is_here());
        match self.0 {
            Set::Portable => apply(layer, step),
            // SAFETY: made only where the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::apply_avx2(layer, step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::apply_avx512(layer, step) },
        }
    }

    /// Applies the ranges of `runs`, all of this layer, one after the other. The steps that follow a range are only
    /// fetched into the cache. What `scratch` holds before and after does not matter.
    pub fn run(self, layer: &mut [Slot; SLOTS_PER_LAYER], runs: &[Run<'_>], scratch: &mut Scratch) {
        debug_assert!(self.0.is_here());
        match self.0 {
            Set::Portable => run(layer, runs, scratch),
            // SAFETY: made only where the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::run_avx2(layer, runs, scratch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::run_avx512(layer, runs, scratch) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;

    #[target_feature(enable = "avx2")]
    pub fn apply_avx2(layer: &mut [Slot; SLOTS_PER_LAYER], step: &Step<'_>) {
        apply(layer, step);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub fn apply_avx512(layer: &mut [Slot; SLOTS_PER_LAYER], step: &Step<'_>) {
        apply(layer, step);
    }

    #[target_feature(enable = "avx2")]
    pub fn run_avx2(layer: &mut [Slot; SLOTS_PER_LAYER], runs: &[Run<'_>], lanes: &mut Scratch) {
        run(layer, runs, lanes);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub fn run_avx512(layer: &mut [Slot; SLOTS_PER_LAYER], runs: &[Run<'_>], lanes: &mut Scratch) {
        run(layer, runs, lanes);
    }
}

/// One step by itself: lanes stay in registers.
#[inline(always)]
fn apply(layer: &mut [Slot; SLOTS_PER_LAYER], step: &Step<'_>) {
    let norm = if step.is_add() { norm(step.vector) } else { 0 };
    let plan = step.plan(norm);
    let other = if plan.long {
        scaled(step.vector, norm)
    } else if step.mixes {
        layer[usize::from(step.source) % SLOTS_PER_LAYER].lanes()
    } else {
        *step.vector
    };
    let target = &mut layer[step.target()];
    let old = target.lanes();
    target.set(&match plan.swapped {
        true => plan.apply(&other, &old),
        false => plan.apply(&old, &other),
    });
}

/// Slots are narrowed to lanes once, and widened once at the end, however many operations they see.
#[inline(always)]
fn run(layer: &mut [Slot; SLOTS_PER_LAYER], runs: &[Run<'_>], scratch: &mut Scratch) {
    let (mut read, mut written) = (0_u64, 0_u64);
    for step in runs.iter().flat_map(|run| &run.steps[run.range.clone()]) {
        read |= 1 << (step.source % 64);
        written |= 1 << step.target();
    }
    let lanes = &mut scratch.0;
    for slot in members(read | written) {
        lanes[slot] = layer[slot].lanes();
    }
    for Run { steps, range } in runs {
        let (steps, later) = (&steps[range.clone()], &steps[range.end..]);
        let mut ahead = steps.iter().chain(later).skip(BLOCK);
        for block in steps.chunks(BLOCK) {
            let mut plans = [const { Step::NONE }; BLOCK].map(|none| (none.plan(0), 0));
            for (plan, step) in plans.iter_mut().zip(block) {
                let norm = norm(step.vector);
                *plan = (step.plan(norm), norm);
            }
            for step in ahead.by_ref().take(block.len()) {
                prefetch(step.vector);
            }
            for (step, (plan, norm)) in block.iter().zip(&plans) {
                apply_lanes(lanes, step, plan, *norm);
            }
        }
    }
    for slot in members(written) {
        layer[slot].set(&lanes[slot]);
    }
}

#[inline(always)]
fn apply_lanes(lanes: &mut [Lanes; SLOTS_PER_LAYER], step: &Step<'_>, plan: &Plan, norm: i32) {
    let long;
    let operand = if plan.long {
        long = scaled(step.vector, norm);
        &long
    } else {
        match step.mixes {
            true => &lanes[usize::from(step.source) % SLOTS_PER_LAYER],
            false => step.vector,
        }
    };
    let old = &lanes[step.target()];
    let (base, operand) = match plan.swapped {
        true => (operand, old),
        false => (old, operand),
    };
    lanes[step.target()] = plan.apply(base, operand);
}

/// The numbers of the bits that are set.
#[inline(always)]
fn members(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as usize)
    })
}

/// Fetches a vector into the cache: in layer order, vectors lie anywhere.
#[inline(always)]
fn prefetch(vector: &Lanes) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start: *const i8 = vector.as_ptr().cast();
        // The last byte too: vectors begin anywhere in a cache line.
        for offset in [0, 64, 128, 192, size_of::<Lanes>() - 1] {
            // SAFETY: a hint; and the byte lies within the vector.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = vector;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{CLIP, DIMENSION, Memory, MemoryOp, SlotId};
    use crate::oracle;
    use crate::testing::Rng;

    fn target(slot: u8) -> SlotId {
        SlotId {
            shard: 0,
            layer: 0,
            slot,
        }
    }

    /// Values of every size, the bounds often among them.
    fn values(rng: &mut Rng) -> [i32; DIMENSION] {
        let bound = [1, 300, CLIP][rng.below(3) as usize];
        std::array::from_fn(|_| match rng.below(8) {
            0 => bound,
            1 => -bound,
            _ => rng.between(-i64::from(bound), bound.into()) as i32,
        })
    }

    fn operation(rng: &mut Rng, slots: u64) -> MemoryOp {
        match rng.below(4) {
            0 => MemoryOp::Decay {
                factor: rng.between(8_000, 9_999) as u16,
            },
            1 => MemoryOp::Mix {
                alpha: [rng.below(10_001), 0, 5_000, 10_000][rng.below(4) as usize] as u16,
                source: rng.below(slots) as u8,
            },
            _ => {
                // Norms below, about and beyond each of the bounds between the ways to scale.
                let bound =
                    [10, 16, 30, 126, 130, 200, 340, 343, 700, 32_767][rng.below(10) as usize];
                let mut vector: Vec<i16> = (0..DIMENSION)
                    .map(|_| rng.between(-bound, bound) as i16)
                    .collect();
                if rng.below(8) == 0 {
                    vector.fill([i16::MIN, i16::MAX, 16, 0][rng.below(4) as usize]);
                } else if rng.below(4) == 0 {
                    // One component alone, up to the norm itself.
                    let kept = vector[0].saturating_mul(rng.below(200) as i16);
                    vector.fill(0);
                    vector[5] = kept;
                }
                MemoryOp::Add { vector }
            }
        }
    }

    /// Chains of operations on few slots, and on all of a layer, in one run and in two, and one at a time.
    #[test]
    fn all_instructions_give_what_the_oracle_gives() {
        #[cfg(target_arch = "x86_64")]
        let all = [Set::Portable, Set::Avx2, Set::Avx512];
        #[cfg(not(target_arch = "x86_64"))]
        let all = [Set::Portable];
        let here = all.into_iter().filter(|set| set.is_here());
        let here: Vec<_> = here.map(Instructions).collect();
        assert!(here.contains(&Instructions::widest()));
        let mut rng = Rng::new(6);
        let mut scratch = Scratch::new();
        for round in 0..400 {
            let slots = [1, 2, 7, 64][round % 4];
            let mut start = Memory::zero(1);
            for slot in 0..64 {
                start.load_slot(target(slot), &values(&mut rng)).unwrap();
            }
            let length = rng.below(70) as usize;
            let ops: Vec<_> = (0..length)
                .map(|_| (target(rng.below(slots) as u8), operation(&mut rng, slots)))
                .collect();
            let mut expected = start.clone();
            for (target, op) in &ops {
                oracle::memory::apply(&mut expected, *target, op).unwrap();
            }
            let steps: Vec<_> = ops
                .iter()
                .map(|(target, op)| Step::decode(target.position() as u32, op).unwrap())
                .collect();
            for &instructions in &here {
                let mut alone = start.clone();
                let (layers, _) = alone.slots.as_chunks_mut();
                for step in &steps {
                    instructions.apply(&mut layers[0], step);
                }
                assert!(alone == expected, "{instructions:?}, one at a time");

                let cut = length - rng.below(length as u64 + 1) as usize;
                let run = |range| Run {
                    steps: &steps,
                    range,
                };
                let mut together = start.clone();
                let (layers, _) = together.slots.as_chunks_mut();
                let runs = [run(0..cut), run(cut..length)];
                instructions.run(&mut layers[0], &runs, &mut scratch);
                assert!(together == expected, "{instructions:?}, in a run");
            }
        }
    }
}
