// The compression function of SHA-256 (FIPS 180-4, section 6.2.2), four rounds at a time.

const WORKGROUP: u32 = 64u;

// Words a to d and e to h.
struct State {
    low: vec4<u32>,
    high: vec4<u32>,
}

const INITIAL: State = State(
    vec4<u32>(0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au),
    vec4<u32>(0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u),
);

// The 64 round constants.
@group(0) @binding(0) var<uniform> constants: array<vec4<u32>, 16>;

fn rotated(x: u32, right: u32) -> u32 {
    return (x >> right) | (x << (32u - right));
}

fn spread0(x: u32) -> u32 {
    return rotated(x, 7u) ^ rotated(x, 18u) ^ (x >> 3u);
}

fn spread1(x: u32) -> u32 {
    return rotated(x, 17u) ^ rotated(x, 19u) ^ (x >> 10u);
}

// One round; `input` is the round's constant plus its schedule word.
fn stepped(s: State, input: u32) -> State {
    let a = s.low.x;
    let e = s.high.x;
    let sum1 = rotated(e, 6u) ^ rotated(e, 11u) ^ rotated(e, 25u);
    let choice = s.high.z ^ (e & (s.high.y ^ s.high.z));
    let first = s.high.w + sum1 + choice + input;
    let sum0 = rotated(a, 2u) ^ rotated(a, 13u) ^ rotated(a, 22u);
    let majority = (a & s.low.y) | (s.low.z & (a | s.low.y));
    return State(
        vec4<u32>(first + sum0 + majority, s.low.xyz),
        vec4<u32>(s.low.w + first, s.high.xyz),
    );
}

fn compress(start: State, block: array<vec4<u32>, 4>) -> State {
    var w = block;
    var s = start;
    for (var four = 0u; four < 16u; four++) {
        let inputs = constants[four] + w[0];
        s = stepped(s, inputs.x);
        s = stepped(s, inputs.y);
        s = stepped(s, inputs.z);
        s = stepped(s, inputs.w);
        // The four schedule words after w[3].
        let a = w[0].x + spread0(w[0].y) + w[2].y + spread1(w[3].z);
        let b = w[0].y + spread0(w[0].z) + w[2].z + spread1(w[3].w);
        let c = w[0].z + spread0(w[0].w) + w[2].w + spread1(a);
        let d = w[0].w + spread0(w[1].x) + w[3].x + spread1(b);
        w = array<vec4<u32>, 4>(w[1], w[2], w[3], vec4<u32>(a, b, c, d));
    }
    return State(start.low + s.low, start.high + s.high);
}
