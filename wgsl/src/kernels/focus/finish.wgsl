// Ends an iteration: records the residual, decides whether the run is over and how the next gather goes, checks that
// mass was conserved, and clears the sums. One invocation.

@group(0) @binding(0) var<storage, read_write> control: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;

fn pair(at: u32) -> vec2<u32> {
    return vec2<u32>(sums[at], sums[at + 1u]);
}

// As many rows at most have a changed source as there are out-edges of changed sources.
fn next_mode() -> u32 {
    let changes = pair(CHANGES);
    if (control[ROUNDS] != 0u) {
        return select(FRONTIER, DENSE, control[ROUNDS] == 1u);
    }
    if (all(changes == vec2<u32>(0u, 0u))) {
        return NOTHING;
    }
    let bound = vec2<u32>(control[FRONTIER_BELOW], control[FRONTIER_BELOW + 1u]);
    return select(DENSE, FRONTIER, less64(changes, bound));
}

@compute @workgroup_size(1)
fn main() {
    if (control[DONE] != 0u) {
        return;
    }
    let pool = sub64(MASS, pair(ARRIVED));
    let left = sub64(pool, pair(GIVEN));
    if (less64(MASS, pool) || left.y != 0u || left.x >= control[NODES]) {
        control[FAULT] = 1u;
        control[DONE] = 1u;
    }
    if (control[START] != 0u) {
        control[START] = 0u;
        control[MODE] = DENSE;
    } else {
        let at = RESIDUALS + 2u * (control[ITERATION] - control[BATCH]);
        control[at] = sums[RESIDUAL];
        control[at + 1u] = sums[RESIDUAL + 1u];
        control[ITERATION] += 1u;
        control[COUNTS + control[MODE]] += 1u;
        control[MODE] = next_mode();
        if (less64(pair(RESIDUAL), vec2<u32>(control[EPSILON], control[EPSILON + 1u]))) {
            control[DONE] = 1u;
        }
    }
    for (var word = 0u; word < 8u; word += 1u) {
        sums[word] = 0u;
    }
}
