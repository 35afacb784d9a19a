// Searches a run of nonces for the lowest one with SHA-256(SHA-256(header | nonce)) below the target, both read as
// big-endian numbers. One lane per nonce; those that are below it meet in one atomic minimum.

struct Search {
    // State after the header's whole blocks.
    state: State,
    below: State,
    // The one or two blocks after them, with zeros for the nonce.
    tail: array<array<vec4<u32>, 4>, 2>,
    // First nonce: low word, high word.
    start: vec2<u32>,
    // Nonces to try, from the first on. None is beyond the greatest u64.
    count: u32,
    // Blocks of the tail.
    blocks: u32,
    // Where the nonce's eight bytes, lowest first, lie in the tail: word, and bits into it from the top (0, 8, 16, 24).
    word: u32,
    shift: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(1) var<uniform> search: Search;
// Distance from the first nonce of the lowest one found; all ones before.
@group(0) @binding(2) var<storage, read_write> found: atomic<u32>;

// The bytes of a word in the other order.
fn swapped(x: u32) -> u32 {
    return (x << 24u) | ((x & 0xff00u) << 8u) | ((x >> 8u) & 0xff00u) | (x >> 24u);
}

// The nonce's part of four words of the tail, the first of which is number `at`. `parts` are words `search.word` to
// `search.word + 2`.
fn placed(parts: vec3<u32>, at: u32) -> vec4<u32> {
    let place = vec4<u32>(at, at + 1u, at + 2u, at + 3u);
    let word = vec4<u32>(search.word);
    let none = vec4<u32>(0u);
    return select(none, vec4<u32>(parts.x), place == word)
        | select(none, vec4<u32>(parts.y), place == word + vec4<u32>(1u))
        | select(none, vec4<u32>(parts.z), place == word + vec4<u32>(2u));
}

fn less(a: State, b: State) -> bool {
    if (a.low.x != b.low.x) { return a.low.x < b.low.x; }
    if (a.low.y != b.low.y) { return a.low.y < b.low.y; }
    if (a.low.z != b.low.z) { return a.low.z < b.low.z; }
    if (a.low.w != b.low.w) { return a.low.w < b.low.w; }
    if (a.high.x != b.high.x) { return a.high.x < b.high.x; }
    if (a.high.y != b.high.y) { return a.high.y < b.high.y; }
    if (a.high.z != b.high.z) { return a.high.z < b.high.z; }
    return a.high.w < b.high.w;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * WORKGROUP + lane;
    if (index >= search.count) {
        return;
    }
    let low = search.start.x + index;
    let carry = select(0u, 1u, low < index);
    let first = swapped(low);
    let second = swapped(search.start.y + carry);
    // A shift by 32 is taken in two steps.
    let rest = 31u - search.shift;
    let parts = vec3<u32>(
        first >> search.shift,
        ((first << 1u) << rest) | (second >> search.shift),
        (second << 1u) << rest,
    );
    var state = search.state;
    // The tail, and then the hash of the hash.
    for (var i = 0u; i <= search.blocks; i++) {
        var block: array<vec4<u32>, 4>;
        if (i < search.blocks) {
            let at = 16u * i;
            block = array<vec4<u32>, 4>(
                search.tail[i][0] | placed(parts, at),
                search.tail[i][1] | placed(parts, at + 4u),
                search.tail[i][2] | placed(parts, at + 8u),
                search.tail[i][3] | placed(parts, at + 12u),
            );
        } else {
            block = array<vec4<u32>, 4>(
                state.low,
                state.high,
                vec4<u32>(0x80000000u, 0u, 0u, 0u),
                vec4<u32>(0u, 0u, 0u, 256u),
            );
            state = INITIAL;
        }
        state = compress(state, block);
    }
    if (less(state, search.below)) {
        atomicMin(&found, index);
    }
}
