//! The kernels of Memory Arithmetic.

use cubecl::prelude::*;
use ffcm::memory::{CLIP, DELTA_NORM_MAX, SCALAR_ONE};

/// Components of a slot, and units of a cube of `apply`.
pub(super) const DIMENSION: u32 = ffcm::memory::DIMENSION as u32;
/// Words of a packed vector, and units of a cube of `scale`.
pub(super) const WORDS: u32 = DIMENSION / 2;

/// Kinds of operations.
pub(super) const ADD: u32 = 0;
pub(super) const DECAY: u32 = 1;
pub(super) const MIX: u32 = 2;
pub(super) const CLIPPED: u32 = 3;

const BOUND: u32 = DELTA_NORM_MAX as u32;
const ONE: u32 = SCALAR_ONE as u32;

/// The lower or upper half of a word with its sign.
#[cube]
fn half(word: u32, upper: u32) -> i32 {
    i32::reinterpret(word << (16 - 16 * upper)) >> 16i32
}

#[cube]
fn magnitude(value: i32) -> u32 {
    u32::reinterpret(select(value < 0, -value, value))
}

/// `numerator / denominator`, rounded half to even, with the sign of `value`. Twice a remainder fits a word. Rounding half
/// to even is symmetric, so it is done on the magnitude.
#[cube]
fn divided(numerator: u32, denominator: u32, value: i32) -> i32 {
    let floor = numerator / denominator;
    let twice = 2 * (numerator - floor * denominator);
    let up = twice > denominator || (twice == denominator && (floor & 1) == 1);
    let rounded = i32::reinterpret(floor + select(up, 1u32, 0u32));
    select(value < 0, -rounded, rounded)
}

/// Scales the vectors of additions down to the bound on their L1 norm, each on its own: they do not depend on the tensor. A
/// cube takes a vector, two components a word, the lower half first; a unit reads and writes its own word only.
#[cube(launch)]
pub(super) fn scale(vectors: &mut [u32]) {
    let mut partial = Shared::<[u32]>::new_slice(64usize);
    let unit = UNIT_POS as usize;
    let at = CUBE_POS * WORDS as usize + unit;
    // The same for the whole cube.
    let is_vector = at < vectors.len();
    let word = vectors[select(is_vector, at, 0usize)];
    let low = half(word, 0u32);
    let high = half(word, 1u32);
    partial[unit] = magnitude(low) + magnitude(high);
    let mut stride = 32usize;
    while stride > 0 {
        sync_cube();
        if unit < stride {
            partial[unit] += partial[unit + stride];
        }
        stride /= 2;
    }
    sync_cube();
    let norm = partial[0];
    if is_vector && norm > BOUND {
        let low = u32::reinterpret(divided(magnitude(low) * BOUND, norm, low));
        let high = u32::reinterpret(divided(magnitude(high) * BOUND, norm, high));
        vectors[at] = (low & 0xffff) | (high << 16u32);
    }
}

/// Applies lists of operations to slots, one cube a list, one unit a component, from the `skip`ped one on, `count` at
/// most.
///
/// `ends`: where each list ends in `operations`; the first begins at 0. An operation is three words: kind and scalar << 2,
/// target slot, and the source slot (mix) or the vector (add).
///
/// Race-free without a barrier: a unit reads and writes only its own component of every slot, and the lists of a launch have
/// no slot in common that any of them writes.
#[cube(launch)]
pub(super) fn apply(
    ends: &[u32],
    operations: &[u32],
    vectors: &[u32],
    slots: &mut [i32],
    skip: u32,
    count: u32,
) {
    let list = CUBE_POS;
    if list < ends.len() {
        let start = select(list == 0, 0u32, ends[select(list == 0, 0usize, list - 1)]);
        let from = start + skip;
        let to = min(from + count, ends[list]);
        // Empty where the list has ended already.
        for operation in from..max(from, to) {
            let at = 3 * operation as usize;
            let head = operations[at];
            let target = (operations[at + 1] * DIMENSION + UNIT_POS) as usize;
            let operand = operations[at + 2];
            let kind = head & 3;
            let scalar = i32::reinterpret(head >> 2u32);
            let old = slots[target];
            let mut value = old;
            if kind == ADD {
                let word = vectors[(operand * WORDS + UNIT_POS / 2) as usize];
                value = old + half(word, UNIT_POS & 1);
            } else if kind != CLIPPED {
                // At most CLIP * ONE < 2^27 either way.
                let mut product = old * scalar;
                if kind == MIX {
                    let one = i32::reinterpret(ONE.runtime());
                    product += (one - scalar) * slots[(operand * DIMENSION + UNIT_POS) as usize];
                }
                value = divided(magnitude(product), ONE.runtime(), product);
            }
            slots[target] = clamp(value, -CLIP, CLIP);
        }
    }
}
