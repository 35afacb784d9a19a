// Atomic additions to words in a pseudo-random order, a step of xorshift32 each, so that few meet. Each thread makes 64 of
// them, to a table of 2^21 words.

#include "device.cuh"

extern "C" __global__ void __launch_bounds__(256) measure_atomics(u32* table) {
    u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    // Odd, so that it is not zero, which xorshift would never leave.
    u32 at = thread * 2654435769u | 1u;
    for (u32 i = 0u; i < 64u; i++) {
        at ^= at << 13;
        at ^= at >> 17;
        at ^= at << 5;
        atomicAdd(table + (at & 0x1fffffu), 1u);
    }
}
