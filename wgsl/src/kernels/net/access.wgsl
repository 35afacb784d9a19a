// Every plain access to what lanes share. Each place has one owner at a time; see reduce.wgsl. In the build that looks
// for races access_race.wgsl takes the place of this text; the build that counts bytes has another `touched`.

// The lane has passed a barrier, of workgroup memory, and of the buffers too if `of_buffers`.
fn passed_barrier(lane: u32, of_buffers: bool) {}

fn node_load(at: u32) -> vec4<u32> {
    touched(16u);
    return nodes[at];
}

fn node_store(at: u32, body: vec4<u32>) {
    touched(16u);
    nodes[at] = body;
}

fn payload_load(wire: u32) -> vec2<u32> {
    touched(8u);
    return payloads[wire];
}

fn payload_store(wire: u32, term: vec2<u32>) {
    touched(8u);
    payloads[wire] = term;
}

fn bag_load(at: u32) -> vec4<u32> {
    touched(16u);
    return bag[at];
}

fn bag_store(at: u32, pair: vec4<u32>) {
    touched(16u);
    bag[at] = pair;
}

fn ring_load(at: u32) -> u32 {
    touched(4u);
    return rings[at];
}

fn ring_store(at: u32, free: u32) {
    touched(4u);
    rings[at] = free;
}

fn local_bag_load(at: u32) -> vec4<u32> {
    return local_bag[at];
}

fn local_bag_store(at: u32, pair: vec4<u32>) {
    local_bag[at] = pair;
}

fn local_node_load(at: u32) -> u32 {
    return local_nodes[at];
}

fn local_node_store(at: u32, free: u32) {
    local_nodes[at] = free;
}

fn local_wire_load(at: u32) -> u32 {
    return local_wires[at];
}

fn local_wire_store(at: u32, free: u32) {
    local_wires[at] = free;
}
