// Ends an iteration: records the residual, decides whether the run is over and how the next gather goes, checks that mass
// was conserved, and clears the sums. One thread, when all others of the grid are through.
#pragma once
#include "focus_wide.cuh"
#include "focus_control.cuh"

// How the next gather goes. As many slots as the changed sources have out-edges have something to follow; a frontier round
// reads the source of every slot all the same.
FFCM_DEVICE u64 next_mode(const u64* control, u64 changes) {
    if (control[ROUNDS] != 0) {
        return control[ROUNDS] == 1 ? DENSE : FRONTIER;
    }
    if (changes == 0) {
        return NOTHING;
    }
    return changes < control[FRONTIER_BELOW] ? FRONTIER : DENSE;
}

// Notes the residual of an iteration of a warm run, and sets the threshold of the next.
FFCM_DEVICE void next_threshold(u64* control, u64 residual) {
    const u64 before = control[BEFORE];
    if (residual > before - (before >> 5)) {
        control[FAILURES] += control[ITERATION] == 0 ? 4 : 1;
    }
    control[BEFORE] = residual;
    const u64 each = residual / control[EDGES];
    const bool none = residual > control[RESIDUAL_MAX] || control[FAILURES] >= 4;
    control[THRESHOLD] = none ? 0 : (each + each / 4) >> control[FAILURES];
}

// `pool` as it was spread, `left` what its parts left of it.
FFCM_DEVICE void finish(u64* control, u64* sums, u64 pool, u64 left) {
    // What waits counts as distance too, whichever sign it has.
    const u64 waiting = control[WAITING];
    const u64 residual = load_acquire(&sums[SUM_RESIDUAL]) + (waiting >> 63 != 0 ? 0 - waiting : waiting);
    const u64 changes = load_acquire(&sums[SUM_CHANGES]);
    if (pool > MASS || left >= control[NODES]) {
        control[FAULT] = 1;
        control[DONE] = 1;
    }
    if (control[START] != 0) {
        control[START] = 0;
        control[MODE] = DENSE;
    } else {
        if (control[EDGES] != 0) {
            next_threshold(control, residual);
            control[WAITING] = load_acquire(&sums[SUM_WAITING]);
            control[POOL] = pool;
            control[LEFT] = left;
            control[POOL_SIDE] = control[ARRIVED_SIDE];
        }
        control[RESIDUALS + control[ITERATION] - control[BATCH]] = residual;
        control[ITERATION] += 1;
        control[COUNTS + control[MODE]] += 1;
        control[MODE] = next_mode(control, changes);
        if (residual < control[EPSILON]) {
            control[CONVERGED] = 1;
            control[DONE] = 1;
        }
        if (control[ITERATION] == control[LIMIT]) {
            control[DONE] = 1;
        }
    }
    if (control[MODE] == DENSE) {
        control[ARRIVED_SIDE] ^= 1;
        sums[SUM_ARRIVED] = 0;
    }
    control[SHARES_SIDE] ^= 1;
    sums[SUM_GIVEN] = 0;
    sums[SUM_RESIDUAL] = 0;
    sums[SUM_CHANGES] = 0;
    sums[SUM_BLOCKS] = 0;
    sums[SUM_WAITING] = 0;
}
