// The compression function of SHA-256 (FIPS 180-4, section 6.2.2), one in each thread, with the last 16 words of the
// schedule in registers.
#pragma once

#include "device.cuh"

// The round constants (FIPS 180-4, section 4.2.2).
static __constant__ const u32 CONSTANTS[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

// Words a to h.
struct State {
    u32 word[8];
};

FFCM_DEVICE State initial_state() {
    return State{{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                  0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u}};
}

FFCM_DEVICE u32 rotated(u32 x, u32 right) { return __funnelshift_r(x, x, right); }
FFCM_DEVICE u32 spread0(u32 x) { return rotated(x, 7u) ^ rotated(x, 18u) ^ (x >> 3); }
FFCM_DEVICE u32 spread1(u32 x) { return rotated(x, 17u) ^ rotated(x, 19u) ^ (x >> 10); }

// `state` after the block `w`, which is lost. Sixteen rounds are unrolled, so that every word of the state and of the
// schedule has a register of its own; four turns of them are short enough for the cache of instructions.
FFCM_DEVICE void compress(State& state, u32* w) {
    u32 a = state.word[0], b = state.word[1], c = state.word[2], d = state.word[3];
    u32 e = state.word[4], f = state.word[5], g = state.word[6], h = state.word[7];
#pragma unroll 1
    for (u32 turn = 0u; turn < 64u; turn += 16u) {
#pragma unroll
        for (u32 i = 0u; i < 16u; i++) {
            u32 sum1 = rotated(e, 6u) ^ rotated(e, 11u) ^ rotated(e, 25u);
            u32 choice = g ^ (e & (f ^ g));
            u32 first = h + sum1 + choice + CONSTANTS[turn + i] + w[i];
            u32 sum0 = rotated(a, 2u) ^ rotated(a, 13u) ^ rotated(a, 22u);
            u32 majority = (a & b) | (c & (a | b));
            h = g;
            g = f;
            f = e;
            e = d + first;
            d = c;
            c = b;
            b = a;
            a = first + sum0 + majority;
        }
        // The next sixteen words of the schedule; nobody needs those after the last.
        if (turn < 48u) {
#pragma unroll
            for (u32 i = 0u; i < 16u; i++) {
                w[i] += spread0(w[(i + 1u) % 16u]) + w[(i + 9u) % 16u] + spread1(w[(i + 14u) % 16u]);
            }
        }
    }
    state.word[0] += a;
    state.word[1] += b;
    state.word[2] += c;
    state.word[3] += d;
    state.word[4] += e;
    state.word[5] += f;
    state.word[6] += g;
    state.word[7] += h;
}
