//! The kernels of one iteration, in the order in which they run.

use cubecl::prelude::*;

use crate::wide::{
    Wide, accumulate, add, add_word, choose, divide, edge_term, less, load, load_atomic, mass,
    multiply_word, packed_share, pool_part, shift_right, store, sub, unpacked_share, zero,
};

/// Units of a cube of `gather`: the segments of a slice.
pub(super) const LANES: u32 = 64;
/// Units of a cube of every kernel after it but `finish`.
pub(super) const UNITS: u32 = 256;
/// Labels of such a cube.
pub(super) const LABELS_PER_CUBE: u32 = 1024;

/// Words of the state. The host writes them before a run; afterwards only `finish` does.
pub(super) mod state {
    /// 1 when the run is over: kernels change nothing any more.
    pub(crate) const DONE: usize = 0;
    /// 1 when mass was not conserved: the device computes wrong.
    pub(crate) const FAULT: usize = 1;
    pub(crate) const ITERATION: usize = 2;
    /// 1 while the start vector is spread instead of an iteration made.
    pub(crate) const START: usize = 3;
    /// Units that the parts of the pool left when it was spread last.
    pub(crate) const LEFT: usize = 4;
    /// How many residuals have hardly fallen.
    pub(crate) const FAILURES: usize = 5;
    /// What a node may keep back per out-edge in this iteration: pairs from here on, numbered in twos.
    pub(crate) const THRESHOLD: u32 = 3;
    /// Residual of the last iteration.
    pub(crate) const BEFORE: u32 = 4;
    /// What the mass misses since some nodes wait, modulo 2^64.
    pub(crate) const WAITING: u32 = 5;
    /// The pool as it was spread last.
    pub(crate) const POOL: u32 = 6;
    /// Residuals of this batch.
    pub(crate) const RESIDUALS: u32 = 7;
}

/// Pairs of the sums.
pub(super) mod sums {
    /// What arrived.
    pub(crate) const ARRIVED: u32 = 0;
    /// Parts of the pool, rounded down.
    pub(crate) const GIVEN: u32 = 1;
    pub(crate) const RESIDUAL: u32 = 2;
    /// What waits.
    pub(crate) const WAITS: u32 = 3;
    /// Words of all of them.
    pub(crate) const WORDS: usize = 8;
}

/// What stays the same throughout a run. Labels are 1 to `labels` - 1; label 0 is nobody, its share is 0.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Run {
    labels: u32,
    damping: u32,
    /// Equal stakes: every node's teleport share, and how many of the first nodes have one unit more.
    each_low: u32,
    each_high: u32,
    more: u32,
    epsilon_low: u32,
    epsilon_high: u32,
    /// Above this residual the threshold is 0.
    residual_max_low: u32,
    residual_max_high: u32,
    /// How many edges there are; 0 where the threshold is 0 throughout.
    edges: u32,
}

const SPLIT: u32 = 0x8000_0000;

/// Fills a buffer with zeros.
#[cube(launch)]
pub(super) fn clear(words: &mut [u32]) {
    let at = CUBE_POS * CUBE_DIM as usize + UNIT_POS as usize;
    if at < words.len() {
        words[at] = 0;
    }
}

/// Sums what edges carry into rows. A cube takes a slice: 64 segments, each a part of one row, of equal width; the slots of
/// a slice are stored unit by unit, so a cube reads whole lines. A row of one segment is stored; of a row of several, in
/// this part of the graph or others, each segment keeps its last sum and adds the difference, modulo 2^64. No order of
/// additions changes the result, and no other unit writes a segment's sum or a row of one segment.
///
/// `slices`: first slot and width. `segments`: row, and [`SPLIT`] where it has more of them; 0 for none. `sources`: label
/// of each slot's source, 0 for an empty slot. `quotas`: of each slot, read where weights differ.
#[cube(launch)]
pub(super) fn gather(
    state: &[u32],
    shares: &[u32],
    arrived: &[Atomic<u32>],
    slices: &[u32],
    segments: &[u32],
    parts: &mut [u32],
    sources: &[u32],
    quotas: &[u32],
    #[comptime] weighted: bool,
) {
    let slice = CUBE_POS;
    let is_slice = 2 * slice < slices.len();
    if is_slice && state[state::DONE] == 0 {
        let segment = slice as u32 * LANES + UNIT_POS;
        let entry = segments[segment as usize];
        let row = entry & !SPLIT;
        if row != 0 {
            let mut sum = zero();
            let end = slices[2 * slice] + slices[2 * slice + 1] * LANES;
            let mut slot = slices[2 * slice] + UNIT_POS;
            while slot < end {
                let share = shares[sources[slot as usize] as usize];
                if comptime!(weighted) {
                    sum = add(sum, edge_term(share, quotas[slot as usize]));
                } else {
                    sum = add(sum, unpacked_share(share));
                }
                slot += LANES;
            }
            if entry == row {
                arrived[2 * row as usize].store(sum.low);
                arrived[2 * row as usize + 1].store(sum.high);
            } else {
                accumulate(arrived, row, sub(sum, load(&*parts, segment)));
                store(parts, segment, sum);
            }
        }
    }
}

