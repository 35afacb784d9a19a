// One lane at work: a machine that makes one small move a trip, so that a step has one loop and its trips can be counted.
//
// Who may touch what. A pair belongs to the lane that holds it, and with it the nodes its terms point to and their
// bodies. Terms travel only by earlier dispatches, by the bag of the own workgroup across a barrier, in bodies of nodes,
// and through cells judged by `visible`. So the writes of every node that a lane reaches are ordered before its reads,
// and no lane waits for another.

// What a lane is doing.
const IDLE: u32 = 0u;
// `current` is a pair to look at.
const PAIR: u32 = 1u;
// Writing the bodies of a definition's nodes.
const BODIES: u32 = 2u;
// Joining the pairs that an interaction left.
const LINKS: u32 = 3u;
// `current` is a call of a lane function, and ready.
const CALL: u32 = 4u;

var<private> lane_mode: u32;
var<private> current: vec4<u32>;
// Pairs of this lane, a ring; the newest is taken first, the oldest is given away first.
var<private> stack: array<vec4<u32>, STACK>;
var<private> stack_base: u32;
var<private> stack_count: u32;
// A pair that found no other place, and waits for the next round. The lane then waits too.
var<private> held: vec4<u32>;
var<private> is_held: bool;
// The lane's own free nodes and wires. While a definition is expanded, the last ones are its nodes and wires.
var<private> free_nodes: array<u32, FREE>;
var<private> free_node_count: u32;
var<private> free_wires: array<u32, FREE>;
var<private> free_wire_count: u32;
// The links that are left of an interaction: of those in `pending`, or of a definition.
var<private> pending: array<vec4<u32>, 3>;
var<private> link: vec4<u32>;
var<private> link_open: bool;
var<private> link_next: u32;
var<private> link_count: u32;
var<private> has_result: bool;
var<private> result: vec4<u32>;
// The definition being expanded: its header, its next node, what it meets.
var<private> expanding: bool;
var<private> header: vec4<u32>;
var<private> body_next: u32;
var<private> other: vec2<u32>;
// Interactions of this lane in this round, by opcode; in this step.
var<private> counts: array<u32, 8>;
var<private> fired: u32;
// Anything done in this step.
var<private> moved: bool;
// Trips that this lane has made in this step.
var<private> trips_made: u32;
// What this lane lacked in this step.
var<private> lacks: u32;

// With so many pairs on its stack the lane stops, for others to take part.
var<private> stack_enough: u32;

// Where the pools of the workgroup stood when the step began, and its bag.
var<private> pool_seen: vec2<u32>;
var<private> pool_taken: vec2<u32>;
var<private> local_bag_base: u32;

var<workgroup> local_bag_top: atomic<u32>;
// Cursors of the pools, of nodes and of wires; what its lanes lacked in this step.
var<workgroup> pool_take: array<atomic<u32>, 2>;
var<workgroup> pool_put: array<atomic<u32>, 2>;
var<workgroup> pool_lack: array<atomic<u32>, 2>;

fn stack_push(pair: vec4<u32>) {
    stack[(stack_base + stack_count) % STACK] = pair;
    stack_count += 1u;
}

// Gives a pair to the workgroup, for the next step.
fn push_local(pair: vec4<u32>) -> bool {
    let at = atomicAdd(&local_bag_top, 1u);
    let fits = at - local_bag_base < LOCAL_BAG;
    if (fits) { local_bag_store(at % LOCAL_BAG, pair); }
    return fits;
}

// Gives a pair to everybody, for the next round.
fn push_global(pair: vec4<u32>) -> bool {
    let at = atomicLoad(&control[N]) + atomicAdd(&control[PUSHED], 1u);
    let fits = at < atomicLoad(&control[PUSH_LIMIT]);
    if (fits) { bag_store(at, pair); }
    return fits;
}

fn free_node(node: u32) {
    if (free_node_count < KEEP) {
        free_nodes[free_node_count] = node;
        free_node_count += 1u;
    } else {
        let at = atomicAdd(&pool_put[0], 1u);
        if (at - pool_taken.x < POOL) {
            local_node_store(at % POOL, node);
        } else {
            ring_store(atomicAdd(&control[NODE_TAIL], 1u) & atomicLoad(&control[NODE_MASK]), node);
        }
    }
}

// The wire's payload has been taken out by its second end.
fn free_wire(wire: u32) {
    touched(4u);
    atomicStore(&stamps[wire], 0u);
    if (!expanding && free_wire_count < KEEP) {
        free_wires[free_wire_count] = wire;
        free_wire_count += 1u;
    } else {
        let at = atomicAdd(&pool_put[1], 1u);
        if (at - pool_taken.y < POOL) {
            local_wire_store(at % POOL, wire);
        } else {
            let place = atomicAdd(&control[WIRE_TAIL], 1u) & atomicLoad(&control[WIRE_MASK]);
            ring_store(atomicLoad(&control[WIRE_RING_BASE]) + place, wire);
        }
    }
}

