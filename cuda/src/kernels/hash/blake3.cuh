// The compression function of BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3", 2020, section 2.2), one
// in each thread, all its words in registers.
#pragma once

#include "device.cuh"

static const u32 CHUNK_START = 1u;
static const u32 CHUNK_END = 2u;
static const u32 PARENT = 4u;
static const u32 ROOT = 8u;

// Four words that are loaded and stored at once.
struct alignas(16) Four {
    u32 a, b, c, d;
};

struct Value {
    u32 word[8];
};

FFCM_DEVICE Value initial() {
    return Value{{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                  0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u}};
}

// Entry `at` of values, two of Four.
FFCM_DEVICE void load_entry(const Four* values, u32 at, u32* words) {
    Four low = values[2u * (u64)at];
    Four high = values[2u * (u64)at + 1u];
    words[0] = low.a;
    words[1] = low.b;
    words[2] = low.c;
    words[3] = low.d;
    words[4] = high.a;
    words[5] = high.b;
    words[6] = high.c;
    words[7] = high.d;
}

FFCM_DEVICE void store_entry(Four* values, u32 at, const Value& value) {
    values[2u * (u64)at] = Four{value.word[0], value.word[1], value.word[2], value.word[3]};
    values[2u * (u64)at + 1u] = Four{value.word[4], value.word[5], value.word[6], value.word[7]};
}

FFCM_DEVICE u32 rotated(u32 x, u32 right) { return __funnelshift_r(x, x, right); }

// The function G.
FFCM_DEVICE void mixed(u32& a, u32& b, u32& c, u32& d, u32 x, u32 y) {
    a = a + b + x;
    d = rotated(d ^ a, 16u);
    c = c + d;
    b = rotated(b ^ c, 12u);
    a = a + b + y;
    d = rotated(d ^ a, 8u);
    c = c + d;
    b = rotated(b ^ c, 7u);
}

// `counter` is the number of the chunk, `size` the bytes of the block. Unrolled, so that the message is permuted by
// naming its registers anew.
FFCM_DEVICE Value compress(const Value& value, const u32* block, u64 counter, u32 size, u32 flags) {
    u32 m[16];
#pragma unroll
    for (u32 i = 0u; i < 16u; i++) {
        m[i] = block[i];
    }
    Value start = initial();
    u32 v[16] = {value.word[0], value.word[1], value.word[2], value.word[3], value.word[4], value.word[5],
                 value.word[6], value.word[7], start.word[0], start.word[1], start.word[2], start.word[3],
                 (u32)counter,  (u32)(counter >> 32), size, flags};
#pragma unroll
    for (u32 round = 0u; round < 7u; round++) {
        mixed(v[0], v[4], v[8], v[12], m[0], m[1]);
        mixed(v[1], v[5], v[9], v[13], m[2], m[3]);
        mixed(v[2], v[6], v[10], v[14], m[4], m[5]);
        mixed(v[3], v[7], v[11], v[15], m[6], m[7]);
        mixed(v[0], v[5], v[10], v[15], m[8], m[9]);
        mixed(v[1], v[6], v[11], v[12], m[10], m[11]);
        mixed(v[2], v[7], v[8], v[13], m[12], m[13]);
        mixed(v[3], v[4], v[9], v[14], m[14], m[15]);
        u32 p[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                     m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
#pragma unroll
        for (u32 i = 0u; i < 16u; i++) {
            m[i] = p[i];
        }
    }
    Value out;
#pragma unroll
    for (u32 i = 0u; i < 8u; i++) {
        out.word[i] = v[i] ^ v[i + 8u];
    }
    return out;
}
