// Takes messages some blocks further. One lane per message; it owns the message's state.

struct Window {
    // Messages.
    count: u32,
    // Blocks of each message that this dispatch takes.
    first: u32,
    end: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
}

@group(0) @binding(1) var<uniform> window: Window;
// First block in `data` and number of blocks of each message.
@group(0) @binding(2) var<storage, read> messages: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> data: array<array<vec4<u32>, 4>>;
@group(0) @binding(4) var<storage, read_write> states: array<State>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * WORKGROUP + lane;
    if (index >= window.count) {
        return;
    }
    let message = messages[index];
    let end = min(window.end, message.y);
    if (window.first >= end) {
        return;
    }
    var state = states[index];
    for (var i = window.first; i < end; i++) {
        state = compress(state, data[message.x + i]);
    }
    states[index] = state;
}
