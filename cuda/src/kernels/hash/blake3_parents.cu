// Levels of BLAKE3 trees. One thread per pair: its two entries of `values`, the entry to write and the flag of a root.
//
// Race-free: what one thread writes (its left entry, or at the root an entry of its own) no other thread at the same
// level reads or writes, and a level begins when those before it are done.

#include "blake3.cuh"
#include "device.cuh"

FFCM_DEVICE void join(const Four* pairs, u32 index, Four* values) {
    Four pair = pairs[index];
    u32 block[16];
    load_entry(values, pair.a, block);
    load_entry(values, pair.b, block + 8);
    store_entry(values, pair.c, compress(initial(), block, 0u, 64u, PARENT | pair.d));
}

// Pairs `first` to `end`, which are of one level.
extern "C" __global__ void __launch_bounds__(128)
blake3_parents(const Four* __restrict__ pairs, u32 first, u32 end, Four* values) {
    u32 index = first + blockIdx.x * blockDim.x + threadIdx.x;
    if (index < end) {
        join(pairs, index, values);
    }
}

// All levels from `level` to `levels`, small ones, from pair `first` on; `ends` says where each level ends. One block:
// its barrier keeps the levels apart, and makes what one thread wrote visible to the others.
extern "C" __global__ void __launch_bounds__(256)
blake3_tops(const Four* __restrict__ pairs, u32 first, const u32* __restrict__ ends, u32 level, u32 levels, Four* values) {
    u32 start = first;
    for (u32 i = level; i < levels; i++) {
        u32 end = ends[i];
        for (u32 index = start + threadIdx.x; index < end; index += blockDim.x) {
            join(pairs, index, values);
        }
        start = end;
        __syncthreads();
    }
}
