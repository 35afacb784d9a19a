//! One loop over the operations of a layer, compiled for several instruction sets; the widest that the processor has is chosen at run
//! time. The portable one is the same code for the instructions that every processor of the target has.

use std::ops::Range;

use super::SLOTS_PER_LAYER;
use super::kernels::{Lanes, Plan, Slot, Step, narrow, scaled, widen};

/// Lanes of a layer's slots while its operations run.
#[repr(align(64))]
pub(super) struct Scratch([Lanes; SLOTS_PER_LAYER]);

/// Instructions that [`run`] is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    /// What the target has anyway.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Steps in some order, of which a range is the next to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub steps: &'a [Step<'a>],
    pub start: usize,
    pub end: usize,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch([[0; _]; _])
    }
}

impl Instructions {
    /// The widest of this processor. Looked up once, then a load and a test.
    pub fn widest() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        {
            if Instructions::Avx512.are_here() {
                return Instructions::Avx512;
            }
            if Instructions::Avx2.are_here() {
                return Instructions::Avx2;
            }
        }
        Instructions::Portable
    }

    /// Whether this processor has them.
    pub fn are_here(self) -> bool {
        match self {
            Instructions::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    pub fn one(self, layer: &mut [Slot], step: Step<'_>) {
        debug_assert!(self.are_here());
        match self {
            Instructions::Portable => one(layer, step),
            // SAFETY: these instructions are here: `widest` or a test asked.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { one_avx2(layer, step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { one_avx512(layer, step) },
        }
    }

    pub fn run(self, layer: &mut [Slot], runs: &[Run<'_>], scratch: &mut Scratch) {
        debug_assert!(self.are_here());
        match self {
            Instructions::Portable => run(layer, runs, scratch),
            // SAFETY: these instructions are here: `widest` or a test asked.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { run_avx2(layer, runs, scratch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { run_avx512(layer, runs, scratch) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(layer: &mut [Slot], runs: &[Run<'_>], scratch: &mut Scratch) {
    run(layer, runs, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn run_avx512(layer: &mut [Slot], runs: &[Run<'_>], scratch: &mut Scratch) {
    run(layer, runs, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn one_avx2(layer: &mut [Slot], step: Step<'_>) {
    one(layer, step);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn one_avx512(layer: &mut [Slot], step: Step<'_>) {
    one(layer, step);
}

/// Steps whose coefficients are worked out before the first of them is applied: the sums of their vectors take long to come
/// but do not wait for each other.
const BLOCK: usize = 16;

#[inline(always)]
fn run(layer: &mut [Slot], runs: &[Run<'_>], scratch: &mut Scratch) {
    let (mut written, mut read) = (0_u64, 0_u64);
    for run in runs {
        for step in &run.steps[run.start..run.end] {
            written |= 1 << (step.target % 64);
            if let Some(source) = step.source() {
                read |= 1 << (source % 64);
            }
        }
    }
    for slot in bits(written | read) {
        scratch.0[slot] = narrow(&layer[slot]);
    }
    for run in runs {
        let mut at = run.start;
        while at < run.end {
            let end = run.end.min(at + BLOCK);
            let block = &run.steps[at..end];
            let next = run.steps[end..].iter().take(BLOCK);
            at = end;
            let mut plans = [const { std::mem::MaybeUninit::<Plan>::uninit() }; BLOCK];
            for (plan, step) in plans.iter_mut().zip(block) {
                plan.write(step.plan());
            }
            for step in next {
                prefetch(step.vector().as_ptr().cast(), 5);
            }
            for (plan, step) in plans.iter().zip(block) {
                apply(&mut scratch.0, step, unsafe { plan.assume_init_ref() });
            }
        }
    }
    for slot in bits(written) {
        layer[slot] = widen(&scratch.0[slot]);
    }
}

#[inline(always)]
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

#[inline(always)]
fn prefetch(at: *const i8, lines: usize) {
    use std::arch::x86_64::*;
    for line in 0..lines {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64 * line)) }
    }
}

#[inline(always)]
fn apply(slots: &mut [Lanes; SLOTS_PER_LAYER], step: &Step<'_>, plan: &Plan) {
    let target = step.target as usize % SLOTS_PER_LAYER;
    let scaled_vector;
    let operand = if plan.long {
        scaled_vector = scaled(step.vector());
        &scaled_vector
    } else {
        match step.source() {
            Some(source) => &slots[usize::from(source) % SLOTS_PER_LAYER],
            None => step.vector(),
        }
    };
    let old = &slots[target];
    let (base, operand) = match plan.swapped {
        true => (operand, old),
        false => (old, operand),
    };
    slots[target] = plan.apply(base, operand);
}

#[inline(always)]
fn one(layer: &mut [Slot], step: Step<'_>) {
    let target = step.target as usize % SLOTS_PER_LAYER;
    let plan = step.plan();
    let other = if plan.long {
        scaled(step.vector())
    } else if let Some(source) = step.source() {
        narrow(&layer[usize::from(source)])
    } else {
        *step.vector()
    };
    let old = narrow(&layer[target]);
    let (base, operand) = match plan.swapped {
        true => (&other, &old),
        false => (&old, &other),
    };
    layer[target] = widen(&plan.apply(base, operand));
}
