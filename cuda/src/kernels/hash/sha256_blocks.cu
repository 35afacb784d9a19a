// Takes messages some blocks further. One thread per message; it owns the message's state.

#include "device.cuh"
#include "sha256.cuh"

// Four words that are loaded and stored at once.
struct alignas(16) Four {
    u32 a, b, c, d;
};

// First block in `data` and number of blocks of a message.
struct alignas(8) Message {
    u32 first, blocks;
};

extern "C" __global__ void __launch_bounds__(128)
sha256_blocks(const Message* __restrict__ messages, u32 count, const Four* __restrict__ data, u32* states) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) {
        return;
    }
    Message message = messages[index];
    Four* own = (Four*)states + 2u * (u64)index;
    Four low = own[0];
    Four high = own[1];
    State state = State{{low.a, low.b, low.c, low.d, high.a, high.b, high.c, high.d}};
    for (u32 i = 0u; i < message.blocks; i++) {
        const Four* block = data + 4u * (u64)(message.first + i);
        u32 w[16];
#pragma unroll
        for (u32 j = 0u; j < 4u; j++) {
            Four four = block[j];
            w[4u * j] = four.a;
            w[4u * j + 1u] = four.b;
            w[4u * j + 2u] = four.c;
            w[4u * j + 3u] = four.d;
        }
        compress(state, w);
    }
    own[0] = Four{state.word[0], state.word[1], state.word[2], state.word[3]};
    own[1] = Four{state.word[4], state.word[5], state.word[6], state.word[7]};
}