/// The sum of a number over a cube of 256, in unit 0: sixteen units add up sixteen each, unit 0 theirs. In uniform control
/// flow.
#[cube]
fn reduce(scratch: &mut [u32], value: Wide) -> Wide {
    store(scratch, UNIT_POS, value);
    sync_cube();
    if UNIT_POS < 16 {
        let mut sum = value;
        for row in 1..16u32 {
            sum = add(sum, load(&*scratch, UNIT_POS + 16 * row));
        }
        store(scratch, UNIT_POS, sum);
    }
    sync_cube();
    let mut total = zero();
    if UNIT_POS == 0 {
        for column in 0..16u32 {
            total = add(total, load(&*scratch, column));
        }
    }
    // Unit 0 may still be reading when the next sum begins.
    sync_cube();
    total
}

/// First label of this unit; the others of its cube follow 256 apart.
#[cube]
fn first_label() -> u32 {
    CUBE_POS as u32 * LABELS_PER_CUBE + UNIT_POS
}

/// What did not arrive.
#[cube]
fn pool_of(sums: &[Atomic<u32>]) -> Wide {
    sub(mass(), load_atomic(sums, sums::ARRIVED))
}

/// The teleport share of a node.
#[cube]
fn teleport_of(
    run: &Run,
    teleport: &[u32],
    label: u32,
    node: u32,
    #[comptime] stakes: bool,
) -> Wide {
    if comptime!(stakes) {
        load(teleport, label)
    } else {
        let each = Wide {
            low: run.each_low,
            high: run.each_high,
        };
        add_word(each, select(node < run.more, 1u32, 0u32))
    }
}

/// Sum of what arrived, exactly.
#[cube(launch)]
pub(super) fn sum(run: &Run, state: &[u32], sums: &[Atomic<u32>], arrived: &[u32]) {
    let mut scratch = Shared::<[u32]>::new_slice(512usize);
    let mut partial = zero();
    for step in 0..4u32 {
        let label = first_label() + step * UNITS;
        if label < run.labels {
            partial = add(partial, load(arrived, label));
        }
    }
    let total = reduce(&mut scratch, partial);
    if UNIT_POS == 0 && state[state::DONE] == 0 {
        accumulate(sums, sums::ARRIVED, total);
    }
}

/// What rounding down gives away of the pool where stakes are equal: two kinds of nodes, so no sum is needed.
#[cube(launch)]
pub(super) fn pool_equal(run: &Run, state: &[u32], sums: &[Atomic<u32>]) {
    if state[state::DONE] == 0 {
        let pool = pool_of(sums);
        let each = Wide {
            low: run.each_low,
            high: run.each_high,
        };
        let others = run.labels - 1 - run.more;
        let given = add(
            multiply_word(pool_part(pool, add_word(each, 1u32)), run.more),
            multiply_word(pool_part(pool, each), others),
        );
        accumulate(sums, sums::GIVEN, given);
    }
}

/// Sum of the parts of the pool, rounded down, where stakes differ.
#[cube(launch)]
pub(super) fn pool_stakes(run: &Run, state: &[u32], sums: &[Atomic<u32>], teleport: &[u32]) {
    let mut scratch = Shared::<[u32]>::new_slice(512usize);
    let pool = pool_of(sums);
    let mut partial = zero();
    for step in 0..4u32 {
        let label = first_label() + step * UNITS;
        if label < run.labels {
            partial = add(partial, pool_part(pool, load(teleport, label)));
        }
    }
    let total = reduce(&mut scratch, partial);
    if UNIT_POS == 0 && state[state::DONE] == 0 {
        accumulate(sums, sums::GIVEN, total);
    }
}