// Takes up to four of the nodes and wires that are still needed. Whether all are there; `lacks` says what is not to
// be had in this step.
fn reserve(need_nodes: u32, need_wires: u32) -> bool {
    if (free_node_count < need_nodes) {
        let want = min(need_nodes - free_node_count, 4u);
        let at = atomicAdd(&pool_take[0], want);
        let got = min(want, u32(max(i32(pool_seen.x - at), 0)));
        if (got > 0u) { free_nodes[free_node_count] = local_node_load(at % POOL); }
        if (got > 1u) { free_nodes[free_node_count + 1u] = local_node_load((at + 1u) % POOL); }
        if (got > 2u) { free_nodes[free_node_count + 2u] = local_node_load((at + 2u) % POOL); }
        if (got > 3u) { free_nodes[free_node_count + 3u] = local_node_load((at + 3u) % POOL); }
        free_node_count += got;
        if (got < want) {
            lacks |= STALL_NODES;
            atomicAdd(&pool_lack[0], need_nodes - free_node_count);
        }
    }
    if (free_wire_count < need_wires) {
        let want = min(need_wires - free_wire_count, 4u);
        let at = atomicAdd(&pool_take[1], want);
        let got = min(want, u32(max(i32(pool_seen.y - at), 0)));
        if (got > 0u) { free_wires[free_wire_count] = local_wire_load(at % POOL); }
        if (got > 1u) { free_wires[free_wire_count + 1u] = local_wire_load((at + 1u) % POOL); }
        if (got > 2u) { free_wires[free_wire_count + 2u] = local_wire_load((at + 2u) % POOL); }
        if (got > 3u) { free_wires[free_wire_count + 3u] = local_wire_load((at + 3u) % POOL); }
        free_wire_count += got;
        if (got < want) {
            lacks |= STALL_WIRES;
            atomicAdd(&pool_lack[1], need_wires - free_wire_count);
        }
    }
    return free_node_count >= need_nodes && free_wire_count >= need_wires;
}

// A term of the definition being expanded, with its local numbers replaced.
fn relocate(term: vec2<u32>) -> vec2<u32> {
    let kind = class_of(term);
    var value = term.y;
    if (kind == CLASS_VAR) {
        value = free_wires[free_wire_count - header.z + term.y];
    } else if (is_node_class(kind)) {
        value = free_nodes[free_node_count - header.y + term.y];
    }
    return vec2<u32>(term.x, value);
}

fn relocate_pair(pair: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(relocate(pair.xy), relocate(pair.zw));
}

// Leaves the arithmetic step to the host, which joins the answer with what waits for it.
fn leave_to_host(number: vec2<u32>, body: vec4<u32>) -> bool {
    let i = atomicAdd(&control[HOST_WAITING], 1u);
    let fits = i < HOST_MAX;
    if (fits) {
        let entry = HOST_LIST + i * HOST_ENTRY;
        atomicStore(&control[entry], number.x);
        atomicStore(&control[entry + 1u], number.y);
        atomicStore(&control[entry + 2u], body.x);
        atomicStore(&control[entry + 3u], body.y);
        atomicStore(&control[entry + 4u], body.z);
        atomicStore(&control[entry + 5u], body.w);
    }
    lacks |= select(STALL_HOST, 0u, fits);
    return fits;
}

// Puts a definition that one lane cannot expand on the list.
fn leave_to_spread(definition: u32, meets: vec2<u32>) -> bool {
    let i = atomicAdd(&control[EXPAND_WAITING], 1u);
    let fits = i < EXPAND_MAX;
    if (fits) {
        let entry = EXPAND_LIST + i * EXPAND_ENTRY;
        atomicStore(&control[entry], definition);
        atomicStore(&control[entry + EXPAND_OTHER], meets.x);
        atomicStore(&control[entry + EXPAND_OTHER + 1u], meets.y);
    }
    lacks |= select(STALL_EXPAND, 0u, fits);
    return fits;
}

fn count(op: u32) {
    counts[op] += 1u;
    fired += 1u;
    moved = true;
}

fn begin_links(total: u32) {
    link_next = 0u;
    link_count = total;
    link_open = false;
    has_result = false;
    lane_mode = LINKS;
}

