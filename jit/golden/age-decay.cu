// @weight on rows of numbers: u24, u24, u24. Rendered; do not edit.
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

FFCM_DEVICE Answer run_row(const u32* __restrict__ columns, u32 rows, u32 row) {
    u32 n_apply = 0u;
    u32 n_succ = 0u;
    u32 n_collapse = 0u;
    u32 n_specialize = 0u;
    u32 tag = 0u;
    u32 payload = 0u;
    const u32 v0 = columns[row];
    const u32 v1 = columns[1u * rows + row];
    const u32 v2 = columns[2u * rows + row];
    switch (0u) {
        default: {
            const u32 v3 = number_integer(OPERATOR_DIV, false, v1, 1024u);
            const u32 v4 = v3 & NUM_NARROW_MASK;
            const u32 v5 = 1u + v4;
            const u32 v6 = v5 & NUM_NARROW_MASK;
            const u32 v7 = number_integer(OPERATOR_DIV, false, v0, v6);
            const u32 v8 = v7 & NUM_NARROW_MASK;
            n_apply += 3u;
            n_succ += 5u;
            n_collapse += 1u;
            n_specialize += 1u;
            tag = 805306369u;
            payload = v8;
            break;
        }
    }
    Answer answer = {};
    answer.tag = tag;
    answer.payload = payload;
    answer.counts[0] = n_apply;
    answer.counts[3] = n_succ;
    answer.counts[5] = n_collapse;
    answer.counts[6] = n_specialize;
    return answer;
}

// A lane for each row, and the sums of a group of rows.
extern "C" __global__ void __launch_bounds__(64)
lane_rows(const u32* __restrict__ columns, u32* answers, u32* totals, u32 rows, u32 gas) {
    __shared__ u32 sums[COUNTED];
    if (threadIdx.x < COUNTED) {
        sums[threadIdx.x] = 0u;
    }
    __syncthreads();
    const u32 row = blockIdx.x * LANES + threadIdx.x;
    if (row < rows) {
        const Answer answer = run_row(columns, rows, row);
        u32 total = 0u;
#pragma unroll
        for (u32 i = 0u; i < COUNTED; i++) {
            total += answer.counts[i];
        }
        answers[row] = answer.tag;
        answers[rows + row] = answer.payload;
        answers[2u * rows + row] = total;
        if (answer.tag != 0u && total <= gas) {
#pragma unroll
            for (u32 i = 0u; i < COUNTED; i++) {
                if (answer.counts[i] != 0u) {
                    atomicAdd(&sums[i], answer.counts[i]);
                }
            }
        }
    }
    __syncthreads();
    if (threadIdx.x < COUNTED) {
        totals[blockIdx.x * COUNTED + threadIdx.x] = sums[threadIdx.x];
    }
}
