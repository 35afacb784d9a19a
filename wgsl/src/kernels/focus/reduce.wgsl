var<workgroup> scratch: array<vec2<u32>, 256>;

// The sum over a workgroup of 256, in every lane. Called in uniform control flow.
fn reduce(lane: u32, value: vec2<u32>) -> vec2<u32> {
    scratch[lane] = value;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width = width >> 1u) {
        if (lane < width) {
            scratch[lane] = add64(scratch[lane], scratch[lane + width]);
        }
        workgroupBarrier();
    }
    let total = scratch[0];
    // The next call writes only after everybody has read.
    workgroupBarrier();
    return total;
}

// Adds to a pair of the sums. Carries go up one by one, so the value after the dispatch does not depend on their order.
fn accumulate(pair: u32, value: vec2<u32>) {
    let before = atomicAdd(&sums[pair], value.x);
    let carry = select(0u, 1u, before + value.x < before);
    atomicAdd(&sums[pair + 1u], value.y + carry);
}
