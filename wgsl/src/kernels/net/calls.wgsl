// Many small calls at once: each lane reduces one call, one interaction at a time, in memory of its own.
//
// A lane's memory is a number of nodes, wires, pairs and map entries. Pairs that make the net smaller, or copy an atom,
// go first, so that little memory is needed; they wait at the low end of the lane's pairs, the others at the high end,
// both last in first out. The lanes of a
// workgroup lie interleaved, slot by slot, so that lanes which do the same touch neighbouring words. Nothing is shared
// between lanes, so nothing can race. Free nodes and free wires are chained, last in first out.
//
// A wire has two ends; the first term that reaches the wire waits in its cell, the second takes it out and meets it. The
// cells of two wires that are joined end to end name each other, with the sub bit set. A cell with w0 == 0 is empty.
//
// One dispatch runs a lane for FUEL trips of all its loops together, then the lane's registers are saved. A lane ends
// when its net has no pairs left, when its gas is spent, or when it needs what it does not have here.
//
// The text comes after `rules.wgsl`, `number.wgsl` and `net/fire.wgsl`. As there, truth values are joined by & and |,
// and functions return at their end, because some drivers compile branches slowly.

// Layout as `calls.rs` knows it.
const LANES_PER_GROUP: u32 = 64u;
const FUEL: u32 = 4096u;
// Trips that one step of arithmetic takes at most.
const ARITHMETIC_TRIPS: i32 = 9;
const NONE: u32 = 0xffffffffu;

// What has become of a call.
const STATUS_NEW: u32 = 0u;
const STATUS_RUNNING: u32 = 1u;
const STATUS_DONE: u32 = 2u;
const STATUS_OUT_OF_GAS: u32 = 3u;
// Larger than a lane's memory, or arithmetic that is not within a kernel's power.
const STATUS_ELSEWHERE: u32 = 4u;

// Words of a lane's state. The first RESULT_WORDS are read by the host.
const STATE_STATUS: u32 = 0u;
const STATE_ROOT: u32 = 1u; // the term at the root, two words
const STATE_NODES_USED: u32 = 3u; // nodes ever taken
const STATE_WIRES_USED: u32 = 4u;
const STATE_COUNTS: u32 = 5u; // interactions by opcode, seven pairs of words, low word first
const STATE_FREE_NODE: u32 = 19u;
const STATE_FREE_WIRE: u32 = 20u;
const STATE_NODES_LEFT: u32 = 21u;
const STATE_WIRES_LEFT: u32 = 22u;
const STATE_SHRINKING: u32 = 23u; // pairs waiting
const STATE_GROWING: u32 = 24u;
const STATE_GAS: u32 = 25u; // left, two words

