// Before each round, one invocation: counts what the last round left, decides whether and how wide to go on, and gives
// large definitions their room.
//
// The bag before: pairs below N, of which the top TAKEN went out; PUSHED pairs from N on, none beyond PUSH_LIMIT; DUMPED
// pairs from DUMP_AT on. After: N pairs from 0 on, once `spread` has moved what lies beyond N into the gaps.

@group(0) @binding(0) var<storage, read_write> control: array<atomic<u32>>;
@group(0) @binding(1) var<storage, read_write> arguments: array<u32>;
@group(0) @binding(2) var<storage, read> book: array<vec4<u32>>;

fn word(at: u32) -> u32 {
    return atomicLoad(&control[at]);
}

fn put(at: u32, value: u32) {
    atomicStore(&control[at], value);
}

// Entries of a ring between two cursors that only grow, and wrap; none if the first has run ahead.
fn between(head: u32, tail: u32) -> u32 {
    return u32(max(i32(tail - head), 0));
}

// Closes the books of the last round. The number of pairs.
fn pack() -> u32 {
    let n = word(N);
    let kept = n - min(word(TAKEN), n);
    let pushed = min(word(PUSHED), word(PUSH_LIMIT) - n);
    let dumped = word(DUMPED);
    let dump_at = word(DUMP_AT);
    let total = kept + pushed + dumped;
    // What lies beyond `total` has to move.
    let from_pushed = between(max(n, total), n + pushed);
    let from_dumped = between(max(dump_at, total), dump_at + dumped);
    put(MOVE_HOLE, kept);
    put(MOVE_PUSHED_AT, n);
    put(MOVE_PUSHED, pushed);
    put(MOVE_DUMPED_AT, dump_at);
    put(MOVES, from_pushed + from_dumped);
    put(N, total);
    put(TAKEN, 0u);
    put(PUSHED, 0u);
    put(DUMPED, 0u);
    return total;
}

// What was freed in the last round can be used in the next.
fn snapshot() {
    put(NODE_HEAD, word(NODE_SEEN) - between(word(NODE_HEAD), word(NODE_SEEN)));
    put(NODE_SEEN, word(NODE_TAIL));
    put(NODE_BUMP, min(word(NODE_BUMP), word(NODE_CAPACITY)));
    put(WIRE_HEAD, word(WIRE_SEEN) - between(word(WIRE_HEAD), word(WIRE_SEEN)));
    put(WIRE_SEEN, word(WIRE_TAIL));
    put(WIRE_BUMP, min(word(WIRE_BUMP), word(WIRE_CAPACITY)));
}

// The sum of all counters as two words.
fn spent() -> vec2<u32> {
    var low = 0u;
    var high = 0u;
    for (var op = 1u; op < 8u; op++) {
        let more = word(COUNTS + op);
        low += more;
        high += word(COUNTS + 8u + op) + select(0u, 1u, low < more);
    }
    return vec2<u32>(low, high);
}

// Whether more was spent than allowed; sets what is left, as far as a word holds it.
fn out_of_gas() -> bool {
    let total = spent();
    let gas = vec2<u32>(word(GAS), word(GAS + 1u));
    if (total.y > gas.y || (total.y == gas.y && total.x > gas.x)) {
        return true;
    }
    let borrow = select(0u, 1u, gas.x < total.x);
    put(GAS_LEFT, select(gas.x - total.x, 0xFFFFFFFFu, gas.y - total.y - borrow != 0u));
    return false;
}

// Room for the definitions that wait, oldest first, as long as there is room; `n` pairs are in the bag. How many got it.
// Those of the last call are gone.
fn place_definitions(n: u32) -> vec2<u32> {
    let waiting = min(word(EXPAND_WAITING), EXPAND_MAX);
    var pairs = n;
    var placed = 0u;
    for (var i = 0u; i < waiting; i++) {
        let entry = EXPAND_LIST + i * EXPAND_ENTRY;
        let header = book[word(entry)];
        let nodes_ringed = min(header.y, between(word(NODE_HEAD), word(NODE_SEEN)));
        let wires_ringed = min(header.z, between(word(WIRE_HEAD), word(WIRE_SEEN)));
        let nodes_new = header.y - nodes_ringed;
        let wires_new = header.z - wires_ringed;
        let lacks = select(0u, STALL_NODES, nodes_new > word(NODE_CAPACITY) - word(NODE_BUMP))
            | select(0u, STALL_WIRES, wires_new > word(WIRE_CAPACITY) - word(WIRE_BUMP))
            | select(0u, STALL_BAG, header.w + 1u > between(pairs + SLACK, word(BAG_CAPACITY)));
        if (lacks != 0u) {
            atomicOr(&control[STALL], lacks);
            break;
        }
        put(entry + EXPAND_NODE_RING, word(NODE_HEAD));
        put(entry + EXPAND_NODE_RINGED, nodes_ringed);
        put(entry + EXPAND_NODE_BUMP, word(NODE_BUMP));
        put(entry + EXPAND_WIRE_RING, word(WIRE_HEAD));
        put(entry + EXPAND_WIRE_RINGED, wires_ringed);
        put(entry + EXPAND_WIRE_BUMP, word(WIRE_BUMP));
        put(entry + EXPAND_BAG, pairs);
        put(NODE_HEAD, word(NODE_HEAD) + nodes_ringed);
        put(WIRE_HEAD, word(WIRE_HEAD) + wires_ringed);
        put(NODE_BUMP, word(NODE_BUMP) + nodes_new);
        put(WIRE_BUMP, word(WIRE_BUMP) + wires_new);
        pairs += header.w + 1u;
        placed += 1u;
    }
    return vec2<u32>(placed, pairs);
}

