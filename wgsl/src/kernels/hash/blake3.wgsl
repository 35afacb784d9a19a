// The compression function of BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3", 2020, section 2.2), four
// columns or diagonals at a time in the lanes of a vector.

const CHUNK_START: u32 = 1u;
const CHUNK_END: u32 = 2u;
const PARENT: u32 = 4u;
const ROOT: u32 = 8u;

const WORKGROUP: u32 = 64u;

// A chaining value: words 0 to 3 and 4 to 7.
struct Value {
    low: vec4<u32>,
    high: vec4<u32>,
}

const INITIAL: Value = Value(
    vec4<u32>(0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au),
    vec4<u32>(0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u),
);

struct Window {
    // Items of this dispatch.
    first: u32,
    end: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
    unused1: u32,
}

fn rotated(x: vec4<u32>, right: u32) -> vec4<u32> {
    return (x >> vec4<u32>(right)) | (x << vec4<u32>(32u - right));
}

struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

// The function G on four columns, `x` and `y` the message words of each.
fn mixed(rows: Rows, x: vec4<u32>, y: vec4<u32>) -> Rows {
    var a = rows.a + rows.b + x;
    var d = rotated(rows.d ^ a, 16u);
    var c = rows.c + d;
    var b = rotated(rows.b ^ c, 12u);
    a = a + b + y;
    d = rotated(d ^ a, 8u);
    c = c + d;
    b = rotated(b ^ c, 7u);
    return Rows(a, b, c, d);
}

// `counter` is the number of the chunk (low word, high word), `size` the bytes of the block.
fn compress(
    value: Value,
    block: array<vec4<u32>, 4>,
    counter: vec2<u32>,
    size: u32,
    flags: u32,
) -> Value {
    var m = block;
    var rows = Rows(value.low, value.high, INITIAL.low, vec4<u32>(counter, size, flags));
    for (var round = 0u; round < 7u; round++) {
        rows = mixed(
            rows,
            vec4<u32>(m[0].xz, m[1].xz),
            vec4<u32>(m[0].yw, m[1].yw),
        );
        // The diagonals as columns, and back.
        rows = Rows(rows.a, rows.b.yzwx, rows.c.zwxy, rows.d.wxyz);
        rows = mixed(
            rows,
            vec4<u32>(m[2].xz, m[3].xz),
            vec4<u32>(m[2].yw, m[3].yw),
        );
        rows = Rows(rows.a, rows.b.wxyz, rows.c.zwxy, rows.d.yzwx);
        // Words 2 6 3 10, 7 0 4 13, 1 11 12 5, 9 14 15 8 of the message before.
        m = array<vec4<u32>, 4>(
            vec4<u32>(m[0].z, m[1].z, m[0].w, m[2].z),
            vec4<u32>(m[1].w, m[0].x, m[1].x, m[3].y),
            vec4<u32>(m[0].y, m[2].w, m[3].x, m[1].y),
            vec4<u32>(m[2].y, m[3].z, m[3].w, m[2].x),
        );
    }
    return Value(rows.a ^ rows.c, rows.b ^ rows.d);
}
