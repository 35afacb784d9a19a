// Every plain access to what lanes share, in the build that looks for races. It takes the place of access.wgsl.
//
// Each place has a shadow word, which takes the stamp of whoever accesses the place by one atomicExchange. The last access
// must be ordered before this one: by another dispatch, by a barrier of this workgroup, or by being this lane's own.
// Which accesses these are is decided here once more, not by the protocol under test. Two accesses that nothing orders
// are found whether or not they happen to come at the same time, and reads are told apart from writes nowhere: a place
// has one owner.
//
// The stamps of the buffers have 8 bits for the round and 8 for the step: a run has fewer than 256 rounds, of fewer
// than 255 steps.

// A word for each node, payload, pair of the bag and entry of the rings, in this order.
@group(0) @binding(7) var<storage, read_write> shadows: array<atomic<u32>>;
// The pairs of the workgroup, its nodes, its wires: barriers passed, and the lane.
var<workgroup> local_shadows: array<atomic<u32>, LOCAL_BAG + 2u * POOL>;

// Barriers that this lane has passed: of the buffers, of workgroup memory.
var<private> buffer_barriers: u32;
var<private> local_barriers: u32;
// This lane's stamps since the last of them.
var<private> buffer_stamp: u32;
var<private> local_stamp: u32;

fn passed_barrier(lane: u32, of_buffers: bool) {
    local_barriers += 1u;
    buffer_barriers += select(0u, 1u, of_buffers);
    local_stamp = (local_barriers << 6u) | lane;
    buffer_stamp = (atomicLoad(&control[ROUND]) & 255u) << 24u
        | (stamp_group << 14u) | (buffer_barriers << 6u) | lane;
}

fn touch_local(place: u32) {
    let old = atomicExchange(&local_shadows[place], local_stamp);
    let differ = old ^ local_stamp;
    if ((old != 0u) & (differ != 0u) & (differ < 64u)) {
        atomicAdd(&control[RACES], 1u);
    }
}

fn touch(place: u32) {
    let old = atomicExchange(&shadows[place], buffer_stamp);
    let differ = old ^ buffer_stamp;
    let same_round = differ < (1u << 24u);
    let other_group = differ >= (1u << 14u);
    let same_step = (differ < 64u) & (differ != 0u);
    if ((old != 0u) & same_round & (other_group | same_step)) {
        atomicAdd(&control[RACES], 1u);
    }
}

fn shadow_nodes() -> u32 {
    return (atomicLoad(&control[NODE_MASK]) + 1u) / 2u;
}

fn shadow_wires() -> u32 {
    return (atomicLoad(&control[WIRE_MASK]) + 1u) / 2u;
}

fn touch_payload(wire: u32) {
    touch(shadow_nodes() + wire);
}

fn touch_bag(at: u32) {
    touch(shadow_nodes() + shadow_wires() + at);
}

fn touch_ring(at: u32) {
    touch(shadow_nodes() + shadow_wires() + atomicLoad(&control[BAG_CAPACITY]) + at);
}

fn node_load(at: u32) -> vec4<u32> {
    touch(at);
    return nodes[at];
}

fn node_store(at: u32, body: vec4<u32>) {
    touch(at);
    nodes[at] = body;
}

fn payload_load(wire: u32) -> vec2<u32> {
    touch_payload(wire);
    return payloads[wire];
}

fn payload_store(wire: u32, term: vec2<u32>) {
    touch_payload(wire);
    payloads[wire] = term;
}

fn bag_load(at: u32) -> vec4<u32> {
    touch_bag(at);
    return bag[at];
}

fn bag_store(at: u32, pair: vec4<u32>) {
    touch_bag(at);
    bag[at] = pair;
}

fn ring_load(at: u32) -> u32 {
    touch_ring(at);
    return rings[at];
}

fn ring_store(at: u32, free: u32) {
    touch_ring(at);
    rings[at] = free;
}

fn local_bag_load(at: u32) -> vec4<u32> {
    touch_local(at);
    return local_bag[at];
}

fn local_bag_store(at: u32, pair: vec4<u32>) {
    touch_local(at);
    local_bag[at] = pair;
}

fn local_node_load(at: u32) -> u32 {
    touch_local(LOCAL_BAG + at);
    return local_nodes[at];
}

fn local_node_store(at: u32, free: u32) {
    touch_local(LOCAL_BAG + at);
    local_nodes[at] = free;
}

fn local_wire_load(at: u32) -> u32 {
    touch_local(LOCAL_BAG + POOL + at);
    return local_wires[at];
}

fn local_wire_store(at: u32, free: u32) {
    touch_local(LOCAL_BAG + POOL + at);
    local_wires[at] = free;
}