// Fires `current`, for which everything is reserved, unless its arithmetic is the host's and the host has no room.
fn fire_current(op: u32) -> bool {
    let a = current.xy;
    let b = current.zw;
    var body_a = vec4<u32>();
    var body_b = vec4<u32>();
    if (is_node_class(class_of(a))) { body_a = node_load(offset_of(a)); }
    if (is_node_class(class_of(b))) { body_b = node_load(offset_of(b)); }
    let fresh_nodes = vec4<u32>(
        free_nodes[max(free_node_count, 1u) - 1u],
        free_nodes[max(free_node_count, 2u) - 2u],
        free_nodes[max(free_node_count, 3u) - 3u],
        free_nodes[max(free_node_count, 4u) - 4u],
    );
    let fresh_wires = vec4<u32>(
        free_wires[max(free_wire_count, 1u) - 1u],
        free_wires[max(free_wire_count, 2u) - 2u],
        free_wires[max(free_wire_count, 3u) - 3u],
        free_wires[max(free_wire_count, 4u) - 4u],
    );
    let out = fire(op, a, b, body_a, body_b, fresh_nodes, fresh_wires);
    var done = true;
    if (out.needs_host) {
        let a_is_number = class_of(a) == CLASS_NUM;
        done = leave_to_host(select(b, a, a_is_number), select(body_a, body_b, a_is_number));
    }
    if (done) { settle(op, out, fresh_nodes); }
    return done;
}

// Carries out what an interaction of `current` came to.
fn settle(op: u32, out: Fired, fresh_nodes: vec4<u32>) {
    free_node_count -= out.body_count;
    free_wire_count -= select(0u, 4u, op == OP_DISTRIBUTE);
    if (out.body_count > 0u) { node_store(fresh_nodes.x, out.bodies[0]); }
    if (out.body_count > 1u) { node_store(fresh_nodes.y, out.bodies[1]); }
    if (out.body_count > 2u) { node_store(fresh_nodes.z, out.bodies[2]); }
    if (out.body_count > 3u) { node_store(fresh_nodes.w, out.bodies[3]); }
    if (is_node_class(class_of(current.xy))) { free_node(offset_of(current.xy)); }
    if (is_node_class(class_of(current.zw))) { free_node(offset_of(current.zw)); }
    expanding = false;
    begin_links(out.link_count);
    link = out.links[0];
    link_open = out.link_count > 0u;
    pending[0] = out.links[1];
    pending[1] = out.links[2];
    pending[2] = out.links[3];
    count(op);
}

// The oldest pair of the stack goes to others. Whether one took it.
fn make_room() -> bool {
    let oldest = stack[stack_base % STACK];
    var given = push_local(oldest);
    if (!given) { given = push_global(oldest); }
    let one = select(0u, 1u, given);
    stack_base += one;
    stack_count -= one;
    lacks |= select(STALL_BAG, 0u, given);
    return given;
}

// Starts to expand a definition, for which everything is reserved, or leaves it to many lanes.
fn begin_expansion(definition: u32, meets: vec2<u32>, large: bool) -> bool {
    var done = true;
    if (large) {
        done = leave_to_spread(definition, meets);
        if (done) { lane_mode = IDLE; }
    } else {
        other = meets;
        expanding = true;
        body_next = 0u;
        lane_mode = BODIES;
    }
    if (done) { count(OP_SPECIALIZE); }
    return done;
}

// Looks at `current`: starts to join it, to fire it, or to make room for that. False if it has to wait.
fn look() -> bool {
    let a = current.xy;
    let b = current.zw;
    // A call without arguments stands at the root, where references rest: its reference has the sub bit.
    let at_root = (a.x & SUB) != 0u && class_of(a) == CLASS_REF;
    let op = select(opcode(a, b), OP_SPECIALIZE, at_root);
    var need_nodes = NEED_NODES[op];
    var need_wires = need_wires(op);
    var need_links = 4u;
    var large = false;
    let a_is_reference = class_of(a) == CLASS_REF;
    let definition = offset_of(select(b, a, a_is_reference));
    let meets = select(a, b, a_is_reference);
    let calls = op == OP_SPECIALIZE && is_ready(definition, meets);
    if (op == OP_SPECIALIZE && !calls) {
        header = book_load(definition);
        large = header.y > SMALL || header.z > SMALL || header.w >= STACK;
        need_nodes = select(header.y, 0u, large);
        need_wires = select(header.z, 0u, large);
        need_links = select(header.w + 1u, 1u, large);
    }
    var goes_on = true;
    if (calls) {
        lane_mode = CALL;
        goes_on = false;
    } else if (op == OP_LINK) {
        expanding = false;
        begin_links(1u);
        link = current;
        link_open = true;
    } else if (stack_count + need_links > STACK + 1u) {
        goes_on = make_room();
    } else if (!reserve(need_nodes, need_wires)) {
        goes_on = lacks == 0u;
    } else if (op == OP_SPECIALIZE) {
        goes_on = begin_expansion(definition, meets, large);
    } else {
        goes_on = fire_current(op);
    }
    return goes_on;
}

