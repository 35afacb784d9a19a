// `operate` over pairs of terms, in both orders, and `predecessor` of the first. Follows number.wgsl. For tests.

@group(0) @binding(0) var<storage, read> pairs: array<vec4<u32>>;
// Three terms for each pair: a with b, b with a, what is before a. Written by the pair's own invocation only.
@group(0) @binding(1) var<storage, read_write> answers: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let index = (group.x + group.y * groups.x) * 64u + lane;
    if (index >= arrayLength(&pairs)) {
        return;
    }
    let pair = pairs[index];
    for (var order = 0u; order < 2u; order++) {
        let swapped = order == 1u;
        answers[index * 3u + order] =
            operate(select(pair.xy, pair.zw, swapped), select(pair.zw, pair.xy, swapped));
    }
    answers[index * 3u + 2u] = predecessor(pair.xy);
}
