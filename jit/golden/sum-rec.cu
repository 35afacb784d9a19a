// @sum on rows of numbers: u24, u24. Rendered; do not edit.
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
    u32 r1 = columns[1u * rows + row];
    u32 stack[512];
    u32 top = 0u;
    u32 next = 0u;
    for (u32 trip = 0u; trip < 4096u && next < 5u; trip += 1u) {
        switch (next) {
            case 0u: {
                const u32 v0 = r0;
                const u32 v1 = r1;
                if (v0 == 0u) {
                    n_apply += 3u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    r0 = v1;
                    if (top == 0u) {
                        next = 5u;
                    } else {
                        top -= 1u;
                        next = stack[top];
                    }
                } else {
                    const u32 v2 = v0 - 1u;
                    const u32 v3 = 2u * v1;
                    const u32 v4 = v3 & NUM_NARROW_MASK;
                    const u32 v5 = 2u * v1;
                    const u32 v6 = v5 & NUM_NARROW_MASK;
                    const u32 v7 = 1u + v6;
                    const u32 v8 = v7 & NUM_NARROW_MASK;
                    if (v2 == 0u) {
                        const u32 v9 = v4 + v8;
                        const u32 v10 = v9 & NUM_NARROW_MASK;
                        n_apply += 10u;
                        n_duplicate += 2u;
                        n_succ += 6u;
                        n_switch += 3u;
                        n_collapse += 4u;
                        n_specialize += 4u;
                        r0 = v10;
                        if (top == 0u) {
                            next = 5u;
                        } else {
                            top -= 1u;
                            next = stack[top];
                        }
                    } else {
                        const u32 v11 = v2 - 1u;
                        const u32 v12 = 2u * v4;
                        const u32 v13 = v12 & NUM_NARROW_MASK;
                        const u32 v14 = 2u * v4;
                        const u32 v15 = v14 & NUM_NARROW_MASK;
                        const u32 v16 = 1u + v15;
                        const u32 v17 = v16 & NUM_NARROW_MASK;
                        const u32 v18 = 2u * v8;
                        const u32 v19 = v18 & NUM_NARROW_MASK;
                        const u32 v20 = 2u * v8;
                        const u32 v21 = v20 & NUM_NARROW_MASK;
                        const u32 v22 = 1u + v21;
                        const u32 v23 = v22 & NUM_NARROW_MASK;
                        if (top > 507u) {
                            next = 6u;
                            payload = 3u;
                            break;
                        }
                        stack[top + 0u] = v11;
                        stack[top + 1u] = v17;
                        stack[top + 2u] = v19;
                        stack[top + 3u] = v23;
                        stack[top + 4u] = 1u;
                        top += 5u;
                        n_apply += 12u;
                        n_duplicate += 6u;
                        n_succ += 18u;
                        n_switch += 3u;
                        n_collapse += 6u;
                        n_specialize += 6u;
                        r0 = v11;
                        r1 = v13;
                        next = 0u;
                    }
                }
                break;
            }
            case 1u: {
                const u32 v4 = r0;
                top -= 4u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                const u32 v2 = stack[top + 2u];
                const u32 v3 = stack[top + 3u];
                if (top > 507u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v2;
                stack[top + 2u] = v3;
                stack[top + 3u] = v4;
                stack[top + 4u] = 2u;
                top += 5u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 2u: {
                const u32 v4 = r0;
                top -= 4u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                const u32 v2 = stack[top + 2u];
                const u32 v3 = stack[top + 3u];
                const u32 v5 = v3 + v4;
                const u32 v6 = v5 & NUM_NARROW_MASK;
                if (top > 508u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v2;
                stack[top + 2u] = v6;
                stack[top + 3u] = 3u;
                top += 4u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 3u: {
                const u32 v3 = r0;
                top -= 3u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                const u32 v2 = stack[top + 2u];
                if (top > 509u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 4u;
                top += 3u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 4u: {
                const u32 v2 = r0;
                top -= 2u;
                const u32 v0 = stack[top + 0u];
                const u32 v1 = stack[top + 1u];
                const u32 v3 = v1 + v2;
                const u32 v4 = v3 & NUM_NARROW_MASK;
                const u32 v5 = v0 + v4;
                const u32 v6 = v5 & NUM_NARROW_MASK;
                r0 = v6;
                if (top == 0u) {
                    next = 5u;
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
    if (next == 5u) {
        tag = 805306369u;
        payload = r0;
    }
    if (next < 5u) {
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
