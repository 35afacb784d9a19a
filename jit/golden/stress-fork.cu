// @fork on rows of numbers: u24. Rendered; do not edit.
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
    u32 n_duplicate = 0u;
    u32 n_succ = 0u;
    u32 n_switch = 0u;
    u32 n_collapse = 0u;
    u32 n_specialize = 0u;
    u32 tag = 0u;
    u32 payload = 0u;
    u32 r0 = columns[row];
    u32 r1 = 0u;
    u32 stack[512];
    u32 top = 0u;
    u32 next = 0u;
    for (u32 trip = 0u; trip < 4096u && next < 4u; trip += 1u) {
        switch (next) {
            case 0u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    if (top == 0u) {
                        next = 4u;
                    } else {
                        top -= 1u;
                        next = stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    if (v1 == 0u) {
                        if (top > 511u) {
                            next = 5u;
                            payload = 3u;
                            break;
                        }
                        stack[top + 0u] = 1u;
                        top += 1u;
                        n_apply += 7u;
                        n_duplicate += 1u;
                        n_succ += 1u;
                        n_switch += 3u;
                        n_collapse += 3u;
                        n_specialize += 6u;
                        r0 = 500u;
                        next = 3u;
                    } else {
                        const u32 v2 = v1 - 1u;
                        if (top > 510u) {
                            next = 5u;
                            payload = 3u;
                            break;
                        }
                        stack[top + 0u] = v2;
                        stack[top + 1u] = 2u;
                        top += 2u;
                        n_apply += 9u;
                        n_duplicate += 3u;
                        n_succ += 9u;
                        n_switch += 3u;
                        n_collapse += 3u;
                        n_specialize += 6u;
                        r0 = v2;
                        next = 0u;
                    }
                }
                break;
            }
            case 1u: {
                next = 5u;
                payload = 1u;
                break;
            }
            case 2u: {
                top -= 1u;
                const u32 v0 = stack[top + 0u];
                next = 5u;
                payload = 2u;
                break;
            }
            case 3u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    if (top == 0u) {
                        next = 4u;
                    } else {
                        top -= 1u;
                        next = stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 2u;
                    r0 = v1;
                    next = 3u;
                }
                break;
            }
            default: {
                break;
            }
        }
    }
    if (next == 4u) {
        tag = 335544320u;
        payload = 6u;
    }
    if (next < 4u) {
        payload = 4u;
    }
    Answer answer = {};
    answer.tag = tag;
    answer.payload = payload;
    answer.counts[0] = n_apply;
    answer.counts[1] = n_duplicate;
    answer.counts[3] = n_succ;
    answer.counts[4] = n_switch;
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