struct Params {
    // Lanes in all, a multiple of LANES_PER_GROUP: the stride of `state`.
    lanes: u32,
    // Lanes that have a call.
    calls: u32,
    // Slots of a lane.
    nodes: u32,
    wires: u32,
    pairs: u32,
    map: u32,
    gas_low: u32,
    gas_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> book: array<vec4<u32>>;
// For each lane w0 and w1 of the reference to its definition, the number of its arguments, the word they start at; then
// the arguments, two words each.
@group(0) @binding(2) var<storage, read> calls: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> nodes: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> wires: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> pairs: array<vec4<u32>>;
// Where the nodes, then the wires of the definition being expanded are.
@group(0) @binding(7) var<storage, read_write> map: array<u32>;

// The registers of a lane.
var<private> group: u32;
var<private> lane: u32;
var<private> local_lane: u32;
var<private> fuel: i32;
var<private> free_node: u32;
var<private> free_wire: u32;
var<private> nodes_used: u32;
var<private> wires_used: u32;
var<private> nodes_left: u32;
var<private> wires_left: u32;
var<private> shrinking: u32;
var<private> growing: u32;
var<private> gas: vec2<u32>;
// Interactions of this dispatch by opcode; the first is never counted.
var<private> made: array<u32, 8>;
// What a lane function came to, and its interactions.
var<private> called_link: vec4<u32>;
var<private> called_total: u32;

fn slot(capacity: u32, index: u32) -> u32 {
    return (group * capacity + index) * LANES_PER_GROUP + local_lane;
}

// The caller has checked that there is one.
fn take_node() -> u32 {
    nodes_left -= 1u;
    var node = free_node;
    if node != NONE {
        free_node = nodes[slot(params.nodes, node)].x;
    } else {
        node = nodes_used;
        nodes_used += 1u;
    }
    return node;
}

fn give_node(node: u32) {
    nodes[slot(params.nodes, node)].x = free_node;
    free_node = node;
    nodes_left += 1u;
}

// An empty wire. The caller has checked that there is one.
fn take_wire() -> u32 {
    wires_left -= 1u;
    var wire = free_wire;
    if wire != NONE {
        free_wire = wires[slot(params.wires, wire)].y;
    } else {
        wire = wires_used;
        wires_used += 1u;
        wires[slot(params.wires, wire)] = vec2<u32>(0u, 0u);
    }
    return wire;
}

fn give_wire(wire: u32) {
    wires[slot(params.wires, wire)] = vec2<u32>(0u, free_wire);
    free_wire = wire;
    wires_left += 1u;
}

// The caller has checked that there is room.
fn push_pair(pair: vec4<u32>) {
    let op = opcode(pair.xy, pair.zw);
    var at: u32;
    if (op == OP_APPLY) | (op == OP_DUPLICATE) | (op == OP_COLLAPSE) {
        at = shrinking;
        shrinking += 1u;
    } else {
        growing += 1u;
        at = params.pairs - growing;
    }
    pairs[slot(params.pairs, at)] = pair;
}

// There is one.
fn pop_pair() -> vec4<u32> {
    var at: u32;
    if shrinking > 0u {
        shrinking -= 1u;
        at = shrinking;
    } else {
        at = params.pairs - growing;
        growing -= 1u;
    }
    return pairs[slot(params.pairs, at)];
}

// What waits at the wire that `term` is an end of; the wire is free then. `term` itself if nothing waits, or it is no
// wire. What waits at a wire never has something waiting for it in turn: a wire that was joined to this one is empty
// again, anything else is no wire.
fn arrive(term: vec2<u32>) -> vec2<u32> {
    var found = term;
    if class_of(term) == CLASS_VAR {
        let waiting = wires[slot(params.wires, term.y)];
        if waiting.x != 0u {
            give_wire(term.y);
            if (waiting.x & SUB) != 0u {
                wires[slot(params.wires, waiting.y)].x = 0u;
            }
            found = vec2<u32>(waiting.x & ~SUB, waiting.y);
        }
    }
    return found;
}

// Joins two terms: through a wire if one is a VAR, as a pair to reduce otherwise.
fn link(pair: vec4<u32>) {
    let a = arrive(pair.xy);
    let b = arrive(pair.zw);
    let a_is_wire = class_of(a) == CLASS_VAR;
    let b_is_wire = class_of(b) == CLASS_VAR;
    let both = a_is_wire & b_is_wire;
    if both & (a.y == b.y) {
        // Both ends of one wire: a loop without anything on it.
        give_wire(a.y);
    } else {
        let sub = select(0u, SUB, both);
        if a_is_wire {
            wires[slot(params.wires, a.y)] = vec2<u32>(b.x | sub, b.y);
        }
        if b_is_wire {
            wires[slot(params.wires, b.y)] = vec2<u32>(a.x | sub, a.y);
        }
        if !(a_is_wire | b_is_wire) {
            push_pair(vec4<u32>(a, b));
        }
    }
}

// A term of the definition being expanded, with its local numbers replaced. The wires follow `node_count` nodes.
fn relocate(term: vec2<u32>, node_count: u32) -> vec2<u32> {
    let is_wire = class_of(term) == CLASS_VAR;
    var offset = term.y;
    if is_wire | is_node_class(class_of(term)) {
        offset = map[slot(params.map, offset + select(0u, node_count, is_wire))];
    }
    return vec2<u32>(term.x, offset);
}

// Makes the nodes and wires of the definition with this header, all but the redexes and the root. There is room.
fn expand(header: vec4<u32>) {
    for (var i = 0u; i < header.y + header.z; i += 1u) {
        fuel -= 1;
        var address: u32;
        if i < header.y {
            address = take_node();
        } else {
            address = take_wire();
        }
        map[slot(params.map, i)] = address;
    }
    let bodies_at = header.x + 1u + header.w;
    for (var i = 0u; i < header.y; i += 1u) {
        fuel -= 1;
        let body = book[bodies_at + i];
        nodes[slot(params.nodes, map[slot(params.map, i)])] =
            vec4<u32>(relocate(body.xy, header.y), relocate(body.zw, header.y));
    }
}

// `root & @entry ~ (a (b root))`, or the entry expanded at the root, wire 0. False if there is no room.
fn start() -> bool {
    free_node = NONE;
    free_wire = NONE;
    nodes_left = params.nodes;
    wires_left = params.wires;
    gas = vec2<u32>(params.gas_low, params.gas_high);
    let reference = vec2<u32>(calls[lane * 4u], calls[lane * 4u + 1u]);
    let arguments = calls[lane * 4u + 2u];
    let arguments_at = calls[lane * 4u + 3u];
    if arguments > params.nodes {
        return false;
    }
    var spine = var_term(take_wire());
    for (var i = arguments; i > 0u; i -= 1u) {
        fuel -= 1;
        let at = arguments_at + (i - 1u) * 2u;
        let node = take_node();
        nodes[slot(params.nodes, node)] = vec4<u32>(calls[at], calls[at + 1u], spine);
        spine = node_term(CLASS_CON, 0u, node);
    }
    // The only pair with a VAR in it that ever waits.
    push_pair(vec4<u32>(reference, spine));
    return true;
}

// One interaction. The status of the call afterwards, and the opcode if it was made, otherwise 0.
fn interact() -> vec2<u32> {
    let pair = pop_pair();
    let pairs_left = params.pairs - shrinking - growing;
    let a = pair.xy;
    let b = pair.zw;
    let found = opcode(a, b);
    // The entry at the root.
    let op = select(found, OP_SPECIALIZE, found == OP_LINK);
    if (gas.x | gas.y) == 0u {
        return vec2<u32>(STATUS_OUT_OF_GAS, 0u);
    }
    var is_called = false;
    if op == OP_SPECIALIZE {
        is_called = run_call(pair);
    }
    let expands = (op == OP_SPECIALIZE) & !is_called;
    var fired: Fired;
    var header: vec4<u32>;
    var other: vec2<u32>;
    var links: u32;
    if is_called {
        fired.links[0] = called_link;
        links = 1u;
    } else if expands {
        let a_refers = class_of(a) == CLASS_REF;
        header = book[select(b.y, a.y, a_refers)];
        other = select(a, b, a_refers);
        links = header.w + 1u;
        if (header.y > nodes_left) | (header.z > wires_left) | (links > pairs_left)
            | (header.y + header.z > params.map) {
            return vec2<u32>(STATUS_ELSEWHERE, 0u);
        }
        expand(header);
    } else {
        // The nodes of the pair are used again at once; what an opcode needs beyond them comes from the free ones.
        let a_is_node = is_node_class(class_of(a));
        let b_is_node = is_node_class(class_of(b));
        let own = select(0u, 1u, a_is_node) + select(0u, 1u, b_is_node);
        let more = max(NEED_NODES[op], own) - own;
        let fresh_wires = need_wires(op);
        if (more > nodes_left) | (fresh_wires > wires_left) | (NEED_REDEXES[op] > pairs_left) {
            return vec2<u32>(STATUS_ELSEWHERE, 0u);
        }
        var body_a: vec4<u32>;
        var body_b: vec4<u32>;
        if a_is_node {
            body_a = nodes[slot(params.nodes, a.y)];
        }
        if b_is_node {
            body_b = nodes[slot(params.nodes, b.y)];
        }
        var ids = vec4<u32>(select(b.y, a.y, a_is_node), b.y, 0u, 0u);
        for (var i = own; i < own + more; i += 1u) {
            fuel -= 1;
            ids[i] = take_node();
        }
        var wire_ids: vec4<u32>;
        for (var i = 0u; i < fresh_wires; i += 1u) {
            fuel -= 1;
            wire_ids[i] = take_wire();
        }
        if op == OP_SUCC {
            fuel -= ARITHMETIC_TRIPS;
        }
        fired = fire(op, a, b, body_a, body_b, ids, wire_ids);
        if fired.needs_host {
            return vec2<u32>(STATUS_ELSEWHERE, 0u);
        }
        for (var i = 0u; i < own + more; i += 1u) {
            fuel -= 1;
            if i < fired.body_count {
                nodes[slot(params.nodes, ids[i])] = fired.bodies[i];
            } else {
                give_node(ids[i]);
            }
        }
        links = fired.link_count;
    }
    for (var i = 0u; i < links; i += 1u) {
        fuel -= 1;
        var joined: vec4<u32>;
        if expands {
            // The redexes follow the root.
            let at_root = i + 1u == links;
            let joint = book[header.x + select(i + 1u, 0u, at_root)];
            let first = relocate(joint.xy, header.y);
            joined = vec4<u32>(first, other);
            if !at_root {
                joined = vec4<u32>(first, relocate(joint.zw, header.y));
            }
        } else {
            joined = fired.links[i];
        }
        link(joined);
    }
    let steps = select(1u, called_total, is_called);
    gas = vec2<u32>(gas.x - steps, gas.y - select(0u, 1u, gas.x < steps));
    // The interactions of a function have been counted.
    let counted = select(op, OP_LINK, is_called);
    return vec2<u32>(select(STATUS_RUNNING, STATUS_DONE, shrinking + growing == 0u), counted);
}

fn state_at(word: u32) -> u32 {
    return word * params.lanes + lane;
}

fn load() {
    free_node = state[state_at(STATE_FREE_NODE)];
    free_wire = state[state_at(STATE_FREE_WIRE)];
    nodes_used = state[state_at(STATE_NODES_USED)];
    wires_used = state[state_at(STATE_WIRES_USED)];
    nodes_left = state[state_at(STATE_NODES_LEFT)];
    wires_left = state[state_at(STATE_WIRES_LEFT)];
    shrinking = state[state_at(STATE_SHRINKING)];
    growing = state[state_at(STATE_GROWING)];
    gas = vec2<u32>(state[state_at(STATE_GAS)], state[state_at(STATE_GAS + 1u)]);
}

fn save(status: u32, was_new: bool) {
    state[state_at(STATE_STATUS)] = status;
    let root = wires[slot(params.wires, 0u)];
    state[state_at(STATE_ROOT)] = root.x;
    state[state_at(STATE_ROOT + 1u)] = root.y;
    state[state_at(STATE_FREE_NODE)] = free_node;
    state[state_at(STATE_FREE_WIRE)] = free_wire;
    state[state_at(STATE_NODES_USED)] = nodes_used;
    state[state_at(STATE_WIRES_USED)] = wires_used;
    state[state_at(STATE_NODES_LEFT)] = nodes_left;
    state[state_at(STATE_WIRES_LEFT)] = wires_left;
    state[state_at(STATE_SHRINKING)] = shrinking;
    state[state_at(STATE_GROWING)] = growing;
    state[state_at(STATE_GAS)] = gas.x;
    state[state_at(STATE_GAS + 1u)] = gas.y;
    // Counts so far, and those of this dispatch, which fit one word each.
    for (var op = OP_APPLY; op <= OP_SPECIALIZE; op += 1u) {
        let at = STATE_COUNTS + (op - OP_APPLY) * 2u;
        var low = 0u;
        var high = 0u;
        if !was_new {
            low = state[state_at(at)];
            high = state[state_at(at + 1u)];
        }
        let sum = low + made[op];
        state[state_at(at)] = sum;
        state[state_at(at + 1u)] = high + select(0u, 1u, sum < low);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    group = workgroup.x + workgroup.y * workgroups.x;
    local_lane = index;
    lane = group * LANES_PER_GROUP + index;
    if lane >= params.calls {
        return;
    }
    var status = state[state_at(STATE_STATUS)];
    if status > STATUS_RUNNING {
        return;
    }
    fuel = i32(FUEL);
    let was_new = status == STATUS_NEW;
    if was_new {
        status = select(STATUS_ELSEWHERE, STATUS_RUNNING, start());
    } else {
        load();
    }
    while (status == STATUS_RUNNING) & (fuel > 0) {
        fuel -= 1;
        let step = interact();
        status = step.x;
        made[step.y] += 1u;
    }
    save(status, was_new);
}
