//! What an operation does to the lanes of a slot.
//!
//! Every value, component and remainder fits 16 bits, so that a 512-bit register holds thirty-two of them. Add, decay and
//! mix are one formula with different coefficients ([`Plan`]): no branch on the operation, nothing to mispredict where
//! kinds alternate. Nothing is divided lane by lane: [`Ratio::round`] multiplies by a reciprocal, which is right up to
//! one, and lets the exact remainder decide. The loops are plain ones over fixed arrays, which the compiler turns into
//! vector instructions, in [`layer`](super::layer) for wider registers than every processor has. The definition that
//! they are held against, which divides, is [`crate::oracle::memory`].

use super::{
    CLIP, DECAY_MAX, DECAY_MIN, DELTA_NORM_MAX, DIMENSION, MemoryOp, SCALAR_ONE, SLOTS,
    SLOTS_PER_LAYER,
};

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
// What the error of a reciprocal allows: a mixed pair may lie 2 · CLIP apart, and short vectors are taken eightfold.
const _: () = assert!(2 * CLIP <= 1 << 14 && DELTA_NORM_MAX << 3 <= 1 << 14);

impl Slot {
    #[inline(always)]
    pub fn lanes(&self) -> Lanes {
        self.0.map(|value| value as i16)
    }

    #[inline(always)]
    pub fn set(&mut self, lanes: &Lanes) {
        self.0 = lanes.map(i32::from);
    }
}

/// A checked operation and where it goes, in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// What is added; zero for decay and mix.
    pub vector: &'a Lanes,
    /// Position of the target in the tensor.
    pub position: u32,
    /// Weight of the target in 1e-4 units, or [`Step::ADD`].
    weight: u16,
    /// Slot of the target's layer that is mixed in; the target itself for everything else.
    pub source: u8,
    pub mixes: bool,
}

impl<'a> Step<'a> {
    const ADD: u16 = u16::MAX;

    /// Adds nothing.
    pub const NONE: Step<'static> = Step {
        vector: &ZERO,
        position: 0,
        weight: Step::ADD,
        source: 0,
        mixes: false,
    };

    /// The step of an operation that [`MemoryOp::check`] lets pass, else none. A clip changes no tensor, whose values are
    /// within its bounds: it adds nothing.
    ///
    /// Operands are read whatever the kind and judged together, without a branch on it: kinds follow each other at
    /// random, and a mispredicted branch costs as much as half of an operation.
    #[inline(always)]
    pub fn decode(position: u32, op: &'a MemoryOp) -> Option<Step<'a>> {
        let vector: &[i16] = match op {
            MemoryOp::Add { vector } => vector,
            _ => &ZERO,
        };
        let factor = match *op {
            MemoryOp::Decay { factor } => factor,
            _ => DECAY_MIN,
        };
        let (alpha, source) = match *op {
            MemoryOp::Mix { alpha, source } => (alpha, source),
            _ => (0, 0),
        };
        let fine = (DECAY_MIN..=DECAY_MAX).contains(&factor);
        let fine = fine & (alpha <= SCALAR_ONE) & (source < SLOTS) & (vector.len() == DIMENSION);
        debug_assert_eq!(fine, op.check().is_ok());
        let mixes = matches!(op, MemoryOp::Mix { .. });
        let decays = matches!(op, MemoryOp::Decay { .. });
        let own = (position % u32::from(SLOTS)) as u8;
        let step = Step {
            vector: vector.try_into().ok()?,
            position,
            weight: if decays { factor } else { Step::ADD },
            source: own,
            mixes,
        };
        fine.then_some(Step {
            weight: if mixes { alpha } else { step.weight },
            source: if mixes { source } else { own },
            ..step
        })
    }

    /// Number of the target in its layer.
    #[inline(always)]
    pub fn target(&self) -> usize {
        self.position as usize % SLOTS_PER_LAYER
    }

    #[inline(always)]
    pub fn is_add(&self) -> bool {
        self.weight == Step::ADD
    }

    /// The coefficients; `norm` is that of the vector.
    #[inline(always)]
    pub fn plan(&self, norm: i32) -> Plan {
        let is_add = self.is_add();
        let alpha = i32::from(self.weight);
        let long = norm > DENOMINATOR_MAX;
        // Looked up, not branched to. A short vector is taken as it is: eightfold, by an eighth. No component is above the
        // norm, so a doubled one of a small norm still fits, and its reciprocal too.
        let scaled = usize::from(norm > DELTA_NORM_MAX) + usize::from(norm >= 1 << 14);
        let kind = if is_add & !long { scaled } else { 0 };
        let kind = if is_add { kind } else { 3 };
        let weights = [
            1,
            DELTA_NORM_MAX / 2,
            DELTA_NORM_MAX,
            alpha.min(ONE - alpha),
        ];
        let denominators = [8, norm, norm, ONE];
        Plan {
            ratio: Ratio::new(weights[kind], denominators[kind]),
            shift: [3, 1, 0, 0][kind],
            base_mask: i16::from(is_add) - 1,
            swapped: 2 * alpha <= ONE,
            long,
        }
    }
}