// The definitions that got room in the last round leave the list.
fn forget_placed() {
    let placed = word(EXPAND_PLACED);
    let waiting = min(word(EXPAND_WAITING), EXPAND_MAX);
    for (var i = placed; i < waiting; i++) {
        for (var field = 0u; field < EXPAND_GIVEN; field++) {
            let at = EXPAND_LIST + i * EXPAND_ENTRY + field;
            put(at - placed * EXPAND_ENTRY, word(at));
        }
    }
    put(EXPAND_WAITING, waiting - placed);
    put(EXPAND_PLACED, 0u);
}

// How many workgroups take part in the next round: none if it cannot be.
fn width(n: u32) -> u32 {
    let room = between(n + HOST_MAX + 64u, word(BAG_CAPACITY));
    return min(min(word(GROUPS_MAX), (n + 63u) / 64u), room / SLACK);
}

// Sets out the next round for `n` pairs. The number of workgroups.
fn set_out(n: u32, placed: u32) -> u32 {
    if (word(STATUS) != STATUS_RUNNING) {
        return 0u;
    }
    if (out_of_gas()) {
        put(STATUS, STATUS_OUT_OF_GAS);
        return 0u;
    }
    let waiting = word(EXPAND_WAITING);
    if (n == 0u && waiting == 0u) {
        // The host may still have pairs for us.
        put(STATUS, STATUS_EMPTY);
        return 0u;
    }
    let groups = width(n);
    if (n > 0u && groups == 0u) {
        atomicOr(&control[STALL], STALL_BAG);
    }
    if (waiting > 0u && word(MOVES) > 0u) {
        // Definitions get their room when the bag has no gaps.
        return 0u;
    }
    let idle = word(MOVED) == 0u && word(GROUPS_RAN) > 0u;
    if (placed == 0u && (idle || groups == 0u)) {
        put(STATUS, STATUS_STALLED);
        return 0u;
    }
    return groups;
}

@compute @workgroup_size(1)
fn main() {
    forget_placed();
    var n = pack();
    snapshot();
    var placed = 0u;
    if (word(STATUS) == STATUS_RUNNING && word(EXPAND_WAITING) > 0u && word(MOVES) == 0u) {
        let found = place_definitions(n);
        placed = found.x;
        n = found.y;
        put(N, n);
        put(EXPAND_PLACED, placed);
    }
    put(PAIRS_PEAK, max(word(PAIRS_PEAK), n));
    let groups = set_out(n, placed);
    if (groups > 0u) {
        put(STALL, 0u);
        put(ROUND, word(ROUND) + 1u);
        put(MOVED, 0u);
    }
    if (groups > 0u || placed > 0u) {
        put(GROUPS_RAN, groups);
    }
    put(GROUPS, groups);
    put(FINISHED, 0u);
    put(HUNGRY, select(0u, 1u, groups < word(GROUPS_MAX)));
    let dump_at = word(BAG_CAPACITY) - groups * SLACK;
    put(DUMP_AT, dump_at);
    put(PUSH_LIMIT, max(dump_at - HOST_MAX, n));
    let share = 2u * max(groups, 1u);
    let chunk_max = select(CHUNK_MAX, 64u, n < 16u);
    let nodes = between(word(NODE_HEAD), word(NODE_SEEN)) + word(NODE_CAPACITY) - word(NODE_BUMP);
    let wires = between(word(WIRE_HEAD), word(WIRE_SEEN)) + word(WIRE_CAPACITY) - word(WIRE_BUMP);
    put(NODE_CHUNK, clamp(nodes / share, 8u, chunk_max));
    put(WIRE_CHUNK, clamp(wires / share, 8u, chunk_max));
    let move_groups = min((word(MOVES) + 255u) / 256u, 1024u);
    put(MOVE_GROUPS, move_groups);
    arguments[0] = groups;
    arguments[1] = 1u;
    arguments[2] = 1u;
    arguments[3] = move_groups + placed * EXPAND_GROUPS;
    arguments[4] = 1u;
    arguments[5] = 1u;
}
