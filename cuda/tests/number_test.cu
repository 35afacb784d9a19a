// `operate` over pairs of terms, in both orders, and `predecessor` of the first. For tests.

#include "number.cuh"

using namespace ffcm;

// Three terms for each pair: a with b, b with a, what is before a. Written by the pair's own thread only.
extern "C" __global__ void __launch_bounds__(64) number_test(const u64* pairs, u64* answers, u32 count) {
    for (u32 index = blockIdx.x * blockDim.x + threadIdx.x; index < count; index += gridDim.x * blockDim.x) {
        const u64 a = pairs[2 * index], b = pairs[2 * index + 1];
        answers[3 * index] = operate(a, b);
        answers[3 * index + 1] = operate(b, a);
        answers[3 * index + 2] = predecessor(a);
    }
}
