// Where the weights of each source are equal, every edge carries the share itself.
fn edge_term(slot: u32, share: u32) -> vec2<u32> {
    let mantissa = share & 0x07ffffffu;
    let even = (share >> 26u) & 62u;
    if (even >= 32u) {
        return vec2<u32>(0u, mantissa << (even - 32u));
    }
    return vec2<u32>(mantissa << even, (mantissa >> 1u) >> (31u - even));
}