/// Makes what arrived and its pool the new mass: y, its distance to x, who takes part, and the new shares.
///
/// `ratios`: ratio; scale in bits 0 to 5, out-degree above. `order`: node of each label.
#[cube(launch)]
pub(super) fn settle(
    run: &Run,
    state: &[u32],
    sums: &[Atomic<u32>],
    arrived: &[u32],
    mass: &mut [u32],
    teleport: &[u32],
    ratios: &[u32],
    order: &[u32],
    shares: &mut [u32],
    #[comptime] stakes: bool,
) {
    let mut scratch = Shared::<[u32]>::new_slice(512usize);
    let labels = select(state[state::DONE] == 0, run.labels, 0u32);
    let pool = pool_of(sums);
    // Fewer units than nodes; `finish` checks that.
    let left = sub(pool, load_atomic(sums, sums::GIVEN)).low;
    // All take part in the start.
    let starts = state[state::START] != 0;
    let threshold = choose(starts, zero(), load(state, state::THRESHOLD));
    let mut residual = zero();
    let mut waiting = zero();
    for step in 0..4u32 {
        let label = first_label() + step * UNITS;
        if label > 0 && label < labels {
            let node = order[label as usize];
            let part = pool_part(pool, teleport_of(run, teleport, label, node, stakes));
            let unit = select(node < left, 1u32, 0u32);
            let y = add_word(add(load(arrived, label), part), unit);
            let x = load(&*mass, label);
            let moved = choose(less(y, x), sub(x, y), sub(y, x));
            residual = add(residual, moved);
            let ratio = ratios[2 * label as usize];
            let rest = ratios[2 * label as usize + 1];
            // At most the residual that the threshold comes from.
            let waits = !less(multiply_word(threshold, rest >> 6u32), moved);
            if waits {
                waiting = add(waiting, sub(y, x));
            }
            let next = choose(waits, x, y);
            store(mass, label, next);
            shares[label as usize] = packed_share(next, run.damping, ratio, rest & 63);
        }
    }
    let total = reduce(&mut scratch, residual);
    let waits = reduce(&mut scratch, waiting);
    if UNIT_POS == 0 && labels > 0 {
        accumulate(sums, sums::RESIDUAL, total);
        accumulate(sums, sums::WAITS, waits);
    }
}

/// Notes the residual of an iteration of a warm run, and sets the threshold of the next.
#[cube]
fn next_threshold(run: &Run, state: &mut [u32], residual: Wide) {
    let before = load(&*state, state::BEFORE);
    if less(sub(before, shift_right(before, 5u32)), residual) {
        state[state::FAILURES] += select(state[state::ITERATION] == 0, 4u32, 1u32);
    }
    store(state, state::BEFORE, residual);
    let failures = state[state::FAILURES];
    let most = Wide {
        low: run.residual_max_low,
        high: run.residual_max_high,
    };
    let mut threshold = zero();
    if !less(most, residual) && failures < 4 {
        let each = divide(residual, run.edges);
        threshold = shift_right(add(each, shift_right(each, 2u32)), failures);
    }
    store(state, state::THRESHOLD, threshold);
}

/// Ends an iteration: records the residual, decides whether the run is over, checks that mass was conserved, and clears
/// the sums. One unit. `batch`: iterations made before this batch.
#[cube(launch)]
pub(super) fn finish(run: &Run, state: &mut [u32], sums: &mut [u32], batch: u32) {
    if state[state::DONE] == 0 {
        let pool = sub(mass(), load(&*sums, sums::ARRIVED));
        let left = sub(pool, load(&*sums, sums::GIVEN));
        if less(mass(), pool) || left.high != 0 || left.low >= run.labels - 1 {
            state[state::FAULT] = 1;
            state[state::DONE] = 1;
        }
        if state[state::START] != 0 {
            state[state::START] = 0;
        } else {
            // What waits counts as distance too, whichever sign it has.
            let waiting = load(&*state, state::WAITING);
            let distance = choose(waiting.high >> 31u32 != 0, sub(zero(), waiting), waiting);
            let residual = add(load(&*sums, sums::RESIDUAL), distance);
            let made = state[state::ITERATION];
            store(state, state::RESIDUALS + made - batch, residual);
            if run.edges != 0 {
                next_threshold(run, state, residual);
                store(state, state::WAITING, load(&*sums, sums::WAITS));
                store(state, state::POOL, pool);
                state[state::LEFT] = left.low;
            }
            state[state::ITERATION] = made + 1;
            let epsilon = Wide {
                low: run.epsilon_low,
                high: run.epsilon_high,
            };
            if less(residual, epsilon) {
                state[state::DONE] = 1;
            }
        }
        for word in 0..sums::WORDS {
            sums[word] = 0;
        }
    }
}

/// Makes the last y of a warm run the mass: some nodes have waited, so the mass has become another vector. The run is over,
/// so `arrived` is still what arrived from the mass as it was before.
#[cube(launch)]
pub(super) fn commit(
    run: &Run,
    state: &[u32],
    arrived: &[u32],
    mass: &mut [u32],
    teleport: &[u32],
    order: &[u32],
    #[comptime] stakes: bool,
) {
    let pool = load(state, state::POOL);
    for step in 0..4u32 {
        let label = first_label() + step * UNITS;
        if label > 0 && label < run.labels {
            let node = order[label as usize];
            let part = pool_part(pool, teleport_of(run, teleport, label, node, stakes));
            let unit = select(node < state[state::LEFT], 1u32, 0u32);
            store(mass, label, add_word(add(load(arrived, label), part), unit));
        }
    }
}
