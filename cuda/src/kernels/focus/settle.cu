// Makes what arrived and its pool the new mass: y, its distance to x, who takes part, the new shares and which of them changed.
// LABELS_PER_BLOCK labels to a block; all words of a label, in both halves of `arrived` and `shares`, are read and written
// by one thread, the word of 32 labels in the map of changes by one warp. The last block to be through ends the iteration.
#include "focus_wide.cuh"
#include "focus_reduce.cuh"
#include "focus_finish.cuh"

// `teleport` counts where stakes differ, `order` has the node of each label, `ratios` is as `packed_share` reads it with the
// out-degree from bit 38 up (as much of it as fits), `split` is a map of the rows of several segments.
extern "C" __global__ void __launch_bounds__(256) settle(
    u64* control, u64* sums, u64* arrived, u64* mass, const u64* teleport, const u64* ratios, const u32* order,
    u32* shares, u32* changed, const u32* split, u32 capacity) {
    __shared__ u64 residuals[WARPS];
    __shared__ u64 changes_of_warps[WARPS];
    __shared__ u64 waiting_of_warps[WARPS];
    if (control[DONE] != 0) {
        return;
    }
    const u64 labels = control[LABELS], sources = control[SOURCES];
    const u32 damping = (u32)control[DAMPING];
    const bool starts = control[START] != 0;
    // All take part in the start. Equal for all threads of the grid.
    const u64 threshold = starts ? 0 : control[THRESHOLD];
    // A dense round has written this half; the next one finds the other half cleared.
    const bool clears = control[MODE] == DENSE;
    u64* const here = arrived + control[ARRIVED_SIDE] * capacity;
    u64* const there = arrived + (control[ARRIVED_SIDE] ^ 1u) * capacity;
    const u32* const old_shares = shares + control[SHARES_SIDE] * capacity;
    u32* const new_shares = shares + (control[SHARES_SIDE] ^ 1u) * capacity;

    const u64 pool = MASS - sums[SUM_ARRIVED];
    const bool stakes = control[STAKES] != 0;
    const u64 each = control[EACH], more = control[MORE];
    // Equal stakes: two kinds of nodes.
    const u64 part_of_most = pool_part(pool, each), part_of_first = pool_part(pool, each + 1);
    const u64 given = stakes ? sums[SUM_GIVEN] : part_of_first * more + part_of_most * (control[NODES] - more);
    const u64 left = pool - given;

    u64 residual = 0, changes = 0, waiting = 0;
    for (u32 step = 0; step < LABELS_PER_BLOCK; step += THREADS) {
        const u64 label = (u64)blockIdx.x * LABELS_PER_BLOCK + step + threadIdx.x;
        bool differs = false;
        if (label > 0 && label < labels) {
            const u32 node = order[label];
            const u64 part = stakes ? pool_part(pool, teleport[label]) : (node < more ? part_of_first : part_of_most);
            const u64 y = here[label] + part + (node < left ? 1u : 0u);
            const u64 x = mass[label];
            const u64 moved = y < x ? x - y : y - x;
            u64 next = y;
            residual += moved;
            if (label < sources) {
                const u64 ratio = ratios[label];
                // At most the residual that the threshold comes from.
                if (moved <= threshold * (ratio >> 38)) {
                    next = x;
                    waiting += y - x;
                }
                const u32 share = packed_share(next, damping, ratio);
                differs = share != old_shares[label];
                new_shares[label] = share;
                changes += differs ? ratio >> 38 : 0u;
            }
            mass[label] = next;
            if (starts) {
                // The start vector does not arrive again. The other half needs no more than is cleared below: a row of one
                // segment is written by every dense round, even when all its slots are empty, one of none by none.
                here[label] = 0;
            }
            if (clears && (split[label / 32u] >> (label % 32u) & 1u) != 0) {
                there[label] = 0;
            }
        }
        __syncwarp();
        // The first label of a warp is a multiple of 32. Beyond the sources nobody reads the map.
        const u32 word = __ballot_sync(ALL_LANES, differs);
        if (threadIdx.x % WARP == 0 && label < sources) {
            changed[label / 32u] = word;
        }
    }
    const u64 block_residual = block_sum(warp_sum(residual), residuals);
    const u64 block_changes = block_sum(warp_sum(changes), changes_of_warps);
    const u64 block_waiting = threshold != 0 ? block_sum(warp_sum(waiting), waiting_of_warps) : 0;
    if (threadIdx.x == 0) {
        atomicAdd(&sums[SUM_RESIDUAL], block_residual);
        atomicAdd(&sums[SUM_CHANGES], block_changes);
        if (block_waiting != 0) {
            atomicAdd(&sums[SUM_WAITING], block_waiting);
        }
        // What this block has added comes before its ticket, and what all have added before what the last one reads.
        // Every thread has read the control buffer and the sums before the barriers of `block_sum`.
        __threadfence();
        if (atomicAdd(&sums[SUM_BLOCKS], (u64)1) == gridDim.x - 1) {
            __threadfence();
            finish(control, sums, pool, left);
        }
    }
}
