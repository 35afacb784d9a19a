// Chaining values of chunks, or digests of inputs of one chunk. One lane per chunk; it writes an entry of `values`
// that is its own.
//
// A chunk is four words: its first block in `data`; its bytes (11 bits) and the high word of its number; the low word
// of its number; the entry to write, the top bit set when the chunk is a whole input. Blocks are 64 bytes, the last
// one of a chunk filled up with zeros.

@group(0) @binding(0) var<uniform> window: Window;
@group(0) @binding(1) var<storage, read> chunks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> data: array<array<vec4<u32>, 4>>;
@group(0) @binding(3) var<storage, read_write> values: array<Value>;

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
    let chunk = chunks[index];
    let size = chunk.y & 0x7ffu;
    let counter = vec2<u32>(chunk.z, chunk.y >> 11u);
    let at_end = select(CHUNK_END, CHUNK_END | ROOT, (chunk.w >> 31u) == 1u);
    let blocks = max(1u, (size + 63u) / 64u);
    var value = INITIAL;
    for (var i = 0u; i < blocks; i++) {
        let flags = select(0u, CHUNK_START, i == 0u) | select(0u, at_end, i + 1u == blocks);
        value = compress(value, data[chunk.x + i], counter, min(64u, size - 64u * i), flags);
    }
    values[chunk.w & 0x7fffffffu] = value;
}
