//! Memory Arithmetic as its formulas read: exact rationals, divided and rounded half to even one value at a time.

use crate::memory::{
    CLIP, CheckedOp, DELTA_NORM_MAX, Memory, MemoryError, MemoryOp, SCALAR_ONE, SlotId,
};

/// What [`Memory::apply`] does.
pub fn apply(memory: &mut Memory, target: SlotId, op: &MemoryOp) -> Result<(), MemoryError> {
    let op = memory.check(target, op)?;
    let old = memory.slot(target)?;
    let one = i64::from(SCALAR_ONE);
    let new: Vec<i32> = match op {
        CheckedOp::Add(vector) => {
            let norm: i64 = vector.iter().map(|&v| i64::from(v).abs()).sum();
            let bound = i64::from(DELTA_NORM_MAX);
            let scaled = vector.iter().map(|&v| match norm > bound {
                true => round_ratio(i64::from(v) * bound, norm),
                false => i64::from(v),
            });
            old.iter()
                .zip(scaled)
                .map(|(&x, v)| clip(i64::from(x) + v))
                .collect()
        }
        CheckedOp::Decay(factor) => {
            let decayed = |&x: &i32| clip(round_ratio(i64::from(x) * i64::from(factor), one));
            old.iter().map(decayed).collect()
        }
        CheckedOp::Mix { alpha, source } => {
            let alpha = i64::from(alpha);
            let source = memory.slot(SlotId {
                slot: source,
                ..target
            })?;
            let mixed = |(&x, &s): (&i32, &i32)| {
                let sum = alpha * i64::from(x) + (one - alpha) * i64::from(s);
                clip(round_ratio(sum, one))
            };
            old.iter().zip(source).map(mixed).collect()
        }
        CheckedOp::Clip => old.iter().map(|&x| clip(x.into())).collect(),
    };
    memory.load_slot(target, &new)
}

fn clip(value: i64) -> i32 {
    // Within ±CLIP, so within i32.
    value.clamp(-i64::from(CLIP), CLIP.into()) as i32
}

/// `numerator / denominator` rounded half to even. `denominator` is positive.
pub(crate) fn round_ratio(numerator: i64, denominator: i64) -> i64 {
    debug_assert!(denominator > 0);
    let floor = numerator.div_euclid(denominator);
    let twice = 2 * numerator.rem_euclid(denominator);
    let up = twice > denominator || (twice == denominator && floor & 1 == 1);
    floor + i64::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_to_even_for_both_signs() {
        let halves = [
            (5, 0),
            (15, 2),
            (25, 2),
            (35, 4),
            (-5, 0),
            (-15, -2),
            (-25, -2),
            (-35, -4),
        ];
        for (tenths, expected) in halves {
            assert_eq!(round_ratio(tenths, 10), expected, "{tenths}/10");
        }
        let one = i64::from(SCALAR_ONE);
        assert_eq!(round_ratio(one / 2 + 1, one), 1);
        assert_eq!(round_ratio(-one / 2 - 1, one), -1);
        assert_eq!(round_ratio(-7, 3), -2);
    }
}
