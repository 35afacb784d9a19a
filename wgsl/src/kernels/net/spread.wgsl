// Between rounds: closes the gaps of the bag, and expands definitions that are too large for one lane.
//
// Workgroups below MOVE_GROUPS move pairs, the others expand. `plan` has given each move and each body a place of its
// own; sources lie beyond every destination, so nothing is read that is written here.

@group(0) @binding(0) var<storage, read_write> nodes: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> bag: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> rings: array<u32>;
@group(0) @binding(3) var<storage, read_write> control: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read> book: array<vec4<u32>>;

fn word(at: u32) -> u32 {
    return atomicLoad(&control[at]);
}

// The i-th move: holes of the packed bag [0, N) are filled from beyond N.
fn move_pair(i: u32) {
    let n = word(N);
    let pushed_at = word(MOVE_PUSHED_AT);
    let pushed_end = pushed_at + word(MOVE_PUSHED);
    let first_hole = word(MOVE_HOLE);
    let first_holes = max(min(pushed_at, n), first_hole) - first_hole;
    let to = select(pushed_end + i - first_holes, first_hole + i, i < first_holes);
    let source = max(pushed_at, n);
    let sources = max(pushed_end, source) - source;
    let source_dumped = max(word(MOVE_DUMPED_AT), n);
    let at = select(source_dumped + i - sources, source + i, i < sources);
    touched(32u);
    bag[to] = bag[at];
}

// The global number of local node `i`: the first ones come from the ring, the others from above the highest so far.
fn node_number(entry: u32, i: u32) -> u32 {
    let from_ring = word(entry + EXPAND_NODE_RINGED);
    touched(4u);
    let ringed = rings[(word(entry + EXPAND_NODE_RING) + i) & word(NODE_MASK)];
    return select(word(entry + EXPAND_NODE_BUMP) + i - from_ring, ringed, i < from_ring);
}

fn wire_number(entry: u32, i: u32) -> u32 {
    let from_ring = word(entry + EXPAND_WIRE_RINGED);
    touched(4u);
    let ringed = rings[word(WIRE_RING_BASE) + ((word(entry + EXPAND_WIRE_RING) + i) & word(WIRE_MASK))];
    return select(word(entry + EXPAND_WIRE_BUMP) + i - from_ring, ringed, i < from_ring);
}

fn relocate(entry: u32, term: vec2<u32>) -> vec2<u32> {
    let kind = (term.x >> CLASS_SHIFT) & CLASS_MASK;
    if (kind == CLASS_VAR) {
        return vec2<u32>(term.x, wire_number(entry, term.y));
    }
    if (kind >= CLASS_CON) {
        return vec2<u32>(term.x, node_number(entry, term.y));
    }
    return term;
}

// Item 0 is the root, then come the redexes, then the nodes.
fn expand_item(entry: u32, header: vec4<u32>, i: u32) {
    // A vector of the book, and one of the bag or the nodes.
    touched(32u);
    let given = book[header.x + i];
    let first = relocate(entry, given.xy);
    let second = relocate(entry, given.zw);
    let at = word(entry + EXPAND_BAG);
    if (i == 0u) {
        let other = vec2<u32>(word(entry + EXPAND_OTHER), word(entry + EXPAND_OTHER + 1u));
        bag[at] = vec4<u32>(first, other);
    } else if (i <= header.w) {
        bag[at + i] = vec4<u32>(first, second);
    } else {
        nodes[node_number(entry, i - 1u - header.w)] = vec4<u32>(first, second);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let move_groups = word(MOVE_GROUPS);
    if (group.x < move_groups) {
        let moves = word(MOVES);
        for (var i = group.x * 64u + lane; i < moves; i += move_groups * 64u) {
            move_pair(i);
        }
    } else {
        let entry = EXPAND_LIST + ((group.x - move_groups) / EXPAND_GROUPS) * EXPAND_ENTRY;
        touched(16u);
        let header = book[word(entry)];
        let items = 1u + header.w + header.y;
        for (var i = ((group.x - move_groups) % EXPAND_GROUPS) * 64u + lane; i < items; i += EXPAND_GROUPS * 64u) {
            expand_item(entry, header, i);
        }
    }
    flush_touched();
}