// Writes the next body, if there is one; after the last come the links.
fn write_body() {
    if (body_next < header.y) {
        let node = free_nodes[free_node_count - header.y + body_next];
        node_store(node, relocate_pair(book_load(header.x + 1u + header.w + body_next)));
        body_next += 1u;
    }
    if (body_next == header.y) { begin_links(header.w + 1u); }
}

// The end of an interaction: what it left first is next.
fn end_links() {
    if (expanding) {
        free_node_count -= header.y;
        free_wire_count -= header.z;
        expanding = false;
    }
    current = result;
    lane_mode = select(IDLE, PAIR, has_result);
}

// The next pair to join.
fn next_link() {
    if (expanding) {
        // The redexes, then the root.
        let is_root = link_next + 1u == link_count;
        let given = book_load(header.x + select(1u + link_next, 0u, is_root));
        link = relocate_pair(given);
        if (is_root) { link = vec4<u32>(link.xy, other); }
    } else {
        link = pending[link_next - 1u];
    }
    link_open = true;
}

// A pair that this interaction left. The first is kept in a register; there is room for all on the stack.
fn keep(pair: vec4<u32>, share: bool) {
    if (!has_result) {
        result = pair;
        has_result = true;
    } else {
        // A call waits for what may bring its arguments.
        let waits = is_call(result);
        let other_pair = select(pair, result, waits);
        result = select(result, pair, waits);
        var given = false;
        if (share) { given = push_local(other_pair); }
        if (!given) { stack_push(other_pair); }
    }
}

// The pair must wait: for the next step if it can, for the next round otherwise.
fn put_off(pair: vec4<u32>, how: u32) {
    var given = false;
    if (how == NEXT_STEP) { given = push_local(pair); }
    if (!given) { given = push_global(pair); }
    if (!given) {
        held = pair;
        is_held = true;
        lacks |= STALL_BAG;
    }
}

// One arrival at a cell, or none if no term of the link is a wire. At the end of a round (`draining`) links are kept as
// they are.
fn follow_link(share: bool, draining: bool) {
    var swap = class_of(link.xy) != CLASS_VAR;
    if (!swap && class_of(link.zw) == CLASS_VAR && (link.x & SUB) == 0u) {
        // Of two wires the one goes first where something waits, so that it is freed: a chain of wires that a loop hands
        // on stays short. This lane holds the other end, so what it sees there can only be taken by itself.
        touched(4u);
        let there = atomicLoad(&stamps[offset_of(link.zw)]);
        swap = there != 0u && visible(there, mine) == SEEN;
    }
    let a = select(link.xy, link.zw, swap);
    let b = select(link.zw, link.xy, swap);
    let wire = offset_of(a);
    if (class_of(a) == CLASS_VAR && !draining) {
        moved = true;
        // A term with the sub bit has arrived before and was put off until now.
        var old = mine;
        if ((a.x & SUB) == 0u) {
            touched(4u);
            old = atomicExchange(&stamps[wire], mine);
        }
        let judged = visible(old, mine);
        if (old == 0u) {
            payload_store(wire, b);
            link_open = false;
        } else if (judged == SEEN) {
            let waiting = payload_load(wire);
            free_wire(wire);
            // In the place of the wire, so that new wires stay before older ones.
            link = select(vec4<u32>(waiting, b), vec4<u32>(b, waiting), swap);
        } else {
            put_off(vec4<u32>(a.x | SUB, a.y, b), judged);
            link_open = false;
        }
    }
    let joins = class_of(link.xy) == CLASS_VAR || class_of(link.zw) == CLASS_VAR;
    if (link_open && (draining || !joins)) {
        keep(link, share);
        link_open = false;
    }
    link_next += select(1u, 0u, link_open);
}

// At most `trips` moves. With `only_links` the lane stops at its next pair.
fn work(trips: u32, share: bool, only_links: bool, draining: bool) {
    var goes_on = true;
    for (trips_made = 0u; trips_made < trips && goes_on; trips_made++) {
        if (lane_mode == IDLE && stack_count > 0u && !only_links) {
            stack_count -= 1u;
            current = stack[(stack_base + stack_count) % STACK];
            lane_mode = PAIR;
        }
        goes_on = lane_mode != IDLE && (!is_held || draining);
        if (lane_mode == PAIR && goes_on) {
            goes_on = !only_links && stack_count < stack_enough;
            if (goes_on) { goes_on = look(); }
        }
        if (lane_mode == BODIES) {
            write_body();
        }
        if (lane_mode == LINKS && goes_on) {
            if (link_open) { follow_link(share, draining); }
            if (!link_open) {
                if (link_next == link_count) { end_links(); } else { next_link(); }
            }
        }
    }
}
