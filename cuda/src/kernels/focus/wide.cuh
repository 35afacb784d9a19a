// The formulas of the definition in `ffcm::focus`, one function each. Whole numbers only.
#pragma once
#include "device.cuh"

// The total mass.
constexpr u64 MASS = 1ull << 62;

// Part of a pool for a teleport share, both at most 2^62: floor(pool * teleport / 2^62).
FFCM_DEVICE u64 pool_part(u64 pool, u64 teleport) {
    return (__umul64hi(pool, teleport) << 2) | ((pool * teleport) >> 62);
}

// The share of a source of mass x, at most 2^62, packed: mantissa in bits 0 to 26, j in bits 27 to 31; equal shares are
// equal words. `ratio` has r in bits 0 to 31 and k, 31 to 63, in bits 32 to 37; it is 0 for a node without out-edges.
FFCM_DEVICE u32 packed_share(u64 x, u32 damping, u64 ratio) {
    const u64 damped = __umul64hi(x, (u64)damping << 32);
    // damped * r / 2^31 first, from twice damped, which is below 2^63; then the rest of the k bits.
    const u64 share = __umul64hi(damped << 1, ratio << 32) >> ((((u32)(ratio >> 32) & 63u) - 31u) & 63u);
    const u32 bits = 64u - (u32)__clzll((long long)share);
    // Twice j: at most 36.
    const u32 even = ((bits > 27u ? bits : 27u) - 26u) & 62u;
    return (u32)(share >> even) | even << 26;
}

// Twice j of a packed share.
FFCM_DEVICE u32 share_shift(u32 share) { return (share >> 26) & 62u; }

// What an edge carries where the weights of each source are equal: the share itself.
FFCM_DEVICE u64 edge_term_equal(u32 share) {
    return (u64)(share & 0x07ffffffu) << share_shift(share);
}

// What an edge of this quota, at most 2^31, carries: floor(share * quota / 2^31). The product of mantissa and quota has at
// most 58 bits; it is shifted by 2j - 31, which is odd and so never 0, and what comes out is at most the share.
FFCM_DEVICE u64 edge_term_quota(u32 share, u32 quota) {
    const u64 product = (u64)(share & 0x07ffffffu) * quota;
    const u32 shift = share_shift(share);
    return shift > 31u ? product << (shift - 31u) : product >> (31u - shift);
}
