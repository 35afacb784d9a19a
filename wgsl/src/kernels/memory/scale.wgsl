// Scales the vectors of `add` operations down to the bound on their L1 norm, each on its own: they do not depend on
// the tensor.
//
// Vector i is words 64i .. 64i+63 of `vectors`, two 16-bit components a word, the lower half first. One workgroup per
// vector, one lane per word. A lane reads and writes its own word only; the norm goes through workgroup memory.

const WORDS: u32 = 64u;
const BOUND: u32 = 2048u;

struct Batch {
    count: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read_write> vectors: array<u32>;

var<workgroup> partial: array<u32, WORDS>;

// value * BOUND / norm, rounded half to even. |value| <= 2^15, so the product has at most 26 bits and 2 * remainder
// (norm <= 128 * 2^15) at most 23. Rounding half to even is symmetric, so it is done on the magnitude.
fn scaled(value: i32, norm: u32) -> i32 {
    let product = u32(abs(value)) * BOUND;
    let floor = product / norm;
    let twice = 2u * (product - floor * norm);
    let up = twice > norm || (twice == norm && (floor & 1u) == 1u);
    let magnitude = i32(floor + select(0u, 1u, up));
    return select(magnitude, -magnitude, value < 0);
}

@compute @workgroup_size(WORDS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    // The same for the whole workgroup.
    if (index >= batch.count) {
        return;
    }
    let at = index * WORDS + lane;
    let word = vectors[at];
    let low = bitcast<i32>(word << 16u) >> 16u;
    let high = bitcast<i32>(word) >> 16u;
    partial[lane] = u32(abs(low)) + u32(abs(high));
    for (var stride = WORDS / 2u; stride > 0u; stride = stride / 2u) {
        workgroupBarrier();
        if (lane < stride) {
            partial[lane] = partial[lane] + partial[lane + stride];
        }
    }
    workgroupBarrier();
    let norm = partial[0];
    if (norm > BOUND) {
        vectors[at] = (bitcast<u32>(scaled(low, norm)) & 0xffffu)
            | (bitcast<u32>(scaled(high, norm)) << 16u);
    }
}
