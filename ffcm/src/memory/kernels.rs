//! What an operation does to the lanes of a slot.
//!
//! Every value, component and remainder fits 16 bits, so that a 256-bit register holds sixteen of them. Add, decay and
//! mix are one formula with different coefficients ([`Plan`]): no branch, nothing to mispredict. Nothing is divided lane
//! by lane: [`Ratio::round`] multiplies by a reciprocal, which is right up to one, and lets the exact remainder decide.
//! The loops are plain ones over fixed arrays, which the compiler turns into vector instructions, for wider registers
//! than every processor has in [`layer`](super::layer). They are held against the definition, which divides.

use super::{CLIP, CheckedOp, DELTA_NORM_MAX, DIMENSION, SCALAR_ONE};

/// One slot's values, on cache lines of their own: a register full of them never straddles two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Slot(pub [i32; DIMENSION]);

/// One slot's values, or a vector, in 16-bit lanes.
pub(super) type Lanes = [i16; DIMENSION];

/// What operations without a vector have in its place.
static ZERO: Lanes = [0; DIMENSION];

const ONE: i32 = SCALAR_ONE as i32;
/// Largest denominator of a [`Ratio`]: remainders less half of it stay within three quarters of it and one.
const DENOMINATOR_MAX: i32 = 43_688;
const _: () = assert!(3 * DENOMINATOR_MAX <= 4 * (i16::MAX as i32 - 1));
const _: () = assert!(DENOMINATOR_MAX < u16::MAX as i32);
// A mixed pair may lie 2 · CLIP apart.
const _: () = assert!(2 * CLIP <= 1 << 14 && DELTA_NORM_MAX << 3 <= 1 << 14);

/// A checked operation that may change its target, as the loops want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// What is added; zero for decay and mix.
    vector: &'a Lanes,
    /// Position of the target in the tensor.
    pub target: u32,
    /// Weight of the target in 1e-4 units, or [`Step::ADD`].
    weight: u16,
    /// Slot that is mixed in, or [`Step::NO_SOURCE`].
    source: u8,
}

impl<'a> Step<'a> {
    const ADD: u16 = u16::MAX;
    const NO_SOURCE: u8 = u8::MAX;
    /// Changes nothing.
    pub const NONE: Step<'static> = Step {
        vector: &ZERO,
        target: 0,
        weight: Step::ADD,
        source: Step::NO_SOURCE,
    };

    /// None for a clip: values are within its bounds already.
    #[inline(always)]
    pub fn new(target: u32, op: CheckedOp<'a>) -> Option<Step<'a>> {
        let (vector, weight, source) = match op {
            CheckedOp::Add(vector) => (vector, Step::ADD, Step::NO_SOURCE),
            CheckedOp::Decay(factor) => (&ZERO, factor, Step::NO_SOURCE),
            CheckedOp::Mix { alpha, source } => (&ZERO, alpha, source),
            CheckedOp::Clip => return None,
        };
        Some(Step {
            vector,
            target,
            weight,
            source,
        })
    }

    /// What is added, or what stands for it.
    #[inline(always)]
    pub fn vector(&self) -> &'a Lanes {
        self.vector
    }

    /// The slot of the target's layer that is read besides it.
    #[inline(always)]
    pub fn source(&self) -> Option<u8> {
        (self.source != Step::NO_SOURCE).then_some(self.source)
    }

    /// The coefficients.
    #[inline(always)]
    pub fn plan(&self) -> Plan {
        let norm = norm(self.vector);
        let is_add = self.weight == Step::ADD;
        let alpha = i32::from(self.weight);
        let (weight, denominator, shift) = if !is_add {
            (alpha.min(ONE - alpha), ONE, 0)
        } else if norm <= DELTA_NORM_MAX || norm > DENOMINATOR_MAX {
            // Eight times the component by an eighth: itself.
            (1, 8, 3)
        } else if norm < 1 << 14 {
            // No component is above the norm: a doubled one has room, and its reciprocal too.
            (DELTA_NORM_MAX / 2, norm, 1)
        } else {
            (DELTA_NORM_MAX, norm, 0)
        };
        Plan {
            ratio: Ratio::new(weight, denominator),
            shift,
            base_mask: i16::from(is_add) - 1,
            swapped: !is_add && 2 * alpha <= ONE,
            long: norm > DENOMINATOR_MAX,
        }
    }
}