/// Σ |v|.
#[inline(always)]
pub(super) fn norm(vector: &Lanes) -> i32 {
    vector.iter().map(|&v| i32::from(v.unsigned_abs())).sum()
}

/// The coefficients of one operation: the new value is `clip(base + operand · 2^shift · ratio)` for an add, and
/// `clip(base + (operand − base) · ratio)` for a mix, with the larger of the weights on the base; decay mixes with zero.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    ratio: Ratio,
    shift: u16,
    /// All ones, or zero for an add.
    base_mask: i16,
    /// Whether the target is the operand, and the other one the base.
    pub swapped: bool,
    /// Whether the operand is the vector as [`scaled`] gives it.
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
    /// Of weight and denominator in lowest terms or not, below one half or exactly that; then no step may be beyond ±2^14.
    #[inline(always)]
    fn new(weight: i32, denominator: i32) -> Ratio {
        debug_assert!(0 <= weight && 2 * weight <= denominator.max(1));
        debug_assert!((1..=DENOMINATOR_MAX).contains(&denominator));
        // Unsigned, which is the faster division.
        let (weight, denominator) = (weight as u32, denominator as u32);
        let reciprocal = ((weight << 16) + denominator / 2) / denominator.max(1);
        Ratio {
            weight: weight as i16,
            reciprocal: reciprocal.min(i16::MAX as u32) as i16,
            denominator: denominator as i16,
            half: (denominator / 2) as i16,
            halves: (denominator & 1 ^ 1) as i16,
        }
    }

    /// `step · weight / denominator`, rounded so that `base` and it make the nearest integer, and the even one of two.
    ///
    /// The reciprocal is off by at most a half (by one if it is `i16::MAX`), so its product with a step of at most 2^15 (2^14)
    /// is off by at most a quarter of 2^16, and the exact quotient lies less than 5/4 above `low` and at most 1/4 below.
    /// Hence the answer is `low` or one more, and what is missing to half a denominator tells which, computed modulo
    /// 2^16: less than nothing, or nothing with an odd sum. With an odd denominator, less than nothing only.
    #[inline(always)]
    fn round(&self, base: i16, step: i16) -> i16 {
        let low = high_product(step, self.reciprocal);
        let odd = base.wrapping_add(low) & self.halves;
        let missing = low.wrapping_mul(self.denominator).wrapping_add(self.half);
        let missing = missing.wrapping_sub(step.wrapping_mul(self.weight));
        low.wrapping_sub(missing.wrapping_sub(odd) >> 15)
    }
}

