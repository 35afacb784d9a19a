//! The four operations on one slot: exact rationals, rounded half to even, in `i32` and `i64`.

use super::{CLIP, DELTA_NORM_MAX, DIMENSION, SCALAR_ONE};

/// One slot's values.
pub(super) type Slot = [i32; DIMENSION];

const ONE: i32 = SCALAR_ONE as i32;

// Widest intermediate of decay and mix: |x| ≤ CLIP times a scalar of at most SCALAR_ONE, doubled while rounding.
const _: () = assert!((CLIP as i64) * (SCALAR_ONE as i64) * 2 < i32::MAX as i64);

/// `numerator / ONE` rounded half to even; exact for both signs because the division floors.
#[inline(always)]
fn round_scaled(numerator: i32) -> i32 {
    let floor = numerator.div_euclid(ONE);
    let twice = 2 * numerator.rem_euclid(ONE);
    let up = twice > ONE || (twice == ONE && floor & 1 == 1);
    floor + i32::from(up)
}

/// `numerator / denominator` rounded half to even. `denominator` is positive.
#[inline(always)]
fn round_ratio(numerator: i64, denominator: i64) -> i64 {
    debug_assert!(denominator > 0);
    let floor = numerator.div_euclid(denominator);
    let twice = 2 * numerator.rem_euclid(denominator);
    let up = twice > denominator || (twice == denominator && floor & 1 == 1);
    floor + i64::from(up)
}

/// x ← clip(x).
pub(super) fn clip(slot: &mut Slot) {
    for value in slot {
        *value = (*value).clamp(-CLIP, CLIP);
    }
}

/// x ← round(x · factor / 10⁴).
pub(super) fn decay(slot: &mut Slot, factor: u16) {
    let factor = i32::from(factor);
    for value in slot {
        *value = round_scaled(*value * factor);
    }
}

/// x ← clip(round((α·x + (10⁴−α)·s) / 10⁴)).
pub(super) fn mix(slot: &mut Slot, source: &Slot, alpha: u16) {
    let alpha = i32::from(alpha);
    for (value, &other) in slot.iter_mut().zip(source) {
        let mixed = round_scaled(alpha * *value + (ONE - alpha) * other);
        *value = mixed.clamp(-CLIP, CLIP);
    }
}

/// x ← clip(x + v), v scaled down by `bound / ‖v‖₁` when its L1 norm is above the bound.
pub(super) fn add(slot: &mut Slot, vector: &[i16; DIMENSION]) {
    let norm: i64 = vector.iter().map(|&v| i64::from(v).abs()).sum();
    let bound = i64::from(DELTA_NORM_MAX);
    for (value, &delta) in slot.iter_mut().zip(vector) {
        let mut delta = i64::from(delta);
        if norm > bound {
            delta = round_ratio(delta * bound, norm);
        }
        // |delta| ≤ 2^15 and |value| ≤ CLIP: the sum is far inside i32.
        *value = (*value + delta as i32).clamp(-CLIP, CLIP);
    }
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
            assert_eq!(round_scaled(tenths * ONE / 10), expected, "{tenths}/10");
            assert_eq!(
                round_ratio(i64::from(tenths), 10),
                i64::from(expected),
                "{tenths}/10"
            );
        }
        assert_eq!(round_scaled(ONE / 2 + 1), 1);
        assert_eq!(round_scaled(-ONE / 2 - 1), -1);
        assert_eq!(round_ratio(-7, 3), -2);
    }
}
