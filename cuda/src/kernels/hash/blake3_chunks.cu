// Chaining values of chunks, or digests of inputs of one chunk. One thread per chunk; it writes an entry of `values`
// that is its own.
//
// A chunk is four words: its first block in `data`; its bytes (11 bits) and the high word of its number; the low word
// of its number; the entry to write, the top bit set when the chunk is a whole input. Blocks are 64 bytes, the last
// one of a chunk filled up with zeros.
//
// A thread reads its block in four loads of 16 bytes, two whole sectors, of which the level-1 cache gives the second
// half.

#include "blake3.cuh"
#include "device.cuh"

extern "C" __global__ void __launch_bounds__(128)
blake3_chunks(const Four* __restrict__ chunks, u32 count, const Four* __restrict__ data, Four* __restrict__ values) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) {
        return;
    }
    Four chunk = chunks[index];
    u32 size = chunk.b & 0x7ffu;
    u64 counter = (u64)(chunk.b >> 11) << 32 | chunk.c;
    u32 at_end = chunk.d >> 31 == 1u ? CHUNK_END | ROOT : CHUNK_END;
    u32 blocks = size > 64u ? (size + 63u) / 64u : 1u;
    Value value = initial();
    for (u32 i = 0u; i < blocks; i++) {
        u32 flags = (i == 0u ? CHUNK_START : 0u) | (i + 1u == blocks ? at_end : 0u);
        u32 left = size - 64u * i;
        u32 block[16];
        load_entry(data, 2u * (chunk.a + i), block);
        load_entry(data, 2u * (chunk.a + i) + 1u, block + 8);
        value = compress(value, block, counter, left < 64u ? left : 64u, flags);
    }
    store_entry(values, chunk.d & 0x7fffffffu, value);
}
