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

fn set_pair(at: u32, value: vec2<u32>) {
    control[at] = value.x;
    control[at + 1u] = value.y;
}

// floor(a / b), bit by bit. Once per iteration.
fn divide64(a: vec2<u32>, b: u32) -> vec2<u32> {
    var quotient = vec2<u32>(0u, 0u);
    var rest = 0u;
    for (var step = 0u; step < 64u; step += 1u) {
        let bit = 63u - step;
        let next = (select(a.x, a.y, bit > 31u) >> (bit & 31u)) & 1u;
        let carry = rest >> 31u;
        rest = (rest << 1u) | next;
        quotient = vec2<u32>(quotient.x << 1u, (quotient.y << 1u) | (quotient.x >> 31u));
        if (carry == 1u || rest >= b) {
            rest -= b;
            quotient.x |= 1u;
        }
    }
    return quotient;
}

// Notes the residual of an iteration of a warm run, and sets the threshold of the next.
fn next_threshold(residual: vec2<u32>) {
    let before = vec2<u32>(control[BEFORE], control[BEFORE + 1u]);
    if (less64(sub64(before, shift_right64(before, 5u)), residual)) {
        control[FAILURES] += select(1u, 4u, control[ITERATION] == 0u);
    }
    set_pair(BEFORE, residual);
    var threshold = vec2<u32>(0u, 0u);
    let most = vec2<u32>(control[RESIDUAL_MAX], control[RESIDUAL_MAX + 1u]);
    if (!less64(most, residual) && control[FAILURES] < 4u) {
        let each = divide64(residual, control[EDGES]);
        threshold = shift_right64(add64(each, shift_right64(each, 2u)), control[FAILURES]);
    }
    set_pair(THRESHOLD, threshold);
}

// What waits counts as distance too, whichever sign it has.
fn residual_with_waiting() -> vec2<u32> {
    let waiting = vec2<u32>(control[WAITING], control[WAITING + 1u]);
    let negative = (waiting.y >> 31u) != 0u;
    return add64(pair(RESIDUAL), select(waiting, sub64(vec2<u32>(0u, 0u), waiting), negative));
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
        let residual = residual_with_waiting();
        set_pair(at, residual);
        if (control[EDGES] != 0u) {
            next_threshold(residual);
            set_pair(WAITING, pair(WAITS));
            set_pair(POOL, pool);
            control[LEFT] = left.x;
        }
        control[ITERATION] += 1u;
        control[COUNTS + control[MODE]] += 1u;
        control[MODE] = next_mode();
        if (less64(residual, vec2<u32>(control[EPSILON], control[EPSILON + 1u]))) {
            control[DONE] = 1u;
        }
    }
    for (var word = 0u; word < 10u; word += 1u) {
        sums[word] = 0u;
    }
}