/// Σ |v|, exact up to `u16::MAX − 1`, and no less than that where it is not.
#[inline(always)]
fn norm(vector: &Lanes) -> i32 {
    let size = |i: usize| vector[i].unsigned_abs();
    let mut sums = [0_u16; 32];
    for (i, sum) in sums.iter_mut().enumerate() {
        let (even, odd) = (
            size(i).saturating_add(size(i + 32)),
            size(i + 64).saturating_add(size(i + 96)),
        );
        *sum = even.saturating_add(odd);
    }
    sums.into_iter().map(i32::from).sum()
}

/// `clip(base + (operand · 2^shift − base) · ratio)` of a mix or decay, `clip(base + operand · 2^shift · ratio)` of an add.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    ratio: Ratio,
    shift: u16,
    /// All ones, or zero for an add.
    base_mask: i16,
    /// Whether the target is the operand and the other one the base.
    pub swapped: bool,
    /// Whether the operand must be scaled before, by [`scaled`].
    pub long: bool,
}

impl Plan {
    /// The target's new lanes.
    #[inline(always)]
    pub fn apply(&self, base: &Lanes, operand: &Lanes) -> Lanes {
        const BOUND: i16 = CLIP as i16;
        std::array::from_fn(|i| {
            let from = base[i] & self.base_mask;
            let step = (operand[i] << self.shift).wrapping_sub(from);
            let change = self.ratio.round(from, step);
            base[i].wrapping_add(change).clamp(-BOUND, BOUND)
        })
    }
}

/// `step · weight / denominator`, rounded.
#[derive(Clone, Copy)]
struct Ratio {
    weight: i16,
    /// `weight · 2^16 / denominator`, to the nearest integer or `i16::MAX`.
    reciprocal: i16,
    /// Modulo 2^16, as everything that makes up a remainder.
    denominator: i16,
    half: i16,
    /// 1 if there are halves, that is for an even denominator; else 0.
    halves: i16,
}

impl Ratio {
    /// The reciprocal must be below 2^15 and a half; where it is not below 2^15, no step may be beyond ±2^14.
    #[inline(always)]
    fn new(weight: i32, denominator: i32) -> Ratio {
        debug_assert!(weight <= DELTA_NORM_MAX.max(ONE / 2) && denominator <= DENOMINATOR_MAX);
        let reciprocal = (((weight << 16) + denominator / 2) as u32 / denominator as u32) as i32;
        debug_assert!(reciprocal <= 1 << 15);
        Ratio {
            weight: weight as i16,
            reciprocal: reciprocal.min(i16::MAX.into()) as i16,
            denominator: denominator as i16,
            half: (denominator / 2) as i16,
            halves: (denominator & 1 ^ 1) as i16,
        }
    }

    /// `step · weight / denominator`, rounded so that `base` and it make the nearest integer, and the even one of two.
    ///
    /// The reciprocal is off by at most a half (by one if it is `i16::MAX`), so its product with a step of at most 2^15 (2^14)
    /// is off by at most a quarter of 2^16, and the exact quotient lies less than 5/4 above `low` and at most 1/4 below.
    /// Hence the answer is `low` or one more, and the remainder less half the denominator, computed modulo 2^16, tells
    /// which: it is above zero, or zero with an odd sum. An odd denominator has no halves, and rounds up when it is
    /// above zero only.
    #[inline(always)]
    fn round(&self, base: i16, step: i16) -> i16 {
        let low = high_product(step, self.reciprocal);
        let rest = step.wrapping_mul(self.weight);
        let rest = rest.wrapping_sub(low.wrapping_mul(self.denominator));
        let odd = base.wrapping_add(low) & self.halves;
        let up = rest.wrapping_sub(self.half).wrapping_add(odd) > 0;
        low.wrapping_add(up.into())
    }
}

/// `⌊a · b / 2^16⌋`.
#[inline(always)]
fn high_product(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// A vector beyond the norms of [`Ratio`], scaled down to the bound: the same with remainders of 32 bits.
pub(super) fn scaled(vector: &Lanes) -> Lanes {
    let norm: i32 = vector.iter().map(|&v| i32::from(v).abs()).sum();
    debug_assert!(norm > DENOMINATOR_MAX);
    let reciprocal = (((DELTA_NORM_MAX << 16) + norm / 2) / norm) as i16;
    vector.map(|v| {
        let low = high_product(v, reciprocal);
        let rest = i32::from(v) * DELTA_NORM_MAX - i32::from(low) * norm;
        low + i16::from(2 * rest + i32::from(low & 1) > norm)
    })
}

#[inline(always)]
pub(super) fn narrow(slot: &Slot) -> Lanes {
    slot.0.map(|value| value as i16)
}

#[inline(always)]
pub(super) fn widen(lanes: &Lanes) -> Slot {
    Slot(lanes.map(i32::from))
}
