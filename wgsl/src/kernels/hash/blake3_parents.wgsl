// One level of BLAKE3 trees. One lane per pair: its entries of `values`, the entry to write and the flag of a root.
//
// Race-free: what one lane writes (its left entry, or at the root an entry of its own) no other lane of the dispatch
// reads or writes.

@group(0) @binding(0) var<uniform> window: Window;
@group(0) @binding(1) var<storage, read> pairs: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> values: array<Value>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = window.first + (group.x + group.y * groups.x) * WORKGROUP + lane;
    if (index >= window.end) {
        return;
    }
    let pair = pairs[index];
    let left = values[pair.x];
    let right = values[pair.y];
    let block = array<vec4<u32>, 4>(left.low, left.high, right.low, right.high);
    values[pair.z] = compress(INITIAL, block, vec2<u32>(0u), 64u, PARENT | pair.w);
}
