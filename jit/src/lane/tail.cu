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
