// @weight on rows of numbers: any, any, any. Rendered; do not edit.
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
    u32 r0 = columns[row];
    u32 r1 = columns[1u * rows + row];
    u32 r2 = columns[2u * rows + row];
    u32 r3 = columns[3u * rows + row];
    u32 r4 = columns[4u * rows + row];
    u32 r5 = columns[5u * rows + row];
    u32 stack[512];
    u32 top = 0u;
    u32 next = 0u;
    for (u32 trip = 0u; trip < 4096u && next < 6u; trip += 1u) {
        switch (next) {
            case 0u: {
                const u32 v0 = r0;
                const u32 v1 = r1;
                const u32 v2 = r2;
                const u32 v3 = r3;
                const u32 v4 = r4;
                const u32 v5 = r5;
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 1u;
                top += 3u;
                n_apply += 3u;
                n_succ += 5u;
                n_collapse += 1u;
                n_specialize += 1u;
                r0 = v0;
                r1 = v1;
                r2 = 805306368u;
                r3 = 8u;
                next = 5u;
                break;
            }
            case 1u: {
                const u32 v2 = r0;
                const u32 v3 = r1;
                top -= 2u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 2u;
                top += 3u;
                r0 = v0;
                r1 = v1;
                r2 = 805306377u;
                r3 = 1024u;
                next = 5u;
                break;
            }
            case 2u: {
                const u32 v2 = r0;
                const u32 v3 = r1;
                top -= 2u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v1;
                stack[top + 2u] = 3u;
                top += 3u;
                r0 = v2;
                r1 = v3;
                r2 = 805306372u;
                r3 = 1u;
                next = 5u;
                break;
            }
            case 3u: {
                const u32 v2 = r0;
                const u32 v3 = r1;
                top -= 2u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                if (top > 511u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = 4u;
                top += 1u;
                r0 = v0;
                r1 = v1;
                r2 = v2;
                r3 = v3;
                next = 5u;
                break;
            }
            case 4u: {
                const u32 v0 = r0;
                const u32 v1 = r1;
                r0 = v0;
                r1 = v1;
                if (top == 0u) {
                    next = 6u;
                } else {
                    top -= 1u;
                    next = stack[top];
                }
                break;
            }
            case 5u: {
                const u32 v0 = r0;
                const u32 v1 = r1;
                const u32 v2 = r2;
                const u32 v3 = r3;
                if (((v0 >> CLASS_SHIFT) & CLASS_MASK) != CLASS_NUM || ((v2 >> CLASS_SHIFT) & CLASS_MASK) != CLASS_NUM) {
                    next = 7u;
                    payload = 2u;
                    break;
                }
                const u64 answer_term = operate(make_term(v0, v1), make_term(v2, v3));
                const u32 v4 = word0(answer_term);
                const u32 v5 = word1(answer_term);
                if (v4 == 0u) {
                    next = 7u;
                    payload = 2u;
                    break;
                }
                r0 = v4;
                r1 = v5;
                if (top == 0u) {
                    next = 6u;
                } else {
                    top -= 1u;
                    next = stack[top];
                }
                break;
            }
            default: {
                break;
            }
        }
    }
    if (next == 6u) {
        tag = ((r0 >> CLASS_SHIFT) & CLASS_MASK) == CLASS_NUM ? r0 : 0u;
        payload = r1;
        if (tag == 0u) {
            payload = 2u;
        }
    }
    if (next < 6u) {
        payload = 4u;
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
