// Searches a run of nonces for the lowest one with SHA-256(SHA-256(header | nonce)) below the target, both read as
// big-endian numbers. A thread tries every nonce that lies a multiple of the launch's threads behind its first, lowest
// first; those that are below the target meet in one atomic minimum, and a thread ends at what has been found.
//
// The search is 48 words: the state after the header's whole blocks (8), the target (8), the one or two blocks after
// them with zeros for the nonce (32).

#include "device.cuh"
#include "sha256.cuh"

// The bytes of a word in the other order.
FFCM_DEVICE u32 swapped(u32 x) { return __byte_perm(x, 0u, 0x0123u); }

FFCM_DEVICE bool below(const State& state, const u32* target) {
    // From the last word on: an earlier one that differs decides anew.
    bool less = false;
#pragma unroll
    for (u32 i = 8u; i > 0u; i--) {
        u32 mine = state.word[i - 1u];
        u32 bound = __ldg(target + i - 1u);
        less = mine < bound || (mine == bound && less);
    }
    return less;
}

// `place` is the word of the blocks at which the nonce's eight bytes begin, lowest first, `shift` the bits into it from
// the top (0, 8, 16, 24), `blocks` 1 or 2. `found` is the distance from `start` of the lowest nonce found, all ones
// before. No nonce is beyond the greatest u64.
extern "C" __global__ void __launch_bounds__(256)
sha256_search(const u32* __restrict__ search, u32 blocks, u32 place, u32 shift, u64 start, u32 count, u32* found) {
    u32 stride = gridDim.x * blockDim.x;
    // 64 bits: the one after the last may be beyond 32.
    for (u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x; index < count; index += stride) {
        // A value from before another thread's find costs one try more. This thread's further nonces are higher still.
        if (*(volatile u32*)found < (u32)index) {
            return;
        }
        u64 nonce = start + index;
        u32 first = swapped((u32)nonce);
        u32 second = swapped((u32)(nonce >> 32));
        // The nonce over three words. For no shift, the shift by 32 has to give zero: two steps.
        u32 rest = 31u - shift;
        u32 part0 = first >> shift;
        u32 part1 = ((first << 1) << rest) | (second >> shift);
        u32 part2 = (second << 1) << rest;
        State state;
#pragma unroll
        for (u32 i = 0u; i < 8u; i++) {
            state.word[i] = __ldg(search + i);
        }
        // The blocks, and then the hash of the hash.
#pragma unroll 1
        for (u32 block = 0u; block <= blocks; block++) {
            u32 w[16];
            if (block < blocks) {
#pragma unroll
                for (u32 i = 0u; i < 16u; i++) {
                    u32 number = 16u * block + i;
                    w[i] = __ldg(search + 16u + number);
                    w[i] |= number == place ? part0 : 0u;
                    w[i] |= number == place + 1u ? part1 : 0u;
                    w[i] |= number == place + 2u ? part2 : 0u;
                }
            } else {
#pragma unroll
                for (u32 i = 0u; i < 8u; i++) {
                    w[i] = state.word[i];
                    w[8u + i] = 0u;
                }
                w[8] = 0x80000000u;
                w[15] = 256u;
                state = initial_state();
            }
            compress(state, w);
        }
        if (below(state, search + 8u)) {
            atomicMin(found, (u32)index);
        }
    }
}
