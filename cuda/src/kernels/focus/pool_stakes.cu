// Sum of the parts of the pool, rounded down, where stakes differ. LABELS_PER_BLOCK labels to a block. The parts sum to at
// most the pool, because the teleport shares sum to the mass. Only `settle`, the next launch, reads the sum.
#include "focus_wide.cuh"
#include "focus_reduce.cuh"

extern "C" __global__ void __launch_bounds__(256) pool_stakes(const u64* control, u64* sums, const u64* teleport) {
    __shared__ u64 scratch[WARPS];
    if (control[DONE] != 0) {
        return;
    }
    const u64 pool = MASS - sums[SUM_ARRIVED];
    const u64 labels = control[LABELS];
    u64 sum = 0;
    for (u32 step = 0; step < LABELS_PER_BLOCK; step += THREADS) {
        // Label 0 is nobody's; its teleport share is 0.
        const u64 label = (u64)blockIdx.x * LABELS_PER_BLOCK + step + threadIdx.x;
        sum += label < labels ? pool_part(pool, teleport[label]) : 0u;
    }
    const u64 all = block_sum(warp_sum(sum), scratch);
    if (all != 0) {
        atomicAdd(&sums[SUM_GIVEN], all);
    }
}
