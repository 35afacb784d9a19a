// Numbers of 64 bits as (low, high), and the formulas of the definition in `ffcm::focus`. Whole numbers only.

// The total mass, 2^62.
const MASS: vec2<u32> = vec2<u32>(0u, 0x40000000u);

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn sub64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// a >> by, for by below 32.
fn shift_right64(a: vec2<u32>, by: u32) -> vec2<u32> {
    // Two shifts, as a shift by 32 is none.
    return vec2<u32>((a.x >> by) | ((a.y << 1u) << (31u - by)), a.y >> by);
}

// The full product, from halves of 16 bits; no sum exceeds 32 bits.
fn multiply32(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
    return vec2<u32>((other << 16u) | (low & 0xffffu), high);
}

// a * b modulo 2^64.
fn multiply64(a: vec2<u32>, b: u32) -> vec2<u32> {
    let low = multiply32(a.x, b);
    return vec2<u32>(low.x, low.y + a.y * b);
}

// Part of a pool for a teleport share, both at most 2^62: floor(pool * teleport / 2^62).
fn pool_part(pool: vec2<u32>, teleport: vec2<u32>) -> vec2<u32> {
    let first = multiply32(pool.x, teleport.x);
    let middle = add64(multiply32(pool.x, teleport.y), vec2<u32>(first.y, 0u));
    let other = add64(multiply32(pool.y, teleport.x), vec2<u32>(middle.x, 0u));
    let high = add64(
        multiply32(pool.y, teleport.y),
        add64(vec2<u32>(middle.y, 0u), vec2<u32>(other.y, 0u)),
    );
    return vec2<u32>((other.x >> 30u) | (high.x << 2u), (high.x >> 30u) | (high.y << 2u));
}

// The share of a source of mass x, packed: mantissa in bits 0 to 26, j in bits 27 to 31; equal shares are equal words.
// `scale` is 31 to 63; a node without out-edges has ratio 0 and share 0.
fn packed_share(x: vec2<u32>, damping: u32, ratio: u32, scale: u32) -> u32 {
    let damped = add64(
        multiply32(damping, x.y),
        vec2<u32>(multiply32(damping, x.x).y, 0u),
    );
    let low = multiply32(damped.x, ratio);
    let high = add64(multiply32(damped.y, ratio), vec2<u32>(low.y, 0u));
    var share = vec2<u32>((low.x >> 31u) | (high.x << 1u), (high.x >> 31u) | (high.y << 1u));
    if (scale != 31u) {
        share = shift_right64(high, (scale - 32u) & 31u);
    }
    let bits = select(
        32u - countLeadingZeros(share.x),
        64u - countLeadingZeros(share.y),
        share.y != 0u,
    );
    // Twice j: at most 36.
    let even = (max(bits, 27u) - 26u) & 62u;
    var mantissa = shift_right64(share, even & 31u).x;
    if (even >= 32u) {
        mantissa = share.y >> (even - 32u);
    }
    return mantissa | (even << 26u);
}
