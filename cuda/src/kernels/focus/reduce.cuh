// Sums over the threads of a warp and of a block.
#pragma once
#include "focus_control.cuh"

constexpr u32 WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;
constexpr u32 WARPS = THREADS / WARP;

// The sum over the warp, in each of its lanes. All lanes call it.
FFCM_DEVICE u64 warp_sum(u64 value) {
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    }
    return value;
}

// The sum over the block of what each warp's lane 0 has as `warp_total`, in thread 0; 0 elsewhere. `scratch` has WARPS
// words of shared memory that nobody else uses in this call. All threads of the block call it, THREADS in number; what
// they read before it they have read when thread 0 goes on.
FFCM_DEVICE u64 block_sum(u64 warp_total, u64* scratch) {
    if (threadIdx.x % WARP == 0) {
        scratch[threadIdx.x / WARP] = warp_total;
    }
    __syncthreads();
    u64 sum = 0;
    if (threadIdx.x == 0) {
        for (u32 warp = 0; warp < WARPS; warp++) {
            sum += scratch[warp];
        }
    }
    return sum;
}
