// Sums what edges carry into rows. A thread takes a segment: a row, or a part of one. Segments lie in slices of 64 of equal
// width, stored lane by lane, so a warp reads whole lines of sources, and all its lanes make the same number of steps.
//
// Short rows are the work of a thread. The segments of a long one lie side by side and share its edges out in turn, so a
// warp reads sources that follow each other; its lanes add up by shuffles and make one addition to the row. A hub is the
// work of many warps.
//
// A dense round writes the half of `arrived` whose rows of several segments the settle before has cleared. A frontier
// round adds what changed shares change to the half that the last dense round has written. Where no share changed,
// nothing is done.
//
// Races: a row of one segment is written by that segment's thread alone; one of several by atomic additions alone. Shares,
// the map of changes and the control buffer are only read. No order of additions changes a sum modulo 2^64; and what
// arrives, in a row or in all, is at most 2^62, because no source sends out more than its mass.
#include "focus_wide.cuh"
#include "focus_reduce.cuh"

// On segments of a row that has several.
constexpr u32 SPLIT = 0x80000000u;
// Segments of a slice.
constexpr u32 LANES = 64;
// Slots that a thread has on the way at a time.
constexpr u32 AHEAD = 8;

template <bool WEIGHTED>
FFCM_DEVICE u64 edge_term(u32 share, u32 quota) {
    return WEIGHTED ? edge_term_quota(share, quota) : edge_term_equal(share);
}

// All slots of a segment, `steps` of them. Empty slots have source 0, whose share is 0.
template <bool WEIGHTED>
FFCM_DEVICE u64 sum_of_all(const u32* sources, const u32* quotas, u32 steps, const u32* __restrict__ shares) {
    u64 sum = 0;
    for (u32 step = 0; step < steps; step += AHEAD) {
        u32 source[AHEAD], quota[AHEAD], share[AHEAD];
#pragma unroll
        for (u32 next = 0; next < AHEAD; next++) {
            // Equal for all lanes of a warp.
            const bool there = step + next < steps;
            source[next] = there ? load_streaming(sources + next * LANES) : 0u;
            quota[next] = WEIGHTED && there ? load_streaming(quotas + next * LANES) : 0u;
        }
#pragma unroll
        for (u32 next = 0; next < AHEAD; next++) {
            share[next] = step + next < steps ? shares[source[next]] : 0u;
        }
#pragma unroll
        for (u32 next = 0; next < AHEAD; next++) {
            sum += edge_term<WEIGHTED>(share[next], quota[next]);
        }
        sources += AHEAD * LANES;
        if (WEIGHTED) {
            quotas += AHEAD * LANES;
        }
    }
    return sum;
}

// What the slots of a segment carry more than before the last settle, modulo 2^64.
template <bool WEIGHTED>
FFCM_DEVICE u64 sum_of_changes(const u32* sources, const u32* quotas, u32 steps, const u32* __restrict__ shares,
                               const u32* __restrict__ before, const u32* __restrict__ changed) {
    u64 sum = 0;
    for (u32 step = 0; step < steps; step++) {
        const u32 source = load_streaming(sources + (u64)step * LANES);
        if ((changed[source / 32u] >> (source % 32u) & 1u) != 0) {
            const u32 quota = WEIGHTED ? quotas[(u64)step * LANES] : 0u;
            sum += edge_term<WEIGHTED>(shares[source], quota) - edge_term<WEIGHTED>(before[source], quota);
        }
    }
    return sum;
}

// `slices`: first slot and width of each. `segments`: row, and SPLIT where it has more segments; 0 for none. `sources`:
// label of each slot. `arrived` and `shares` have two halves of `capacity` each.
template <bool WEIGHTED>
FFCM_DEVICE void gather(const u64* control, u64* sums, u64* arrived, const u32* shares, const u32* changed,
                        const u32* slices, const u32* segments, u32 segment_count, const u32* sources,
                        const u32* quotas, u32 capacity, u64* scratch) {
    const u32 segment = blockIdx.x * THREADS + threadIdx.x;
    u32 entry = 0, steps = 0;
    u64 first = 0;
    // Asked for before it is known whether there is anything to do, as that takes as long.
    if (segment < segment_count) {
        const u32 slice = segment / LANES;
        entry = segments[segment];
        first = (u64)slices[2 * slice] + segment % LANES;
        steps = slices[2 * slice + 1];
    }
    const u64 mode = control[MODE];
    if (control[DONE] != 0 || mode == NOTHING) {
        return;
    }
    const u32 row = entry & ~SPLIT;
    u64* const to = arrived + control[ARRIVED_SIDE] * capacity + row;
    u64 sum = 0;
    if (row != 0) {
        const u32* const now = shares + control[SHARES_SIDE] * capacity;
        const u32* const before = shares + (control[SHARES_SIDE] ^ 1u) * capacity;
        sum = mode == DENSE
            ? sum_of_all<WEIGHTED>(sources + first, quotas + first, steps, now)
            : sum_of_changes<WEIGHTED>(sources + first, quotas + first, steps, now, before, changed);
        if (entry == row) {
            if (mode == DENSE) {
                *to = sum;
            } else if (sum != 0) {
                *to += sum;
            }
        }
    }
    __syncwarp();
    const u64 total = warp_sum(sum);
    // Whether the warp has one row, and that row other segments.
    const bool together = __all_sync(ALL_LANES, entry == __shfl_sync(ALL_LANES, entry, 0)) && entry != row;
    if (together) {
        if (threadIdx.x % WARP == 0 && total != 0) {
            atomicAdd(to, total);
        }
    } else if (entry != row && sum != 0) {
        atomicAdd(to, sum);
    }
    const u64 all = block_sum(total, scratch);
    if (all != 0) {
        atomicAdd(&sums[SUM_ARRIVED], all);
    }
}

// Where the weights of each source are equal.
extern "C" __global__ void __launch_bounds__(256) gather_equal(
    const u64* control, u64* sums, u64* arrived, const u32* shares, const u32* changed, const u32* slices,
    const u32* segments, u32 segment_count, const u32* sources, u32 capacity) {
    __shared__ u64 scratch[WARPS];
    gather<false>(control, sums, arrived, shares, changed, slices, segments, segment_count, sources, sources, capacity,
                  scratch);
}

// Where they are not: each slot has a quota too.
extern "C" __global__ void __launch_bounds__(256) gather_quota(
    const u64* control, u64* sums, u64* arrived, const u32* shares, const u32* changed, const u32* slices,
    const u32* segments, u32 segment_count, const u32* sources, const u32* quotas, u32 capacity) {
    __shared__ u64 scratch[WARPS];
    gather<true>(control, sums, arrived, shares, changed, slices, segments, segment_count, sources, quotas, capacity,
                 scratch);
}
