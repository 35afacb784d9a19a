// Atomic additions to words in a pseudo-random order, a step of xorshift32 each, so that few meet. Each invocation makes
// 64 of them, to a table of 2^21 words.

@group(0) @binding(0) var<storage, read_write> table: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let thread = (group.x + group.y * groups.x) * 64u + lane;
    // Odd, so that it is not zero, which xorshift would never leave.
    var at = (thread * 2654435769u) | 1u;
    for (var i = 0u; i < 64u; i++) {
        at ^= at << 13u;
        at ^= at >> 17u;
        at ^= at << 5u;
        atomicAdd(&table[at & 0x1fffffu], 1u);
    }
}
