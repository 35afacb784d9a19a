var<workgroup> scratch: array<vec4<u32>, 256>;

// The sums of two numbers, (a, b), over a workgroup of 256, in lane 0: sixteen lanes add up sixteen each, lane 0 theirs.
// Barriers are dear on some devices, so there are two. Called once, in uniform control flow.
fn reduce(lane: u32, a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    scratch[lane] = vec4<u32>(a, b);
    workgroupBarrier();
    if (lane < 16u) {
        scratch[lane] = column(lane);
    }
    workgroupBarrier();
    if (lane != 0u) {
        return vec4<u32>(0u, 0u, 0u, 0u);
    }
    var sum = scratch[0];
    for (var row = 1u; row < 16u; row += 1u) {
        sum = add_both(sum, scratch[row]);
    }
    return sum;
}

// Every sixteenth entry from this one on; only this lane touches them.
fn column(lane: u32) -> vec4<u32> {
    var sum = scratch[lane];
    for (var at = lane + 16u; at < 256u; at += 16u) {
        sum = add_both(sum, scratch[at]);
    }
    return sum;
}

fn add_both(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(add64(a.xy, b.xy), add64(a.zw, b.zw));
}

// Adds to a pair of the sums. Carries go up one by one, so the value after the dispatch does not depend on their order.
fn accumulate(pair: u32, value: vec2<u32>) {
    let before = atomicAdd(&sums[pair], value.x);
    let carry = select(0u, 1u, before + value.x < before);
    atomicAdd(&sums[pair + 1u], value.y + carry);
}
