// What a row of numbers gives.

#include "number.cuh"

using namespace ffcm;

constexpr u32 LANES = 64;
constexpr u32 COUNTED = 7;

struct Answer {
    u32 tag;  // 0 if the lane stopped: the payload says why
    u32 payload;
    u32 counts[COUNTED];
};

