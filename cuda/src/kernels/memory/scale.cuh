// Exact quotients, and the scaling of an addition's vector down to the bound on its L1 norm.
#pragma once

#include "device.cuh"

// Scalars are in units of 1 / ONE.
static const u32 ONE = 10000u;
// Largest L1 norm of what is added.
static const u32 BOUND = 2048u;
static const u32 EVERY_LANE = 0xffffffffu;

FFCM_DEVICE u32 magnitude_of(i32 value) { return value < 0 ? 0u - (u32)value : (u32)value; }
FFCM_DEVICE i32 with_sign_of(i32 value, u32 magnitude) {
    return value < 0 ? -(i32)magnitude : (i32)magnitude;
}

// floor + remainder / denominator, rounded half to even: up if twice the remainder is above the denominator, or equals
// it and the floor is odd. One comparison does both: the floor's last bit, added to twice the remainder, decides where
// the two sides are equal, and nowhere else, as it is the least by which whole numbers differ.
FFCM_DEVICE u32 half_to_even(u32 floor, u32 remainder, u32 denominator) {
    return floor + (2u * remainder + (floor & 1u) > denominator ? 1u : 0u);
}

// numerator / ONE, rounded half to even, which is symmetric, so that it is done on the magnitude n < 2^27 (a component
// of at most 2^13 times ONE).
//
// ONE = 16 * 625, so floor(n / ONE) = floor(m / 625) with m = floor(n / 16) < 2^23. With M = 6871948 = (2^32 + 204) /
// 625, m * M / 2^32 = m / 625 + m * 204 / (625 * 2^32). The second term is below 1 / 625 as 204 * m < 2^31, so it does
// not carry m / 625, a multiple of 1 / 625, beyond the next whole number: the high word of m * M is the floor.
FFCM_DEVICE i32 over_one(i32 numerator) {
    u32 n = magnitude_of(numerator);
    u32 floor = __umulhi(n >> 4, 6871948u);
    return with_sign_of(numerator, half_to_even(floor, n - floor * ONE, ONE));
}

// value * BOUND / norm, rounded half to even, for |value| <= 2^15 and BOUND < norm <= 2^22; `inverse` is
// floor((2^32 - 1) / norm).
//
// p = |value| * BOUND <= 2^26. inverse > 2^32 / norm - 1 - 1 / norm > 2^32 / norm - 2, so p * inverse / 2^32 is at most
// p / norm and above p / norm - 2p / 2^32 >= p / norm - 1 / 32: its floor is that of p / norm or one less.
FFCM_DEVICE i32 over_norm(i32 value, u32 norm, u32 inverse) {
    u32 p = magnitude_of(value) * BOUND;
    u32 floor = __umulhi(p, inverse);
    u32 remainder = p - floor * norm;
    if (remainder >= norm) {
        floor += 1u;
        remainder -= norm;
    }
    return with_sign_of(value, half_to_even(floor, remainder, norm));
}

// Four components of the vector, of which the other lanes of the warp have the rest, scaled down to the bound if the
// norm of the vector is above it. Every lane of the warp calls this.
FFCM_DEVICE void scale(i32* part) {
    u32 norm = magnitude_of(part[0]) + magnitude_of(part[1]) + magnitude_of(part[2]) + magnitude_of(part[3]);
    for (u32 distance = 16u; distance > 0u; distance /= 2u) {
        norm += __shfl_xor_sync(EVERY_LANE, norm, distance);
    }
    // The same for the whole warp.
    if (norm > BOUND) {
        u32 inverse = 0xffffffffu / norm;
        for (u32 i = 0u; i < 4u; i++) {
            part[i] = over_norm(part[i], norm, inverse);
        }
    }
}
