// Writes single words of a buffer. `list` has `entries`, each an address and `words` words for it; entries of no words set
// the word at their address to 0. Addresses of a list differ, so each word is written by one thread.
#include "device.cuh"

extern "C" __global__ void __launch_bounds__(256) patch(const u32* list, u64 start, u32 entries, u32 words, u32* data) {
    const u32 entry = blockIdx.x * 256u + threadIdx.x;
    if (entry >= entries) {
        return;
    }
    const u64 at = start + (u64)entry * (words + 1u);
    u32* const to = data + list[at];
    if (words == 0) {
        *to = 0;
    }
    for (u32 word = 0; word < words; word++) {
        to[word] = list[at + 1 + word];
    }
}
