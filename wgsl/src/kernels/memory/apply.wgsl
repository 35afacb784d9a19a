// Applies lists of Memory Arithmetic operations to slots of 128 components.
//
// An operation is three words: kind | scalar << 2, target slot, and the source slot (mix) or the vector (add). A run is
// a range of operations, in order. One workgroup per run, one lane per component.
//
// Race-free without a barrier: a lane reads and writes only its own component of every slot, and the runs of one
// dispatch have no slot in common that any of them writes.

const DIMENSION: u32 = 128u;
const CLIP: i32 = 8192;
const ONE: i32 = 10000;

const ADD: u32 = 0u;
const DECAY: u32 = 1u;
const MIX: u32 = 2u;

struct Window {
    // Runs of this dispatch.
    first: u32,
    end: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> window: Window;
// First operation and number of operations of each run.
@group(0) @binding(1) var<storage, read> runs: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> operations: array<u32>;
// Scaled vectors, two components a word, the lower half first.
@group(0) @binding(3) var<storage, read> vectors: array<u32>;
@group(0) @binding(4) var<storage, read_write> slots: array<i32>;

// numerator / ONE, rounded half to even. |numerator| <= CLIP * ONE < 2^27. Rounding half to even is symmetric, so it is
// done on the magnitude.
fn divided(numerator: i32) -> i32 {
    let magnitude = abs(numerator);
    let floor = magnitude / ONE;
    let twice = 2 * (magnitude - floor * ONE);
    let up = twice > ONE || (twice == ONE && (floor & 1) == 1);
    let rounded = floor + select(0, 1, up);
    return select(rounded, -rounded, numerator < 0);
}

@compute @workgroup_size(DIMENSION)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = window.first + group.x + group.y * groups.x;
    if (index >= window.end) {
        return;
    }
    let run = runs[index];
    for (var i = 0u; i < run.y; i++) {
        let at = 3u * (run.x + i);
        let head = operations[at];
        let target_at = operations[at + 1u] * DIMENSION + lane;
        let operand = operations[at + 2u];
        let scalar = i32(head >> 2u);
        let old = slots[target_at];
        var value = old;
        switch (head & 3u) {
            case ADD: {
                let word = vectors[operand * (DIMENSION / 2u) + lane / 2u];
                // The half of this component, moved to the top and back down with its sign.
                value = old + (bitcast<i32>(word << (16u - 16u * (lane & 1u))) >> 16u);
            }
            case DECAY: {
                value = divided(old * scalar);
            }
            case MIX: {
                value = divided(scalar * old + (ONE - scalar) * slots[operand * DIMENSION + lane]);
            }
            // Clip is what follows every operation; it changes nothing after a decay.
            default: {}
        }
        slots[target_at] = clamp(value, -CLIP, CLIP);
    }
}