/// `⌊a · b / 2^16⌋`.
#[inline(always)]
fn high_product(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// A vector of a norm beyond those of [`Ratio`], scaled down to the bound in the same way with remainders of 32 bits.
#[inline(always)]
pub(super) fn scaled(vector: &Lanes, norm: i32) -> Lanes {
    debug_assert!(norm > DENOMINATOR_MAX);
    let reciprocal = (((DELTA_NORM_MAX << 16) + norm / 2) / norm) as i16;
    vector.map(|v| {
        let low = high_product(v, reciprocal);
        let missing = i32::from(low) * norm - i32::from(v) * DELTA_NORM_MAX;
        low.wrapping_add((2 * missing + norm < i32::from(low & 1)).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::memory::round_ratio;
    use crate::testing::Rng;

    fn expected(base: i16, step: i16, weight: i32, denominator: i32) -> i64 {
        let whole = i64::from(base) * i64::from(denominator);
        let numerator = whole + i64::from(step) * i64::from(weight);
        round_ratio(numerator, i64::from(denominator)) - i64::from(base)
    }

    /// All that decay and mix can ask for: every weight up to one half, every distance of two values, both parities.
    #[test]
    fn ten_thousandths_round_right_on_every_input() {
        for weight in 0..=ONE / 2 {
            let ratio = Ratio::new(weight, ONE);
            // In the definition's own words, with a constant divisor.
            let definition = |base: i32, step: i32| {
                let numerator = base * ONE + step * weight;
                let floor = numerator.div_euclid(ONE);
                let twice = 2 * numerator.rem_euclid(ONE);
                floor + i32::from(twice + (floor & 1) > ONE) - base
            };
            for base in [0, 1] {
                let wrong = (-2 * CLIP..=2 * CLIP).filter(|&step| {
                    i32::from(ratio.round(base, step as i16)) != definition(base.into(), step)
                });
                assert_eq!(wrong.count(), 0, "weight {weight}, base {base}");
            }
        }
    }

    /// Components at, and one beside, the halves of every norm: where a wrong reciprocal or remainder would show.
    #[test]
    fn vectors_of_every_norm_scale_right_around_their_halves() {
        let mut rng = Rng::new(3);
        let mut halves = 0;
        for norm in DELTA_NORM_MAX + 1..=DENOMINATOR_MAX {
            let double = i32::from(norm < 1 << 14);
            let ratio = Ratio::new(DELTA_NORM_MAX >> double, norm);
            let most = norm.min(1 << 15);
            // Only multiples of 4096 have halves.
            let count = if norm % 4096 == 0 { 400 } else { 40 };
            let near = (0..count).flat_map(|_| {
                let quotient = 2 * rng.between(-2048, 2048) as i32 + 1;
                let at = quotient * norm / (2 * DELTA_NORM_MAX);
                [at - 1, at, at + 1]
            });
            let ends = [-most, 1 - most, -1, 0, 1, most - 1];
            for v in near.chain(ends).filter(|v| (-most..most).contains(v)) {
                halves += u32::from((2 * DELTA_NORM_MAX * v).rem_euclid(2 * norm) == norm);
                let found = ratio.round(0, (v as i16) << double);
                let expected = expected(0, v as i16, DELTA_NORM_MAX, norm);
                assert_eq!(i64::from(found), expected, "{v} of norm {norm}");
            }
        }
        assert!(halves > 1000, "{halves} halves");
    }

    #[test]
    fn long_vectors_scale_right() {
        let mut rng = Rng::new(4);
        for round in 0..20_000 {
            let bound = [400, 1_000, 8_192, 32_767][round % 4];
            let mut vector: Lanes = std::array::from_fn(|_| rng.between(-bound, bound) as i16);
            // A power of two among the norms makes halves.
            let excess = norm(&vector) % 8192;
            vector[0] = (i32::from(vector[0].unsigned_abs()) - excess).max(0) as i16;
            vector[1] = [i16::MIN, i16::MAX, 0, 1][round / 4 % 4];
            let norm = norm(&vector);
            if norm <= DENOMINATOR_MAX {
                continue;
            }
            for (v, found) in vector.into_iter().zip(scaled(&vector, norm)) {
                let expected = expected(0, v, DELTA_NORM_MAX, norm);
                assert_eq!(i64::from(found), expected, "{v} of norm {norm}");
            }
        }
    }
}
